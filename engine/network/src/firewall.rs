//! Our own table of the firewall: what may be forwarded to, from and between the containers of a bridge.
//!
//! `nft list table inet drydock0` shows it. It is one table for a daemon, named after its bridge, made and
//! remade in one transaction, so it is never half there. What varies from network to network lies in sets,
//! and the rules never change: the next network is three elements, a published port one.
//!
//! * To a bridge come the answers to its containers' own connections, and what another port of the same
//!   bridge sends (Docker's `enable_icc`). Everything else is dropped: that a machine next door routes to a
//!   container's address does not open its unpublished ports (Docker 28 closed that too). Packets of this
//!   host itself are not forwarded and pass.
//! * From a bridge everything may leave, with the host's address (masquerade).
//!
//! A drop here is final whatever the host's other tables say, and an accept here is not: see
//! [`crate::docker`] for the other half. The family is `inet` so that the same rules hold for IPv6.

use std::collections::BTreeSet;

use crate::Error;
use crate::ipam::Subnet;
use crate::netlink::{Batch, Socket};
use crate::nft::{
    self, Element, Expression, FORWARD, Family, Hook, KeyType, Meta, POSTROUTING, Place, Register,
    Table, Verdict, interface_key,
};

/// The bridges of this daemon.
const BRIDGES: &str = "bridges";
/// Pairs (came in by, goes out by) of bridges whose containers may talk: a bridge with itself.
const CONNECTED: &str = "connected";
/// The subnets of the bridges.
const SUBNETS: &str = "subnets";

/// `NF_CT_STATE_BIT` of ESTABLISHED and RELATED.
const ESTABLISHED_OR_RELATED: u32 = 1 << 1 | 1 << 2;
/// `NFPROTO_IPV4`.
const IPV4: u8 = 2;
/// The usual places in the order of a hook (`filter` and `srcnat` in nft(8)).
const PRIORITY_FILTER: i32 = 0;
const PRIORITY_SOURCE_NAT: i32 = 100;

/// The table of one bridge.
#[derive(Clone, Debug)]
pub struct Firewall {
    bridge: String,
    subnet: Subnet,
}

struct Set {
    name: &'static str,
    key: KeyType,
    elements: Vec<Element>,
}

struct Rule {
    chain: &'static str,
    comment: &'static str,
    expressions: Vec<Expression>,
}

impl Firewall {
    /// Describes the table; nothing is made yet.
    pub fn new(bridge: &str, subnet: Subnet) -> Firewall {
        Firewall {
            bridge: bridge.to_owned(),
            subnet,
        }
    }

