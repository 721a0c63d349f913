//! Waiting for several descriptors at once (poll(2)).
//!
//! Why poll and not epoll: a shim waits for a handful of descriptors and the set changes with what it is
//! ready to take (back pressure), so an epoll set would be changed about as often as it is waited for. And a
//! set that is written anew each time cannot hold a stale entry.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// What to wait for. It remembers numbers, not borrows: a descriptor that was closed in between is reported
/// as hung up, never as undefined behaviour.
#[derive(Debug, Default)]
pub struct Set {
    entries: Vec<libc::pollfd>,
}

impl Set {
    /// Forgets all entries.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Adds a descriptor and returns its index. With neither flag only a hang-up is reported.
    pub fn add(&mut self, descriptor: BorrowedFd<'_>, readable: bool, writable: bool) -> usize {
        let mut events = 0;
        if readable {
            events |= libc::POLLIN;
        }
        if writable {
            events |= libc::POLLOUT;
        }
        self.entries.push(libc::pollfd {
            fd: descriptor.as_raw_fd(),
            events,
            revents: 0,
        });
        self.entries.len() - 1
    }

    /// Waits until something is ready or the time is over (None: for ever). A signal ends the wait early.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let milliseconds = timeout.map_or(-1, |time| {
            i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
        });
        // SAFETY: the pointer and length describe a live array of pollfd.
        let returned = unsafe {
            libc::poll(
                self.entries.as_mut_ptr(),
                self.entries.len() as _,
                milliseconds,
            )
        };
        match crate::check(returned.into()) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    /// Data, the end of the stream or an error is there to be read.
    pub fn is_readable(&self, index: usize) -> bool {
        self.has(
            index,
            libc::POLLIN | libc::POLLHUP | libc::POLLERR | libc::POLLNVAL,
        )
    }

    /// A write would not block, or would fail at once.
    pub fn is_writable(&self, index: usize) -> bool {
        self.has(index, libc::POLLOUT | libc::POLLERR | libc::POLLNVAL)
    }

    /// The other side is gone for both directions.
    pub fn is_hung_up(&self, index: usize) -> bool {
        self.has(index, libc::POLLHUP | libc::POLLERR | libc::POLLNVAL)
    }

    fn has(&self, index: usize, events: libc::c_short) -> bool {
        self.entries
            .get(index)
            .is_some_and(|entry| entry.revents & events != 0)
    }
}
