//! The process that looks into a container: `drydock copier`, with the daemon's socket as its standard input.
//!
//! It serves one request and ends, and it ends with its socket: a client that goes away, or a daemon that is
//! killed, leaves nothing behind, and nothing that it mounted outlives it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use drydock_sys::{descriptors, paths, process};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::prctl;
use nix::sys::stat::{Mode, SFlag, umask};
use nix::sys::statvfs::{FsFlags, fstatvfs};

use super::extract::{self, Owner};
use super::pack::{DEPTH_MAX, Packer};
use super::protocol::{self, Failure, FailureKind, Operation, Pieces, Reply, Request};
use super::{go_error, path, stat, view};
use crate::sandbox;
use crate::unpack::root::kind_of;

/// Finds the numbers of a user (as in `--user`) in the tree whose root is given.
pub type FindUser = fn(BorrowedFd<'_>, &str) -> Result<(u32, u32), String>;

/// The entry point of the `copier` role. The process must have one thread.
pub fn main(find_user: FindUser) -> ExitCode {
    match start(find_user) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!(
                "drydock copier: {error}\nhint: the daemon calls this; `drydock cp` is for users"
            );
            ExitCode::FAILURE
        }
    }
}

fn start(find_user: FindUser) -> io::Result<u8> {
    descriptors::close_range(3, i32::MAX)?;
    // It is in a container's mount namespace for a moment: nobody in there may look at it (CVE-2019-5736).
    prctl::set_dumpable(false)?;
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let (request, descriptors) = protocol::receive(&socket)?;
    sandbox::run("copier", || {
        serve(&socket, &request, descriptors, find_user)
    })
}

/// Answers one request; the rest of the archive of one that failed is read, so that whoever still writes gets
/// to the answer.
fn serve(
    socket: &UnixStream,
    request: &Request,
    descriptors: Vec<OwnedFd>,
    find_user: FindUser,
) -> io::Result<()> {
    let result = confine(request, descriptors)
        .map_err(|error| io::Error::other(format!("the copier's sandbox: {error}")))
        .map_err(Failure::from)
        .and_then(|root| operate(socket, &root, &request.operation, find_user));
    let mut output = socket;
    match result {
        Ok(Some(reply)) => output.write_all(&protocol::encode(&reply)?)?,
        // The archive was sent.
        Ok(None) => {}
        Err(failure) => output.write_all(&protocol::encode(&Reply::Failed(failure))?)?,
    }
    let mut input = socket;
    io::copy(&mut input, &mut io::sink()).map(drop)
}

/// Makes the container's tree the root, and gives up everything that could reach beyond it.
fn confine(request: &Request, descriptors: Vec<OwnedFd>) -> io::Result<OwnedFd> {
    // A descriptor for each level of directories.
    let files = DEPTH_MAX as u64 + 256;
    process::set_limit(nix::libc::RLIMIT_NOFILE, files, files)?;
    umask(Mode::empty());
    view::enter(request, descriptors)?;
    sandbox::give_up_privileges()?;
    Ok(File::open("/")?.into())
}

fn operate(
    socket: &UnixStream,
    root: &OwnedFd,
    operation: &Operation,
    find_user: FindUser,
) -> Result<Option<Reply>, Failure> {
    match operation {
        Operation::Stat { path } => {
            let (_, found) = stat::stat(root.as_fd(), path)?;
            Ok(Some(Reply::Stat(found)))
        }
        Operation::Read { path } => read(socket, root, path),
        Operation::Export => send(socket, &Reply::Done, |packer| {
            packer.contents(root.try_clone()?)
        }),
        Operation::Write {
            path,
            keep_kinds,
            owner,
        } => {
            let owner = owner.as_deref();
            let owner = owner.map(|user| find_user(root.as_fd(), user)).transpose();
            let owner = owner.map_err(|text| Failure {
                kind: FailureKind::Invalid,
                text,
            })?;
            write(socket, root, path, *keep_kinds, owner).map(|()| Some(Reply::Done))
        }
    }
}

