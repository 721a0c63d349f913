//! Digests: the names of content-addressed objects (OCI image specification, "Descriptors").
//!
//! A digest is the algorithm and the hash of some bytes, `sha256:` and 64 hexadecimal digits. It is the name
//! of those bytes everywhere: whoever has the name can check the bytes, and equal bytes are stored once.
//!
//! The type is strict, because digests become file names here. Upper case, other algorithms, other lengths
//! and `sha256:../../etc` do not parse, so no digest can name a file outside its folder (CVE-2024-3727 is
//! what happens without that). Docker accepts sha384 and sha512 in places; nobody publishes images so.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest. Its text form is `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// The 64 hexadecimal digits without the algorithm: safe as a file name.
    pub fn hex(&self) -> String {
        use std::fmt::Write;
        self.0
            .iter()
            .fold(String::with_capacity(64), |mut text, byte| {
                // Writing to a String cannot fail.
                let _ = write!(text, "{byte:02x}");
                text
            })
    }

    /// The first 12 digits, as tables and messages show an id.
    pub fn short(&self) -> String {
        let mut hex = self.hex();
        hex.truncate(12);
        hex
    }

    /// Parses 64 hexadecimal digits without the algorithm.
    pub fn from_hex(hex: &str) -> Result<Digest, InvalidDigest> {
        let digits = hex.as_bytes();
        if digits.len() != 64 {
            return Err(InvalidDigest::Length);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Digest(bytes))
    }
}

/// The value of one lower-case hexadecimal digit.
fn nibble(digit: u8) -> Result<u8, InvalidDigest> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(InvalidDigest::Format),
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Digest, InvalidDigest> {
        match text.split_once(':') {
            Some(("sha256", hex)) => Digest::from_hex(hex),
            Some(_) => Err(InvalidDigest::Algorithm),
            None => Err(InvalidDigest::Format),
        }
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse()
            .map_err(|error| D::Error::custom(format!("{error}: {text:?}")))
    }
}

/// Why a text is not a digest, in the words of Docker's digest package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDigest {
    /// Not `algorithm:hexadecimal`.
    #[error("invalid checksum digest format")]
    Format,
    /// Not 64 digits.
    #[error("invalid checksum digest length")]
    Length,
    /// Not sha256.
    #[error("unsupported digest algorithm")]
    Algorithm,
}

/// Hashes what passes through it, in either direction.
pub struct Hashing<Inner> {
    inner: Inner,
    hasher: Sha256,
    length: u64,
}

impl<Inner> Hashing<Inner> {
    /// Starts a hash around a reader or a writer.
    pub fn new(inner: Inner) -> Self {
        Hashing {
            inner,
            hasher: Sha256::new(),
            length: 0,
        }
    }

    /// The digest of everything that passed, how many bytes that were, and the inner reader or writer.
    pub fn finish(self) -> (Digest, u64, Inner) {
        (
            Digest(self.hasher.finalize().into()),
            self.length,
            self.inner,
        )
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.pass(&buffer[..count]);
        Ok(count)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.pass(&buffer[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_names_its_bytes() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse(), Ok(Digest::of(b"")));
        assert_eq!(Digest::of(b"").short(), "e3b0c44298fc");
    }

    #[test]
    fn nothing_else_parses() {
        let hex = &EMPTY[7..];
        let cases = [
            (String::new(), InvalidDigest::Format),
            (hex.to_owned(), InvalidDigest::Format),
            (format!("sha256:{}", &hex[1..]), InvalidDigest::Length),
            (format!("sha256:{hex}0"), InvalidDigest::Length),
            (
                format!("sha256:{}", hex.to_uppercase()),
                InvalidDigest::Format,
            ),
            (format!("sha512:{hex}"), InvalidDigest::Algorithm),
            (
                format!("sha256:../../../../{}", &hex[12..]),
                InvalidDigest::Format,
            ),
            (format!("sha256:{}\n", &hex[1..]), InvalidDigest::Format),
            (format!("sha256:é{}", &hex[2..]), InvalidDigest::Format),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Digest>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn both_directions_are_hashed() {
        let mut reader = Hashing::new(&b"hello"[..]);
        io::copy(&mut reader, &mut io::sink()).unwrap();
        let (digest, length, _) = reader.finish();
        assert_eq!((digest, length), (Digest::of(b"hello"), 5));
        let mut writer = Hashing::new(Vec::new());
        writer.write_all(b"hello").unwrap();
        assert_eq!(
            writer.finish(),
            (Digest::of(b"hello"), 5, b"hello".to_vec())
        );
    }

    #[test]
    fn json_is_the_text_form() {
        let digest = Digest::of(b"");
        assert_eq!(
            serde_json::to_string(&digest).unwrap(),
            format!("\"{EMPTY}\"")
        );
        assert_eq!(
            serde_json::from_str::<Digest>(&format!("\"{EMPTY}\"")).unwrap(),
            digest
        );
        assert!(serde_json::from_str::<Digest>("\"sha256:..\"").is_err());
    }
}
