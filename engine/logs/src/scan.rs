//! Reads records out of one file, over damage.
//!
//! After a power cut a log can hold runs of NUL bytes where data never reached the disk, and records that
//! stop in the middle, with the next record glued to them. Docker's reader stops at the first such place and
//! says nothing (moby#53631). This one goes on at the next record and counts what it left out.
//!
//! Finding the next record of `json-file` is safe because of the escapes: inside a record every `"` of the output
//! has a backslash before it, so the bytes `{"log":"` only ever stand at the beginning of a record. In `local`
//! nothing is escaped; there a record counts when its beginning, its two lengths and all its fields fit.

use std::{
    io::{self, Read},
    os::unix::fs::FileExt,
};

use memchr::memmem;

use crate::{
    Entry, Skipped,
    local::{self, Found},
    plan::Format,
    record::decode,
    rotation::Opened,
};

/// How every record begins.
const OPENING: &[u8] = b"{\"log\":\"";

/// No record is longer: 16 KiB of output, six bytes each when escaped, and Docker's attributes.
pub(crate) const MAX_RECORD: usize = 1 << 20;

const BLOCK: usize = 64 * 1024;

/// A position in one file.
#[derive(Debug)]
pub(crate) struct Scanner {
    file: Opened,
    format: Format,
    /// Offset in the file of the end of `buffer`.
    offset: u64,
    /// Bytes of the file from a record's beginning on.
    buffer: Vec<u8>,
    /// Where in `buffer` the next record begins.
    start: usize,
    /// Where in `buffer` to look for the next newline.
    searched: usize,
    /// The bytes just before `start` were damaged: damage that follows belongs to the same place.
    damaged: bool,
}

impl Scanner {
    pub(crate) fn new(file: Opened, format: Format, offset: u64) -> Scanner {
        Scanner {
            file,
            format,
            offset,
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            damaged: false,
        }
    }

    /// The next record that ends before `limit`. None: not there (yet).
    pub(crate) fn next(&mut self, limit: u64, skipped: &mut Skipped) -> io::Result<Option<Entry>> {
        match self.format {
            Format::Json => self.next_line(limit, skipped),
            Format::Local => self.next_message(limit, skipped),
        }
    }

    fn next_message(&mut self, limit: u64, skipped: &mut Skipped) -> io::Result<Option<Entry>> {
        loop {
            match local::decode(&self.buffer[self.start..]) {
                Found::Record(length, entry) => {
                    self.start += length;
                    self.damaged = false;
                    return Ok(Some(entry));
                }
                // After damage a length is believed only where a record begins as records do.
                Found::Beginning(_) if !self.damaged || self.at_opening() => {
                    if !self.fill(limit)? {
                        return Ok(None);
                    }
                }
                Found::Beginning(_) | Found::Damage => {
                    let bytes = &self.buffer[self.start..];
                    match local::next_opening(bytes, 1) {
                        Some(at) => self.skip(at, skipped),
                        None => {
                            let hopeless = bytes.len().saturating_sub(local::OPENING_TAIL);
                            self.skip(hopeless, skipped);
                            self.damaged = true;
                            if !self.fill(limit)? {
                                return Ok(None);
                            }
                        }
                    }
                }
            }
        }
    }

    fn at_opening(&self) -> bool {
        local::next_opening(&self.buffer[self.start..], 0) == Some(0)
    }

    fn next_line(&mut self, limit: u64, skipped: &mut Skipped) -> io::Result<Option<Entry>> {
        loop {
            self.skip_nuls(skipped);
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[self.searched..]) {
                let newline = self.searched + at;
                let line = &self.buffer[self.start..newline];
                let (length, found) = (line.len(), last_record(line));
                self.searched = newline + 1;
                match found {
                    Some((before, entry)) => {
                        self.skip(before, skipped);
                        self.start = newline + 1;
                        self.damaged = false;
                        return Ok(Some(entry));
                    }
                    None => self.skip(length, skipped),
                }
                self.start = newline + 1;
                continue;
            }
            self.searched = self.buffer.len();
            self.drop_what_is_too_long(skipped);
            if !self.fill(limit)? {
                return Ok(None);
            }
        }
    }

    /// The file again.
    pub(crate) fn into_file(self) -> Opened {
        self.file
    }

    /// Nothing more will be written to this file: what is left at its end is half a record.
    pub(crate) fn close(mut self, skipped: &mut Skipped) {
        self.skip(self.buffer.len() - self.start, skipped);
    }

    /// Begins again if the file is now shorter than what was read of it (`> x.log`, `logrotate copytruncate`).
    pub(crate) fn restart_if_cut(&mut self, skipped: &mut Skipped) -> io::Result<bool> {
        match &self.file {
            Opened::Plain(file) if file.metadata()?.len() < self.offset => {}
            // Nothing is written to a compressed file.
            Opened::Plain(_) | Opened::Compressed(_) => return Ok(false),
        }
        self.skip(self.buffer.len() - self.start, skipped);
        (self.offset, self.start, self.searched, self.damaged) = (0, 0, 0, false);
        self.buffer.clear();
        Ok(true)
    }

    fn skip_nuls(&mut self, skipped: &mut Skipped) {
        let nuls = self.buffer[self.start..]
            .iter()
            .take_while(|byte| **byte == 0)
            .count();
        self.skip(nuls, skipped);
        self.searched = self.searched.max(self.start);
    }

    /// Leaves out bytes at `start`.
    fn skip(&mut self, length: usize, skipped: &mut Skipped) {
        if length > 0 {
            skipped.places += u64::from(!self.damaged);
            skipped.bytes += length as u64;
            self.damaged = true;
            self.start += length;
        }
    }

    /// A stretch without a newline that no record can be: only its end may still begin one.
    fn drop_what_is_too_long(&mut self, skipped: &mut Skipped) {
        let line = &self.buffer[self.start..];
        if line.len() <= MAX_RECORD {
            return;
        }
        let hopeless = match memmem::rfind(line, OPENING) {
            Some(at) if line.len() - at <= MAX_RECORD => at,
            _ => line.len() - OPENING.len(),
        };
        self.skip(hopeless, skipped);
    }

    /// Reads one more block. False at the end.
    fn fill(&mut self, limit: u64) -> io::Result<bool> {
        self.buffer.drain(..self.start);
        self.searched = self.searched.saturating_sub(self.start);
        self.start = 0;
        let room = limit.saturating_sub(self.offset).min(BLOCK as u64) as usize;
        if room == 0 {
            return Ok(false);
        }
        let held = self.buffer.len();
        self.buffer.resize(held + room, 0);
        let result = loop {
            let read = match &mut self.file {
                Opened::Plain(file) => file.read_at(&mut self.buffer[held..], self.offset),
                Opened::Compressed(file) => file.decoder.read(&mut self.buffer[held..]),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        let count = *result.as_ref().unwrap_or(&0);
        self.buffer.truncate(held + count);
        self.offset += count as u64;
        result.map(|count| count > 0)
    }
}

/// The record at the end of a line, and how many damaged bytes are before it. None: only damage.
pub(crate) fn last_record(line: &[u8]) -> Option<(usize, Entry)> {
    if let Some(entry) = decode(line) {
        return Some((0, entry));
    }
    // At most one of the beginnings is that of a whole record, and it is the last one.
    let at = memmem::rfind(line, OPENING)?;
    decode(&line[at..]).map(|entry| (at, entry))
}
