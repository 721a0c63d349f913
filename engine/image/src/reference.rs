//! Image references: what a user types to name an image (Docker's `distribution/reference`, version 0.6).
//!
//! ```text
//! reference  := name [ ":" tag ] [ "@" digest ]
//! name       := [ domain "/" ] path
//! domain     := host [ ":" port ]            host: a DNS name, an IPv4 address or an IPv6 one in brackets
//! path       := component { "/" component }  lower-case letters and digits, joined by . _ __ or dashes
//! tag        := 1 to 128 of A-Z a-z 0-9 _ . -, not starting with . or -
//! digest     := algorithm ":" at least 32 hexadecimal digits
//! ```
//!
//! People type less than that: `busybox` means `docker.io/library/busybox`, and without a tag or a digest,
//! the tag `latest`. [`Reference::parse`] adds the domain and `library/`, [`Reference::with_default_tag`]
//! the tag, and [`Reference::familiar`] takes all of it away again for showing.
//!
//! Whether `a/b` starts with a domain is decided by looking at `a`: it is one if it has a dot, a colon or an
//! upper-case letter, or is `localhost`. So `team/app` is a path on Docker Hub, `team.io/app` is not.
//!
//! This file needs nothing but the standard library, and nothing of this crate.

use std::fmt;

/// The domain that is meant when none is typed.
pub const DEFAULT_DOMAIN: &str = "docker.io";
/// An old name of it, which still is accepted.
const LEGACY_DEFAULT_DOMAIN: &str = "index.docker.io";
/// What single-word names on Docker Hub get in front.
const OFFICIAL_PREFIX: &str = "library/";
/// The tag that is meant when neither a tag nor a digest is typed.
pub const DEFAULT_TAG: &str = "latest";
/// The longest path, in bytes.
const PATH_LENGTH_MAX: usize = 255;

/// A full reference: the domain is always there, tag and digest may be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<String>,
}

/// What a name on the command line of `docker run` or `docker rmi` can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnyReference {
    /// A whole image id, as `sha256:` and 64 digits; the prefix may have been left out.
    Digest(String),
    /// A name. It can still be meant as the beginning of an id: only the store can tell.
    Named(Reference),
}

/// Why a text is not a reference. The texts are Docker's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// It does not have the form of a reference.
    Format,
    /// The path has an upper-case letter; holds the path.
    Uppercase(String),
    /// It would be valid in lower case.
    NameUppercase,
    /// The path is longer than 255 bytes.
    NameTooLong,
    /// 64 hexadecimal digits are an image id, and never a name; holds the text.
    LooksLikeId(String),
    /// The digest's algorithm is not known.
    DigestAlgorithm,
    /// The digest has too few or too many digits for its algorithm.
    DigestLength,
    /// The digest has digits that are not lower-case hexadecimal.
    DigestFormat,
}

impl fmt::Display for ParseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParseError::Format => write!(formatter, "invalid reference format"),
            ParseError::Uppercase(path) => {
                write!(
                    formatter,
                    "invalid reference format: repository name ({path}) must be lowercase"
                )
            }
            ParseError::NameUppercase => {
                write!(
                    formatter,
                    "invalid reference format: repository name must be lowercase"
                )
            }
            ParseError::NameTooLong => {
                write!(
                    formatter,
                    "repository name must not be more than {PATH_LENGTH_MAX} characters"
                )
            }
            ParseError::LooksLikeId(text) => write!(
                formatter,
                "invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
            ),
            ParseError::DigestAlgorithm => write!(formatter, "unsupported digest algorithm"),
            ParseError::DigestLength => write!(formatter, "invalid checksum digest length"),
            ParseError::DigestFormat => write!(formatter, "invalid checksum digest format"),
        }
    }
}

impl std::error::Error for ParseError {}

impl Reference {
    /// Parses what a user typed and fills in domain and `library/`, but no tag.
    pub fn parse(text: &str) -> Result<Reference, ParseError> {
        if is_identifier(text) {
            return Err(ParseError::LooksLikeId(text.to_owned()));
        }
        let (domain, remainder) = split_domain(text);
        let path = remainder.split(':').next().unwrap_or_default();
        if path.to_lowercase() != path {
            return Err(ParseError::Uppercase(path.to_owned()));
        }
        parse_full(&domain, &remainder)
    }

