//! Beside Docker: its chains, as `nft list ruleset` shows them with Docker 28.5, made in the trial's own
//! network namespace; and both kinds of iptables as second implementations.

use std::path::Path;
use std::process::Command;

use drydock_network::{BesideDocker, Bridge};

use crate::Entry;
use crate::Needs::{RootAndNft, RootNftAndIptables};
use crate::host::{connects, listen, nft, open, outside, sandbox, within};

pub const TRIALS: &[Entry] = &[
    ("no Docker, no rules", RootAndNft, not_needed_alone),
    (
        "Docker's policy does not stop our containers",
        RootAndNft,
        accepted_beside_docker,
    ),
    (
        "a Docker that starts later is noticed",
        RootAndNft,
        docker_comes_later,
    ),
    (
        "Docker's networks stay closed to our containers",
        RootAndNft,
        docker_stays_isolated,
    ),
    (
        "our rules are kept once and removed at close",
        RootAndNft,
        idempotent_and_removed,
    ),
    (
        "rules that iptables-restore rewrote are still ours",
        RootAndNft,
        rewritten_rules,
    ),
    (
        "beside a Docker with iptables-legacy",
        RootNftAndIptables,
        legacy,
    ),
    (
        "iptables-nft lists our rules",
        RootNftAndIptables,
        listed_by_iptables,
    ),
];

const DOCKER: &str = r#"
table ip filter {
    chain DOCKER { iifname != "docker0" oifname "docker0" counter drop; }
    chain DOCKER-CT { oifname "docker0" ct state related,established counter accept; }
    chain DOCKER-ISOLATION-STAGE-2 { oifname "docker0" counter drop; }
    chain DOCKER-ISOLATION-STAGE-1 {
        iifname "docker0" oifname != "docker0" counter jump DOCKER-ISOLATION-STAGE-2;
    }
    chain DOCKER-BRIDGE { oifname "docker0" counter jump DOCKER; }
    chain DOCKER-FORWARD {
        counter jump DOCKER-CT;
        counter jump DOCKER-ISOLATION-STAGE-1;
        counter jump DOCKER-BRIDGE;
        iifname "docker0" counter accept;
    }
    chain DOCKER-USER { }
    chain FORWARD {
        type filter hook forward priority filter; policy drop;
        counter jump DOCKER-USER;
        counter jump DOCKER-FORWARD;
        counter reject;
    }
}
"#;

fn forward_chain() -> Vec<String> {
    let text = nft("list chain ip filter FORWARD");
    let rules = text
        .lines()
        .skip_while(|line| !line.contains("policy"))
        .skip(1);
    let without_counter = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let numbers = |word: &&str| {
            !["counter", "packets", "bytes"].contains(word) && word.parse::<u64>().is_err()
        };
        words
            .into_iter()
            .filter(numbers)
            .collect::<Vec<_>>()
            .join(" ")
    };
    rules
        .map(without_counter)
        .filter(|line| !line.is_empty() && line != "}")
        .collect()
}

const WITH_OURS: [&str; 5] = [
    "jump DOCKER-USER",
    "jump DOCKER-FORWARD",
    "iifname \"test0\" accept comment \"drydock\"",
    "oifname \"test0\" accept comment \"drydock\"",
    "reject",
];

fn bridge() -> Bridge {
    open("test0", [10, 99, 0, 1])
}

