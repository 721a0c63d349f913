//! Processes: fork and clone3(2), pidfds, and what a process can no longer do afterwards.
//!
//! The forks here are for processes with one thread (spawner, shim, init). A fork of a process with several
//! threads may only call async-signal-safe functions until it execs, which none of these callers would obey;
//! the daemon therefore never forks at all.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::sched::CloneFlags;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::check;

/// Which side of a fork this is.
#[derive(Debug)]
pub enum Side {
    /// The new process.
    Child,
    /// The caller, with the new process's number and pidfd.
    Parent(Child),
}

/// A process that this one made.
#[derive(Debug)]
pub struct Child {
    /// Its number in this process's PID namespace.
    pub pid: i32,
    /// It, and no other process that gets the number later (pidfd_open(2)).
    pub descriptor: OwnedFd,
}

/// clone3(2)'s arguments, as of Linux 5.7.
#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// CLONE_INTO_CGROUP of linux/sched.h; libc's constant has too narrow a type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Forks into new namespaces (clone3(2)). `cgroup` is a directory of a cgroup2 tree in which the child is
/// born (CLONE_INTO_CGROUP): unlike a write to cgroup.procs, that takes no global lock. `sibling` makes the
/// child a child of the caller's parent (CLONE_PARENT).
///
/// The caller must have one thread only; see the top of this file.
pub fn fork_into(
    namespaces: CloneFlags,
    cgroup: Option<BorrowedFd<'_>>,
    sibling: bool,
) -> io::Result<Side> {
    let mut pidfd: libc::c_int = -1;
    let mut arguments = CloneArguments {
        flags: namespaces.bits() as u32 as u64 | libc::CLONE_PIDFD as u64,
        pidfd: &raw mut pidfd as u64,
        // With CLONE_PARENT the kernel takes the exit signal from the caller and insists on 0 here.
        exit_signal: if sibling { 0 } else { libc::SIGCHLD as u64 },
        ..Default::default()
    };
    if sibling {
        arguments.flags |= libc::CLONE_PARENT as u64;
    }
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM the child gets a copy of this address space and returns here on its own copy
    // of the stack, like fork(2). The process has one thread by contract, so no lock is held by another.
    let pid = check(unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw mut arguments,
            size_of::<CloneArguments>(),
        )
    })?;
    if pid == 0 {
        return Ok(Side::Child);
    }
    // SAFETY: CLONE_PIDFD has stored a new descriptor that only we know.
    let descriptor = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Side::Parent(Child {
        pid: pid as i32,
        descriptor,
    }))
}

/// Forks without new namespaces. The caller must have one thread only.
pub fn fork() -> io::Result<Side> {
    fork_into(CloneFlags::empty(), None, false)
}

/// Which side of a [`fork_simply`] this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// The new process.
    Child,
    /// The caller, with the new process's number.
    Parent(i32),
}

/// Forks by fork(2), for a process inside a container: the usual seccomp profile has no clone3(2). The caller must have
/// one thread only.
pub fn fork_simply() -> io::Result<Fork> {
    // SAFETY: the child gets a copy of this address space. The process has one thread by contract, so no lock is held
    // by another.
    match check(unsafe { libc::fork() }.into())? {
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(pid as i32)),
    }
}

/// Takes the exit code of one child that has ended: its number, and the code of exit(3) or 128 and the number of the
/// signal that ended it, which may be one that `nix` has no name for. None when none has ended (waitpid(2)).
pub fn reap() -> io::Result<Option<(i32, i32)>> {
    loop {
        let mut status = 0;
        // SAFETY: waitpid writes to one integer.
        let pid = match check(unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) }.into()) {
            Ok(0) => return Ok(None),
            Ok(pid) => pid as i32,
            Err(error) => match error.raw_os_error() {
                Some(libc::ECHILD) => return Ok(None),
                Some(libc::EINTR) => continue,
                _ => return Err(error),
            },
        };
        if libc::WIFEXITED(status) {
            return Ok(Some((pid, libc::WEXITSTATUS(status))));
        }
        if libc::WIFSIGNALED(status) {
            return Ok(Some((pid, 128 + libc::WTERMSIG(status))));
        }
    }
}

