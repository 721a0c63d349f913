//! The writer: a container's output goes into the log file, one write(2) for each chunk that was read.
//!
//! What the shim reads from a pipe in one go usually holds many lines. They are encoded into one buffer and
//! written at once, because a system call per line is what makes Docker's logging slow. Nothing is held back
//! but an unfinished line, so after `append` a reader sees every complete line.
//!
//! A write can fail half-way (a full disk). What is then in the file behind the last whole record is cut off
//! again, so the log stays readable, and the caller hears about it; the container is not stopped. A file that
//! was left with a torn end (power cut) gets a newline first, so that the damage ends where it began.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::{
    Stream,
    line::Line,
    record::{encode, name_error},
    rotation, time,
};

/// Docker's `--log-opt max-size` and `max-file`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonFileOptions {
    /// A file that has reached this many bytes is rotated before the next record; 0 is never. As in Docker a
    /// file may therefore be larger by up to one record.
    pub max_size: u64,
    /// How many files are kept, the current one included; 0 counts as 1.
    pub max_file: u32,
}

/// Writes one container's log. Not for two writers at a time.
#[derive(Debug)]
pub struct JsonFileWriter {
    stdout: Line,
    stderr: Line,
    output: Output,
}

impl JsonFileWriter {
    /// Opens the log for appending, or creates it with mode 0640. The folder must exist.
    ///
    /// # Errors
    /// The operating system's, with the file named.
    pub fn open(path: impl AsRef<Path>, options: JsonFileOptions) -> io::Result<JsonFileWriter> {
        let output = Output::open(path.as_ref(), options)?;
        Ok(JsonFileWriter {
            stdout: Line::default(),
            stderr: Line::default(),
            output,
        })
    }

    /// Takes what was read from one of the container's outputs at `realtime_nanos` (nanoseconds since 1970),
    /// and writes the lines that are complete with it. See [`crate::MAX_PART`] for long lines.
    ///
    /// # Errors
    /// When writing or rotating fails. Records that could not be written are lost and the file stays
    /// readable; the writer goes on working. A failed rotation loses nothing and is tried again.
    pub fn append(&mut self, stream: Stream, realtime_nanos: u64, chunk: &[u8]) -> io::Result<()> {
        let line = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let output = &mut self.output;
        line.push(realtime_nanos, chunk, &mut |time, bytes| {
            output.record(stream, time, bytes)
        });
        output.flush();
        output.outcome()
    }

    /// Both outputs have ended: writes unfinished lines, as records without a newline and with the time when
    /// their last bytes came.
    ///
    /// # Errors
    /// As [`JsonFileWriter::append`].
    pub fn finish(&mut self) -> io::Result<()> {
        let output = &mut self.output;
        for (stream, line) in [
            (Stream::Stdout, &mut self.stdout),
            (Stream::Stderr, &mut self.stderr),
        ] {
            line.finish(&mut |time, bytes| output.record(stream, time, bytes));
        }
        output.flush();
        output.outcome()
    }
}

/// The file and the records on their way to it.
#[derive(Debug)]
struct Output {
    path: PathBuf,
    options: JsonFileOptions,
    file: File,
    /// Bytes in the file, as far as this writer knows.
    size: u64,
    /// The file ends in half a record that could not be cut off.
    torn: bool,
    /// Encoded records, empty between calls.
    batch: Vec<u8>,
    /// The last time as text: all lines of one chunk share it.
    time: (u64, String),
    /// The first error since [`Output::outcome`].
    error: Option<io::Error>,
}

impl Output {
    fn open(path: &Path, options: JsonFileOptions) -> io::Result<Output> {
        let (file, size) = open_file(path)?;
        let torn = size > 0 && {
            let mut last = [0];
            file.read_exact_at(&mut last, size - 1)
                .map_err(|error| name_error("read", path, &error))?;
            last != *b"\n"
        };
        Ok(Output {
            path: path.to_owned(),
            options,
            file,
            size,
            torn,
            batch: Vec::new(),
            time: (0, time::rfc3339_nano(0)),
            error: None,
        })
    }

    fn record(&mut self, stream: Stream, nanos: u64, line: &[u8]) {
        let full = |bytes: u64| self.options.max_size > 0 && bytes >= self.options.max_size;
        if full(self.size + self.batch.len() as u64) {
            self.flush();
            if let Err(error) = self.rotate() {
                self.error.get_or_insert(error);
            }
        }
        if self.time.0 != nanos {
            self.time = (nanos, time::rfc3339_nano(nanos));
        }
        encode(&mut self.batch, stream, &self.time.1, line);
    }

    /// Writes the batch.
    fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        if self.torn {
            self.batch.insert(0, b'\n');
        }
        if let Err(error) = self.write_batch() {
            self.error
                .get_or_insert(name_error("write", &self.path, &error));
        }
        self.batch.clear();
    }

    fn write_batch(&mut self) -> io::Result<()> {
        let mut written = 0;
        while written < self.batch.len() {
            match self.file.write(&self.batch[written..]) {
                Ok(0) => return self.cut_back(written, io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.cut_back(written, error),
            }
        }
        self.size += written as u64;
        self.torn = false;
        Ok(())
    }

    /// Only `written` bytes of the batch are in the file: cuts off the half record at their end.
    fn cut_back(&mut self, written: usize, error: io::Error) -> io::Result<()> {
        let whole = memchr::memrchr(b'\n', &self.batch[..written]).map_or(0, |newline| newline + 1);
        self.torn &= whole == 0;
        self.size += whole as u64;
        if written > whole {
            // The length is asked for, because someone else may have cut the file in the meantime.
            let half = (written - whole) as u64;
            let cut = self
                .file
                .metadata()
                .and_then(|now| self.file.set_len(now.len().saturating_sub(half)));
            if cut.is_err() {
                self.torn = true;
                self.size += half;
            }
        }
        Err(error)
    }

    fn rotate(&mut self) -> io::Result<()> {
        // A user may have emptied the file by hand; then there is room again.
        let now = self
            .file
            .metadata()
            .map_err(|error| name_error("inspect", &self.path, &error))?;
        if now.len() < self.options.max_size {
            self.size = now.len();
            return Ok(());
        }
        rotation::shift(&self.path, self.options.max_file)?;
        // Until the new one is open, records go on into the old one.
        (self.file, self.size) = open_file(&self.path)?;
        self.torn = false;
        Ok(())
    }

    fn outcome(&mut self) -> io::Result<()> {
        self.error.take().map_or(Ok(()), Err)
    }
}

/// The file, open for appending, and its size.
fn open_file(path: &Path) -> io::Result<(File, u64)> {
    let open = || {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .mode(0o640)
            .open(path)?;
        let size = file.metadata()?.len();
        Ok((file, size))
    };
    open().map_err(|error| name_error("open", path, &error))
}

#[cfg(test)]
mod tests;
