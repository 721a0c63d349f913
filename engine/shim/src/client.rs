//! A client at a process's streams: the other end of `docker attach`, `run` or `exec`.
//!
//! The daemon has answered the HTTP head and handed the client's own socket over, so bytes go between the
//! client and the container through this process alone, and a client stays connected when the daemon dies.
//!
//! Without a terminal each piece of output has the eight-byte header of the Engine API (stream, three zeros,
//! length in big endian); with one, bytes go as they are. A client that does not read makes the container
//! wait, as a pipe does, once [`LIMIT`] bytes are waiting for it.

use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use drydock_logs::Stream;

use crate::protocol::Attach;

/// How many bytes may wait for a client before its container's output is no longer read.
const LIMIT: usize = 256 << 10;

/// What came from a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// This many bytes are in the buffer.
    Bytes(usize),
    /// The client has closed its sending side.
    End,
    /// These bytes were typed, with the detach keys taken out.
    Typed(Vec<u8>),
    /// The detach keys were typed, after these bytes.
    Detach(Vec<u8>),
    /// Nothing at the moment.
    Nothing,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    socket: UnixStream,
    stdout: bool,
    stderr: bool,
    /// The client may still write to stdin.
    pub(crate) stdin: bool,
    framed: bool,
    waiting: Vec<u8>,
    /// How much of `waiting` has gone already.
    sent: usize,
    detach: DetachKeys,
    /// The socket is of no more use.
    gone: bool,
    /// Nothing more will come for it; it goes once it has everything.
    finished: bool,
}

impl Client {
    pub(crate) fn new(socket: OwnedFd, attach: &Attach, terminal: bool) -> io::Result<Client> {
        let socket = UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        Ok(Client {
            socket,
            stdout: attach.stdout,
            stderr: attach.stderr,
            stdin: attach.stdin,
            framed: !terminal,
            waiting: Vec::new(),
            sent: 0,
            detach: DetachKeys::new(if terminal {
                attach.detach_keys.clone()
            } else {
                Vec::new()
            }),
            gone: false,
            finished: false,
        })
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(crate) fn is_full(&self) -> bool {
        !self.gone && self.waiting.len() - self.sent >= LIMIT
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.sent < self.waiting.len()
    }

    /// Whether it can be forgotten.
    pub(crate) fn is_done(&self) -> bool {
        self.gone || (self.finished && !self.is_waiting())
    }

    pub(crate) fn give_up(&mut self) {
        self.gone = true;
    }

    /// Nothing more will come.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
        self.stdin = false;
    }

    /// Output of the process. What cannot go at once waits.
    pub(crate) fn push(&mut self, stream: Stream, bytes: &[u8]) {
        let (wanted, number) = match stream {
            Stream::Stdout => (self.stdout, 1),
            Stream::Stderr => (self.stderr, 2),
        };
        if !wanted || self.gone || self.finished {
            return;
        }
        let mut header = [0; 8];
        header[0] = number;
        header[4..].copy_from_slice(&(bytes.len() as u32).to_be_bytes());
        let header: &[u8] = if self.framed { &header } else { &[] };
        let mut sent = 0;
        if !self.is_waiting() {
            match self
                .socket
                .write_vectored(&[IoSlice::new(header), IoSlice::new(bytes)])
            {
                Ok(count) => sent = count,
                Err(error) if is_temporary(&error) => {}
                Err(_) => return self.give_up(),
            }
        }
        self.waiting
            .extend_from_slice(&header[sent.min(header.len())..]);
        self.waiting
            .extend_from_slice(&bytes[sent.saturating_sub(header.len())..]);
    }

    /// Sends what waits, as far as the socket takes it.
    pub(crate) fn flush(&mut self) {
        while self.is_waiting() {
            match self.socket.write(&self.waiting[self.sent..]) {
                Ok(0) => return self.give_up(),
                Ok(count) => self.sent += count,
                Err(error) if is_temporary(&error) => return,
                Err(_) => return self.give_up(),
            }
        }
        self.waiting.clear();
        self.sent = 0;
    }

