//! What stands around the list of scenarios: news, reasons, what is missing, what takes long.

use std::collections::BTreeMap;

use serde::Serialize;

use super::scenarios::Chip;
use super::seconds;
use crate::suite::{Lists, Results, Run};
use crate::workshop::Outcome;

/// How many of the slowest runs are shown.
const SLOWEST: usize = 10;

/// Text with code between backticks, as the lists have it.
pub(super) type Prose<'a> = Vec<Piece<'a>>;

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Piece<'a> {
    text: &'a str,
    code: bool,
}

/// A scenario of which nobody knew that it differs.
#[derive(Serialize)]
pub(super) struct News<'a> {
    id: &'a str,
    runs: Vec<Chip<'a>>,
}

#[derive(Serialize)]
pub(super) struct Explained<'a> {
    id: &'a str,
    what: Prose<'a>,
    why: Prose<'a>,
    shown: Vec<Shown<'a>>,
}

#[derive(Serialize)]
pub(super) struct Known<'a> {
    what: Prose<'a>,
    shown: Vec<Shown<'a>>,
}

/// A scenario and the rigs on which it shows something.
#[derive(Serialize)]
struct Shown<'a> {
    scenario: &'a str,
    rigs: Vec<&'a str>,
}

#[derive(Serialize)]
pub(super) struct Unbuilt<'a> {
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
pub(super) struct Slow<'a> {
    seconds: String,
    scenario: &'a str,
    rig: &'a str,
}

/// How an engine's answers compare with Docker's description of its API.
#[derive(Serialize)]
pub(super) struct Wire<'a> {
    rig: &'a str,
    seen: usize,
    report: &'a wire::Report,
}

pub(super) fn news(results: &Results) -> Vec<News<'_>> {
    let new = |run: &&Run| matches!(run.outcome, Outcome::Fail(_) | Outcome::Unsteady(_));
    let mut found: Vec<News> = Vec::new();
    for run in results.runs.iter().filter(new) {
        match found.last_mut().filter(|news| news.id == run.id) {
            Some(news) => news.runs.push(Chip::of(run)),
            None => found.push(News {
                id: &run.id,
                runs: vec![Chip::of(run)],
            }),
        }
    }
    found
}

/// The divergences that showed, with their reasons.
pub(super) fn explained<'a>(results: &'a Results, lists: &'a Lists) -> Vec<Explained<'a>> {
    let ids = by_text(results, |outcome| match outcome {
        Outcome::Explained(id) => Some(id),
        _ => None,
    });
    let explained = ids.into_iter().map(|(id, shown)| {
        let entry = lists.divergences.iter().find(|entry| entry.id == id);
        Explained {
            id,
            what: prose(entry.map_or("", |entry| &entry.what)),
            why: prose(entry.map_or("", |entry| &entry.why)),
            shown,
        }
    });
    explained.collect()
}

pub(super) fn known(results: &Results) -> Vec<Known<'_>> {
    let defects = by_text(results, |outcome| match outcome {
        Outcome::KnownFailure(what) => Some(what),
        _ => None,
    });
    let known = defects.into_iter().map(|(what, shown)| Known {
        what: prose(what),
        shown,
    });
    known.collect()
}

/// The runs whose outcome has a text of one kind, by that text.
fn by_text(
    results: &Results,
    text: impl Fn(&Outcome) -> Option<&str>,
) -> BTreeMap<&str, Vec<Shown<'_>>> {
    let mut found: BTreeMap<&str, Vec<Shown>> = BTreeMap::new();
    for run in &results.runs {
        let Some(text) = text(&run.outcome) else {
            continue;
        };
        let shown = found.entry(text).or_default();
        match shown.iter_mut().find(|shown| shown.scenario == run.id) {
            Some(shown) => shown.rigs.push(run.rig.name()),
            None => shown.push(Shown {
                scenario: &run.id,
                rigs: vec![run.rig.name()],
            }),
        }
    }
    found
}

pub(super) fn unbuilt(results: &Results) -> Vec<Unbuilt<'_>> {
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

pub(super) fn slowest(results: &Results) -> Vec<Slow<'_>> {
    let mut runs: Vec<&Run> = results.runs.iter().collect();
    runs.sort_by_key(|run| std::cmp::Reverse(run.elapsed));
    let slow = runs.into_iter().take(SLOWEST).map(|run| Slow {
        seconds: seconds(run.elapsed),
        scenario: &run.id,
        rig: run.rig.name(),
    });
    slow.collect()
}

pub(super) fn wire(results: &Results) -> Vec<Wire<'_>> {
    let wire = results.wire.iter().map(|(rig, report)| Wire {
        rig: rig.name(),
        seen: report.seen.len(),
        report,
    });
    wire.collect()
}

/// Cuts a text at its backticks. One without a partner is a character like others.
pub(super) fn prose(text: &str) -> Prose<'_> {
    let mut pieces = Vec::new();
    let mut add = |text, code| pieces.push(Piece { text, code });
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('`') {
        let Some((code, after)) = after.split_once('`') else {
            break;
        };
        add(before, false);
        add(code, true);
        rest = after;
    }
    add(rest, false);
    pieces.retain(|piece| !piece.text.is_empty());
    pieces
}
