//! The directory that a layer is unpacked into, and file operations that cannot leave it.
//!
//! A member's name is cleaned text ([`super::name`]), but its directories can be symbolic links that an
//! earlier member made. They mean what they mean to a process whose `/` is the layer: `a -> /etc` leads to
//! the layer's own `etc`. This is what Docker does. Here the kernel opens the parent in one call that
//! cannot leave the root and follows no link at all (`openat2`); only if that fails, the path is walked part
//! by part and links are read as text. Every operation then names the last part only, relative to that
//! descriptor, and never follows it.
//!
//! Nothing that a member made is ever removed again. Docker's own check refuses a second member of the same
//! name; one that arrives at the same file by another way, through a link, is refused here. Only a
//! whiteout makes room, as in Docker.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use drydock_sys::paths;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::libc::dev_t;
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, UtimensatFlags};
use nix::sys::stat::{fchmod, fchmodat, fstatat, futimens, mkdirat, mknodat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fchownat, linkat, symlinkat, unlinkat};

/// How many symbolic links a path may pass through, as in the kernel.
const LINKS_MAX: usize = 40;

/// The mode of directories that members lie in but no member describes.
const IMPLIED_MODE: Mode = Mode::from_bits_truncate(0o755);

/// Owner, mode and times of a member.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: Mode,
    pub(crate) modified: TimeSpec,
    /// Whether the owner is set. Unpacking without privileges (in tests) leaves everything to the caller.
    pub(crate) own: bool,
}

/// The directory to unpack into.
pub(crate) struct Root {
    directory: OwnedFd,
}

/// The place of one member: its parent directory, held open, and its own name in there.
pub(crate) struct Place<'a> {
    pub(crate) parent: OwnedFd,
    pub(crate) name: &'a OsStr,
    /// Whether the parent was reached without a symbolic link, so that the member's path is its own.
    pub(crate) direct: bool,
}

impl Root {
    pub(crate) fn new(directory: OwnedFd) -> Root {
        Root { directory }
    }

    /// Finds the place of a member, making the directories on the way. The path is clean and not empty.
    pub(crate) fn place<'a>(&self, path: &'a Path) -> io::Result<Place<'a>> {
        let name = path
            .file_name()
            .ok_or_else(|| io::Error::from(Errno::EINVAL))?;
        let parent = path.parent().unwrap_or(Path::new(""));
        match self.open_directory(parent) {
            Ok(parent) => Ok(Place {
                parent,
                name,
                direct: true,
            }),
            Err(error)
                if is(&error, Errno::ENOENT)
                    || is(&error, Errno::ELOOP)
                    || is(&error, Errno::ENOTDIR) =>
            {
                let (parent, direct) = self.make_directories(parent)?;
                Ok(Place {
                    parent,
                    name,
                    direct,
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Finds the place of something that is there: makes no directories, and follows links below the root.
    pub(crate) fn existing_place<'a>(&self, path: &'a Path) -> io::Result<Place<'a>> {
        let name = path
            .file_name()
            .ok_or_else(|| io::Error::from(Errno::EINVAL))?;
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let folder = path.parent().unwrap_or(Path::new(""));
        let parent = paths::open_in_root(self.directory.as_fd(), folder, flags, Mode::empty())?;
        Ok(Place {
            parent,
            name,
            direct: false,
        })
    }

    /// Opens an existing directory, refusing every link on the way.
    fn open_directory(&self, path: &Path) -> io::Result<OwnedFd> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        paths::open_without_links(self.directory.as_fd(), path, flags, Mode::empty())
    }

    /// Walks to a directory, making what is missing, also behind links that point at nothing yet. Returns
    /// whether no link was met as well.
    ///
    /// The links are read here instead of by the kernel, because `mkdir` does not follow them. That is safe
    /// though it looks like the classic mistake: the path collected so far never has a link in it, and each
    /// step is opened from the root with links forbidden, so whoever changes the tree meanwhile can only
    /// make it fail or end at another place below the root.
    fn make_directories(&self, path: &Path) -> io::Result<(OwnedFd, bool)> {
        let mut ahead: Vec<OsString> = parts(path);
        let mut walked = PathBuf::new();
        let mut links = 0;
        let mut current = self.open_directory(Path::new(""))?;
        while let Some(part) = ahead.pop() {
            if part == ".." {
                walked.pop();
                current = self.open_directory(&walked)?;
                continue;
            }
            match mkdirat(&current, part.as_os_str(), IMPLIED_MODE) {
                // Whatever the umask is. By descriptor: in a tree that others change, the name may be a
                // link by now.
                Ok(()) => fchmod(
                    open_new_directory(&current, part.as_os_str())?,
                    IMPLIED_MODE,
                )?,
                Err(Errno::EEXIST) => {}
                Err(error) => return Err(error.into()),
            }
            if kind_of(&fstatat(
                &current,
                part.as_os_str(),
                AtFlags::AT_SYMLINK_NOFOLLOW,
            )?) == SFlag::S_IFLNK
            {
                links += 1;
                if links > LINKS_MAX {
                    return Err(Errno::ELOOP.into());
                }
                let target = PathBuf::from(readlinkat(&current, part.as_os_str())?);
                if target.is_absolute() {
                    walked.clear();
                }
                ahead.extend(parts(&target));
            } else {
                walked.push(&part);
            }
            current = self.open_directory(&walked)?;
        }
        Ok((current, links == 0))
    }
}

