//! The result as one HTML page: to read, to keep, to put on a web server.
//!
//! `page.html` is the template, with its styles and a few lines of script inside; the page asks nobody for anything.
//! It works without the script, which only adds a search box and opens what an address points to. The filter is radio
//! buttons and CSS.
//!
//! What the template gets is made here, in the shape in which it is shown. Everything is text to it and escaped: a
//! scenario's output is whatever a container printed.

use std::collections::BTreeMap;

use anyhow::Context;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use rig::Rig;
use serde::Serialize;

use super::diff::{self, Line};
use super::matrix::{TOTAL, counts, topics, without_count};
use super::{Count, Kind, RECORDED, Setting, detail};
use crate::suite::{Lists, Results, Run};
use crate::workshop::Outcome;

const TEMPLATE: &str = include_str!("page.html");

/// How many of the slowest runs are shown.
const SLOWEST: usize = 10;

/// With more failures than this the differences are closed at first: a page is read from its head.
const OPEN: usize = 12;

/// The whole result as a page. `lists` gives the reasons behind what is explained.
///
/// # Errors
/// When the template does not fit what it is given.
pub fn html(
    results: &Results,
    rigs: &[Rig],
    lists: &Lists,
    setting: &Setting,
) -> anyhow::Result<String> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()
        .context("the template's syntax")?;
    environment.set_syntax(syntax);
    environment
        .add_template("page", TEMPLATE)
        .context("the report's template")?;
    let page = Page::of(results, rigs, lists, setting);
    environment
        .get_template("page")
        .and_then(|template| template.render(Serde(&page)))
        .context("filling in the report's template")
}

#[derive(Serialize)]
struct Page<'a> {
    all_well: bool,
    sum: Cell,
    setting: &'a Setting,
    date: String,
    recorded: &'a str,
    seed: u64,
    elapsed: String,
    rigs: Vec<Column<'a>>,
    kinds: Vec<Named>,
    rows: Vec<Row<'a>>,
    total: Vec<Cell>,
    topics: Vec<Topic<'a>>,
    news: Vec<&'a str>,
    open: bool,
    explained: Vec<Explained<'a>>,
    known: Vec<Known<'a>>,
    unbuilt: Vec<Unbuilt<'a>>,
    slowest: Vec<Slow<'a>>,
    errors: &'a [String],
    stale: &'a [String],
}

#[derive(Serialize)]
struct Column<'a> {
    name: &'a str,
    way: &'static str,
    version: Option<&'a str>,
    absent: Option<&'a str>,
}

/// A kind of outcome that occurs, with its number.
#[derive(Serialize)]
struct Named {
    key: &'static str,
    word: &'static str,
    number: usize,
}

#[derive(Serialize)]
struct Cell {
    absent: Option<&'static str>,
    rig: String,
    pass: usize,
    all: usize,
    kinds: Vec<Named>,
}

#[derive(Serialize)]
struct Row<'a> {
    topic: &'a str,
    cells: Vec<Cell>,
}

#[derive(Serialize)]
struct Topic<'a> {
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

#[derive(Serialize)]
struct Chip<'a> {
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

#[derive(Serialize)]
struct Explained<'a> {
    id: &'a str,
    what: &'a str,
    why: &'a str,
    scenario: &'a str,
    rigs: Vec<&'a str>,
}

#[derive(Serialize)]
struct Known<'a> {
    what: &'a str,
    scenario: &'a str,
    rigs: Vec<&'a str>,
}

#[derive(Serialize)]
struct Unbuilt<'a> {
    topic: &'a str,
    parts: Vec<Part<'a>>,
}

/// What an engine says of a part that it does not have, and which scenarios need it.
#[derive(Serialize)]
struct Part<'a> {
    words: &'a str,
    scenarios: Vec<&'a str>,
}

#[derive(Serialize)]
struct Slow<'a> {
    seconds: String,
    scenario: &'a str,
    rig: &'a str,
}

