//! Address management (Docker's IPAM): which IPv4 addresses of a subnet are leased.
//!
//! Pure: the pool is never stored. The daemon derives it from the containers' records when it starts, so a
//! leaked or doubly leased address cannot survive. Like Docker 28, a lease without a wish gets the lowest
//! free address, so an address is used again as soon as it is released.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::Error;

/// The addresses of one subnet.
#[derive(Clone, Debug)]
pub struct AddressPool {
    subnet: Subnet,
    gateway: Ipv4Addr,
    leased: BTreeSet<Ipv4Addr>,
}

impl AddressPool {
    /// A pool in which only the gateway is taken. `network` may be any address of the subnet.
    pub fn new(
        network: Ipv4Addr,
        prefix_length: u8,
        gateway: Ipv4Addr,
    ) -> Result<AddressPool, Error> {
        let subnet = Subnet::new(network, prefix_length)?;
        subnet.check_host(gateway)?;
        Ok(AddressPool {
            subnet,
            gateway,
            leased: BTreeSet::new(),
        })
    }

    /// Leases the wished address, or else the lowest free one.
    pub fn lease(&mut self, wish: Option<Ipv4Addr>) -> Result<Ipv4Addr, Error> {
        let address = match wish {
            Some(address) => address,
            None => self.lowest_free()?,
        };
        self.reserve(address)?;
        Ok(address)
    }

    /// Takes an address that a record already names, as when a daemon adopts running containers.
    pub fn reserve(&mut self, address: Ipv4Addr) -> Result<(), Error> {
        self.subnet.check_host(address)?;
        if address == self.gateway || !self.leased.insert(address) {
            return Err(Error::AddressInUse { address });
        }
        Ok(())
    }

    /// Gives an address back. False if it was not leased.
    pub fn release(&mut self, address: Ipv4Addr) -> bool {
        self.leased.remove(&address)
    }

    /// The leased addresses in order, without the gateway.
    pub fn leased(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.leased.iter().copied()
    }

    /// The subnet of the pool.
    pub fn subnet(&self) -> Subnet {
        self.subnet
    }

    /// Walks the leases in order until the first gap: as many steps as there are leases below it.
    fn lowest_free(&self) -> Result<Ipv4Addr, Error> {
        let first = u32::from(self.subnet.network()) + 1;
        let last = u32::from(self.subnet.broadcast()) - 1;
        let mut leases = self
            .leased
            .iter()
            .map(|address| u32::from(*address))
            .peekable();
        for candidate in first..=last {
            if leases.next_if_eq(&candidate).is_none() && candidate != u32::from(self.gateway) {
                return Ok(candidate.into());
            }
        }
        Err(Error::PoolExhausted {
            subnet: self.subnet.to_string(),
        })
    }
}

/// An IPv4 subnet with room for at least a gateway and one container, shown as `10.207.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    network: Ipv4Addr,
    prefix_length: u8,
}

impl Subnet {
    /// The subnet that `address` lies in.
    pub fn new(address: Ipv4Addr, prefix_length: u8) -> Result<Subnet, Error> {
        let invalid = |reason| Error::InvalidSubnet {
            address,
            prefix_length,
            reason,
        };
        if !(8..=30).contains(&prefix_length) {
            return Err(invalid("the prefix length must be between 8 and 30"));
        }
        // 240.0.0.0/4 is reserved (RFC 1112) and has the broadcast address.
        let first_byte = address.octets()[0];
        if first_byte == 0 || first_byte == 127 || first_byte >= 224 {
            return Err(invalid("not an address of a network between hosts"));
        }
        Ok(Subnet {
            network: (u32::from(address) & mask(prefix_length)).into(),
            prefix_length,
        })
    }

    /// The lowest address, which no interface has.
    pub fn network(self) -> Ipv4Addr {
        self.network
    }

    /// The highest address, which no interface has.
    pub fn broadcast(self) -> Ipv4Addr {
        (u32::from(self.network) | !mask(self.prefix_length)).into()
    }

    /// Bits of the network part.
    pub fn prefix_length(self) -> u8 {
        self.prefix_length
    }

    /// True if `address` lies in the subnet.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        u32::from(address) & mask(self.prefix_length) == u32::from(self.network)
    }

    /// Refuses an address that no interface in this subnet can have.
    pub(crate) fn check_host(self, address: Ipv4Addr) -> Result<(), Error> {
        let reason = if !self.contains(address) {
            "it lies outside"
        } else if address == self.network() {
            "it is the network's own address"
        } else if address == self.broadcast() {
            "it is the broadcast address"
        } else {
            return Ok(());
        };
        Err(Error::InvalidAddress {
            address,
            subnet: self.to_string(),
            reason,
        })
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.network, self.prefix_length)
    }
}

