//! Whether the engine lives.
//!
//! Without a recorder between, a client of a dead engine is refused. With one it would be let in and then see its
//! connection end, which clients report in other words. So the recorder closes its own door as soon as the engine
//! has gone, and opens it again when it is back.
//!
//! A descriptor for the process that listens (pidfd_open(2)) tells the moment at which it ends, without a
//! connection that the engine would have to hold.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags};

/// An engine that listens.
#[derive(Debug)]
pub(crate) struct Lifeline {
    /// Readable when the engine's process has ended. None where its process is not to be seen from here; then only
    /// refused connections tell.
    pub(crate) process: Option<OwnedFd>,
}

impl Lifeline {
    /// Nothing when nobody listens.
    pub(crate) fn of(socket: &Path) -> Option<Lifeline> {
        let connection = UnixStream::connect(socket).ok()?;
        let process = listener(&connection)
            .and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok());
        Some(Lifeline { process })
    }
}

/// The process that listened. Process 1 holds the sockets of others and outlives them.
fn listener(connection: &UnixStream) -> Option<Pid> {
    let peer = rustix::net::sockopt::socket_peercred(connection).ok()?;
    (peer.pid != Pid::INIT).then_some(peer.pid)
}
