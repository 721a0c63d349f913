//! Proves what can be proved about the pages without running them.
//!
//! * every link within the book leads somewhere;
//! * every page in `src/` is in `SUMMARY.md`, so that a reader can find it;
//! * every `console` block is a transcript that can be read, so that the tests run it;
//! * no block shows commands in another way (`bash`, `sh`, no language), because nothing would run them;
//! * blocks that are not run have a reason, and the reasons are counted.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag};
use transcript::Page;

use crate::{build, html, pages, root};

/// Languages of blocks that hold no commands to try. `text` is for diagrams, and for the commands that are this
/// very check's, which cannot be run from within it.
const NOT_COMMANDS: [&str; 6] = ["text", "rust", "json", "toml", "yaml", "markdown"];

/// What the check found.
#[derive(Debug, Default)]
pub struct Report {
    /// Pages that were read.
    pub pages: usize,
    /// `console` blocks in them.
    pub blocks: usize,
    /// Commands in those blocks.
    pub commands: usize,
    /// Why blocks are not run, or only on some rigs, and how many blocks each reason holds for.
    pub skipped: BTreeMap<String, usize>,
    /// What is wrong, a line each.
    pub problems: Vec<String>,
}

/// Checks the whole book.
///
/// # Errors
/// When the book cannot be read or built. What is wrong *in* it is in the report.
pub fn check() -> Result<Report> {
    let mut report = Report::default();
    let pages = pages()?;
    for page in &pages {
        let name = page
            .strip_prefix(root())
            .unwrap_or(page)
            .display()
            .to_string();
        let text = fs::read_to_string(page).with_context(|| format!("read {name}"))?;
        check_page(&name, &text, &mut report);
    }
    let source = root().join("src");
    for entry in fs::read_dir(&source).with_context(|| format!("read {}", source.display()))? {
        let path = entry?.path();
        if is_page(&path) && !pages.contains(&path) {
            report
                .problems
                .push(format!("{}: not in SUMMARY.md", path.display()));
        }
    }
    let folder = tempfile::tempdir()?;
    let built = build(Some(folder.path()))?;
    for broken in html::broken_links(&built)? {
        report.problems.push(format!(
            "{}: the link {} leads nowhere",
            broken.page.display(),
            broken.link
        ));
    }
    Ok(report)
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "md")
        && path.file_name().is_some_and(|name| name != "SUMMARY.md")
}

/// Checks one page and adds what it finds to `report`.
fn check_page(name: &str, text: &str, report: &mut Report) {
    report.pages += 1;
    match Page::parse(name, text) {
        Err(error) => report.problems.push(error.to_string()),
        Ok(page) => {
            for block in page.scenarios.iter().flat_map(|scenario| &scenario.blocks) {
                report.blocks += 1;
                report.commands += block.steps.len();
                if let Some(reason) = &block.control.skip {
                    *report.skipped.entry(reason.clone()).or_default() += 1;
                }
                if !block.control.only.is_empty() {
                    let reason = format!("only for {}", block.control.only.join(", "));
                    *report.skipped.entry(reason).or_default() += 1;
                }
            }
        }
    }
    for (event, range) in Parser::new(text).into_offset_iter() {
        let Event::Start(Tag::CodeBlock(kind)) = event else {
            continue;
        };
        let language = match &kind {
            CodeBlockKind::Fenced(language) => language.as_ref(),
            CodeBlockKind::Indented => "",
        };
        if language != "console" && !NOT_COMMANDS.contains(&language) {
            let line = text[..range.start].matches('\n').count() + 1;
            report.problems.push(format!(
                "{name}:{line}: a block of language {language:?}; commands go into `console`"
            ));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        writeln!(
            formatter,
            "{} pages, {} console blocks, {} commands",
            self.pages, self.blocks, self.commands
        )?;
        for (reason, blocks) in &self.skipped {
            writeln!(formatter, "not run everywhere: {blocks} blocks: {reason}")?;
        }
        for problem in &self.problems {
            writeln!(formatter, "{problem}")?;
        }
        write!(formatter, "{} problems", self.problems.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Report {
        let mut report = Report::default();
        check_page("page.md", text, &mut report);
        report
    }

    #[test]
    fn this_book_is_right() {
        let report = check().expect("a check");
        assert!(report.problems.is_empty(), "{report}");
        assert!(report.commands > 0, "{report}");
    }

    #[test]
    fn commands_in_another_kind_of_block_are_a_problem() {
        assert_eq!(checked("```console\n$ true\n```\n").problems.len(), 0);
        assert_eq!(
            checked("# A\n\n```bash\ndocker ps\n```\n").problems.len(),
            1
        );
        assert_eq!(checked("A\n\n    docker ps\n").problems.len(), 1);
    }

    #[test]
    fn a_console_block_without_a_command_is_a_problem() {
        assert_eq!(checked("```console\nonly output\n```\n").problems.len(), 1);
    }

    #[test]
    fn reasons_for_not_running_are_counted() {
        let text = "<!-- transcript: skip=\"needs two machines\" -->\n```console\n$ true\n```\n";
        let report = checked(&format!("{text}\n{text}"));
        assert_eq!(report.skipped.get("needs two machines"), Some(&2));
    }
}
