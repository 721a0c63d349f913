//! Messages of syslog: RFC 3164, RFC 5424, and Docker's default, which is the first without the host's name.
//!
//! A message ends with a newline on every transport, as Docker's do: on a stream it is the frame (RFC 6587,
//! "non-transparent framing"). Empty lines are left out.

use std::{collections::VecDeque, io::Write as _};

use super::Message;
use crate::{
    Stream,
    line::Piece,
    plan::{Syslog, SyslogLayout},
    time,
};

const ERROR: u8 = 3;
const INFORMATION: u8 = 6;

#[derive(Debug)]
pub(super) struct Encoder {
    options: Syslog,
    /// The process that logs, for the receiver: this one.
    pid: u32,
    /// The last second, and it as text in this layout.
    time: Option<(u64, String)>,
}

impl Encoder {
    pub(super) fn new(options: &Syslog) -> Encoder {
        Encoder {
            options: options.clone(),
            pid: std::process::id(),
            time: None,
        }
    }

    pub(super) fn encode(&mut self, piece: &Piece<'_>, queue: &mut VecDeque<Message>) {
        let text = piece.text();
        if text.is_empty() {
            return;
        }
        let severity = match piece.stream {
            Stream::Stdout => INFORMATION,
            Stream::Stderr => ERROR,
        };
        let priority = u32::from(self.options.facility) << 3 | u32::from(severity);
        let time = self.time(piece.time);
        let mut out = Vec::with_capacity(text.len() + 128);
        let Syslog { tag, hostname, .. } = &self.options;
        let pid = self.pid;
        // Writing to a Vec does not fail.
        let _ = match self.options.layout {
            SyslogLayout::Local => write!(out, "<{priority}>{time} {tag}[{pid}]: "),
            SyslogLayout::Rfc3164 => write!(out, "<{priority}>{time} {hostname} {tag}[{pid}]: "),
            SyslogLayout::Rfc5424 | SyslogLayout::Rfc5424Micro => {
                write!(out, "<{priority}>1 {time} {hostname} {tag} {pid} {tag} - ")
            }
        };
        out.extend_from_slice(text);
        out.push(b'\n');
        queue.push_back(out.into());
    }

    /// The time in the host's zone.
    fn time(&mut self, nanos: u64) -> String {
        let offset = self.options.utc_offset;
        if self.options.layout == SyslogLayout::Rfc5424Micro {
            return time::rfc3339_micros(nanos, offset);
        }
        // Lines of one second share their time.
        let second = nanos / 1_000_000_000;
        match &self.time {
            Some((known, text)) if *known == second => text.clone(),
            _ => {
                let text = match self.options.layout {
                    SyslogLayout::Local | SyslogLayout::Rfc3164 => time::stamp(nanos, offset),
                    _ => time::rfc3339_seconds(nanos, offset),
                };
                self.time = Some((second, text.clone()));
                text
            }
        }
    }
}
