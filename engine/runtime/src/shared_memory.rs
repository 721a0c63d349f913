//! /dev/shm: a container's own, another container's, or none (`--ipc`).

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use drydock_sys::mounts::{self, Change};
use drydock_sys::paths;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use crate::rootfs::{CONFINED, Context, mount_new, ordinary_directory};
use crate::spec::{SharedMemory, Spec};

const PLACE: &str = "/dev/shm";

/// tmpfs in statfs(2).
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// Puts /dev/shm in its place below the root, as the spec says.
pub(crate) fn mount(root: &OwnedFd, spec: &Spec, shared: Option<OwnedFd>) -> Result<(), String> {
    match (spec.shared_memory, shared) {
        (SharedMemory::Nothing, _) => Ok(()),
        (SharedMemory::Own, _) => {
            let size = CString::new(spec.shm_size.to_string())
                .context(|| format!("bad size of {PLACE}"))?;
            let options = [
                (c"source", c"shm"),
                (c"mode", c"1777"),
                (c"size", size.as_c_str()),
            ];
            mount_new(root, PLACE, c"tmpfs", &options, CONFINED).map(drop)
        }
        (SharedMemory::Shared, Some(shared)) => {
            // Whatever the other container has made of its own mount.
            let confined = Change {
                set: CONFINED,
                private: true,
                recursive: false,
            };
            mounts::change(shared.as_fd(), confined)
                .context(|| format!("failed to confine the shared {PLACE}"))?;
            let place = ordinary_directory(root, PLACE)?;
            mounts::attach(shared.as_fd(), place.as_fd())
                .context(|| format!("failed to mount the shared {PLACE}"))
        }
        (SharedMemory::Shared, None) => Err(format!("no {PLACE} of another container is there")),
    }
}

/// /dev/shm of the mount namespace that we are in. The container could have mounted something else there; what is
/// shared is memory.
pub(crate) fn clone_here() -> io::Result<OwnedFd> {
    let directory = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let root = nix::fcntl::open("/", directory | OFlag::O_CLOEXEC, Mode::empty())?;
    let place =
        paths::open_without_links(root.as_fd(), Path::new(PLACE), directory, Mode::empty())?;
    if nix::sys::statfs::fstatfs(&place)?.filesystem_type().0 as i64 != TMPFS_MAGIC {
        return Err(io::Error::other("it is not a tmpfs"));
    }
    mounts::clone_of(place.as_fd(), false)
}
