//! Sandboxes as a container meets them.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Duration;

use drydock_network::{Bridge, Port, isolated_sandbox};
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

use crate::host::{
    connects, endpoint, eventually, exchange, interfaces, listen, open, sandbox, within,
};
use crate::{Entry, Needs::Root};

pub const TRIALS: &[Entry] = &[
    (
        "two containers and the host reach each other",
        Root,
        peers_reach_each_other,
    ),
    (
        "a container has the address, MAC and route it was given",
        Root,
        sandbox_has_what_was_asked,
    ),
    ("kernel parameters are Docker's", Root, kernel_parameters),
    (
        "an isolated sandbox has loopback only",
        Root,
        isolated_has_loopback_only,
    ),
    (
        "our end of the pair names the container",
        Root,
        ports_name_the_container,
    ),
    (
        "containers with like ids get different interfaces",
        Root,
        like_ids,
    ),
    (
        "neighbours learn who has a used address now",
        Root,
        reused_address,
    ),
    (
        "the first container of an idle bridge loses no packet",
        Root,
        idle_bridge,
    ),
    (
        "a bridge that is there is taken over with its containers",
        Root,
        take_over,
    ),
    (
        "100 sandboxes made and dropped leave nothing",
        Root,
        hundred_sandboxes,
    ),
    ("close leaves nothing", Root, close_leaves_nothing),
];

const GATEWAY: [u8; 4] = [10, 99, 0, 1];
const ONE: [u8; 4] = [10, 99, 0, 2];
const TWO: [u8; 4] = [10, 99, 0, 3];

fn bridge() -> Bridge {
    open("test0", GATEWAY)
}

fn peers_reach_each_other() {
    let bridge = bridge();
    let (one, two) = (sandbox(&bridge, ONE), sandbox(&bridge, TWO));
    let (at_one, at_two, at_host) = (within(&one, listen), within(&two, listen), listen());
    assert_eq!(exchange(&one, TWO, &at_two), Ipv4Addr::from(ONE));
    assert_eq!(exchange(&two, ONE, &at_one), Ipv4Addr::from(TWO));
    assert_eq!(exchange(&one, GATEWAY, &at_host), Ipv4Addr::from(ONE));
    assert!(connects(ONE), "the host reaches its container");

    let receiver = within(&two, || UdpSocket::bind("0.0.0.0:5000")).unwrap();
    receiver
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    within(&one, || {
        UdpSocket::bind("0.0.0.0:0")
            .unwrap()
            .send_to(b"ping", (Ipv4Addr::from(TWO), 5000))
    })
    .unwrap();
    let mut word = [0; 8];
    let (length, sender) = receiver.recv_from(&mut word).unwrap();
    assert_eq!(
        (&word[..length], sender.ip()),
        (&b"ping"[..], Ipv4Addr::from(ONE).into())
    );
}

fn sandbox_has_what_was_asked() {
    let mut config = crate::host::config("test0", GATEWAY);
    config.mtu = 1400;
    let bridge = Bridge::open(config).unwrap();
    let endpoint = endpoint(ONE);
    let namespace = bridge.sandbox(&endpoint).unwrap();
    within(&namespace, || {
        assert_eq!(interfaces(), ["eth0"]);
        let (mut addresses, mut macs) = (Vec::new(), Vec::new());
        for interface in getifaddrs()
            .unwrap()
            .filter(|entry| entry.interface_name == "eth0")
        {
            assert!(
                interface
                    .flags
                    .contains(InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING)
            );
            let Some(address) = interface.address else {
                continue;
            };
            if let Some(link) = address.as_link_addr() {
                macs.push(link.addr().unwrap());
            }
            if let Some(ip) = address.as_sockaddr_in() {
                let mask = interface.netmask.unwrap();
                let broadcast = interface.broadcast.unwrap();
                addresses.push((
                    ip.ip(),
                    mask.as_sockaddr_in().unwrap().ip(),
                    broadcast.as_sockaddr_in().unwrap().ip(),
                ));
            }
            assert!(
                address.as_sockaddr_in6().is_none(),
                "eth0 has no IPv6 address: {address}"
            );
        }
        assert_eq!(macs, [endpoint.mac_address.0]);
        let expected = ([255, 255, 255, 0], [10, 99, 0, 255]);
        assert_eq!(
            addresses,
            [(endpoint.address, expected.0.into(), expected.1.into())]
        );
        assert_eq!(
            default_route(),
            Some(("eth0".to_owned(), Ipv4Addr::from(GATEWAY)))
        );
        assert_eq!(mtu_of_eth0(), 1400);
    });
}

/// Interface and gateway of the route to everywhere. The file has addresses as numbers of the host.
fn default_route() -> Option<(String, Ipv4Addr)> {
    let text = std::fs::read_to_string("/proc/thread-self/net/route").unwrap();
    let fields = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let route = text
        .lines()
        .map(fields)
        .find(|fields| fields[1] == "00000000" && fields[7] == "00000000")?;
    let gateway = u32::from_str_radix(&route[2], 16).unwrap();
    Some((route[0].clone(), Ipv4Addr::from(gateway.to_ne_bytes())))
}

fn mtu_of_eth0() -> u32 {
    parameter("net/ipv6/conf/eth0/mtu").parse().unwrap()
}

fn parameter(name: &str) -> String {
    std::fs::read_to_string(format!("/proc/sys/{name}"))
        .unwrap()
        .trim()
        .to_owned()
}

