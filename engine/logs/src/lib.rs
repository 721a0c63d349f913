//! Container logs: Docker's log drivers, and the reader of those that are files.
//!
//! The shim writes (so a dead daemon never blocks a container or loses a line), the daemon reads. Both sides
//! are synchronous, and a remote driver is a queue with a socket that never blocks, because the shim is a small
//! process with one thread. The two sides share nothing but the file: a reader finds its way by inode numbers and
//! by the shape of the records, so it works while the shim writes and rotates, and after a power cut.
//!
//! The formats are Docker's, byte for byte, so that the tools people already point at
//! `/var/lib/docker/containers/*/*-json.log` work on ours:
//!
//! ```text
//! {"log":"hello\n","stream":"stdout","time":"2026-01-02T03:04:05.678901234Z"}
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | `plan` | what a container's log shall be, from the daemon to the shim |
//! | `log` | a container's log as the shim sees it: lines in, to a file and to a remote |
//! | `line` | bytes become lines, and long lines parts |
//! | `record`, `local` | one record of the two file formats |
//! | `writer`, `rotation`, `compress` | a log in files |
//! | `reader`, `scan`, `tail` | reading it, over damage, from the end |
//! | `remote` | syslog, gelf, fluentd and journald |

mod compress;
mod line;
mod local;
mod log;
pub mod plan;
mod reader;
mod record;
mod remote;
mod rotation;
mod scan;
mod tail;
pub mod time;
mod writer;

use std::fmt;

pub use compress::Job;
pub use log::{Log, Wait};
pub use reader::{ReadOptions, Reader, Skipped, read};
pub use record::json_string;

/// The most bytes of a container's output in one record, its newline included. Docker's copier uses a
/// buffer of this size and logs a longer line in parts.
pub const MAX_PART: usize = 16 * 1024;

/// Which of a container's two outputs a record comes from. With a terminal everything is `Stdout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// File descriptor 1.
    Stdout,
    /// File descriptor 2.
    Stderr,
}

impl Stream {
    /// The word in the log file and in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// One record: a line of output, or a part of a long one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it was written to.
    pub stream: Stream,
    /// When the line was complete (or its first part was), nanoseconds since 1970.
    pub time_nanos: u64,
    /// The bytes with their newline. No newline at the end: the line goes on in the next record of this
    /// stream, or the output ended there.
    pub line: Vec<u8>,
    /// Labels and variables that the user wanted beside each line (`--log-opt labels=…`), sorted by name.
    pub attributes: Vec<(String, String)>,
}
