//! One expected line, with its elisions.
//!
//! | written | stands for |
//! |---|---|
//! | `...` (the whole line) | any number of lines, also none |
//! | `[..]` | any text within the line, also none |
//! | `[ID]` | 64 hexadecimal digits: the id of a container or an image |
//! | `[SHORT_ID]` | 12 hexadecimal digits |
//! | `[DIGEST]` | `sha256:` and 64 hexadecimal digits |
//! | `[IP]` | an IPv4 or IPv6 address |
//! | `[MAC]` | six pairs of hexadecimal digits with colons |
//! | `[TIME]` | a point in time: RFC 3339, or as `docker images` writes it: `2026-01-31 12:00:00 +0000 UTC` |
//! | `[DURATION]` | a length of time: `3 seconds`, `About a minute`, `1.5s`, `2m3s` |
//! | `[SIZE]` | a size: `1.98MB`, `64 MiB`, `0B` |
//!
//! The same name may stand for different values on one page. Everything else is compared as it is written;
//! a bracket that begins no elision is a bracket.

use regex_lite::Regex;

/// The elisions within a line and what each stands for, as a regular expression.
const ELISIONS: &[(&str, &str)] = &[
    ("[..]", ".*"),
    ("[ID]", "[0-9a-f]{64}"),
    ("[SHORT_ID]", "[0-9a-f]{12}"),
    ("[DIGEST]", "sha256:[0-9a-f]{64}"),
    (
        "[IP]",
        r"(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]*:[0-9a-fA-F:]*:[0-9a-fA-F]*)",
    ),
    ("[MAC]", "[0-9a-f]{2}(?::[0-9a-f]{2}){5}"),
    (
        "[TIME]",
        r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d| [+-]\d{4} [A-Z]+)",
    ),
    (
        "[DURATION]",
        r"(?:Less than a second|About a minute|About an hour|\d+ (?:second|minute|hour|day|week|month|year)s?|\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h)(?:\d+(?:\.\d+)?[ms]+)*)",
    ),
    ("[SIZE]", r"\d+(?:\.\d+)?(?:e[+-]\d+)? ?(?:[kKMGTP]i?)?B"),
];

/// One line of expected output.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// `...`: any number of lines.
    AnyLines,
    /// A line without elisions.
    Exact(String),
    /// A line with elisions.
    Elided(Regex),
}

impl Pattern {
    /// Reads one expected line. Spaces at its end do not count.
    pub fn new(line: &str) -> Pattern {
        let line = line.trim_end();
        if line == "..." {
            return Pattern::AnyLines;
        }
        let mut expression = String::from("^");
        let mut literal_from = 0;
        let mut at = 0;
        while let Some(offset) = line[at..].find('[') {
            at += offset;
            match ELISIONS
                .iter()
                .find(|(name, _)| line[at..].starts_with(name))
            {
                Some((name, meaning)) => {
                    expression.push_str(&regex_lite::escape(&line[literal_from..at]));
                    expression.push_str(meaning);
                    at += name.len();
                    literal_from = at;
                }
                None => at += 1,
            }
        }
        if literal_from == 0 && expression == "^" {
            return Pattern::Exact(line.to_owned());
        }
        expression.push_str(&regex_lite::escape(&line[literal_from..]));
        expression.push('$');
        match Regex::new(&expression) {
            Ok(regex) => Pattern::Elided(regex),
            // A line longer than the regular expression's limit: then only the literal text can match.
            Err(_) => Pattern::Exact(line.to_owned()),
        }
    }

    /// Whether one line of output fits. [`Pattern::AnyLines`] fits every line.
    pub fn fits(&self, line: &str) -> bool {
        let line = line.trim_end();
        match self {
            Pattern::AnyLines => true,
            Pattern::Exact(text) => text == line,
            Pattern::Elided(regex) => regex.is_match(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fits(pattern: &str, line: &str) -> bool {
        Pattern::new(pattern).fits(line)
    }

    #[test]
    fn elisions_stand_for_what_they_say() {
        let id = "0123456789abcdef".repeat(4);
        let yes = [
            ("[ID]", id.as_str()),
            ("x[..]z", "xz"),
            ("x[..]z", "x y z  "),
            ("[SHORT_ID]   busybox", "0123456789ab   busybox"),
            ("[IP] [IP]", "10.0.0.1 fe80::1"),
            ("[MAC]", "02:42:ac:11:00:02"),
            ("[TIME]", "2026-11-21T06:51:00.123456789Z"),
            ("[TIME]", "0001-01-01T00:00:00Z"),
            ("[TIME]", "2026-11-21 06:51:00 +0000 UTC"),
            ("Up [DURATION]", "Up Less than a second"),
            ("Exited (3) [DURATION] ago", "Exited (3) 2 hours ago"),
            ("[DURATION]", "1m30.5s"),
            ("[SIZE] (virtual [SIZE])", "0B (virtual 1.98MB)"),
            ("[[..]]", "[anything]"),
            ("a [b] c.*", "a [b] c.*"),
        ];
        for (pattern, line) in yes {
            assert!(fits(pattern, line), "{pattern} should fit {line}");
        }
        let no = [
            ("[ID]", &id[1..]),
            ("[SHORT_ID]", "0123456789aB"),
            ("[IP]", "10.0.0"),
            ("[TIME]", "yesterday"),
            ("[DURATION]", "soon"),
            ("[SIZE]", "big"),
            ("a.c", "abc"),
            ("[DIGEST]", id.as_str()),
            ("", "x"),
        ];
        for (pattern, line) in no {
            assert!(!fits(pattern, line), "{pattern} should not fit {line}");
        }
    }

    proptest! {
        /// A line without elisions fits itself and nothing longer.
        #[test]
        fn plain_text_fits_only_itself(line in "[ -Z^-~]{1,40}[!-Z]") {
            prop_assert!(fits(&line, &line));
            let longer = format!("{line}x");
            prop_assert!(!fits(&line, &longer));
        }

        /// Any cut-out text may be replaced by `[..]`.
        #[test]
        fn any_part_may_be_elided(before in "[ -~]{0,10}", middle in "[ -~]{0,10}", after in "[!-~]{0,10}") {
            prop_assume!(!before.contains('[') && !after.contains('['));
            let pattern = format!("{before}[..]{after}");
            let line = format!("{before}{middle}{after}");
            prop_assert!(fits(&pattern, &line));
        }
    }
}
