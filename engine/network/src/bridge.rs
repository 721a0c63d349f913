//! A bridge from its birth to its end, and the sandboxes on it.
//!
//! A bridge (Docker's driver `bridge`) is a switch in the kernel. Its own address is the containers' gateway;
//! each container hangs on it by a veth(4) pair whose other end is `eth0` in the container's sandbox.

use std::net::Ipv4Addr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;

use crate::Error;
use crate::docker::{self, BesideDocker};
use crate::firewall::Firewall;
use crate::ipam::{Subnet, mask};
use crate::link::{self, InterfaceAddress, Link, Veth};
use crate::mac::{MacAddress, mac_address_for_endpoint};
use crate::monitor::FirewallMonitor;
use crate::netlink::{Batch, Socket};
use crate::sandbox::{self, write_ipv6_parameter, write_parameter};

/// The container's end of the pair, as Docker names it.
const CONTAINER_INTERFACE: &str = "eth0";
/// Whether the kernel tells the neighbours when the interface's MAC address is set.
const ANNOUNCE: &str = "net/ipv4/conf/eth0/arp_notify";
/// Digits of a container's id in the name of its interface: `veth` and these, as Docker's look.
const NAME_DIGITS: usize = 7;

/// Random names that are tried when all those from the id are taken.
const NAME_ATTEMPTS: usize = 20;

/// How long a sandbox waits for its carrier: as often as this, with this pause.
const CARRIER_ATTEMPTS: usize = 500;
const CARRIER_PAUSE: Duration = Duration::from_micros(200);

/// What a bridge shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeConfig {
    /// The interface, at most 15 characters; also the name of our nftables table.
    pub name: String,
    /// The bridge's own address.
    pub gateway: Ipv4Addr,
    /// Bits of the subnet's network part, 8 to 30.
    pub prefix_length: u8,
    /// Largest packet in bytes, of the bridge and of every sandbox.
    pub mtu: u32,
}

impl Default for BridgeConfig {
    /// `drydock0` with 10.207.0.1/16.
    ///
    /// Docker's default pools are 172.17.0.0/12 and 192.168.0.0/16; Podman begins at 10.88.0.0, Kubernetes
    /// distributions use 10.32, 10.42, 10.43, 10.96 to 10.111 and 10.244, clouds and homes the low numbers
    /// of 10.0.0.0/8, and Google's automatic networks even second bytes from 10.128 on. 10.207.0.0/16 is in
    /// none of them, and where it is taken nevertheless, [`Bridge::open`] says so.
    fn default() -> BridgeConfig {
        BridgeConfig {
            name: "drydock0".to_owned(),
            gateway: Ipv4Addr::new(10, 207, 0, 1),
            prefix_length: 16,
            mtu: 1500,
        }
    }
}

/// A container's place in a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// 64 hexadecimal digits. Our end of the pair carries it as its alias.
    pub container_id: String,
    /// From [`crate::AddressPool`].
    pub address: Ipv4Addr,
    /// From [`mac_address_for_endpoint`], or the user's.
    pub mac_address: MacAddress,
}

/// An interface on the bridge: our end of a container's pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name, as `veth1a2b3c4`.
    pub interface: String,
    /// The container it was made for; None if somebody else put it on the bridge.
    pub container_id: Option<String>,
}

/// A bridge that is up, with its firewall.
///
/// Dropping it leaves everything in place, so that containers outlive the daemon; [`Bridge::close`] removes it.
#[derive(Debug)]
pub struct Bridge {
    config: BridgeConfig,
    subnet: Subnet,
    index: u32,
    firewall: Firewall,
}

impl Bridge {
    /// Makes the bridge, or takes over the one that an earlier daemon left: interface, address, kernel
    /// parameters, our table, the accept rules beside Docker. Refuses a configuration that cannot work before
    /// it changes anything; undoes what it made when it fails later.
    ///
    /// Call [`Bridge::ensure_beside_docker`] once after it to hear of rules that are in the way and cannot be
    /// changed; they are no reason to have no bridge.
    pub fn open(config: BridgeConfig) -> Result<Bridge, Error> {
        let subnet = check(&config)?;
        let route = Socket::route()?;
        let existing = Link::find(&route, &config.name)?;
        let addresses = link::addresses(&route)?;
        check_host(&config, subnet, existing.as_ref(), &addresses)?;

        let firewall = Firewall::new(&config.name, subnet);
        let made = existing.is_none();
        let index = match existing {
            Some(link) => link.index,
            None => create_interface(&route, &config)?,
        };
        let bridge = Bridge {
            config,
            subnet,
            index,
            firewall,
        };
        let has_address = addresses.iter().any(|address| address.index == index);
        match bridge.set_up(&route, !has_address) {
            Ok(()) => Ok(bridge),
            Err(error) => {
                if made {
                    // The first error is the one to tell; what cannot be undone is found by the next open.
                    drop(bridge.close());
                }
                Err(error)
            }
        }
    }

