//! The daemon, as a shim sees it: requests with descriptors in, replies out.
//!
//! Never blocking: a daemon that is stopped must not stop a container. What it does not take waits here; a
//! daemon comes back with a `Hello` on a new connection and learns the state from that.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use drydock_sys::descriptors;

use crate::client::is_temporary;
use crate::frame::{self, Decoder};
use crate::protocol::{Reply, Request};

/// One daemon.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: UnixStream,
    decoder: Decoder,
    received: VecDeque<OwnedFd>,
    waiting: Vec<u8>,
    closed: bool,
}

impl Connection {
    pub(crate) fn new(socket: OwnedFd) -> Connection {
        Connection {
            socket: UnixStream::from(socket),
            decoder: Decoder::default(),
            received: VecDeque::new(),
            waiting: Vec::new(),
            closed: false,
        }
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// From now on reads and writes do not wait.
    pub(crate) fn stop_blocking(&mut self) -> io::Result<()> {
        self.socket.set_nonblocking(true)
    }

    /// Reads once. While the connection is blocking this waits.
    pub(crate) fn read(&mut self) {
        let mut buffer = [0; 16 << 10];
        let mut received = Vec::new();
        match descriptors::receive(self.socket.as_fd(), &mut buffer, &mut received) {
            Ok(0) => self.closed = true,
            Ok(count) => {
                self.decoder.push(&buffer[..count]);
                self.received.extend(received);
            }
            Err(error) if is_temporary(&error) => {}
            Err(_) => self.closed = true,
        }
    }

    /// The next whole request. A peer that does not speak the protocol is hung up on.
    pub(crate) fn next(&mut self) -> Option<Request> {
        match self.decoder.next() {
            Ok(request) => request,
            Err(_) => {
                self.closed = true;
                None
            }
        }
    }

    /// The next descriptor that came with the requests; they are consumed in order.
    pub(crate) fn take_descriptor(&mut self) -> Option<OwnedFd> {
        self.received.pop_front()
    }

    /// Sends a reply, or as much of it as goes; the rest waits for [`Connection::flush`].
    pub(crate) fn send(&mut self, reply: &Reply) {
        match frame::encode(reply) {
            Ok(bytes) => self.waiting.extend(bytes),
            // A reply that cannot be written as JSON does not exist; hanging up makes the daemon ask again.
            Err(_) => self.closed = true,
        }
        self.flush();
    }

    pub(crate) fn flush(&mut self) {
        while !self.waiting.is_empty() && !self.closed {
            match self.socket.write(&self.waiting) {
                Ok(count) => drop(self.waiting.drain(..count)),
                Err(error) if is_temporary(&error) => return,
                Err(_) => self.closed = true,
            }
        }
    }
}
