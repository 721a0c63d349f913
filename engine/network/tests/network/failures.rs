//! Bad input and failures: a clear error, and nothing left behind.

use std::net::Ipv4Addr;

use drydock_network::{Bridge, BridgeConfig, Error, MacAddress};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::host::{config, endpoint, interfaces, nft, nft_program, open};
use crate::{Entry, Needs::Root};

pub const TRIALS: &[Entry] = &[
    (
        "a bad configuration changes nothing",
        Root,
        bad_configuration,
    ),
    ("an overlapping subnet is refused by name", Root, overlap),
    (
        "an interface that is something else is refused",
        Root,
        interface_taken,
    ),
    ("a bad endpoint makes nothing", Root, bad_endpoint),
    ("a failure on the way undoes the bridge", Root, undo),
    (
        "a failure in a sandbox brings the thread back",
        Root,
        sandbox_fails,
    ),
];

fn nothing_is_here() {
    assert_eq!(interfaces(), [""; 0]);
    if nft_program().is_some() {
        assert_eq!(nft("list ruleset"), "");
    }
}

fn refused(config: BridgeConfig) -> String {
    let error = Bridge::open(config)
        .expect_err("the bridge was opened")
        .to_string();
    nothing_is_here();
    error
}

fn bad_configuration() {
    let good = || config("test0", [10, 99, 0, 1]);
    for name in [
        "",
        "a-name-of-16-chars",
        "te st0",
        "a/b",
        "..",
        "0test",
        "test.0",
        "-i",
    ] {
        let error = refused(BridgeConfig {
            name: name.to_owned(),
            ..good()
        });
        assert!(
            error.starts_with(&format!("bridge {name:?}: the name must")),
            "{error}"
        );
    }
    for (gateway, prefix_length, expected) in [
        (
            [10, 99, 0, 1],
            31,
            "subnet 10.99.0.1/31 is invalid: the prefix length must be between 8 and 30",
        ),
        (
            [10, 99, 0, 1],
            0,
            "subnet 10.99.0.1/0 is invalid: the prefix length must be between 8 and 30",
        ),
        (
            [10, 99, 0, 0],
            24,
            "address 10.99.0.0 cannot be used in subnet 10.99.0.0/24: it is the network's own address",
        ),
        (
            [10, 99, 0, 255],
            24,
            "address 10.99.0.255 cannot be used in subnet 10.99.0.0/24: it is the broadcast address",
        ),
        (
            [127, 0, 0, 5],
            24,
            "subnet 127.0.0.5/24 is invalid: not an address of a network between hosts",
        ),
        (
            [224, 0, 0, 5],
            24,
            "subnet 224.0.0.5/24 is invalid: not an address of a network between hosts",
        ),
    ] {
        assert_eq!(
            refused(BridgeConfig {
                gateway: gateway.into(),
                prefix_length,
                ..good()
            }),
            expected
        );
    }
    for mtu in [0, 67, 65536] {
        let error = refused(BridgeConfig { mtu, ..good() });
        assert_eq!(
            error,
            "bridge \"test0\": the MTU must be between 68 and 65535"
        );
    }
}

fn overlap() {
    let first = open("test0", [10, 99, 0, 1]);
    for (gateway, prefix_length) in [
        ([10, 99, 0, 9], 24),
        ([10, 99, 7, 1], 16),
        ([10, 99, 0, 129], 25),
    ] {
        let config = BridgeConfig {
            prefix_length,
            ..config("test1", gateway)
        };
        let error = Bridge::open(config)
            .expect_err("the subnets overlap")
            .to_string();
        assert!(
            error.contains("overlaps with 10.99.0.1/24 on interface test0\nhint: "),
            "{error}"
        );
        assert_eq!(interfaces(), ["test0"]);
    }
    open("test1", [10, 99, 1, 1]).close().unwrap();
    first.close().unwrap();
}

fn interface_taken() {
    let first = open("test0", [10, 99, 0, 1]);
    let error = Bridge::open(config("test0", [10, 96, 0, 1]))
        .expect_err("another address")
        .to_string();
    assert!(
        error.starts_with(
            "interface test0 exists and has address 10.99.0.1/24 instead of 10.96.0.1/24"
        ),
        "{error}"
    );
    let mut other = endpoint([10, 99, 0, 2]);
    other.container_id = "abcdef0".repeat(10)[..64].to_owned();
    let _namespace = first.sandbox(&other).unwrap();
    let error = Bridge::open(config("vethabcdef0", [10, 96, 0, 1]))
        .expect_err("not a bridge")
        .to_string();
    assert!(
        error.starts_with("interface vethabcdef0 exists and is not a bridge"),
        "{error}"
    );
    assert!(sandbox_works(&first), "the first bridge is unharmed");
}

fn sandbox_works(bridge: &Bridge) -> bool {
    bridge.sandbox(&endpoint([10, 99, 0, 77])).is_ok()
}

fn bad_endpoint() {
    let bridge = open("test0", [10, 99, 0, 1]);
    let good = || endpoint([10, 99, 0, 2]);
    let mut bad = vec![];
    for address in [
        [10, 99, 0, 0],
        [10, 99, 0, 255],
        [10, 98, 0, 2],
        [10, 99, 0, 1],
    ] {
        bad.push(drydock_network::Endpoint {
            address: Ipv4Addr::from(address),
            ..good()
        });
    }
    for id in [
        "",
        "../../etc/passwd",
        &"é".repeat(32),
        &"x".repeat(64),
        &"0".repeat(63),
    ] {
        bad.push(drydock_network::Endpoint {
            container_id: id.to_owned(),
            ..good()
        });
    }
    for mac in [[0; 6], [1, 0, 0x5e, 0, 0, 1], [0xff; 6]] {
        bad.push(drydock_network::Endpoint {
            mac_address: MacAddress(mac),
            ..good()
        });
    }
    for endpoint in bad {
        assert!(bridge.sandbox(&endpoint).is_err(), "{endpoint:?}");
    }
    assert_eq!(interfaces(), ["test0"]);
}

/// Takes kernel parameters away from this thread: below `directory` nothing is found any more.
fn hide(directory: &str) {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None::<&str>,
    )
    .unwrap();
    mount(
        Some("tmpfs"),
        directory,
        Some("tmpfs"),
        MsFlags::empty(),
        None::<&str>,
    )
    .unwrap();
}

fn undo() {
    // The last step of open writes net/ipv4/ip_forward.
    hide("/proc/sys/net/ipv4");
    let error = Bridge::open(config("test0", [10, 99, 0, 1])).expect_err("no ip_forward");
    assert!(matches!(error, Error::Sysctl { .. }), "{error}");
    assert!(
        error
            .to_string()
            .starts_with("set /proc/sys/net/ipv4/ip_forward to \"1\": "),
        "{error}"
    );
    nothing_is_here();
}

fn sandbox_fails() {
    let bridge = open("test0", [10, 99, 0, 1]);
    let own = || std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    let before = own();
    // All of it: each network namespace has files of its own below net.
    hide("/proc/sys");
    let error = bridge
        .sandbox(&endpoint([10, 99, 0, 2]))
        .expect_err("no kernel parameters");
    assert!(matches!(error, Error::Sysctl { .. }), "{error}");
    assert!(drydock_network::isolated_sandbox().is_err());
    assert_eq!(own(), before, "the thread is back");
    assert_eq!(interfaces(), ["test0"]);
}
