//! What was recorded: requests and their answers, in the order in which the answers were complete.

use std::path::PathBuf;

/// As much as is kept of one body.
pub(crate) const MOST_OF_A_BODY: usize = 1 << 20;

/// What passed between clients and an engine.
#[derive(Debug, Default)]
pub struct Recording {
    /// The engine's socket.
    pub engine: PathBuf,
    /// Requests with their answers.
    pub exchanges: Vec<Exchange>,
    /// Connections that were not HTTP, or no longer could be followed.
    pub lost: usize,
}

/// A request and its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    /// `GET`.
    pub method: String,
    /// As the client wrote it: `/v1.51/containers/json?all=1`.
    pub target: String,
    /// The answer's status; none where the connection ended before an answer.
    pub status: Option<u16>,
    /// The answer's `Content-Type`, without parameters, in lower case; empty where there is none.
    pub content_type: String,
    /// The answer's body, or its first MiB. Empty where it is neither JSON nor text.
    pub body: Vec<u8>,
    /// The length of the whole body. Of a raw stream it is not counted.
    pub length: u64,
    /// The body did not come to its end: the connection ended before.
    pub cut: bool,
    /// The connection became a raw stream with this answer.
    pub raw: bool,
}

impl Exchange {
    /// `GET /v1.51/containers/json?all=1`.
    pub fn request_line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    /// The path without version and query.
    pub fn path(&self) -> &str {
        let path = self.target.split('?').next().unwrap_or_default();
        match split_version(path) {
            Some((_, rest)) => rest,
            None => path,
        }
    }

    /// The API version in the path: (1, 51).
    pub fn version(&self) -> Option<(u32, u32)> {
        Some(split_version(&self.target)?.0)
    }

    /// Whether all of the body is in `body`.
    pub fn is_whole(&self) -> bool {
        !self.cut && self.length == self.body.len() as u64
    }
}

/// `/v1.51/containers` to (1, 51) and `/containers`.
fn split_version(path: &str) -> Option<((u32, u32), &str)> {
    let rest = path.strip_prefix("/v")?;
    let end = rest.find(['/', '?'])?;
    let version = crate::description::parse_version(&rest[..end])?;
    Some((version, &rest[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_version_path_and_query() {
        for (target, version, path) in [
            (
                "/v1.51/containers/json?all=1",
                Some((1, 51)),
                "/containers/json",
            ),
            ("/containers/json", None, "/containers/json"),
            ("/version", None, "/version"),
            ("/volumes/v1.2", None, "/volumes/v1.2"),
            ("/v2/x", None, "/v2/x"),
        ] {
            let exchange = Exchange {
                target: target.into(),
                ..Exchange::default()
            };
            assert_eq!((exchange.version(), exchange.path()), (version, path));
        }
    }
}
