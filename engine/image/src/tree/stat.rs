//! What lies at a path of a tree: Docker's `X-Docker-Container-Path-Stat`.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use drydock_sys::paths;
use nix::errno::Errno;
use nix::fcntl::{OFlag, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use serde::{Deserialize, Serialize};

use super::{go_error, path};
use crate::unpack::root::kind_of;

/// How many symbolic links are followed for [`Stat::link_target`], as in Docker.
const LINKS_MAX: usize = 255;

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// The last part of the path.
    pub name: String,
    /// In bytes.
    pub size: i64,
    /// In the bits of Go's `fs.FileMode`.
    pub mode: u32,
    /// Seconds and nanoseconds since 1970.
    pub modified: (i64, u32),
    /// Where a symbolic link leads, all links on the way followed; empty for anything else.
    pub link_target: String,
}

/// Bits of Go's `fs.FileMode`, which are not those of stat(2).
mod go {
    pub(super) const DIRECTORY: u32 = 1 << 31;
    pub(super) const SYMBOLIC_LINK: u32 = 1 << 27;
    pub(super) const DEVICE: u32 = 1 << 26;
    pub(super) const NAMED_PIPE: u32 = 1 << 25;
    pub(super) const SOCKET: u32 = 1 << 24;
    pub(super) const SET_USER: u32 = 1 << 23;
    pub(super) const SET_GROUP: u32 = 1 << 22;
    pub(super) const CHARACTER_DEVICE: u32 = 1 << 21;
    pub(super) const STICKY: u32 = 1 << 20;
}

/// The mode of a file in Go's bits.
pub fn go_mode(mode: u32) -> u32 {
    let kind = match SFlag::from_bits_truncate(mode) & SFlag::S_IFMT {
        SFlag::S_IFDIR => go::DIRECTORY,
        SFlag::S_IFLNK => go::SYMBOLIC_LINK,
        SFlag::S_IFBLK => go::DEVICE,
        SFlag::S_IFCHR => go::DEVICE | go::CHARACTER_DEVICE,
        SFlag::S_IFIFO => go::NAMED_PIPE,
        SFlag::S_IFSOCK => go::SOCKET,
        _ => 0,
    };
    let bit = |theirs: u32, ours| if mode & theirs != 0 { ours } else { 0 };
    mode & 0o777
        | kind
        | bit(nix::libc::S_ISUID, go::SET_USER)
        | bit(nix::libc::S_ISGID, go::SET_GROUP)
        | bit(nix::libc::S_ISVTX, go::STICKY)
}

/// Opens what is at a path, a symbolic link itself (an O_PATH descriptor).
///
/// # Errors
/// In Go's words: `lstat /x: not a directory`.
pub fn open(root: BorrowedFd<'_>, place: &str) -> io::Result<(OwnedFd, FileStat)> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
    let look = || {
        let opened = paths::open_in_root(root, Path::new(place), flags, Mode::empty())?;
        let status = fstat(&opened)?;
        Ok((opened, status))
    };
    look().map_err(|error: io::Error| go_error(&format!("lstat {place}"), &error))
}

/// Looks at a path, which is one from the root even without a slash before it.
///
/// # Errors
/// As [`open`], and for links in a circle.
pub fn stat(root: BorrowedFd<'_>, place: &str) -> io::Result<(OwnedFd, Stat)> {
    let (opened, status) = open(root, place)?;
    let link_target = match kind_of(&status) {
        SFlag::S_IFLNK => resolve(root, place)?,
        _ => String::new(),
    };
    let found = Stat {
        name: path::base(place).to_owned(),
        size: status.st_size,
        mode: go_mode(status.st_mode),
        modified: (status.st_mtime, status.st_mtime_nsec as u32),
        link_target,
    };
    Ok((opened, found))
}

/// A path with all symbolic links followed, as far as there is something to follow. The result is text for
/// the client; nothing is opened by it.
///
/// # Errors
/// Too many links.
pub fn resolve(root: BorrowedFd<'_>, place: &str) -> io::Result<String> {
    let mut ahead = parts(Path::new(place));
    let mut walked = PathBuf::new();
    let mut links = 0;
    while let Some(part) = ahead.pop() {
        if part == ".." {
            walked.pop();
            continue;
        }
        match link_at(root, &walked, &part)? {
            None => walked.push(part),
            Some(_) if links == LINKS_MAX => {
                let text = format!("evalSymlinksInScope: too many links in {place}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            Some(target) => {
                links += 1;
                if target.is_absolute() {
                    walked.clear();
                }
                ahead.extend(parts(&target));
            }
        }
    }
    Ok(format!("/{}", walked.display()))
}

/// The text of a symbolic link; None for everything else, also for what is not there.
fn link_at(root: BorrowedFd<'_>, walked: &Path, name: &OsString) -> io::Result<Option<PathBuf>> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let Ok(directory) = paths::open_without_links(root, walked, flags, Mode::empty()) else {
        return Ok(None);
    };
    match readlinkat(directory.as_fd(), name.as_os_str()) {
        Ok(target) => Ok(Some(PathBuf::from(target))),
        Err(Errno::EINVAL | Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// The names and `..` of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let part = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        _ => None,
    };
    path.components().rev().filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_inside_only() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("d/e")).unwrap();
        fs::write(folder.path().join("outside"), "x").unwrap();
        symlink("../../../../outside", root.join("up")).unwrap();
        symlink("/d/e", root.join("abs")).unwrap();
        symlink("abs/../x", root.join("chain")).unwrap();
        symlink("/nosuch/x", root.join("broken")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let root = fs::File::open(root).unwrap();
        let target = |place: &str| stat(root.as_fd(), place).map(|(_, stat)| stat.link_target);
        assert_eq!(target("/up").unwrap(), "/outside");
        assert_eq!(target("/abs").unwrap(), "/d/e");
        assert_eq!(target("/chain").unwrap(), "/d/x");
        assert_eq!(target("/broken").unwrap(), "/nosuch/x");
        assert_eq!(target("/abs/").unwrap(), "");
        assert_eq!(
            target("/loop").unwrap_err().to_string(),
            "evalSymlinksInScope: too many links in /loop"
        );
        assert_eq!(
            target("/loop/x").unwrap_err().to_string(),
            "lstat /loop/x: too many levels of symbolic links"
        );
        assert_eq!(target("/up/").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn modes_are_gos() {
        assert_eq!(go_mode(0o040_755), 2_147_484_141);
        assert_eq!(go_mode(0o041_777), 2_148_532_735);
        assert_eq!(go_mode(0o120_777), 134_218_239);
        assert_eq!(go_mode(0o100_644), 420);
        assert_eq!(go_mode(0o104_755) & !0o777, 1 << 23);
        assert_eq!(go_mode(0o020_000), 1 << 26 | 1 << 21);
    }
}