impl<'a> Page<'a> {
    fn of(
        results: &'a Results,
        rigs: &'a [Rig],
        lists: &'a Lists,
        setting: &'a Setting,
    ) -> Page<'a> {
        let counts = counts(results);
        let mut sum = Count::default();
        results.runs.iter().for_each(|run| sum.add(&run.outcome));
        let cells = |row: &str| -> Vec<Cell> {
            let cell = |rig: &Rig| match counts.get(&(row, *rig)) {
                Some(count) => Cell::of(rig.name(), count),
                None => Cell {
                    absent: Some(without_count(results, *rig)),
                    ..Cell::of(rig.name(), &Count::default())
                },
            };
            rigs.iter().map(cell).collect()
        };
        let rows = topics(results).into_iter().map(|topic| Row {
            topic,
            cells: cells(topic),
        });
        let news = |run: &&Run| matches!(run.outcome, Outcome::Fail(_) | Outcome::Unsteady(_));
        let mut names: Vec<&str> = results.runs.iter().filter(news).map(id).collect();
        names.dedup();
        Page {
            all_well: results.all_well(),
            sum: Cell::of("", &sum),
            setting,
            date: setting.date.format("%Y-%m-%d %H:%M UTC").to_string(),
            recorded: RECORDED,
            seed: results.order_seed,
            elapsed: minutes(results.elapsed),
            rigs: rigs.iter().map(|rig| Column::of(results, rig)).collect(),
            kinds: named(&sum),
            rows: rows.collect(),
            total: cells(TOTAL),
            topics: topics(results)
                .into_iter()
                .map(|topic| Topic::of(results, topic))
                .collect(),
            open: names.len() <= OPEN,
            news: names,
            explained: explained(results, lists),
            known: known(results),
            unbuilt: unbuilt(results),
            slowest: slowest(results),
            errors: &results.errors,
            stale: &results.stale,
        }
    }
}

impl Cell {
    fn of(rig: &str, count: &Count) -> Cell {
        Cell {
            absent: None,
            rig: rig.to_owned(),
            pass: count.of(Kind::Pass),
            all: count.all(),
            kinds: named(count),
        }
    }
}

impl<'a> Column<'a> {
    fn of(results: &'a Results, rig: &'a Rig) -> Column<'a> {
        Column {
            name: rig.name(),
            way: match rig {
                Rig::Docker => "the docker client on Docker, the reference",
                Rig::Api => "the docker client on the drydock daemon",
                Rig::Drydock => "the drydock client on the drydock daemon",
                Rig::Other(_) => "the docker client on another engine",
            },
            version: results.versions.get(rig).map(String::as_str),
            absent: results.not_here.get(rig).map(String::as_str),
        }
    }
}

impl<'a> Topic<'a> {
    fn of(results: &'a Results, topic: &'a str) -> Topic<'a> {
        let runs: Vec<&Run> = results
            .runs
            .iter()
            .filter(|run| run.topic == topic)
            .collect();
        let scenarios = runs.chunk_by(|a, b| a.id == b.id);
        Topic {
            name: topic,
            has: has(&runs),
            scenarios: scenarios.map(Scenario::of).collect(),
        }
    }
}

