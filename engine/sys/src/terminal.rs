//! Pseudo terminals (pts(4), ioctl_tty(2)).
//!
//! The terminal of a container is made in the container's own devpts and never looked up by name: the
//! container could have put something else at /dev/pts/0 (CVE-2025-52565). `TIOCGPTPEER` gives the other end
//! of a terminal as a descriptor.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use crate::check;

/// Both ends of a new terminal.
#[derive(Debug)]
pub struct Pair {
    /// The engine's end.
    pub controller: OwnedFd,
    /// The program's end.
    pub terminal: OwnedFd,
}

/// A new terminal in the devpts instance whose root is `devpts`.
pub fn open_pair(devpts: BorrowedFd<'_>) -> io::Result<Pair> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY;
    let controller =
        crate::paths::open_without_links(devpts, Path::new("ptmx"), flags, Mode::empty())?;
    let unlocked: libc::c_int = 0;
    let pointer = &raw const unlocked;
    // SAFETY: TIOCSPTLCK reads one int, which lives until the call returns.
    let returned = unsafe { libc::ioctl(controller.as_raw_fd(), libc::TIOCSPTLCK, pointer) };
    check(returned.into())?;
    let peer_flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: TIOCGPTPEER takes an integer and returns a new descriptor.
    let terminal = unsafe { libc::ioctl(controller.as_raw_fd(), libc::TIOCGPTPEER, peer_flags) };
    let terminal = check(terminal.into())?;
    // SAFETY: the kernel has just returned this descriptor to us alone.
    let terminal = unsafe { OwnedFd::from_raw_fd(terminal as i32) };
    Ok(Pair {
        controller,
        terminal,
    })
}

/// Sets the size in rows and columns (TIOCSWINSZ); programs at the other end get SIGWINCH.
pub fn set_size(terminal: BorrowedFd<'_>, rows: u16, columns: u16) -> io::Result<()> {
    let size = libc::winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let pointer = &raw const size;
    // SAFETY: TIOCSWINSZ reads one winsize, which lives until the call returns.
    let returned = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, pointer) };
    check(returned.into()).map(drop)
}

/// Makes the terminal the controlling terminal of this session (TIOCSCTTY); the caller is a session leader.
pub fn take_control(terminal: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: TIOCSCTTY takes an integer.
    let returned = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) };
    check(returned.into()).map(drop)
}
