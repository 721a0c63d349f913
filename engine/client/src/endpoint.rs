//! Where an engine listens: `-H`, then `DRYDOCK_HOST`, then `DOCKER_HOST`, then our own socket.
//!
//! Only `unix://` is served: the engine opens no TCP port, and the stock client's `tcp://` and `ssh://` are
//! refused with a clear error instead of half working.

use std::path::{Path, PathBuf};

use crate::Error;

/// The engine's socket where nothing else is said.
pub const DEFAULT_ENDPOINT: &str = "unix:///run/drydock/drydock.sock";

/// A unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    path: PathBuf,
}

impl Endpoint {
    /// Reads `unix:///path`, or an absolute path.
    pub fn parse(text: &str) -> Result<Endpoint, Error> {
        let path = text.strip_prefix("unix://").unwrap_or(text);
        if path.starts_with('/') {
            return Ok(Endpoint {
                path: PathBuf::from(path),
            });
        }
        Err(Error::Endpoint(text.to_string()))
    }

    /// `explicit` (from `-H`), else `DRYDOCK_HOST`, else `DOCKER_HOST`, else [`DEFAULT_ENDPOINT`]. The
    /// environment is a parameter: library crates do not read it.
    pub fn choose(
        explicit: Option<&str>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Endpoint, Error> {
        if let Some(text) = explicit {
            return Endpoint::parse(text);
        }
        let set = |name| environment(name).filter(|value| !value.is_empty());
        match set("DRYDOCK_HOST").or_else(|| set("DOCKER_HOST")) {
            Some(text) => Endpoint::parse(&text),
            None => Endpoint::parse(DEFAULT_ENDPOINT),
        }
    }

    /// [`Endpoint::choose`] with the environment of this process.
    pub fn from_environment() -> Result<Endpoint, Error> {
        Endpoint::choose(None, |name| std::env::var(name).ok())
    }

    /// The socket's path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "unix://{}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_is_set_wins() {
        let environment = |name: &str| match name {
            "DRYDOCK_HOST" => Some("unix:///a".to_string()),
            "DOCKER_HOST" => Some("unix:///b".to_string()),
            _ => None,
        };
        let path = |endpoint: Result<Endpoint, Error>| endpoint.unwrap().to_string();
        assert_eq!(
            path(Endpoint::choose(Some("unix:///c"), environment)),
            "unix:///c"
        );
        assert_eq!(path(Endpoint::choose(None, environment)), "unix:///a");
        let only_docker = |name: &str| {
            if name == "DRYDOCK_HOST" {
                Some(String::new())
            } else {
                environment(name)
            }
        };
        assert_eq!(path(Endpoint::choose(None, only_docker)), "unix:///b");
        assert_eq!(path(Endpoint::choose(None, |_| None)), DEFAULT_ENDPOINT);
    }

    #[test]
    fn other_transports_are_refused() {
        assert!(matches!(
            Endpoint::parse("tcp://localhost:2375"),
            Err(Error::Endpoint(_))
        ));
        assert!(matches!(
            Endpoint::parse("docker.sock"),
            Err(Error::Endpoint(_))
        ));
    }
}
