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
        if address.is_loopback()
            || address.is_multicast()
            || address.is_unspecified()
            || address.is_broadcast()
        {
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