    /// Reads what the client sends for stdin.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Input {
        match self.socket.read(buffer) {
            Ok(0) => {
                self.stdin = false;
                Input::End
            }
            Ok(count) if self.detach.keys.is_empty() => Input::Bytes(count),
            Ok(count) => {
                let mut typed = Vec::with_capacity(count);
                if self.detach.filter(&buffer[..count], &mut typed) {
                    Input::Detach(typed)
                } else {
                    Input::Typed(typed)
                }
            }
            Err(error) if is_temporary(&error) => Input::Nothing,
            Err(_) => {
                self.give_up();
                Input::End
            }
        }
    }
}

pub(crate) fn is_temporary(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// Finds the detach keys in what is typed, also when they come one by one.
///
/// A key that begins the sequence is passed on to the program only when the next key shows that it was not
/// meant: Docker's own behaviour, and why Ctrl-P seems to be swallowed once in a container's shell.
#[derive(Debug)]
struct DetachKeys {
    keys: Vec<u8>,
    matched: usize,
}

impl DetachKeys {
    fn new(keys: Vec<u8>) -> DetachKeys {
        DetachKeys { keys, matched: 0 }
    }

    /// Passes on what is not part of the sequence; true once the sequence is complete.
    fn filter(&mut self, bytes: &[u8], passed: &mut Vec<u8>) -> bool {
        for byte in bytes {
            if *byte != self.keys[self.matched] {
                passed.extend_from_slice(&self.keys[..self.matched]);
                self.matched = 0;
            }
            if *byte == self.keys[self.matched] {
                self.matched += 1;
            } else {
                passed.push(*byte);
            }
            if self.matched == self.keys.len() {
                self.matched = 0;
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(terminal: bool, keys: &[u8]) -> (Client, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let attach = Attach {
            stdin: true,
            stdout: true,
            stderr: false,
            detach_keys: keys.to_vec(),
            received: Vec::new(),
        };
        (Client::new(ours.into(), &attach, terminal).unwrap(), theirs)
    }

    #[test]
    fn frames_arrive_whole_through_a_full_socket() {
        let (mut client, mut other) = client(false, b"");
        let piece = vec![7; 10_000];
        let mut pushed = 0;
        while !client.is_full() {
            client.push(Stream::Stdout, &piece);
            client.push(Stream::Stderr, b"not wanted");
            pushed += 1;
        }
        client.finish();
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            other.read_to_end(&mut bytes).map(|_| bytes)
        });
        while !client.is_done() {
            client.flush();
        }
        drop(client);
        let bytes = reader.join().unwrap().unwrap();
        let frame = [&[1, 0, 0, 0, 0, 0, 0x27, 0x10][..], &piece].concat();
        assert_eq!(bytes.len(), frame.len() * pushed);
        assert!(bytes.chunks(frame.len()).all(|chunk| chunk == frame));
    }

    #[test]
    fn detach_keys_are_found_wherever_they_are_cut() {
        let typed = b"ls\x10\x10\x11rest";
        for cut in 0..typed.len() {
            let mut keys = DetachKeys::new(vec![0x10, 0x11]);
            let mut passed = Vec::new();
            let found =
                keys.filter(&typed[..cut], &mut passed) || keys.filter(&typed[cut..], &mut passed);
            assert!(found, "cut at {cut}");
            assert_eq!(passed, b"ls\x10", "cut at {cut}");
        }
        let mut passed = Vec::new();
        assert!(!DetachKeys::new(vec![0x10, 0x11]).filter(b"ls\x10x\x11", &mut passed));
        assert_eq!(passed, b"ls\x10x\x11");
    }

    #[test]
    fn a_closed_client_is_done() {
        let (mut client, other) = client(true, b"");
        drop(other);
        client.push(Stream::Stdout, b"into nothing");
        assert!(client.is_done());
    }
}
