//! The reader: `docker logs` with `--since`, `--until`, `--tail` and `--follow`.
//!
//! A reader is an iterator over what was in the log when it was made; [`Reader::next_new`] goes on with what
//! came later, through rotation and truncation. It never waits: to follow, call it again when the file has
//! changed (inotify(7), or every so often).
//!
//! As in Docker, `tail` is applied first, then `since` and `until`; and the first record after `until` ends
//! the reading, because times in a log only ever rise but for parts of long lines.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
};

use crate::{
    Entry,
    plan::Format,
    rotation::{Identity, Opened, open_newer},
    scan::Scanner,
    tail,
};

/// What to read. The default is everything there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Only records of this time or later, nanoseconds since 1970.
    pub since: Option<u64>,
    /// Only records of this time or earlier, nanoseconds since 1970.
    pub until: Option<u64>,
    /// Begin with the last so many records; Some(0) is none of the past.
    pub tail: Option<u64>,
}

/// What could not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// In how many places of the log records are damaged. How many records that were, nobody can know.
    pub places: u64,
    /// How many bytes were left out there.
    pub bytes: u64,
}

/// Opens a log, current and rotated files. A log that does not exist (yet) is an empty one.
///
/// # Errors
/// The operating system's, with the file named.
pub fn read(path: impl AsRef<Path>, format: Format, options: &ReadOptions) -> io::Result<Reader> {
    Reader::open(path.as_ref(), format, options)
}

/// See the module. Iterating yields records in the order of the files.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    format: Format,
    since: u64,
    until: u64,
    /// The file being read. None before the first exists.
    current: Option<Part>,
    /// Files that come after it.
    queue: VecDeque<Part>,
    skipped: Skipped,
    /// A record later than `until` was met.
    finished: bool,
}

/// One file of the log.
#[derive(Debug)]
struct Part {
    scanner: Scanner,
    identity: Identity,
    /// The iterator stops here; [`Reader::next_new`] does not.
    size_at_open: u64,
}

impl Reader {
    fn open(path: &Path, format: Format, options: &ReadOptions) -> io::Result<Reader> {
        let since = options.since.unwrap_or(0);
        let mut wanted = options.tail.unwrap_or(u64::MAX);
        let mut queue = VecDeque::new();
        for (file, identity) in open_newer(path, None)?.into_iter().rev() {
            if is_older(&file, since) {
                break;
            }
            let size_at_open = size(&file)?;
            let scanner = if options.tail.is_some() {
                let (scanner, found) = tail::scanner(file, format, size_at_open, wanted)?;
                wanted -= found;
                scanner
            } else {
                Scanner::new(file, format, 0)
            };
            queue.push_front(Part {
                scanner,
                identity,
                size_at_open,
            });
            if wanted == 0 {
                break;
            }
        }
        Ok(Reader {
            path: path.to_owned(),
            format,
            since,
            until: options.until.unwrap_or(u64::MAX),
            current: queue.pop_front(),
            queue,
            skipped: Skipped::default(),
            finished: false,
        })
    }

    /// The next record, also of those written after the reader was made. None: not there yet.
    ///
    /// # Errors
    /// The operating system's.
    pub fn next_new(&mut self) -> io::Result<Option<Entry>> {
        loop {
            if let Some(entry) = self.advance(|_| u64::MAX)? {
                return Ok(Some(entry));
            }
            if self.finished || !self.discover()? {
                return Ok(None);
            }
        }
    }

    /// A record later than `until` was met: nothing more will come, so following can end.
    pub fn finished(&self) -> bool {
        self.finished
    }

    /// What was left out so far because it is damaged. Half a record at the end of the current file is not
    /// counted: it may be a record that is being written.
    pub fn skipped(&self) -> Skipped {
        self.skipped
    }

    /// The next record that passes the filter, up to a limit in each file.
    fn advance(&mut self, limit: impl Fn(&Part) -> u64) -> io::Result<Option<Entry>> {
        while !self.finished {
            let Some(part) = &mut self.current else {
                return Ok(None);
            };
            let limit = limit(part);
            match part.scanner.next(limit, &mut self.skipped)? {
                Some(entry) if entry.time_nanos > self.until => self.finished = true,
                Some(entry) if entry.time_nanos >= self.since => return Ok(Some(entry)),
                Some(_) => {}
                None => match self.queue.pop_front() {
                    Some(next) => {
                        if let Some(done) = self.current.replace(next) {
                            done.scanner.close(&mut self.skipped);
                        }
                    }
                    None => return Ok(None),
                },
            }
        }
        Ok(None)
    }

    /// At the end of the newest file known: has the log been rotated or cut short? True: read on.
    ///
    /// After a rotation the old file is read once more before the new one, since lines may have come between
    /// its end being met and the rotation. Nothing is written to it after the new one exists.
    fn discover(&mut self) -> io::Result<bool> {
        if let Some(part) = &mut self.current {
            let now = match std::fs::metadata(&self.path) {
                Ok(metadata) => Identity::of(&metadata),
                // Between the two steps of a rotation, or removed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error),
            };
            if now == part.identity {
                return part.scanner.restart_if_cut(&mut self.skipped);
            }
        }
        let known = self.current.as_ref().map(|part| part.identity);
        for (file, identity) in open_newer(&self.path, known)? {
            let size_at_open = size(&file)?;
            self.queue.push_back(Part {
                scanner: Scanner::new(file, self.format, 0),
                identity,
                size_at_open,
            });
        }
        if self.current.is_none() {
            self.current = self.queue.pop_front();
            return Ok(self.current.is_some());
        }
        Ok(!self.queue.is_empty())
    }
}

/// The end of what is there now. A compressed file does not grow.
fn size(file: &Opened) -> io::Result<u64> {
    match file {
        Opened::Plain(file) => Ok(file.metadata()?.len()),
        Opened::Compressed(_) => Ok(u64::MAX),
    }
}

/// A compressed file whose last record is older than what is wanted need not be unpacked, and neither those
/// before it.
fn is_older(file: &Opened, since: u64) -> bool {
    match file {
        Opened::Plain(_) => false,
        Opened::Compressed(file) => file.last_time.is_some_and(|last| last < since),
    }
}

impl Iterator for Reader {
    type Item = io::Result<Entry>;

    /// Up to what the newest file held when the reader was made, so that reading the log of a container that
    /// writes without end does end.
    fn next(&mut self) -> Option<io::Result<Entry>> {
        self.advance(|part| part.size_at_open).transpose()
    }
}

#[cfg(test)]
mod tests;
