//! The process that archives of layers are unpacked in: `drydock unpack DIRECTORY`, with the archive on its
//! standard input and the skeleton on its standard output.
//!
//! Parsing and file creation are the same code as in [`super::extract`]; here it runs in the sandbox of
//! [`crate::sandbox`], whose root is the target. It has no SYS_ADMIN either, see `finish` in [`super`].

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;

use drydock_sys::{descriptors, mounts};
use nix::sys::stat::{Mode, umask};

use super::extract::extract;
use crate::sandbox;

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

fn start(directory: &Path) -> io::Result<u8> {
    descriptors::close_range(3, i32::MAX)?;
    sandbox::run("unpacker", || confine_and_unpack(directory))
}

fn confine_and_unpack(directory: &Path) -> io::Result<()> {
    enter(directory).map_err(|error| step("make the target the root", error))?;
    sandbox::give_up_privileges().map_err(|error| step("give up privileges", error))?;
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
    sandbox::make_private()?;
    // Opened only here: a mount of the old namespace cannot be cloned into the new one.
    let target = File::open(directory)?;
    let mount = mounts::clone_of(target.as_fd(), false)?;
    sandbox::disarm(mount.as_fd(), false)?;
    mounts::attach(mount.as_fd(), target.as_fd())?;
    drop(target);
    sandbox::become_root(mount)
}
