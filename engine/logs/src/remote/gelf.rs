//! Messages of GELF, Graylog's JSON: compressed and cut into chunks on UDP, with a NUL behind each on TCP.

use std::{
    collections::VecDeque,
    io::{self, Write as _},
};

use flate2::write::{GzEncoder, ZlibEncoder};

use super::Message;
use crate::{
    Stream,
    line::Piece,
    plan::{Compression, Gelf},
    record::{escape, json_string},
};

/// The largest datagram.
const CHUNK: usize = 1420;

/// Magic, id of the message, number of the chunk, how many there are.
const CHUNK_HEADER: usize = 12;

/// A receiver takes no message of more chunks.
const MOST_CHUNKS: usize = 128;

#[derive(Debug)]
pub(super) struct Encoder {
    options: Gelf,
    stream: bool,
    /// What every message begins with.
    head: Vec<u8>,
    /// Tells messages in chunks apart; counts from the time of the start.
    next_id: u64,
}

impl Encoder {
    pub(super) fn new(options: &Gelf, stream: bool) -> Encoder {
        let host = json_string(&options.hostname);
        let head = format!("{{\"version\":\"1.1\",\"host\":{host},\"short_message\":\"");
        let pid = u64::from(std::process::id());
        Encoder {
            options: options.clone(),
            stream,
            head: head.into_bytes(),
            next_id: pid << 40,
        }
    }

    /// Empty lines are left out: GELF wants a message.
    pub(super) fn encode(&mut self, piece: &Piece<'_>, queue: &mut VecDeque<Message>) {
        let text = piece.text();
        if text.is_empty() {
            return;
        }
        let mut out =
            Vec::with_capacity(self.head.len() + text.len() + self.options.extra.len() + 64);
        out.extend_from_slice(&self.head);
        escape(&mut out, text);
        let level = match piece.stream {
            Stream::Stdout => 6,
            Stream::Stderr => 3,
        };
        // Milliseconds, as a number that a double holds.
        let seconds = (piece.time / 1_000_000) as f64 / 1000.0;
        // Writing to a Vec does not fail.
        let _ = write!(out, "\",\"timestamp\":{seconds},\"level\":{level}");
        if !self.options.extra.is_empty() {
            out.push(b',');
            out.extend_from_slice(self.options.extra.as_bytes());
        }
        out.push(b'}');
        if self.stream {
            out.push(0);
            queue.push_back(out.into());
            return;
        }
        let out = self.compress(out);
        self.chunks(out, piece.time, queue);
    }

    /// Compressed as the user wants; as it is if that fails, which memory does not.
    fn compress(&self, message: Vec<u8>) -> Vec<u8> {
        let level = flate2::Compression::new(self.options.level);
        let finished = |result: io::Result<Vec<u8>>| result.ok();
        let compressed = match self.options.compression {
            Compression::None => None,
            Compression::Gzip => finished((|| {
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(&message)?;
                encoder.finish()
            })()),
            Compression::Zlib => finished((|| {
                let mut encoder = ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(&message)?;
                encoder.finish()
            })()),
        };
        compressed.unwrap_or(message)
    }

    fn chunks(&mut self, message: Vec<u8>, time: u64, queue: &mut VecDeque<Message>) {
        if message.len() <= CHUNK {
            queue.push_back(message.into());
            return;
        }
        let count = message.len().div_ceil(CHUNK - CHUNK_HEADER);
        let Some(count) = u8::try_from(count)
            .ok()
            .filter(|count| usize::from(*count) <= MOST_CHUNKS)
        else {
            return;
        };
        self.next_id = self.next_id.wrapping_add(1);
        let id = (time ^ self.next_id).to_be_bytes();
        for (number, piece) in (0u8..).zip(message.chunks(CHUNK - CHUNK_HEADER)) {
            let mut chunk = Vec::with_capacity(CHUNK);
            chunk.extend_from_slice(&[0x1e, 0x0f]);
            chunk.extend_from_slice(&id);
            chunk.extend_from_slice(&[number, count]);
            chunk.extend_from_slice(piece);
            queue.push_back(chunk.into());
        }
    }
}
