//! The skeleton of an archive: a tar without the file contents.
//!
//! A tar archive cannot be made again from the files it unpacked to: two tools write the same tree in
//! different bytes, and the digest is over the bytes. Docker therefore keeps, beside each unpacked layer,
//! everything of the archive that is not file contents ("tar-split"). This is the same idea in the smallest
//! form: a gzip stream of records, each a letter, a length (32 bits, little-endian) and that many bytes.
//!
//! | letter | bytes | meaning |
//! |---|---|---|
//! | `R` | any | these bytes of the archive, as they were |
//! | `F` | size (64 bits, little-endian), path | here come so many bytes: the contents of that file |
//! | `O` | path | no bytes; the directory is opaque, see [`super::run`] |
//! | `E` | size (64 bits) | no bytes; the end, and the size of the unpacked layer |
//!
//! The unpacker writes it in its sandbox, so a reader does not trust it: paths are opened below the layer's
//! root without following links, and a digest decides whether the result is right.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag, fstat};

/// How much is collected before an `R` record is written, and the longest record a reader accepts.
const RECORD_BYTES_MAX: usize = 64 << 10;

/// Writes a skeleton.
pub(crate) struct Writer<W: Write> {
    output: GzEncoder<BufWriter<W>>,
    raw: Vec<u8>,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(output: W) -> Writer<W> {
        // Headers are mostly zeros: the fastest level already takes nine tenths away.
        Writer {
            output: GzEncoder::new(BufWriter::new(output), Compression::fast()),
            raw: Vec::new(),
        }
    }

    fn record(&mut self, letter: u8, parts: [&[u8]; 2]) -> io::Result<()> {
        let length = parts[0].len() + parts[1].len();
        let prefix =
            u32::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        self.output.write_all(&[letter])?;
        self.output.write_all(&prefix.to_le_bytes())?;
        parts
            .iter()
            .try_for_each(|part| self.output.write_all(part))
    }

    fn flush_raw(&mut self) -> io::Result<()> {
        if self.raw.is_empty() {
            return Ok(());
        }
        let raw = std::mem::take(&mut self.raw);
        self.record(b'R', [&raw, b""])?;
        self.raw = raw;
        self.raw.clear();
        Ok(())
    }

    /// Bytes of the archive that are kept as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(RECORD_BYTES_MAX) {
            if self.raw.len() + piece.len() > RECORD_BYTES_MAX {
                self.flush_raw()?;
            }
            self.raw.extend_from_slice(piece);
        }
        Ok(())
    }

    /// The next `size` bytes of the archive are the contents of this file.
    pub(crate) fn file(&mut self, path: &Path, size: u64) -> io::Result<()> {
        self.flush_raw()?;
        self.record(b'F', [&size.to_le_bytes(), path.as_os_str().as_bytes()])
    }

    /// The directory is to be marked opaque.
    pub(crate) fn opaque(&mut self, path: &Path) -> io::Result<()> {
        self.flush_raw()?;
        self.record(b'O', [path.as_os_str().as_bytes(), b""])
    }

    /// Ends the skeleton. Without this it is not whole.
    pub(crate) fn end(mut self, size: u64) -> io::Result<()> {
        self.flush_raw()?;
        self.record(b'E', [&size.to_le_bytes(), b""])?;
        self.output.finish()?.flush()
    }
}

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Raw(Vec<u8>),
    File { path: PathBuf, size: u64 },
    Opaque(PathBuf),
    End { size: u64 },
}

/// Reads the records of a skeleton up to its end, which must be there.
pub(crate) fn read(
    input: impl Read,
    mut each: impl FnMut(Record) -> io::Result<()>,
) -> io::Result<()> {
    let mut input = GzDecoder::new(BufReader::new(input));
    loop {
        let record = read_record(&mut input)?;
        let end = matches!(record, Record::End { .. });
        each(record)?;
        if end {
            return Ok(());
        }
    }
}