    fn set_up(&self, route: &Socket, add_address: bool) -> Result<(), Error> {
        let BridgeConfig {
            name,
            gateway,
            prefix_length,
            mtu,
        } = &self.config;
        // A container could otherwise send router advertisements and become the host's gateway
        // (CVE-2020-13401).
        write_ipv6_parameter(&format!("net/ipv6/conf/{name}/accept_ra"), "0")?;
        let mut batch = Batch::default();
        if add_address {
            link::add_address(&mut batch, self.index, name, *gateway, *prefix_length);
        }
        link::set_mtu(&mut batch, name, *mtu);
        link::set_up(&mut batch, name);
        route.request(batch)?;
        // The firewall first: not a moment with forwarding and without it.
        let netfilter = Socket::netfilter()?;
        self.firewall.install(&netfilter)?;
        docker::ensure(&netfilter, name)?;
        write_parameter("net/ipv4/ip_forward", "1")
    }

    /// What it was opened with.
    pub fn config(&self) -> &BridgeConfig {
        &self.config
    }

    /// The subnet of its containers.
    pub fn subnet(&self) -> Subnet {
        self.subnet
    }

    /// A network namespace for a container, wired to the bridge: lo and eth0 up, address, MAC and default
    /// route set. It lives as long as the descriptor or a process in it; nothing needs to be removed
    /// afterwards.
    ///
    /// The calling thread is in the new namespace for about a millisecond and then back in its own.
    pub fn sandbox(&self, endpoint: &Endpoint) -> Result<OwnedFd, Error> {
        self.check_endpoint(endpoint)?;
        let outside = Socket::route()?;
        sandbox::create(|namespace| self.wire(&outside, namespace, endpoint))
    }