    /// The registry: `docker.io`, `localhost:5000`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository in the registry: `library/busybox`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, without its colon.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, `sha256:…`.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// The full name, without tag and digest: `docker.io/library/busybox`.
    pub fn name(&self) -> String {
        join(&self.domain, &self.path)
    }

    /// The name as a user would type it: `busybox`, `team/app`, `localhost:5000/app`.
    pub fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return self.name();
        }
        match self.path.strip_prefix(OFFICIAL_PREFIX) {
            // `library/a/b` keeps its prefix: `a/b` alone would mean another repository.
            Some(rest) if !rest.contains('/') => rest.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// The reference as a user would type it: `busybox:latest`.
    pub fn familiar(&self) -> String {
        self.familiar_name() + &self.suffix()
    }

    /// Adds the tag `latest` if there is neither a tag nor a digest.
    pub fn with_default_tag(mut self) -> Reference {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(DEFAULT_TAG.to_owned());
        }
        self
    }

    /// The same repository with this tag and no digest, or [`ParseError::Format`].
    pub fn with_tag(&self, tag: &str) -> Result<Reference, ParseError> {
        if !is_tag(tag) {
            return Err(ParseError::Format);
        }
        Ok(Reference {
            tag: Some(tag.to_owned()),
            digest: None,
            ..self.clone()
        })
    }

    /// Without the tag, if there is a digest as well: a digest says exactly which image is meant, and
    /// Docker's store looks no further.
    pub fn favour_digest(mut self) -> Reference {
        if self.digest.is_some() {
            self.tag = None;
        }
        self
    }

    /// `:tag`, `@digest`, both or nothing.
    fn suffix(&self) -> String {
        let tag = self.tag.iter().map(|tag| format!(":{tag}"));
        tag.chain(self.digest.iter().map(|digest| format!("@{digest}")))
            .collect()
    }
}

/// The full form, which parses to the same reference again.
impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.name(), self.suffix())
    }
}

impl std::str::FromStr for Reference {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Reference, ParseError> {
        Reference::parse(text)
    }
}

impl AnyReference {
    /// Parses a name or a whole id.
    pub fn parse(text: &str) -> Result<AnyReference, ParseError> {
        if is_identifier(text) {
            return Ok(AnyReference::Digest(format!("sha256:{text}")));
        }
        if check_digest(text).is_ok() {
            return Ok(AnyReference::Digest(text.to_owned()));
        }
        Reference::parse(text).map(AnyReference::Named)
    }
}

/// Whether this is a whole image id without its algorithm.
fn is_identifier(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(is_lower_hexadecimal)
}

fn is_lower_hexadecimal(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// Splits a typed name into domain and the rest, filling in what was left out.
fn split_domain(text: &str) -> (String, String) {
    let (domain, remainder) = match text.split_once('/') {
        Some((first, rest)) if first == LEGACY_DEFAULT_DOMAIN => (DEFAULT_DOMAIN, rest),
        Some((first, rest)) if looks_like_domain(first) => (first, rest),
        _ => (DEFAULT_DOMAIN, text),
    };
    if domain == DEFAULT_DOMAIN && !remainder.contains('/') {
        return (domain.to_owned(), format!("{OFFICIAL_PREFIX}{remainder}"));
    }
    (domain.to_owned(), remainder.to_owned())
}

/// Whether the first part of a name is a domain. Upper case is enough: a path never has any.
fn looks_like_domain(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':']) || part.to_lowercase() != part
}

