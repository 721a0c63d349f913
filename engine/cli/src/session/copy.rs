//! Copies between the terminal and a container until the container's side ends.
//!
//! The output and the signals are one poll(2) loop. Stdin has a thread of its own, made only for `-i`: with
//! blocking reads and writes on both sides it needs no buffer, and a container that reads slowly cannot stop
//! its output from being shown.

use std::io::{self, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use drydock_client::Hijacked;
use drydock_client::stream::Demultiplexer;
use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, poll};

use super::keys::Watch;
use super::signals::Signals;
use crate::output;

/// Bytes moved at once: the size of a pipe.
const BLOCK: usize = 64 << 10;

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The engine closed the stream: the process ended, or closed its output.
    Closed,
    /// The detach keys were typed.
    Detached,
    /// A signal for ourselves, of this number.
    Signal(i32),
}

/// What is done with a signal: true means it is not ours to die of.
pub type OnSignal<'a> = &'a mut dyn FnMut(Signal) -> bool;

/// Copies until the end. `stdin` sends our stdin; `watch` looks for the detach keys in it.
pub fn run(
    hijacked: Hijacked,
    stdin: bool,
    terminal: bool,
    watch: Watch,
    signals: Option<&Signals>,
    on_signal: OnSignal<'_>,
    on_output: &mut dyn FnMut(),
) -> io::Result<End> {
    let Hijacked {
        socket, received, ..
    } = hijacked;
    let detached = Arc::new(AtomicBool::new(false));
    if stdin {
        let (socket, detached) = (socket.try_clone()?, detached.clone());
        thread::Builder::new()
            .name("stdin".to_string())
            .stack_size(256 << 10)
            .spawn(move || {
                // An error means that the container's side is gone, which the loop below sees for itself.
                let _ = feed(&socket, watch, &detached);
            })?;
    }
    let mut writer = Writer {
        terminal,
        demultiplexer: Demultiplexer::default(),
    };
    if !received.is_empty() {
        on_output();
        writer.write(&received)?;
    }
    let mut buffer = vec![0; BLOCK];
    loop {
        if let Some(signals) = signals
            && let Some(number) = wait_readable(socket.as_fd(), signals, on_signal)?
        {
            return Ok(End::Signal(number));
        }
        match rustix::io::read(&socket, &mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                on_output();
                writer.write(&buffer[..count])?;
            }
            Err(rustix::io::Errno::INTR) => {}
            // The engine was killed: for us the stream has ended, and the wait says what it knows.
            Err(rustix::io::Errno::CONNRESET) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(if detached.load(Ordering::Acquire) {
        End::Detached
    } else {
        End::Closed
    })
}

/// Waits until `descriptor` has something, while signals are handled. Some(n) is signal n, for us.
pub fn wait_readable(
    descriptor: BorrowedFd<'_>,
    signals: &Signals,
    on_signal: OnSignal<'_>,
) -> io::Result<Option<i32>> {
    loop {
        let mut set = [
            PollFd::from_borrowed_fd(descriptor, PollFlags::IN),
            PollFd::new(signals, PollFlags::IN),
        ];
        match poll(&mut set, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        let (ready, signalled) = (!set[0].revents().is_empty(), !set[1].revents().is_empty());
        if signalled {
            while let Some(signal) = signals.next() {
                if !on_signal(signal) {
                    return Ok(Some(signal as i32));
                }
            }
        }
        if ready {
            return Ok(None);
        }
    }
}

/// Writes output where it belongs.
struct Writer {
    terminal: bool,
    demultiplexer: Demultiplexer,
}

impl Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.terminal {
            return output::stdout().write_all(bytes);
        }
        self.demultiplexer
            .push(bytes, &mut output::stdout(), &mut output::stderr())
    }
}

/// Sends stdin until it ends (then the container's stdin ends too) or the detach keys are typed.
fn feed(mut socket: &UnixStream, mut watch: Watch, detached: &AtomicBool) -> io::Result<()> {
    let stdin = rustix::stdio::stdin();
    let mut buffer = vec![0; BLOCK];
    loop {
        let count = match rustix::io::read(stdin, &mut buffer) {
            Ok(count) => count,
            Err(rustix::io::Errno::INTR) => continue,
            Err(rustix::io::Errno::AGAIN) => {
                poll(&mut [PollFd::new(&stdin, PollFlags::IN)], None)?;
                continue;
            }
            // A closed stdin (`<&-`) and a terminal that hung up are an end of input.
            Err(_) => 0,
        };
        if count == 0 {
            socket.write_all(watch.held())?;
            return socket.shutdown(Shutdown::Write);
        }
        if watch.is_idle() {
            socket.write_all(&buffer[..count])?;
            continue;
        }
        let (passed, complete) = watch.push(&buffer[..count]);
        socket.write_all(&passed)?;
        if complete {
            detached.store(true, Ordering::Release);
            return socket.shutdown(Shutdown::Both);
        }
    }
}
