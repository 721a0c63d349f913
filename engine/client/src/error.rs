//! What can go wrong between a client and an engine, with the texts a Docker user knows.

use std::io;

use crate::Endpoint;

/// A failed request.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens on the socket, or it may not be opened.
    #[error("{}", connect_text(endpoint, source))]
    Connect {
        /// Where we tried.
        endpoint: Endpoint,
        /// Why not.
        source: io::Error,
    },
    /// The engine answered with a status of 400 or more.
    #[error("Error response from daemon: {message}")]
    Api {
        /// The HTTP status.
        status: u16,
        /// The `message` of the answer's JSON.
        message: String,
    },
    /// The connection broke.
    #[error("error during connect: {0}")]
    Io(#[from] io::Error),
    /// The answer is not the HTTP we know.
    #[error("error during connect: {0}")]
    Protocol(String),
    /// The answer is not the JSON we expect.
    #[error("invalid JSON in the answer of the daemon: {0}")]
    Json(#[from] serde_json::Error),
    /// A daemon address of a kind this client does not speak.
    #[error("unable to parse docker host `{0}`\nhint: only unix:///path/to/socket is supported")]
    Endpoint(String),
}

impl Error {
    /// The HTTP status of the engine's answer, where there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Error::Api { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether no engine could be reached at all.
    pub fn is_connect(&self) -> bool {
        matches!(self, Error::Connect { .. })
    }

    /// Whether the server closed the connection before it answered.
    pub(crate) fn is_closed(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        matches!(self, Error::Io(error) if matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof))
    }

    /// The version in "client version 1.51 is too new. Maximum supported API version is 1.43".
    pub(crate) fn newest_version_of_the_server(&self) -> Option<String> {
        let Error::Api {
            status: 400,
            message,
        } = self
        else {
            return None;
        };
        if !message.contains("is too new") {
            return None;
        }
        let version = message.rsplit_once("API version is ")?.1.trim();
        let is_version = version.split_once('.').is_some_and(|(major, minor)| {
            major.parse::<u32>().is_ok() && minor.parse::<u32>().is_ok()
        });
        is_version.then(|| version.to_string())
    }
}

/// Docker's words: scripts and people look for them.
fn connect_text(endpoint: &Endpoint, source: &io::Error) -> String {
    if source.kind() == io::ErrorKind::PermissionDenied {
        return format!(
            "permission denied while trying to connect to the Docker daemon socket at {endpoint}: dial unix {}: connect: permission denied",
            endpoint.path().display()
        );
    }
    format!("Cannot connect to the Docker daemon at {endpoint}. Is the docker daemon running?")
}
