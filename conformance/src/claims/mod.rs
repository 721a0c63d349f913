//! `claims.toml`: what five sets of notes on Docker say, and what is true of it.
//!
//! People learn Docker from notes that others wrote, and notes are copied on when they are no longer true. Each
//! claim restates one checkable statement in our words, says where it stands, and gives a verdict: true, outdated or
//! wrong. A verdict is worth as much as its evidence, so every claim names scenarios that show it on real Docker. A
//! run in which such a scenario does not pass there has a claim without evidence, and fails.
//!
//! * [`page`] writes the book's page of the wrong and outdated ones;
//! * [`command`] is `conformance claims`.

pub mod command;
pub mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rig::Rig;
use serde::Deserialize;

use crate::catalogue::Entry;
use crate::suite::Run;
use crate::workshop::Outcome;

/// One statement of the notes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// A short name in kebab case.
    pub id: String,
    /// What the notes say, in our words.
    pub says: String,
    /// Where they say it: `file.md:line`.
    pub notes: Vec<String>,
    /// Whether it holds today.
    pub verdict: Verdict,
    /// What holds instead; there for what is outdated or wrong.
    #[serde(default)]
    pub truth: Option<String>,
    /// Ids of scenarios that show it on real Docker.
    pub evidence: Vec<String>,
}

/// What is true of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It holds.
    True,
    /// It held once.
    Outdated,
    /// It never held.
    Wrong,
}

impl Verdict {
    /// All verdicts.
    pub const ALL: [Verdict; 3] = [Verdict::True, Verdict::Outdated, Verdict::Wrong];
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.pad(match self {
            Verdict::True => "true",
            Verdict::Outdated => "outdated",
            Verdict::Wrong => "wrong",
        })
    }
}

impl Claim {
    /// The topic of the first scenario that shows it.
    pub fn topic(&self) -> &str {
        let first = self.evidence.first().map_or("", String::as_str);
        first.split('/').next().unwrap_or(first)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ledger {
    #[serde(default)]
    claim: Vec<Claim>,
}

/// Where the ledger lies in the source tree.
pub fn usual_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("claims.toml")
}

/// Reads the ledger.
///
/// # Errors
/// When the file cannot be read, is malformed, or an entry breaks a rule; all broken rules are named at once.
pub fn read(path: &Path) -> anyhow::Result<Vec<Claim>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    parse(&text).with_context(|| format!("in {}", path.display()))
}

fn parse(text: &str) -> anyhow::Result<Vec<Claim>> {
    let ledger: Ledger = toml::from_str(text)?;
    let mut broken = Vec::new();
    let mut ids = BTreeSet::new();
    for claim in &ledger.claim {
        let mut rule = |holds: bool, text: &str| {
            if !holds {
                broken.push(format!("the claim {}: {text}", claim.id));
            }
        };
        rule(ids.insert(&claim.id), "it is there twice");
        rule(!claim.says.trim().is_empty(), "it says nothing");
        rule(
            !claim.notes.is_empty() && claim.notes.iter().all(|place| is_place(place)),
            "it names no place in the notes as `file.md:line`",
        );
        rule(!claim.evidence.is_empty(), "it has no evidence");
        let truth = claim
            .truth
            .as_ref()
            .is_some_and(|text| !text.trim().is_empty());
        rule(
            truth || claim.verdict == Verdict::True,
            "it is not true, and what is true is missing",
        );
    }
    if !broken.is_empty() {
        bail!("{}", broken.join("\n"));
    }
    Ok(ledger.claim)
}

/// `1-sessions.md:412`
fn is_place(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(file, line)| {
        file.ends_with(".md") && line.parse::<usize>().is_ok_and(|line| line > 0)
    })
}

/// Claims whose evidence is no scenario of the suite, a sentence each.
pub fn dangling(claims: &[Claim], entries: &[Entry]) -> Vec<String> {
    let ids: BTreeSet<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    let pairs = claims
        .iter()
        .flat_map(|claim| claim.evidence.iter().map(move |id| (claim, id)));
    pairs
        .filter(|(_, id)| !ids.contains(id.as_str()))
        .map(|(claim, id)| format!("the claim {}: there is no scenario {id}", claim.id))
        .collect()
}

/// What a run on the reference says about a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Every scenario of its evidence passed there.
    Yes,
    /// One did not pass there.
    No,
    /// One was not part of the run, or could not run on this host.
    NotRun,
}

/// Looks at the reference's results for every claim.
pub fn shown<'a>(claims: &'a [Claim], runs: &[Run]) -> Vec<(&'a Claim, Shown)> {
    let outcomes: BTreeMap<&str, &Outcome> = runs
        .iter()
        .filter(|run| run.rig == Rig::Docker)
        .map(|run| (run.id.as_str(), &run.outcome))
        .collect();
    let of = |claim: &Claim| {
        let mut shown = Shown::Yes;
        for id in &claim.evidence {
            match outcomes.get(id.as_str()) {
                Some(Outcome::Pass | Outcome::Unsteady(_)) => {}
                None | Some(Outcome::Skipped(_)) => shown = Shown::NotRun,
                Some(_) => return Shown::No,
            }
        }
        shown
    };
    claims.iter().map(|claim| (claim, of(claim))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const CLAIM: &str = "[[claim]]\nid = \"a\"\nsays = \"s\"\nnotes = [\"1-x.md:3\"]\nverdict = \"true\"\nevidence = [\"t/p/s\"]\n";

    #[test]
    fn broken_rules_are_named() {
        assert_eq!(parse(CLAIM).unwrap()[0].topic(), "t");
        for (from, to) in [
            ("\"true\"", "\"wrong\""),
            ("1-x.md:3", "1-x.md"),
            ("[\"t/p/s\"]", "[]"),
            ("says = \"s\"", "says = \"\""),
            ("\"true\"", "\"perhaps\""),
        ] {
            assert!(parse(&CLAIM.replace(from, to)).is_err(), "{to}");
        }
        assert!(parse(&format!("{CLAIM}{CLAIM}")).is_err());
    }

    #[test]
    fn a_claim_is_shown_by_the_reference_only() {
        let claims = parse(CLAIM).unwrap();
        let run = |rig, outcome| Run {
            id: "t/p/s".into(),
            topic: "t".into(),
            page: "p.md".into(),
            line: 1,
            rig,
            outcome,
            elapsed: Duration::ZERO,
        };
        let of = |runs: &[Run]| shown(&claims, runs)[0].1;
        assert_eq!(of(&[run(Rig::Docker, Outcome::Pass)]), Shown::Yes);
        assert_eq!(of(&[run(Rig::Api, Outcome::Pass)]), Shown::NotRun);
        assert_eq!(
            of(&[run(Rig::Docker, Outcome::Fail(String::new()))]),
            Shown::No
        );
    }
}