fn read_record(input: &mut impl Read) -> io::Result<Record> {
    let mut head = [0; 5];
    input.read_exact(&mut head)?;
    let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if length > RECORD_BYTES_MAX {
        return Err(malformed());
    }
    let mut bytes = vec![0; length];
    input.read_exact(&mut bytes)?;
    let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    match (head[0], bytes.split_first_chunk::<8>()) {
        (b'R', _) => Ok(Record::Raw(bytes)),
        (b'O', _) => Ok(Record::Opaque(path(&bytes))),
        (b'F', Some((size, name))) => Ok(Record::File {
            path: path(name),
            size: u64::from_le_bytes(*size),
        }),
        (b'E', Some((size, b""))) => Ok(Record::End {
            size: u64::from_le_bytes(*size),
        }),
        _ => Err(malformed()),
    }
}

fn malformed() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the layer's archive.gz is malformed",
    )
}

/// Writes the original archive, from its skeleton and the unpacked files below `root`.
pub(crate) fn rebuild(skeleton: impl Read, root: &File, output: &mut impl Write) -> io::Result<()> {
    read(skeleton, |record| match record {
        Record::Raw(bytes) => output.write_all(&bytes),
        Record::File { path, size } => copy_file(root, &path, size, output)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        Record::Opaque(_) | Record::End { .. } => Ok(()),
    })
}

fn copy_file(root: &File, path: &Path, size: u64, output: &mut impl Write) -> io::Result<()> {
    // Not blocking, because a FIFO might have been put in the file's place.
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = drydock_sys::paths::open_without_links(root.as_fd(), path, flags, Mode::empty())?;
    let status = fstat(&file)?;
    let kind = SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT;
    if kind != SFlag::S_IFREG || status.st_size as u64 != size {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("not a file of {size} bytes"),
        ));
    }
    match io::copy(&mut File::from(file).take(size), output)? {
        copied if copied == size => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Writer<&mut Vec<u8>>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        write(&mut writer);
        writer.end(5).unwrap();
        bytes
    }

    #[test]
    fn records_come_back() {
        let bytes = written(|writer| {
            writer.raw(b"head").unwrap();
            writer.raw(b"er").unwrap();
            writer.file(Path::new("a/b"), 5).unwrap();
            writer.opaque(Path::new("")).unwrap();
            writer.raw(&[0; RECORD_BYTES_MAX + 1]).unwrap();
        });
        let mut records = Vec::new();
        read(&bytes[..], |record| {
            records.push(record);
            Ok(())
        })
        .unwrap();
        let expected = [
            Record::Raw(b"header".to_vec()),
            Record::File {
                path: "a/b".into(),
                size: 5,
            },
            Record::Opaque("".into()),
            Record::Raw(vec![0; RECORD_BYTES_MAX]),
            Record::Raw(vec![0]),
            Record::End { size: 5 },
        ];
        assert_eq!(records, expected);
    }

    #[test]
    fn a_cut_or_changed_skeleton_is_an_error() {
        let bytes = written(|writer| writer.raw(b"header").unwrap());
        for length in 0..bytes.len() - 8 {
            assert!(read(&bytes[..length], |_| Ok(())).is_err(), "{length}");
        }
    }

    #[test]
    fn contents_are_taken_from_regular_files_inside_only() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(folder.path().join("outside"), "12345").unwrap();
        std::fs::write(root.join("inside"), "12345").unwrap();
        std::os::unix::fs::symlink("inside", root.join("link")).unwrap();
        std::os::unix::fs::symlink("../outside", root.join("up")).unwrap();
        nix::unistd::mkfifo(&root.join("fifo"), Mode::S_IRWXU).unwrap();
        let root = File::open(root).unwrap();
        let rebuilt = |path: &str, size| {
            let bytes = written(|writer| writer.file(Path::new(path), size).unwrap());
            let mut output = Vec::new();
            rebuild(&bytes[..], &root, &mut output).map(|()| output)
        };
        assert_eq!(rebuilt("inside", 5).unwrap(), b"12345");
        for (path, size) in [
            ("inside", 4),
            ("inside", 6),
            ("../outside", 5),
            ("up", 5),
            ("link", 5),
            ("fifo", 0),
            ("", 0),
        ] {
            assert!(rebuilt(path, size).is_err(), "{path}");
        }
    }
}
