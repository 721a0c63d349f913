//! Cuts a stream of bytes into lines, and long lines into parts, as Docker's copier does.
//!
//! A record holds at most [`MAX_PART`] bytes with the newline. A line that does not end yet is kept until its
//! newline comes, until it fills a part, or until the stream ends. All parts of one line carry the time of
//! the first, so that sorting by time keeps them together.
//!
//! One difference from Docker, on purpose: Docker cuts at exactly 16384 bytes, also through the middle of a
//! character, and its JSON encoder then turns both halves into U+FFFD, so the log no longer holds what was
//! written. Here a part ends before such a character, one to three bytes earlier.

use drydock_defects::defect;

use crate::{MAX_PART, Stream};

/// A line, or a part of a long one, on its way to a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) stream: Stream,
    /// When the line was complete (or its first part was), nanoseconds since 1970.
    pub(crate) time: u64,
    /// The bytes; the newline is among them where the line ends here.
    pub(crate) bytes: &'a [u8],
    /// Set for a part of a long line, and for a last line without an end.
    pub(crate) part: Option<Part>,
}

impl<'a> Piece<'a> {
    /// The bytes without the newline, as all drivers but `json-file` want them.
    pub(crate) fn text(&self) -> &'a [u8] {
        self.bytes.strip_suffix(b"\n").unwrap_or(self.bytes)
    }
}

/// Which part of a line, in Docker's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The same in all parts of a line.
    pub(crate) line: u64,
    /// Which part, from 1.
    pub(crate) ordinal: u32,
    /// The line ends with this part.
    pub(crate) last: bool,
}

/// The unfinished line of one stream.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// Fewer than [`MAX_PART`] bytes, no newline in them.
    held: Vec<u8>,
    /// While parts of this line have been emitted: the time of the first, and how many.
    parts: Option<(u64, u32)>,
    /// How many lines came in parts so far.
    long_lines: u64,
    /// When the last bytes came.
    last_time: u64,
}

