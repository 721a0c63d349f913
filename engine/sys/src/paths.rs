//! Paths that cannot leave a root (openat2(2)).
//!
//! A container controls every name inside its file system, and can change one between two system calls.
//! So a path that it can influence is only ever resolved by the kernel, in one call, below a directory that
//! is held open: `RESOLVE_IN_ROOT` treats `/` and `..` as chroot(2) would, `RESOLVE_NO_MAGICLINKS` refuses
//! /proc/PID/fd and its like. The bugs this answers: CVE-2018-15664, CVE-2024-45310, CVE-2025-31133.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat};

/// Resolve as if the directory were `/`: symbolic links are followed, none leads out.
const IN_ROOT: ResolveFlag = ResolveFlag::RESOLVE_IN_ROOT.union(ResolveFlag::RESOLVE_NO_MAGICLINKS);

/// How often a resolution is tried again: the kernel says EAGAIN when something was renamed meanwhile.
const ATTEMPTS: usize = 128;

/// Opens a path below `root`, following symbolic links as a process inside would. The descriptor closes at
/// exec.
pub fn open_in_root(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: OFlag,
    mode: Mode,
) -> io::Result<OwnedFd> {
    resolve(root, path, flags, mode, IN_ROOT)
}

/// Opens a path below `root` and refuses every symbolic link on the way, the last part included (ELOOP).
pub fn open_without_links(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: OFlag,
    mode: Mode,
) -> io::Result<OwnedFd> {
    resolve(
        root,
        path,
        flags,
        mode,
        IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS,
    )
}

fn resolve(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: OFlag,
    mode: Mode,
    resolve: ResolveFlag,
) -> io::Result<OwnedFd> {
    // An empty path is not "here" for openat2 but ENOENT.
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    // Mode bits without O_CREAT are EINVAL for openat2, unlike openat.
    let mode = if flags.intersects(OFlag::O_CREAT | OFlag::O_TMPFILE) {
        mode
    } else {
        Mode::empty()
    };
    let how = OpenHow::new()
        .flags(flags | OFlag::O_CLOEXEC)
        .mode(mode)
        .resolve(resolve);
    for _ in 0..ATTEMPTS {
        match openat2(root, path, how) {
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            other => return Ok(other?),
        }
    }
    Err(Errno::EAGAIN.into())
}

/// Opens a directory below `root`, making what is missing of its path, and returns it (an O_PATH
/// descriptor). Made directories belong to root with the given mode.
///
/// Each component is made relative to the one before it, which is held open; a component that is a symbolic
/// link is followed inside the root. A link that dangles is an error, as for mkdir(2).
pub fn make_directories(root: BorrowedFd<'_>, path: &Path, mode: Mode) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    // The common case by far: everything is there.
    match open_in_root(root, path, flags, Mode::empty()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    let mut resolved = std::path::PathBuf::new();
    let mut current = open_in_root(root, Path::new("/"), flags, Mode::empty())?;
    for part in normal_components(path)? {
        resolved.push(part);
        current = match open_in_root(root, &resolved, flags, Mode::empty()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match mkdirat(&current, part, mode) {
                    Ok(()) | Err(Errno::EEXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                // Not through the path again: what was just made here must be what is opened.
                open_without_links(current.as_fd(), Path::new(part), flags, Mode::empty())?
            }
            other => other?,
        };
    }
    Ok(current)
}

/// Opens a file below `root` as a mount point (an O_PATH descriptor), making it empty if it is missing.
pub fn make_file(root: BorrowedFd<'_>, path: &Path, mode: Mode) -> io::Result<OwnedFd> {
    match open_in_root(root, path, OFlag::O_PATH, Mode::empty()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    let invalid = || io::Error::from(Errno::EINVAL);
    let name = path.file_name().ok_or_else(invalid)?;
    let parent = make_directories(
        root,
        path.parent().ok_or_else(invalid)?,
        Mode::from_bits_truncate(0o755),
    )?;
    let flags = OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_RDONLY | OFlag::O_NONBLOCK;
    open_without_links(parent.as_fd(), Path::new(name), flags, mode)
}

/// The parts of a path that are names. `.` and `/` are nothing; `..` is refused here, because the parts are
/// opened one by one and `..` of a directory that was just moved is anywhere.
fn normal_components(path: &Path) -> io::Result<Vec<&OsStr>> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => parts.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return Err(Errno::EINVAL.into()),
        }
    }
    Ok(parts)
}

