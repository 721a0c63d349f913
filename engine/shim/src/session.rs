//! One process of the container with its streams: PID 1, or an exec.
//!
//! Output goes to the log file and to every client that wants it; input comes from whichever client brought
//! it. The rule for the speed of it all: output is read only while no client is full, and stdin is taken from
//! a client only when the process has taken what came before. So nothing here grows without bound, and a slow
//! reader slows its own container and nothing else.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use drydock_defects::defect;
use drydock_logs::{Log, Stream};
use drydock_sys::process::{self, Child};
use drydock_sys::{clock, terminal};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::Signal;

use crate::client::{Client, Input, is_temporary};
use crate::compressor::Compressor;
use crate::protocol::Attach;

/// The engine's ends of a process's streams.
#[derive(Debug)]
pub(crate) enum Ends {
    /// Pipes; no stdin where the process got the null device.
    Pipes {
        stdin: Option<OwnedFd>,
        stdout: OwnedFd,
        stderr: OwnedFd,
    },
    /// A terminal's controlling end.
    Terminal(OwnedFd),
}

/// Something the process writes to.
#[derive(Debug)]
struct Output {
    file: File,
    stream: Stream,
    open: bool,
}

/// A process with its streams.
#[derive(Debug)]
pub(crate) struct Session {
    /// None for PID 1.
    pub(crate) exec_id: Option<String>,
    pub(crate) process: Child,
    /// Set once it was reaped: exit code, or 128 + n for signal n.
    pub(crate) exit_code: Option<i32>,
    outputs: Vec<Output>,
    stdin: Option<File>,
    /// Bytes for stdin that the process has not taken yet.
    typed: Vec<u8>,
    /// Stdin ends once `typed` is written.
    stdin_ends: bool,
    /// The end of a client's input is the end of stdin.
    stdin_once: bool,
    is_terminal: bool,
    clients: Vec<Client>,
    log: Option<Log>,
    /// A rotated file of the log is being compressed.
    compressor: Option<Compressor>,
    /// It was said that the log cannot be written.
    complained: bool,
    /// The process is killed when no client is left.
    pub(crate) ends_with_client: bool,
}

/// A place in a session that a descriptor belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Output(usize),
    Stdin,
    Client(usize),
    Log,
}

impl Session {
    pub(crate) fn new(
        exec_id: Option<String>,
        process: Child,
        ends: Ends,
        stdin_once: bool,
        log: Option<Log>,
    ) -> io::Result<Session> {
        let (stdin, outputs, is_terminal) = match ends {
            Ends::Pipes {
                stdin,
                stdout,
                stderr,
            } => (
                stdin,
                vec![(stdout, Stream::Stdout), (stderr, Stream::Stderr)],
                false,
            ),
            Ends::Terminal(controller) => (
                Some(controller.try_clone()?),
                vec![(controller, Stream::Stdout)],
                true,
            ),
        };
        let stdin = stdin.map(unblocked).transpose()?;
        let outputs = outputs
            .into_iter()
            .map(|(descriptor, stream)| {
                Ok(Output {
                    file: unblocked(descriptor)?,
                    stream,
                    open: true,
                })
            })
            .collect::<io::Result<_>>()?;
        Ok(Session {
            exec_id,
            process,
            exit_code: None,
            outputs,
            stdin,
            typed: Vec::new(),
            stdin_ends: false,
            stdin_once,
            is_terminal,
            clients: Vec::new(),
            log,
            compressor: None,
            complained: false,
            ends_with_client: false,
        })
    }

    /// Connects a client.
    pub(crate) fn attach(&mut self, socket: OwnedFd, attach: &Attach) -> io::Result<()> {
        let mut client = Client::new(socket, attach, self.is_terminal)?;
        client.stdin = attach.stdin && self.stdin.is_some();
        if client.stdin {
            self.typed.extend_from_slice(&attach.received);
        }
        if self.exit_code.is_some() {
            client.finish();
        }
        self.clients.push(client);
        Ok(())
    }

