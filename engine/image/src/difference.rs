//! What a writable layer changes (`docker diff`).
//!
//! In overlayfs's upper directory a deleted name is a character device 0:0, and a directory that replaced another one
//! is marked opaque: nothing of the layers below shows through it (Documentation/filesystems/overlayfs.rst of the
//! kernel). A file that was only opened for writing is there too, although nothing about it changed; so what is in
//! the upper directory is compared with what shows below.
//!
//! A container may write into its upper directory while it is walked. Nothing is opened by a path that could lead
//! through a symbolic link: a directory that becomes a link at the wrong moment is left out.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use drydock_sys::paths;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use rustix::fs::{FileType, Stat};

/// What happened to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It was there and is another now, or something in it is.
    Changed,
    /// It is new.
    Added,
    /// It was there and is not.
    Deleted,
}

/// Everything that `upper` changes in the `lower` layers, the top one first. Paths are absolute and in order.
///
/// # Errors
/// The operating system's. What vanishes meanwhile is no error.
pub fn differences(upper: &Path, lower: &[PathBuf]) -> io::Result<Vec<(PathBuf, Kind)>> {
    let open = |path: &Path| -> io::Result<OwnedFd> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(nix::fcntl::open(path, flags, Mode::empty())?)
    };
    let lower = lower
        .iter()
        .map(|path| open(path))
        .collect::<io::Result<_>>()?;
    let walk = Walk {
        upper: open(upper)?,
        below: Below(lower),
    };
    let mut found = Vec::new();
    walk.directory(Path::new(""), true, &mut found)?;
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found)
}

struct Walk {
    upper: OwnedFd,
    below: Below,
}

impl Walk {
    /// Looks at what is in a directory; `shows` says whether the layers below have a directory there.
    fn directory(
        &self,
        path: &Path,
        shows: bool,
        found: &mut Vec<(PathBuf, Kind)>,
    ) -> io::Result<()> {
        let Some(directory) = open(&self.upper, path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)? else {
            return Ok(());
        };
        let names = names(&directory)?;
        for name in &names {
            let Some(now) = status(&directory, name)? else {
                continue;
            };
            self.entry(&path.join(name), &now, shows, found)?;
        }
        if shows && is_opaque(&directory) {
            for name in self.below.names(path)?.difference(&names) {
                found.push((absolute(&path.join(name)), Kind::Deleted));
            }
        }
        Ok(())
    }

    fn entry(
        &self,
        path: &Path,
        now: &Stat,
        shows: bool,
        found: &mut Vec<(PathBuf, Kind)>,
    ) -> io::Result<()> {
        let before = if shows {
            self.below.status(path)?
        } else {
            None
        };
        if is_whiteout(now) {
            if before.is_some() {
                found.push((absolute(path), Kind::Deleted));
            }
            return Ok(());
        }
        let (is_directory, was_directory) =
            (is_directory(now), before.as_ref().is_some_and(is_directory));
        let count = found.len();
        if is_directory {
            self.directory(path, was_directory, found)?;
        }
        match before {
            None => found.push((absolute(path), Kind::Added)),
            Some(before) if found.len() > count || differs(&before, now) => {
                found.push((absolute(path), Kind::Changed));
            }
            Some(_) => {}
        }
        Ok(())
    }
}

/// The layers below, the top one first.
struct Below(Vec<OwnedFd>);

impl Below {
    /// What shows at a path.
    fn status(&self, path: &Path) -> io::Result<Option<Stat>> {
        for layer in &self.0 {
            match look(layer, path)? {
                Look::Here(status) if is_whiteout(&status) => return Ok(None),
                Look::Here(status) => return Ok(Some(status)),
                Look::Hidden => return Ok(None),
                Look::Further => {}
            }
        }
        Ok(None)
    }

    /// The names that show in a directory.
    fn names(&self, path: &Path) -> io::Result<BTreeSet<OsString>> {
        let (mut shown, mut gone) = (BTreeSet::new(), BTreeSet::new());
        for layer in &self.0 {
            match look(layer, path)? {
                Look::Here(status) if is_directory(&status) => {}
                Look::Here(_) | Look::Hidden => break,
                Look::Further => continue,
            }
            let Some(directory) = open(layer, path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)? else {
                break;
            };
            for name in names(&directory)? {
                if status(&directory, &name)?.is_some_and(|status| is_whiteout(&status)) {
                    gone.insert(name);
                } else if !gone.contains(&name) {
                    shown.insert(name);
                }
            }
            if is_opaque(&directory) {
                break;
            }
        }
        Ok(shown)
    }
}

/// What one layer says about a path.
enum Look {
    /// It has it.
    Here(Stat),
    /// It hides whatever is further below.
    Hidden,
    /// Ask the next layer.
    Further,
}

