//! rtnetlink(7): interfaces, addresses and routes.
//!
//! Functions that take a [`Batch`] add one message to it; the others ask the kernel. Constants have their
//! names from the manual page and linux/if_link.h.

use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::ipam::mask;
use crate::netlink::{
    Attributes, Batch, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, Reply, Socket,
};
use crate::{Error, MacAddress};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const RTM_NEWROUTE: u16 = 24;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_OPERSTATE: u16 = 16;
const IF_OPER_UP: u8 = 6;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
/// Leave the statistics out of an answer: they are the larger half of it.
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_BROADCAST: u16 = 4;

const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_BOOT: u8 = 3;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RTN_UNICAST: u8 = 1;

const AF_INET: u8 = 2;
const IFF_UP: u32 = 1;

/// Length of `struct ifinfomsg` and of `struct ifaddrmsg`.
const IFINFOMSG: usize = 16;
const IFADDRMSG: usize = 8;

/// The most bytes of an interface's name (IFNAMSIZ without the NUL).
pub const NAME_LENGTH: usize = 15;

/// `struct ifinfomsg`; index 0 lets the name attribute choose.
fn link_header(index: u32, flags: u32) -> [u8; IFINFOMSG] {
    let mut header = [0; IFINFOMSG];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    // ifi_change: the flags that this message sets.
    header[12..16].copy_from_slice(&flags.to_ne_bytes());
    header
}

/// A bridge with a fixed MAC address. Left to itself a bridge takes the lowest address of its ports, so its
/// address would change under the containers that have it in their ARP tables.
pub fn create_bridge(batch: &mut Batch, name: &str, mac: MacAddress, mtu: u32) {
    batch
        .message(
            RTM_NEWLINK,
            NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK,
            &link_header(0, 0),
            format!("create bridge {name}"),
        )
        .string(IFLA_IFNAME, name)
        .bytes(IFLA_ADDRESS, &mac.0)
        .u32(IFLA_MTU, mtu)
        .nested(IFLA_LINKINFO, |info| {
            info.string(IFLA_INFO_KIND, "bridge");
        });
}

/// A pair of interfaces: `name` on a bridge here, `eth0` born in another namespace.
#[derive(Clone, Copy, Debug)]
pub struct Veth<'fields> {
    /// Our end.
    pub name: &'fields str,
    /// Index of the bridge that our end is a port of.
    pub bridge: u32,
    /// The namespace in which `peer_name` is born: to be born there costs 0.5 ms, to be moved there 16 ms
    /// and more, because a move waits for every processor to forget the interface.
    pub peer_namespace: BorrowedFd<'fields>,
    /// The other end's name.
    pub peer_name: &'fields str,
    /// The other end's MAC address.
    pub peer_mac: MacAddress,
    /// Of both ends.
    pub mtu: u32,
}

/// Makes a pair; our end is up and on the bridge at once, the other end is down.
pub fn create_veth(batch: &mut Batch, veth: &Veth<'_>) {
    batch
        .message(
            RTM_NEWLINK,
            NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK,
            &link_header(0, IFF_UP),
            format!("create interface {} on the bridge", veth.name),
        )
        .string(IFLA_IFNAME, veth.name)
        .u32(IFLA_MTU, veth.mtu)
        .u32(IFLA_MASTER, veth.bridge)
        .nested(IFLA_LINKINFO, |info| {
            info.string(IFLA_INFO_KIND, "veth")
                .nested(IFLA_INFO_DATA, |data| {
                    data.nested(VETH_INFO_PEER, |peer| {
                        peer.fixed(&link_header(0, 0))
                            .string(IFLA_IFNAME, veth.peer_name)
                            .u32(IFLA_MTU, veth.mtu)
                            .bytes(IFLA_ADDRESS, &veth.peer_mac.0)
                            .bytes(
                                IFLA_NET_NS_FD,
                                &veth.peer_namespace.as_raw_fd().to_ne_bytes(),
                            );
                    });
                });
        });
}