/// Opens a directory by its own name, never through a link.
fn open_new_directory(parent: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(parent, name, flags, Mode::empty())?)
}

/// The names and `..` of a path, the last one first: a stack of what is still to walk.
fn parts(path: &Path) -> Vec<OsString> {
    let part = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        _ => None,
    };
    path.components().rev().filter_map(part).collect()
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno as i32)
}

pub(crate) fn kind_of(status: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT
}

impl Place<'_> {
    /// The file that is there now, if any.
    pub(crate) fn status(&self) -> io::Result<Option<FileStat>> {
        match fstatat(&self.parent, self.name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(status) => Ok(Some(status)),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a whiteout that is in the way; anything else stays, and making the member then fails.
    fn make_room(&self) -> io::Result<()> {
        match self.status()? {
            Some(status) if kind_of(&status) == SFlag::S_IFCHR && status.st_rdev == 0 => Ok(
                unlinkat(&self.parent, self.name, UnlinkatFlags::NoRemoveDir)?,
            ),
            _ => Ok(()),
        }
    }

    /// Makes a directory, or takes one that is there, and opens it.
    pub(crate) fn make_directory(&self) -> io::Result<OwnedFd> {
        self.make_room()?;
        match mkdirat(&self.parent, self.name, Mode::S_IRWXU) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(error.into()),
        }
        open_new_directory(&self.parent, self.name)
    }

    /// Makes an empty regular file and opens it for writing.
    pub(crate) fn make_file(&self) -> io::Result<File> {
        self.make_room()?;
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(openat(
            &self.parent,
            self.name,
            flags,
            Mode::S_IRUSR | Mode::S_IWUSR,
        )?
        .into())
    }

    /// Makes a symbolic link. Its target is text, and means nothing until somebody follows it.
    pub(crate) fn make_symbolic_link(
        &self,
        target: &OsStr,
        attributes: &Attributes,
    ) -> io::Result<()> {
        self.make_room()?;
        symlinkat(target, &self.parent, self.name)?;
        self.set_owner(attributes)?;
        self.set_time(attributes)
    }

    /// Makes another name of an existing member. A symbolic link is linked itself, not what it points to.
    pub(crate) fn make_hard_link(
        &self,
        target: &Place<'_>,
        attributes: &Attributes,
    ) -> io::Result<()> {
        self.make_room()?;
        linkat(
            &target.parent,
            target.name,
            &self.parent,
            self.name,
            AtFlags::empty(),
        )?;
        let Some(status) = self.status()? else {
            return Err(Errno::ENOENT.into());
        };
        if kind_of(&status) == SFlag::S_IFLNK {
            return Ok(());
        }
        // As in Docker the last member decides. Changing an owner clears file capabilities, so it is only
        // done where it is needed.
        if (status.st_uid, status.st_gid) != (attributes.uid, attributes.gid) {
            self.set_owner(attributes)?;
        }
        if kind_of(&status) == SFlag::S_IFREG {
            let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
            let file = openat(&self.parent, self.name, flags, Mode::empty())?;
            fchmod(file, attributes.mode)?;
        } else {
            self.set_mode_of_node(attributes)?;
        }
        self.set_time(attributes)
    }

    /// Makes a device node, a FIFO or, with device 0, a whiteout. A node is only a name: opening it is
    /// subject to the device rules of the container's cgroup.
    pub(crate) fn make_node(
        &self,
        kind: SFlag,
        device: dev_t,
        attributes: &Attributes,
    ) -> io::Result<()> {
        self.make_room()?;
        mknodat(&self.parent, self.name, kind, attributes.mode, device)?;
        self.set_owner(attributes)?;
        self.set_mode_of_node(attributes)?;
        self.set_time(attributes)
    }

    /// The mode of a device node or FIFO. There is no descriptor to set it by, and a name may be a link a
    /// moment later, so it is only set where the umask kept mknod(2) from doing so: in the sandboxes, where
    /// others may change the tree, there is no umask.
    fn set_mode_of_node(&self, attributes: &Attributes) -> io::Result<()> {
        match self.status()? {
            Some(status) if status.st_mode & 0o7777 != attributes.mode.bits() => Ok(fchmodat(
                &self.parent,
                self.name,
                attributes.mode,
                FchmodatFlags::FollowSymlink,
            )?),
            _ => Ok(()),
        }
    }

    fn set_owner(&self, attributes: &Attributes) -> io::Result<()> {
        if !attributes.own {
            return Ok(());
        }
        let (uid, gid) = (Uid::from_raw(attributes.uid), Gid::from_raw(attributes.gid));
        Ok(fchownat(
            &self.parent,
            self.name,
            Some(uid),
            Some(gid),
            AtFlags::AT_SYMLINK_NOFOLLOW,
        )?)
    }

    fn set_time(&self, attributes: &Attributes) -> io::Result<()> {
        let time = &attributes.modified;
        Ok(utimensat(
            &self.parent,
            self.name,
            time,
            time,
            UtimensatFlags::NoFollowSymlink,
        )?)
    }
}

