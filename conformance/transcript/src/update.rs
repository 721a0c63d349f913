//! Writing the actual output back into a page.
//!
//! Only steps that failed are rewritten, so hand-made elisions elsewhere stay. Values that change from run to
//! run become elisions. What comes out is a proposal: look at it with `git diff` before keeping it, because an
//! expectation is only as true as the engine that gave it.

use regex_lite::Regex;

use crate::page::Page;
use crate::run::{ScenarioReport, StepReport, Verdict};

/// The page's text with the failed steps of `reports` rewritten to what happened.
pub fn rewritten(page: &Page, reports: &[ScenarioReport]) -> String {
    let mut lines: Vec<String> = page.text.lines().map(str::to_owned).collect();
    let mut failed: Vec<&StepReport> = reports
        .iter()
        .flat_map(|report| &report.steps)
        .filter(|step| matches!(step.verdict, Verdict::Failed(_)))
        .collect();
    // From the end to the beginning, so that the line numbers before stay right.
    failed.sort_by_key(|report| std::cmp::Reverse(report.step.line));
    for report in failed {
        let Some(status) = report.status else {
            continue;
        };
        let command_line = &lines[report.step.line - 1];
        let indent: String = command_line
            .chars()
            .take_while(|character| character.is_whitespace())
            .collect();
        let mut result: Vec<String> = report
            .output
            .iter()
            .map(|line| format!("{indent}{}", elided(line)))
            .collect();
        if status != 0 {
            result.push(format!("{indent}? {status}"));
        }
        let range = report.step.result_lines.start - 1..report.step.result_lines.end - 1;
        lines.splice(range, result);
    }
    lines.join("\n") + "\n"
}

/// Replaces what varies by its elision.
fn elided(line: &str) -> String {
    const RULES: &[(&str, &str)] = &[
        (r"sha256:[0-9a-f]{64}", "[DIGEST]"),
        (r"\b[0-9a-f]{64}\b", "[ID]"),
        (r"\b[0-9a-f]{12}\b", "[SHORT_ID]"),
        (r"\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b", "[MAC]"),
        (
            r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d| [+-]\d{4} [A-Z]+)",
            "[TIME]",
        ),
        (r"\b\d{1,3}(\.\d{1,3}){3}\b", "[IP]"),
        (
            r"\b(Less than a second|About a minute|About an hour|\d+ (second|minute|hour|day)s?)\b",
            "[DURATION]",
        ),
    ];
    let mut line = line.to_owned();
    for (expression, name) in RULES {
        if let Ok(regex) = Regex::new(expression) {
            line = regex.replace_all(&line, *name).into_owned();
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Options, run_page};
    use crate::session::Environment;

    #[test]
    fn a_rewritten_page_passes() {
        let text = "# T\n\n```console\n$ echo right\nright\n$ echo 10.0.0.1; false\nwrong\nwrong\n$ seq 2\n```\n\n* list\n\n  ```console\n  $ echo x\n  y\n  ? 3\n  ```\n";
        let page = Page::parse("p.md", text).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let environment = Environment::new(directory.path());
        let reports = run_page(&page, &environment, &Options::default()).unwrap();
        let text = rewritten(&page, &reports);
        assert!(
            text.contains("[IP]\n? 1\n$ seq 2\n1\n2\n```")
                && text.contains("  $ echo x\n  x\n  ```"),
            "{text}"
        );
        let page = Page::parse("p.md", &text).unwrap();
        let reports = run_page(&page, &environment, &Options::default()).unwrap();
        assert!(reports.iter().all(ScenarioReport::passed));
        assert_eq!(rewritten(&page, &reports), text);
    }
}