/// Gives an interface a text that `ip link` shows. Not part of [`create_veth`], as the kernel ignores it there.
pub fn set_alias(batch: &mut Batch, name: &str, alias: &str) {
    batch
        .message(
            RTM_SETLINK,
            NLM_F_ACK,
            &link_header(0, 0),
            format!("set the alias of interface {name}"),
        )
        .string(IFLA_IFNAME, name)
        .string(IFLA_IFALIAS, alias);
}

/// Sets an interface up, found by its name.
pub fn set_up(batch: &mut Batch, name: &str) {
    batch
        .message(
            RTM_SETLINK,
            NLM_F_ACK,
            &link_header(0, IFF_UP),
            format!("set interface {name} up"),
        )
        .string(IFLA_IFNAME, name);
}

/// Sets an interface's MAC address.
pub fn set_mac(batch: &mut Batch, name: &str, mac: MacAddress) {
    batch
        .message(
            RTM_SETLINK,
            NLM_F_ACK,
            &link_header(0, 0),
            format!("set the MAC address of interface {name}"),
        )
        .string(IFLA_IFNAME, name)
        .bytes(IFLA_ADDRESS, &mac.0);
}

/// Changes how large a packet an interface takes.
pub fn set_mtu(batch: &mut Batch, name: &str, mtu: u32) {
    batch
        .message(
            RTM_SETLINK,
            NLM_F_ACK,
            &link_header(0, 0),
            format!("set the MTU of interface {name} to {mtu}"),
        )
        .string(IFLA_IFNAME, name)
        .u32(IFLA_MTU, mtu);
}

/// Removes an interface. It takes 15 ms and more: never on the way of a start or a stop.
pub fn delete(batch: &mut Batch, link: &Link) {
    batch.message(
        RTM_DELLINK,
        NLM_F_ACK,
        &link_header(link.index, 0),
        format!("delete interface {}", link.name),
    );
}

/// Asks for an interface by its name; the answer is read by [`Link::parse`].
pub fn get(batch: &mut Batch, name: &str) {
    batch
        .message(
            RTM_GETLINK,
            NLM_F_ACK,
            &link_header(0, 0),
            format!("look up interface {name}"),
        )
        .string(IFLA_IFNAME, name)
        .u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
}

/// Gives an interface an IPv4 address.
pub fn add_address(
    batch: &mut Batch,
    index: u32,
    interface: &str,
    address: Ipv4Addr,
    prefix_length: u8,
) {
    let mut header = [0; IFADDRMSG];
    header[0] = AF_INET;
    header[1] = prefix_length;
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    let broadcast = Ipv4Addr::from(u32::from(address) | !mask(prefix_length));
    batch
        .message(
            RTM_NEWADDR,
            NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK,
            &header,
            format!("add address {address}/{prefix_length} to interface {interface}"),
        )
        .bytes(IFA_LOCAL, &address.octets())
        .bytes(IFA_ADDRESS, &address.octets())
        .bytes(IFA_BROADCAST, &broadcast.octets());
}

/// Sends everything without a route of its own to `gateway`.
pub fn add_default_route(batch: &mut Batch, index: u32, gateway: Ipv4Addr) {
    // struct rtmsg: family, two prefix lengths, tos, table, protocol, scope, type, flags.
    let header = [
        AF_INET,
        0,
        0,
        0,
        RT_TABLE_MAIN,
        RTPROT_BOOT,
        RT_SCOPE_UNIVERSE,
        RTN_UNICAST,
        0,
        0,
        0,
        0,
    ];
    batch
        .message(
            RTM_NEWROUTE,
            NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK,
            &header,
            format!("add a default route by {gateway}"),
        )
        .bytes(RTA_GATEWAY, &gateway.octets())
        .u32(RTA_OIF, index);
}

/// An interface of this namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number in this namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `veth`, `bridge` and so on; None for hardware.
    pub kind: Option<String>,
    /// Index of the bridge it is a port of.
    pub master: Option<u32>,
    /// The text that `ip link` shows.
    pub alias: Option<String>,
    /// Up and with a carrier, and the bridge knows it.
    pub running: bool,
}

