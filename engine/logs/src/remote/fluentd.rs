//! Messages of fluentd's forward protocol: `[tag, time, record, options]` in MessagePack.
//!
//! <https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1>, "message mode", which is what
//! Docker uses.

use std::collections::VecDeque;

use super::Message;
use crate::{line::Piece, plan::Fluentd};

#[derive(Debug)]
pub(super) struct Encoder {
    options: Fluentd,
    /// Numbers messages that are to be confirmed.
    sequence: u64,
}

impl Encoder {
    pub(super) fn new(options: &Fluentd) -> Encoder {
        Encoder {
            options: options.clone(),
            sequence: 0,
        }
    }

    pub(super) fn encode(&mut self, piece: &Piece<'_>, id: &str, queue: &mut VecDeque<Message>) {
        let text = piece.text();
        let mut out = Vec::with_capacity(text.len() + 256);
        out.push(0x94);
        string(&mut out, self.options.tag.as_bytes());
        self.time(&mut out, piece.time);
        let parts = if piece.part.is_some() { 4 } else { 0 };
        map(&mut out, self.options.fields.len() + 2 + parts);
        for (name, value) in &self.options.fields {
            pair(&mut out, name, value.as_bytes());
        }
        pair(&mut out, "source", piece.stream.name().as_bytes());
        pair(&mut out, "log", text);
        if let Some(part) = piece.part {
            pair(&mut out, "partial_message", b"true");
            pair(&mut out, "partial_id", id.as_bytes());
            pair(
                &mut out,
                "partial_ordinal",
                part.ordinal.to_string().as_bytes(),
            );
            pair(&mut out, "partial_last", part.last.to_string().as_bytes());
        }
        let confirmation = self.options.acknowledged.then(|| {
            self.sequence += 1;
            format!("{:016x}{:016x}", piece.time, self.sequence)
        });
        map(&mut out, usize::from(confirmation.is_some()));
        if let Some(confirmation) = &confirmation {
            pair(&mut out, "chunk", confirmation.as_bytes());
        }
        queue.push_back(Message {
            bytes: out,
            confirmation,
        });
    }

    /// Seconds as a number, or fluentd's own type with nanoseconds ("EventTime").
    fn time(&self, out: &mut Vec<u8>, nanos: u64) {
        let (seconds, fraction) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
        if self.options.sub_second {
            out.extend_from_slice(&[0xd7, 0]);
            out.extend_from_slice(&(seconds as u32).to_be_bytes());
            out.extend_from_slice(&(fraction as u32).to_be_bytes());
        } else if let Ok(seconds) = i32::try_from(seconds) {
            out.push(0xd2);
            out.extend_from_slice(&seconds.to_be_bytes());
        } else {
            out.push(0xcf);
            out.extend_from_slice(&seconds.to_be_bytes());
        }
    }
}

fn pair(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    string(out, name.as_bytes());
    string(out, value);
}

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        length @ 0..32 => out.push(0xa0 | length as u8),
        length @ 32..0x100 => out.extend_from_slice(&[0xd9, length as u8]),
        length @ 0x100..0x1_0000 => {
            out.push(0xda);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0xdb);
            out.extend_from_slice(&(length as u32).to_be_bytes());
        }
    }
    out.extend_from_slice(bytes);
}

fn map(out: &mut Vec<u8>, pairs: usize) {
    if pairs < 16 {
        out.push(0x80 | pairs as u8);
    } else {
        out.push(0xde);
        out.extend_from_slice(&(pairs as u16).to_be_bytes());
    }
}
