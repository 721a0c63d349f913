//! API versions: `/v1.44/info`, or no prefix for the newest.
//!
//! Docker 28 serves 1.24 to 1.51 and answers 400 outside of it; the texts are its own.

use drydock_defects::defect;
use std::fmt;
use std::str::FromStr;

/// The newest version, which we implement.
pub const NEWEST: Version = Version {
    major: 1,
    minor: 51,
};

/// The oldest version that is accepted.
pub const OLDEST: Version = Version {
    major: 1,
    minor: 24,
};

/// A version of the API. What follows a second dot is ignored, as in Docker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 1 until today.
    pub major: u32,
    /// 24 to 51.
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Version {
    type Err = ();

    fn from_str(text: &str) -> Result<Version, ()> {
        let mut parts = text.split('.');
        let mut number = |default: Option<u32>| match parts.next() {
            Some(part) => part.parse().map_err(|_| ()),
            None => default.ok_or(()),
        };
        Ok(Version {
            major: number(None)?,
            minor: number(Some(0))?,
        })
    }
}

/// A version that we do not serve; the text is Docker's message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// Clients of that time read errors as plain text, so Docker still answers them so.
    #[error(
        "client version {0} is too old. Minimum supported API version is {OLDEST}, please upgrade your client to a newer version"
    )]
    TooOld(String),
    /// Answered as JSON.
    #[error("client version {0} is too new. Maximum supported API version is {NEWEST}")]
    TooNew(String),
}

/// Splits `/v1.44/info` into the version and `/info`. A path without a version is for the newest one.
///
/// # Errors
/// When the version is outside of what we serve; its status is 400.
pub fn split(path: &str) -> Result<(Version, &str), Unsupported> {
    let Some((text, rest)) = prefix(path) else {
        return Ok((NEWEST, path));
    };
    let Ok(version) = text.parse::<Version>() else {
        return Ok((NEWEST, path));
    };
    if version < OLDEST {
        return Err(Unsupported::TooOld(text.to_owned()));
    }
    if version > NEWEST && !defect!("too-new-version-served") {
        return Err(Unsupported::TooNew(text.to_owned()));
    }
    Ok((version, rest))
}

/// The text of a version prefix and what follows it, from its slash on.
fn prefix(path: &str) -> Option<(&str, &str)> {
    let after = path.strip_prefix("/v")?;
    let end = after.find('/')?;
    let (text, rest) = after.split_at(end);
    let numeric = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
    numeric.then_some((text, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_is_optional() {
        assert_eq!(split("/info"), Ok((NEWEST, "/info")));
        assert_eq!(split("/v1.24/info"), Ok((OLDEST, "/info")));
        assert_eq!(
            split("/v1.44.3/info"),
            Ok((
                Version {
                    major: 1,
                    minor: 44
                },
                "/info"
            ))
        );
    }

    #[test]
    fn what_is_no_version_is_part_of_the_path() {
        for path in ["/vx/info", "/volumes", "/v1.51", "/v/info"] {
            assert_eq!(split(path), Ok((NEWEST, path)), "{path}");
        }
    }

    #[test]
    fn outside_of_the_range_is_dockers_error() {
        let old = split("/v1.23/_ping").map_err(|error| error.to_string());
        assert_eq!(old, Err("client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version".into()));
        let new = split("/v9/version").map_err(|error| error.to_string());
        assert_eq!(
            new,
            Err("client version 9 is too new. Maximum supported API version is 1.51".into())
        );
    }
}
