//! Reads tar archives: POSIX ustar and PAX (IEEE 1003.1, "pax"), with GNU's long names and sparse files
//! (tar(5), GNU tar manual "Basic Tar Format").
//!
//! An archive is a row of 512-byte blocks: a header, the contents filled up to a whole block, the next
//! header, and at the end blocks of zeros. What does not fit into a header comes before it in a member of
//! its own: a long name (`L`, `K`), or PAX records (`x`) of the form `LENGTH KEY=VALUE\n`.
//!
//! Why our own reader: the store needs to see which bytes are contents and which are not
//! ([`crate::unpack::skeleton`]), must bound what headers can take, and must read a member exactly as Docker
//! does, or the same archive has two meanings. The `tar` crate (0.4.46) hides the first, has no bound for the
//! second, and cuts PAX values at their first newline, which breaks file capabilities: the byte for
//! CAP_DAC_OVERRIDE with CAP_FOWNER is a newline.

use std::io::{self, Read};

/// The size of a block.
pub(crate) const BLOCK: usize = 512;

/// The most bytes of one long name or one member's PAX records; Go's reader has the same limit.
const EXTENSION_BYTES_MAX: u64 = 1 << 20;

/// The most pieces of a sparse file.
const SPARSE_PIECES_MAX: usize = 1 << 20;

/// A header's type flag, as the byte in the archive.
pub(crate) mod kind {
    pub(crate) const REGULAR: u8 = b'0';
    pub(crate) const HARD_LINK: u8 = b'1';
    pub(crate) const SYMBOLIC_LINK: u8 = b'2';
    pub(crate) const CHARACTER_DEVICE: u8 = b'3';
    pub(crate) const BLOCK_DEVICE: u8 = b'4';
    pub(crate) const DIRECTORY: u8 = b'5';
    pub(crate) const FIFO: u8 = b'6';
    pub(crate) const PAX: u8 = b'x';
    pub(crate) const PAX_GLOBAL: u8 = b'g';
    pub(crate) const GNU_LONG_NAME: u8 = b'L';
    pub(crate) const GNU_LONG_LINK: u8 = b'K';
    pub(crate) const GNU_SPARSE: u8 = b'S';
}

/// One member of an archive, without its contents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Member {
    /// The name as it stands in the archive.
    pub(crate) name: Vec<u8>,
    /// One of [`kind`], or any other byte.
    pub(crate) kind: u8,
    /// Bytes of contents in the archive. For a sparse file that is less than the file has.
    pub(crate) size: u64,
    /// Of a sparse file: its whole size, and where its pieces lie, as (offset, length).
    pub(crate) sparse: Option<(u64, Vec<(u64, u64)>)>,
    /// The target of a link.
    pub(crate) link: Vec<u8>,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) mode: u32,
    /// The modification time: seconds since 1970, which may be negative, and nanoseconds.
    pub(crate) modified: (i64, u32),
    /// Major and minor number of a device.
    pub(crate) device: (u64, u64),
    /// Extended attributes (`SCHILY.xattr.`), names without that prefix.
    pub(crate) extended: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What stands before a member's header and changes it.
#[derive(Default)]
struct Extensions {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    records: Vec<(Vec<u8>, Vec<u8>)>,
}

/// An archive that is being read. After [`Tape::next`], the member's contents are read from the tape itself;
/// what is left of them is skipped by the following `next`.
pub(crate) struct Tape<R> {
    input: R,
    contents: u64,
    padding: u64,
    ended: bool,
}

/// Gets all bytes that are not contents of members that were read from the tape.
pub(crate) type Recorder<'a> = &'a mut dyn FnMut(&[u8]) -> io::Result<()>;

impl<R: Read> Tape<R> {
    pub(crate) fn new(input: R) -> Tape<R> {
        Tape {
            input,
            contents: 0,
            padding: 0,
            ended: false,
        }
    }

