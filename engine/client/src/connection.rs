//! One connection with a read buffer, so that a head and the first bytes behind it come from one read(2).

use std::io::{self, BufRead, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use crate::{Endpoint, Error};

/// A connected socket and what was read from it but not yet used.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: UnixStream,
    buffer: Vec<u8>,
    start: usize,
}

/// One read takes at most this much; a frame of `logs` or `attach` is at most 32 KiB.
const READ_SIZE: usize = 64 << 10;

impl Connection {
    pub(crate) fn open(endpoint: &Endpoint) -> Result<Connection, Error> {
        let stream = UnixStream::connect(endpoint.path()).map_err(|source| Error::Connect {
            endpoint: endpoint.clone(),
            source,
        })?;
        Ok(Connection {
            stream,
            buffer: Vec::new(),
            start: 0,
        })
    }

    /// The bytes at hand.
    pub(crate) fn buffered(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Reads more behind what is at hand. Zero is the end of the stream.
    pub(crate) fn read_more(&mut self) -> io::Result<usize> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let old = self.buffer.len();
        // A head is a few hundred bytes, so the first read asks for a page, and only bodies grow the buffer.
        let wanted = if old == 0 && self.buffer.capacity() == 0 {
            4096
        } else {
            READ_SIZE
        };
        self.buffer.resize(old + wanted, 0);
        let result = loop {
            match self.stream.read(&mut self.buffer[old..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(old + *result.as_ref().unwrap_or(&0));
        result
    }

    /// The socket, for poll(2).
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// The socket, and the bytes that were read from it already.
    pub(crate) fn into_parts(mut self) -> (UnixStream, Vec<u8>) {
        self.buffer.drain(..self.start);
        (self.stream, self.buffer)
    }
}

impl Read for Connection {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(target.len());
        target[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Connection {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.buffered().is_empty() {
            self.buffer.clear();
            self.start = 0;
            self.read_more()?;
        }
        Ok(self.buffered())
    }

    fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.buffer.len());
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
