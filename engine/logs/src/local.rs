//! One record of Docker's driver `local`: a protocol buffer between its length and its length again.
//!
//! ```text
//! u32 length (big endian) | LogEntry | u32 length
//! LogEntry: 1 source, 2 time in nanoseconds, 3 line without its newline, 4 is a part,
//!           5 { 1 last part, 2 id of the line, 3 which part }
//! ```
//!
//! The second length lets a reader walk back from the end. The fields and their order are those that a Docker
//! 28.5 wrote. After damage a record is found again by how every record begins: `source` comes first, and there
//! are only two of them, of the same length.

use crate::{Entry, Stream, line::Piece};

/// A length on either side.
pub(crate) const LENGTH: usize = 4;

/// No record is longer (Docker's own limit).
const MAX_MESSAGE: usize = 1_000_000;

/// What follows the first length in every record.
const OPENING: &[u8] = b"\x0a\x06std";

const VARINT: u64 = 0;
const BYTES: u64 = 2;

/// Appends one record to `out`. `id` names the line that a part belongs to.
pub(crate) fn encode(out: &mut Vec<u8>, piece: &Piece<'_>, id: &str) {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH]);
    text(out, 1, piece.stream.name().as_bytes());
    number(out, 2, piece.time);
    text(out, 3, piece.text());
    if let Some(part) = piece.part {
        number(out, 4, 1);
        let mut inner = Vec::with_capacity(80);
        if part.last {
            number(&mut inner, 1, 1);
        }
        text(&mut inner, 2, id.as_bytes());
        number(&mut inner, 3, part.ordinal.into());
        text(out, 5, &inner);
    }
    // A part has 16 KiB at most.
    let length = ((out.len() - start - LENGTH) as u32).to_be_bytes();
    out[start..start + LENGTH].copy_from_slice(&length);
    out.extend_from_slice(&length);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3 | VARINT);
    varint(out, value);
}

fn text(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(out, field << 3 | BYTES);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// What stands at the beginning of some bytes of a log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A record of so many bytes.
    Record(usize, Entry),
    /// The beginning of one; so many bytes are needed to tell.
    Beginning(usize),
    /// No record.
    Damage,
}

/// Looks at the beginning of `bytes`.
pub(crate) fn decode(bytes: &[u8]) -> Found {
    let Some(length) = length_at(bytes, 0) else {
        return Found::Beginning(LENGTH);
    };
    if length == 0 || length > MAX_MESSAGE {
        return Found::Damage;
    }
    let total = length + 2 * LENGTH;
    if bytes.len() < total {
        return Found::Beginning(total);
    }
    if length_at(bytes, LENGTH + length) != Some(length) {
        return Found::Damage;
    }
    match entry(&bytes[LENGTH..LENGTH + length]) {
        Some(entry) => Found::Record(total, entry),
        None => Found::Damage,
    }
}

/// Where in `bytes`, from `from` on, a record may begin.
pub(crate) fn next_opening(bytes: &[u8], from: usize) -> Option<usize> {
    let search = from + LENGTH;
    let at = memchr::memmem::find(bytes.get(search..)?, OPENING)?;
    Some(search + at - LENGTH)
}

/// So many bytes at the end of a stretch without an opening may still be the beginning of one.
pub(crate) const OPENING_TAIL: usize = LENGTH + OPENING.len() - 1;

/// The length that stands at an offset.
pub(crate) fn length_at(bytes: &[u8], at: usize) -> Option<usize> {
    let four: [u8; LENGTH] = bytes.get(at..at + LENGTH)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(four)).ok()
}

