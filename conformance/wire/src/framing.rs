//! Where a message's body ends (RFC 9112, sections 6 and 7.1), for bytes that come in pieces of any size.

/// How a body is delimited, and how far it was read.
#[derive(Debug)]
pub(crate) enum Framing {
    /// So many bytes are left.
    Length(u64),
    /// Chunks, each with its size in front.
    Chunked(Chunked),
    /// Until the connection ends.
    UntilClose,
}

/// The place within a chunked body.
#[derive(Debug, Default)]
pub(crate) struct Chunked {
    part: Part,
    line: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    /// The line with a chunk's size.
    #[default]
    Size,
    /// So many bytes of a chunk are left.
    Data(u64),
    /// The line end behind a chunk.
    End,
    /// Fields behind the last chunk, up to an empty line.
    Trailer,
}

/// A line of a chunked body is short; a longer one is not HTTP.
const MOST_OF_A_LINE: usize = 8 << 10;

/// What [`Framing::take`] found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// All bytes belong to the body, and more will come.
    All,
    /// The body ended after so many bytes.
    Ended(usize),
    /// This is not the framing that was announced.
    Nonsense,
}

impl Framing {
    /// Passes the part of `bytes` that is the body's to `data`, without the framing.
    pub(crate) fn take(&mut self, bytes: &[u8], data: &mut dyn FnMut(&[u8])) -> Taken {
        match self {
            Framing::UntilClose => {
                data(bytes);
                Taken::All
            }
            Framing::Length(left) => {
                let part = within(*left, bytes);
                data(&bytes[..part]);
                *left -= part as u64;
                if *left == 0 {
                    Taken::Ended(part)
                } else {
                    Taken::All
                }
            }
            Framing::Chunked(chunked) => chunked.take(bytes, data),
        }
    }
}

/// How many of `bytes` are among the next `left`.
fn within(left: u64, bytes: &[u8]) -> usize {
    usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()))
}

impl Chunked {
    fn take(&mut self, bytes: &[u8], data: &mut dyn FnMut(&[u8])) -> Taken {
        let mut position = 0;
        while position < bytes.len() {
            if let Part::Data(left) = self.part {
                let part = within(left, &bytes[position..]);
                data(&bytes[position..position + part]);
                position += part;
                let left = left - part as u64;
                self.part = if left == 0 {
                    Part::End
                } else {
                    Part::Data(left)
                };
                continue;
            }
            let byte = bytes[position];
            position += 1;
            if byte != b'\n' {
                self.line.push(byte);
                if self.line.len() > MOST_OF_A_LINE {
                    return Taken::Nonsense;
                }
                continue;
            }
            let line = std::mem::take(&mut self.line);
            match self.after(line.trim_ascii()) {
                Some(true) => return Taken::Ended(position),
                Some(false) => {}
                None => return Taken::Nonsense,
            }
        }
        Taken::All
    }

    /// Goes on behind a line. True when that was the last one, nothing when it has no place here.
    fn after(&mut self, line: &[u8]) -> Option<bool> {
        self.part = match self.part {
            Part::Size => {
                let size = line.split(|byte| *byte == b';').next()?.trim_ascii();
                match u64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()? {
                    0 => Part::Trailer,
                    size => Part::Data(size),
                }
            }
            Part::End if line.is_empty() => Part::Size,
            Part::Trailer if line.is_empty() => return Some(true),
            Part::Trailer => Part::Trailer,
            Part::End | Part::Data(_) => return None,
        };
        Some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `bytes` in pieces of `size`; gives the data and what was behind the body.
    fn read(mut framing: Framing, bytes: &[u8], size: usize) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut data = Vec::new();
        let mut position = 0;
        for piece in bytes.chunks(size) {
            match framing.take(piece, &mut |part| data.extend_from_slice(part)) {
                Taken::All => position += piece.len(),
                Taken::Ended(used) => return Some((data, bytes[position + used..].to_vec())),
                Taken::Nonsense => return None,
            }
        }
        None
    }

    #[test]
    fn chunks_in_pieces_of_any_size() {
        let bytes =
            b"5;name=value\r\nhello\r\n1\r\n,\r\nA\r\n 0123\r\n678\r\n0\r\nTrailer: x\r\n\r\nGET";
        for size in 1..=bytes.len() {
            let (data, rest) = read(Framing::Chunked(Chunked::default()), bytes, size).unwrap();
            assert_eq!(data, b"hello, 0123\r\n678");
            assert_eq!(rest, b"GET", "{size}");
        }
    }

    #[test]
    fn a_length_is_exact() {
        for size in 1..5 {
            let (data, rest) = read(Framing::Length(3), b"abcde", size).unwrap();
            assert_eq!((&data[..], &rest[..]), (&b"abc"[..], &b"de"[..]));
        }
        assert!(read(Framing::Length(9), b"abcde", 2).is_none());
    }

    #[test]
    fn nonsense_is_noticed() {
        for bytes in [&b"x\r\n"[..], b"1\r\nab\r\n", b"\r\n", b"-1\r\n"] {
            let mut framing = Framing::Chunked(Chunked::default());
            assert_eq!(framing.take(bytes, &mut |_| {}), Taken::Nonsense);
        }
        let mut framing = Framing::Chunked(Chunked::default());
        assert_eq!(framing.take(&[b'1'; 9000], &mut |_| {}), Taken::Nonsense);
    }
}
