//! Descriptors between processes (SCM_RIGHTS, unix(7)), and what closes at exec (close_range(2)).
//!
//! The engine passes open files instead of names wherever it can: a name can be pointed elsewhere between
//! check and use, a descriptor cannot.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

/// The most descriptors that [`receive`] takes in one message.
pub const MAX_DESCRIPTORS: usize = 64;

/// Sends bytes, and descriptors with the first of them. Returns how many bytes went; the rest goes by a
/// plain write, without the descriptors. Never raises SIGPIPE.
pub fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    Ok(sendmsg::<()>(
        socket.as_raw_fd(),
        &[IoSlice::new(bytes)],
        control,
        MsgFlags::MSG_NOSIGNAL,
        None,
    )?)
}

/// Receives bytes and any descriptors that came with them, which close at exec. Returns the number of bytes;
/// 0 is the end of the stream.
pub fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut control = nix::cmsg_space!([RawFd; MAX_DESCRIPTORS]);
    let mut slices = [IoSliceMut::new(buffer)];
    let message = recvmsg::<()>(
        socket.as_raw_fd(),
        &mut slices,
        Some(&mut control),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    for item in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = item {
            // SAFETY: the kernel has just installed these descriptors in this process for this message, and
            // nothing else knows their numbers, so each is owned exactly once.
            descriptors.extend(
                raw.into_iter()
                    .map(|number| unsafe { OwnedFd::from_raw_fd(number) }),
            );
        }
    }
    Ok(message.bytes)
}

/// Marks every descriptor from `first` on close-on-exec (close_range(2) with CLOSE_RANGE_CLOEXEC).
///
/// The last line of defence against CVE-2024-21626 (a leaked directory of the host): every descriptor is
/// opened close-on-exec anyway, and this holds even for one that was forgotten.
pub fn close_at_exec_from(first: RawFd) -> io::Result<()> {
    // SAFETY: close_range takes three integers and touches no memory.
    let returned = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first as libc::c_uint,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    crate::check(returned).map(drop)
}

/// Closes every descriptor from `first` to `last`, both included (close_range(2)).
///
/// For a fork that must not keep its parent's files; the caller must own none of them in a variable that it
/// uses later (an `OwnedFd` closed twice is an error of the program).
pub fn close_range(first: RawFd, last: RawFd) -> io::Result<()> {
    if first > last {
        return Ok(());
    }
    // SAFETY: close_range takes three integers and touches no memory.
    let returned = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first as libc::c_uint,
            last as libc::c_uint,
            0,
        )
    };
    crate::check(returned).map(drop)
}

/// Takes over a descriptor that this process inherited under a known number, as the spawner its socket.
///
/// Call it once for a number, before anything else opens files: it is the caller's word that nobody else
/// owns it. The descriptor is checked to be open and made close-on-exec.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl with F_SETFD takes integers and touches no memory; it fails for a closed descriptor.
    crate::check(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) }.into())?;
    // SAFETY: the descriptor is open (checked above) and by contract owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Replaces descriptor `number` (0, 1 or 2) by a copy of `source` that stays open at exec (dup3(2)).
pub fn replace_standard(source: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    if source.as_raw_fd() == number {
        // dup3 refuses equal numbers, and the flag must go.
        // SAFETY: fcntl with F_SETFD takes integers and touches no memory.
        return crate::check(unsafe { libc::fcntl(number, libc::F_SETFD, 0) }.into()).map(drop);
    }
    // SAFETY: dup3 takes integers; the numbers 0 to 2 are never held in an OwnedFd by this engine.
    crate::check(unsafe { libc::dup3(source.as_raw_fd(), number, 0) }.into()).map(drop)
}
