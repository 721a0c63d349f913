//! The parser: words in, [`Matches`] out.

use super::{Flag, Kind, values};

/// What the user gave.
#[derive(Debug)]
pub struct Matches {
    flags: &'static [&'static [Flag]],
    given: Vec<(&'static str, String)>,
    /// The words that are not flags.
    pub words: Vec<String>,
    /// `--help` was among the flags.
    pub help: bool,
    /// `-h` asked for help; Docker calls that deprecated.
    pub short_help: bool,
}

/// The user's words do not fit the command; the text is Docker's.
#[derive(Debug, PartialEq, Eq)]
pub struct UsageError(pub String);

/// Reads `arguments`. With `interspersed` false the first word that is no flag ends the flags, as in
/// `run IMAGE ls -l`.
pub fn parse(
    flags: &'static [&'static [Flag]],
    interspersed: bool,
    arguments: &[String],
) -> Result<Matches, UsageError> {
    let mut matches = Matches {
        flags,
        given: Vec::new(),
        words: Vec::new(),
        help: false,
        short_help: false,
    };
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            matches.words.extend(rest.cloned());
            break;
        }
        if let Some(long) = word.strip_prefix("--") {
            matches.long(word, long, &mut rest)?;
        } else if word.len() > 1 && word.starts_with('-') {
            matches.cluster(&word[1..], &mut rest)?;
        } else {
            matches.words.push(word.clone());
            if !interspersed {
                matches.words.extend(rest.cloned());
                break;
            }
        }
        if matches.help {
            break;
        }
    }
    Ok(matches)
}

