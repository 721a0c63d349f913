//! Packing: from a container's writable layer to the archive of an image layer, for `docker commit`.
//!
//! The opposite of [`crate::unpack`], and its result goes right through it: the store's layer is made by the
//! one way there is. What overlayfs writes becomes what archives have (OCI image layer specification,
//! "Whiteouts"): a character device 0:0 is a member `.wh.NAME`, an opaque directory has a member
//! `.wh..wh..opq`. Members are in the order of their names, so the same tree is the same archive. As in
//! Docker, sockets are left out, and a container's own file `.wh.NAME` acts as a whiteout.
//!
//! A container may write while it is packed (`--pause=false`). Nothing is opened by a path that could lead
//! through a symbolic link, what vanishes is left out, and a file that shrinks is filled with zeros up to the
//! size its header promised, because the archive must stay one.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use drydock_defects::defect;
use nix::fcntl::OFlag;
use rustix::fs::{FileType, Stat};

use crate::difference::{is_opaque, is_whiteout, names, open, status};
use crate::tape::kind;
use crate::tape_writer::{self, Entry};

/// The most names that wait to be packed, as many as a layer may have members.
const NAMES_MAX: usize = 4_000_000;

/// How many bytes are handed over at once.
const PIECE_BYTES: usize = 128 << 10;

/// The most bytes of one file's list of extended attributes, and of one value (xattr(7)).
const ATTRIBUTE_BYTES_MAX: usize = 64 << 10;

/// An archive that is packed on a thread of its own while it is read.
pub(crate) struct Packing {
    pieces: Receiver<Piece>,
    current: Vec<u8>,
    position: usize,
    ended: bool,
}

enum Piece {
    Bytes(Vec<u8>),
    /// The last one: without it the archive is not whole, however the thread has ended.
    End(io::Result<()>),
}

impl Packing {
    /// Starts to pack what lies in a directory.
    pub(crate) fn start(directory: OwnedFd) -> io::Result<Packing> {
        let (sender, pieces) = sync_channel(4);
        let pack = move || {
            let mut output = Output {
                sender,
                buffer: Vec::with_capacity(PIECE_BYTES),
            };
            let result = pack(directory, &mut output).and_then(|()| output.flush());
            // Nobody reads on: the reader has failed, and said so to its own caller.
            let _ = output.sender.send(Piece::End(result));
        };
        std::thread::Builder::new()
            .name("pack".into())
            .spawn(pack)?;
        Ok(Packing {
            pieces,
            current: Vec::new(),
            position: 0,
            ended: false,
        })
    }
}

impl Read for Packing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.position == self.current.len() {
            if self.ended {
                return Ok(0);
            }
            match self.pieces.recv() {
                Ok(Piece::Bytes(bytes)) => (self.current, self.position) = (bytes, 0),
                Ok(Piece::End(result)) => {
                    result?;
                    self.ended = true;
                }
                Err(_) => return Err(io::Error::other("the packing thread ended early")),
            }
        }
        let count = buffer.len().min(self.current.len() - self.position);
        buffer[..count].copy_from_slice(&self.current[self.position..self.position + count]);
        self.position += count;
        Ok(count)
    }
}

struct Output {
    sender: SyncSender<Piece>,
    buffer: Vec<u8>,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let bytes = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE_BYTES));
        self.sender
            .send(Piece::Bytes(bytes))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

fn pack(root: OwnedFd, output: &mut dyn Write) -> io::Result<()> {
    let mut packer = Packer {
        root,
        links: BTreeMap::new(),
        parent: None,
        output,
    };
    // A list and not a recursion: how deep directories lie is the container's choice.
    let mut waiting = packer.children(Path::new(""))?;
    while let Some(path) = waiting.pop() {
        let named = |error: io::Error| match error.kind() {
            io::ErrorKind::BrokenPipe => error,
            kind => io::Error::new(kind, format!("pack {:?}: {error}", path.display())),
        };
        if packer.member(&path).map_err(named)? {
            waiting.extend(packer.children(&path).map_err(named)?);
        }
        if waiting.len() > NAMES_MAX {
            return Err(io::Error::other(format!(
                "the writable layer has more than {NAMES_MAX} files"
            )));
        }
    }
    tape_writer::end(packer.output)
}

struct Packer<'a> {
    root: OwnedFd,
    /// The first name of each file that has several, by inode number: all of it is one file system.
    links: BTreeMap<u64, PathBuf>,
    /// The directory of the last member, since the next one is most often in it too.
    parent: Option<(PathBuf, OwnedFd)>,
    output: &'a mut dyn Write,
}

