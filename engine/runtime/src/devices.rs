//! The container's /dev: the nodes and links that every program expects, and those of `--device`.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use drydock_sys::paths;
use nix::fcntl::OFlag;
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, makedev, mkdirat, mknodat};
use nix::unistd::symlinkat;

use crate::rootfs::Context;
use crate::spec::{Device, SharedMemory, Spec};

/// Docker's default nodes: name, major, minor; all are character devices with mode 0666.
const NODES: [(&str, u64, u64); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

/// The links, and where they lead.
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Fills a fresh /dev. Everything is made relative to its root, which nobody else has seen yet.
pub fn populate(dev: &OwnedFd, spec: &Spec) -> Result<(), String> {
    for (name, major, minor) in NODES {
        make_node(dev, Path::new(name), SFlag::S_IFCHR, 0o666, (major, minor))
            .context(|| format!("failed to make /dev/{name}"))?;
    }
    for (name, target) in LINKS {
        symlinkat(target, dev, name).context(|| format!("failed to make /dev/{name}"))?;
    }
    // Only where the kernel has it at all, as Docker does.
    if Path::new("/proc/kcore").exists() {
        symlinkat("/proc/kcore", dev, "core").context(|| "failed to make /dev/core".to_owned())?;
    }
    let places = [("pts", 0o755), ("mqueue", 0o755), ("shm", 0o1777)];
    // With `--ipc none` there is no place for shared memory either.
    let count = places.len() - usize::from(spec.shared_memory == SharedMemory::Nothing);
    for (name, mode) in places.into_iter().take(count) {
        mkdirat(dev, name, Mode::from_bits_truncate(mode))
            .context(|| format!("failed to make /dev/{name}"))?;
    }
    if spec.process.terminal {
        // A place for the terminal to be bound at.
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDONLY;
        paths::open_without_links(
            dev.as_fd(),
            Path::new("console"),
            flags,
            Mode::from_bits_truncate(0o600),
        )
        .context(|| "failed to make /dev/console".to_owned())?;
    }
    for device in &spec.devices {
        add(dev, device)?;
    }
    Ok(())
}

/// A node of `--device`. A path outside of /dev is refused: it would have to be made in the image's tree.
fn add(dev: &OwnedFd, device: &Device) -> Result<(), String> {
    let Device {
        path: Some(path),
        major: Some(major),
        minor: Some(minor),
        ..
    } = device
    else {
        return Ok(());
    };
    let describe = || format!("failed to make the device {}", path.display());
    let below = path
        .strip_prefix("/dev")
        .map_err(|_| format!("{}: it is not below /dev", describe()))?;
    if let Some(parent) = below.parent() {
        paths::make_directories(dev.as_fd(), parent, Mode::from_bits_truncate(0o755))
            .context(describe)?;
    }
    let kind = if device.kind == 'b' {
        SFlag::S_IFBLK
    } else {
        SFlag::S_IFCHR
    };
    // The user's device may be one that is there already, such as /dev/null.
    match make_node(dev, below, kind, device.mode, (*major, *minor)) {
        Err(nix::errno::Errno::EEXIST) => Ok(()),
        other => other.context(describe),
    }
}

fn make_node(
    dev: &OwnedFd,
    path: &Path,
    kind: SFlag,
    mode: u32,
    (major, minor): (u64, u64),
) -> nix::Result<()> {
    let mode = Mode::from_bits_truncate(mode);
    mknodat(dev, path, kind, mode, makedev(major, minor))?;
    // mknod obeys the umask.
    fchmodat(dev, path, mode, FchmodatFlags::FollowSymlink)
}
