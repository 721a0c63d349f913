//! What a request can fail with: one variant per HTTP status that Docker uses.
//!
//! Clients match on the status and on the text, so the text is Docker's wherever Docker has one. The body is
//! always `{"message": …}` and a newline.

use drydock_defects::defect;
use std::fmt::Display;

/// A failed request. The string is the message that the client shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// 304: there was nothing to do, as for a start of a running container. Has no body.
    #[error("not modified")]
    NotModified,
    /// 400: the request is wrong.
    #[error("{0}")]
    InvalidParameter(String),
    /// 403: not allowed, whoever asks.
    #[error("{0}")]
    Forbidden(String),
    /// 404: no such object.
    #[error("{0}")]
    NotFound(String),
    /// 409: the state of the object forbids it.
    #[error("{0}")]
    Conflict(String),
    /// 413: the body is larger than we read.
    #[error("{0}")]
    TooLarge(String),
    /// 500: the host refused something, or Docker answers so.
    #[error("{0}")]
    System(String),
    /// 501: Docker has it, and we do not yet.
    #[error("{0}")]
    NotImplemented(String),
    /// 503: the engine is not in the mode for it (swarm).
    #[error("{0}")]
    Unavailable(String),
}

impl Error {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Error::NotModified => 304,
            Error::InvalidParameter(_) => 400,
            Error::Forbidden(_) => 403,
            Error::NotFound(_) if defect!("not-found-is-500") => 500,
            Error::NotFound(_) => 404,
            Error::Conflict(_) => 409,
            Error::TooLarge(_) => 413,
            Error::System(_) => 500,
            Error::NotImplemented(_) => 501,
            Error::Unavailable(_) => 503,
        }
    }

    /// The body of the answer.
    pub fn body(&self) -> Vec<u8> {
        if *self == Error::NotModified {
            return Vec::new();
        }
        let mut body = serde_json::json!({ "message": self.to_string() }).to_string();
        body.push('\n');
        body.into_bytes()
    }

    /// From an HTTP status and a text; an unknown status is a 500.
    pub fn from_status(status: u16, message: impl Display) -> Error {
        let message = message.to_string();
        match status {
            304 => Error::NotModified,
            400 => Error::InvalidParameter(message),
            403 => Error::Forbidden(message),
            404 => Error::NotFound(message),
            409 => Error::Conflict(message),
            413 => Error::TooLarge(message),
            501 => Error::NotImplemented(message),
            503 => Error::Unavailable(message),
            _ => Error::System(message),
        }
    }

    /// 400 with this text.
    pub fn invalid(message: impl Display) -> Error {
        Error::InvalidParameter(message.to_string())
    }

    /// 500 with this text.
    pub fn system(message: impl Display) -> Error {
        Error::System(message.to_string())
    }

    /// 501 for something that Docker has; `what` names it: "named volumes are".
    pub fn not_built(what: impl Display) -> Error {
        Error::NotImplemented(format!("{what} not built yet in this engine"))
    }

    /// Docker's 404 for a container.
    pub fn no_such_container(name: impl Display) -> Error {
        if defect!("no-such-container-reworded") {
            return Error::NotFound(format!("no container named {name}"));
        }
        Error::NotFound(format!("No such container: {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_is_dockers_shape() {
        let error = Error::no_such_container("web");
        assert_eq!(error.status(), 404);
        assert_eq!(error.body(), b"{\"message\":\"No such container: web\"}\n");
        assert_eq!(Error::NotModified.body(), b"");
    }

    #[test]
    fn status_goes_both_ways() {
        for status in [304, 400, 403, 404, 409, 413, 500, 501, 503] {
            assert_eq!(Error::from_status(status, "x").status(), status);
        }
    }
}