impl Packer<'_> {
    /// What is in a directory, in backward order.
    fn children(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let Some(directory) = open(&self.root, path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)? else {
            return Ok(Vec::new());
        };
        let names: BTreeSet<OsString> = names(&directory)?;
        Ok(names.iter().rev().map(|name| path.join(name)).collect())
    }

    /// Writes a member; true for a directory.
    fn member(&mut self, path: &Path) -> io::Result<bool> {
        let (Some(name), above) = (path.file_name(), path.parent().unwrap_or(Path::new(""))) else {
            return Ok(false);
        };
        let directory = match self.parent.take() {
            Some((known, directory)) if known == above => directory,
            _ => match open(&self.root, above, OFlag::O_RDONLY | OFlag::O_DIRECTORY)? {
                Some(directory) => directory,
                None => return Ok(false),
            },
        };
        let is_directory = match status(&directory, name)? {
            Some(status) => self.known(path, &directory, name, &status)?,
            None => false,
        };
        self.parent = Some((above.to_owned(), directory));
        Ok(is_directory)
    }

    fn known(
        &mut self,
        path: &Path,
        directory: &OwnedFd,
        name: &OsStr,
        status: &Stat,
    ) -> io::Result<bool> {
        if is_whiteout(status) && defect!("commit-forgets-deletions") {
            return Ok(false);
        }
        if is_whiteout(status) {
            let hidden = [b".wh.", name.as_bytes()].concat();
            let whiteout = path.with_file_name(OsStr::from_bytes(&hidden));
            self.write(&entry(&whiteout, kind::REGULAR, status))?;
            return Ok(false);
        }
        let file_type = FileType::from_raw_mode(status.st_mode);
        if file_type != FileType::Directory && status.st_nlink > 1 && file_type != FileType::Socket
        {
            if let Some(first) = self.links.get(&status.st_ino) {
                let mut link = entry(path, kind::HARD_LINK, status);
                link.link = first.as_os_str().as_bytes().to_vec();
                self.write(&link)?;
                return Ok(false);
            }
            self.links.insert(status.st_ino, path.to_owned());
        }
        match file_type {
            FileType::Directory => return self.directory(path, directory, name),
            FileType::RegularFile => self.file(path, directory, name)?,
            FileType::Symlink => {
                let mut link = entry(path, kind::SYMBOLIC_LINK, status);
                match rustix::fs::readlinkat(directory, name, Vec::new()) {
                    Ok(target) => link.link = target.into_bytes(),
                    // Gone, or no link any more.
                    Err(rustix::io::Errno::NOENT | rustix::io::Errno::INVAL) => return Ok(false),
                    Err(error) => return Err(error.into()),
                }
                self.write(&link)?;
            }
            FileType::CharacterDevice => self.node(path, kind::CHARACTER_DEVICE, status)?,
            FileType::BlockDevice => self.node(path, kind::BLOCK_DEVICE, status)?,
            FileType::Fifo => self.node(path, kind::FIFO, status)?,
            // A socket is a meeting point of processes that are no more; archives have no word for it.
            _ => {}
        }
        Ok(false)
    }

    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        tape_writer::write_header(entry, self.output)
    }

    fn node(&mut self, path: &Path, kind: u8, status: &Stat) -> io::Result<()> {
        let mut node = entry(path, kind, status);
        if kind != kind::FIFO {
            let device = status.st_rdev;
            node.device = (rustix::fs::major(device), rustix::fs::minor(device));
        }
        self.write(&node)
    }

    fn directory(&mut self, path: &Path, above: &OwnedFd, name: &OsStr) -> io::Result<bool> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let Some(directory) = open(above, Path::new(name), flags)? else {
            return Ok(false);
        };
        let status = rustix::fs::fstat(&directory)?;
        let mut member = entry(path, kind::DIRECTORY, &status);
        member.name.push(b'/');
        member.extended = attributes(&directory)?;
        self.write(&member)?;
        if is_opaque(&directory) {
            let mut marker = entry(&path.join(".wh..wh..opq"), kind::REGULAR, &status);
            // Docker's has no time either.
            (marker.mode, marker.modified) = (marker.mode & 0o777, 0);
            self.write(&marker)?;
        }
        Ok(true)
    }

    fn file(&mut self, path: &Path, above: &OwnedFd, name: &OsStr) -> io::Result<()> {
        // Not blocking, because a FIFO may have taken the file's place.
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let Some(file) = open(above, Path::new(name), flags)? else {
            return Ok(());
        };
        let status = rustix::fs::fstat(&file)?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Ok(());
        }
        let mut member = entry(path, kind::REGULAR, &status);
        member.size = u64::try_from(status.st_size).unwrap_or(0);
        member.extended = attributes(&file)?;
        self.write(&member)?;
        let copied = io::copy(&mut File::from(file).take(member.size), &mut self.output)?;
        let missing = member.size - copied;
        if missing > 0 {
            io::copy(&mut io::repeat(0).take(missing), &mut self.output)?;
        }
        tape_writer::pad(member.size, self.output)
    }
}

/// A member without contents.
fn entry(path: &Path, kind: u8, status: &Stat) -> Entry {
    Entry {
        name: path.as_os_str().as_bytes().to_vec(),
        kind,
        mode: status.st_mode & 0o7777,
        uid: status.st_uid,
        gid: status.st_gid,
        modified: status.st_mtime,
        ..Entry::default()
    }
}

/// The extended attributes that go along: file capabilities and those of users. `trusted.*` is overlayfs's
/// own, and labels of security modules mean something on this host only.
fn attributes(file: &OwnedFd) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut list = vec![0; ATTRIBUTE_BYTES_MAX];
    let length = match rustix::fs::flistxattr(file, &mut list) {
        // A file system without extended attributes has none to lose.
        Err(rustix::io::Errno::NOTSUP) => return Ok(Vec::new()),
        other => other?,
    };
    let wanted = |name: &&[u8]| {
        *name == b"security.capability"
            || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
    };
    let mut kept = Vec::new();
    for name in list[..length].split(|byte| *byte == 0).filter(wanted) {
        let mut value = vec![0; ATTRIBUTE_BYTES_MAX];
        match rustix::fs::fgetxattr(file, OsStr::from_bytes(name), &mut value) {
            Ok(length) => value.truncate(length),
            // Removed meanwhile.
            Err(rustix::io::Errno::NODATA) => continue,
            Err(error) => return Err(error.into()),
        }
        kept.push((name.to_vec(), value));
    }
    kept.sort();
    Ok(kept)
}

#[cfg(test)]
#[path = "pack_tests.rs"]
mod tests;
