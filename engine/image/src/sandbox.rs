//! What the processes that handle hostile files lose before they read the first byte.
//!
//! Two of them exist: the unpacker of layers ([`crate::unpack`]) and the copier in and out of containers
//! ([`crate::tree`]). Their code cannot leave the directory that it works on; here the process is made so
//! that it would find nothing if it could:
//!
//! * a mount namespace whose root *is* that directory (pivot_root(2)), mounted nodev, nosuid and noexec, so
//!   a device node or program can be made but not used: without nodev, CAP_MKNOD would be the host's disks;
//! * its own PID, network and IPC namespaces: nothing to signal, nothing to connect to;
//! * the capabilities CHOWN, DAC_OVERRIDE, FOWNER, FSETID, MKNOD and SETFCAP, each for a kind of metadata,
//!   and no way to get more (no_new_privs). Not SYS_ADMIN, not SYS_PTRACE;
//! * a limit on memory.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use drydock_sys::mounts::{Change, MountAttributes};
use drydock_sys::process::{Side, exit_now, fork_into};
use drydock_sys::{capabilities, mounts, process};
use nix::mount::{MntFlags, umount2};
use nix::sched::CloneFlags;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, chdir, fchdir, pivot_root};

/// Bits of the capabilities that stay (capabilities(7)).
const CAPABILITIES: u64 = 1 << 0 // CAP_CHOWN: owners
    | 1 << 1 // CAP_DAC_OVERRIDE: files in directories that their owner cannot write to
    | 1 << 3 // CAP_FOWNER: modes and times of files of other owners
    | 1 << 4 // CAP_FSETID: set-group-ID on files of other groups
    | 1 << 27 // CAP_MKNOD: device nodes
    | 1 << 31; // CAP_SETFCAP: file capabilities

/// The most address space. A million member names take some 200 MiB.
const MEMORY_BYTES_MAX: u64 = 2 << 30;

/// Forks into the namespaces, does the work there and waits for it; `who` names the process in messages. A
/// fork, because a PID namespace begins with a child. The caller must have one thread.
pub(crate) fn run(who: &str, work: impl FnOnce() -> io::Result<()>) -> io::Result<u8> {
    let namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC;
    let failed = |why: String| Err(io::Error::other(format!("the {who} {why}")));
    match fork_into(namespaces, None, false)? {
        Side::Child => {
            // If the process that waits for this one is killed, nobody needs the result.
            let result = prctl::set_pdeathsig(Signal::SIGKILL)
                .map_err(io::Error::from)
                .and_then(|()| work());
            exit_now(match result {
                Ok(()) => 0,
                Err(error) => {
                    eprintln!("{error}");
                    1
                }
            })
        }
        Side::Parent(child) => match waitpid(Pid::from_raw(child.pid), None)? {
            WaitStatus::Exited(_, code) => Ok(code as u8),
            WaitStatus::Signaled(_, signal, _) => failed(format!("was ended by {signal}")),
            other => failed(format!("ended strangely: {other:?}")),
        },
    }
}

/// Cuts this mount namespace off from the host's. Else the mounts made in it would appear there as well.
pub(crate) fn make_private() -> io::Result<()> {
    let change = Change {
        private: true,
        recursive: true,
        ..Change::default()
    };
    mounts::change(File::open("/")?.as_fd(), change)
}

/// Takes from a mount what could be used against the host: devices, set-user-ID bits, programs.
pub(crate) fn disarm(mount: BorrowedFd<'_>, recursive: bool) -> io::Result<()> {
    let set =
        MountAttributes::NO_DEVICES | MountAttributes::NO_SET_ID | MountAttributes::NO_EXECUTE;
    mounts::change(
        mount,
        Change {
            set,
            private: true,
            recursive,
        },
    )
}

/// Makes a mount the root of the namespace, and with what is mounted in it the only thing there.
pub(crate) fn become_root(mount: OwnedFd) -> io::Result<()> {
    fchdir(&mount)?;
    // The old root lands on top of the new one and goes (pivot_root(2), "pivot_root(".", ".")").
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    Ok(chdir("/")?)
}

/// Keeps the few capabilities that metadata needs, for good, and limits the memory.
pub(crate) fn give_up_privileges() -> io::Result<()> {
    process::set_limit(nix::libc::RLIMIT_AS, MEMORY_BYTES_MAX, MEMORY_BYTES_MAX)?;
    prctl::set_no_new_privs()?;
    capabilities::bound(CAPABILITIES)?;
    capabilities::set(CAPABILITIES, CAPABILITIES, 0)
}
