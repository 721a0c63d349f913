//! A daemon under test and short words for its API.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use rig::{Daemon, DaemonOptions, Response};
use serde_json::{Value, json};

/// Fails the test with a text unless something holds.
macro_rules! ensure {
    ($holds:expr, $($text:tt)*) => {
        if !$holds {
            return Err(libtest_mimic::Failed::from(format!($($text)*)));
        }
    };
}
pub(crate) use ensure;

/// A daemon of the test's own.
pub struct Api {
    pub daemon: Daemon,
}

impl Api {
    pub fn start(arguments: &[&str]) -> Result<Api, Failed> {
        let arguments = arguments
            .iter()
            .map(|argument| (*argument).to_owned())
            .collect();
        let daemon = Daemon::start(DaemonOptions {
            arguments,
            ..DaemonOptions::default()
        })?;
        Ok(Api { daemon })
    }

    /// Ends the daemon; an error when something of it stays.
    pub fn finish(self) -> Result<(), Failed> {
        Ok(self.daemon.finish()?)
    }

    pub fn socket(&self) -> &Path {
        self.daemon.socket()
    }

    pub fn call(&self, method: &str, path: &str, body: Option<Value>) -> Result<Response, Failed> {
        call(self.socket(), method, path, body)
    }

    pub fn get(&self, path: &str) -> Result<Value, Failed> {
        Ok(self.call("GET", path, None)?.success()?.json()?)
    }

    pub fn post(&self, path: &str) -> Result<Response, Failed> {
        Ok(self.call("POST", path, None)?.success()?)
    }

    pub fn delete(&self, name: &str) -> Result<(), Failed> {
        self.call("DELETE", &format!("/containers/{name}?force=1"), None)?
            .success()?;
        Ok(())
    }

    /// Creates a container of busybox.
    pub fn create(&self, name: &str, command: &[&str], more: Value) -> Result<String, Failed> {
        let mut body = json!({"Image": "busybox", "Cmd": command});
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            body.extend(more);
        }
        let made = self
            .call(
                "POST",
                &format!("/containers/create?name={name}"),
                Some(body),
            )?
            .success()?
            .json()?;
        Ok(made["Id"].as_str().unwrap_or_default().to_owned())
    }

    /// Creates and starts one.
    pub fn run(&self, name: &str, command: &[&str], more: Value) -> Result<String, Failed> {
        let id = self.create(name, command, more)?;
        self.post(&format!("/containers/{name}/start"))?;
        Ok(id)
    }

    pub fn state(&self, name: &str) -> Result<Value, Failed> {
        Ok(self.get(&format!("/containers/{name}/json"))?["State"].clone())
    }

    pub fn wait(&self, name: &str) -> Result<i64, Failed> {
        let answer = self.post(&format!("/containers/{name}/wait"))?.json()?;
        answer["StatusCode"]
            .as_i64()
            .ok_or_else(|| Failed::from(format!("no code in {answer}")))
    }

    /// Waits until something is so, at most 20 s.
    pub fn until(
        &self,
        what: &str,
        holds: impl Fn(&Api) -> Result<bool, Failed>,
    ) -> Result<(), Failed> {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(20) {
            if holds(self)? {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(Failed::from(format!(
            "{what}: not within 20 s\n{}",
            self.daemon.log()
        )))
    }

    /// The containers' directories.
    pub fn directories(&self) -> Result<Vec<PathBuf>, Failed> {
        let entries = std::fs::read_dir(self.daemon.data_root().join("containers"))?;
        Ok(entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?)
    }

    /// Asks for an upgrade and returns the socket after the head of the answer.
    pub fn hijack(&self, path: &str, body: Option<&Value>) -> Result<UnixStream, Failed> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = UnixStream::connect(self.socket())?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"\r\n\r\n") {
            ensure!(
                stream.read(&mut byte)? == 1,
                "the connection ended in the head: {:?}",
                String::from_utf8_lossy(&answer)
            );
            answer.push(byte[0]);
        }
        let answer = String::from_utf8_lossy(&answer).into_owned();
        ensure!(answer.starts_with("HTTP/1.1 101 UPGRADED\r\n"), "{answer}");
        Ok(stream)
    }
}

/// One request, also from another thread.
pub fn call(
    socket: &Path,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> Result<Response, Failed> {
    let body = body.map(|body| body.to_string().into_bytes());
    Ok(rig::request(socket, method, path, body.as_deref())?)
}

/// All that comes, to its end.
pub fn rest(mut stream: UnixStream) -> Result<Vec<u8>, Failed> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The two streams of a framed one. How a stream is cut into frames is nobody's business.
pub fn split(mut framed: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Failed> {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    while let Some((header, rest)) = framed.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
        ensure!(rest.len() >= length, "half a frame: {header:?}");
        let (piece, after) = rest.split_at(length);
        let stream = if header[0] == 2 { &mut err } else { &mut out };
        stream.extend_from_slice(piece);
        framed = after;
    }
    ensure!(framed.is_empty(), "half a header: {framed:?}");
    Ok((out, err))
}
