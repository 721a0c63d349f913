//! What the daemon asks the copier, and how it answers, over one unix socket: the copier's standard input.
//!
//! The question is a frame with a JSON document and the descriptors that it counts on; after the one of a
//! [`Operation::Write`] the archive follows as it is, up to the end of the daemon's side. The answer is a frame
//! with a [`Reply`], and after the one of [`Operation::Read`] and [`Operation::Export`] the archive in frames,
//! of which an empty one is the last: an archive that ends without it is not whole.
//!
//! A frame is a length (32 bits, little-endian) and that many bytes.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use drydock_sys::descriptors;
use serde::{Deserialize, Serialize};

use super::stat::Stat;

/// The longest question: the paths of 127 layers and of many mounts.
const QUESTION_BYTES_MAX: usize = 4 << 20;

/// The longest piece of an archive in one frame.
pub const PIECE_BYTES_MAX: usize = 64 << 10;

/// A question.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// A directory of the host, to mount at in the copier's own mount namespace.
    pub place: PathBuf,
    /// The container's own files.
    pub root: Root,
    /// What is mounted over them; a descriptor for each.
    pub mounts: Vec<MountPoint>,
    /// What to do.
    pub operation: Operation,
}

/// Where a container's own files are.
#[derive(Debug, Serialize, Deserialize)]
pub enum Root {
    /// It runs: in the mount namespace of the process whose pidfd is the first descriptor.
    Running,
    /// It does not: in these directories, the top one first.
    Stopped {
        /// The layers of its image.
        layers: Vec<PathBuf>,
        /// Its writable layer.
        upper: PathBuf,
        /// Where overlayfs works when the writable layer is to be changed; without it nothing changes.
        work: Option<PathBuf>,
        /// Nothing may be written but what is mounted.
        readonly: bool,
    },
}

/// A mount of a container.
#[derive(Debug, Serialize, Deserialize)]
pub struct MountPoint {
    /// Where, in the container.
    pub target: PathBuf,
    /// Not to be written.
    pub readonly: bool,
}

/// What to do. Paths are of the form that [`super::path::inside`] gives, but for the first.
#[derive(Debug, Serialize, Deserialize)]
pub enum Operation {
    /// Look.
    Stat {
        /// At what; as the client wrote it.
        path: String,
    },
    /// Look, and pack it.
    Read {
        /// What.
        path: String,
    },
    /// Pack everything.
    Export,
    /// Unpack an archive.
    Write {
        /// Into which directory.
        path: String,
        /// See [`super::extract::Options::keep_kinds`].
        keep_kinds: bool,
        /// The user who gets the files, as in `--user`.
        owner: Option<String>,
    },
}

/// The answer.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// What is there.
    Stat(Stat),
    /// It is done, or (of an export) begins.
    Done,
    /// It cannot be done.
    Failed(Failure),
}

/// Why not.
#[derive(Debug, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// In Docker's words.
    pub text: String,
}

/// Kinds of failures: what the daemon has statuses for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureKind {
    /// Something is not there.
    NotFound,
    /// The question was wrong.
    Invalid,
    /// Anything else.
    System,
}

/// A document as a frame.
///
/// # Errors
/// When it cannot be written as JSON: a path that is no text.
pub fn encode(document: &impl Serialize) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(document)?;
    let length = u32::try_from(json.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok([&length.to_le_bytes()[..], &json].concat())
}

/// Reads the question and its descriptors.
pub(super) fn receive(socket: &UnixStream) -> io::Result<(Request, Vec<OwnedFd>)> {
    let mut opened = Vec::new();
    let mut head = [0; 4];
    let mut length = 0;
    while length < head.len() {
        match descriptors::receive(socket.as_fd(), &mut head[length..], &mut opened)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => length += count,
        }
    }
    let length = u32::from_le_bytes(head) as usize;
    if length > QUESTION_BYTES_MAX {
        return Err(io::Error::other("the copier was asked too long a question"));
    }
    let mut json = vec![0; length];
    let mut input = socket;
    input.read_exact(&mut json)?;
    Ok((serde_json::from_slice(&json)?, opened))
}

/// The archive of an answer: gathers what is written and sends it in frames.
pub(super) struct Pieces<W: Write> {
    output: W,
    gathered: Vec<u8>,
}

impl<W: Write> Pieces<W> {
    pub(super) fn new(output: W) -> Pieces<W> {
        Pieces {
            output,
            gathered: Vec::with_capacity(4 + PIECE_BYTES_MAX),
        }
    }

    fn send(&mut self) -> io::Result<()> {
        let length = self.gathered.len() as u32;
        self.output.write_all(&length.to_le_bytes())?;
        self.output.write_all(&self.gathered)?;
        self.gathered.clear();
        Ok(())
    }

    /// Sends the rest, and the mark that it was all.
    pub(super) fn end(mut self) -> io::Result<()> {
        self.flush()?;
        self.send()
    }
}

impl<W: Write> Write for Pieces<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(PIECE_BYTES_MAX - self.gathered.len());
        self.gathered.extend_from_slice(&bytes[..count]);
        if self.gathered.len() == PIECE_BYTES_MAX {
            self.send()?;
        }
        Ok(count)
    }

    /// An empty frame would be the end, so nothing is sent where nothing was gathered.
    fn flush(&mut self) -> io::Result<()> {
        match self.gathered.is_empty() {
            true => Ok(()),
            false => self.send(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_have_an_end() {
        for size in [
            0,
            1,
            PIECE_BYTES_MAX,
            PIECE_BYTES_MAX + 1,
            3 * PIECE_BYTES_MAX,
        ] {
            let mut sent = Vec::new();
            let mut pieces = Pieces::new(&mut sent);
            pieces.write_all(&vec![7; size]).unwrap();
            pieces.flush().unwrap();
            pieces.end().unwrap();
            let (mut rest, mut total) = (&sent[..], 0);
            loop {
                let (head, body) = rest.split_first_chunk::<4>().unwrap();
                let length = u32::from_le_bytes(*head) as usize;
                if length == 0 {
                    assert!(body.is_empty());
                    break;
                }
                total += length;
                rest = &body[length..];
            }
            assert_eq!(total, size);
        }
    }
}