fn entry(mut message: &[u8]) -> Option<Entry> {
    let (mut stream, mut time, mut line, mut part, mut last) = (None, 0, &[][..], false, false);
    while !message.is_empty() {
        match field(&mut message)? {
            (1, Value::Bytes(source)) => stream = Some(source),
            (2, Value::Number(nanos)) => time = nanos,
            (3, Value::Bytes(bytes)) => line = bytes,
            (4, Value::Number(value)) => part = value != 0,
            (5, Value::Bytes(mut inner)) => {
                while !inner.is_empty() {
                    if let (1, Value::Number(value)) = field(&mut inner)? {
                        last = value != 0;
                    }
                }
            }
            // A newer Docker's.
            _ => {}
        }
    }
    let mut line = line.to_vec();
    if !part || last {
        line.push(b'\n');
    }
    Some(Entry {
        stream: match stream? {
            b"stdout" => Stream::Stdout,
            b"stderr" => Stream::Stderr,
            _ => return None,
        },
        time_nanos: time,
        line,
        attributes: Vec::new(),
    })
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Takes one field off the front.
fn field<'a>(message: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let key = take_varint(message)?;
    let value = match key & 7 {
        VARINT => Value::Number(take_varint(message)?),
        BYTES => {
            let length = usize::try_from(take_varint(message)?).ok()?;
            let (bytes, rest) = message.split_at_checked(length)?;
            *message = rest;
            Value::Bytes(bytes)
        }
        _ => return None,
    };
    Some((key >> 3, value))
}

fn take_varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::Part;

    fn piece(bytes: &[u8], part: Option<Part>) -> Piece<'_> {
        Piece {
            stream: Stream::Stderr,
            time: 1_795_846_940_000_999_002,
            bytes,
            part,
        }
    }

    /// Byte for byte what a Docker 28.5 wrote for `echo err >&2` and for an output without an end.
    #[test]
    fn writes_dockers_bytes() {
        let mut out = Vec::new();
        encode(&mut out, &piece(b"err\n", None), "");
        let whole = b"\0\0\0\x17\x0a\x06stderr\x10\xda\xbf\xbf\x9c\xe6\xa8\x88\xf6\x18\x1a\x03err\0\0\0\x17";
        assert_eq!(out.len(), whole.len());
        assert_eq!(out[..13], whole[..13]);
        assert_eq!(out[out.len() - 9..], whole[whole.len() - 9..]);
        let id = "b".repeat(64);
        let part = Part {
            line: 1,
            ordinal: 1,
            last: false,
        };
        out.clear();
        encode(&mut out, &piece(b"noend", Some(part)), &id);
        assert_eq!(out.len(), 0x61 + 8);
        assert!(
            out.ends_with(&[&b" \x01*D\x12@"[..], id.as_bytes(), b"\x18\x01\0\0\0\x61"].concat())
        );
    }

    #[test]
    fn reads_back_lines_and_parts() {
        for (bytes, part, read) in [
            (&b"a\n"[..], None, &b"a\n"[..]),
            (b"\n", None, b"\n"),
            (b"a", Some((1, false)), b"a"),
            (b"b\n", Some((2, true)), b"b\n"),
            (b"\n", Some((2, true)), b"\n"),
        ] {
            let part = part.map(|(ordinal, last)| Part {
                line: 7,
                ordinal,
                last,
            });
            let mut out = Vec::new();
            encode(&mut out, &piece(bytes, part), "id");
            for cut in 0..out.len() {
                assert!(matches!(decode(&out[..cut]), Found::Beginning(_)), "{cut}");
            }
            let Found::Record(length, entry) = decode(&out) else {
                panic!("{out:?}")
            };
            assert_eq!((length, &entry.line[..]), (out.len(), read));
            assert_eq!(entry.time_nanos, 1_795_846_940_000_999_002);
        }
    }

    #[test]
    fn refuses_what_is_no_record() {
        assert_eq!(decode(&[0; 20]), Found::Damage);
        assert_eq!(decode(b"\xff\xff\xff\xff........"), Found::Damage);
        assert_eq!(decode(b"\0\0\0\x02\x08\x01\0\0\0\x03"), Found::Damage);
        assert_eq!(decode(b"\0\0\0\x02\x08\x01\0\0\0\x02"), Found::Damage);
        // Lengths inside that reach beyond the message, and a number without an end.
        assert_eq!(decode(b"\0\0\0\x03\x0a\x7fx\0\0\0\x03"), Found::Damage);
        assert_eq!(decode(b"\0\0\0\x02\x10\xff\0\0\0\x02"), Found::Damage);
    }
}
