//! A failure's text, taken apart again for a page that draws it in colours.
//!
//! The text is what `transcript` writes for people: a line `PAGE:LINE: TITLE`, the command, then lines with two spaces
//! and a mark. It is read back here rather than carried in two forms, because the text is what the lists, the
//! terminal and the JSON file have as well: all of them show the same failure. A line that fits nothing is a note, so
//! nothing is lost.

use serde::Serialize;

use super::place;

/// Equal lines that stay on each side of a difference. Longer stretches are folded.
const CONTEXT: usize = 3;

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mark {
    /// Where the scenario stands, and its title.
    Place,
    /// A command, or its next line.
    Command,
    /// Docker says this, and it was missing.
    Expected,
    /// This was found instead.
    Found,
    /// The same on both sides.
    Same,
    /// Equal lines that are not shown.
    Folded,
    /// Anything else.
    Note,
}

/// One line of a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Line {
    pub mark: Mark,
    pub text: String,
}

/// The lines of a failure's text.
pub(super) fn lines(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for line in text.lines() {
        let before = lines.last().map(|line| line.mark);
        let (mark, text) = read(line, before);
        lines.push(Line {
            mark,
            text: visible(text),
        });
    }
    folded(lines)
}

/// An equal line may begin with `$ ` as well; a command follows its place or another line of itself.
fn read(line: &str, before: Option<Mark>) -> (Mark, &str) {
    let in_command = matches!(before, Some(Mark::Place | Mark::Command));
    if let Some(rest) = line.strip_prefix("    ") {
        return match rest.as_bytes() {
            [b'$', b' ', ..] if before == Some(Mark::Place) => (Mark::Command, rest),
            [b'>', b' ', ..] if in_command => (Mark::Command, rest),
            _ => (Mark::Same, rest),
        };
    }
    if let Some(rest) = line.strip_prefix("  - ") {
        (Mark::Expected, rest)
    } else if let Some(rest) = line.strip_prefix("  + ") {
        (Mark::Found, rest)
    } else if !line.starts_with(' ') && line.contains(".md:") {
        (Mark::Place, place(line))
    } else {
        (Mark::Note, line.trim_start())
    }
}

/// Control characters as their pictures: a page would swallow them, and they may be the whole difference.
fn visible(text: &str) -> String {
    let picture = |character: char| match u32::from(character) {
        code @ 0..=0x1f if character != '\t' => char::from_u32(0x2400 + code).unwrap_or('\u{fffd}'),
        0x7f => '\u{2421}',
        _ => character,
    };
    text.chars().map(picture).collect()
}

/// Folds what is equal and far from a difference.
fn folded(lines: Vec<Line>) -> Vec<Line> {
    let mut result = Vec::new();
    for stretch in lines.chunk_by(|a, b| (a.mark == Mark::Same) == (b.mark == Mark::Same)) {
        let hidden = stretch.len().saturating_sub(2 * CONTEXT);
        // A fold stands for several lines: one in the place of one or two would save nothing.
        if stretch[0].mark != Mark::Same || hidden < 3 {
            result.extend_from_slice(stretch);
            continue;
        }
        result.extend_from_slice(&stretch[..CONTEXT]);
        result.push(Line {
            mark: Mark::Folded,
            text: format!("{hidden} equal lines"),
        });
        result.extend_from_slice(&stretch[stretch.len() - CONTEXT..]);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::DIFFERENCE;

    fn marks(text: &str) -> Vec<Mark> {
        lines(text).iter().map(|line| line.mark).collect()
    }

    #[test]
    fn a_failure_is_taken_apart() {
        use Mark::{Command, Expected, Found, Place, Same};
        assert_eq!(
            marks(DIFFERENCE),
            [
                Place, Command, Command, Same, Expected, Found, Expected, Found
            ]
        );
        let found = &lines(DIFFERENCE)[5];
        assert_eq!(found.text, "found \u{241b}[1m");
    }

    #[test]
    fn a_place_is_the_same_on_every_machine() {
        let text = "/home/me/drydock/conformance/scenarios/t/p.md:7: T\n";
        assert_eq!(lines(text)[0].text, "scenarios/t/p.md:7: T");
    }

    #[test]
    fn what_fits_nothing_is_a_note() {
        assert_eq!(marks("  left behind: container x\n"), [Mark::Note]);
        assert_eq!(marks("no answer\n"), [Mark::Note]);
    }

    #[test]
    fn an_output_that_looks_like_a_command_is_none() {
        let text = "p.md:1: T\n    $ true\n  - a\n    $ echo\n    > x\n";
        assert_eq!(marks(text)[3..], [Mark::Same, Mark::Same]);
    }

    #[test]
    fn long_equal_stretches_are_folded() {
        let text = (0..20)
            .map(|number| format!("    {number}\n"))
            .collect::<String>();
        let lines = lines(&text);
        assert_eq!(lines.len(), 7);
        assert_eq!(lines[3].text, "14 equal lines");
        let text = (0..8)
            .map(|number| format!("    {number}\n"))
            .collect::<String>();
        assert_eq!(super::lines(&text).len(), 8);
    }
}