    /// The table's name and family.
    pub fn table(&self) -> Table<'_> {
        Table {
            family: Family::Inet,
            name: &self.bridge,
        }
    }

    /// Makes the table, or replaces the one that is there, in one transaction.
    pub fn install(&self, socket: &Socket) -> Result<(), Error> {
        let table = self.table();
        let mut batch = Batch::default();
        nft::begin(&mut batch);
        // To delete a table that is not there is an error; to add one that is there is none.
        nft::add_table(&mut batch, table);
        nft::delete_table(&mut batch, table);
        nft::add_table(&mut batch, table);
        for (id, set) in (1..).zip(self.sets()) {
            nft::add_set(&mut batch, table, set.name, id, set.key);
            nft::add_elements(&mut batch, table, set.name, &set.elements);
        }
        for (name, hook) in chains() {
            nft::add_chain(&mut batch, table, name, hook);
        }
        for rule in rules() {
            nft::add_rule(
                &mut batch,
                table,
                rule.chain,
                Place::Last,
                &rule.expressions,
                rule.comment,
            );
        }
        nft::end(&mut batch);
        socket.request(batch).map(drop)
    }

    /// Removes the table; fine if it is not there.
    pub fn remove(&self, socket: &Socket) -> Result<(), Error> {
        let mut batch = Batch::default();
        nft::begin(&mut batch);
        nft::add_table(&mut batch, self.table());
        nft::delete_table(&mut batch, self.table());
        nft::end(&mut batch);
        socket.request(batch).map(drop)
    }

    /// True if the table is there with all its rules and elements. An operator's `nft flush ruleset`, or a
    /// firewall service that restarts, takes it away.
    pub fn is_intact(&self, socket: &Socket) -> Result<bool, Error> {
        let found = nft::rules(socket, self.table())?;
        let expected = rules();
        let same_rules = found.len() == expected.len()
            && expected.iter().all(|rule| {
                found.iter().any(|other| {
                    other.chain == rule.chain && other.comment.as_deref() == Some(rule.comment)
                })
            });
        if !same_rules {
            return Ok(false);
        }
        for set in self.sets() {
            let found: BTreeSet<Element> = match nft::elements(socket, self.table(), set.name) {
                Ok(elements) => elements.into_iter().collect(),
                // It went away between the two questions.
                Err(error) if error.errno() == Some(nix::errno::Errno::ENOENT) => return Ok(false),
                Err(error) => return Err(error),
            };
            if found != set.elements.into_iter().collect() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn sets(&self) -> [Set; 3] {
        let bridge = interface_key(&self.bridge);
        let first = self.subnet.network().octets();
        // No subnet ends with the address space: Subnet refuses 224.0.0.0 and what follows.
        let behind = (u32::from(self.subnet.broadcast()) + 1).to_be_bytes();
        let element = |key: &[u8], interval_end| Element {
            key: key.to_vec(),
            interval_end,
        };
        [
            Set {
                name: BRIDGES,
                key: KeyType::InterfaceName,
                elements: vec![element(&bridge, false)],
            },
            Set {
                name: CONNECTED,
                key: KeyType::InterfacePair,
                elements: vec![element(&[bridge, bridge].concat(), false)],
            },
            Set {
                name: SUBNETS,
                key: KeyType::Ipv4Interval,
                elements: vec![element(&first, false), element(&behind, true)],
            },
        ]
    }
}

/// Jumped-to chains come first, as a rule can only name a chain that is there.
fn chains() -> [(&'static str, Option<Hook>); 3] {
    let hook = |kind, number, priority| {
        Some(Hook {
            kind,
            number,
            priority,
        })
    };
    [
        ("to-bridge", None),
        ("forward", hook("filter", FORWARD, PRIORITY_FILTER)),
        ("postrouting", hook("nat", POSTROUTING, PRIORITY_SOURCE_NAT)),
    ]
}

/// The same for every bridge: the sets say which.
fn rules() -> [Rule; 6] {
    let input = || Expression::Meta(Meta::InputInterface, Register::One);
    let output = || Expression::Meta(Meta::OutputInterface, Register::One);
    let end = Expression::Verdict;
    [
        Rule {
            chain: "to-bridge",
            comment: "between containers of one bridge",
            expressions: vec![
                input(),
                Expression::Meta(Meta::OutputInterface, Register::Two),
                Expression::InSet(CONNECTED, true),
                end(Verdict::Accept),
            ],
        },
        Rule {
            chain: "to-bridge",
            comment: "new connections from elsewhere",
            expressions: vec![Expression::Counter, end(Verdict::Drop)],
        },
        Rule {
            chain: "forward",
            comment: "answers",
            expressions: vec![
                Expression::ConnectionState(ESTABLISHED_OR_RELATED),
                end(Verdict::Accept),
            ],
        },
        Rule {
            chain: "forward",
            comment: "to a bridge",
            expressions: vec![
                output(),
                Expression::InSet(BRIDGES, true),
                end(Verdict::Jump("to-bridge".to_owned())),
            ],
        },
        Rule {
            chain: "forward",
            comment: "from a bridge to the outside",
            expressions: vec![
                input(),
                Expression::InSet(BRIDGES, true),
                end(Verdict::Accept),
            ],
        },
        Rule {
            chain: "postrouting",
            comment: "leave with the address of this host",
            expressions: vec![
                Expression::Meta(Meta::Protocol, Register::One),
                Expression::Equal(vec![IPV4]),
                Expression::SourceAddress,
                Expression::InSet(SUBNETS, true),
                output(),
                Expression::InSet(BRIDGES, false),
                Expression::Counter,
                Expression::Masquerade,
            ],
        },
    ]
}
