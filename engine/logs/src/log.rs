//! A container's log as its shim sees it: bytes in, records to a file and messages to a remote.
//!
//! Nothing here waits. A file is as fast as its disk; a remote has a queue, and when that is full the log says
//! so ([`Log::is_full`]) and its owner stops reading the container's output (`mode=blocking`), or what comes is
//! dropped (`mode=non-blocking`). The owner waits for what [`Log::wait`] names and calls [`Log::progress`].

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
    time::Instant,
};

use crate::{Job, Stream, line::Line, plan::Plan, remote::Remote, writer::Output};

/// Writes one container's log. Not for two writers at a time.
#[derive(Debug)]
pub struct Log {
    stdout: Line,
    stderr: Line,
    file: Option<Output>,
    remote: Option<Remote>,
    /// Tells the long lines of this container from those of others.
    seed: String,
}

/// What a log waits for. Both may be absent: nothing is to be done then.
#[derive(Debug)]
pub struct Wait<'a> {
    /// A socket, and whether it has to be readable and writable.
    pub socket: Option<(BorrowedFd<'a>, bool, bool)>,
    /// A moment.
    pub until: Option<Instant>,
}

impl Log {
    /// Opens the files of a plan and connects to its remote. `folder` is that of a socket of the host
    /// ([`crate::plan::Address::needs_folder`]).
    ///
    /// # Errors
    /// The operating system's with the file named, and Docker's texts for a remote that is not there.
    pub fn open(plan: &Plan, folder: Option<OwnedFd>) -> io::Result<Log> {
        let remote = plan
            .remote
            .as_ref()
            .map(|remote| Remote::open(remote, folder));
        Ok(Log {
            stdout: Line::default(),
            stderr: Line::default(),
            remote: remote.transpose()?,
            file: plan.file.as_ref().map(Output::open).transpose()?,
            seed: plan.seed.clone(),
        })
    }

    /// Takes what was read from one of the container's outputs at `realtime_nanos` (nanoseconds since 1970),
    /// and writes the lines that are complete with it. See [`crate::MAX_PART`] for long lines.
    ///
    /// # Errors
    /// When writing or rotating fails. Records that could not be written are lost and the file stays
    /// readable; the log goes on working. A failed rotation loses nothing and is tried again. A remote that
    /// cannot be reached is no error here.
    pub fn append(&mut self, stream: Stream, realtime_nanos: u64, chunk: &[u8]) -> io::Result<()> {
        let (line, mut sinks) = self.parts(stream);
        line.push(stream, realtime_nanos, chunk, &mut |piece| {
            sinks.take(&piece)
        });
        self.settle()
    }

    /// Both outputs have ended: writes unfinished lines, as records without a newline and with the time when
    /// their last bytes came.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn finish(&mut self) -> io::Result<()> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let (line, mut sinks) = self.parts(stream);
            line.finish(stream, &mut |piece| sinks.take(&piece));
        }
        if let Some(remote) = &mut self.remote {
            remote.finish(Instant::now());
        }
        self.settle()
    }

    fn parts(&mut self, stream: Stream) -> (&mut Line, Sinks<'_>) {
        let line = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let sinks = Sinks {
            file: self.file.as_mut(),
            remote: self.remote.as_mut(),
            seed: &self.seed,
        };
        (line, sinks)
    }

    fn settle(&mut self) -> io::Result<()> {
        if let Some(remote) = &mut self.remote {
            remote.progress(false, Instant::now());
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.flush();
        file.outcome()
    }

    /// No output should be read for it at the moment.
    pub fn is_full(&self) -> bool {
        self.file.as_ref().is_some_and(Output::is_full)
            || self.remote.as_ref().is_some_and(Remote::is_full)
    }

    /// What has to happen before [`Log::progress`] can do something.
    pub fn wait(&self) -> Wait<'_> {
        match &self.remote {
            Some(remote) => remote.wait(),
            None => Wait {
                socket: None,
                until: None,
            },
        }
    }

    /// Sends what waits, as far as the remote takes it. `readable`: its socket has something to read.
    pub fn progress(&mut self, readable: bool) {
        if let Some(remote) = &mut self.remote {
            remote.progress(readable, Instant::now());
        }
    }

    /// After [`Log::finish`]: everything was sent, or there is no hope that it ever will be.
    pub fn is_done(&self) -> bool {
        self.remote.as_ref().is_none_or(Remote::is_done)
    }

    /// How many lines were dropped so far because the remote did not take them.
    pub fn dropped(&self) -> u64 {
        self.remote.as_ref().map_or(0, Remote::dropped)
    }

    /// A rotated file that is to be compressed now, by a process of its own. Tell of its end with
    /// [`Log::job_done`].
    pub fn take_job(&mut self) -> Option<Job> {
        self.file.as_mut().and_then(Output::take_job)
    }

    /// The job that was taken is done, or has failed.
    pub fn job_done(&mut self) {
        if let Some(file) = &mut self.file {
            file.job_done();
        }
    }
}

/// Where a piece goes.
struct Sinks<'a> {
    file: Option<&'a mut Output>,
    remote: Option<&'a mut Remote>,
    seed: &'a str,
}

impl Sinks<'_> {
    fn take(&mut self, piece: &crate::line::Piece<'_>) {
        // Only parts need a name, and they are rare.
        let id = match piece.part {
            Some(part) => line_id(self.seed, piece, part.line),
            None => String::new(),
        };
        if let Some(file) = &mut self.file {
            file.record(piece, &id);
        }
        if let Some(remote) = &mut self.remote {
            remote.take(piece, &id);
        }
    }
}

/// 64 hexadecimal digits as in Docker: the log's own, then when, which stream, and which line.
fn line_id(seed: &str, piece: &crate::line::Piece<'_>, line: u64) -> String {
    let seed = seed.get(..32).unwrap_or("00000000000000000000000000000000");
    let stream = u64::from(piece.stream == Stream::Stderr);
    format!("{seed}{:016x}{:016x}", piece.time, line << 1 | stream)
}
