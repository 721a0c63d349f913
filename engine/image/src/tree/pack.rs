//! Packs files into a tar archive while they may be changed by others.
//!
//! Each name is opened relative to its directory, which is held open, and never followed if it is a symbolic
//! link: a directory that becomes a link at the wrong moment is left out, as is what vanishes. Docker's own
//! archives are like this: names in order, no names of users, whole seconds, of the extended attributes only
//! file capabilities, a second name of a file as a hard link, no sockets.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use drydock_sys::paths;
use nix::fcntl::{AtFlags, OFlag, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, major, minor};

use super::header::{self, Entry};
use crate::difference::names;
use crate::tape::kind;
use crate::unpack::root::kind_of;

/// How deep directories are followed. Deeper ones cannot be named by a path any more; each level holds a
/// descriptor.
pub const DEPTH_MAX: usize = 2_048;

/// An archive that is being written.
pub struct Packer<W: Write> {
    output: W,
    /// The first name of each file that has several.
    links: HashMap<(u64, u64), Vec<u8>>,
}

/// A directory on the way.
struct Level {
    directory: OwnedFd,
    /// What stands before the names of its members in the archive.
    prefix: Vec<u8>,
    names: std::collections::btree_set::IntoIter<OsString>,
}

impl<W: Write> Packer<W> {
    /// An empty archive.
    pub fn new(output: W) -> Packer<W> {
        Packer {
            output,
            links: HashMap::new(),
        }
    }

    /// Writes the end of the archive.
    ///
    /// # Errors
    /// The output's.
    pub fn finish(mut self) -> io::Result<W> {
        header::end(&mut self.output)?;
        self.output.flush()?;
        Ok(self.output)
    }

    /// Adds what lies at `name` in a directory, with everything below it. In the archive it is called
    /// `called`.
    ///
    /// # Errors
    /// The output's, and those of reading files. What vanishes is no error.
    pub fn member(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        called: &[u8],
    ) -> io::Result<()> {
        let mut levels = Vec::new();
        self.one(parent, name, called.to_vec(), &mut levels)?;
        self.walk(levels)
    }

    /// Adds a directory, which is called `called`, with everything below it.
    ///
    /// # Errors
    /// As [`Packer::member`].
    pub fn directory(&mut self, directory: OwnedFd, called: &[u8]) -> io::Result<()> {
        let status = fstat(&directory)?;
        let level = self.enter(directory, &status, called)?;
        self.walk(vec![level])
    }

    /// Adds what a directory holds, without the directory.
    ///
    /// # Errors
    /// As [`Packer::member`].
    pub fn contents(&mut self, directory: OwnedFd) -> io::Result<()> {
        let names = names(&directory)?.into_iter();
        self.walk(vec![Level {
            directory,
            prefix: Vec::new(),
            names,
        }])
    }

