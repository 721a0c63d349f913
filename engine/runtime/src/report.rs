//! What an init says to the shim before it becomes the user's program.
//!
//! One socket pair (SOCK_SEQPACKET) for each start. Its end in the init closes at exec, so the end of the
//! stream *is* the good news: no message can be forged by the program, because by then there is no socket.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use drydock_sys::descriptors;
use serde::{Deserialize, Serialize};

use crate::spec::StartError;

/// A moment on the way of a start: what was done, and CLOCK_MONOTONIC in nanoseconds.
pub type Stamp = (String, u64);

/// One message.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    /// The controlling end of the terminal comes with this message.
    Terminal,
    /// The process that was made for an exec, by its number in the shim's PID namespace; its pidfd comes
    /// with this message.
    Process(i32),
    /// Moments up to the exec.
    Stamps(Vec<Stamp>),
    /// It did not work; nothing follows.
    Failed(StartError),
}

/// The largest message, bytes. A message is a few stamps or one error text.
const LARGEST: usize = 64 << 10;

/// A new socket pair: the shim's end and the init's.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    Ok(socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?)
}

/// Sends a report, with at most one descriptor.
pub fn send(
    socket: BorrowedFd<'_>,
    report: &Report,
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(report)?;
    if bytes.len() > LARGEST {
        // Only an error text can be that long (a path of the user's); its beginning says enough.
        let message = "failed to start: the error message is longer than 64 KiB".to_owned();
        let kind = crate::spec::StartErrorKind::Other;
        bytes = serde_json::to_vec(&Report::Failed(StartError { kind, message }))?;
    }
    descriptors::send(socket, &bytes, descriptor.as_slice()).map(drop)
}

/// Receives a report and its descriptor; None is the end: the program runs.
pub fn receive(socket: &OwnedFd) -> io::Result<Option<(Report, Option<OwnedFd>)>> {
    let mut buffer = vec![0; LARGEST];
    let mut received = Vec::new();
    loop {
        match descriptors::receive(socket.as_fd(), &mut buffer, &mut received) {
            Ok(0) => return Ok(None),
            Ok(length) => {
                return Ok(Some((
                    serde_json::from_slice(&buffer[..length])?,
                    received.pop(),
                )));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
