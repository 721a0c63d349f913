//! Shell patterns of filters, as Go's `path.Match` reads them.
//!
//! `*` and `?` stand for anything but a slash, `[a-z]` and `[^a-z]` for one character that is, or is not,
//! in the class, and a backslash takes the meaning from what follows. The whole text must match.
//! Source: <https://pkg.go.dev/path#Match>.

use crate::Error;

/// A pattern that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// `*`
    Any,
    /// `?`
    One,
    /// `[…]`: whether it is negated, and the ranges with both ends.
    Class(bool, Vec<(char, char)>),
    /// This character.
    Literal(char),
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Docker's 500 `syntax error in pattern`.
    pub fn parse(text: &str) -> Result<Pattern, Error> {
        let mut rest = text.chars();
        let mut steps = Vec::new();
        while let Some(next) = rest.next() {
            steps.push(match next {
                '*' => Step::Any,
                '?' => Step::One,
                '[' => class(&mut rest).ok_or_else(syntax_error)?,
                '\\' => Step::Literal(rest.next().ok_or_else(syntax_error)?),
                literal => Step::Literal(literal),
            });
        }
        Ok(Pattern(steps))
    }

    /// Whether the whole text is as the pattern says.
    pub fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        // Which beginnings of the text the steps so far can stand for: no pattern takes more time than its
        // length times that of the text.
        let mut reached = vec![false; text.len() + 1];
        reached[0] = true;
        for step in &self.0 {
            let mut next = vec![false; text.len() + 1];
            for position in 0..=text.len() {
                let before = position.checked_sub(1);
                next[position] = match (step, before) {
                    (Step::Any, None) => reached[0],
                    (Step::Any, Some(before)) => {
                        reached[position] || (next[before] && text[before] != '/')
                    }
                    (_, None) => false,
                    (step, Some(before)) => reached[before] && step.is(text[before]),
                };
            }
            reached = next;
        }
        reached[text.len()]
    }
}

impl Step {
    fn is(&self, found: char) -> bool {
        match self {
            Step::Any | Step::One => found != '/',
            Step::Literal(wanted) => *wanted == found,
            Step::Class(negated, ranges) => {
                *negated
                    != ranges
                        .iter()
                        .any(|(low, high)| (*low..=*high).contains(&found))
            }
        }
    }
}

/// What follows the opening bracket, up to and with the closing one.
fn class(rest: &mut std::str::Chars<'_>) -> Option<Step> {
    let negated = rest.as_str().starts_with('^');
    if negated {
        rest.next();
    }
    let mut ranges = Vec::new();
    loop {
        if rest.as_str().starts_with(']') && !ranges.is_empty() {
            rest.next();
            return Some(Step::Class(negated, ranges));
        }
        let low = class_end(rest)?;
        let high = if rest.as_str().starts_with('-') {
            rest.next();
            class_end(rest)?
        } else {
            low
        };
        ranges.push((low, high));
    }
}

/// One end of a range.
fn class_end(rest: &mut std::str::Chars<'_>) -> Option<char> {
    match rest.next()? {
        '-' | ']' => None,
        '\\' => rest.next(),
        other => Some(other),
    }
}

fn syntax_error() -> Error {
    Error::system("syntax error in pattern")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_go() {
        for (pattern, text, matches) in [
            ("busybox", "busybox", true),
            ("busy*", "busybox:latest", true),
            ("*:latest", "busybox:latest", true),
            ("*", "", true),
            ("*", "a/b", false),
            ("*/*", "a/b", true),
            ("a*", "a/b", false),
            ("b?sybox", "busybox", true),
            ("a?b", "a/b", false),
            ("busybox", "busybox:latest", false),
            ("a[a-c]", "ab", true),
            ("a[^a-c]", "ab", false),
            ("a[^a-c]", "ad", true),
            ("[xa-c]d", "xd", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("", "", true),
            ("", "x", false),
        ] {
            let parsed = Pattern::parse(pattern).unwrap();
            assert_eq!(parsed.matches(text), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_an_error() {
        for pattern in ["[", "[]a]", "a[", "[-x]", "[x-]", "[a", "a\\"] {
            let error = Pattern::parse(pattern).unwrap_err();
            assert_eq!(error, Error::system("syntax error in pattern"), "{pattern}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = Pattern::parse(&"*a".repeat(200)).unwrap();
        assert!(!pattern.matches(&"a".repeat(199)));
    }
}
