//! The list of scenarios: each run stands in it once.

use serde::Serialize;

use super::seconds;
use crate::report::diff::{self, Line};
use crate::report::{Kind, detail, place};
use crate::suite::{Results, Run};

#[derive(Serialize)]
pub(super) struct Topic<'a> {
    name: &'a str,
    /// `KIND@RIG` for each run in it, which is what the filter looks at.
    has: String,
    scenarios: Vec<Scenario<'a>>,
}

#[derive(Serialize)]
struct Scenario<'a> {
    id: &'a str,
    has: String,
    name: &'a str,
    place: String,
    runs: Vec<Chip<'a>>,
    findings: Vec<Finding<'a>>,
}

/// A run in a few words.
#[derive(Serialize)]
pub(super) struct Chip<'a> {
    rig: &'a str,
    key: &'static str,
    word: &'static str,
    seconds: String,
}

/// What a run says beyond its word. Rigs that say the same share one.
#[derive(Serialize)]
struct Finding<'a> {
    rigs: Vec<&'a str>,
    key: &'static str,
    word: &'static str,
    lines: Vec<Line>,
}

impl<'a> Topic<'a> {
    pub(super) fn of(results: &'a Results, topic: &'a str) -> Topic<'a> {
        let runs = results.runs.iter().filter(|run| run.topic == topic);
        let runs: Vec<&Run> = runs.collect();
        let scenarios = runs.chunk_by(|a, b| a.id == b.id);
        Topic {
            name: topic,
            has: has(&runs),
            scenarios: scenarios.filter_map(Scenario::of).collect(),
        }
    }
}

impl<'a> Scenario<'a> {
    /// `runs` are those of one scenario.
    fn of(runs: &[&'a Run]) -> Option<Scenario<'a>> {
        let first = runs.first()?;
        let name = first.id.split_once('/').map(|(_, name)| name);
        Some(Scenario {
            id: &first.id,
            has: has(runs),
            name: name.unwrap_or(&first.id),
            place: format!("{}:{}", place(&first.page), first.line),
            runs: runs.iter().map(|run| Chip::of(run)).collect(),
            findings: findings(runs),
        })
    }
}

impl<'a> Chip<'a> {
    pub(super) fn of(run: &'a Run) -> Chip<'a> {
        let kind = Kind::of(&run.outcome);
        Chip {
            rig: run.rig.name(),
            key: kind.key(),
            word: kind.word(),
            seconds: seconds(run.elapsed),
        }
    }
}

fn findings<'a>(runs: &[&'a Run]) -> Vec<Finding<'a>> {
    let mut findings: Vec<(&Run, Finding)> = Vec::new();
    for run in runs.iter().filter(|run| !detail(&run.outcome).is_empty()) {
        let same = findings
            .iter_mut()
            .find(|(other, _)| other.outcome == run.outcome);
        if let Some((_, finding)) = same {
            finding.rigs.push(run.rig.name());
            continue;
        }
        let kind = Kind::of(&run.outcome);
        let finding = Finding {
            rigs: vec![run.rig.name()],
            key: kind.key(),
            word: kind.word(),
            lines: diff::lines(detail(&run.outcome)),
        };
        findings.push((run, finding));
    }
    findings.into_iter().map(|(_, finding)| finding).collect()
}

/// `KIND@RIG` for each run, once.
fn has(runs: &[&Run]) -> String {
    let mut words: Vec<String> = runs
        .iter()
        .map(|run| format!("{}@{}", Kind::of(&run.outcome).key(), run.rig))
        .collect();
    words.sort();
    words.dedup();
    words.join(" ")
}
