//! The book's page on the notes: what they say, what is so, and the commands that show it.
//!
//! The page is written by a program from the ledger and the scenarios, so that it cannot say what the suite does not
//! prove; a test holds the page in the book equal to what this module writes. The commands stand in `text` blocks:
//! they are executed as scenarios, on every engine, and not a second time as a page of the book.

use std::fmt::Write;

use transcript::{Scenario, Step};

use super::command::counts;
use super::{Claim, Verdict};
use crate::catalogue::Entry;

/// The most lines of a scenario that a reader wants to see below a claim.
const EXCERPT_LINES: usize = 14;

const HEAD: &str = "\
# What the notes say

Most people learn Docker from somebody's notes. Notes are written down once, copied on, and outlive the Docker that
they describe. This page takes the statements of five such sets of notes that a machine can check, and lets a machine
check them: each verdict is tied to a scenario that passes on real Docker, and you can run that scenario yourself.

* `cargo run -p conformance -- claims` shows all of them;
* `cargo run -p conformance -- run --rig docker --filter ID` runs the proof of one.

";

/// The whole page.
pub fn page(claims: &[Claim], entries: &[Entry]) -> String {
    let mut text = HEAD.to_owned();
    let _ = writeln!(text, "The count today: {}.\n", counts(claims));
    section(
        &mut text,
        "Wrong",
        "These were never so, or not as they are written.",
        of(claims, Verdict::Wrong),
        entries,
    );
    section(
        &mut text,
        "Outdated",
        "These were so once. The Docker they describe is gone.",
        of(claims, Verdict::Outdated),
        entries,
    );
    text.push_str(
        "## True\n\nAnd these hold, by topic. It is a long list, which speaks for the notes.\n\n",
    );
    for (topic, claims) in by_topic(of(claims, Verdict::True)) {
        let _ = writeln!(text, "### {topic}: true\n");
        for claim in claims {
            let _ = writeln!(text, "* {}", one_line(&claim.says));
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn of(claims: &[Claim], verdict: Verdict) -> Vec<&Claim> {
    claims
        .iter()
        .filter(|claim| claim.verdict == verdict)
        .collect()
}

/// Topics in alphabetical order, with their claims in the ledger's order.
fn by_topic(claims: Vec<&Claim>) -> std::collections::BTreeMap<String, Vec<&Claim>> {
    let mut topics = std::collections::BTreeMap::<String, Vec<&Claim>>::new();
    for claim in claims {
        topics
            .entry(claim.topic().replace('-', " "))
            .or_default()
            .push(claim);
    }
    topics
}

fn section(text: &mut String, title: &str, lead: &str, claims: Vec<&Claim>, entries: &[Entry]) {
    let _ = writeln!(text, "## {title}\n\n{lead}\n");
    for (topic, claims) in by_topic(claims) {
        let _ = writeln!(text, "### {topic}: {}\n", title.to_lowercase());
        for claim in claims {
            let _ = writeln!(text, "> {}\n", one_line(&claim.says));
            if let Some(truth) = &claim.truth {
                let _ = writeln!(text, "{}\n", one_line(truth));
            }
            let scenario = claim
                .evidence
                .first()
                .and_then(|id| entries.iter().find(|entry| entry.id == *id));
            if let Some(entry) = scenario {
                let _ = writeln!(text, "```text\n{}```\n", excerpt(entry.scenario()));
                let _ = writeln!(text, "<small>scenario `{}`</small>\n", entry.id);
            }
        }
    }
}

/// Text of the ledger may be broken into lines; in the page a paragraph is one line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first commands of a scenario with what they print, as far as they fit.
fn excerpt(scenario: &Scenario) -> String {
    let mut lines = Vec::new();
    for step in scenario.blocks.iter().flat_map(|block| &block.steps) {
        let step = written(step);
        if !lines.is_empty() && lines.len() + step.len() > EXCERPT_LINES {
            lines.push("...".to_owned());
            break;
        }
        lines.extend(step);
    }
    lines.join("\n") + "\n"
}

/// A step as it stands in its page.
fn written(step: &Step) -> Vec<String> {
    let mut lines = Vec::new();
    for (number, line) in step.command.lines().enumerate() {
        lines.push(format!("{} {line}", if number == 0 { '$' } else { '>' }));
    }
    lines.extend(step.expected.iter().cloned());
    if step.status != 0 {
        lines.push(format!("? {}", step.status));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{catalogue, claims};

    #[test]
    fn a_wrong_claim_is_shown_with_its_truth_and_its_commands() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("codes")).unwrap();
        let page_text = "# P\n\n## S\n\n```console\n$ sh -c 'exit 3'\n? 3\n$ seq 20\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n```\n";
        std::fs::write(directory.path().join("codes/p.md"), page_text).unwrap();
        let entries = catalogue::read(directory.path()).unwrap();
        let claims = vec![Claim {
            id: "a".into(),
            says: "Three\n  is one.".into(),
            notes: vec!["1.md:1".into()],
            verdict: Verdict::Wrong,
            truth: Some("It is three.".into()),
            evidence: vec!["codes/p/s".into()],
        }];
        let text = page(&claims, &entries);
        let expected = "### codes: wrong\n\n> Three is one.\n\nIt is three.\n\n```text\n$ sh -c 'exit 3'\n? 3\n...\n```\n";
        assert!(text.contains(expected), "{text}");
    }

    /// The page in the book is the one that the ledger and the scenarios give.
    #[test]
    fn the_page_in_the_book_is_current() {
        let claims = claims::read(&claims::usual_path()).unwrap();
        let entries = catalogue::read(&catalogue::usual_directory()).unwrap();
        assert_eq!(claims::dangling(&claims, &entries), Vec::<String>::new());
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../book/src/what-the-notes-say.md");
        assert!(
            std::fs::read_to_string(path).unwrap() == page(&claims, &entries),
            "book/src/what-the-notes-say.md is not current\nhint: cargo run -p conformance -- claims --page book/src/what-the-notes-say.md"
        );
    }
}