/// Parses `remainder`, which is `path[:tag][@digest]`, on a known domain.
fn parse_full(domain: &str, remainder: &str) -> Result<Reference, ParseError> {
    let Some((path, tag, digest)) = split_remainder(remainder) else {
        return Err(ParseError::Format);
    };
    // A domain that is none, as `foo_bar.com`, can still be the first part of a path; Docker reads it so,
    // and the reference then has no domain at all.
    let (domain, path) = match is_domain(domain) {
        true => (domain.to_owned(), path.to_owned()),
        false => (String::new(), join(domain, path)),
    };
    if !is_path(&path) {
        return Err(if is_path(&path.to_lowercase()) {
            ParseError::NameUppercase
        } else {
            ParseError::Format
        });
    }
    if path.len() > PATH_LENGTH_MAX {
        return Err(ParseError::NameTooLong);
    }
    if let Some(digest) = digest {
        check_digest(digest)?;
    }
    Ok(Reference {
        domain,
        path,
        tag: tag.map(str::to_owned),
        digest: digest.map(str::to_owned),
    })
}

/// Cuts off the digest and the tag and checks their form; None if one is malformed.
fn split_remainder(remainder: &str) -> Option<(&str, Option<&str>, Option<&str>)> {
    let (rest, digest) = match remainder.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (remainder, None),
    };
    let (path, tag) = match rest.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (rest, None),
    };
    let valid = tag.is_none_or(is_tag) && digest.is_none_or(has_digest_form);
    valid.then_some((path, tag, digest))
}

/// `domain/path`, or the path alone where there is no domain.
fn join(domain: &str, path: &str) -> String {
    if domain.is_empty() {
        path.to_owned()
    } else {
        format!("{domain}/{path}")
    }
}

