//! A request whose answer comes later, such as `wait`.
//!
//! Docker sends the head of the answer as soon as it listens for the end. Reading it first makes sure that whatever a
//! second client does comes after that; no time has to be guessed.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the head may take. An engine that does not send one is found out by what follows.
const HEAD: Duration = Duration::from_secs(2);

/// A request that was sent.
#[derive(Debug)]
pub struct Pending {
    stream: UnixStream,
    bytes: Vec<u8>,
    closed: bool,
}

impl Pending {
    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// When the engine cannot be reached.
    pub fn send(socket: &Path, method: &str, path: &str) -> std::io::Result<Pending> {
        let mut stream = UnixStream::connect(socket)?;
        let request =
            format!("{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut pending = Pending {
            stream,
            bytes: Vec::new(),
            closed: false,
        };
        pending.read_until(Instant::now() + HEAD, |bytes| head_end(bytes).is_some())?;
        Ok(pending)
    }

    /// The status and the body, or None when the answer is still not complete then.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn finish(mut self, patience: Duration) -> std::io::Result<Option<(u16, Vec<u8>)>> {
        self.read_until(Instant::now() + patience, |_| false)?;
        if !self.closed {
            return Ok(None);
        }
        let Some(end) = head_end(&self.bytes) else {
            return Ok(Some((0, Vec::new())));
        };
        let head = String::from_utf8_lossy(&self.bytes[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        Ok(Some((status.unwrap_or(0), self.bytes.split_off(end))))
    }

    fn read_until(&mut self, deadline: Instant, done: fn(&[u8]) -> bool) -> std::io::Result<()> {
        let mut chunk = [0; 4096];
        while !self.closed && !done(&self.bytes) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(&mut chunk) {
                Ok(0) => self.closed = true,
                Ok(length) => self.bytes.extend_from_slice(&chunk[..length]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    let at = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some(at + 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn the_body_may_come_later_or_never() {
        let path = std::env::temp_dir().join(format!("model-pending-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let mut kept = Vec::new();
            for complete in [true, false] {
                let (mut stream, _) = listener.accept().unwrap();
                // A close with something unread would be a reset.
                let _ = stream.read(&mut [0; 1024]).unwrap();
                stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").unwrap();
                if complete {
                    stream.write_all(b"{}").unwrap();
                } else {
                    kept.push(stream);
                }
            }
            kept
        });
        let first = Pending::send(&path, "POST", "/wait").unwrap();
        assert_eq!(first.finish(HEAD).unwrap(), Some((200, b"{}".to_vec())));
        let second = Pending::send(&path, "POST", "/wait").unwrap();
        assert_eq!(second.finish(Duration::from_millis(20)).unwrap(), None);
        drop(server.join());
        std::fs::remove_file(&path).unwrap();
    }
}
