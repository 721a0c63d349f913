//! Reading a page: headings divide it into scenarios, `console` blocks hold the commands.
//!
//! pulldown-cmark finds the blocks, so that a block inside a list or a quotation is found as a reader's
//! Markdown viewer finds it. The lines inside a block are this crate's own small language:
//!
//! * `$ command` begins a step, `> more` directly after it continues the command on a new line;
//! * `? N` is the expected exit status, 0 where it is absent;
//! * every other line is expected output, see [`crate::pattern`].

use std::ops::Range;
use std::path::Path;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::control::{self, Control};

/// A page of Markdown and the scenarios in it.
#[derive(Clone, Debug)]
pub struct Page {
    /// How reports call the page, usually its path.
    pub name: String,
    /// The page as it was read.
    pub text: String,
    /// The scenarios in their order; headings without a `console` block have none.
    pub scenarios: Vec<Scenario>,
}

/// What stands below one heading.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The text of the heading, or the page's name for blocks before the first heading.
    pub title: String,
    /// The line of the heading, counted from 1.
    pub line: usize,
    /// The `console` blocks, at least one.
    pub blocks: Vec<Block>,
}

/// One `console` block.
#[derive(Clone, Debug)]
pub struct Block {
    /// The line of the opening fence, counted from 1.
    pub line: usize,
    /// What the comment before the block says.
    pub control: Control,
    /// The commands, at least one.
    pub steps: Vec<Step>,
}

/// One command with what is expected of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The line of the `$`, counted from 1.
    pub line: usize,
    /// What bash gets; continued lines are joined by line feeds.
    pub command: String,
    /// The expected output, a line each, with elisions.
    pub expected: Vec<String>,
    /// The expected exit status.
    pub status: i32,
    /// The lines below the command, counted from 1, that hold the expected output and status.
    pub result_lines: Range<usize>,
}

/// A page that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file can be read, but a block or a comment in it is malformed.
    #[error("{page}:{line}: {message}")]
    Malformed {
        /// The page's name.
        page: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

impl Page {
    /// Reads a page from a file.
    ///
    /// # Errors
    /// When the file cannot be read, or as [`Page::parse`].
    pub fn read(path: &Path) -> Result<Page, ParseError> {
        let text = std::fs::read_to_string(path).map_err(|source| ParseError::Read {
            path: path.display().to_string(),
            source,
        })?;
        Page::parse(&path.display().to_string(), &text)
    }

    /// Reads a page from its text.
    ///
    /// # Errors
    /// When a control comment has an unknown word or stands before no block, or when a block does not begin
    /// with a command.
    pub fn parse(name: &str, text: &str) -> Result<Page, ParseError> {
        let malformed = |line: usize, message: String| ParseError::Malformed {
            page: name.to_owned(),
            line,
            message,
        };
        let mut scenarios = vec![Scenario {
            title: name.to_owned(),
            line: 1,
            blocks: Vec::new(),
        }];
        let mut pending: Option<(usize, Control)> = None;
        let mut place = Place::Elsewhere;
        for (event, range) in Parser::new_ext(text, Options::empty()).into_offset_iter() {
            let line = line_at(text, range.start);
            match event {
                Event::Start(Tag::Heading { .. }) => {
                    scenarios.push(Scenario {
                        title: String::new(),
                        line,
                        blocks: Vec::new(),
                    });
                    place = Place::Heading;
                }
                Event::End(TagEnd::Heading(_)) => place = Place::Elsewhere,
                Event::Start(Tag::HtmlBlock) => place = Place::Html(line, String::new()),
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info)))
                    if info.split([' ', ',']).next() == Some("console") =>
                {
                    place = Place::Console(line, String::new());
                }
                Event::Html(html) | Event::InlineHtml(html) => match &mut place {
                    Place::Html(_, collected) => collected.push_str(&html),
                    _ if control::comment_body(&html).is_some() => {
                        return Err(malformed(
                            line,
                            "a control comment stands alone, on lines of its own".into(),
                        ));
                    }
                    _ => {}
                },
                Event::End(TagEnd::HtmlBlock) => {
                    if let Place::Html(line, html) = std::mem::replace(&mut place, Place::Elsewhere)
                        && let Some(body) = control::comment_body(&html)
                    {
                        let control =
                            Control::parse(body).map_err(|message| malformed(line, message))?;
                        if let Some((line, _)) = pending.replace((line, control)) {
                            return Err(malformed(
                                line,
                                "this control comment stands before no `console` block".into(),
                            ));
                        }
                    }
                }
                Event::Text(piece) | Event::Code(piece) => match &mut place {
                    Place::Console(_, collected) => collected.push_str(&piece),
                    Place::Heading => {
                        if let Some(scenario) = scenarios.last_mut() {
                            scenario.title.push_str(&piece);
                        }
                    }
                    _ => {}
                },
                Event::End(TagEnd::CodeBlock) => {
                    if let Place::Console(line, body) =
                        std::mem::replace(&mut place, Place::Elsewhere)
                    {
                        let control = pending
                            .take()
                            .map(|(_, control)| control)
                            .unwrap_or_default();
                        let steps = steps(&body, line + 1)
                            .map_err(|(line, message)| malformed(line, message))?;
                        if let Some(scenario) = scenarios.last_mut() {
                            scenario.blocks.push(Block {
                                line,
                                control,
                                steps,
                            });
                        }
                    } else if let Some((line, _)) = pending {
                        return Err(malformed(
                            line,
                            "this control comment stands before a block that is not `console`"
                                .into(),
                        ));
                    }
                }
                _ => {}
            }
        }
        if let Some((line, _)) = pending {
            return Err(malformed(
                line,
                "this control comment stands before no `console` block".into(),
            ));
        }
        scenarios.retain(|scenario| !scenario.blocks.is_empty());
        Ok(Page {
            name: name.to_owned(),
            text: text.to_owned(),
            scenarios,
        })
    }
}

