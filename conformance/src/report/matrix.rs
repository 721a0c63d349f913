//! The matrix of topics and rigs, as cells and as text.

use std::collections::{BTreeMap, BTreeSet};

use rig::Rig;

use super::Count;
use crate::suite::Results;

/// The name of the last row.
pub(super) const TOTAL: &str = "total";

/// The topics of a run, in order.
pub(super) fn topics(results: &Results) -> BTreeSet<&str> {
    results.runs.iter().map(|run| run.topic.as_str()).collect()
}

/// What each topic, and all of them, came to on each rig.
pub(super) fn counts(results: &Results) -> BTreeMap<(&str, Rig), Count> {
    let mut counts: BTreeMap<(&str, Rig), Count> = BTreeMap::new();
    for run in &results.runs {
        for row in [run.topic.as_str(), TOTAL] {
            counts.entry((row, run.rig)).or_default().add(&run.outcome);
        }
    }
    counts
}

/// What stands where a rig has no count.
pub(super) fn without_count(results: &Results, rig: Rig) -> &'static str {
    match rig {
        _ if !results.not_here.contains_key(&rig) => "did not run",
        Rig::Docker => "no Docker here",
        Rig::Api | Rig::Drydock | Rig::Other(_) => "not here",
    }
}

/// Rows of topics, columns of rigs, and a last row with the sums. A rig that is not here says so in every row.
pub(super) fn table(results: &Results, rigs: &[Rig]) -> Vec<Vec<String>> {
    let counts = counts(results);
    let cell = |topic: &str, rig: &Rig| match counts.get(&(topic, *rig)) {
        Some(count) => count.text(),
        None => without_count(results, *rig).to_owned(),
    };
    let head = std::iter::once("topic".to_owned())
        .chain(rigs.iter().map(|rig| rig.name().to_owned()))
        .collect();
    let rows = topics(results).into_iter().chain([TOTAL]).map(|topic| {
        std::iter::once(topic.to_owned())
            .chain(rigs.iter().map(|rig| cell(topic, rig)))
            .collect()
    });
    std::iter::once(head).chain(rows).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;
    use crate::workshop::Outcome;

    #[test]
    fn the_matrix_counts_and_never_hides() {
        let results = Results {
            runs: vec![
                samples::run("logs", "a", Rig::Api, Outcome::Pass),
                samples::run("logs", "b", Rig::Api, Outcome::Fail("  - x\n".into())),
                samples::run("run", "c", Rig::Api, Outcome::NotBuiltYet("501".into())),
            ],
            not_here: [(Rig::Docker, "no Docker here: none".to_owned())].into(),
            ..Results::default()
        };
        let text = matrix(&results, &[Rig::Docker, Rig::Api]);
        let expected = "topic  docker          api\nlogs   no Docker here  1/2, 1 fail\nrun    no Docker here  0/1, 1 not built yet\ntotal  no Docker here  1/3, 1 fail, 1 not built yet\n\ndocker: no Docker here: none\n";
        assert_eq!(text, expected);
    }
}