    fn check_endpoint(&self, endpoint: &Endpoint) -> Result<(), Error> {
        let invalid = |reason: String| {
            Err(Error::InvalidEndpoint {
                container_id: endpoint.container_id.clone(),
                reason,
            })
        };
        let id = &endpoint.container_id;
        if id.len() != 64 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return invalid("the id is not 64 hexadecimal digits".to_owned());
        }
        if !endpoint.mac_address.is_unicast() {
            return invalid(format!(
                "{} is no MAC address of one interface",
                endpoint.mac_address
            ));
        }
        if endpoint.address == self.config.gateway {
            return Err(Error::AddressInUse {
                address: endpoint.address,
            });
        }
        self.subnet.check_host(endpoint.address)
    }

    /// Called inside the new namespace; `outside` is a socket of our own one.
    fn wire(
        &self,
        outside: &Socket,
        namespace: BorrowedFd<'_>,
        endpoint: &Endpoint,
    ) -> Result<(), Error> {
        let name = self.create_pair(outside, namespace, endpoint)?;
        let inside = Socket::route()?;
        let mut batch = Batch::default();
        link::set_up(&mut batch, "lo");
        link::get(&mut batch, CONTAINER_INTERFACE);
        // Its number is not always 2: a kernel with tunnel modules makes their interfaces in each namespace.
        let index = Link::in_replies(&inside.request(batch)?, CONTAINER_INTERFACE)?.index;

        // As Docker does where the network has no IPv6. Before it is up, or it gets an address of its own.
        write_ipv6_parameter("net/ipv6/conf/eth0/disable_ipv6", "1")?;
        let mut batch = Batch::default();
        link::add_address(
            &mut batch,
            index,
            CONTAINER_INTERFACE,
            endpoint.address,
            self.config.prefix_length,
        );
        link::set_up(&mut batch, CONTAINER_INTERFACE);
        link::add_default_route(&mut batch, index, self.config.gateway);
        inside.request(batch)?;

        let mut batch = Batch::default();
        link::set_alias(&mut batch, &name, &endpoint.container_id);
        outside.request(batch)?;
        wait_until_running(outside, [&name, &self.config.name])?;
        announce(&inside, endpoint.mac_address)
    }

    /// The pair, and the name of our end: `veth` and seven digits of the id; other digits of it, then random
    /// ones, where that name is taken. The interfaces of the same container's last runs can still be there
    /// for a moment.
    fn create_pair(
        &self,
        outside: &Socket,
        namespace: BorrowedFd<'_>,
        endpoint: &Endpoint,
    ) -> Result<String, Error> {
        let id = endpoint.container_id.as_bytes();
        let of_id = id
            .chunks_exact(NAME_DIGITS)
            .map(|digits| String::from_utf8_lossy(digits).into_owned());
        let random = std::iter::repeat_with(random_digits).take(NAME_ATTEMPTS);
        let mut taken = String::new();
        for digits in of_id.chain(random) {
            let name = format!("veth{digits}");
            let mut batch = Batch::default();
            let veth = Veth {
                name: &name,
                bridge: self.index,
                peer_namespace: namespace,
                peer_name: CONTAINER_INTERFACE,
                peer_mac: endpoint.mac_address,
                mtu: self.config.mtu,
            };
            link::create_veth(&mut batch, &veth);
            match outside.request(batch) {
                Ok(_) => return Ok(name),
                Err(error) if error.errno() == Some(Errno::EEXIST) => taken = name,
                Err(error) => return Err(error),
            }
        }
        Err(Error::InterfaceTaken {
            interface: taken,
            reason: format!(
                "so do all other names for the interface of container {}",
                endpoint.container_id
            ),
        })
    }

    /// Deletes the interfaces of a container: both ends of each pair. For a network namespace that outlives the container
    /// whose it was.
    pub fn disconnect(&self, container_id: &str) -> Result<(), Error> {
        let route = Socket::route()?;
        let mut batch = Batch::default();
        let mut found = false;
        for port in Link::ports(&route, self.index)? {
            if port.alias.as_deref() == Some(container_id) {
                link::delete(&mut batch, &port);
                found = true;
            }
        }
        if !found {
            return Ok(());
        }
        match route.request(batch) {
            Err(error) if error.errno() == Some(Errno::ENODEV) => Ok(()),
            result => result.map(drop),
        }
    }

    /// The interfaces on the bridge, for a daemon that compares them with its records.
    pub fn ports(&self) -> Result<Vec<Port>, Error> {
        let links = Link::ports(&Socket::route()?, self.index)?;
        Ok(links
            .into_iter()
            .map(|link| Port {
                interface: link.name,
                container_id: link.alias,
            })
            .collect())
    }

    /// Makes sure that a Docker on this host lets our containers' packets pass. Cheap when nothing is to do;
    /// call it when [`Bridge::monitor`] says so.
    pub fn ensure_beside_docker(&self) -> Result<BesideDocker, Error> {
        docker::ensure(&Socket::netfilter()?, &self.config.name)
    }

    /// Makes our table again if somebody changed or removed it; true if so.
    pub fn ensure_firewall(&self) -> Result<bool, Error> {
        let netfilter = Socket::netfilter()?;
        let intact = self.firewall.is_intact(&netfilter)?;
        if !intact {
            self.firewall.install(&netfilter)?;
        }
        Ok(!intact)
    }

    /// Watches the host's firewall.
    pub fn monitor(&self) -> Result<FirewallMonitor, Error> {
        FirewallMonitor::open(&self.config.name)
    }

    /// Removes the bridge, what is still on it, our table and the accept rules beside Docker. Goes through
    /// all of it and gives the first error. `net.ipv4.ip_forward` stays on: others may need it by now.
    pub fn close(self) -> Result<(), Error> {
        let interfaces = self.delete_interfaces();
        let firewall = Socket::netfilter().and_then(|netfilter| {
            let beside = docker::remove(&netfilter, &self.config.name);
            self.firewall.remove(&netfilter).and(beside)
        });
        interfaces.and(firewall)
    }

    fn delete_interfaces(&self) -> Result<(), Error> {
        let route = Socket::route()?;
        let mut batch = Batch::default();
        for port in Link::ports(&route, self.index)? {
            link::delete(&mut batch, &port);
        }
        if let Some(bridge) = Link::find(&route, &self.config.name)? {
            link::delete(&mut batch, &bridge);
        }
        match route.request(batch) {
            // A container ended meanwhile and took its interface along.
            Err(error) if error.errno() == Some(Errno::ENODEV) => Ok(()),
            result => result.map(drop),
        }
    }
}