/// Sets owner, extended attributes, mode and times of an open file or directory, in the order in which none
/// undoes another: chown(2) clears the set-user-ID bits and file capabilities.
pub(crate) fn set_attributes(
    file: &impl AsFd,
    attributes: &Attributes,
    extended: &[(String, Vec<u8>)],
) -> io::Result<()> {
    if attributes.own {
        fchown(
            file.as_fd(),
            Some(Uid::from_raw(attributes.uid)),
            Some(Gid::from_raw(attributes.gid)),
        )?;
    }
    fchmod(file.as_fd(), attributes.mode)?;
    for (name, value) in extended {
        set_extended(file, name, value)?;
    }
    Ok(futimens(
        file.as_fd(),
        &attributes.modified,
        &attributes.modified,
    )?)
}

fn set_extended(file: &impl AsFd, name: &str, value: &[u8]) -> io::Result<()> {
    match rustix::fs::fsetxattr(file, name, value, rustix::fs::XattrFlags::empty()) {
        // Not allowed for this kind of file or this user: Docker goes on as well.
        Err(rustix::io::Errno::PERM) => Ok(()),
        Err(error) => {
            let error = io::Error::from(error);
            Err(io::Error::new(
                error.kind(),
                format!("set extended attribute {name:?}: {error}"),
            ))
        }
        Ok(()) => Ok(()),
    }
}