impl Matches {
    fn long(
        &mut self,
        word: &str,
        long: &str,
        rest: &mut std::slice::Iter<'_, String>,
    ) -> Result<(), UsageError> {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_string())),
            None => (long, None),
        };
        if name.is_empty() || name.starts_with('-') {
            return Err(UsageError(format!("bad flag syntax: {word}")));
        }
        // `--net` is the old name of `--network`; both are in every shell history.
        let name = match name {
            "net" => "network",
            "net-alias" => "network-alias",
            "dns-opt" => "dns-option",
            other => other,
        };
        let Some(flag) = self.find(|flag| flag.long == name) else {
            if name == "help" {
                self.help = true;
                return Ok(());
            }
            return Err(UsageError(format!("unknown flag: --{name}")));
        };
        let value = match value {
            Some(value) => value,
            None if flag.kind == Kind::Bool => "true".to_string(),
            None => rest
                .next()
                .cloned()
                .ok_or_else(|| UsageError(format!("flag needs an argument: --{}", flag.long)))?,
        };
        self.set(flag, value)
    }

    fn cluster(
        &mut self,
        letters: &str,
        rest: &mut std::slice::Iter<'_, String>,
    ) -> Result<(), UsageError> {
        let mut letters_left = letters;
        while let Some(letter) = letters_left.chars().next() {
            let behind = &letters_left[letter.len_utf8()..];
            let Some(flag) = self.find(|flag| flag.short == Some(letter)) else {
                if letter == 'h' {
                    (self.help, self.short_help) = (true, true);
                    return Ok(());
                }
                return Err(UsageError(format!(
                    "unknown shorthand flag: '{letter}' in -{letters_left}"
                )));
            };
            if let Some(value) = behind.strip_prefix('=') {
                return self.set(flag, value.to_string());
            }
            if flag.kind == Kind::Bool {
                self.set(flag, "true".to_string())?;
                letters_left = behind;
                continue;
            }
            let value = if behind.is_empty() {
                let missing = || {
                    UsageError(format!(
                        "flag needs an argument: '{letter}' in -{letters_left}"
                    ))
                };
                rest.next().cloned().ok_or_else(missing)?
            } else {
                behind.to_string()
            };
            return self.set(flag, value);
        }
        Ok(())
    }

    fn find(&self, test: impl Fn(&Flag) -> bool) -> Option<&'static Flag> {
        self.flags
            .iter()
            .flat_map(|group| group.iter())
            .find(|flag| test(flag))
    }

    fn set(&mut self, flag: &'static Flag, value: String) -> Result<(), UsageError> {
        flag.kind.check(&value).map_err(|problem| {
            let name = match flag.short {
                Some(letter) => format!("-{letter}, --{}", flag.long),
                None => format!("--{}", flag.long),
            };
            UsageError(format!(
                "invalid argument {value:?} for {name:?} flag: {problem}"
            ))
        })?;
        self.given.push((flag.long, value));
        Ok(())
    }

    /// Whether the command has such a flag at all: `create` has no `--detach`.
    pub fn has(&self, long: &str) -> bool {
        self.find(|flag| flag.long == long).is_some()
    }

    /// Whether the user gave the flag.
    pub fn given(&self, long: &str) -> bool {
        debug_assert!(
            self.find(|flag| flag.long == long).is_some(),
            "no flag --{long} is declared"
        );
        self.given.iter().any(|(name, _)| *name == long)
    }

    /// The last value given, else the flag's default.
    pub fn text(&self, long: &str) -> &str {
        let default = self
            .find(|flag| flag.long == long)
            .map_or("", |flag| flag.default);
        debug_assert!(
            self.find(|flag| flag.long == long).is_some(),
            "no flag --{long} is declared"
        );
        self.given
            .iter()
            .rev()
            .find(|(name, _)| *name == long)
            .map_or(default, |(_, value)| value)
    }

    /// All values given, in order.
    pub fn list(&self, long: &str) -> Vec<String> {
        debug_assert!(
            self.find(|flag| flag.long == long).is_some(),
            "no flag --{long} is declared"
        );
        self.given
            .iter()
            .filter(|(name, _)| *name == long)
            .map(|(_, value)| value.clone())
            .collect()
    }

    /// A switch.
    pub fn switch(&self, long: &str) -> bool {
        values::boolean(self.text(long)).unwrap_or(false)
    }

    /// A number; 0 where none was given and there is no default.
    pub fn int(&self, long: &str) -> i64 {
        values::integer(self.text(long)).unwrap_or(0)
    }

    /// A size in bytes; 0 where none was given.
    pub fn bytes(&self, long: &str) -> i64 {
        values::swap_bytes(self.text(long)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Flag;

    const FLAGS: &[&[Flag]] = &[&[
        Flag::switch("interactive", "").short('i'),
        Flag::switch("tty", "").short('t'),
        Flag::switch("sig-proxy", "").default("true"),
        Flag::text("name", ""),
        Flag::list("env", "").short('e'),
        Flag::int("cpu-shares", "").short('c'),
    ]];

    fn run(line: &str, interspersed: bool) -> Result<Matches, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_string).collect();
        parse(FLAGS, interspersed, &words).map_err(|error| error.0)
    }

    #[test]
    fn clusters_values_and_defaults() {
        let matches = run(
            "-ite A=1 --name=x -eB=2 -c=7 --sig-proxy=false image ls -l",
            false,
        )
        .unwrap();
        assert!(
            matches.switch("interactive") && matches.switch("tty") && !matches.switch("sig-proxy")
        );
        assert_eq!(matches.list("env"), ["A=1", "B=2"]);
        assert_eq!((matches.text("name"), matches.int("cpu-shares")), ("x", 7));
        assert_eq!(matches.words, ["image", "ls", "-l"]);
        assert!(run("", true).unwrap().switch("sig-proxy"));
        assert!(!run("-t=false", true).unwrap().switch("tty"));
    }

    #[test]
    fn where_flags_end() {
        assert_eq!(run("a -t b", true).unwrap().words, ["a", "b"]);
        assert_eq!(run("a -- -t", true).unwrap().words, ["a", "-t"]);
        assert_eq!(run("- -t", true).unwrap().words, ["-"]);
        assert!(run("--help --nonsense", true).unwrap().help);
    }

    #[test]
    fn errors_are_those_of_the_stock_client() {
        for (line, text) in [
            ("--foo", "unknown flag: --foo"),
            ("--foo=1", "unknown flag: --foo"),
            ("-itZ", "unknown shorthand flag: 'Z' in -Z"),
            ("-itZx", "unknown shorthand flag: 'Z' in -Zx"),
            ("--name", "flag needs an argument: --name"),
            ("-ite", "flag needs an argument: 'e' in -e"),
            ("--=x", "bad flag syntax: --=x"),
            (
                "-c abc",
                "invalid argument \"abc\" for \"-c, --cpu-shares\" flag: strconv.ParseInt: parsing \"abc\": invalid syntax",
            ),
            (
                "--tty=maybe",
                "invalid argument \"maybe\" for \"-t, --tty\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax",
            ),
        ] {
            assert_eq!(run(line, true).unwrap_err(), text, "{line}");
        }
    }
}