    /// Goes to the next member; None at the end. PAX global headers are passed over, as Docker does.
    pub(crate) fn next(&mut self, record: Recorder<'_>) -> io::Result<Option<Member>> {
        let mut extensions = Extensions::default();
        let mut extended = false;
        loop {
            self.skip(record)?;
            let Some(block) = self.header(record)? else {
                return if extended { Err(cut()) } else { Ok(None) };
            };
            let size = number(&block[124..136])?;
            match block[156] {
                kind::PAX_GLOBAL => self.enter(size)?,
                kind::PAX => extensions.records = pax_records(&self.extension(size, record)?)?,
                kind::GNU_LONG_NAME => {
                    extensions.name = Some(c_string(&self.extension(size, record)?))
                }
                kind::GNU_LONG_LINK => {
                    extensions.link = Some(c_string(&self.extension(size, record)?))
                }
                _ => return self.member(&block, extensions, record).map(Some),
            }
            extended |= block[156] != kind::PAX_GLOBAL;
        }
    }

    /// Reads what follows the last member up to the end of the input: it belongs to the archive's digest.
    pub(crate) fn finish(mut self, record: Recorder<'_>) -> io::Result<()> {
        self.skip(record)?;
        let mut buffer = [0; 16 << 10];
        loop {
            match self.input.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => record(&buffer[..count])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads a header block; None at the end of the archive.
    fn header(&mut self, record: Recorder<'_>) -> io::Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        if self.ended || !self.block(&mut block, record)? {
            return Ok(None);
        }
        if block.iter().all(|byte| *byte == 0) {
            self.ended = true;
            return Ok(None);
        }
        check_sum(&block)?;
        Ok(Some(block))
    }

    /// Fills a block; false if the input ends before it. Some tools leave the end mark out.
    fn block(&mut self, block: &mut [u8; BLOCK], record: Recorder<'_>) -> io::Result<bool> {
        let mut length = 0;
        while length < BLOCK {
            match self.input.read(&mut block[length..]) {
                Ok(0) if length == 0 => return Ok(false),
                Ok(0) => return Err(cut()),
                Ok(count) => length += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        record(block)?;
        Ok(true)
    }

    /// Makes the next `size` bytes the contents.
    fn enter(&mut self, size: u64) -> io::Result<()> {
        self.contents = size;
        self.padding = size
            .checked_next_multiple_of(BLOCK as u64)
            .ok_or_else(invalid)?
            - size;
        Ok(())
    }

    /// Reads the contents of a member that describes the next one.
    fn extension(&mut self, size: u64, record: Recorder<'_>) -> io::Result<Vec<u8>> {
        if size > EXTENSION_BYTES_MAX {
            let text = format!(
                "a member of the archive has more than {EXTENSION_BYTES_MAX} bytes of headers"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        self.enter(size)?;
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        record(&bytes)?;
        Ok(bytes)
    }

    /// Skips what is left of the contents, and the padding.
    fn skip(&mut self, record: Recorder<'_>) -> io::Result<()> {
        self.contents += std::mem::take(&mut self.padding);
        let mut buffer = [0; 16 << 10];
        while self.contents > 0 {
            let count = self.read(&mut buffer)?;
            record(&buffer[..count])?;
        }
        Ok(())
    }

    /// Puts a header and its extensions together, in the order of Go's reader: PAX over the header, GNU's
    /// long names over both.
    fn member(
        &mut self,
        block: &[u8; BLOCK],
        extensions: Extensions,
        record: Recorder<'_>,
    ) -> io::Result<Member> {
        let mut member = Member {
            name: header_name(block),
            // The type 0 is from before POSIX.
            kind: if block[156] == 0 {
                kind::REGULAR
            } else {
                block[156]
            },
            size: number(&block[124..136])?,
            sparse: None,
            link: c_string(&block[157..257]),
            uid: number(&block[108..116])?,
            gid: number(&block[116..124])?,
            mode: number(&block[100..108])? as u32,
            modified: (
                number(&block[136..148])
                    .ok()
                    .and_then(|time| time.try_into().ok())
                    .unwrap_or(0),
                0,
            ),
            device: (0, 0),
            extended: Vec::new(),
        };
        if matches!(member.kind, kind::CHARACTER_DEVICE | kind::BLOCK_DEVICE) {
            member.device = (number(&block[329..337])?, number(&block[337..345])?);
        }
        for (key, value) in extensions.records {
            member.apply(&key, value)?;
        }
        if let Some(name) = extensions.name {
            member.name = name;
        }
        if let Some(link) = extensions.link {
            member.link = link;
        }
        if member.kind == kind::REGULAR && member.name.ends_with(b"/") {
            member.kind = kind::DIRECTORY;
        }
        if matches!(member.kind, kind::HARD_LINK..=kind::FIFO) {
            // These have no contents, whatever the size says: some tools put a hard link's target's there.
            member.size = 0;
        }
        if member.kind == kind::GNU_SPARSE {
            member.sparse = Some(self.sparse(block, member.size, record)?);
        }
        self.enter(member.size)?;
        Ok(member)
    }

    /// Reads where the pieces of a sparse file lie: four in the header, more in blocks behind it.
    fn sparse(
        &mut self,
        header: &[u8; BLOCK],
        stored: u64,
        record: Recorder<'_>,
    ) -> io::Result<(u64, Vec<(u64, u64)>)> {
        let whole = number(&header[483..495])?;
        let mut pieces = Vec::new();
        add_pieces(&header[386..482], &mut pieces)?;
        let mut more = header[482] != 0;
        while more {
            let mut block = [0; BLOCK];
            if pieces.len() > SPARSE_PIECES_MAX || !self.block(&mut block, record)? {
                return Err(invalid());
            }
            add_pieces(&block[..504], &mut pieces)?;
            more = block[504] != 0;
        }
        // In order, inside the file, and exactly what is stored.
        let mut end = 0;
        let mut total = 0u64;
        for (offset, length) in &pieces {
            let piece_end = offset
                .checked_add(*length)
                .filter(|piece_end| *piece_end <= whole);
            (end, total) = match piece_end {
                Some(piece_end) if *offset >= end => (piece_end, total.saturating_add(*length)),
                _ => return Err(invalid()),
            };
        }
        if total == stored {
            Ok((whole, pieces))
        } else {
            Err(invalid())
        }
    }
}

impl<R: Read> Read for Tape<R> {
    /// Reads contents of the current member. An archive that ends in them is an error, not an end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.contents)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.input.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(cut());
        }
        self.contents -= count as u64;
        Ok(count)
    }
}

impl Member {
    /// Applies one PAX record. An empty value takes an earlier one back, which a fresh member never has.
    fn apply(&mut self, key: &[u8], value: Vec<u8>) -> io::Result<()> {
        if value.is_empty() && !key.starts_with(b"SCHILY.xattr.") {
            return Ok(());
        }
        match key {
            b"path" => self.name = value,
            b"linkpath" => self.link = value,
            b"size" => self.size = decimal(&value)?,
            b"uid" => self.uid = decimal(&value)?,
            b"gid" => self.gid = decimal(&value)?,
            b"mtime" => self.modified = pax_time(&value)?,
            key if key.starts_with(b"GNU.sparse.") => {
                let text =
                    "sparse files in PAX form are not supported\nhint: use tar without --sparse";
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
            key => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.extended.push((name.to_vec(), value));
                }
            }
        }
        Ok(())
    }
}

/// The name in a header: a ustar header (not GNU's) has a prefix for names of more than 100 bytes.
fn header_name(block: &[u8; BLOCK]) -> Vec<u8> {
    let name = c_string(&block[..100]);
    let prefix = c_string(&block[345..500]);
    if &block[257..263] != b"ustar\0" || prefix.is_empty() {
        return name;
    }
    [prefix, name].join(&b'/')
}

/// The bytes up to the first NUL.
fn c_string(field: &[u8]) -> Vec<u8> {
    field
        .split(|byte| *byte == 0)
        .next()
        .unwrap_or_default()
        .to_vec()
}

/// A numeric field: octal text, or big-endian binary where the first bit is set. Blank is 0.
fn number(field: &[u8]) -> io::Result<u64> {
    if field[0] & 0x80 != 0 {
        // The next bit is the sign; nothing here may be negative.
        let binary = field
            .iter()
            .skip(1)
            .try_fold(u64::from(field[0] & 0x7f), |value, byte| {
                Some(value.checked_mul(256)? | u64::from(*byte))
            });
        return binary.filter(|_| field[0] & 0x40 == 0).ok_or_else(invalid);
    }
    let text = c_string(field);
    let text = text.trim_ascii();
    text.iter()
        .try_fold(0u64, |value, digit| match digit {
            b'0'..=b'7' => value.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
            _ => None,
        })
        .ok_or_else(invalid)
}

fn decimal(text: &[u8]) -> io::Result<u64> {
    // `parse` alone would take a plus sign.
    let digits = text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text)
        .ok()
        .filter(|_| digits)
        .and_then(|text| text.parse().ok())
        .ok_or_else(invalid)
}

/// Decimal seconds, perhaps negative and with a fraction.
fn pax_time(text: &[u8]) -> io::Result<(i64, u32)> {
    let text = std::str::from_utf8(text).map_err(|_| invalid())?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: i64 = seconds.parse().map_err(|_| invalid())?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid());
    }
    let nanoseconds = format!("{fraction:0<9.9}").parse().map_err(|_| invalid())?;
    Ok((whole, nanoseconds))
}

