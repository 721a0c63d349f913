//! Unpacks an archive over what is there, as `docker cp` does it.
//!
//! Unlike a layer ([`crate::unpack::extract`]) the target is in use: files are replaced, directories are
//! merged, and somebody inside the container may change it all the while. Names mean what they mean to a
//! process whose root is the target: a link in the target or in the archive never leads out of it
//! ([`crate::unpack::root`]), and a name that climbs is refused as text before that.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use drydock_defects::defect;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, SFlag, futimens, makedev};
use nix::sys::time::TimeSpec;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::go_error;
use super::pack::DEPTH_MAX;
use crate::compression::decompress;
use crate::difference::names;
use crate::tape::{Member, Tape, kind};
use crate::unpack::extract::{invalid, kept, owner, time};
use crate::unpack::name;
use crate::unpack::root::{self, Attributes, Place, Root, kind_of};

/// Who gets the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Who the archive says.
    Archive,
    /// This user and group.
    Given(u32, u32),
    /// Who makes them: the process itself.
    Maker,
}

/// How to unpack.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// A directory is not replaced by something else, nor the other way.
    pub keep_kinds: bool,
    /// Who gets the files.
    pub owner: Owner,
    /// What messages call the target.
    pub target: &'a str,
    /// Messages name files by whole paths, as the client's.
    pub whole_names: bool,
    /// What the archive's one member is called instead.
    pub renamed: Option<Renamed>,
}

/// Another name for the member that an archive is about: a copy's target often has another name than its source.
#[derive(Clone, Debug)]
pub struct Renamed {
    /// Its name in the archive.
    pub old: String,
    /// Its name here.
    pub new: String,
}

impl Renamed {
    /// A name with the first occurrence of the old one replaced. Every name in such an archive begins with it.
    fn apply(&self, name: &mut Vec<u8>) {
        // The names below the root begin with the slash already.
        let old = if self.old == "/" { "" } else { &self.old };
        let old = old.as_bytes();
        let at = match old {
            [] => Some(0),
            old => name.windows(old.len()).position(|part| part == old),
        };
        if let Some(at) = at {
            name.splice(at..at + old.len(), self.new.bytes());
        }
    }
}

/// Unpacks an archive, which may be compressed, into a directory.
///
/// # Errors
/// Docker's texts. What was unpacked until then stays.
pub fn extract(archive: impl Read, directory: OwnedFd, options: &Options<'_>) -> io::Result<()> {
    let mut extraction = Extraction {
        root: Root::new(directory),
        options,
        directories: Vec::new(),
    };
    let mut tape = Tape::new(decompress(archive)?);
    while let Some(mut member) = tape.next(&mut |_| Ok(()))? {
        if let Some(renamed) = &options.renamed {
            renamed.apply(&mut member.name);
            if member.kind == kind::HARD_LINK {
                renamed.apply(&mut member.link);
            }
        }
        extraction.member(&member, &mut tape)?;
    }
    extraction.set_directory_times()
}

struct Extraction<'a> {
    root: Root,
    options: &'a Options<'a>,
    /// Directories and their times, which are set last: every new file in one changes it.
    directories: Vec<(PathBuf, TimeSpec)>,
}

