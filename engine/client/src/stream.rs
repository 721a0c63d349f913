//! The frames in which an engine sends stdout and stderr over one connection.
//!
//! Eight bytes, then a payload: the stream (0 stdin, 1 stdout, 2 stderr, 3 an error of the engine), three
//! zeros, and the payload's length as a big-endian u32 (Engine API, ContainerAttach, "Stream format").

use std::io::{self, Read, Write};

/// Where a frame's payload belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Written to our stdout (the engine uses 0 and 1 for it).
    Stdout,
    /// Written to our stderr.
    Stderr,
    /// The engine could not go on; the payload says why.
    SystemError,
}

/// Takes frames apart as their bytes come, in pieces of any size.
#[derive(Debug, Default)]
pub struct Demultiplexer {
    header: Vec<u8>,
    kind: Option<Kind>,
    left: usize,
    error: Vec<u8>,
}

impl Demultiplexer {
    /// Writes the payloads in `bytes` to where they belong. Fails on an unknown stream number and on the
    /// engine's own error frame.
    pub fn push(
        &mut self,
        mut bytes: &[u8],
        stdout: &mut dyn Write,
        stderr: &mut dyn Write,
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            let Some(kind) = self.kind else {
                let wanted = (8 - self.header.len()).min(bytes.len());
                self.header.extend_from_slice(&bytes[..wanted]);
                bytes = &bytes[wanted..];
                self.parse_header()?;
                continue;
            };
            let count = self.left.min(bytes.len());
            let (payload, rest) = bytes.split_at(count);
            match kind {
                Kind::Stdout => stdout.write_all(payload)?,
                Kind::Stderr => stderr.write_all(payload)?,
                Kind::SystemError => self.error.extend_from_slice(payload),
            }
            bytes = rest;
            self.left -= count;
            if self.left == 0 {
                self.kind = None;
                if kind == Kind::SystemError {
                    let text = String::from_utf8_lossy(&self.error).into_owned();
                    return Err(io::Error::other(format!(
                        "error from daemon in stream: {text}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Whether the stream ended between two frames.
    pub fn is_complete(&self) -> bool {
        self.kind.is_none() && self.header.is_empty()
    }

    fn parse_header(&mut self) -> io::Result<()> {
        let &[kind, _, _, _, a, b, c, d] = self.header.as_slice() else {
            return Ok(());
        };
        self.left = u32::from_be_bytes([a, b, c, d]) as usize;
        let kind = match kind {
            0 | 1 => Kind::Stdout,
            2 => Kind::Stderr,
            3 => Kind::SystemError,
            other => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("Unrecognized input header: {other}"),
                ));
            }
        };
        // An empty payload ends where it begins.
        self.kind = (self.left > 0).then_some(kind);
        self.header.clear();
        Ok(())
    }
}

/// Copies a framed stream until it ends.
pub fn demultiplex(
    reader: &mut dyn Read,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> io::Result<()> {
    let mut demultiplexer = Demultiplexer::default();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => demultiplexer.push(&buffer[..count], stdout, stderr)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind, 0, 0, 0];
        bytes.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn any_split_gives_the_same_streams() {
        let mut bytes = frame(1, b"out ");
        bytes.extend(frame(2, b"err"));
        bytes.extend(frame(1, b""));
        bytes.extend(frame(1, b"more"));
        for size in 1..bytes.len() {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut demultiplexer = Demultiplexer::default();
            for piece in bytes.chunks(size) {
                demultiplexer.push(piece, &mut out, &mut err).unwrap();
            }
            assert_eq!(
                (out.as_slice(), err.as_slice()),
                (&b"out more"[..], &b"err"[..]),
                "pieces of {size}"
            );
            assert!(demultiplexer.is_complete());
        }
    }

    #[test]
    fn an_error_frame_is_an_error() {
        let bytes = frame(3, b"disk full");
        let error =
            demultiplex(&mut bytes.as_slice(), &mut Vec::new(), &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "error from daemon in stream: disk full");
        let bytes = frame(9, b"x");
        assert!(demultiplex(&mut bytes.as_slice(), &mut Vec::new(), &mut Vec::new()).is_err());
    }
}