    pub(crate) fn resize(&self, height: u16, width: u16) -> io::Result<()> {
        match (&self.stdin, self.is_terminal) {
            (Some(controller), true) => terminal::set_size(controller.as_fd(), height, width),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the process has no terminal",
            )),
        }
    }

    /// What to wait for: descriptor, for reading, for writing, and which part it is.
    pub(crate) fn interests(&self) -> Vec<(BorrowedFd<'_>, bool, bool, Part)> {
        let mut all = Vec::with_capacity(4);
        let take_output = !self.clients.iter().any(Client::is_full)
            && !self.log.as_ref().is_some_and(Log::is_full);
        for (index, output) in self
            .outputs
            .iter()
            .enumerate()
            .filter(|(_, output)| output.open && take_output)
        {
            all.push((output.file.as_fd(), true, false, Part::Output(index)));
        }
        if let Some(stdin) = self.stdin.as_ref().filter(|_| !self.typed.is_empty()) {
            all.push((stdin.as_fd(), false, true, Part::Stdin));
        }
        for (index, client) in self.clients.iter().enumerate() {
            let take_input = client.stdin && self.typed.is_empty();
            all.push((
                client.descriptor(),
                take_input,
                client.is_waiting(),
                Part::Client(index),
            ));
        }
        if let Some((socket, readable, writable)) =
            self.log.as_ref().and_then(|log| log.wait().socket)
        {
            all.push((socket, readable, writable, Part::Log));
        }
        all
    }

    /// When its log wants to be seen to, although nothing happens.
    pub(crate) fn wakes_at(&self) -> Option<Instant> {
        self.log.as_ref().and_then(|log| log.wait().until)
    }

    /// Something is ready at a part. `buffer` is scratch.
    pub(crate) fn handle(&mut self, part: Part, readable: bool, hung_up: bool, buffer: &mut [u8]) {
        match part {
            Part::Output(index) => drop(self.read_output(index, buffer)),
            Part::Stdin => self.write_stdin(),
            Part::Client(index) => self.serve_client(index, readable, hung_up, buffer),
            Part::Log => {
                if let Some(log) = &mut self.log {
                    log.progress(readable);
                }
            }
        }
    }

    fn serve_client(&mut self, index: usize, readable: bool, hung_up: bool, buffer: &mut [u8]) {
        let Some(client) = self.clients.get_mut(index) else {
            return;
        };
        client.flush();
        if !client.stdin {
            if hung_up {
                client.give_up();
            }
            return;
        }
        if !readable || !self.typed.is_empty() {
            return;
        }
        match client.read(buffer) {
            Input::Nothing => {}
            Input::Bytes(count) => {
                self.typed.extend_from_slice(&buffer[..count]);
                self.write_stdin();
            }
            Input::Typed(bytes) => {
                self.typed.extend(bytes);
                self.write_stdin();
            }
            Input::Detach(bytes) => {
                client.finish();
                self.typed.extend(bytes);
                self.write_stdin();
            }
            Input::End if self.stdin_once && !self.is_terminal => self.end_stdin(),
            // Docker ends such an attachment with its input: on a terminal, or where stdin stays open.
            Input::End => client.finish(),
        }
    }

    /// Writes what was typed, as far as the process takes it.
    fn write_stdin(&mut self) {
        let Some(stdin) = &mut self.stdin else {
            self.typed.clear();
            return;
        };
        match stdin.write(&self.typed) {
            Ok(count) => drop(self.typed.drain(..count)),
            Err(error) if is_temporary(&error) => {}
            // The process has closed its stdin (EPIPE) or its terminal is gone (EIO): what is typed now
            // has no reader, and the clients' input ends.
            Err(_) => {
                self.typed.clear();
                self.stdin_ends = true;
                self.clients
                    .iter_mut()
                    .for_each(|client| client.stdin = false);
            }
        }
        self.close_stdin_if_ended();
    }

    fn end_stdin(&mut self) {
        self.stdin_ends = true;
        self.close_stdin_if_ended();
    }

    fn close_stdin_if_ended(&mut self) {
        if self.stdin_ends && self.typed.is_empty() && !self.is_terminal {
            self.stdin = None;
        }
    }

    /// Reads once from an output and passes it on. False when there is nothing more at the moment.
    fn read_output(&mut self, index: usize, buffer: &mut [u8]) -> bool {
        let Some(output) = self.outputs.get_mut(index).filter(|output| output.open) else {
            return false;
        };
        match output.file.read(buffer) {
            Err(error) if is_temporary(&error) => return false,
            // A terminal whose other end is closed by all says EIO.
            Ok(0) | Err(_) => {
                output.open = false;
                return false;
            }
            Ok(count) => {
                let (stream, bytes) = (output.stream, &buffer[..count]);
                let shown = match stream {
                    Stream::Stdout if defect!("attach-streams-swapped") => Stream::Stderr,
                    Stream::Stderr if defect!("attach-streams-swapped") => Stream::Stdout,
                    stream => stream,
                };
                self.clients
                    .iter_mut()
                    .for_each(|client| client.push(shown, bytes));
                self.write_log(stream, bytes);
            }
        }
        true
    }

    /// A log that cannot be written (a full disk) must not stop the container. It is said once, where the
    /// daemon's own log is, and tried again with the next lines.
    fn write_log(&mut self, stream: Stream, bytes: &[u8]) {
        let Some(log) = &mut self.log else { return };
        match log.append(stream, clock::realtime(), bytes) {
            Err(error) if !self.complained => {
                self.complained = true;
                let pid = self.process.pid;
                complain(&format!("the log of pid {pid} cannot be written: {error}"));
            }
            _ => {}
        }
        self.compress();
    }

    /// Starts the compression that is due.
    fn compress(&mut self) {
        let Some(log) = &mut self.log else { return };
        let Some(job) = log.take_job() else { return };
        match Compressor::start(job) {
            Ok(compressor) => self.compressor = Some(compressor),
            Err(error) => {
                complain(&format!("a log cannot be compressed: {error}"));
                log.job_done();
            }
        }
    }

    /// A child has ended that is none of the container's processes.
    pub(crate) fn compressed(&mut self, pid: i32) {
        let ours = |compressor: &mut Compressor| compressor.pid() == pid;
        if self.compressor.take_if(ours).is_some()
            && let Some(log) = &mut self.log
        {
            log.job_done();
        }
    }

    /// The process was reaped: reads what it has left, completes the log, and lets the clients go once they
    /// have everything. A client that is full gets no less for it; a pipe holds little.
    pub(crate) fn end(&mut self, exit_code: i32, buffer: &mut [u8]) {
        for index in 0..self.outputs.len() {
            while self.read_output(index, buffer) {}
        }
        self.exit_code = Some(exit_code);
        self.outputs.clear();
        self.stdin = None;
        self.typed.clear();
        self.finish_log();
        self.clients.iter_mut().for_each(Client::finish);
        self.sweep();
    }

    fn finish_log(&mut self) {
        let pid = self.process.pid;
        if let Some(log) = &mut self.log
            && let Err(error) = log.finish()
        {
            complain(&format!("the log of pid {pid} is not complete: {error}"));
        }
        self.compress();
        if let Some(compressor) = self.compressor.take() {
            compressor.finish();
        }
    }

    /// Sends what waits and forgets clients that are done, and a log that is complete.
    pub(crate) fn sweep(&mut self) {
        let due = self.wakes_at().is_some_and(|at| at <= Instant::now());
        if let Some(log) = self.log.as_mut().filter(|_| due) {
            log.progress(false);
        }
        if self.exit_code.is_some()
            && let Some(log) = self.log.take_if(|log| log.is_done())
            && log.dropped() > 0
        {
            let (dropped, pid) = (log.dropped(), self.process.pid);
            complain(&format!(
                "{dropped} lines of pid {pid} were dropped by its log driver"
            ));
        }
        self.clients.iter_mut().for_each(Client::flush);
        self.clients.retain(|client| !client.is_done());
        if self.ends_with_client && self.clients.is_empty() && self.exit_code.is_none() {
            self.ends_with_client = false;
            // ESRCH: it has ended by itself, and will be reaped.
            let _ = process::send_signal(self.process.descriptor.as_fd(), Signal::SIGKILL as i32);
        }
    }

    /// Nothing is left to do for it.
    pub(crate) fn is_over(&self) -> bool {
        self.exit_code.is_some() && self.clients.is_empty() && self.log.is_none()
    }
}

/// Says something where the daemon's own log is.
fn complain(what: &str) {
    let _ = writeln!(io::stderr(), "shim: {what}");
}

fn unblocked(descriptor: OwnedFd) -> io::Result<File> {
    fcntl(&descriptor, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(File::from(descriptor))
}
