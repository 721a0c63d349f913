//! What can go wrong, by the HTTP status that Docker answers with.
//!
//! Clients of Docker match on the status and on the text, so both are part of the interface: the text of an
//! error is Docker's own wherever Docker has one.

use std::io;
use std::path::Path;

use crate::digest::Digest;

/// A failed operation. The text is meant for the user and says which object it is about.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is wrong: a bad name, a bad archive (HTTP 400).
    #[error("{0}")]
    InvalidParameter(String),
    /// There is no such image (HTTP 404).
    #[error("{0}")]
    NotFound(String),
    /// The state of the image forbids it (HTTP 409).
    #[error("{0}")]
    Conflict(String),
    /// The archive cannot be used, or the host refused something. Docker answers both with HTTP 500, or,
    /// where the answer has begun as a stream, with an `errorDetail` object in it.
    #[error("{0}")]
    System(String),
    /// A file operation on the store failed (HTTP 500).
    #[error("{what}: {source}")]
    Io {
        /// What was being done, with the name of the file.
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Error {
    /// The HTTP status of this error.
    pub fn status(&self) -> u16 {
        match self {
            Error::InvalidParameter(_) => 400,
            Error::NotFound(_) => 404,
            Error::Conflict(_) => 409,
            Error::System(_) | Error::Io { .. } => 500,
        }
    }

    /// Docker's text for a name that is no image.
    pub(crate) fn no_such_image(name: impl std::fmt::Display) -> Error {
        Error::NotFound(format!("No such image: {name}"))
    }

    /// The stored bytes of an object are not those that its name promises.
    pub(crate) fn damaged(what: &str, digest: &Digest) -> Error {
        Error::System(format!(
            "{what} {digest} is damaged in the store\nhint: remove the image and load it again"
        ))
    }
}

/// Says what was being done when an `io::Error` comes up.
pub(crate) trait Context<T> {
    /// `verb` is in the present participle without -ing ending: "open", "write".
    fn context(self, verb: &str, path: &Path) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, verb: &str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io {
            what: format!("{verb} {}", path.display()),
            source: source.into(),
        })
    }
}
