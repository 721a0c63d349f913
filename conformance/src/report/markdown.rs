//! The whole result as Markdown, for an issue or a pull request.

use rig::Rig;

use super::{failures, matrix::table};
use crate::suite::Results;

/// The matrix, then what is not a pass.
pub fn markdown(results: &Results, rigs: &[Rig]) -> String {
    let mut text = format!(
        "# Conformance\n\nThe expectations: {}.\n\n",
        results.recorded
    );
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
        // A fence longer than any in the text.
        let fence = "`".repeat(longest_ticks(&failures).max(2) + 1);
        text.push_str(&format!(
            "\n## Not as on Docker\n\n{fence}text\n{failures}{fence}\n"
        ));
    }
    text
}

fn longest_ticks(text: &str) -> usize {
    text.split(|character| character != '`')
        .map(str::len)
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;
    use crate::workshop::Outcome;

    #[test]
    fn the_table_and_the_failures_are_there() {
        let text = markdown(&samples::results(), &[Rig::Api, Rig::Drydock]);
        for part in [
            "| logs | 1/2, 1 unsteady | 0/2, 1 fail, 1 explained |",
            "not built yet\n  501",
            "error: the api rig leaked: a veth",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn a_fence_in_a_failure_does_not_end_the_block() {
        let outcome = Outcome::Fail("  - ````\n".into());
        let results = Results {
            runs: vec![samples::run("t", "a", Rig::Api, outcome)],
            ..Results::default()
        };
        assert!(markdown(&results, &[Rig::Api]).ends_with("\n`````\n"));
    }
}
