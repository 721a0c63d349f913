//! Laying expected and actual lines side by side.
//!
//! One table of edit costs serves both questions: whether the output fits (cost 0), and how to draw the
//! difference so that a reader sees the one line that is wrong. A `...` costs nothing for any number of lines.

use crate::pattern::Pattern;

/// One line of a drawn difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Expected and found. Holds what was found.
    Same(String),
    /// Expected, not found.
    Missing(String),
    /// Found, not expected.
    Unexpected(String),
}

/// Whether `actual` fits `expected`.
pub fn fits(expected: &[String], actual: &[String]) -> bool {
    difference(expected, actual)
        .iter()
        .all(|line| matches!(line, Line::Same(_)))
}

/// Lays both side by side with as few missing and unexpected lines as possible.
pub fn difference(expected: &[String], actual: &[String]) -> Vec<Line> {
    let patterns: Vec<Pattern> = expected.iter().map(|line| Pattern::new(line)).collect();
    let (rows, columns) = (expected.len(), actual.len());
    // cost[i][j]: the smallest number of wrong lines for expected[i..] against actual[j..].
    let mut cost = vec![vec![0usize; columns + 1]; rows + 1];
    for i in (0..=rows).rev() {
        for j in (0..=columns).rev() {
            cost[i][j] = match (patterns.get(i), actual.get(j)) {
                (None, _) => columns - j,
                (Some(Pattern::AnyLines), None) => cost[i + 1][j],
                (Some(Pattern::AnyLines), Some(_)) => cost[i + 1][j].min(cost[i][j + 1]),
                (Some(_), None) => cost[i + 1][j] + 1,
                (Some(pattern), Some(line)) if pattern.fits(line) => cost[i + 1][j + 1],
                (Some(_), Some(_)) => 1 + cost[i + 1][j].min(cost[i][j + 1]),
            };
        }
    }
    let mut lines = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < rows || j < columns {
        match (patterns.get(i), actual.get(j)) {
            (Some(Pattern::AnyLines), line) => {
                if cost[i][j] == cost[i + 1][j] {
                    i += 1;
                } else if let Some(line) = line {
                    lines.push(Line::Same(line.clone()));
                    j += 1;
                }
            }
            (Some(pattern), Some(line)) if pattern.fits(line) => {
                lines.push(Line::Same(line.clone()));
                i += 1;
                j += 1;
            }
            (Some(_), line) if line.is_none() || cost[i][j] == 1 + cost[i + 1][j] => {
                lines.push(Line::Missing(expected[i].clone()));
                i += 1;
            }
            (_, Some(line)) => {
                lines.push(Line::Unexpected(line.clone()));
                j += 1;
            }
            // Without an actual line the arm before the last one has taken the expected line.
            (_, None) => break,
        }
    }
    lines
}

/// Draws a difference: `-` expected and missing, `+` found and not expected, two spaces for equal lines.
pub fn draw(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        let (mark, content) = match line {
            Line::Same(content) => (' ', content),
            Line::Missing(content) => ('-', content),
            Line::Unexpected(content) => ('+', content),
        };
        text.push_str(&format!("  {mark} {content}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn dots_stand_for_any_lines() {
        for (expected, actual) in [
            ("...", ""),
            ("...", "a\nb"),
            ("a\n...", "a"),
            ("a\n...\nd", "a\nb\nc\nd"),
            ("...\nd\n...", "a\nd\nd\nx"),
        ] {
            assert!(
                fits(&lines(expected), &lines(actual)),
                "{expected:?} {actual:?}"
            );
        }
        for (expected, actual) in [
            ("", "a"),
            ("a", ""),
            ("a\n...\nd", "a\nb"),
            ("...\na", "a\nb"),
            ("a\n\nb", "a\nb"),
        ] {
            assert!(
                !fits(&lines(expected), &lines(actual)),
                "{expected:?} {actual:?}"
            );
        }
    }

    #[test]
    fn draws_the_one_wrong_line() {
        let drawn = draw(&difference(
            &lines("one\n[..]\nthree"),
            &lines("one\ntwo\n3"),
        ));
        assert_eq!(drawn, "    one\n    two\n  - three\n  + 3\n");
    }

    proptest! {
        #[test]
        fn lines_fit_themselves(actual in proptest::collection::vec("[a-c]{0,3}", 0..8)) {
            prop_assert!(fits(&actual, &actual));
        }

        /// A difference never invents or loses an actual line.
        #[test]
        fn a_difference_keeps_every_line(
            expected in proptest::collection::vec("(a|b|\\.\\.\\.|\\[\\.\\.\\])", 0..8),
            actual in proptest::collection::vec("[a-c]", 0..8),
        ) {
            let drawn = difference(&expected, &actual);
            let kept: Vec<String> = drawn.iter().filter_map(|line| match line {
                Line::Same(text) | Line::Unexpected(text) => Some(text.clone()),
                Line::Missing(_) => None,
            }).collect();
            prop_assert_eq!(kept, actual);
        }

        /// One changed line is always seen.
        #[test]
        fn a_changed_line_is_seen(actual in proptest::collection::vec("[a-c]{1,3}", 1..8), at in 0usize..8) {
            let mut expected = actual.clone();
            let at = at % expected.len();
            expected[at].push('!');
            prop_assert!(!fits(&expected, &actual));
        }
    }
}
