//! One HTTP request over a unix socket.
//!
//! The harness asks with a few lines of its own instead of the engine's client, because a defect that client
//! and daemon share must not hide from it. HTTP/1.0 is enough: the answer ends with the connection and is
//! never chunked (RFC 1945, section 7.2).

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};

/// The longest time without a byte from the engine. Stopping a container can take its ten seconds.
const SILENCE: Duration = Duration::from_secs(60);

/// An answer of the engine.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header names, in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim().to_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("the engine's answer is not JSON: {}", self.text()))
    }

    /// This response, if its status is below 400.
    ///
    /// # Errors
    /// With the engine's message otherwise.
    pub fn success(self) -> anyhow::Result<Response> {
        if self.status < 400 {
            return Ok(self);
        }
        bail!("status {}: {}", self.status, self.text())
    }
}

/// Sends one request and reads the whole answer.
///
/// # Errors
/// When nothing listens, nothing comes for a minute, or the answer is not HTTP.
pub fn request(
    socket: &Path,
    method: &str,
    path: &str,
    body: Option<&[u8]>,
) -> anyhow::Result<Response> {
    let mut stream = UnixStream::connect(socket)
        .with_context(|| format!("connecting to {}", socket.display()))?;
    stream.set_read_timeout(Some(SILENCE))?;
    let mut head = format!("{method} {path} HTTP/1.0\r\nHost: engine\r\n");
    if let Some(body) = body {
        head.push_str(&format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        ));
    }
    head.push_str("\r\n");
    // In one write: a server may answer and close before a second one.
    let request = [head.as_bytes(), body.unwrap_or_default()].concat();
    stream.write_all(&request)?;
    let mut answer = Vec::new();
    stream
        .read_to_end(&mut answer)
        .with_context(|| format!("reading the answer to {method} {path}"))?;
    parse(&answer).with_context(|| format!("the answer to {method} {path} is not HTTP"))
}

fn parse(answer: &[u8]) -> Option<Response> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Some(Response {
        status,
        headers,
        body: answer[end + 4..].to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn an_answer_is_read_to_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut seen = [0u8; 1024];
            let length = stream.read(&mut seen).unwrap();
            stream
                .write_all(b"HTTP/1.1 404 Not Found\r\nServer: x\r\n\r\n{\"message\":\"no\"}")
                .unwrap();
            String::from_utf8_lossy(&seen[..length]).into_owned()
        });
        let response = request(&path, "POST", "/a", Some(b"{}")).unwrap();
        let sent = server.join().unwrap();
        assert!(
            sent.starts_with("POST /a HTTP/1.0\r\n") && sent.contains("Content-Length: 2"),
            "{sent}"
        );
        assert_eq!(
            (response.status, response.headers),
            (404, vec![("server".into(), "x".into())])
        );
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&response.body).unwrap()["message"],
            "no"
        );
    }

    #[test]
    fn nonsense_is_no_answer() {
        assert!(parse(b"hello").is_none());
        assert!(parse(b"HTTP/1.1 abc\r\n\r\n").is_none());
        assert!(request(Path::new("/nonexistent/socket"), "GET", "/", None).is_err());
    }
}
