//! Beside Docker on one host: let Docker's firewall rules pass what our own table allows.
//!
//! Docker sets the policy of iptables' FORWARD chain to DROP. A drop in any base chain is final, so our
//! table's accept does not help there, and an accept for our bridge must stand in FORWARD itself. There it is
//! not final: our own table still drops what it does not allow.
//!
//! The two rules go directly behind Docker's jumps. So the operator's DOCKER-USER chain and Docker's
//! isolation come first: an accept in DOCKER-USER would let our containers into Docker's networks past
//! `-A DOCKER ! -i docker0 -o docker0 -j DROP`. And they come before a `REJECT` at the end of the chain, which
//! some distributions have. When Docker starts again it puts its jumps at the head, above ours.
//!
//! iptables-nft(8), which current distributions use, keeps its rules in nf_tables: table `ip filter`. We write
//! ours through nfnetlink in the form it uses itself, and `iptables -S` lists them. Hosts with
//! iptables-legacy have rules that only its own command can change; there we call it.

use crate::netlink::{Batch, Socket};
use crate::nft::{self, Expression, FORWARD, Family, Meta, Place, Register, Rule, Table, Verdict};
use crate::{Error, legacy};

/// Where iptables-nft keeps the chains of `iptables -t filter`.
const FILTER: Table<'static> = Table {
    family: Family::Ipv4,
    name: "filter",
};
/// The base chain for packets on their way through this host.
pub(crate) const FORWARD_CHAIN: &str = "FORWARD";
/// The chain that shows that Docker is or was here.
pub(crate) const DOCKER_CHAIN: &str = "DOCKER-USER";
/// The comment of our rules.
pub(crate) const COMMENT: &str = "drydock";

/// How often a change is tried again because the rules changed between reading and writing.
const ATTEMPTS: usize = 5;

/// How a bridge stands beside the host's other firewall rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BesideDocker {
    /// Nothing here drops what is forwarded.
    NotNeeded,
    /// The accept rules are in place.
    Accepted,
    /// Something here may drop our containers' packets and we cannot change it; the reason is a message for
    /// the user, with a hint.
    Blocked {
        /// What is in the way.
        reason: String,
    },
}

/// Makes sure that the accept rules for a bridge are there, where they are needed. Costs two list requests
/// when all is well.
pub fn ensure(socket: &Socket, bridge: &str) -> Result<BesideDocker, Error> {
    let nftables = ensure_nftables(socket, bridge)?;
    Ok(match legacy::ensure(bridge) {
        BesideDocker::NotNeeded => nftables,
        state => state,
    })
}

/// Removes the accept rules for a bridge; fine if there are none.
pub fn remove(socket: &Socket, bridge: &str) -> Result<(), Error> {
    legacy::remove(bridge)?;
    retry(|| {
        let rules = nft::rules(socket, FILTER)?;
        let ours: Vec<&Rule> = rules
            .iter()
            .filter(|rule| Direction::BOTH.iter().any(|way| way.is_rule(rule, bridge)))
            .collect();
        if ours.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::default();
        nft::begin(&mut batch);
        for rule in ours {
            nft::delete_rule(&mut batch, FILTER, rule);
        }
        nft::end(&mut batch);
        socket.request(batch).map(drop)
    })
}

fn ensure_nftables(socket: &Socket, bridge: &str) -> Result<BesideDocker, Error> {
    if !is_needed(socket)? {
        return Ok(BesideDocker::NotNeeded);
    }
    retry(|| {
        let mut rules = nft::rules(socket, FILTER)?;
        rules.retain(|rule| rule.chain == FORWARD_CHAIN);
        let missing: Vec<Direction> = Direction::BOTH
            .into_iter()
            .filter(|direction| !rules.iter().any(|rule| direction.is_rule(rule, bridge)))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let place = match rules.iter().rev().find(|rule| jumps_to_docker(rule)) {
            Some(rule) => Place::After(rule.handle),
            None => Place::First,
        };
        let mut batch = Batch::default();
        nft::begin(&mut batch);
        for direction in missing {
            nft::add_rule(
                &mut batch,
                FILTER,
                FORWARD_CHAIN,
                place,
                &direction.expressions(bridge),
                COMMENT,
            );
        }
        nft::end(&mut batch);
        socket.request(batch).map(drop)
    })?;
    Ok(BesideDocker::Accepted)
}

/// True where the FORWARD chain of iptables-nft drops by policy or has Docker's rules.
fn is_needed(socket: &Socket) -> Result<bool, Error> {
    let mut chains = nft::chains(socket, FILTER.family)?;
    chains.retain(|chain| chain.table == FILTER.name);
    let forward = chains
        .iter()
        .find(|chain| chain.name == FORWARD_CHAIN && chain.hook == Some(FORWARD));
    let docker = chains.iter().any(|chain| chain.name == DOCKER_CHAIN);
    Ok(forward.is_some_and(|chain| chain.policy_drop || docker))
}

/// Somebody removed the rule that we meant to stand behind, or to delete: look again.
fn retry(change: impl Fn() -> Result<(), Error>) -> Result<(), Error> {
    for _ in 1..ATTEMPTS {
        match change() {
            Err(error) if error.errno() == Some(nix::errno::Errno::ENOENT) => {}
            result => return result,
        }
    }
    change()
}

fn jumps_to_docker(rule: &Rule) -> bool {
    rule.expressions.iter().any(|expression| {
        matches!(expression, Expression::Verdict(Verdict::Jump(chain)) if chain.starts_with("DOCKER"))
    })
}

/// The two rules of a bridge.
#[derive(Clone, Copy, Debug)]
enum Direction {
    /// `-i BRIDGE -j ACCEPT`
    From,
    /// `-o BRIDGE -j ACCEPT`
    To,
}

impl Direction {
    const BOTH: [Direction; 2] = [Direction::To, Direction::From];

    fn meta(self) -> Expression {
        let key = match self {
            Direction::From => Meta::InputInterface,
            Direction::To => Meta::OutputInterface,
        };
        Expression::Meta(key, Register::One)
    }

    /// As iptables-nft writes it: the name with its NUL, and a counter.
    fn expressions(self, bridge: &str) -> [Expression; 4] {
        let name = [bridge.as_bytes(), &[0]].concat();
        [
            self.meta(),
            Expression::Equal(name),
            Expression::Counter,
            Expression::Verdict(Verdict::Accept),
        ]
    }

    /// True for our rule, also when iptables-save and iptables-restore rewrote it: the comment may then
    /// be an expression of its own.
    fn is_rule(self, rule: &Rule, bridge: &str) -> bool {
        let mut steps = rule
            .expressions
            .iter()
            .filter(|step| !matches!(step, Expression::Counter | Expression::Other));
        let named = |bytes: &[u8]| crate::netlink::until_nul(bytes) == bridge.as_bytes();
        rule.chain == FORWARD_CHAIN
            && steps.next() == Some(&self.meta())
            && matches!(steps.next(), Some(Expression::Equal(bytes)) if named(bytes))
            && steps.next() == Some(&Expression::Verdict(Verdict::Accept))
            && steps.next().is_none()
    }
}
