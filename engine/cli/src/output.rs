//! Writing to stdout and stderr, unbuffered: what a container says appears when it says it.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, poll};

/// A standard stream. Waits where the descriptor is non-blocking, which a parent process may have set.
#[derive(Clone, Copy, Debug)]
pub struct Output(BorrowedFd<'static>);

/// Standard output.
pub fn stdout() -> Output {
    Output(rustix::stdio::stdout())
}

/// Standard error.
pub fn stderr() -> Output {
    Output(rustix::stdio::stderr())
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::io::write(self.0, bytes) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    poll(&mut [PollFd::new(&self.0, PollFlags::OUT)], None)?;
                }
                Err(error) => return Err(error.into()),
                Ok(count) => return Ok(count),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A line on stdout.
pub fn line(text: &str) -> io::Result<()> {
    stdout().write_all(format!("{text}\n").as_bytes())
}

/// A line on stderr. There is nobody to tell when that fails.
pub fn error_line(text: &str) {
    let _ = stderr().write_all(format!("{text}\n").as_bytes());
}
