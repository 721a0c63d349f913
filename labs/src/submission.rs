//! Reading what somebody handed in.
//!
//! A submission's folder belongs to a stranger. Its file is opened relative to a descriptor of the folder, by
//! openat2(2) with `RESOLVE_BENEATH`, `RESOLVE_NO_SYMLINKS` and `RESOLVE_NO_XDEV`, and looked at after it is
//! open, so there is nothing to exchange between the look and the read. A grader that follows a link reads
//! the answers, or writes a password file, for the student (CVE-2024-28185 and its successors).
//!
//! Every refusal is a [`Malformed`]: the submission's own fault, with a sentence for its author. Everything
//! else that goes wrong is the grader's error.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, Result};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};

/// More names than this in a submission's folder are a mistake, or an attempt to keep the grader busy.
const NAMES_MAX: usize = 1000;

/// The submission cannot be graded, and it is not the grader's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub String);

/// A file that was handed in.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Its name, as the lab gives it.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl Submission {
    /// Reads the file `name` of the folder `folder`, if it is a regular file of at most `limit` bytes.
    pub fn read(folder: &Path, name: &str, limit: u64) -> Result<Result<Submission, Malformed>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let directory = match open(folder, flags, Mode::empty()) {
            Ok(directory) => directory,
            Err(Errno::ELOOP | Errno::ENOTDIR) => {
                return Ok(Err(Malformed("this is not a folder".to_string())));
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot open {}", folder.display()));
            }
        };
        if has_too_many_names(&directory)? {
            return Ok(Err(Malformed(format!(
                "the folder holds more than {NAMES_MAX} names; hand in `{name}` alone"
            ))));
        }
        read_file(&directory, name, limit)
    }

    /// The content as text.
    pub fn text(&self) -> Result<&str, Malformed> {
        std::str::from_utf8(&self.bytes)
            .map_err(|_| Malformed(format!("`{}` is not UTF-8 text", self.name)))
    }
}

fn has_too_many_names(directory: &OwnedFd) -> Result<bool> {
    let own = directory
        .try_clone()
        .context("cannot duplicate a descriptor")?;
    let mut names = Dir::from_fd(own).context("cannot read a submission's folder")?;
    // Stops at the limit: the folder may hold millions.
    Ok(names.iter().take(NAMES_MAX + 3).count() > NAMES_MAX + 2)
}

fn read_file(directory: &OwnedFd, name: &str, limit: u64) -> Result<Result<Submission, Malformed>> {
    let malformed = |text: String| Ok(Err(Malformed(text)));
    let how = OpenHow::new()
        // O_NONBLOCK: opening a FIFO must not wait for its other end.
        .flags(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)
        .resolve(
            ResolveFlag::RESOLVE_BENEATH
                | ResolveFlag::RESOLVE_NO_SYMLINKS
                | ResolveFlag::RESOLVE_NO_XDEV,
        );
    let descriptor = match openat2(directory.as_fd(), name, how) {
        Ok(descriptor) => descriptor,
        Err(Errno::ENOENT) => return malformed(format!("there is no file `{name}`")),
        Err(Errno::ELOOP) => {
            return malformed(format!(
                "`{name}` is a symbolic link; hand in the file itself"
            ));
        }
        Err(Errno::EXDEV) => return malformed(format!("`{name}` is a mount of something else")),
        // A socket, or a device without a driver.
        Err(Errno::ENXIO | Errno::ENODEV) => {
            return malformed(format!("`{name}` is not a regular file"));
        }
        Err(error) => return Err(error).with_context(|| format!("cannot open `{name}`")),
    };
    let status = fstat(&descriptor).with_context(|| format!("cannot look at `{name}`"))?;
    if !is_regular(&status) {
        return malformed(format!("`{name}` is not a regular file"));
    }
    let mut bytes = Vec::new();
    // One byte more than the limit, rather than the size that fstat says: the file may be growing.
    File::from(descriptor)
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read `{name}`"))?;
    if bytes.len() as u64 > limit {
        return malformed(format!("`{name}` is larger than {limit} bytes"));
    }
    Ok(Ok(Submission {
        name: name.to_string(),
        bytes,
    }))
}

fn is_regular(status: &FileStat) -> bool {
    SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    fn read(folder: &Path) -> Result<Submission, Malformed> {
        Submission::read(folder, "answer", 16).unwrap()
    }

    fn refusal(folder: &Path) -> String {
        read(folder).unwrap_err().0
    }

    #[test]
    fn a_regular_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(refusal(folder.path()), "there is no file `answer`");
        fs::write(folder.path().join("answer"), [b'x'; 16]).unwrap();
        assert_eq!(read(folder.path()).unwrap().bytes, [b'x'; 16]);
        fs::write(folder.path().join("answer"), [b'x'; 17]).unwrap();
        assert_eq!(refusal(folder.path()), "`answer` is larger than 16 bytes");
    }

    #[test]
    fn links_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        symlink("/etc/hostname", folder.path().join("answer")).unwrap();
        assert!(refusal(folder.path()).contains("symbolic link"));
        // The folder itself as a link.
        let parent = tempfile::tempdir().unwrap();
        symlink("/etc", parent.path().join("student")).unwrap();
        assert_eq!(
            refusal(&parent.path().join("student")),
            "this is not a folder"
        );
    }

    #[test]
    fn a_link_on_the_way_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        symlink("/etc", folder.path().join("sub")).unwrap();
        let result = Submission::read(folder.path(), "sub/hostname", 1000).unwrap();
        assert!(result.unwrap_err().0.contains("symbolic link"));
    }

    #[test]
    fn special_files_are_refused_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answer");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        assert_eq!(refusal(folder.path()), "`answer` is not a regular file");
        fs::remove_file(&path).unwrap();
        let _socket = UnixListener::bind(&path).unwrap();
        assert_eq!(refusal(folder.path()), "`answer` is not a regular file");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(refusal(folder.path()), "`answer` is not a regular file");
    }

    #[test]
    fn a_million_names_are_refused_early() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("answer"), "x").unwrap();
        for number in 1..NAMES_MAX {
            fs::write(folder.path().join(number.to_string()), "").unwrap();
        }
        assert!(read(folder.path()).is_ok());
        fs::write(folder.path().join("one more"), "").unwrap();
        assert!(refusal(folder.path()).contains("more than 1000 names"));
    }
}
