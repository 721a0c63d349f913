//! Signals as data: blocked, and read from a descriptor (signalfd(2)) by the loop that also reads the
//! container's output. So no handler runs, and the terminal is restored on every way out.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Blocked signals, waiting to be read.
#[derive(Debug)]
pub struct Signals {
    descriptor: SignalFd,
}

/// What `--sig-proxy` passes on. Not SIGWINCH (it becomes a resize), nor those that speak of our own
/// children and pipes.
const PROXIED: [Signal; 13] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGCONT,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGIO,
    Signal::SIGPWR,
];

/// What would end us while a terminal is in raw mode.
const DEADLY: [Signal; 4] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
];

impl Signals {
    /// Takes over the signals that this session needs: all that are passed on, or those that would end us
    /// without restoring the terminal.
    pub fn take(proxied: bool, terminal: bool) -> std::io::Result<Signals> {
        let mut set = SigSet::empty();
        if proxied {
            PROXIED.iter().for_each(|signal| set.add(*signal));
        }
        if terminal {
            DEADLY.iter().for_each(|signal| set.add(*signal));
            set.add(Signal::SIGWINCH);
        }
        set.thread_block()?;
        let descriptor =
            SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Signals { descriptor })
    }

    /// The next one that came.
    pub fn next(&self) -> Option<Signal> {
        let info = self.descriptor.read_signal().ok()??;
        i32::try_from(info.ssi_signo)
            .ok()
            .and_then(|number| Signal::try_from(number).ok())
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// `TERM` for SIGTERM: what the API's `signal=` takes.
pub fn name(signal: Signal) -> &'static str {
    let name = signal.as_str();
    name.strip_prefix("SIG").unwrap_or(name)
}
