//! Unpacks the archive of one layer into a directory.
//!
//! What becomes of each kind of member follows Docker's overlay2 driver:
//!
//! * regular files, directories, symbolic and hard links, device nodes and FIFOs, with owner, mode,
//!   modification time and the extended attributes of [`kept`];
//! * whiteouts become what overlayfs understands: a character device 0:0, or for an opaque directory the
//!   attribute `trusted.overlay.opaque`, which the parent process sets later ([`super::run`]);
//! * a member that stands for the root itself is skipped, the root always is 0755 and root's;
//! * a second member of the same name, a name above the root, a hard link to a name above the root and an
//!   unknown kind of member end the whole thing, in Docker's words.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, SFlag, futimens, makedev};
use nix::sys::time::TimeSpec;

use super::name::{self, Kind};
use super::root::{self, Attributes, Place, Root};
use super::skeleton;
use crate::tape::{Member, Tape, kind};

/// The most members a layer may have. The largest images in use have some hundred thousand.
const MEMBERS_MAX: usize = 4_000_000;
/// The most bytes a layer may unpack to.
const BYTES_MAX: u64 = 256 << 30;

/// Unpacks an uncompressed archive into `directory` and writes its skeleton.
///
/// `own` says whether owners are set, which needs CAP_CHOWN.
pub(crate) fn extract(
    archive: &mut dyn Read,
    directory: OwnedFd,
    skeleton: impl Write,
    own: bool,
) -> io::Result<()> {
    let mut extraction = Extraction {
        root: Root::new(directory),
        skeleton: skeleton::Writer::new(skeleton),
        seen: HashSet::new(),
        directories: Vec::new(),
        bytes: 0,
        own,
    };
    let mut tape = Tape::new(archive);
    while let Some(member) = tape.next(&mut |bytes| extraction.skeleton.raw(bytes))? {
        if extraction.seen.len() >= MEMBERS_MAX {
            return Err(invalid(format!(
                "the archive has more than {MEMBERS_MAX} members"
            )));
        }
        extraction
            .member(&member, &mut tape)
            .map_err(|error| named(&member.name, error))?;
    }
    tape.finish(&mut |bytes| extraction.skeleton.raw(bytes))?;
    extraction.set_directory_times()?;
    extraction.skeleton.end(extraction.bytes)
}

/// The state of one unpacking.
struct Extraction<W: Write> {
    root: Root,
    skeleton: skeleton::Writer<W>,
    /// The names of all members so far.
    seen: HashSet<PathBuf>,
    /// Directories and their times, which are set last: every new file in one changes it.
    directories: Vec<(PathBuf, TimeSpec)>,
    /// The size of the layer so far.
    bytes: u64,
    own: bool,
}

impl<W: Write> Extraction<W> {
    fn member(&mut self, member: &Member, tape: &mut Tape<impl Read>) -> io::Result<()> {
        let path = name::clean(&member.name)
            .ok_or_else(|| invalid(format!("invalid entry name {}", name::quoted(&member.name))))?;
        if !self.seen.insert(path.clone()) {
            return Err(invalid("duplicates of file paths not supported"));
        }
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        let attributes = self.attributes(member)?;
        match name::kind(&path) {
            Kind::Plain => self.make(member, &path, &attributes, tape),
            Kind::Invalid => Err(invalid(format!(
                "invalid whiteout entry {}",
                name::quoted(path.as_os_str().as_bytes())
            ))),
            Kind::Opaque => {
                // For the directories on the way.
                self.root.place(&path)?;
                self.skeleton.opaque(path.parent().unwrap_or(Path::new("")))
            }
            Kind::Whiteout(hidden) => {
                let place = Place {
                    name: hidden,
                    ..self.root.place(&path)?
                };
                place.make_node(
                    SFlag::S_IFCHR,
                    0,
                    &Attributes {
                        mode: Mode::empty(),
                        ..attributes
                    },
                )
            }
        }
    }

    fn attributes(&self, member: &Member) -> io::Result<Attributes> {
        Ok(Attributes {
            uid: owner(member.uid)?,
            gid: owner(member.gid)?,
            mode: Mode::from_bits_truncate(member.mode & 0o7777),
            modified: time(member.modified),
            own: self.own,
        })
    }

