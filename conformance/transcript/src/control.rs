//! The control comment that may stand before a block: `<!-- transcript: timeout=20s skip="why" -->`.
//!
//! Control stays out of the block so that a reader sees only what can be typed. An unknown word is an
//! error, because a misspelt `skip` or `timeout` would otherwise do nothing, silently.

use std::time::Duration;

/// What a control comment says about the block after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// `timeout=20s` (or `500ms`): the longest time that each command of the block may take.
    pub timeout: Option<Duration>,
    /// `skip="reason"`: do not run the block. The reason is never empty; it is counted and listed.
    pub skip: Option<String>,
    /// `only="api,drydock"`: the block runs on these rigs and is skipped on the others. Empty: on all.
    pub only: Vec<String>,
    /// `needs="registry,compose"`: the block needs these helpers beside the engine, and is skipped where the caller
    /// has not got them. The caller defines the names.
    pub needs: Vec<String>,
    /// `terminal`: commands get a pseudo-terminal as standard input, output and error.
    pub terminal: bool,
    /// `await="/ # " type="exit\r"`, any number of pairs: what a person would type, and after what they
    /// would type it. They are used up in order over the whole block. Implies `terminal`.
    pub dialogue: Vec<Exchange>,
}

/// One pair of `await` and `type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Text that must appear on the terminal, after what was typed before.
    pub awaited: String,
    /// Bytes sent then.
    pub typed: String,
}

/// Returns the body of a control comment, or nothing when `html` is another kind of HTML.
pub fn comment_body(html: &str) -> Option<&str> {
    let inner = html.trim().strip_prefix("<!--")?.strip_suffix("-->")?;
    Some(inner.trim().strip_prefix("transcript:")?.trim())
}

impl Control {
    /// Reads the body of a control comment, the part after `transcript:`.
    ///
    /// # Errors
    /// A sentence that names the word which is not understood.
    pub fn parse(body: &str) -> Result<Control, String> {
        let mut control = Control::default();
        let mut awaited: Option<String> = None;
        for (key, value) in words(body)? {
            let text = || {
                value
                    .clone()
                    .ok_or_else(|| format!("`{key}` needs a value: {key}=…"))
            };
            match key.as_str() {
                "timeout" => control.timeout = Some(duration(&text()?)?),
                "skip" => {
                    control.skip = Some(
                        Some(text()?)
                            .filter(|reason| !reason.trim().is_empty())
                            .ok_or("`skip` needs a reason")?,
                    );
                }
                "only" => control.only = list(&text()?),
                "needs" => control.needs = list(&text()?),
                "terminal" if value.is_none() => control.terminal = true,
                "await" => awaited = Some(text()?),
                "type" => {
                    let exchange = Exchange {
                        awaited: awaited.take().unwrap_or_default(),
                        typed: text()?,
                    };
                    control.dialogue.push(exchange);
                    control.terminal = true;
                }
                _ => return Err(format!("`{key}` is not a word of a control comment")),
            }
        }
        match awaited {
            Some(text) => Err(format!("`await={text:?}` is not followed by a `type`")),
            None => Ok(control),
        }
    }
}

/// Splits `a, b` into its words.
fn list(text: &str) -> Vec<String> {
    text.split(',').map(|word| word.trim().to_owned()).collect()
}

/// Splits `a=b c="d e" f` into keys and values; quoted values know `\"`, `\\`, `\r`, `\n`, `\t`, `\e` and `\xHH`.
fn words(body: &str) -> Result<Vec<(String, Option<String>)>, String> {
    let mut rest = body.trim_start();
    let mut words = Vec::new();
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| c == '=' || c.is_whitespace())
            .unwrap_or(rest.len());
        let key = rest[..end].to_owned();
        rest = &rest[end..];
        let value = match rest.strip_prefix('=') {
            None => None,
            Some(after) if after.starts_with('"') => {
                let (value, remainder) = quoted(&after[1..])
                    .ok_or_else(|| format!("the quoted value of `{key}` is malformed"))?;
                rest = remainder;
                Some(value)
            }
            Some(after) => {
                let end = after.find(char::is_whitespace).unwrap_or(after.len());
                rest = &after[end..];
                Some(after[..end].to_owned())
            }
        };
        words.push((key, value));
        rest = rest.trim_start();
    }
    Ok(words)
}

/// Reads up to the closing quote; returns the value and what follows the quote.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'r' => '\r',
                'n' => '\n',
                't' => '\t',
                'e' => '\x1b',
                'x' => {
                    let high = characters.next()?.1.to_digit(16)?;
                    let low = characters.next()?.1.to_digit(16)?;
                    char::from_u32(high * 16 + low)?
                }
                other @ ('"' | '\\') => other,
                _ => return None,
            }),
            other => value.push(other),
        }
    }
    None
}

/// Reads `20s`, `500ms` or `2m`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number = text[..digits].parse::<u64>().ok();
    match (number, &text[digits..]) {
        (Some(number), "ms") => Ok(Duration::from_millis(number)),
        (Some(number), "s") => Ok(Duration::from_secs(number)),
        (Some(number), "m") => Ok(Duration::from_secs(number * 60)),
        _ => Err(format!("`{text}` is not a duration like 20s or 500ms")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_all_words() {
        let control = Control::parse(
            r#"timeout=20s only="api, drydock" await="/ # " type="exit\r" type="\x10\x11""#,
        )
        .unwrap();
        assert_eq!(control.timeout, Some(Duration::from_secs(20)));
        assert_eq!(control.only, ["api", "drydock"]);
        assert!(control.terminal);
        assert_eq!(
            control.dialogue[0],
            Exchange {
                awaited: "/ # ".into(),
                typed: "exit\r".into()
            }
        );
        assert_eq!(
            control.dialogue[1],
            Exchange {
                awaited: String::new(),
                typed: "\x10\x11".into()
            }
        );
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for body in [
            "skipp=\"x\"",
            "skip",
            "skip=\"\"",
            "timeout=20",
            "timeout=s",
            "await=\"x\"",
            "skip=\"open",
            "terminal=yes",
            r#"type="\q""#,
        ] {
            assert!(Control::parse(body).is_err(), "{body}");
        }
    }

    #[test]
    fn other_comments_are_not_ours() {
        assert_eq!(comment_body("<!-- a note -->"), None);
        assert_eq!(
            comment_body("<!-- transcript: timeout=1s -->\n"),
            Some("timeout=1s")
        );
    }
}
