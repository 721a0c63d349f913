//! The result as one HTML page: to read, to keep, to put on a web server.
//!
//! `page.html` is the template, with its styles and a few lines of script inside; the page asks nobody for anything.
//! It works without the script, which only adds a search box and opens what an address points to. The filter is radio
//! buttons and CSS.
//!
//! What the template gets is made here, in the shape in which it is shown. Everything is text to it and escaped: a
//! scenario's output is whatever a container printed.

mod lists;
mod scenarios;

use anyhow::Context;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use rig::Rig;
use serde::Serialize;

use super::matrix::{TOTAL, counts, topics, without_count};
use super::{Count, Kind, Setting};
use crate::suite::{Lists, Results};
use lists::{Explained, Known, News, Slow, Unbuilt, Wire};
use scenarios::Topic;

const TEMPLATE: &str = include_str!("page.html");

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
    news: Vec<News<'a>>,
    open: bool,
    explained: Vec<Explained<'a>>,
    known: Vec<Known<'a>>,
    unbuilt: Vec<Unbuilt<'a>>,
    slowest: Vec<Slow<'a>>,
    wire: Vec<Wire<'a>>,
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
        let news = lists::news(results);
        Page {
            all_well: results.all_well(),
            sum: Cell::of("", &sum),
            setting,
            date: setting.date.format("%Y-%m-%d %H:%M UTC").to_string(),
            recorded: &results.recorded,
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
            open: news.len() <= OPEN,
            news,
            explained: lists::explained(results, lists),
            known: lists::known(results),
            unbuilt: lists::unbuilt(results),
            slowest: lists::slowest(results),
            wire: lists::wire(results),
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

fn named(count: &Count) -> Vec<Named> {
    let kinds = count.kinds().map(|(kind, number)| Named {
        key: kind.key(),
        word: kind.word(),
        number,
    });
    kinds.collect()
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