fn kernel_parameters() {
    let bridge = bridge();
    assert_eq!(parameter("net/ipv4/ip_forward"), "1");
    assert_eq!(parameter("net/ipv6/conf/test0/accept_ra"), "0");
    let check = |namespace: &OwnedFd| {
        within(namespace, || {
            assert_eq!(parameter("net/ipv4/ip_unprivileged_port_start"), "0");
            assert_eq!(parameter("net/ipv4/ping_group_range"), "0\t2147483647");
            assert_eq!(parameter("net/ipv6/conf/default/accept_ra"), "0");
            assert_eq!(parameter("net/ipv6/conf/lo/disable_ipv6"), "0");
        });
    };
    let namespace = sandbox(&bridge, ONE);
    check(&namespace);
    within(&namespace, || {
        assert_eq!(parameter("net/ipv6/conf/eth0/accept_ra"), "0");
        assert_eq!(parameter("net/ipv6/conf/eth0/disable_ipv6"), "1");
        assert_eq!(parameter("net/ipv4/conf/eth0/arp_notify"), "0");
    });
    check(&isolated_sandbox().unwrap());
    assert_eq!(
        parameter("net/ipv4/ip_unprivileged_port_start"),
        "1024",
        "the thread is back on its host"
    );
}

fn isolated_has_loopback_only() {
    let namespace = isolated_sandbox().unwrap();
    within(&namespace, || {
        assert_eq!(interfaces(), [""; 0]);
        assert_eq!(default_route(), None);
        let listener = listen();
        assert!(connects([127, 0, 0, 1]));
        drop(listener);
    });
}

fn ports_name_the_container() {
    let bridge = bridge();
    let endpoint = endpoint(ONE);
    let namespace = bridge.sandbox(&endpoint).unwrap();
    let interface = format!("veth{}", &endpoint.container_id[..7]);
    assert_eq!(
        bridge.ports().unwrap(),
        [Port {
            interface,
            container_id: Some(endpoint.container_id)
        }]
    );
    drop(namespace);
    eventually("the interface is gone", || {
        bridge.ports().unwrap().is_empty()
    });
}

fn like_ids() {
    let bridge = bridge();
    let mut endpoints: Vec<_> = (2..14)
        .map(|number| endpoint([10, 99, 0, number]))
        .collect();
    let mut namespaces = Vec::new();
    for endpoint in &mut endpoints {
        // Nine names can be made of an id; the twelve need random ones too.
        endpoint.container_id = "0123456789abcdef".repeat(4);
        namespaces.push(bridge.sandbox(endpoint).unwrap());
    }
    let ports = bridge.ports().unwrap();
    let names: BTreeSet<&str> = ports.iter().map(|port| port.interface.as_str()).collect();
    assert_eq!(names.len(), 12);
    assert!(
        ports
            .iter()
            .all(|port| port.container_id.as_ref() == Some(&endpoints[0].container_id))
    );
}

/// Without the announcement this fails at once; without the wait for the carrier in one of fifty rounds.
fn reused_address() {
    let bridge = bridge();
    let peer = sandbox(&bridge, ONE);
    for round in 0..20 {
        let namespace = sandbox(&bridge, TWO);
        let listener = within(&namespace, listen);
        assert!(within(&peer, || connects(TWO)), "round {round}");
        assert!(connects(TWO), "round {round}, from the host");
        drop((listener, namespace));
        eventually("the interface is gone", || {
            bridge.ports().unwrap().len() == 1
        });
    }
}

/// A bridge without ports has no carrier, and what the host sends on it is lost until it has one.
fn idle_bridge() {
    let bridge = bridge();
    let _listener = listen();
    for round in 0..20 {
        let namespace = sandbox(&bridge, ONE);
        assert!(within(&namespace, || connects(GATEWAY)), "round {round}");
        drop(namespace);
        eventually("the interface is gone", || {
            bridge.ports().unwrap().is_empty()
        });
    }
}

fn take_over() {
    let first = bridge();
    let (one, two) = (sandbox(&first, ONE), sandbox(&first, TWO));
    let listener = within(&two, listen);
    // A daemon that is killed leaves it like this.
    drop(first);
    let second = bridge();
    assert_eq!(second.ports().unwrap().len(), 2);
    exchange(&one, TWO, &listener);
    assert_eq!(interfaces().len(), 3);
    second.close().unwrap();
}

fn hundred_sandboxes() {
    let bridge = bridge();
    let before = interfaces();
    let descriptors = || std::fs::read_dir("/proc/thread-self/fd").unwrap().count();
    for number in 0..100 {
        let namespace = sandbox(&bridge, [10, 99, 0, 2 + number]);
        let isolated = isolated_sandbox().unwrap();
        drop((namespace, isolated));
    }
    eventually("no interface is left", || interfaces() == before);
    assert!(bridge.ports().unwrap().is_empty());
    // Other trials of this process open and close files meanwhile; a leak would be a hundred.
    assert!(descriptors() < 80, "{} descriptors are open", descriptors());
}

fn close_leaves_nothing() {
    let before = interfaces();
    let bridge = bridge();
    let kept = sandbox(&bridge, ONE);
    assert_eq!(interfaces().len(), before.len() + 2);
    bridge.close().unwrap();
    assert_eq!(interfaces(), before);
    within(&kept, || assert_eq!(interfaces(), [""; 0]));
    if crate::host::nft_program().is_some() {
        assert_eq!(crate::host::nft("list ruleset"), "");
    }
}