/// The network mask of a prefix length between 0 and 32.
pub(crate) fn mask(prefix_length: u8) -> u32 {
    u32::MAX
        .checked_shl(32 - u32::from(prefix_length))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pool() -> AddressPool {
        AddressPool::new(
            Ipv4Addr::new(172, 17, 0, 0),
            16,
            Ipv4Addr::new(172, 17, 0, 1),
        )
        .unwrap()
    }

    /// What `docker run` gave on Docker 28.5: .2, .3, .4; .3 removed and given again; all removed, then .2.
    #[test]
    fn gives_addresses_in_dockers_order() {
        let mut pool = pool();
        let given: Vec<Ipv4Addr> = (0..3).map(|_| pool.lease(None).unwrap()).collect();
        assert_eq!(given, [2, 3, 4].map(|last| Ipv4Addr::new(172, 17, 0, last)));
        assert!(pool.release(given[1]));
        assert_eq!(pool.lease(None).unwrap(), given[1]);
        given
            .iter()
            .for_each(|address| assert!(pool.release(*address)));
        assert_eq!(pool.lease(None).unwrap(), given[0]);
    }

    #[test]
    fn a_full_pool_says_so_and_works_again_after_a_release() {
        let gateway = Ipv4Addr::new(10, 0, 0, 2);
        let mut pool = AddressPool::new(Ipv4Addr::new(10, 0, 0, 3), 30, gateway).unwrap();
        let only = pool.lease(None).unwrap();
        assert_eq!(only, Ipv4Addr::new(10, 0, 0, 1));
        let error = pool.lease(None).unwrap_err().to_string();
        assert_eq!(error, "no available IPv4 addresses in subnet 10.0.0.0/30");
        assert!(pool.release(only));
        assert_eq!(pool.lease(None).unwrap(), only);
    }

    #[test]
    fn a_wish_that_cannot_be_is_refused() {
        let mut pool = pool();
        for (wish, message) in [
            ([172, 17, 0, 1], "address 172.17.0.1 is already in use"),
            (
                [172, 17, 0, 0],
                "address 172.17.0.0 cannot be used in subnet 172.17.0.0/16: it is the network's own address",
            ),
            (
                [172, 17, 255, 255],
                "address 172.17.255.255 cannot be used in subnet 172.17.0.0/16: it is the broadcast address",
            ),
            (
                [172, 18, 0, 2],
                "address 172.18.0.2 cannot be used in subnet 172.17.0.0/16: it lies outside",
            ),
        ] {
            assert_eq!(
                pool.lease(Some(wish.into())).unwrap_err().to_string(),
                message
            );
        }
        assert_eq!(pool.leased().count(), 0);
    }

    #[test]
    fn the_highest_subnet_does_not_overflow() {
        let subnet = Subnet::new(Ipv4Addr::new(223, 255, 255, 254), 8).unwrap();
        assert_eq!(subnet.to_string(), "223.0.0.0/8");
        assert_eq!(subnet.broadcast(), Ipv4Addr::new(223, 255, 255, 255));
        assert!(Subnet::new(Ipv4Addr::new(255, 255, 255, 254), 24).is_err());
        assert!(Subnet::new(Ipv4Addr::new(240, 0, 0, 1), 24).is_err());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Lease,
        Wish(u8),
        Release(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            Just(Step::Lease),
            any::<u8>().prop_map(Step::Wish),
            any::<u8>().prop_map(Step::Release)
        ]
    }

    proptest! {
        /// Against the obvious model, a table of 16 addresses: never the gateway, never one twice, the lowest
        /// free one first, and full only when all are taken.
        #[test]
        fn follows_the_model(gateway in 1u8..15, steps in prop::collection::vec(step(), 0..200)) {
            let address = |last: u8| Ipv4Addr::new(10, 1, 2, 16 + last);
            let mut pool = AddressPool::new(address(9), 28, address(gateway)).unwrap();
            let mut taken = [false; 16];
            for place in [0, 15, usize::from(gateway)] {
                taken[place] = true;
            }
            for step in steps {
                match step {
                    Step::Lease => {
                        let expected = (0..16u8).find(|last| !taken[usize::from(*last)]);
                        prop_assert_eq!(pool.lease(None).ok(), expected.map(address));
                        if let Some(last) = expected { taken[usize::from(last)] = true; }
                    }
                    Step::Wish(last) => {
                        let last = last % 16;
                        prop_assert_eq!(pool.lease(Some(address(last))).is_ok(), !taken[usize::from(last)]);
                        taken[usize::from(last)] = true;
                    }
                    Step::Release(last) => {
                        let last = last % 16;
                        let was_leased = taken[usize::from(last)] && ![0, 15, gateway].contains(&last);
                        prop_assert_eq!(pool.release(address(last)), was_leased);
                        if was_leased { taken[usize::from(last)] = false; }
                    }
                }
                let leased: Vec<Ipv4Addr> = pool.leased().collect();
                let expected: Vec<Ipv4Addr> = (1..15u8)
                    .filter(|last| taken[usize::from(*last)] && *last != gateway).map(address).collect();
                prop_assert_eq!(leased, expected);
            }
        }
    }
}