fn not_needed_alone() {
    let bridge = bridge();
    assert_eq!(
        bridge.ensure_beside_docker().unwrap(),
        BesideDocker::NotNeeded
    );
    // A FORWARD chain that drops nothing asks for nothing either.
    nft("add table ip filter
         add chain ip filter FORWARD { type filter hook forward priority 0; policy accept; }");
    assert_eq!(
        bridge.ensure_beside_docker().unwrap(),
        BesideDocker::NotNeeded
    );
    assert_eq!(forward_chain(), [""; 0]);
}

fn accepted_beside_docker() {
    nft(DOCKER);
    let (_outside, machine) = outside();
    let bridge = bridge();
    assert_eq!(
        bridge.ensure_beside_docker().unwrap(),
        BesideDocker::Accepted
    );
    let (one, two) = (
        sandbox(&bridge, [10, 99, 0, 2]),
        sandbox(&bridge, [10, 99, 0, 3]),
    );
    let (_at_machine, _at_two) = (within(&machine, listen), within(&two, listen));
    assert!(
        within(&one, || connects([10, 98, 0, 2])),
        "out to the neighbour"
    );
    assert!(
        within(&one, || connects([10, 99, 0, 3])),
        "to the other container"
    );
    assert!(
        !within(&machine, || connects([10, 99, 0, 3])),
        "our own table still closes it"
    );

    // Without the two rules Docker's policy is in the way: this trial can fail.
    nft("flush chain ip filter FORWARD");
    assert!(!within(&one, || connects([10, 98, 0, 2])));
    assert_eq!(
        bridge.ensure_beside_docker().unwrap(),
        BesideDocker::Accepted
    );
    assert!(within(&one, || connects([10, 98, 0, 2])));
}

fn docker_comes_later() {
    let (_outside, machine) = outside();
    let bridge = bridge();
    let container = sandbox(&bridge, [10, 99, 0, 2]);
    let _listener = within(&machine, listen);
    let monitor = bridge.monitor().unwrap();
    nft(DOCKER);
    assert!(monitor.drain().unwrap());
    assert!(!within(&container, || connects([10, 98, 0, 2])));
    assert_eq!(
        bridge.ensure_beside_docker().unwrap(),
        BesideDocker::Accepted
    );
    assert!(within(&container, || connects([10, 98, 0, 2])));
    assert_eq!(forward_chain(), WITH_OURS);
}

fn docker_stays_isolated() {
    let docker = open("docker0", [172, 30, 0, 1]);
    let theirs = sandbox(&docker, [172, 30, 0, 2]);
    nft("delete table inet docker0");
    nft(DOCKER);
    let bridge = bridge();
    let ours = sandbox(&bridge, [10, 99, 0, 2]);
    let (_at_theirs, _at_ours) = (within(&theirs, listen), within(&ours, listen));
    assert!(
        !within(&ours, || connects([172, 30, 0, 2])),
        "our container reached Docker's"
    );
    assert!(
        !within(&theirs, || connects([10, 99, 0, 2])),
        "Docker's container reached ours"
    );
    assert!(
        connects([172, 30, 0, 2]) && connects([10, 99, 0, 2]),
        "both are there"
    );
}

fn idempotent_and_removed() {
    nft(DOCKER);
    let before = forward_chain();
    let first = bridge();
    assert_eq!(forward_chain(), WITH_OURS);
    let monitor = first.monitor().unwrap();
    first.ensure_beside_docker().unwrap();
    drop(bridge());
    assert_eq!(forward_chain(), WITH_OURS);

    // Somebody makes the chain anew.
    nft("flush chain ip filter FORWARD; add rule ip filter FORWARD counter jump DOCKER-USER;
         add rule ip filter FORWARD counter jump DOCKER-FORWARD; add rule ip filter FORWARD counter reject");
    assert!(monitor.drain().unwrap());
    first.ensure_beside_docker().unwrap();
    assert_eq!(forward_chain(), WITH_OURS);
    first.close().unwrap();
    assert_eq!(forward_chain(), before);
}

fn rewritten_rules() {
    nft(DOCKER);
    nft("insert rule ip filter FORWARD oifname \"test0\" counter accept");
    nft("insert rule ip filter FORWARD iifname \"test0\" accept");
    nft("insert rule ip filter FORWARD iifname \"test0\" ip saddr 10.0.0.1 accept");
    let before = forward_chain();
    let bridge = bridge();
    assert_eq!(forward_chain(), before, "the accepts were there");
    bridge.close().unwrap();
    let after = forward_chain();
    assert_eq!(after.len(), before.len() - 2);
    assert!(
        after[0].contains("10.0.0.1"),
        "a narrower rule is not ours: {after:?}"
    );
}

const IPTABLES_NFT: &str = "/usr/sbin/iptables-nft";
const IPTABLES_LEGACY: &str = "/usr/sbin/iptables-legacy";

pub fn has_iptables() -> bool {
    Path::new(IPTABLES_NFT).exists() && Path::new(IPTABLES_LEGACY).exists()
}

fn iptables(program: &str, arguments: &str) -> String {
    let output = Command::new(program)
        .args(arguments.split(' '))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// What `-S FORWARD` prints for [`FORWARD_COMMANDS`] and our rules.
const LISTED: [&str; 5] = [
    "-P FORWARD DROP",
    "-A FORWARD -j DOCKER-USER",
    "-A FORWARD -i test0 -m comment --comment drydock -j ACCEPT",
    "-A FORWARD -o test0 -m comment --comment drydock -j ACCEPT",
    "-A FORWARD -j REJECT --reject-with icmp-port-unreachable",
];

const FORWARD_COMMANDS: [&str; 4] = [
    "-N DOCKER-USER",
    "-A FORWARD -j DOCKER-USER",
    "-A FORWARD -j REJECT",
    "-P FORWARD DROP",
];

fn listed_by_iptables() {
    for command in FORWARD_COMMANDS {
        iptables(IPTABLES_NFT, command);
    }
    let before = iptables(IPTABLES_NFT, "-S FORWARD");
    let bridge = bridge();
    assert_eq!(
        iptables(IPTABLES_NFT, "-S FORWARD")
            .lines()
            .collect::<Vec<_>>(),
        LISTED
    );
    // iptables can take one away, and we see that it is gone.
    iptables(
        IPTABLES_NFT,
        "-D FORWARD -i test0 -m comment --comment drydock -j ACCEPT",
    );
    bridge.ensure_beside_docker().unwrap();
    assert_eq!(
        iptables(IPTABLES_NFT, "-S FORWARD")
            .lines()
            .collect::<Vec<_>>(),
        LISTED
    );
    bridge.close().unwrap();
    assert_eq!(iptables(IPTABLES_NFT, "-S FORWARD"), before);
}

fn legacy() {
    for command in FORWARD_COMMANDS {
        iptables(IPTABLES_LEGACY, command);
    }
    let before = iptables(IPTABLES_LEGACY, "-S FORWARD");
    let (outside, machine) = outside();
    let bridge = bridge();
    let container = sandbox(&bridge, [10, 99, 0, 2]);
    let _listener = within(&machine, listen);
    assert!(within(&container, || connects([10, 98, 0, 2])));
    assert_eq!(
        bridge.ensure_beside_docker().unwrap(),
        BesideDocker::Accepted
    );
    outside.close().unwrap();
    assert_eq!(
        iptables(IPTABLES_LEGACY, "-S FORWARD")
            .lines()
            .collect::<Vec<_>>(),
        LISTED
    );
    bridge.close().unwrap();
    assert_eq!(iptables(IPTABLES_LEGACY, "-S FORWARD"), before);
}