impl Extraction<'_> {
    fn member(&mut self, member: &Member, tape: &mut Tape<impl Read>) -> io::Result<()> {
        // From the target on, whatever the name begins with.
        let relative = member.name.strip_prefix(b"/").unwrap_or(&member.name);
        let path = match name::clean(relative) {
            Some(path) => path,
            None => {
                let name = name::quoted(&member.name);
                return Err(invalid(format!("invalid entry name {name}")));
            }
        };
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        let attributes = self.attributes(member)?;
        let shown = path.display();
        let place = self
            .root
            .place(&path)
            .map_err(|error| match error.raw_os_error() {
                Some(nix::libc::ELOOP) => invalid("too many links"),
                _ => go_error(&format!("openat {shown}"), &error),
            })?;
        self.make_room(member, &path, &place)?;
        self.make(member, &path, &place, &attributes, tape)
    }

    fn attributes(&self, member: &Member) -> io::Result<Attributes> {
        let (uid, gid) = match self.options.owner {
            Owner::Archive => (owner(member.uid)?, owner(member.gid)?),
            Owner::Given(uid, gid) => (uid, gid),
            Owner::Maker => (0, 0),
        };
        Ok(Attributes {
            uid,
            gid,
            mode: Mode::from_bits_truncate(member.mode & 0o7777),
            // Whole seconds, as in Docker.
            modified: TimeSpec::new(time(member.modified).tv_sec(), 0),
            own: self.options.owner != Owner::Maker,
        })
    }

    /// Removes what the member replaces: everything but a directory by a directory.
    fn make_room(&self, member: &Member, path: &Path, place: &Place<'_>) -> io::Result<()> {
        let looked = place.status();
        let named = |error| go_error(&format!("openat {}", path.display()), &error);
        let Some(status) = looked.map_err(named)? else {
            return Ok(());
        };
        let was_directory = kind_of(&status) == SFlag::S_IFDIR;
        let is_directory = member.kind == kind::DIRECTORY;
        let target = self.options.target;
        let whole = Path::new(target).join(path);
        let name = if self.options.whole_names {
            &whole
        } else {
            path
        }
        .display();
        let keep_kinds = self.options.keep_kinds && !defect!("copy-replaces-directory");
        match (was_directory, is_directory) {
            (true, true) => Ok(()),
            (true, false) if keep_kinds => Err(invalid(format!(
                "cannot overwrite directory \"{name}\" with non-directory \"{target}\""
            ))),
            (false, true) if keep_kinds => Err(invalid(format!(
                "cannot overwrite non-directory \"{name}\" with directory \"{target}\""
            ))),
            _ => remove_all(&place.parent, place.name, was_directory)
                .map_err(|error| go_error(&format!("RemoveAll {name}"), &error)),
        }
    }

    fn make(
        &mut self,
        member: &Member,
        path: &Path,
        place: &Place<'_>,
        attributes: &Attributes,
        tape: &mut Tape<impl Read>,
    ) -> io::Result<()> {
        let shown = path.display();
        let name = |operation: &str| {
            let what = format!("{operation} {shown}");
            move |error: io::Error| go_error(&what, &error)
        };
        let node = |kind, device| {
            let made = place.make_node(kind, device, attributes);
            made.map_err(name("mknodat"))
        };
        let device = || makedev(member.device.0, member.device.1);
        match member.kind {
            // GNU's sparse files are not among them, as in Docker.
            kind::REGULAR => {
                let mut file = place.make_file().map_err(name("openat"))?;
                io::copy(&mut tape.by_ref().take(member.size), &mut file).map_err(name("write"))?;
                root::set_attributes(&file, attributes, &kept(member))
            }
            kind::DIRECTORY => {
                let directory = place.make_directory().map_err(name("mkdirat"))?;
                root::set_attributes(&directory, attributes, &kept(member))?;
                self.directories
                    .push((path.to_owned(), attributes.modified));
                Ok(())
            }
            kind::SYMBOLIC_LINK => place
                .make_symbolic_link(OsStr::from_bytes(&member.link), attributes)
                .map_err(name("symlinkat")),
            kind::HARD_LINK => self.hard_link(member, path, place, attributes),
            kind::CHARACTER_DEVICE => node(SFlag::S_IFCHR, device()),
            kind::BLOCK_DEVICE => node(SFlag::S_IFBLK, device()),
            kind::FIFO => node(SFlag::S_IFIFO, 0),
            other => Err(invalid(format!("unhandled tar header type {other}"))),
        }
    }

    fn hard_link(
        &self,
        member: &Member,
        path: &Path,
        place: &Place<'_>,
        attributes: &Attributes,
    ) -> io::Result<()> {
        let relative = member.link.strip_prefix(b"/").unwrap_or(&member.link);
        let target = name::clean(relative).filter(|target| !target.as_os_str().is_empty());
        let target = target.ok_or_else(|| {
            let name = name::quoted(&member.link);
            invalid(format!("invalid hardlink target {name}"))
        })?;
        let what = || format!("linkat {} {}", target.display(), path.display());
        let linked = self
            .root
            .existing_place(&target)
            .and_then(|target| place.make_hard_link(&target, attributes));
        linked.map_err(|error| go_error(&what(), &error))
    }

    fn set_directory_times(&mut self) -> io::Result<()> {
        for (path, time) in self.directories.drain(..).rev() {
            futimens(self.root.place(&path)?.make_directory()?, &time, &time)?;
        }
        Ok(())
    }
}

/// Removes a file, or a directory with all that is in it. Each name is removed from a directory that is held
/// open: one that becomes a link meanwhile is removed, not followed.
fn remove_all(parent: &OwnedFd, name: &OsStr, is_directory: bool) -> io::Result<()> {
    if !is_directory {
        return Ok(unlinkat(parent, name, UnlinkatFlags::NoRemoveDir)?);
    }
    let mut levels = vec![Doomed::open(parent.as_fd(), name, 1)?];
    while let Some(level) = levels.last_mut() {
        let depth = level.depth;
        let Some(inner) = level.names.pop() else {
            let Some(done) = levels.pop() else { break };
            let parent = levels.last().map_or(parent, |level| &level.directory);
            unlinkat(parent, done.name.as_os_str(), UnlinkatFlags::RemoveDir)?;
            continue;
        };
        match unlinkat(
            &level.directory,
            inner.as_os_str(),
            UnlinkatFlags::NoRemoveDir,
        ) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(Errno::EISDIR | Errno::EPERM) if depth < DEPTH_MAX => {
                let parent = level.directory.try_clone()?;
                levels.push(Doomed::open(parent.as_fd(), &inner, depth + 1)?);
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// A directory that is being removed.
struct Doomed {
    directory: OwnedFd,
    name: std::ffi::OsString,
    names: Vec<std::ffi::OsString>,
    depth: usize,
}

impl Doomed {
    fn open(parent: std::os::fd::BorrowedFd<'_>, name: &OsStr, depth: usize) -> io::Result<Doomed> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let directory = openat(parent, name, flags, Mode::empty())?;
        let names = names(&directory)?.into_iter().collect();
        Ok(Doomed {
            directory,
            name: name.to_owned(),
            names,
            depth,
        })
    }
}