impl Link {
    /// Reads an `RTM_NEWLINK` message.
    pub fn parse(reply: &Reply) -> Option<Link> {
        let header: &[u8; IFINFOMSG] = reply.header().filter(|_| reply.kind == RTM_NEWLINK)?;
        let attributes = reply.attributes(IFINFOMSG);
        let text = |kind| attributes.string(kind).map(str::to_owned);
        Some(Link {
            index: u32::from_ne_bytes(*header[4..].first_chunk()?),
            name: text(IFLA_IFNAME)?,
            kind: attributes
                .nested(IFLA_LINKINFO)
                .string(IFLA_INFO_KIND)
                .map(str::to_owned),
            master: attributes.u32(IFLA_MASTER),
            alias: text(IFLA_IFALIAS),
            running: attributes.get(IFLA_OPERSTATE) == Some(&[IF_OPER_UP]),
        })
    }

    /// The answer to [`get`] among the answers to a batch.
    pub fn in_replies(replies: &[Reply], name: &str) -> Result<Link, Error> {
        replies
            .iter()
            .filter_map(Link::parse)
            .find(|link| link.name == name)
            .ok_or_else(|| Error::Protocol {
                action: format!("look up interface {name}"),
                reason: "the kernel acknowledged without an answer".to_owned(),
            })
    }

    /// The interface with this name, None if there is none.
    pub fn find(socket: &Socket, name: &str) -> Result<Option<Link>, Error> {
        let mut batch = Batch::default();
        get(&mut batch, name);
        match socket.request(batch) {
            Ok(replies) => Ok(replies.iter().find_map(Link::parse)),
            Err(error) if error.errno() == Some(nix::errno::Errno::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The ports of the bridge with this index.
    pub fn ports(socket: &Socket, bridge: u32) -> Result<Vec<Link>, Error> {
        let replies = socket.dump(|batch| {
            batch
                .message(
                    RTM_GETLINK,
                    NLM_F_DUMP,
                    &link_header(0, 0),
                    "list interfaces",
                )
                .u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
                .u32(IFLA_MASTER, bridge);
        })?;
        // Kernels before 4.6 do not know the filter and list everything.
        Ok(replies
            .iter()
            .filter_map(Link::parse)
            .filter(|link| link.master == Some(bridge))
            .collect())
    }
}

/// An IPv4 address that an interface has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// Which interface.
    pub index: u32,
    /// Its name.
    pub interface: String,
    /// The address.
    pub address: Ipv4Addr,
    /// Bits of its network part.
    pub prefix_length: u8,
}

/// All IPv4 addresses of this namespace.
pub fn addresses(socket: &Socket) -> Result<Vec<InterfaceAddress>, Error> {
    let mut header = [0; IFADDRMSG];
    header[0] = AF_INET;
    let replies = socket.dump(|batch| {
        batch.message(RTM_GETADDR, NLM_F_DUMP, &header, "list addresses");
    })?;
    Ok(replies.iter().filter_map(parse_address).collect())
}

fn parse_address(reply: &Reply) -> Option<InterfaceAddress> {
    let header: &[u8; IFADDRMSG] = reply.header().filter(|_| reply.kind == RTM_NEWADDR)?;
    let attributes: Attributes<'_> = reply.attributes(IFADDRMSG);
    // On a point-to-point interface IFA_ADDRESS is the other side; IFA_LOCAL is ours.
    let local = attributes
        .get(IFA_LOCAL)
        .or_else(|| attributes.get(IFA_ADDRESS))?;
    Some(InterfaceAddress {
        index: u32::from_ne_bytes(*header[4..].first_chunk()?),
        interface: attributes.string(IFA_LABEL).unwrap_or("?").to_owned(),
        address: Ipv4Addr::from(*local.first_chunk::<4>()?),
        prefix_length: header[1],
    })
}
