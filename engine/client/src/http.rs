//! HTTP/1.1 heads and bodies (RFC 9112), as far as an engine on a unix socket uses them.

use std::fmt::Write as _;
use std::io::{self, BufRead, Read, Write};
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::connection::Connection;
use crate::{Error, Shared, Upload, lock};

/// The largest head that is read before the server is called broken.
const MAX_HEAD: usize = 64 << 10;

/// A request method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Read the head alone.
    Head,
    /// Do.
    Post,
    /// Store.
    Put,
    /// Remove.
    Delete,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        }
    }
}

/// What a request carries.
pub enum Body<'a> {
    /// Nothing.
    Empty,
    /// Bytes and their media type.
    Bytes((&'a [u8], &'static str)),
    /// A tar archive (or anything) sent in chunks while it is read.
    Stream(Upload<'a>),
}

impl<'a> Body<'a> {
    /// A JSON text.
    pub fn json(text: &'a str) -> Body<'a> {
        Body::Bytes((text.as_bytes(), "application/json"))
    }
}

/// Response headers; names are compared without regard to case.
#[derive(Clone, Debug, Default)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// The first header of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// All of them, in the order they came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// A status line and headers.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
}

/// Writes a request: the head and a body of known length in one write(2).
pub(crate) fn write_request(
    connection: &mut Connection,
    method: Method,
    target: &str,
    headers: &[(&str, &str)],
    body: Body<'_>,
) -> Result<(), Error> {
    let mut head = format!(
        "{} {target} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: drydock\r\n",
        method.name()
    );
    for (name, value) in headers {
        // A line break in a value would end the header: a token from a file may have one.
        let clean: String = value.chars().filter(|c| !c.is_control()).collect();
        let _ = write!(head, "{name}: {clean}\r\n");
    }
    match body {
        Body::Empty => {
            if matches!(method, Method::Post | Method::Put) {
                head.push_str("Content-Length: 0\r\n");
            }
            head.push_str("\r\n");
            connection.write_all(head.as_bytes())?;
        }
        Body::Bytes((bytes, kind)) => {
            let _ = write!(
                head,
                "Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
                bytes.len()
            );
            let mut message = head.into_bytes();
            message.extend_from_slice(bytes);
            connection.write_all(&message)?;
        }
        Body::Stream(source) => {
            let kind = if headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case("Content-Type"))
            {
                ""
            } else {
                "Content-Type: application/x-tar\r\n"
            };
            let _ = write!(head, "{kind}Transfer-Encoding: chunked\r\n\r\n");
            connection.write_all(head.as_bytes())?;
            write_chunks(connection, source)?;
        }
    }
    Ok(())
}

/// A server that rejects an upload answers and closes before it has read it all; that answer is worth more
/// than "broken pipe", so a failed write is not an error here: the read of the head decides.
fn write_chunks(connection: &mut Connection, source: Upload<'_>) -> Result<(), Error> {
    let mut buffer = vec![0; 128 << 10];
    loop {
        // Ten bytes before the data for the chunk's length, two behind it for its line end: one write each.
        let count = source.read(&mut buffer[10..(128 << 10) - 2])?;
        let size = format!("{count:08x}\r\n");
        buffer[..10].copy_from_slice(size.as_bytes());
        let end = if count == 0 {
            b"0\r\n\r\n".to_vec()
        } else {
            Vec::new()
        };
        let result = if count == 0 {
            connection.write_all(&end)
        } else {
            buffer[10 + count..12 + count].copy_from_slice(b"\r\n");
            connection.write_all(&buffer[..12 + count])
        };
        match result {
            Ok(()) if count == 0 => return Ok(()),
            Ok(()) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                ) =>
            {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads up to the end of the head; the connection is left at the first byte behind it.
pub(crate) fn read_head(connection: &mut Connection) -> Result<Head, Error> {
    loop {
        let parsed = parse_head(connection.buffered())?;
        if let Some((head, length)) = parsed {
            connection.consume(length);
            // 100 Continue comes before the real answer.
            if head.status == 100 {
                continue;
            }
            return Ok(head);
        }
        if connection.buffered().len() > MAX_HEAD {
            return Err(Error::Protocol(
                "the head of the answer is longer than 64 KiB".to_string(),
            ));
        }
        if connection.read_more()? == 0 {
            let message = "the server closed the connection without an answer";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message).into());
        }
    }
}

fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, Error> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let status = response
        .parse(bytes)
        .map_err(|error| Error::Protocol(format!("the answer is not HTTP: {error}")))?;
    let httparse::Status::Complete(length) = status else {
        return Ok(None);
    };
    let list = response
        .headers
        .iter()
        .map(|header| {
            (
                header.name.to_string(),
                String::from_utf8_lossy(header.value).into_owned(),
            )
        })
        .collect();
    Ok(Some((
        Head {
            status: response.code.unwrap_or(0),
            headers: Headers(list),
        },
        length,
    )))
}

/// How much of a body is still to come.
#[derive(Debug)]
enum Remaining {
    /// A body of known length.
    Length(u64),
    /// Bytes of the current chunk; zero means that a chunk's size comes next.
    Chunk(u64),
    /// Until the server closes.
    Close,
    /// It was read to its end.
    Done,
}