    fn make(
        &mut self,
        member: &Member,
        path: &Path,
        attributes: &Attributes,
        tape: &mut Tape<impl Read>,
    ) -> io::Result<()> {
        let device = || makedev(member.device.0, member.device.1);
        match member.kind {
            kind::REGULAR | kind::GNU_SPARSE => self.make_file(member, path, attributes, tape),
            kind::DIRECTORY => {
                let directory = self.root.place(path)?.make_directory()?;
                root::set_attributes(&directory, attributes, &kept(member))?;
                self.directories
                    .push((path.to_owned(), attributes.modified));
                Ok(())
            }
            kind::SYMBOLIC_LINK => {
                self.add_bytes(member.link.len() as u64)?;
                self.root
                    .place(path)?
                    .make_symbolic_link(OsStr::from_bytes(&member.link), attributes)
            }
            kind::HARD_LINK => {
                let target =
                    name::clean(&member.link).filter(|target| !target.as_os_str().is_empty());
                let target = target.ok_or_else(|| {
                    invalid(format!(
                        "invalid hardlink target {}",
                        name::quoted(&member.link)
                    ))
                })?;
                self.root
                    .place(path)?
                    .make_hard_link(&self.root.place(&target)?, attributes)
            }
            kind::CHARACTER_DEVICE => {
                self.root
                    .place(path)?
                    .make_node(SFlag::S_IFCHR, device(), attributes)
            }
            kind::BLOCK_DEVICE => {
                self.root
                    .place(path)?
                    .make_node(SFlag::S_IFBLK, device(), attributes)
            }
            kind::FIFO => self
                .root
                .place(path)?
                .make_node(SFlag::S_IFIFO, 0, attributes),
            other => Err(invalid(format!("unhandled tar header type {other}"))),
        }
    }

    fn make_file(
        &mut self,
        member: &Member,
        path: &Path,
        attributes: &Attributes,
        tape: &mut Tape<impl Read>,
    ) -> io::Result<()> {
        let place = self.root.place(path)?;
        let mut file = place.make_file()?;
        let (size, pieces) = member
            .sparse
            .clone()
            .unwrap_or((member.size, vec![(0, member.size)]));
        self.add_bytes(size)?;
        // The contents of a sparse file are not what the archive has, and a path that passes through a link
        // may lead elsewhere later: such contents go into the skeleton as well.
        let apart = member.sparse.is_none() && place.direct && size > 0;
        if apart {
            self.skeleton.file(path, size)?;
        }
        for (offset, length) in pieces {
            file.seek(SeekFrom::Start(offset))?;
            self.copy(&mut tape.by_ref().take(length), &mut file, apart)?;
        }
        if member.sparse.is_some() {
            file.set_len(size)?;
        }
        root::set_attributes(&file, attributes, &kept(member))
    }

    /// Copies contents to a file, and unless they are kept `apart` from it, to the skeleton.
    fn copy(&mut self, contents: &mut impl Read, file: &mut File, apart: bool) -> io::Result<()> {
        if apart {
            return io::copy(contents, file).map(drop);
        }
        let mut buffer = [0; 16 << 10];
        loop {
            match contents.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    file.write_all(&buffer[..count])?;
                    self.skeleton.raw(&buffer[..count])?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn add_bytes(&mut self, bytes: u64) -> io::Result<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > BYTES_MAX {
            return Err(invalid(format!(
                "the layer unpacks to more than {BYTES_MAX} bytes"
            )));
        }
        Ok(())
    }

    fn set_directory_times(&mut self) -> io::Result<()> {
        for (path, time) in self.directories.drain(..).rev() {
            futimens(self.root.place(&path)?.make_directory()?, &time, &time)?;
        }
        Ok(())
    }
}

/// The extended attributes that layers keep.
///
/// `trusted.*` and `user.overlay.*` are dropped: they are how overlayfs marks its own directories, and an
/// archive could use them to point into other layers or hide files. Of `security.*` only file capabilities
/// are kept; the labels of security modules mean something on one host only.
pub(crate) fn kept(member: &Member) -> Vec<(String, Vec<u8>)> {
    let keep = |(name, value): &(Vec<u8>, Vec<u8>)| {
        let name = String::from_utf8(name.clone()).ok()?;
        let dropped = name.starts_with("trusted.")
            || name.starts_with("user.overlay.")
            || (name.starts_with("security.") && name != "security.capability");
        (!dropped).then(|| (name, value.clone()))
    };
    member.extended.iter().filter_map(keep).collect()
}

/// A user or group id. (u32)-1 means "leave it" to chown(2), so it is no id either.
pub(crate) fn owner(number: u64) -> io::Result<u32> {
    match u32::try_from(number) {
        Ok(id) if id != u32::MAX => Ok(id),
        _ => Err(invalid(format!("{number} is not a user or group id"))),
    }
}

/// A modification time. One before 1970, or after what file systems can hold (34 bits of seconds in ext4),
/// becomes 1970, as in Docker.
pub(crate) fn time((seconds, nanoseconds): (i64, u32)) -> TimeSpec {
    if (0..1 << 33).contains(&seconds) {
        TimeSpec::new(seconds, nanoseconds.into())
    } else {
        TimeSpec::new(0, 0)
    }
}

pub(crate) fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

/// Adds the member's name to what the kernel said; our own messages name it where it matters.
fn named(name: &[u8], error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(_) => io::Error::new(error.kind(), format!("{}: {error}", name::quoted(name))),
        None => error,
    }
}