/// Splits PAX records. The length counts the whole record, so a value may have newlines.
fn pax_records(mut bytes: &[u8]) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let digits = bytes
            .iter()
            .position(|byte| *byte == b' ')
            .ok_or_else(invalid)?;
        let length = usize::try_from(decimal(&bytes[..digits])?).map_err(|_| invalid())?;
        if length <= digits + 1 || length > bytes.len() {
            return Err(invalid());
        }
        let (record, rest) = bytes.split_at(length);
        let record = record[digits + 1..]
            .strip_suffix(b"\n")
            .ok_or_else(invalid)?;
        let equals = record
            .iter()
            .position(|byte| *byte == b'=')
            .ok_or_else(invalid)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        // Names end at a NUL for the kernel and not for PAX: such a record has two meanings.
        if key.is_empty()
            || key.contains(&0)
            || (matches!(key, b"path" | b"linkpath") && value.contains(&0))
        {
            return Err(invalid());
        }
        records.push((key.to_vec(), value.to_vec()));
        bytes = rest;
    }
    Ok(records)
}

fn add_pieces(fields: &[u8], pieces: &mut Vec<(u64, u64)>) -> io::Result<()> {
    for piece in fields.chunks_exact(24) {
        if piece[0] == 0 {
            return Ok(());
        }
        pieces.push((number(&piece[..12])?, number(&piece[12..])?));
    }
    Ok(())
}

/// Compares the checksum in a header, which is the sum of its bytes with blanks in its own place. Some old
/// tools summed signed bytes.
fn check_sum(block: &[u8; BLOCK]) -> io::Result<()> {
    let stated = number(&block[148..156])?;
    let counted = || block[..148].iter().chain(b"        ").chain(&block[156..]);
    let unsigned: u64 = counted().map(|byte| u64::from(*byte)).sum();
    let signed: i64 = counted().map(|byte| i64::from(*byte as i8)).sum();
    if stated == unsigned || i64::try_from(stated) == Ok(signed) {
        Ok(())
    } else {
        Err(invalid())
    }
}

/// The text of Go's reader, which Docker passes on.
fn invalid() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "archive/tar: invalid tar header",
    )
}

/// The archive ends where it must not.
pub(crate) fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "unexpected EOF")
}

#[cfg(test)]
#[path = "tape_tests.rs"]
mod tests;
