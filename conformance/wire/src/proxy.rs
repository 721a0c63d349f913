//! The recorder: a socket that leads to the engine's, and reads along.
//!
//! Transparent by construction: each connection has two threads that copy bytes and ends of streams, one in each
//! direction, and what they show to the parser has no way back. Threads that block give back-pressure for free; a
//! recorder has as many as there are connections, and those are few.
//!
//! What a client could notice, and how it is kept from it:
//!
//! * The end of one direction (half-close) is passed on as such. So is the end of both: an engine ends a stream of
//!   events only when its client has gone altogether.
//! * While the engine is dead, clients are refused (see [`crate::lifeline`]).
//! * An answer that an engine gives while it closes without reading the request is passed on; that the connection
//!   was reset afterwards (ECONNRESET instead of an end) is not.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::conversation::{Conversation, Sink};
use crate::lifeline::Lifeline;
use crate::recording::Recording;

/// As much as is copied at a time.
const PIECE: usize = 64 << 10;

/// The stack of a copying thread: its buffer and the parser.
const STACK: usize = 256 << 10;

/// How often a dead engine is looked for.
const AGAIN: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 10_000_000,
};

/// Stands between clients and an engine, and records what passes.
#[derive(Debug)]
pub struct Recorder {
    socket: PathBuf,
    engine: PathBuf,
    shared: Arc<Shared>,
    /// Its end ends the thread that accepts.
    stop: Option<UnixStream>,
    door: Option<JoinHandle<()>>,
    /// Holds the socket and is removed with it.
    _directory: tempfile::TempDir,
}

/// What all threads of a recorder have in common.
#[derive(Debug, Default)]
struct Shared {
    sink: Sink,
    open: Mutex<Vec<Connection>>,
}

/// A connection that may still be open.
#[derive(Debug)]
struct Connection {
    client: Arc<UnixStream>,
    thread: JoinHandle<()>,
}

impl Recorder {
    /// Opens a socket of its own that leads to `engine`.
    ///
    /// # Errors
    /// When the socket or the thread behind it cannot be made. An engine that does not listen (yet) is no error.
    pub fn start(engine: &Path) -> anyhow::Result<Recorder> {
        let directory = tempfile::Builder::new()
            .prefix("wire-")
            .tempdir()
            .context("making a directory for the recorder's socket")?;
        let (stop, stopped) = UnixStream::pair().context("making the recorder's stop")?;
        let shared = Arc::new(Shared::default());
        let socket = directory.path().join("engine.sock");
        let mut door = Door {
            socket: socket.clone(),
            engine: engine.to_owned(),
            shared: Arc::clone(&shared),
            stopped,
        };
        let listener = door.open().context("opening the recorder's socket")?;
        let door = Builder::new()
            .name("wire-door".to_owned())
            .spawn(move || door.keep(listener))
            .context("starting the recorder")?;
        Ok(Recorder {
            socket,
            engine: engine.to_owned(),
            shared,
            stop: Some(stop),
            door: Some(door),
            _directory: directory,
        })
    }

    /// Where clients connect to.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Ends all connections and gives what was recorded.
    pub fn finish(mut self) -> Recording {
        self.close();
        let finished = self.shared.sink.take();
        Recording {
            engine: std::mem::take(&mut self.engine),
            exchanges: finished.exchanges,
            lost: finished.lost,
        }
    }

    fn close(&mut self) {
        drop(self.stop.take());
        if let Some(door) = self.door.take() {
            // A thread that panicked has said so; what it recorded counts.
            let _ = door.join();
        }
        for connection in std::mem::take(&mut *lock(&self.shared.open)) {
            let _ = connection.client.shutdown(Shutdown::Both);
            let _ = connection.thread.join();
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.close();
    }
}

/// The thread that accepts.
struct Door {
    socket: PathBuf,
    engine: PathBuf,
    shared: Arc<Shared>,
    stopped: UnixStream,
}

/// Why a door was closed.
#[derive(PartialEq, Eq)]
enum Closed {
    Stopped,
    EngineGone,
}

impl Door {
    /// Opens the socket if the engine listens; otherwise leaves it in the state in which the engine's own is.
    fn open(&mut self) -> std::io::Result<Option<(UnixListener, Lifeline)>> {
        let Some(lifeline) = Lifeline::of(&self.engine) else {
            if !self.engine.exists() {
                remove(&self.socket)?;
            }
            return Ok(None);
        };
        remove(&self.socket)?;
        let listener = UnixListener::bind(&self.socket)?;
        self.admit_like_the_engine()?;
        Ok(Some((listener, lifeline)))
    }

