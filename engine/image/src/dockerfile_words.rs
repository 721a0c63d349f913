//! Words of a Dockerfile instruction: split at blanks, with quotes, backslashes and variables (Dockerfile
//! reference, "Environment replacement"). `env` is what ENV has set so far, as `NAME=value`.

use crate::error::Error;

/// Words with quotes removed and variables filled in.
pub(crate) fn words(env: &[String], text: &str) -> Result<Vec<String>, Error> {
    split(text).iter().map(|word| expand(env, word)).collect()
}

/// Splits at blanks outside quotes; the quotes stay.
pub(crate) fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', None | Some('"')) => {
                word.push(letter);
                word.extend(letters.next());
            }
            (letter, None) if letter.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            _ => {
                match quote {
                    None if letter == '"' || letter == '\'' => quote = Some(letter),
                    Some(open) if letter == open => quote = None,
                    _ => {}
                }
                word.push(letter);
            }
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Removes quotes and fills in `$NAME` and `${NAME}` from the environment set so far; unknown is empty.
pub(crate) fn expand(env: &[String], word: &str) -> Result<String, Error> {
    let mut result = String::new();
    let mut quote = None;
    let mut letters = word.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', None | Some('"')) => match letters.next() {
                // In double quotes a backslash stays, but before what it protects.
                Some(next) if quote.is_some() && !matches!(next, '"' | '\\' | '$') => {
                    result.extend(['\\', next])
                }
                Some(next) => result.push(next),
                None => {}
            },
            ('$', None | Some('"')) => result.push_str(&variable(env, &mut letters, word)?),
            ('"' | '\'', None) => quote = Some(letter),
            (_, Some(open)) if letter == open => quote = None,
            _ => result.push(letter),
        }
    }
    Ok(result)
}

/// What stands for `NAME`, `{NAME}`, `{NAME:-default}` or `{NAME:+instead}` after a `$`.
fn variable(
    env: &[String],
    letters: &mut std::iter::Peekable<std::str::Chars<'_>>,
    word: &str,
) -> Result<String, Error> {
    let braces = letters.next_if_eq(&'{').is_some();
    let mut name = String::new();
    while let Some(letter) =
        letters.next_if(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
    {
        name.push(letter);
    }
    if !braces {
        return Ok(if name.is_empty() {
            "$".to_owned()
        } else {
            value_of(env, &name)
        });
    }
    let modifier: String = letters
        .by_ref()
        .take_while(|letter| *letter != '}')
        .collect();
    let value = value_of(env, &name);
    match modifier.split_at_checked(2) {
        _ if modifier.is_empty() && !name.is_empty() => Ok(value),
        Some((":-", default)) => {
            if value.is_empty() {
                expand(env, default)
            } else {
                Ok(value)
            }
        }
        Some((":+", instead)) => {
            if value.is_empty() {
                Ok(value)
            } else {
                expand(env, instead)
            }
        }
        _ => Err(Error::InvalidParameter(format!(
            "failed to process {word:?}: unsupported modifier in substitution"
        ))),
    }
}

/// The value of a variable; one that is not set is empty.
fn value_of(env: &[String], name: &str) -> String {
    let value = env
        .iter()
        .find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_default().to_owned()
}