    /// A stack instead of a recursion: the depth is the container's choice.
    fn walk(&mut self, mut levels: Vec<Level>) -> io::Result<()> {
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.names.next() else {
                levels.pop();
                continue;
            };
            let called = [&level.prefix[..], name.as_bytes()].concat();
            let parent = level.directory.try_clone()?;
            self.one(parent.as_fd(), &name, called, &mut levels)?;
        }
        Ok(())
    }

    fn one(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        called: Vec<u8>,
        levels: &mut Vec<Level>,
    ) -> io::Result<()> {
        let Some(status) = present(fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW))? else {
            return Ok(());
        };
        match kind_of(&status) {
            SFlag::S_IFDIR if levels.len() >= DEPTH_MAX => Ok(()),
            SFlag::S_IFDIR => {
                let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
                if let Some(directory) = open(parent, name, flags)? {
                    let status = fstat(&directory)?;
                    levels.push(self.enter(directory, &status, &called)?);
                }
                Ok(())
            }
            SFlag::S_IFREG => self.file(parent, name, &called),
            SFlag::S_IFLNK => {
                let Some(link) = present(readlinkat(parent, name))? else {
                    return Ok(());
                };
                let entry = Entry {
                    link: link.as_bytes(),
                    ..described(&status, &called, kind::SYMBOLIC_LINK)
                };
                self.node(&status, entry)
            }
            SFlag::S_IFCHR => {
                self.node(&status, described(&status, &called, kind::CHARACTER_DEVICE))
            }
            SFlag::S_IFBLK => self.node(&status, described(&status, &called, kind::BLOCK_DEVICE)),
            SFlag::S_IFIFO => self.node(&status, described(&status, &called, kind::FIFO)),
            // Sockets are of no use without the process that listens.
            _ => Ok(()),
        }
    }

    /// Writes a directory's header, and opens it for its names.
    fn enter(&mut self, directory: OwnedFd, status: &FileStat, called: &[u8]) -> io::Result<Level> {
        let mut prefix = called.to_vec();
        if !prefix.ends_with(b"/") {
            prefix.push(b'/');
        }
        header::write(
            &mut self.output,
            &described(status, &prefix, kind::DIRECTORY),
        )?;
        let names = names(&directory)?.into_iter();
        Ok(Level {
            directory,
            prefix,
            names,
        })
    }

    fn node(&mut self, status: &FileStat, entry: Entry<'_>) -> io::Result<()> {
        match self.seen(status, entry.name) {
            Some(first) => self.hard_link(status, entry.name, &first),
            None => header::write(&mut self.output, &entry),
        }
    }

    fn file(&mut self, parent: BorrowedFd<'_>, name: &OsStr, called: &[u8]) -> io::Result<()> {
        // Not blocking: a FIFO may have taken the file's place.
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let Some(file) = open(parent, name, flags)? else {
            return Ok(());
        };
        let status = fstat(&file)?;
        if kind_of(&status) != SFlag::S_IFREG {
            return Ok(());
        }
        if let Some(first) = self.seen(&status, called) {
            return self.hard_link(&status, called, &first);
        }
        let capability = capability(&file);
        let size = u64::try_from(status.st_size).unwrap_or(0);
        let entry = Entry {
            size,
            capability: capability.as_deref(),
            ..described(&status, called, kind::REGULAR)
        };
        header::write(&mut self.output, &entry)?;
        self.contents_of(file.into(), size)?;
        header::pad(&mut self.output, size)
    }

    /// Exactly as many bytes as the header says: what a file gained meanwhile is left out, and what it lost
    /// is zeros, as in GNU tar.
    fn contents_of(&mut self, file: File, size: u64) -> io::Result<()> {
        let copied = io::copy(&mut file.take(size), &mut self.output)?;
        let missing = size - copied;
        io::copy(&mut io::repeat(0).take(missing), &mut self.output).map(drop)
    }

    /// The name under which a file with several names is in the archive already.
    fn seen(&mut self, status: &FileStat, called: &[u8]) -> Option<Vec<u8>> {
        if status.st_nlink < 2 {
            return None;
        }
        match self.links.entry((status.st_dev, status.st_ino)) {
            std::collections::hash_map::Entry::Occupied(first) => Some(first.get().clone()),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(called.to_vec());
                None
            }
        }
    }

    fn hard_link(&mut self, status: &FileStat, called: &[u8], first: &[u8]) -> io::Result<()> {
        let entry = Entry {
            link: first,
            device: (0, 0),
            ..described(status, called, kind::HARD_LINK)
        };
        header::write(&mut self.output, &entry)
    }
}

/// The metadata of a file as a header says it.
fn described<'a>(status: &FileStat, name: &'a [u8], kind: u8) -> Entry<'a> {
    let device = match kind {
        // The numbers fit: the kernel has 12 bits for a major number and 20 for a minor one.
        kind::CHARACTER_DEVICE | kind::BLOCK_DEVICE => {
            (major(status.st_rdev) as u32, minor(status.st_rdev) as u32)
        }
        _ => (0, 0),
    };
    Entry {
        name,
        kind,
        mode: status.st_mode,
        owner: (status.st_uid, status.st_gid),
        modified: status.st_mtime,
        device,
        ..Entry::default()
    }
}

/// None for what is not there any more, or is something else by now.
fn present<T>(result: nix::Result<T>) -> io::Result<Option<T>> {
    use nix::errno::Errno;
    match result {
        Ok(found) => Ok(Some(found)),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::EINVAL | Errno::ENXIO) => {
            Ok(None)
        }
        Err(errno) => Err(errno.into()),
    }
}

fn open(parent: BorrowedFd<'_>, name: &OsStr, flags: OFlag) -> io::Result<Option<OwnedFd>> {
    let opened = paths::open_without_links(parent, Path::new(name), flags, Mode::empty());
    present(opened.map_err(|error| {
        nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(nix::libc::EIO))
    }))
}

/// The file capabilities, where there are some (capabilities(7); at most 24 bytes).
fn capability(file: &OwnedFd) -> Option<Vec<u8>> {
    let mut value = [0; 64];
    let length = rustix::fs::fgetxattr(file, "security.capability", &mut value[..]).ok()?;
    Some(value[..length].to_vec())
}
