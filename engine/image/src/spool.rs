//! A received archive, kept until all of it is there.
//!
//! `docker save` may write the manifest last, and it says which of the other members are layers. So the
//! contents of all members go into one temporary file, one after the other, and an index in memory says what
//! is where. Member names are keys of that index and never file names: no name of the archive reaches the
//! file system.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::blob::DOCUMENT_BYTES_MAX;
use crate::compression::decompress;
use crate::durable::{Temporary, Workshop};
use crate::error::{Context, Error};
use crate::tape::{Tape, kind};
use crate::unpack::name;

/// The most members an image archive may have: 125 layers for each of some images, in files and folders.
const MEMBERS_MAX: usize = 100_000;

/// An image archive.
pub(crate) struct Spool {
    file: File,
    members: BTreeMap<PathBuf, Contents>,
    path: PathBuf,
    _temporary: Temporary,
}

/// What a member is.
#[derive(Clone, Debug)]
enum Contents {
    /// A regular file: where its bytes are.
    File { offset: u64, size: u64 },
    /// Another name; old versions of Docker wrote a layer that two images share as a link.
    Link(PathBuf),
}

impl Spool {
    /// Receives an archive, compressed or not.
    pub(crate) fn receive(archive: &mut dyn Read, workshop: &Workshop) -> Result<Spool, Error> {
        let path = workshop.unused();
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .context("create", &path)?;
        let temporary = Temporary::adopt(path.clone());
        let members = receive(archive, &file).map_err(|error| Error::System(error.to_string()))?;
        Ok(Spool {
            file,
            members,
            path,
            _temporary: temporary,
        })
    }

    /// Finds a regular file by a name of the archive, following links inside it.
    fn find(&self, name: &str) -> Option<(u64, u64)> {
        let mut path = name::clean(name.as_bytes())?;
        // Longer chains do not occur, and one could be a circle.
        for _ in 0..8 {
            match self.members.get(&path)? {
                Contents::File { offset, size } => return Some((*offset, *size)),
                Contents::Link(target) => path = target.clone(),
            }
        }
        None
    }

    /// Whether there is such a file.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The first directory of the archive that has something in it.
    pub(crate) fn first_folder(&self) -> Option<PathBuf> {
        let folder = |path: &PathBuf| {
            let mut parts = path.components();
            let first = parts.next()?;
            parts.next().map(|_| PathBuf::from(first.as_os_str()))
        };
        self.members.keys().find_map(folder)
    }

    /// Reads a whole file, which must be small.
    pub(crate) fn document(&self, name: &str) -> Result<Vec<u8>, Error> {
        let mut reader = self.open(name)?;
        if reader.size() > DOCUMENT_BYTES_MAX {
            return Err(Error::System(format!(
                "invalid archive: {name} has more than {DOCUMENT_BYTES_MAX} bytes"
            )));
        }
        let mut bytes = Vec::new();
        reader
            .read_to_end(&mut bytes)
            .map_err(|error| Error::System(format!("read {name}: {error}")))?;
        Ok(bytes)
    }

    /// Docker's text for a file that is not in the archive: where the archive is kept, and the name in it.
    pub(crate) fn missing(&self, name: &str) -> Error {
        let path = match name::clean(name.as_bytes()) {
            Some(inside) => self.path.join(inside),
            // A name that leads out of the archive is not shown as if it were a place on this host.
            None => PathBuf::from(name),
        };
        Error::System(format!(
            "open {}: no such file or directory",
            path.display()
        ))
    }

    /// Reads a file in pieces.
    pub(crate) fn open(&self, name: &str) -> Result<Slice<'_>, Error> {
        let (start, size) = self.find(name).ok_or_else(|| self.missing(name))?;
        Ok(Slice {
            file: &self.file,
            start,
            position: 0,
            size,
        })
    }
}

fn receive(archive: &mut dyn Read, file: &File) -> io::Result<BTreeMap<PathBuf, Contents>> {
    let mut tape = Tape::new(decompress(archive)?);
    let mut output = BufWriter::with_capacity(128 << 10, file);
    let mut members = BTreeMap::new();
    let mut offset = 0;
    let ignore = &mut |_: &[u8]| Ok(());
    while let Some(member) = tape.next(ignore)? {
        let path = name::clean(&member.name).ok_or_else(|| {
            let text = format!("invalid entry name {}", name::quoted(&member.name));
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        let contents = match member.kind {
            kind::REGULAR => {
                let size = io::copy(&mut tape, &mut output)?;
                offset += size;
                Contents::File {
                    offset: offset - size,
                    size,
                }
            }
            kind::HARD_LINK => match name::clean(&member.link) {
                Some(target) => Contents::Link(target),
                None => continue,
            },
            kind::SYMBOLIC_LINK => {
                let from = path
                    .parent()
                    .unwrap_or(Path::new(""))
                    .join(OsStr::from_bytes(&member.link));
                match name::clean(from.as_os_str().as_bytes()) {
                    Some(target) => Contents::Link(target),
                    None => continue,
                }
            }
            // Folders say nothing; of anything else no image consists.
            _ => continue,
        };
        if members.len() >= MEMBERS_MAX {
            let text = format!("invalid archive: it has more than {MEMBERS_MAX} members");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        members.insert(path, contents);
    }
    // To the end, so that a sender is not cut off.
    tape.finish(ignore)?;
    output.flush()?;
    Ok(members)
}

/// A part of the spooled file.
pub(crate) struct Slice<'a> {
    file: &'a File,
    start: u64,
    position: u64,
    size: u64,
}

impl Slice<'_> {
    pub(crate) fn size(&self) -> u64 {
        self.size
    }
}

impl Read for Slice<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.size - self.position)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let count = self
            .file
            .read_at(&mut buffer[..most], self.start + self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}