impl<'a> Scenario<'a> {
    /// `runs` are those of one scenario, and there is at least one.
    fn of(runs: &[&'a Run]) -> Scenario<'a> {
        let first = runs[0];
        let mut findings: Vec<(&Run, Finding)> = Vec::new();
        for run in runs.iter().filter(|run| !detail(&run.outcome).is_empty()) {
            let same = findings
                .iter_mut()
                .find(|(other, _)| other.outcome == run.outcome);
            match same {
                Some((_, finding)) => finding.rigs.push(run.rig.name()),
                None => findings.push((run, Finding::of(run))),
            }
        }
        Scenario {
            id: &first.id,
            has: has(runs),
            name: first
                .id
                .split_once('/')
                .map_or(first.id.as_str(), |(_, name)| name),
            place: format!("{}:{}", first.page, first.line),
            runs: runs.iter().map(|run| Chip::of(run)).collect(),
            findings: findings.into_iter().map(|(_, finding)| finding).collect(),
        }
    }
}

impl<'a> Chip<'a> {
    fn of(run: &'a Run) -> Chip<'a> {
        let kind = Kind::of(&run.outcome);
        Chip {
            rig: run.rig.name(),
            key: kind.key(),
            word: kind.word(),
            seconds: seconds(run.elapsed),
        }
    }
}

impl<'a> Finding<'a> {
    fn of(run: &'a Run) -> Finding<'a> {
        let kind = Kind::of(&run.outcome);
        Finding {
            rigs: vec![run.rig.name()],
            key: kind.key(),
            word: kind.word(),
            lines: diff::lines(detail(&run.outcome)),
        }
    }
}

fn id(run: &Run) -> &str {
    &run.id
}

fn named(count: &Count) -> Vec<Named> {
    let kinds = count.kinds().map(|(kind, number)| Named {
        key: kind.key(),
        word: kind.word(),
        number,
    });
    kinds.collect()
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

/// The divergences that showed, with their reasons.
fn explained<'a>(results: &'a Results, lists: &'a Lists) -> Vec<Explained<'a>> {
    let mut found: Vec<Explained> = Vec::new();
    for run in &results.runs {
        let Outcome::Explained(id) = &run.outcome else {
            continue;
        };
        if let Some(entry) = found.iter_mut().find(|entry| entry.id == id) {
            entry.rigs.push(run.rig.name());
            continue;
        }
        let entry = lists.divergences.iter().find(|entry| entry.id == *id);
        found.push(Explained {
            id,
            what: entry.map_or("", |entry| &entry.what),
            why: entry.map_or("", |entry| &entry.why),
            scenario: &run.id,
            rigs: vec![run.rig.name()],
        });
    }
    found
}

fn known(results: &Results) -> Vec<Known<'_>> {
    let mut found: Vec<Known> = Vec::new();
    for run in &results.runs {
        let Outcome::KnownFailure(what) = &run.outcome else {
            continue;
        };
        match found
            .iter_mut()
            .find(|known| known.what == what && known.scenario == run.id)
        {
            Some(known) => known.rigs.push(run.rig.name()),
            None => found.push(Known {
                what,
                scenario: &run.id,
                rigs: vec![run.rig.name()],
            }),
        }
    }
    found
}

fn unbuilt(results: &Results) -> Vec<Unbuilt<'_>> {
    let mut by_topic: BTreeMap<&str, BTreeMap<&str, Vec<&str>>> = BTreeMap::new();
    for run in &results.runs {
        if let Outcome::NotBuiltYet(words) = &run.outcome {
            let parts = by_topic.entry(&run.topic).or_default();
            parts.entry(words).or_default().push(&run.id);
        }
    }
    let part = |(words, mut scenarios): (_, Vec<_>)| {
        scenarios.dedup();
        Part { words, scenarios }
    };
    by_topic
        .into_iter()
        .map(|(topic, parts)| Unbuilt {
            topic,
            parts: parts.into_iter().map(part).collect(),
        })
        .collect()
}

fn slowest(results: &Results) -> Vec<Slow<'_>> {
    let mut runs: Vec<&Run> = results.runs.iter().collect();
    runs.sort_by(|a, b| b.elapsed.cmp(&a.elapsed));
    let slow = runs.into_iter().take(SLOWEST).map(|run| Slow {
        seconds: seconds(run.elapsed),
        scenario: &run.id,
        rig: run.rig.name(),
    });
    slow.collect()
}

fn seconds(time: std::time::Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn minutes(time: std::time::Duration) -> String {
    match time.as_secs() {
        0..120 => seconds(time),
        all => format!("{} min {} s", all / 60, all % 60),
    }
}

#[cfg(test)]
mod tests;
