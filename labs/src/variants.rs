//! Values that differ from run to run, from a seed.
//!
//! A case may say `{name}` or `{port-2}` in its input and in what it expects. Every run puts other values
//! there, so a table of the known inputs passes nothing; the same seed gives the same values, so a result
//! can be reproduced. Values are made by hashing: there is no generator whose state could depend on the
//! order of the tasks.

use std::fmt::Write;

use anyhow::{Result, bail};
use sha2::{Digest, Sha256};

/// The longest text that `{text*count}` makes.
const REPEAT_MAX: usize = 10_000;

/// Replaces the placeholders of one case. `scope` says which case and which repetition it is.
#[derive(Clone, Debug)]
pub struct Variants {
    seed: u64,
    scope: String,
}

const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const LETTERS_AND_DIGITS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const HEXADECIMAL: &[u8] = b"0123456789abcdef";

impl Variants {
    /// The values of one scope under one seed.
    pub fn new(seed: u64, scope: impl Into<String>) -> Variants {
        Variants {
            seed,
            scope: scope.into(),
        }
    }

    /// Replaces every `{placeholder}`. Fails on an unknown one and on a brace without its partner, which is
    /// an error of the lab's author.
    pub fn expand(&self, text: &str) -> Result<String> {
        let mut result = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((placeholder, after)) = after.split_once('}') else {
                bail!("`{text}`: a `{{` has no `}}`");
            };
            result.push_str(before);
            result.push_str(&self.value(placeholder)?);
            rest = after;
        }
        result.push_str(rest);
        Ok(result)
    }

    /// The value of one placeholder: `kind`, `kind-which`, or `text*count` for a text of a certain length.
    fn value(&self, placeholder: &str) -> Result<String> {
        if let Some((text, count)) = placeholder.split_once('*') {
            return match count.parse::<usize>() {
                Ok(count) if count.saturating_mul(text.len()) <= REPEAT_MAX => {
                    Ok(text.repeat(count))
                }
                _ => bail!("`{{{placeholder}}}` is not a text, `*` and a small number"),
            };
        }
        let kind = placeholder.split('-').next().unwrap_or_default();
        let bytes = self.bytes(placeholder);
        let length = 4 + usize::from(bytes[63]) % 6;
        Ok(match kind {
            // A path component or a host's part: letters, then letters and digits.
            "name" => pick(&bytes[..1], LETTERS) + &pick(&bytes[1..length], LETTERS_AND_DIGITS),
            "upper" => pick(&bytes[..length], LETTERS).to_uppercase(),
            "port" => (1024 + u16::from_be_bytes([bytes[0], bytes[1]]) % 60000).to_string(),
            "tag" => format!(
                "{}.{}-{}",
                bytes[0],
                bytes[1],
                pick(&bytes[2..2 + length], LETTERS)
            ),
            "hex" => pick(&bytes, HEXADECIMAL),
            _ => bail!("unknown placeholder `{{{placeholder}}}`"),
        })
    }

    /// 64 bytes for one placeholder.
    fn bytes(&self, placeholder: &str) -> Vec<u8> {
        (0..2u8)
            .flat_map(|half| {
                let text = format!("{}\n{}\n{placeholder}\n{half}", self.seed, self.scope);
                Sha256::digest(text.as_bytes())
            })
            .collect()
    }
}

fn pick(bytes: &[u8], alphabet: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()]))
        .collect()
}

/// A number that nobody can foresee, from the kernel (getrandom(2) by /dev/urandom).
pub fn random() -> Result<u64> {
    use std::io::Read;
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_be_bytes(bytes))
}

/// 32 hexadecimal digits that nobody can foresee.
pub fn nonce() -> Result<String> {
    let mut text = String::new();
    for _ in 0..2 {
        write!(text, "{:016x}", random()?)?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_values() {
        let text = "{name}/{name-2}:{tag}@sha256:{hex} {port} {upper}";
        let first = Variants::new(7, "task 0").expand(text).unwrap();
        assert_eq!(first, Variants::new(7, "task 0").expand(text).unwrap());
        assert_ne!(first, Variants::new(8, "task 0").expand(text).unwrap());
        assert_ne!(first, Variants::new(7, "task 1").expand(text).unwrap());
    }

    #[test]
    fn a_placeholder_means_one_value_in_one_scope() {
        let variants = Variants::new(1, "s");
        assert_eq!(
            variants.expand("{name}").unwrap().repeat(2),
            variants.expand("{name}{name}").unwrap()
        );
        assert_ne!(
            variants.expand("{name-a}").unwrap(),
            variants.expand("{name-b}").unwrap()
        );
        assert_eq!(variants.expand("{hex}").unwrap().len(), 64);
        assert_eq!(variants.expand("plain").unwrap(), "plain");
    }

    #[test]
    fn an_authors_mistake_is_an_error() {
        let variants = Variants::new(1, "s");
        assert!(variants.expand("{nmae}").is_err());
        assert!(variants.expand("{name").is_err());
        assert_eq!(variants.expand("{ab*3}").unwrap(), "ababab");
        assert!(variants.expand("{a*99999}").is_err());
    }
}