fn look(layer: &OwnedFd, path: &Path) -> io::Result<Look> {
    let mut directory = layer.try_clone()?;
    let mut parts = path.iter().peekable();
    while let Some(part) = parts.next() {
        let opaque = is_opaque(&directory);
        let Some(found) = status(&directory, part)? else {
            return Ok(if opaque { Look::Hidden } else { Look::Further });
        };
        if parts.peek().is_none() {
            return Ok(Look::Here(found));
        }
        if !is_directory(&found) {
            return Ok(Look::Hidden);
        }
        match open(
            &directory,
            Path::new(part),
            OFlag::O_RDONLY | OFlag::O_DIRECTORY,
        )? {
            Some(next) => directory = next,
            None => return Ok(Look::Hidden),
        }
    }
    Ok(Look::Here(rustix::fs::fstat(&directory)?))
}

/// None for what is not there any more, or is a symbolic link by now.
pub(crate) fn open(root: &OwnedFd, path: &Path, flags: OFlag) -> io::Result<Option<OwnedFd>> {
    match paths::open_without_links(root.as_fd(), path, flags, Mode::empty()) {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) fn status(directory: &OwnedFd, name: &OsStr) -> io::Result<Option<Stat>> {
    match rustix::fs::statat(directory, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
        Ok(status) => Ok(Some(status)),
        Err(errno) if is_gone(&errno.into()) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn is_gone(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let gone = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP].map(Errno::raw_os_error);
    error
        .raw_os_error()
        .is_some_and(|code| gone.contains(&code))
}

/// The names in a directory.
pub(crate) fn names(directory: &OwnedFd) -> io::Result<BTreeSet<OsString>> {
    let mut names = BTreeSet::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.insert(name.to_owned());
        }
    }
    Ok(names)
}

fn is_directory(status: &Stat) -> bool {
    FileType::from_raw_mode(status.st_mode) == FileType::Directory
}

pub(crate) fn is_whiteout(status: &Stat) -> bool {
    FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice && status.st_rdev == 0
}

pub(crate) fn is_opaque(directory: &OwnedFd) -> bool {
    let mut value = [0; 2];
    let read = rustix::fs::fgetxattr(directory, "trusted.overlay.opaque", &mut value[..]);
    read.is_ok_and(|length| &value[..length] == b"y")
}

/// As Docker compares: of a directory neither the time nor the size counts.
fn differs(before: &Stat, now: &Stat) -> bool {
    let who = |status: &Stat| (status.st_mode, status.st_uid, status.st_gid, status.st_rdev);
    let what = |status: &Stat| (status.st_mtime, status.st_mtime_nsec, status.st_size);
    who(before) != who(now) || (!is_directory(now) && what(before) != what(now))
}

fn absolute(path: &Path) -> PathBuf {
    Path::new("/").join(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn shown(upper: &Path, lower: &[PathBuf]) -> Vec<String> {
        let letter = |kind: &Kind| match kind {
            Kind::Changed => 'C',
            Kind::Added => 'A',
            Kind::Deleted => 'D',
        };
        let found = differences(upper, lower).unwrap();
        let line = |(path, kind): &(PathBuf, Kind)| format!("{} {}", letter(kind), path.display());
        found.iter().map(line).collect()
    }

    #[test]
    fn added_and_changed_files_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let (upper, top, bottom) = (
            directory.path().join("upper"),
            directory.path().join("top"),
            directory.path().join("bottom"),
        );
        for path in [
            upper.join("etc/new"),
            top.join("etc"),
            bottom.join("etc"),
            upper.join("same"),
        ] {
            fs::create_dir_all(path).unwrap();
        }
        fs::create_dir(bottom.join("same")).unwrap();
        fs::write(bottom.join("etc/passwd"), "a").unwrap();
        fs::write(upper.join("etc/passwd"), "ab").unwrap();
        fs::write(upper.join("etc/new/file"), "").unwrap();
        let lower = [top, bottom];
        assert_eq!(
            shown(&upper, &lower),
            ["C /etc", "A /etc/new", "A /etc/new/file", "C /etc/passwd"]
        );
        assert_eq!(shown(&upper, &[]).len(), 5);
    }

    #[test]
    fn links_are_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (upper, lower) = (
            directory.path().join("upper"),
            directory.path().join("lower"),
        );
        fs::create_dir_all(upper.join("a")).unwrap();
        fs::create_dir(&lower).unwrap();
        fs::write(upper.join("a/passwd"), "x").unwrap();
        std::os::unix::fs::symlink("/etc", lower.join("a")).unwrap();
        std::os::unix::fs::symlink("/", upper.join("root")).unwrap();
        assert_eq!(shown(&upper, &[lower]), ["C /a", "A /a/passwd", "A /root"]);
    }
}