/// The head of an answer and its body, which is read from the connection as you go.
#[derive(Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: Headers,
    remaining: Remaining,
    connection: Option<Connection>,
    shared: Arc<Shared>,
}

impl Response {
    pub(crate) fn new(
        head: Head,
        connection: Connection,
        method: Method,
        shared: Arc<Shared>,
    ) -> Result<Response, Error> {
        let chunked = head
            .headers
            .get("Transfer-Encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        let remaining = if method == Method::Head || matches!(head.status, 204 | 304) {
            Remaining::Done
        } else if chunked {
            Remaining::Chunk(0)
        } else if let Some(length) = head.headers.get("Content-Length") {
            let bad = |_| Error::Protocol(format!("invalid Content-Length {length:?}"));
            match length.trim().parse().map_err(bad)? {
                0 => Remaining::Done,
                length => Remaining::Length(length),
            }
        } else {
            Remaining::Close
        };
        let mut response = Response {
            status: head.status,
            headers: head.headers,
            remaining,
            connection: Some(connection),
            shared,
        };
        if matches!(response.remaining, Remaining::Done) {
            response.finish();
        }
        Ok(response)
    }

    /// Turns a status of 400 and more into [`Error::Api`] with the engine's message.
    pub(crate) fn check(self) -> Result<Response, Error> {
        if self.status < 400 {
            return Ok(self);
        }
        let status = self.status;
        let body = self.bytes()?;
        let text = String::from_utf8_lossy(&body).trim().to_string();
        let message = serde_json::from_slice::<serde_json::Value>(&body)
            .ok()
            .and_then(|value| value.get("message")?.as_str().map(str::to_string))
            .unwrap_or(if text.is_empty() {
                format!("status {status} without a message")
            } else {
                text
            });
        Err(Error::Api { status, message })
    }

    /// The rest of the body.
    pub fn bytes(mut self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The socket to poll(2) while waiting for more of the body. None where reading does not block: bytes
    /// are at hand, or the body has ended.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.connection
            .as_ref()
            .filter(|connection| connection.buffered().is_empty())
            .map(Connection::descriptor)
    }

    /// The rest of the body as JSON.
    pub fn json<T: DeserializeOwned>(self) -> Result<T, Error> {
        Ok(serde_json::from_slice(&self.bytes()?)?)
    }

    /// Gives the connection back for the next request, unless the server said that it closes it.
    fn finish(&mut self) {
        self.remaining = Remaining::Done;
        let closes = self
            .headers
            .get("Connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if let Some(connection) = self.connection.take()
            && !closes
        {
            lock(&self.shared.idle).push(connection);
        }
    }

    /// Reads a chunk's size line, and the trailer behind the last chunk. Returns the size.
    fn next_chunk(connection: &mut Connection) -> io::Result<u64> {
        let mut line = String::new();
        // The line end of the chunk before comes first, except at the start.
        while line.trim().is_empty() {
            line.clear();
            if connection.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(digits, 16).map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("invalid chunk size {digits:?}"),
            )
        })?;
        if size == 0 {
            let mut trailer = String::new();
            while connection.read_line(&mut trailer)? > 2 {
                trailer.clear();
            }
        }
        Ok(size)
    }
}

impl Read for Response {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let Some(connection) = &mut self.connection else {
            return Ok(0);
        };
        if target.is_empty() {
            return Ok(0);
        }
        if let Remaining::Chunk(0) = self.remaining {
            match Response::next_chunk(connection)? {
                0 => {
                    self.finish();
                    return Ok(0);
                }
                size => self.remaining = Remaining::Chunk(size),
            }
        }
        let limit = match self.remaining {
            Remaining::Length(left) | Remaining::Chunk(left) => {
                usize::try_from(left).unwrap_or(usize::MAX)
            }
            Remaining::Close => usize::MAX,
            Remaining::Done => return Ok(0),
        };
        let length = target.len().min(limit);
        let count = connection.read(&mut target[..length])?;
        match &mut self.remaining {
            Remaining::Length(_) | Remaining::Chunk(_) if count == 0 => {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the server closed in the middle of its answer",
                ));
            }
            Remaining::Length(left) => {
                *left -= count as u64;
                if *left == 0 {
                    self.finish();
                }
            }
            Remaining::Chunk(left) => *left -= count as u64,
            Remaining::Close if count == 0 => {
                self.remaining = Remaining::Done;
                self.connection = None;
            }
            Remaining::Close | Remaining::Done => {}
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_may_come_in_pieces() {
        let text = b"HTTP/1.1 201 Created\r\nApi-Version: 1.51\r\n\r\nrest";
        assert!(parse_head(&text[..20]).unwrap().is_none());
        let (head, length) = parse_head(text).unwrap().unwrap();
        assert_eq!((head.status, &text[length..]), (201, &b"rest"[..]));
        assert_eq!(head.headers.get("api-version"), Some("1.51"));
        assert!(parse_head(b"SSH-2.0-OpenSSH\r\n\r\n").is_err());
    }
}