impl Line {
    /// Takes more bytes of `stream` and calls `emit` for each record that is due.
    pub(crate) fn push(
        &mut self,
        stream: Stream,
        now: u64,
        mut chunk: &[u8],
        emit: &mut impl FnMut(Piece<'_>),
    ) {
        self.last_time = now;
        while let Some(newline) = memchr::memchr(b'\n', chunk) {
            let (line, rest) = chunk.split_at(newline + 1);
            self.extend(stream, now, line, emit);
            if !self.held.is_empty() {
                let held = std::mem::take(&mut self.held);
                self.complete(stream, now, &held, emit);
                self.held = held;
                self.held.clear();
            }
            chunk = rest;
        }
        self.extend(stream, now, chunk, emit);
    }

    /// The stream has ended: what is held becomes a record without a newline.
    pub(crate) fn finish(&mut self, stream: Stream, emit: &mut impl FnMut(Piece<'_>)) {
        if !self.held.is_empty() && !defect!("log-loses-unfinished-line") {
            let held = std::mem::take(&mut self.held);
            self.part(stream, self.last_time, &held, false, emit);
        }
        self.parts = None;
    }

    /// Adds bytes of one line (a newline only at their end) and emits each part that is full. Afterwards
    /// less than a full part is held, or a full one whose last byte is the newline was emitted.
    fn extend(
        &mut self,
        stream: Stream,
        now: u64,
        mut bytes: &[u8],
        emit: &mut impl FnMut(Piece<'_>),
    ) {
        // The usual case, a whole line at once, is emitted without a copy.
        if self.held.is_empty() && bytes.len() <= MAX_PART && bytes.last() == Some(&b'\n') {
            self.complete(stream, now, bytes, emit);
            return;
        }
        while !bytes.is_empty() {
            let room = (MAX_PART - self.held.len()).min(bytes.len());
            self.held.extend_from_slice(&bytes[..room]);
            bytes = &bytes[room..];
            if self.held.len() == MAX_PART && self.held.last() != Some(&b'\n') {
                let end = character_boundary(&self.held);
                let held = std::mem::take(&mut self.held);
                self.part(stream, now, &held[..end], false, emit);
                self.held = held;
                self.held.drain(..end);
            }
        }
    }

    /// A line ends with these bytes.
    fn complete(
        &mut self,
        stream: Stream,
        now: u64,
        bytes: &[u8],
        emit: &mut impl FnMut(Piece<'_>),
    ) {
        if self.parts.is_some() {
            self.part(stream, now, bytes, true, emit);
            self.parts = None;
            return;
        }
        emit(Piece {
            stream,
            time: now,
            bytes,
            part: None,
        });
    }

    fn part(
        &mut self,
        stream: Stream,
        now: u64,
        bytes: &[u8],
        last: bool,
        emit: &mut impl FnMut(Piece<'_>),
    ) {
        if self.parts.is_none() {
            self.long_lines += 1;
        }
        let (time, count) = self.parts.get_or_insert((now, 0));
        *count += 1;
        emit(Piece {
            stream,
            time: *time,
            bytes,
            part: Some(Part {
                line: self.long_lines,
                ordinal: *count,
                last,
            }),
        });
    }
}

/// The length without a character that is cut off at the end.
fn character_boundary(bytes: &[u8]) -> usize {
    let tail_start = bytes.len().saturating_sub(3);
    let is_first_byte = |byte: u8| byte >= 0xC0;
    let Some(first) = bytes[tail_start..]
        .iter()
        .rposition(|&byte| is_first_byte(byte))
    else {
        return bytes.len();
    };
    let start = tail_start + first;
    match std::str::from_utf8(&bytes[start..]) {
        // No error length means: right so far, more bytes needed.
        Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => start,
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lengths of the records that chunks become, with their times.
    fn records(chunks: &[(u64, &[u8])]) -> Vec<(u64, Vec<u8>)> {
        let mut found = Vec::new();
        let mut line = Line::default();
        let mut emit = |piece: Piece<'_>| found.push((piece.time, piece.bytes.to_vec()));
        for (time, chunk) in chunks {
            line.push(Stream::Stdout, *time, chunk, &mut emit);
        }
        line.finish(Stream::Stdout, &mut emit);
        found
    }

    fn lengths(chunk: &[u8]) -> Vec<usize> {
        records(&[(1, chunk)])
            .iter()
            .map(|(_, bytes)| bytes.len())
            .collect()
    }

    fn of(length: usize, end: &str) -> Vec<u8> {
        let mut bytes = vec![b'x'; length];
        bytes.extend_from_slice(end.as_bytes());
        bytes
    }

    /// The cases and lengths are those of a real Docker 28.5.
    #[test]
    fn long_lines_are_cut_where_docker_cuts_them() {
        assert_eq!(lengths(&of(40_004, "\n")), [16_384, 16_384, 7_237]);
        assert_eq!(lengths(&of(16_384, "\n")), [16_384, 1]);
        assert_eq!(lengths(&of(16_383, "\n")), [16_384]);
        assert_eq!(lengths(&of(32_768, "end\n")), [16_384, 16_384, 4]);
        assert_eq!(lengths(&of(16_384, "")), [16_384]);
        assert_eq!(lengths(&of(3, "")), [3]);
        assert_eq!(lengths(b""), [0usize; 0]);
        assert_eq!(lengths(b"\n\na\n"), [1, 1, 2]);
    }

    #[test]
    fn chunk_borders_do_not_matter() {
        let mut text = of(20_000, "\nshort\n\n");
        text.extend(of(16_384, "\n"));
        text.extend(of(50_000, "é and no end"));
        let whole = lengths(&text);
        for size in [1, 7, 4096, 16_383, 16_384, 16_385] {
            let chunks: Vec<(u64, &[u8])> = text.chunks(size).map(|chunk| (1, chunk)).collect();
            let cut: Vec<usize> = records(&chunks)
                .iter()
                .map(|(_, bytes)| bytes.len())
                .collect();
            assert_eq!(cut, whole, "chunks of {size}");
        }
    }

    #[test]
    fn a_line_has_the_time_of_its_end_and_its_parts_that_of_the_first() {
        let long = of(16_384, "");
        let times: Vec<u64> = records(&[
            (1, b"half"),
            (2, b" a line\n"),
            (3, &long),
            (4, b"rest\n"),
            (5, b"next\n"),
        ])
        .iter()
        .map(|(time, _)| *time)
        .collect();
        assert_eq!(times, [2, 3, 3, 5]);
    }

    #[test]
    fn characters_are_not_cut() {
        for character in ["é", "€", "😀"] {
            for before in 16_384 - character.len() + 1..16_384 {
                let text = of(before, &format!("{character}\n"));
                let parts = records(&[(1, &text)]);
                assert_eq!(parts[0].1.len(), before, "{character} after {before}");
                assert_eq!(parts[1].1, format!("{character}\n").as_bytes());
            }
        }
        // Bytes that are no character are cut as Docker does.
        assert_eq!(lengths(&[0xff; 16_390]), [16_384, 6]);
        assert_eq!(lengths(&[0x80; 16_390]), [16_384, 6]);
    }

    /// As a real Docker 28.5 told fluentd about the same output.
    #[test]
    fn parts_are_numbered_as_docker_does() {
        let mut found = Vec::new();
        let mut line = Line::default();
        let mut text = of(20_000, "\nshort\n");
        text.extend(of(16_384, "\nno end"));
        let mut emit = |piece: Piece<'_>| {
            found.push(piece.part.map(|part| (part.line, part.ordinal, part.last)));
        };
        line.push(Stream::Stdout, 1, &text, &mut emit);
        line.finish(Stream::Stdout, &mut emit);
        assert_eq!(
            found,
            [
                Some((1, 1, false)),
                Some((1, 2, true)),
                None,
                Some((2, 1, false)),
                Some((2, 2, true)),
                Some((3, 1, false)),
            ]
        );
    }
}
