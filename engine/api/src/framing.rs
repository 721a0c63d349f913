//! The framing of streams without a terminal: each piece has a header of eight bytes.
//!
//! Byte 0 is the stream (1 stdout, 2 stderr), bytes 4 to 7 the length of the piece, big endian. With a
//! terminal there is one stream and no framing. Source: the description of `ContainerAttach`.

use crate::version::Version;

/// Frame type of stdout.
pub const STDOUT: u8 = 1;
/// Frame type of stderr.
pub const STDERR: u8 = 2;
/// Length of the header.
pub const HEADER: usize = 8;

/// Content type of a stream without framing.
pub const RAW: &str = "application/vnd.docker.raw-stream";
/// Content type of a framed stream, from version 1.42 on; older ones said "raw" for both.
pub const MULTIPLEXED: &str = "application/vnd.docker.multiplexed-stream";

/// The header of a piece. A piece longer than `u32::MAX` cannot occur: pieces are log lines and pipe reads.
pub fn header(stream: u8, length: usize) -> [u8; HEADER] {
    let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    [stream, 0, 0, 0, length[0], length[1], length[2], length[3]]
}

/// Appends a framed piece to `output`.
pub fn append(output: &mut Vec<u8>, stream: u8, piece: &[u8]) {
    output.extend_from_slice(&header(stream, piece.len()));
    output.extend_from_slice(piece);
}

/// The content type of an output stream.
pub fn content_type(terminal: bool, version: Version) -> &'static str {
    if terminal
        || version
            < (Version {
                major: 1,
                minor: 42,
            })
    {
        RAW
    } else {
        MULTIPLEXED
    }
}

/// Takes the headers out of a framed stream that comes in parts of any size.
#[derive(Debug, Default)]
pub struct Decoder {
    header: [u8; HEADER],
    /// How much of the header is there.
    filled: usize,
    /// How much of the piece is still to come.
    rest: usize,
}

impl Decoder {
    /// Hands the pieces on, as far as they are in `bytes`; which stream each belongs to is not told.
    pub fn take(&mut self, mut bytes: &[u8], mut piece: impl FnMut(&[u8])) {
        while !bytes.is_empty() {
            if self.rest == 0 {
                let count = bytes.len().min(HEADER - self.filled);
                self.header[self.filled..self.filled + count].copy_from_slice(&bytes[..count]);
                self.filled += count;
                bytes = &bytes[count..];
                if self.filled == HEADER {
                    let [.., a, b, c, d] = self.header;
                    self.rest = u32::from_be_bytes([a, b, c, d]) as usize;
                    self.filled = 0;
                }
                continue;
            }
            let (now, later) = bytes.split_at(bytes.len().min(self.rest));
            self.rest -= now.len();
            piece(now);
            bytes = later;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_back_from_parts_of_any_size() {
        let mut stream = Vec::new();
        for (kind, piece) in [
            (STDOUT, "one"),
            (STDERR, ""),
            (STDERR, " two"),
            (STDOUT, " three"),
        ] {
            append(&mut stream, kind, piece.as_bytes());
        }
        for size in [1, 3, 8, 9, 100] {
            let (mut decoder, mut read) = (Decoder::default(), Vec::new());
            for part in stream.chunks(size) {
                decoder.take(part, |piece| read.extend_from_slice(piece));
            }
            assert_eq!(read, b"one two three", "parts of {size}");
        }
    }

    #[test]
    fn a_piece_is_framed() {
        let mut output = Vec::new();
        append(&mut output, STDERR, b"abc");
        assert_eq!(output, b"\x02\0\0\0\0\0\0\x03abc");
    }

    #[test]
    fn old_versions_call_everything_raw() {
        let old = Version {
            major: 1,
            minor: 41,
        };
        assert_eq!(content_type(false, old), RAW);
        assert_eq!(content_type(false, crate::version::NEWEST), MULTIPLEXED);
        assert_eq!(content_type(true, crate::version::NEWEST), RAW);
    }
}
