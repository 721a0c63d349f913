//! Entries of systemd's journal, in its native protocol: one datagram of fields.
//!
//! <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>. A value with a newline in it comes after its length; the message
//! itself is always sent in that form, since it is the container's and may hold anything.

use std::collections::VecDeque;

use super::Message;
use crate::{Stream, line::Piece, plan::Journald, time};

#[derive(Debug)]
pub(super) struct Encoder {
    /// The fields that are the same in every entry, encoded.
    fields: Vec<u8>,
    /// How many entries so far.
    ordinal: u64,
}

impl Encoder {
    pub(super) fn new(options: &Journald) -> Encoder {
        let mut fields = Vec::new();
        for (name, value) in &options.fields {
            field(&mut fields, name, value.as_bytes());
        }
        Encoder { fields, ordinal: 0 }
    }

    pub(super) fn encode(&mut self, piece: &Piece<'_>, id: &str, queue: &mut VecDeque<Message>) {
        self.ordinal += 1;
        let text = piece.text();
        let mut out = Vec::with_capacity(text.len() + self.fields.len() + 256);
        let priority = match piece.stream {
            Stream::Stdout => b"6",
            Stream::Stderr => b"3",
        };
        field(&mut out, "PRIORITY", priority);
        length_and_value(&mut out, "MESSAGE", text);
        out.extend_from_slice(&self.fields);
        let ordinal = self.ordinal.to_string();
        field(&mut out, "CONTAINER_LOG_ORDINAL", ordinal.as_bytes());
        let time = time::rfc3339_nano(piece.time);
        field(&mut out, "SYSLOG_TIMESTAMP", time.as_bytes());
        if let Some(part) = piece.part {
            field(&mut out, "CONTAINER_PARTIAL_ID", id.as_bytes());
            let number = part.ordinal.to_string();
            field(&mut out, "CONTAINER_PARTIAL_ORDINAL", number.as_bytes());
            let last = part.last.to_string();
            field(&mut out, "CONTAINER_PARTIAL_LAST", last.as_bytes());
            if !part.last {
                field(&mut out, "CONTAINER_PARTIAL_MESSAGE", b"true");
            }
        }
        queue.push_back(out.into());
    }
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    if memchr::memchr(b'\n', value).is_some() {
        length_and_value(out, name, value);
        return;
    }
    out.extend_from_slice(name.as_bytes());
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn length_and_value(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    out.extend_from_slice(value);
    out.push(b'\n');
}
