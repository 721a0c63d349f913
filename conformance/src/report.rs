//! The matrix, and the files that a run writes.

use std::collections::{BTreeMap, BTreeSet};

use rig::Rig;
use serde_json::json;

use crate::suite::{Results, Run};
use crate::workshop::Outcome;

/// Counts of one cell of the matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Passed.
    pub pass: usize,
    /// Failed without an explanation.
    pub fail: usize,
    /// Not built yet.
    pub not_built_yet: usize,
    /// Failed, and explained.
    pub explained: usize,
    /// Failed, as is known.
    pub known_failure: usize,
    /// Failed once, passed once.
    pub unsteady: usize,
    /// Not run, with a reason.
    pub skipped: usize,
}

impl Count {
    fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Pass => self.pass += 1,
            Outcome::Fail(_) => self.fail += 1,
            Outcome::NotBuiltYet(_) => self.not_built_yet += 1,
            Outcome::Explained(_) => self.explained += 1,
            Outcome::KnownFailure(_) => self.known_failure += 1,
            Outcome::Unsteady(_) => self.unsteady += 1,
            Outcome::Skipped(_) => self.skipped += 1,
        }
    }

    /// `12/14` with what the rest was: `12/14, 1 fail, 1 not built yet`.
    fn text(&self) -> String {
        let all = self.pass
            + self.fail
            + self.not_built_yet
            + self.explained
            + self.known_failure
            + self.unsteady
            + self.skipped;
        let mut text = format!("{}/{all}", self.pass);
        let rest = [
            (self.fail, "fail"),
            (self.not_built_yet, "not built yet"),
            (self.explained, "explained"),
            (self.known_failure, "known failure"),
            (self.unsteady, "unsteady"),
            (self.skipped, "skipped"),
        ];
        for (number, name) in rest.into_iter().filter(|(number, _)| *number > 0) {
            text.push_str(&format!(", {number} {name}"));
        }
        text
    }
}

/// The word for an outcome in files and on the screen.
pub fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::Fail(_) => "fail",
        Outcome::NotBuiltYet(_) => "not built yet",
        Outcome::Explained(_) => "explained",
        Outcome::KnownFailure(_) => "known failure",
        Outcome::Unsteady(_) => "unsteady",
        Outcome::Skipped(_) => "skipped",
    }
}

/// What an outcome says beyond its word.
pub fn detail(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Pass => "",
        Outcome::Fail(text)
        | Outcome::NotBuiltYet(text)
        | Outcome::Explained(text)
        | Outcome::KnownFailure(text)
        | Outcome::Unsteady(text)
        | Outcome::Skipped(text) => text,
    }
}

/// Rows of topics, columns of rigs, and a last row with the sums. A rig that is not here says so in every row.
fn table(results: &Results, rigs: &[Rig]) -> Vec<Vec<String>> {
    let topics: BTreeSet<&str> = results.runs.iter().map(|run| run.topic.as_str()).collect();
    let mut counts: BTreeMap<(&str, Rig), Count> = BTreeMap::new();
    for run in &results.runs {
        counts
            .entry((&run.topic, run.rig))
            .or_default()
            .add(&run.outcome);
        counts
            .entry(("total", run.rig))
            .or_default()
            .add(&run.outcome);
    }
    let cell = |topic: &str, rig: &Rig| match counts.get(&(topic, *rig)) {
        Some(count) => count.text(),
        None if results.not_here.contains_key(rig) => absent(*rig).to_owned(),
        None => "did not run".to_owned(),
    };
    let head = std::iter::once("topic".to_owned())
        .chain(rigs.iter().map(|rig| rig.name().to_owned()))
        .collect();
    let rows = topics.into_iter().chain(["total"]).map(|topic| {
        std::iter::once(topic.to_owned())
            .chain(rigs.iter().map(|rig| cell(topic, rig)))
            .collect()
    });
    std::iter::once(head).chain(rows).collect()
}

/// What stands in the matrix for a rig that this host does not have.
fn absent(rig: Rig) -> &'static str {
    match rig {
        Rig::Docker => "no Docker here",
        Rig::Api | Rig::Drydock | Rig::Other(_) => "not here",
    }
}

