//! A container's tree, put together for one copy.
//!
//! What Docker shows to `cp` is not what the container sees: the container's own files, and over them its
//! binds, volumes and the three files of the engine in /etc. Not /proc, /sys, /dev and its memory file systems.
//!
//! * Of a container that runs, its own overlay is cloned out of its mount namespace (open_tree(2)), without
//!   what is mounted in it: two overlays over one writable layer must not both write.
//! * Of one that does not run, the overlay is mounted here. A reader gets the writable layer as the top one of
//!   those below, with an empty layer in memory above: mount points that do not exist yet are made there, and
//!   nothing changes in the container.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use drydock_sys::mounts::{self, Change, MountAttributes};
use drydock_sys::paths;
use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::{Mode, mkdirat};

use super::protocol::{MountPoint, Request, Root};
use crate::sandbox;

/// Makes the tree that a request is about the root of this process, which must be in a mount namespace of its
/// own.
pub(super) fn enter(request: &Request, descriptors: Vec<OwnedFd>) -> io::Result<()> {
    sandbox::make_private()?;
    let mut descriptors = descriptors.into_iter();
    let (root, readonly) = match &request.root {
        Root::Running => {
            let process = descriptors.next().ok_or_else(missing)?;
            let clone = clone_from(&process).map_err(step("enter the container's tree"))?;
            let place = File::open(&request.place)?;
            mounts::attach(clone.as_fd(), place.as_fd())?;
            // A read-only root is so by its mount, and the clone as well.
            (clone, false)
        }
        Root::Stopped {
            layers,
            upper,
            work,
            readonly,
        } => {
            let layered = Layered {
                layers,
                upper,
                work: work.as_deref(),
            };
            let root = layered
                .mount(&request.place)
                .map_err(step("mount the container's layers"))?;
            (root, *readonly)
        }
    };
    sandbox::disarm(root.as_fd(), false)?;
    for point in &request.mounts {
        let source = descriptors.next().ok_or_else(missing)?;
        let what = format!("mount {}", point.target.display());
        attach(&root, point, source).map_err(step(&what))?;
    }
    if readonly {
        let change = Change {
            set: MountAttributes::READONLY,
            ..Change::default()
        };
        mounts::change(root.as_fd(), change)?;
    }
    sandbox::become_root(root)
}

fn missing() -> io::Error {
    io::Error::other("the copier got too few descriptors")
}

fn step(what: &str) -> impl FnOnce(io::Error) -> io::Error {
    let what = what.to_owned();
    move |error| io::Error::other(format!("{what}: {error}"))
}

/// A clone of the root of a process's mount namespace, without what is mounted below it. This process is back
/// in its own namespace afterwards.
fn clone_from(process: &OwnedFd) -> io::Result<OwnedFd> {
    let own = File::open("/proc/self/ns/mnt")?;
    setns(process, CloneFlags::CLONE_NEWNS)?;
    let clone = File::open("/").and_then(|root| mounts::clone_of(root.as_fd(), false));
    setns(own, CloneFlags::CLONE_NEWNS)?;
    clone
}

/// The directories of a container that does not run.
struct Layered<'a> {
    layers: &'a [PathBuf],
    upper: &'a Path,
    work: Option<&'a Path>,
}

impl Layered<'_> {
    /// Mounts them at a directory, and opens the root of that mount.
    fn mount(&self, place: &Path) -> io::Result<OwnedFd> {
        let mut lower = self
            .layers
            .iter()
            .map(|path| directory(path))
            .collect::<io::Result<Vec<_>>>()?;
        let upper = directory(self.upper)?;
        let (upper, work) = match self.work {
            Some(work) => (upper, directory(work)?),
            None => {
                lower.insert(0, upper);
                scratch(place)?
            }
        };
        // By descriptor: all layers fit into the kernel's one page of options, and no path needs an escape.
        let name = |descriptor: &OwnedFd| format!("/proc/self/fd/{}", descriptor.as_raw_fd());
        let lower = lower.iter().map(name).collect::<Vec<_>>().join(":");
        let options = format!(
            "lowerdir={lower},upperdir={},workdir={},index=off",
            name(&upper),
            name(&work)
        );
        mount(
            Some("overlay"),
            place,
            Some("overlay"),
            MsFlags::empty(),
            Some(options.as_str()),
        )?;
        directory(place)
    }
}

/// An empty file system in memory at `place`, and in it the two directories that overlayfs writes to.
fn scratch(place: &Path) -> io::Result<(OwnedFd, OwnedFd)> {
    let options = [(c"mode", c"700"), (c"size", c"16m")];
    let memory = mounts::new_file_system(c"tmpfs", &options, MountAttributes::NONE)?;
    mounts::attach(memory.as_fd(), directory(place)?.as_fd())?;
    let make = |name: &str| {
        // Docker's root directories are 0755, and this one shows as the container's.
        mkdirat(&memory, name, Mode::from_bits_truncate(0o755))?;
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        paths::open_without_links(memory.as_fd(), Path::new(name), flags, Mode::empty())
    };
    Ok((make("upper")?, make("work")?))
}

/// Opens a directory of the engine's own.
fn directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let opened = open(path, flags, Mode::empty());
    opened.map_err(|errno| {
        io::Error::other(format!(
            "{}: {}",
            path.display(),
            errno.desc().to_lowercase()
        ))
    })
}

/// Attaches a mount at a path of the tree, which is made if it is missing.
fn attach(root: &OwnedFd, point: &MountPoint, source: OwnedFd) -> io::Result<()> {
    sandbox::disarm(source.as_fd(), true)?;
    if point.readonly {
        let change = Change {
            set: MountAttributes::READONLY,
            recursive: true,
            ..Change::default()
        };
        mounts::change(source.as_fd(), change)?;
    }
    let place = if paths::is_directory(source.as_fd())? {
        let mode = Mode::from_bits_truncate(0o755);
        paths::make_directories(root.as_fd(), &point.target, mode)?
    } else {
        paths::make_file(root.as_fd(), &point.target, Mode::from_bits_truncate(0o644))?
    };
    mounts::attach(source.as_fd(), place.as_fd())
}