/// Where the reader of events is, with what it has collected there.
enum Place {
    Elsewhere,
    Heading,
    Html(usize, String),
    Console(usize, String),
}

/// The line of a byte, counted from 1.
fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}

/// Reads the lines of a block; `first` is the number of its first line.
fn steps(body: &str, first: usize) -> Result<Vec<Step>, (usize, String)> {
    let mut steps: Vec<Step> = Vec::new();
    let mut in_command = false;
    let mut has_status = false;
    for (number, line) in (first..).zip(body.lines()) {
        if line == "$" || line.starts_with("$ ") {
            let command = line.get(2..).unwrap_or("").to_owned();
            steps.push(Step {
                line: number,
                command,
                expected: Vec::new(),
                status: 0,
                result_lines: number + 1..number + 1,
            });
            in_command = true;
            has_status = false;
            continue;
        }
        let Some(step) = steps.last_mut() else {
            return Err((
                number,
                "a `console` block begins with a command: `$ …`".into(),
            ));
        };
        let continued = (line == ">" || line.starts_with("> ")) && in_command;
        if continued {
            step.command.push('\n');
            step.command.push_str(line.get(2..).unwrap_or(""));
            step.result_lines = number + 1..number + 1;
            continue;
        }
        in_command = false;
        step.result_lines.end = number + 1;
        match status(line) {
            Some(_) if has_status => {
                return Err((number, "this command has two exit statuses".into()));
            }
            Some(status) => {
                step.status = status;
                has_status = true;
            }
            None => step.expected.push(line.trim_end().to_owned()),
        }
    }
    if steps.is_empty() {
        return Err((first, "this `console` block has no command".into()));
    }
    for step in &mut steps {
        while step.expected.last().is_some_and(String::is_empty) {
            step.expected.pop();
        }
    }
    Ok(steps)
}

/// Reads a line `? N`.
fn status(line: &str) -> Option<i32> {
    let number = line.trim_end().strip_prefix("? ")?;
    number
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| number.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PAGE: &str = "# Title\n\ntext\n\n<!-- transcript: timeout=2s -->\n```console\n$ echo a \\\n> b\na b\n...\n? 3\n\n$ true\n```\n\n## Empty\n\n```sh\nls\n```\n\n## Second `one`\n\n* in a list\n\n  ```console\n  $ date\n  [TIME]\n  ```\n";

    #[test]
    fn reads_scenarios_blocks_and_steps() {
        let page = Page::parse("p.md", PAGE).unwrap();
        assert_eq!(
            page.scenarios
                .iter()
                .map(|s| s.title.as_str())
                .collect::<Vec<_>>(),
            ["Title", "Second one"]
        );
        let block = &page.scenarios[0].blocks[0];
        assert_eq!(
            block.control.timeout,
            Some(std::time::Duration::from_secs(2))
        );
        assert_eq!(block.line, 6);
        let step = &block.steps[0];
        assert_eq!(
            (step.command.as_str(), step.status, step.line),
            ("echo a \\\nb", 3, 7)
        );
        assert_eq!(step.expected, ["a b", "..."]);
        assert_eq!(step.result_lines, 9..13);
        assert_eq!(block.steps[1].command, "true");
        assert_eq!(page.scenarios[1].blocks[0].steps[0].expected, ["[TIME]"]);
    }

    #[test]
    fn refuses_malformed_pages_and_names_the_line() {
        let cases = [
            ("```console\nno command\n```\n", 2),
            ("```console\n```\n", 2),
            ("```console\n$ a\n? 1\n? 2\n```\n", 4),
            ("<!-- transcript: terminal -->\n\ntext\n", 1),
            ("<!-- transcript: terminal -->\n```sh\nls\n```\n", 1),
            ("<!-- transcript: what -->\n```console\n$ ls\n```\n", 1),
            ("text <!-- transcript: terminal --> text\n", 1),
        ];
        for (text, expected) in cases {
            match Page::parse("p.md", text) {
                Err(ParseError::Malformed { line, .. }) => assert_eq!(line, expected, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    proptest! {
        /// Whatever is written as steps is read back as the same steps.
        #[test]
        fn steps_survive_writing_and_reading(
            written in proptest::collection::vec(("[a-z][a-z |'\"-]{0,20}[a-z]", proptest::collection::vec("[a-z\\[\\].][a-z \\[\\].]{0,20}[a-z\\]]", 0..4), 0..255i32), 1..5)
        ) {
            let mut text = String::from("# T\n\n```console\n");
            for (command, lines, status) in &written {
                text.push_str(&format!("$ {command}\n"));
                for line in lines {
                    text.push_str(&format!("{line}\n"));
                }
                if *status != 0 {
                    text.push_str(&format!("? {status}\n"));
                }
            }
            text.push_str("```\n");
            let page = Page::parse("p.md", &text).unwrap();
            let steps = &page.scenarios[0].blocks[0].steps;
            let read: Vec<_> = steps.iter().map(|s| (s.command.clone(), s.expected.clone(), s.status)).collect();
            prop_assert_eq!(read, written);
        }

        /// No text makes the reader panic.
        #[test]
        fn any_text_is_read_or_refused(text in "[ -~\n`$>?<!]{0,200}") {
            let _ = Page::parse("p.md", &text);
        }
    }
}