/// The matrix for a terminal.
pub fn matrix(results: &Results, rigs: &[Rig]) -> String {
    let table = table(results, rigs);
    let width = |column: usize| {
        table
            .iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..=rigs.len()).map(width).collect();
    let mut text = String::new();
    for row in &table {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    for (rig, reason) in &results.not_here {
        text.push_str(&format!("\n{rig}: {reason}\n"));
    }
    text
}

/// Everything that is not a pass, for a person.
pub fn failures(results: &Results) -> String {
    let mut text = String::new();
    for run in &results.runs {
        match &run.outcome {
            Outcome::Fail(why) => {
                text.push_str(&format!("{} on {}: fail\n{why}\n", run.id, run.rig))
            }
            Outcome::Unsteady(why) => text.push_str(&format!(
                "{} on {}: unsteady, it failed once and passed once\n{why}\n",
                run.id, run.rig
            )),
            Outcome::NotBuiltYet(line) => text.push_str(&format!(
                "{} on {}: not built yet\n  {line}\n\n",
                run.id, run.rig
            )),
            _ => {}
        }
    }
    for problem in results.errors.iter().chain(&results.stale) {
        text.push_str(&format!("error: {problem}\n"));
    }
    text
}

/// The whole result as JSON.
pub fn json(results: &Results, rigs: &[Rig]) -> serde_json::Value {
    let run = |run: &Run| {
        json!({
            "id": run.id, "topic": run.topic, "page": run.page, "line": run.line, "rig": run.rig.name(),
            "outcome": word(&run.outcome), "detail": detail(&run.outcome), "seconds": run.elapsed.as_secs_f64(),
        })
    };
    let by_name = |map: &BTreeMap<Rig, String>| {
        map.iter()
            .map(|(rig, text)| (rig.name().to_owned(), json!(text)))
            .collect::<serde_json::Map<_, _>>()
    };
    json!({
        "schema_version": 1,
        "rigs": rigs.iter().map(|rig| rig.name()).collect::<Vec<_>>(),
        "versions": by_name(&results.versions),
        "not_here": by_name(&results.not_here),
        "all_well": results.all_well(),
        "errors": results.errors,
        "stale_divergences": results.stale,
        "runs": results.runs.iter().map(run).collect::<Vec<_>>(),
    })
}

/// The whole result as Markdown: the matrix, then what is not a pass.
pub fn markdown(results: &Results, rigs: &[Rig]) -> String {
    let mut text = String::from("# Conformance\n\n");
    for (rig, version) in &results.versions {
        text.push_str(&format!("* `{rig}`: {version}\n"));
    }
    for (rig, reason) in &results.not_here {
        text.push_str(&format!("* `{rig}`: {reason}\n"));
    }
    text.push('\n');
    for (number, row) in table(results, rigs).iter().enumerate() {
        text.push_str(&format!("| {} |\n", row.join(" | ")));
        if number == 0 {
            text.push_str(&format!("|{}\n", "---|".repeat(row.len())));
        }
    }
    let failures = failures(results);
    if !failures.is_empty() {
        text.push_str(&format!(
            "\n## Not as on Docker\n\n````text\n{failures}````\n"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn results() -> Results {
        let run = |topic: &str, rig, outcome| Run {
            id: format!("{topic}/p/s"),
            topic: topic.into(),
            page: "p.md".into(),
            line: 3,
            rig,
            outcome,
            elapsed: Duration::ZERO,
        };
        Results {
            runs: vec![
                run("logs", Rig::Api, Outcome::Pass),
                run("logs", Rig::Api, Outcome::Fail("  - x\n".into())),
                run("run", Rig::Api, Outcome::NotBuiltYet("501".into())),
            ],
            not_here: [(Rig::Docker, "no Docker here: none".to_owned())].into(),
            ..Results::default()
        }
    }

    #[test]
    fn the_matrix_counts_and_never_hides() {
        let text = matrix(&results(), &[Rig::Docker, Rig::Api]);
        let expected = "topic  docker          api\nlogs   no Docker here  1/2, 1 fail\nrun    no Docker here  0/1, 1 not built yet\ntotal  no Docker here  1/3, 1 fail, 1 not built yet\n\ndocker: no Docker here: none\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn files_hold_every_run() {
        let value = json(&results(), &[Rig::Api]);
        assert_eq!(value["runs"].as_array().unwrap().len(), 3);
        assert_eq!(
            (&value["all_well"], &value["runs"][1]["outcome"]),
            (&json!(false), &json!("fail"))
        );
        let text = markdown(&results(), &[Rig::Api]);
        assert!(
            text.contains("| logs | 1/2, 1 fail |") && text.contains("not built yet\n  501"),
            "{text}"
        );
    }
}
