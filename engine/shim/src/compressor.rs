//! Compresses rotated log files in a process of its own, so that neither the container's output nor its stop waits
//! for it.
//!
//! A fork, not a thread: a shim has one thread, because it clones the container's processes. The fork closes
//! everything it got (a client's socket that it kept would look open to the client) and opens the file by its
//! name, which is below the engine's own data root.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use drydock_logs::Job;
use drydock_sys::process::{self, Child, Side};
use drydock_sys::{descriptors, readiness};
use nix::sys::signal::Signal;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

/// How long the end of a container may wait for it. A file of 20 MB takes a fifth of a second.
const PATIENCE: Duration = Duration::from_secs(2);

/// A compression that runs.
#[derive(Debug)]
pub(crate) struct Compressor {
    child: Child,
    job: Job,
}

impl Compressor {
    /// Starts one.
    pub(crate) fn start(job: Job) -> io::Result<Compressor> {
        match process::fork()? {
            Side::Child => process::exit_now(match descriptors::close_range(3, i32::MAX) {
                Ok(()) => compress(&job),
                Err(_) => 1,
            }),
            Side::Parent(child) => Ok(Compressor { child, job }),
        }
    }

    /// Its number.
    pub(crate) fn pid(&self) -> i32 {
        self.child.pid
    }

    /// Waits for its end, not for long; then the file stays as it is, and the next run of the container begins
    /// with it.
    pub(crate) fn finish(self) {
        let deadline = Instant::now() + PATIENCE;
        let mut set = readiness::Set::default();
        loop {
            set.clear();
            let index = set.add(self.child.descriptor.as_fd(), true, false);
            let left = deadline.saturating_duration_since(Instant::now());
            let waited = set.wait(Some(left));
            if waited.is_err() || set.is_readable(index) || left.is_zero() {
                break;
            }
        }
        // Fails only when it has ended, and then there is nothing to stop.
        let _ = process::send_signal(self.child.descriptor.as_fd(), Signal::SIGKILL as i32);
        let _ = waitpid(Pid::from_raw(self.child.pid), None);
        self.job.abandon();
    }
}

fn compress(job: &Job) -> i32 {
    match job.run() {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(io::stderr(), "shim: {error}");
            1
        }
    }
}
