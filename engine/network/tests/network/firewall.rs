//! What our own table lets through, and that it is always whole. nft(8) reads it back: a second
//! implementation of the same messages.

use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::host::{config, connects, exchange, listen, nft, open, outside, sandbox, within};
use crate::{Entry, Needs::RootAndNft};

pub const TRIALS: &[Entry] = &[
    (
        "nft shows our table as it was meant",
        RootAndNft,
        table_reads_back,
    ),
    (
        "containers leave with the host's address",
        RootAndNft,
        masquerade,
    ),
    (
        "a neighbour machine does not reach a container",
        RootAndNft,
        unpublished_ports_are_closed,
    ),
    (
        "containers of two bridges do not reach each other",
        RootAndNft,
        bridges_are_isolated,
    ),
    ("a rebuild is atomic", RootAndNft, rebuild_is_atomic),
    (
        "a flushed table is noticed and made again",
        RootAndNft,
        flush_is_noticed,
    ),
    (
        "a changed element is noticed and put right",
        RootAndNft,
        changed_element,
    ),
];

fn table_reads_back() {
    let _bridge = open("test0", [10, 99, 0, 1]);
    let expected = r#"table inet test0 {
	set bridges {
		type ifname
		elements = { "test0" }
	}

	set connected {
		type ifname . ifname
		elements = { "test0" . "test0" }
	}

	set subnets {
		type ipv4_addr
		flags interval
		elements = { 10.99.0.0/24 }
	}

	chain to-bridge {
		iifname . oifname @connected accept comment "between containers of one bridge"
		counter packets 0 bytes 0 drop comment "new connections from elsewhere"
	}

	chain forward {
		type filter hook forward priority filter; policy accept;
		ct state established,related accept comment "answers"
		oifname @bridges jump to-bridge comment "to a bridge"
		iifname @bridges accept comment "from a bridge to the outside"
	}

	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr @subnets oifname != @bridges counter packets 0 bytes 0 masquerade comment "leave with the address of this host"
	}
}
"#;
    assert_eq!(nft("list ruleset"), expected);
}

fn masquerade() {
    let (_outside, machine) = outside();
    let bridge = open("test0", [10, 99, 0, 1]);
    let container = sandbox(&bridge, [10, 99, 0, 2]);
    let listener = within(&machine, listen);
    assert_eq!(
        exchange(&container, [10, 98, 0, 2], &listener),
        Ipv4Addr::new(10, 98, 0, 1)
    );
}

fn unpublished_ports_are_closed() {
    let (_outside, machine) = outside();
    let bridge = open("test0", [10, 99, 0, 1]);
    let container = sandbox(&bridge, [10, 99, 0, 2]);
    let _listener = within(&container, listen);
    assert!(
        !within(&machine, || connects([10, 99, 0, 2])),
        "the neighbour reached the container"
    );
    // It is our table that closes it, and nothing else.
    nft("delete table inet test0");
    assert!(
        within(&machine, || connects([10, 99, 0, 2])),
        "the way is there without the table"
    );
}

fn bridges_are_isolated() {
    let (one, two) = (open("test1", [10, 97, 1, 1]), open("test2", [10, 97, 2, 1]));
    let (from, to) = (sandbox(&one, [10, 97, 1, 2]), sandbox(&two, [10, 97, 2, 2]));
    let _listener = within(&to, listen);
    assert!(
        !within(&from, || connects([10, 97, 2, 2])),
        "a container reached another network"
    );
    nft("delete table inet test2");
    assert!(
        within(&from, || connects([10, 97, 2, 2])),
        "the way is there without the table"
    );
}

fn rebuild_is_atomic() {
    let bridge = open("test0", [10, 99, 0, 1]);
    let whole = nft("list table inet test0");
    let done = AtomicBool::new(false);
    let own = std::fs::File::open("/proc/thread-self/ns/net")
        .unwrap()
        .into();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            within(&own, || {
                let mut readings = 0;
                while !done.load(Ordering::Relaxed) || readings < 30 {
                    assert_eq!(nft("list table inet test0"), whole, "reading {readings}");
                    readings += 1;
                }
            });
        });
        for _ in 0..200 {
            drop(drydock_network::Bridge::open(config("test0", [10, 99, 0, 1])).unwrap());
        }
        done.store(true, Ordering::Relaxed);
        reader.join().expect("the reader");
    });
    bridge.close().unwrap();
}

fn flush_is_noticed() {
    let bridge = open("test0", [10, 99, 0, 1]);
    let monitor = bridge.monitor().unwrap();
    assert!(!bridge.ensure_firewall().unwrap());
    assert!(!monitor.drain().unwrap(), "nothing happened yet");

    nft("flush ruleset");
    let mut descriptors = [PollFd::new(monitor.as_fd(), PollFlags::POLLIN)];
    assert_eq!(
        poll(&mut descriptors, PollTimeout::from(5000u16)),
        Ok(1),
        "the descriptor became readable"
    );
    assert!(monitor.drain().unwrap());
    assert!(
        bridge.ensure_firewall().unwrap(),
        "the table was gone and is back"
    );
    assert!(nft("list ruleset").contains("table inet test0"));

    // What we did ourselves must not keep the daemon busy for ever.
    monitor.drain().unwrap();
    assert!(!bridge.ensure_firewall().unwrap());
    assert!(!monitor.drain().unwrap());

    nft(
        "add table ip somebody; add chain ip somebody forward; add rule ip somebody forward accept",
    );
    assert!(
        !monitor.drain().unwrap(),
        "other people's tables are their business"
    );
}

fn changed_element() {
    let bridge = open("test0", [10, 99, 0, 1]);
    let monitor = bridge.monitor().unwrap();
    nft("delete element inet test0 bridges { \"test0\" }");
    assert!(monitor.drain().unwrap());
    assert!(bridge.ensure_firewall().unwrap());
    assert!(!bridge.ensure_firewall().unwrap());
    nft("flush chain inet test0 to-bridge");
    assert!(monitor.drain().unwrap());
    assert!(bridge.ensure_firewall().unwrap());
    assert!(!bridge.ensure_firewall().unwrap());
}