    /// Whoever may use the engine's socket may use this one: the same mode and group, and a directory that can be passed
    /// through.
    fn admit_like_the_engine(&self) -> std::io::Result<()> {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
        let engine = std::fs::metadata(&self.engine)?;
        chown(&self.socket, None, Some(engine.gid()))?;
        std::fs::set_permissions(&self.socket, engine.permissions())?;
        match self.socket.parent() {
            Some(directory) => {
                std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o711))
            }
            None => Ok(()),
        }
    }

    fn keep(mut self, mut listening: Option<(UnixListener, Lifeline)>) {
        loop {
            match &listening {
                Some((listener, lifeline)) => {
                    if self.accept(listener, lifeline) == Closed::Stopped {
                        return;
                    }
                    // Dropped first: whoever waits in its queue is refused like a client of the engine.
                    listening = None;
                }
                None => {
                    let mut stop = [PollFd::new(&self.stopped, PollFlags::empty())];
                    if matches!(poll(&mut stop, Some(&AGAIN)), Ok(1..)) {
                        return;
                    }
                    listening = self.open().unwrap_or(None);
                }
            }
        }
    }

    /// Lets clients in until the engine has gone.
    fn accept(&self, listener: &UnixListener, lifeline: &Lifeline) -> Closed {
        loop {
            let mut ready = vec![
                PollFd::new(&self.stopped, PollFlags::empty()),
                PollFd::new(listener, PollFlags::IN),
            ];
            ready.extend(
                lifeline
                    .process
                    .as_ref()
                    .map(|process| PollFd::new(process, PollFlags::IN)),
            );
            if poll(&mut ready, None).is_err_and(|error| error != rustix::io::Errno::INTR) {
                return Closed::Stopped;
            }
            let is = |index: usize| ready.get(index).is_some_and(|fd| !fd.revents().is_empty());
            if is(0) {
                return Closed::Stopped;
            }
            if is(2) {
                return Closed::EngineGone;
            }
            if is(1)
                && let Ok((client, _)) = listener.accept()
                && !self.admit(client)
            {
                return Closed::EngineGone;
            }
        }
    }

    /// Connects a client. False when the engine does not listen any more.
    fn admit(&self, client: UnixStream) -> bool {
        let engine = match UnixStream::connect(&self.engine) {
            Ok(engine) => Arc::new(engine),
            Err(error) => {
                return !matches!(
                    error.kind(),
                    ErrorKind::ConnectionRefused | ErrorKind::NotFound
                );
            }
        };
        let client = Arc::new(client);
        let sink = self.shared.sink.clone();
        let ends = (Arc::clone(&client), engine);
        let thread = Builder::new()
            .name("wire".to_owned())
            .stack_size(STACK)
            .spawn(move || converse(&ends.0, &ends.1, sink));
        let mut open = lock(&self.shared.open);
        open.retain(|connection| !connection.thread.is_finished());
        if let Ok(thread) = thread {
            open.push(Connection { client, thread });
        }
        true
    }
}

/// Copies both directions of one connection until both have ended.
fn converse(client: &UnixStream, engine: &UnixStream, sink: Sink) {
    let conversation = Mutex::new(Conversation::new(sink));
    std::thread::scope(|scope| {
        let upwards = Builder::new()
            .name("wire-up".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, || {
                copy(client, engine, |bytes, pass| {
                    // First, or the answer could be there before its request.
                    lock(&conversation).client_sent(bytes);
                    pass(bytes)
                });
            });
        if upwards.is_err() {
            let _ = engine.shutdown(Shutdown::Both);
        }
        copy(engine, client, |bytes, pass| {
            let passed = pass(bytes);
            lock(&conversation).engine_sent(bytes);
            passed
        });
    });
    lock(&conversation).engine_ended();
}

/// Copies one direction, then its end, then the end of the whole connection.
fn copy(
    mut from: &UnixStream,
    mut to: &UnixStream,
    mut each: impl FnMut(&[u8], &mut dyn FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()>,
) {
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => {
                let passed = each(&piece[..length], &mut |bytes| to.write_all(bytes));
                if passed.is_err() {
                    // Nobody reads there any more: who writes here shall notice it too.
                    let _ = from.shutdown(Shutdown::Read);
                    break;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    wait_for_the_end(from);
    let _ = to.shutdown(Shutdown::Both);
}

/// Waits until a connection has ended in both directions, by whichever side.
fn wait_for_the_end(stream: &UnixStream) {
    let mut fds = [PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::empty())];
    while matches!(poll(&mut fds, None), Err(rustix::io::Errno::INTR)) {}
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
