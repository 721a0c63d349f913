//! A synchronous client of the Docker Engine API over a unix socket: for `drydock` itself, the labs, the
//! conformance suite and the benches.
//!
//! Synchronous and without a runtime because start-up time is a feature: a `run` is four requests, and an
//! executor would cost more than all of them. HTTP/1.1 (RFC 9112) is small when there is no TLS, no proxy
//! and no redirect; `httparse` reads the heads, [`http`] does the bodies.
//!
//! No round trip is spent on asking for the API version. Requests go out as [`API_VERSION`]; a server that
//! is older answers 400 with "client version … is too new. Maximum supported API version is …" before it
//! does anything, and the request is sent again with that version. The stock client asks `/_ping` first,
//! on every command.

mod connection;
mod endpoint;
mod error;
pub mod http;
pub mod stream;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde_json::Value;

use connection::Connection;
pub use endpoint::{DEFAULT_ENDPOINT, Endpoint};
pub use error::Error;
pub use http::{Body, Headers, Method, Response};

/// The newest API version this client speaks.
pub const API_VERSION: &str = "1.51";

/// A client of one engine. Cheap to clone; clones share the idle connections. May be used by many threads.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    endpoint: Endpoint,
    /// `1.51`, or what the server said is its newest.
    version: Mutex<String>,
    /// Connections whose last response was read to its end.
    idle: Mutex<Vec<Connection>>,
}

/// A request body that is sent as it is read (chunked): an image archive, a build context.
pub type Upload<'a> = &'a mut dyn Read;

/// A connection that stopped being HTTP: attach and exec.
#[derive(Debug)]
pub struct Hijacked {
    /// The raw connection. Closing its write half is the container's end of stdin.
    pub socket: UnixStream,
    /// What the server had sent behind its head already; comes before what `socket` gives.
    pub received: Vec<u8>,
    /// Whether stdout and stderr come in frames (see [`stream`]); false is a terminal's raw bytes.
    pub multiplexed: bool,
}

/// A request that is on its way. Sending two before receiving either saves a round trip.
#[derive(Debug)]
#[must_use = "the answer may be an error"]
pub struct Sent {
    connection: Connection,
    shared: Arc<Shared>,
    method: Method,
}

impl Client {
    /// A client of the engine at `endpoint`. Does not connect yet.
    pub fn new(endpoint: Endpoint) -> Client {
        Client {
            shared: Arc::new(Shared {
                endpoint,
                version: Mutex::new(API_VERSION.to_string()),
                idle: Mutex::new(Vec::new()),
            }),
        }
    }