/// A host and perhaps a port.
fn is_domain(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[') {
        // An IPv6 address: only its alphabet is checked, as Docker does.
        return address.split_once(']').is_some_and(|(address, port)| {
            !address.is_empty()
                && address
                    .bytes()
                    .all(|byte| byte.is_ascii_hexdigit() || byte == b':')
                && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
        });
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    host.split('.').all(is_domain_component) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Letters, digits and dashes, without a dash at either end.
fn is_domain_component(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// One or more components between slashes.
fn is_path(text: &str) -> bool {
    text.split('/').all(is_path_component)
}

/// Runs of lower-case letters and digits, between which stands one dot, one or two underscores, or any
/// number of dashes.
fn is_path_component(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut rest = text.as_bytes();
    loop {
        let word = rest.iter().take_while(|byte| is_word(**byte)).count();
        if word == 0 {
            return false;
        }
        rest = &rest[word..];
        if rest.is_empty() {
            return true;
        }
        let separator = rest.iter().take_while(|byte| !is_word(**byte)).count();
        if !is_separator(&rest[..separator]) {
            return false;
        }
        rest = &rest[separator..];
    }
}

fn is_separator(bytes: &[u8]) -> bool {
    matches!(bytes, b"." | b"_" | b"__")
        || (!bytes.is_empty() && bytes.iter().all(|byte| *byte == b'-'))
}

/// A letter, digit or underscore, then up to 127 of those, dots and dashes.
fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(is_word)
        && text
            .bytes()
            .all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
}

/// The form that the grammar of references asks of a digest; [`check_digest`] asks for more.
fn has_digest_form(text: &str) -> bool {
    let Some((algorithm, hexadecimal)) = text.split_once(':') else {
        return false;
    };
    let is_part = |part: &str| {
        part.bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphabetic())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    algorithm.split(['-', '_', '+', '.']).all(is_part)
        && hexadecimal.len() >= 32
        && hexadecimal.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Checks a digest as Docker's digest package does: a known algorithm and the right number of digits.
fn check_digest(text: &str) -> Result<(), ParseError> {
    let (algorithm, hexadecimal) = text.split_once(':').ok_or(ParseError::DigestFormat)?;
    let digits = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Err(ParseError::DigestAlgorithm),
    };
    if hexadecimal.len() != digits {
        return Err(ParseError::DigestLength);
    }
    if !hexadecimal.bytes().all(is_lower_hexadecimal) {
        return Err(ParseError::DigestFormat);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row of 64 hexadecimal digits.
    fn hex() -> String {
        "0123456789abcdef".repeat(4)
    }

    /// What is typed, the full form, the familiar form. The familiar form is what `docker inspect` of a
    /// missing image repeats ("No such image: …") in Docker 28.5, but for the added tag.
    #[test]
    fn what_is_accepted() {
        let digest = format!("sha256:{}", hex());
        let long = "a".repeat(255);
        let cases = [
            ("busybox", "docker.io/library/busybox", "busybox"),
            (
                "busybox:1.36",
                "docker.io/library/busybox:1.36",
                "busybox:1.36",
            ),
            ("library/busybox", "docker.io/library/busybox", "busybox"),
            ("docker.io/busybox", "docker.io/library/busybox", "busybox"),
            (
                "docker.io/library/busybox:latest",
                "docker.io/library/busybox:latest",
                "busybox:latest",
            ),
            (
                "index.docker.io/busybox",
                "docker.io/library/busybox",
                "busybox",
            ),
            ("index.docker.io/team/app", "docker.io/team/app", "team/app"),
            ("team/app", "docker.io/team/app", "team/app"),
            ("library/a/b", "docker.io/library/a/b", "library/a/b"),
            ("a/b/c/d", "docker.io/a/b/c/d", "a/b/c/d"),
            ("localhost/x", "localhost/x", "localhost/x"),
            (
                "localhost:5000/x:y",
                "localhost:5000/x:y",
                "localhost:5000/x:y",
            ),
            ("LOCALHOST/x", "LOCALHOST/x", "LOCALHOST/x"),
            ("Foo/bar", "Foo/bar", "Foo/bar"),
            ("quay.io/x", "quay.io/x", "quay.io/x"),
            ("registry:5000/x", "registry:5000/x", "registry:5000/x"),
            ("127.0.0.1:5000/x", "127.0.0.1:5000/x", "127.0.0.1:5000/x"),
            ("[::1]:5000/x", "[::1]:5000/x", "[::1]:5000/x"),
            ("[fe80::1]/x:t", "[fe80::1]/x:t", "[fe80::1]/x:t"),
            // Not a domain after all, so it is part of the path and there is no domain.
            ("foo_bar.com/x", "foo_bar.com/x", "foo_bar.com/x"),
            // A port without a slash behind it is a tag.
            (
                "localhost:5000",
                "docker.io/library/localhost:5000",
                "localhost:5000",
            ),
            ("quay.io", "docker.io/library/quay.io", "quay.io"),
            (
                "a.b_c__d---e",
                "docker.io/library/a.b_c__d---e",
                "a.b_c__d---e",
            ),
            ("0a1", "docker.io/library/0a1", "0a1"),
            ("x:_A.b-c", "docker.io/library/x:_A.b-c", "x:_A.b-c"),
            ("sha256:abc", "docker.io/library/sha256:abc", "sha256:abc"),
        ];
        for (typed, full, familiar) in cases {
            let reference =
                Reference::parse(typed).unwrap_or_else(|error| panic!("{typed}: {error}"));
            assert_eq!(reference.to_string(), full, "{typed}");
            assert_eq!(reference.familiar(), familiar, "{typed}");
            // Both forms mean the same again.
            assert_eq!(Reference::parse(full), Ok(reference.clone()), "{typed}");
            assert_eq!(Reference::parse(familiar), Ok(reference), "{typed}");
        }
        for typed in [
            format!("busybox@{digest}"),
            format!("busybox:1@{digest}"),
            format!("x.io/{long}"),
        ] {
            assert_eq!(Reference::parse(&typed).unwrap().familiar(), typed);
        }
        assert!(
            Reference::parse(&"a".repeat(247)).is_ok(),
            "with library/ in front it is 255 long"
        );
        assert!(Reference::parse(&format!("x:{}", "t".repeat(128))).is_ok());
        assert!(Reference::parse(&format!("x@sha512:{0}{0}", hex())).is_ok());
    }

    /// What is typed and Docker 28.5's answer.
    #[test]
    fn what_is_refused() {
        const FORMAT: &str = "invalid reference format";
        const LONG: &str = "repository name must not be more than 255 characters";
        let hex = hex();
        let cases = [
            (String::new(), FORMAT),
            (" ".into(), FORMAT),
            ("busy box".into(), FORMAT),
            ("busybox ".into(), FORMAT),
            ("busybox:".into(), FORMAT),
            ("busybox@".into(), FORMAT),
            (":tag".into(), FORMAT),
            ("-x".into(), FORMAT),
            ("x-".into(), FORMAT),
            ("a___b".into(), FORMAT),
            ("a..b".into(), FORMAT),
            ("a._b".into(), FORMAT),
            ("a//b".into(), FORMAT),
            ("/a".into(), FORMAT),
            ("a/".into(), FORMAT),
            ("a:b:c".into(), FORMAT),
            ("a:-b".into(), FORMAT),
            ("a:b/c".into(), FORMAT),
            ("foo_bar.com:80/x".into(), FORMAT),
            ("-x.com:80/x".into(), FORMAT),
            ("[]:5000/x".into(), FORMAT),
            ("[::1/x".into(), FORMAT),
            ("x.io:/y".into(), FORMAT),
            ("ü".into(), FORMAT),
            ("busybox@latest".into(), FORMAT),
            ("busybox@sha256:abc".into(), FORMAT),
            (format!("x:{}", "t".repeat(129)), FORMAT),
            (format!("busybox@sha256:{hex}@sha256:{hex}"), FORMAT),
            (
                "Busybox".into(),
                "invalid reference format: repository name (library/Busybox) must be lowercase",
            ),
            (
                "library/Busybox:1".into(),
                "invalid reference format: repository name (library/Busybox) must be lowercase",
            ),
            (
                "foo.com/Bar".into(),
                "invalid reference format: repository name (Bar) must be lowercase",
            ),
            (
                "x/É:Tag".into(),
                "invalid reference format: repository name (x/É) must be lowercase",
            ),
            (
                format!("busybox@SHA256:{hex}"),
                "invalid reference format: repository name (library/busybox@SHA256) must be lowercase",
            ),
            (format!("busybox@md5:{hex}"), "unsupported digest algorithm"),
            (
                format!("busybox@sha256:{hex}00"),
                "invalid checksum digest length",
            ),
            (
                format!("busybox@sha256:{}F", &hex[1..]),
                "invalid checksum digest format",
            ),
            ("a".repeat(248), LONG),
            (format!("x.io/{}", "a".repeat(256)), LONG),
        ];
        for (typed, text) in cases {
            let error = Reference::parse(&typed).expect_err(&typed);
            assert_eq!(error.to_string(), text, "{typed:?}");
        }
        let error = Reference::parse(&hex).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("invalid repository name ({hex}), cannot specify 64-byte hexadecimal strings")
        );
    }

    #[test]
    fn parts() {
        let reference = Reference::parse("localhost:5000/team/app:v1").unwrap();
        assert_eq!(reference.domain(), "localhost:5000");
        assert_eq!(reference.path(), "team/app");
        assert_eq!((reference.tag(), reference.digest()), (Some("v1"), None));
        assert_eq!(reference.name(), "localhost:5000/team/app");
        assert_eq!(
            reference.with_tag("v2").unwrap().familiar(),
            "localhost:5000/team/app:v2"
        );
        assert_eq!(reference.with_tag("-"), Err(ParseError::Format));
    }

    #[test]
    fn the_default_tag() {
        let digest = format!("sha256:{}", hex());
        let with_default = |typed: &str| {
            Reference::parse(typed)
                .unwrap()
                .with_default_tag()
                .familiar()
        };
        assert_eq!(with_default("busybox"), "busybox:latest");
        assert_eq!(with_default("busybox:1"), "busybox:1");
        assert_eq!(
            with_default(&format!("busybox@{digest}")),
            format!("busybox@{digest}")
        );
        let both = Reference::parse(&format!("busybox:1@{digest}")).unwrap();
        assert_eq!(both.favour_digest().familiar(), format!("busybox@{digest}"));
    }

    #[test]
    fn whole_ids_are_digests() {
        let digest = format!("sha256:{}", hex());
        assert_eq!(
            AnyReference::parse(&hex()),
            Ok(AnyReference::Digest(digest.clone()))
        );
        assert_eq!(
            AnyReference::parse(&digest),
            Ok(AnyReference::Digest(digest))
        );
        let prefix = &hex()[..12];
        assert_eq!(
            AnyReference::parse(prefix),
            Reference::parse(prefix).map(AnyReference::Named)
        );
        assert!(AnyReference::parse(&hex().to_uppercase()).is_err());
    }
}