/// Waits until interfaces forward: our end of a pair and, where it is the first one, the bridge itself. Their
/// carrier came with the other end's going up, and a worker of the kernel makes them ready; what is sent
/// before that is lost, and a connection loses a second with it. Since Linux 6.8 the question after an interface
/// does the worker's part, so there is nothing to wait for.
fn wait_until_running(outside: &Socket, names: [&str; 2]) -> Result<(), Error> {
    for _ in 0..CARRIER_ATTEMPTS {
        let mut batch = Batch::default();
        names.iter().for_each(|name| link::get(&mut batch, name));
        let replies = outside.request(batch)?;
        let links: Vec<Link> = names
            .iter()
            .map(|name| Link::in_replies(&replies, name))
            .collect::<Result<_, _>>()?;
        if links.iter().all(|link| link.running) {
            return Ok(());
        }
        std::thread::sleep(CARRIER_PAUSE);
    }
    // Somebody set the bridge down, or the host is very busy: the network will work when that is over.
    Ok(())
}

/// Tells the neighbours the container's address and MAC (gratuitous ARP): an address is used again with
/// another MAC, and those that knew the container before would send into the void for up to a minute. The
/// kernel does it when an interface gets its MAC; Docker's containers have the parameter's default, 0.
fn announce(inside: &Socket, mac: MacAddress) -> Result<(), Error> {
    write_parameter(ANNOUNCE, "1")?;
    let mut batch = Batch::default();
    link::set_mac(&mut batch, CONTAINER_INTERFACE, mac);
    // As in `wait_until_running`: the question makes this end, too, say that it runs (IFF_RUNNING).
    link::get(&mut batch, CONTAINER_INTERFACE);
    inside.request(batch)?;
    write_parameter(ANNOUNCE, "0")
}

/// Refuses what cannot work on any host.
fn check(config: &BridgeConfig) -> Result<Subnet, Error> {
    let invalid = |reason: &str| {
        Err(Error::InvalidBridge {
            bridge: config.name.clone(),
            reason: reason.to_owned(),
        })
    };
    let name = config.name.as_bytes();
    if name.is_empty() || name.len() > link::NAME_LENGTH {
        return invalid("the name must have 1 to 15 characters");
    }
    // nft(8) cannot show a table whose name begins otherwise, and a dot is a slash in /proc/sys.
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    if !name[0].is_ascii_alphabetic() || !name.iter().all(allowed) {
        return invalid(
            "the name must begin with a letter and consist of letters, digits, '-' and '_'",
        );
    }
    // IPv4 asks for 68 (RFC 791); 65535 is the largest IPv4 packet.
    if !(68..=65535).contains(&config.mtu) {
        return invalid("the MTU must be between 68 and 65535");
    }
    let subnet = Subnet::new(config.gateway, config.prefix_length)?;
    subnet.check_host(config.gateway)?;
    Ok(subnet)
}

/// Refuses what collides with this host's interfaces.
fn check_host(
    config: &BridgeConfig,
    subnet: Subnet,
    existing: Option<&Link>,
    addresses: &[InterfaceAddress],
) -> Result<(), Error> {
    let taken = |reason: String| {
        Err(Error::InterfaceTaken {
            interface: config.name.clone(),
            reason,
        })
    };
    if let Some(link) = existing
        && link.kind.as_deref() != Some("bridge")
    {
        return taken("is not a bridge".to_owned());
    }
    for other in addresses {
        let text = format!("{}/{}", other.address, other.prefix_length);
        if existing.is_some_and(|link| link.index == other.index) {
            if other.address != config.gateway || other.prefix_length != config.prefix_length {
                return taken(format!(
                    "has address {text} instead of {}/{}",
                    config.gateway, config.prefix_length
                ));
            }
        } else if overlaps(subnet, other) {
            return Err(Error::Overlap {
                bridge: config.name.clone(),
                subnet: subnet.to_string(),
                other: text,
                interface: other.interface.clone(),
            });
        }
    }
    Ok(())
}

/// Two subnets overlap when they are equal in the bits that both fix.
fn overlaps(subnet: Subnet, other: &InterfaceAddress) -> bool {
    let common = mask(subnet.prefix_length().min(other.prefix_length));
    (u32::from(subnet.network()) ^ u32::from(other.address)) & common == 0
}

fn create_interface(route: &Socket, config: &BridgeConfig) -> Result<u32, Error> {
    let mut batch = Batch::default();
    link::create_bridge(
        &mut batch,
        &config.name,
        mac_address_for_endpoint(),
        config.mtu,
    );
    link::get(&mut batch, &config.name);
    Link::in_replies(&route.request(batch)?, &config.name).map(|link| link.index)
}

fn random_digits() -> String {
    let mut digits: String = mac_address_for_endpoint()
        .0
        .iter()
        .rev()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    digits.truncate(NAME_DIGITS);
    digits
}
