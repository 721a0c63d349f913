//! The layer with the mount points, between an image and its containers.
//!
//! Every container needs /proc, /sys, /dev, the three files of /etc and /.dockerenv to mount things at. Made
//! in each container's writable layer they would cost a dozen file creations a start and show up in
//! `docker diff`. So they are made once for a daemon, in a layer of their own that lies on top of every
//! image, as Docker does it with its "init" layer.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

/// Directories and their permission bits.
const DIRECTORIES: [(&str, u32); 6] = [
    ("proc", 0o755),
    ("sys", 0o755),
    ("dev", 0o755),
    ("dev/pts", 0o755),
    ("dev/shm", 0o755),
    ("etc", 0o755),
];

/// Empty files and their permission bits.
const FILES: [(&str, u32); 4] = [
    (".dockerenv", 0o755),
    ("etc/hostname", 0o755),
    ("etc/hosts", 0o755),
    ("etc/resolv.conf", 0o755),
];

/// Makes what is missing of the layer at `path`. Idempotent; a half-made one is completed.
pub fn make(path: &Path) -> io::Result<()> {
    for (name, mode) in std::iter::once(("", 0o755)).chain(DIRECTORIES) {
        let directory = path.join(name);
        existing(DirBuilder::new().mode(mode).create(&directory))?;
        // The umask has its say when something is made.
        std::fs::set_permissions(&directory, PermissionsExt::from_mode(mode))?;
    }
    for (name, mode) in FILES {
        let file = path.join(name);
        existing(
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(&file)
                .map(drop),
        )?;
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode))?;
    }
    existing(symlink("/proc/mounts", path.join("etc/mtab")))
}

fn existing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_can_be_made_again_and_completed() {
        let directory = tempfile::tempdir().unwrap();
        let layer = directory.path().join("layer");
        super::make(&layer).unwrap();
        std::fs::remove_file(layer.join(".dockerenv")).unwrap();
        super::make(&layer).unwrap();
        assert!(layer.join(".dockerenv").is_file() && layer.join("dev/pts").is_dir());
    }
}