    /// Where the engine is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.shared.endpoint
    }

    /// The API version in use, `1.51` until a server said that it is older.
    pub fn api_version(&self) -> String {
        lock(&self.shared.version).clone()
    }

    /// Pins the API version, as `DOCKER_API_VERSION` does.
    pub fn set_api_version(&self, version: &str) {
        *lock(&self.shared.version) = version.to_string();
    }

    /// Sends a request and reads the head of the answer.
    ///
    /// `path` starts with `/` and has no version. Fails with [`Error::Api`] where the status is 400 or more.
    pub fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body<'_>,
    ) -> Result<Response, Error> {
        if let Body::Stream(_) = body {
            // A stream cannot be sent twice, so the version must be known before.
            self.negotiate()?;
            return self.send(method, path, headers, body)?.receive();
        }
        let body = match body {
            Body::Bytes(bytes) => Some(bytes),
            _ => None,
        };
        let again = || body.map_or(Body::Empty, Body::Bytes);
        let answer = self
            .send(method, path, headers, again())
            .and_then(Sent::receive);
        match answer {
            Err(error) => match error.newest_version_of_the_server() {
                Some(version) if version != self.api_version() => {
                    self.set_api_version(&version);
                    self.send(method, path, headers, again())?.receive()
                }
                // The server closed an idle connection under us; a GET may be sent again (RFC 9110, 9.2.2).
                _ if error.is_closed() && matches!(method, Method::Get | Method::Head) => {
                    lock(&self.shared.idle).clear();
                    self.send(method, path, headers, again())?.receive()
                }
                _ => Err(error),
            },
            ok => ok,
        }
    }

    /// Sends a request without waiting for the answer, on a connection of its own until it is received.
    pub fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body<'_>,
    ) -> Result<Sent, Error> {
        let idle = lock(&self.shared.idle).pop();
        let target = format!("/v{}{path}", self.api_version());
        let mut connection = match idle {
            Some(connection) => connection,
            None => Connection::open(&self.shared.endpoint)?,
        };
        http::write_request(&mut connection, method, &target, headers, body)?;
        Ok(Sent {
            connection,
            shared: self.shared.clone(),
            method,
        })
    }

    /// `GET path`, and its JSON.
    pub fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.request(Method::Get, path, &[], Body::Empty)?.json()
    }

    /// `GET path`, and the bytes of its body.
    pub fn get_bytes(&self, path: &str) -> Result<Vec<u8>, Error> {
        self.request(Method::Get, path, &[], Body::Empty)?.bytes()
    }

    /// `POST path` with a JSON body, and the JSON of the answer.
    pub fn post_json<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Error> {
        let body = body.to_string();
        self.request(Method::Post, path, &[], Body::json(&body))?
            .json()
    }

    /// `POST path` without a body; the answer's body is read and dropped.
    pub fn post(&self, path: &str) -> Result<(), Error> {
        self.request(Method::Post, path, &[], Body::Empty)?
            .bytes()
            .map(drop)
    }

    /// `DELETE path`, and the bytes of its body.
    pub fn delete(&self, path: &str) -> Result<Vec<u8>, Error> {
        self.request(Method::Delete, path, &[], Body::Empty)?
            .bytes()
    }

    /// `GET /_ping`: the answer's headers (`Api-Version`, `Server`, …). Uses no version in the path.
    pub fn ping(&self) -> Result<Headers, Error> {
        let mut connection = Connection::open(&self.shared.endpoint)?;
        http::write_request(&mut connection, Method::Get, "/_ping", &[], Body::Empty)?;
        let sent = Sent {
            connection,
            shared: self.shared.clone(),
            method: Method::Get,
        };
        let mut response = sent.receive()?;
        let headers = std::mem::take(&mut response.headers);
        response.bytes()?;
        Ok(headers)
    }

    /// Lowers the version to the server's where that is older.
    pub fn negotiate(&self) -> Result<(), Error> {
        if let Some(theirs) = self.ping()?.get("Api-Version")
            && version_number(theirs) < version_number(&self.api_version())
        {
            self.set_api_version(theirs);
        }
        Ok(())
    }

    /// Asks for an upgrade to a raw stream (attach, exec start), with an optional JSON body.
    pub fn hijack(&self, path: &str, body: Option<&Value>) -> Result<Hijacked, Error> {
        self.send_hijack(path, body)?.receive_hijack()
    }

    /// The first half of [`Client::hijack`]; [`Sent::receive_hijack`] is the second.
    pub fn send_hijack(&self, path: &str, body: Option<&Value>) -> Result<Sent, Error> {
        let text = body.map(Value::to_string);
        let body = text.as_deref().map_or(Body::Empty, Body::json);
        let headers = [("Connection", "Upgrade"), ("Upgrade", "tcp")];
        self.send(Method::Post, path, &headers, body)
    }
}

impl Sent {
    /// Waits for the head of the answer.
    pub fn receive(mut self) -> Result<Response, Error> {
        let head = http::read_head(&mut self.connection)?;
        Response::new(head, self.connection, self.method, self.shared)?.check()
    }

    /// Waits for the answer to an upgrade.
    pub fn receive_hijack(mut self) -> Result<Hijacked, Error> {
        let head = http::read_head(&mut self.connection)?;
        // 101 is the answer to `Upgrade: tcp`; servers before API 1.21 said 200 and switched all the same.
        let is_stream = head
            .headers
            .get("Content-Type")
            .is_some_and(|kind| kind.contains("raw-stream") || kind.contains("multiplexed-stream"));
        if head.status != 101 && !(head.status == 200 && is_stream) {
            Response::new(head, self.connection, self.method, self.shared)?
                .check()?
                .bytes()?;
            return Err(Error::Protocol(
                "the server did not switch to a raw stream".to_string(),
            ));
        }
        let multiplexed = head
            .headers
            .get("Content-Type")
            .is_some_and(|kind| kind.contains("multiplexed-stream"));
        let (socket, received) = self.connection.into_parts();
        Ok(Hijacked {
            socket,
            received,
            multiplexed,
        })
    }
}

impl Hijacked {
    /// Writes to the container's stdin.
    pub fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.socket.write_all(bytes)
    }
}

impl Read for Hijacked {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.received.is_empty() {
            return self.socket.read(buffer);
        }
        let count = buffer.len().min(self.received.len());
        buffer[..count].copy_from_slice(&self.received[..count]);
        self.received.drain(..count);
        Ok(count)
    }
}

/// `1.51` as a pair that can be compared.
fn version_number(version: &str) -> (u32, u32) {
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    (major.parse().unwrap_or(0), minor.parse().unwrap_or(0))
}

/// A poisoned lock holds nothing half-done here: a version string, idle connections.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