/// Whether a descriptor is a directory (fstat(2)).
pub fn is_directory(descriptor: BorrowedFd<'_>) -> io::Result<bool> {
    let status = fstat(descriptor)?;
    Ok(SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR)
}

/// Reads a regular file below `root`, at most `limit` bytes of it. A FIFO, a device or a directory in its
/// place is refused without blocking (CVE-2024-9676 is /etc/passwd as a FIFO).
pub fn read_regular(root: BorrowedFd<'_>, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let file = open_in_root(
        root,
        path,
        OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY,
        Mode::empty(),
    )?;
    let status = fstat(&file)?;
    if SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} is not a regular file", path.display()),
        ));
    }
    let mut bytes = Vec::new();
    std::fs::File::from(file)
        .take(limit)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A root with a directory `inside`, a sentinel beside it, and links that try to reach the sentinel.
    fn hostile() -> (tempfile::TempDir, OwnedFd) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("sentinel"), "outside").unwrap();
        let root = directory.path().join("root");
        fs::create_dir_all(root.join("inside")).unwrap();
        symlink("../..", root.join("up")).unwrap();
        symlink("../../sentinel", root.join("inside/relative")).unwrap();
        symlink(
            directory.path().join("sentinel"),
            root.join("inside/absolute"),
        )
        .unwrap();
        symlink("/inside", root.join("absolute-inside")).unwrap();
        let root = fs::File::open(root).unwrap().into();
        (directory, root)
    }

    #[test]
    fn links_never_lead_out() {
        let (_directory, root) = hostile();
        for path in [
            "inside/relative",
            "inside/absolute",
            "up/sentinel",
            "../sentinel",
            "/../sentinel",
        ] {
            let error = open_in_root(
                root.as_fd(),
                Path::new(path),
                OFlag::O_RDONLY,
                Mode::empty(),
            )
            .unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{path}");
        }
        // An absolute link inside means the container's root, and still works.
        open_in_root(
            root.as_fd(),
            Path::new("absolute-inside"),
            OFlag::O_PATH,
            Mode::empty(),
        )
        .unwrap();
        let error = open_without_links(
            root.as_fd(),
            Path::new("absolute-inside"),
            OFlag::O_PATH,
            Mode::empty(),
        )
        .unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::ELOOP as i32));
    }

    #[test]
    fn directories_are_made_inside_only() {
        let (directory, root) = hostile();
        make_directories(
            root.as_fd(),
            Path::new("/up/a/b"),
            Mode::from_bits_truncate(0o755),
        )
        .unwrap();
        assert!(directory.path().join("root/a/b").is_dir());
        assert!(!directory.path().join("a").exists());
        make_file(
            root.as_fd(),
            Path::new("/absolute-inside/c/file"),
            Mode::from_bits_truncate(0o644),
        )
        .unwrap();
        assert!(directory.path().join("root/inside/c/file").is_file());
        assert!(make_directories(root.as_fd(), Path::new("/new/../x"), Mode::empty()).is_err());
    }

    #[test]
    fn only_regular_files_are_read() {
        let (directory, root) = hostile();
        fs::write(directory.path().join("root/passwd"), "root:x:0:0").unwrap();
        assert_eq!(
            read_regular(root.as_fd(), Path::new("/passwd"), 4).unwrap(),
            b"root"
        );
        nix::unistd::mkfifo(&directory.path().join("root/fifo"), Mode::S_IRWXU).unwrap();
        assert!(read_regular(root.as_fd(), Path::new("/fifo"), 4).is_err());
        assert!(read_regular(root.as_fd(), Path::new("/inside"), 4).is_err());
    }
}
