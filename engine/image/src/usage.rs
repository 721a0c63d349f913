//! How much a writable layer holds (`ps --size`).
//!
//! As in Docker: the bytes of everything but directories, and a file with several names counts once. The walk is
//! that of [`crate::difference`]: nothing is opened by a path that could lead through a symbolic link, whatever a
//! container does meanwhile.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use rustix::fs::FileType;

use crate::difference::{names, open, status};

/// The bytes in a directory.
///
/// # Errors
/// The operating system's. What vanishes meanwhile is no error.
pub fn written(directory: &Path) -> io::Result<u64> {
    let root: OwnedFd = File::open(directory)?.into();
    let mut size = 0u64;
    let mut seen = BTreeSet::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(path) = waiting.pop() {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let Some(directory) = open(&root, &path, flags)? else {
            continue;
        };
        for name in names(&directory)? {
            let Some(status) = status(&directory, &name)? else {
                continue;
            };
            if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
                waiting.push(path.join(name));
            } else if status.st_nlink == 1 || seen.insert(status.st_ino) {
                size = size.saturating_add(u64::try_from(status.st_size).unwrap_or(0));
            }
        }
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn names_are_not_files_and_links_are_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("upper");
        fs::create_dir_all(root.join("a/b")).unwrap();
        assert_eq!(written(&root).unwrap(), 0);
        fs::write(root.join("a/b/file"), "12345").unwrap();
        fs::hard_link(root.join("a/b/file"), root.join("same")).unwrap();
        fs::create_dir(directory.path().join("out")).unwrap();
        fs::write(directory.path().join("out/large"), "x".repeat(1000)).unwrap();
        symlink("../out", root.join("link")).unwrap();
        assert_eq!(written(&root).unwrap(), 5 + 6);
        assert!(written(&root.join("none")).is_err());
    }
}