/// Sends a signal to a process by its number (kill(2)): for one's own child, which keeps its number until it is reaped.
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: kill takes integers.
    check(unsafe { libc::kill(pid, signal) }.into()).map(drop)
}

/// Ends this process at once, without destructors or buffers: the only right end of a fork that did not
/// exec (_exit(2)).
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit takes an integer and does not return.
    unsafe { libc::_exit(code) }
}

/// Sends a signal to exactly that process (pidfd_send_signal(2)). ESRCH when it has ended.
pub fn send_signal(process: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: the info pointer is null, which the call allows; the rest are integers.
    check(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    })
    .map(drop)
}

/// A descriptor of a running process (pidfd_open(2)).
pub fn open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes integers.
    let descriptor = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: the kernel has just returned this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as i32) })
}

/// Loads a seccomp program for this process (seccomp(2), SECCOMP_SET_MODE_FILTER).
///
/// `program` is classic BPF, eight bytes an instruction. Needs CAP_SYS_ADMIN or no_new_privs.
pub fn load_seccomp(program: &[u8]) -> io::Result<()> {
    if program.is_empty() || !program.len().is_multiple_of(8) || program.len() / 8 > 4096 {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // Copied, because the bytes need not be aligned like the structure.
    let instructions: Vec<libc::sock_filter> = program
        .chunks_exact(8)
        .map(|bytes| libc::sock_filter {
            code: u16::from_ne_bytes([bytes[0], bytes[1]]),
            jt: bytes[2],
            jf: bytes[3],
            k: u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
        })
        .collect();
    let filter = libc::sock_fprog {
        len: instructions.len() as u16,
        filter: instructions.as_ptr().cast_mut(),
    };
    // SAFETY: the program and its header live until the call returns; the kernel only reads them.
    check(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const filter,
        )
    })
    .map(drop)
}

/// Joins a new, empty session keyring (keyctl(2)): keyrings are not namespaced, and without this a
/// container would see its starter's keys.
pub fn new_session_keyring(name: &std::ffi::CStr) -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: the name is NUL-terminated and outlives the call.
    check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) })
        .map(drop)
}

/// Gives every signal its default action and unblocks all.
///
/// Ignored signals stay ignored over an exec, and Rust's start-up code ignores SIGPIPE: without this
/// `yes | head` in a container would never end.
pub fn reset_signals() -> io::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in
        Signal::iterator().filter(|signal| !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP))
    {
        // SAFETY: the default action runs no code of ours.
        unsafe { sigaction(signal, &default) }?;
    }
    SigSet::empty().thread_set_mask()?;
    Ok(())
}

/// Ignores a signal from now on.
pub fn ignore_signal(signal: Signal) -> io::Result<()> {
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: ignoring runs no code of ours.
    unsafe { sigaction(signal, &ignore) }?;
    Ok(())
}

/// Sets a resource limit by its number (setrlimit(2)).
pub fn set_limit(resource: u32, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit64 {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: the structure outlives the call; an unknown resource is EINVAL.
    check(
        unsafe { libc::prlimit64(0, resource as _, &raw const limit, std::ptr::null_mut()) }.into(),
    )
    .map(drop)
}

/// Sets this process's group and supplementary groups and user, in that order, for good (setgroups(2),
/// setresgid(2), setresuid(2)).
pub fn set_identity(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
    let groups: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
    setgroups(&groups)?;
    let (gid, uid) = (Gid::from_raw(gid), Uid::from_raw(uid));
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    Ok(())
}

/// Sets the NIS domain name of this UTS namespace (setdomainname(2)).
pub fn set_domain_name(name: &str) -> io::Result<()> {
    // SAFETY: the pointer and length describe the string, which the kernel only reads.
    check(unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) }.into()).map(drop)
}
