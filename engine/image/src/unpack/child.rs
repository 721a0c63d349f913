//! The sandbox that archives are unpacked in: `drydock unpack DIRECTORY`, with the archive on its standard
//! input and the skeleton on its standard output.
//!
//! Parsing and file creation are the same code as in [`super::extract`]; here it loses everything that it
//! does not need before it reads the first byte:
//!
//! * a mount namespace whose root *is* the target (pivot_root(2)): there are no other files to reach. The
//!   target is mounted nodev, nosuid and noexec, so a device node or program from the archive can be made
//!   but not used: without nodev, CAP_MKNOD would be the host's disks;
//! * its own PID, network and IPC namespaces: nothing to signal, nothing to connect to;
//! * the capabilities CHOWN, DAC_OVERRIDE, FOWNER, FSETID, MKNOD and SETFCAP, each for a kind of metadata,
//!   and no way to get more (no_new_privs). Not SYS_ADMIN, see `finish` in [`super`];
//! * a limit on memory.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;

use drydock_sys::mounts::{Change, MountAttributes};
use drydock_sys::process::{Side, exit_now, fork_into};
use drydock_sys::{capabilities, descriptors, mounts, process};
use nix::mount::{MntFlags, umount2};
use nix::sched::CloneFlags;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, chdir, fchdir, pivot_root};

use super::extract::extract;

/// Bits of the capabilities that stay (capabilities(7)).
const CAPABILITIES: u64 = 1 << 0 // CAP_CHOWN: owners
    | 1 << 1 // CAP_DAC_OVERRIDE: files in directories that their owner cannot write to
    | 1 << 3 // CAP_FOWNER: modes and times of files of other owners
    | 1 << 4 // CAP_FSETID: set-group-ID on files of other groups
    | 1 << 27 // CAP_MKNOD: device nodes
    | 1 << 31; // CAP_SETFCAP: file capabilities

/// The most address space. A million member names take some 200 MiB.
const MEMORY_BYTES_MAX: u64 = 2 << 30;

/// The entry point of the `unpack` role; the arguments are those after that word.
///
/// Ends with 0 when the archive is unpacked and its skeleton written, else with 1 and one line on the
/// standard error. The process must have one thread.
pub fn unpack_main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.collect();
    let [directory] = arguments.as_slice() else {
        eprintln!(
            "usage: drydock unpack DIRECTORY\nhint: the daemon calls this; `drydock import` is for users"
        );
        return ExitCode::from(125);
    };
    match start(Path::new(directory)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Forks into the namespaces and waits. A fork, because a PID namespace begins with a child.
fn start(directory: &Path) -> io::Result<u8> {
    descriptors::close_range(3, i32::MAX)?;
    let namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC;
    match fork_into(namespaces, None, false)? {
        Side::Child => exit_now(match confine_and_unpack(directory) {
            Ok(()) => 0,
            Err(error) => {
                eprintln!("{error}");
                1
            }
        }),
        Side::Parent(child) => match waitpid(Pid::from_raw(child.pid), None)? {
            WaitStatus::Exited(_, code) => Ok(code as u8),
            WaitStatus::Signaled(_, signal, _) => Err(io::Error::other(format!(
                "the unpacker was ended by {signal}"
            ))),
            other => Err(io::Error::other(format!(
                "the unpacker ended strangely: {other:?}"
            ))),
        },
    }
}

fn confine_and_unpack(directory: &Path) -> io::Result<()> {
    // If the process that waits for this one is killed, nobody needs the result.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    enter(directory).map_err(|error| step("make the target the root", error))?;
    give_up_privileges().map_err(|error| step("give up privileges", error))?;
    umask(Mode::empty());
    let directory: OwnedFd = File::open("/")?.into();
    // Not through `io::stdout`, which looks for line ends in what it writes.
    let skeleton = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    extract(&mut io::stdin().lock(), directory, skeleton, true)
}

/// The sandbox failed, not the archive: the message has to say so.
fn step(what: &str, error: io::Error) -> io::Error {
    io::Error::other(format!("the unpacker's sandbox: {what}: {error}"))
}

/// Makes the target the root of the mount namespace, and the only thing in it.
fn enter(directory: &Path) -> io::Result<()> {
    let host = File::open("/")?;
    // Else the mounts below would appear on the host as well.
    mounts::change(
        host.as_fd(),
        Change {
            private: true,
            recursive: true,
            ..Change::default()
        },
    )?;
    // Opened only here: a mount of the old namespace cannot be cloned into the new one.
    let target = File::open(directory)?;
    let mount = mounts::clone_of(target.as_fd(), false)?;
    let set =
        MountAttributes::NO_DEVICES | MountAttributes::NO_SET_ID | MountAttributes::NO_EXECUTE;
    mounts::change(
        mount.as_fd(),
        Change {
            set,
            private: true,
            recursive: false,
        },
    )?;
    mounts::attach(mount.as_fd(), target.as_fd())?;
    drop((host, target));
    fchdir(&mount)?;
    // The old root lands on top of the new one and goes (pivot_root(2), "pivot_root(".", ".")").
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    Ok(chdir("/")?)
}

fn give_up_privileges() -> io::Result<()> {
    process::set_limit(nix::libc::RLIMIT_AS, MEMORY_BYTES_MAX, MEMORY_BYTES_MAX)?;
    prctl::set_no_new_privs()?;
    capabilities::bound(CAPABILITIES)?;
    capabilities::set(CAPABILITIES, CAPABILITIES, 0)
}