/// Packs what is at a path; in the archive it has the name by which it was asked for.
fn read(socket: &UnixStream, root: &OwnedFd, place: &str) -> Result<Option<Reply>, Failure> {
    let (opened, found) = stat::stat(root.as_fd(), place)?;
    let called = path::base(place).to_owned();
    let status = nix::sys::stat::fstat(&opened).map_err(io::Error::from)?;
    if kind_of(&status) == SFlag::S_IFDIR {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let here = Path::new(".");
        let directory = paths::open_without_links(opened.as_fd(), here, flags, Mode::empty())?;
        return send(socket, &Reply::Stat(found), |packer| {
            packer.directory(directory, called.as_bytes())
        });
    }
    // By name again, because most kinds of files cannot be read through the descriptor: whatever the name
    // means by now, it is in the container.
    let (folder, _) = path::split(place);
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let parent = paths::open_in_root(root.as_fd(), Path::new(&folder), flags, Mode::empty())?;
    send(socket, &Reply::Stat(found), |packer| {
        let name = std::ffi::OsStr::from_bytes(called.as_bytes());
        packer.member(parent.as_fd(), name, called.as_bytes())
    })
}

/// Sends a reply and an archive. What goes wrong in the middle cannot be told any more: then the archive has
/// no end.
fn send<'a>(
    socket: &'a UnixStream,
    reply: &Reply,
    pack: impl FnOnce(&mut Packer<Pieces<&'a UnixStream>>) -> io::Result<()>,
) -> Result<Option<Reply>, Failure> {
    let run = || {
        let mut output = socket;
        output.write_all(&protocol::encode(reply)?)?;
        let mut packer = Packer::new(Pieces::new(socket));
        pack(&mut packer)?;
        packer.finish()?.end()
    };
    if let Err(error) = run()
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        eprintln!("drydock copier: {error}");
        // Not by a return: nothing may follow a half archive.
        process::exit_now(1);
    }
    Ok(None)
}

fn write(
    socket: &UnixStream,
    root: &OwnedFd,
    place: &str,
    keep_kinds: bool,
    owner: Option<(u32, u32)>,
) -> Result<(), Failure> {
    let directory = target(root, place)?;
    refuse_readonly(root, &directory)?;
    let target = stat::resolve(root.as_fd(), place)?;
    let options = extract::Options {
        keep_kinds,
        owner: owner.map_or(Owner::Archive, |(uid, gid)| Owner::Given(uid, gid)),
        target: &target,
        whole_names: false,
        renamed: None,
    };
    let input: &UnixStream = socket;
    Ok(extract::extract(input, directory, &options)?)
}

/// Opens the directory to unpack into, with Docker's texts where it is none.
fn target(root: &OwnedFd, place: &str) -> Result<OwnedFd, Failure> {
    let followed = path::clean(place);
    let open =
        |flags| paths::open_in_root(root.as_fd(), Path::new(&followed), flags, Mode::empty());
    let found = open(OFlag::O_PATH).map_err(|error| go_error("", &error))?;
    if paths::is_directory(found.as_fd())? {
        return Ok(found);
    }
    if path::asserts_directory(place) {
        let error = Errno::ENOTDIR.into();
        return Err(go_error(&format!("lstat {place}"), &error).into());
    }
    Err(invalid("extraction point is not a directory"))
}

/// The kernel would refuse each file; Docker says so before.
fn refuse_readonly(root: &OwnedFd, directory: &OwnedFd) -> Result<(), Failure> {
    let status = fstatvfs(directory).map_err(io::Error::from)?;
    if !status.flags().contains(FsFlags::ST_RDONLY) {
        return Ok(());
    }
    match is_mounted(root, directory)? {
        true => Err(invalid("mounted volume is marked read-only")),
        false => Err(invalid("container rootfs is marked read-only")),
    }
}

/// Whether a directory lies in something that is mounted over the container's own files.
fn is_mounted(root: &OwnedFd, directory: &OwnedFd) -> io::Result<bool> {
    use rustix::fs::{AtFlags, StatxFlags, statx};
    let mount = |place: &OwnedFd| {
        statx(place, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).map(|status| status.stx_mnt_id)
    };
    Ok(mount(root)? != mount(directory)?)
}

fn invalid(text: &str) -> Failure {
    Failure {
        kind: FailureKind::Invalid,
        text: text.to_owned(),
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => FailureKind::NotFound,
            _ => FailureKind::System,
        };
        // The system's own texts end with "(os error 2)"; ours are whole.
        let text = match error.raw_os_error() {
            Some(_) => go_error("", &error).to_string(),
            None => error.to_string(),
        };
        Failure { kind, text }
    }
}
