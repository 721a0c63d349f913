//! The writer: records go into the log file, one write(2) for each chunk of output that was read.
//!
//! What the shim reads from a pipe in one go usually holds many lines. They are encoded into one buffer and
//! written at once, because a system call per line is what makes Docker's logging slow. Nothing is held back
//! but an unfinished line, so after each chunk a reader sees every complete line.
//!
//! A write can fail half-way (a full disk). What is then in the file behind the last whole record is cut off
//! again, so the log stays readable, and the caller hears about it; the container is not stopped. A file of
//! `json-file` that was left with a torn end (power cut) gets a newline first, so that the damage ends where it
//! began; in one of `local` the reader finds the next record by itself.
//!
//! Compressing a rotated file takes seconds when it is large, so only small ones are compressed here; a large one
//! becomes a [`Job`] for somebody else. Until that is done there is no next rotation, and the log is
//! [`Output::is_full`] when it would be due: the container waits, and what is on disk stays bounded.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::Path,
};

use crate::{
    compress::Job,
    line::Piece,
    local,
    plan::{FilePlan, Format},
    record::{encode, name_error},
    rotation, time,
};

/// A file of no more bytes is compressed at once: a process for it would take longer.
const SMALL: u64 = 256 << 10;

/// What waits for a compressed file.
#[derive(Debug)]
enum Compressing {
    /// Nothing.
    No,
    /// A job that nobody has taken yet.
    Due(Job),
    /// A job that somebody works at.
    Taken,
}

/// The file and the records on their way to it. Not for two writers at a time.
#[derive(Debug)]
pub(crate) struct Output {
    plan: FilePlan,
    file: File,
    /// Bytes in the file, as far as this writer knows.
    size: u64,
    /// The file ends in half a record that could not be cut off.
    torn: bool,
    /// Encoded records, empty between calls.
    batch: Vec<u8>,
    /// Where in the batch each record ends.
    ends: Vec<usize>,
    /// The last time as text: all lines of one chunk share it.
    time: (u64, String),
    compressing: Compressing,
    /// The first error since [`Output::outcome`].
    error: Option<io::Error>,
}

impl Output {
    /// Opens the log for appending, or creates it with mode 0640.
    ///
    /// # Errors
    /// The operating system's, with the file named.
    pub(crate) fn open(plan: &FilePlan) -> io::Result<Output> {
        if plan.format == Format::Local {
            make_folder(&plan.path)?;
        }
        let (file, size) = open_file(&plan.path)?;
        let torn = plan.format == Format::Json && size > 0 && {
            let mut last = [0];
            file.read_exact_at(&mut last, size - 1)
                .map_err(|error| name_error("read", &plan.path, &error))?;
            last != *b"\n"
        };
        let mut output = Output {
            plan: plan.clone(),
            file,
            size,
            torn,
            batch: Vec::new(),
            ends: Vec::new(),
            time: (0, time::rfc3339_nano(0)),
            compressing: Compressing::No,
            error: None,
        };
        // Left by a run that ended in the middle of it.
        if let Ok(metadata) = rotation::numbered(&plan.path, 1).metadata() {
            output.compress(metadata.len(), modified(&metadata));
        }
        Ok(output)
    }

    pub(crate) fn record(&mut self, piece: &Piece<'_>, id: &str) {
        if self.is_due() && !self.is_compressing() {
            self.flush();
            if let Err(error) = self.rotate() {
                self.error.get_or_insert(error);
            }
        }
        if self.time.0 != piece.time {
            self.time = (piece.time, time::rfc3339_nano(piece.time));
        }
        match self.plan.format {
            Format::Json => encode(
                &mut self.batch,
                piece.stream,
                &self.time.1,
                piece.bytes,
                &self.plan.attributes,
            ),
            Format::Local => local::encode(&mut self.batch, piece, id),
        }
        self.ends.push(self.batch.len());
    }

    /// The file has its size, or has it with what is in the batch.
    fn is_due(&self) -> bool {
        let max = self.plan.max_size;
        max > 0 && self.size + self.batch.len() as u64 >= max
    }

    fn is_compressing(&self) -> bool {
        !matches!(self.compressing, Compressing::No)
    }

    /// Nothing should be recorded at the moment: the next rotation waits for a compression.
    pub(crate) fn is_full(&self) -> bool {
        self.is_due() && self.is_compressing()
    }

    /// A rotated file that is to be compressed now, by a process of its own.
    pub(crate) fn take_job(&mut self) -> Option<Job> {
        match std::mem::replace(&mut self.compressing, Compressing::Taken) {
            Compressing::Due(job) => Some(job),
            other => {
                self.compressing = other;
                None
            }
        }
    }

    /// The job is done, or has failed.
    pub(crate) fn job_done(&mut self) {
        self.compressing = Compressing::No;
    }

    /// Compresses the file that was rotated last, or makes a job of it.
    fn compress(&mut self, size: u64, last_time: u64) {
        if !self.plan.compress || self.plan.max_file < 2 {
            return;
        }
        let job = Job::new(rotation::numbered(&self.plan.path, 1), last_time);
        if size > SMALL {
            self.compressing = Compressing::Due(job);
        } else if let Err(error) = job.run() {
            self.error.get_or_insert(error);
        }
    }

    /// Writes the batch.
    pub(crate) fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        if self.torn {
            self.batch.insert(0, b'\n');
            self.ends.iter_mut().for_each(|end| *end += 1);
        }
        if let Err(error) = self.write_batch() {
            self.error
                .get_or_insert(name_error("write", &self.plan.path, &error));
        }
        self.batch.clear();
        self.ends.clear();
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
        let records = self.ends.partition_point(|end| *end <= written);
        let whole = records
            .checked_sub(1)
            .and_then(|last| self.ends.get(last).copied())
            .unwrap_or(0);
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
                self.torn = self.plan.format == Format::Json;
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
            .map_err(|error| name_error("inspect", &self.plan.path, &error))?;
        if now.len() < self.plan.max_size {
            self.size = now.len();
            return Ok(());
        }
        rotation::shift(&self.plan.path, self.plan.max_file)?;
        // Until the new one is open, records go on into the old one.
        (self.file, self.size) = open_file(&self.plan.path)?;
        self.torn = false;
        self.compress(now.len(), self.time.0);
        Ok(())
    }

    pub(crate) fn outcome(&mut self) -> io::Result<()> {
        self.error.take().map_or(Ok(()), Err)
    }
}

/// How a file of a log is made.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).write(true).mode(0o640);
    options
}

/// `local-logs`, which only root may look into, as in Docker.
fn make_folder(path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent() else {
        return Ok(());
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| name_error("make the folder of", path, &error))
}

/// When a file was last written to, or now.
fn modified(metadata: &std::fs::Metadata) -> u64 {
    let time = metadata.modified();
    time.unwrap_or_else(|_| std::time::SystemTime::now())
        .duration_since(std::time::UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_nanos()).ok())
        .unwrap_or(0)
}

/// The file, open for appending, and its size.
fn open_file(path: &Path) -> io::Result<(File, u64)> {
    let open = || {
        let file = options().append(true).read(true).open(path)?;
        let size = file.metadata()?.len();
        Ok((file, size))
    };
    open().map_err(|error| name_error("open", path, &error))
}

#[cfg(test)]
mod tests;
