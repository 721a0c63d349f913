//! The daemon's end of a shim's socket: requests with their answers, and the shim's events.
//!
//! The words are in `drydock_shim::protocol`. Descriptors go along with the first byte of a frame
//! (SCM_RIGHTS), so frames are written one at a time.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use drydock_api::Error;
use drydock_shim::frame;
use drydock_shim::protocol::{Answer, ExitRecord, Reply, Request, RequestBody};
use drydock_sys::descriptors;
use nix::sys::socket::{Shutdown, shutdown};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

use super::container::lock;

/// How long a shim may take for an answer. It only ever waits for a program's exec.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a shim says unasked.
#[derive(Debug)]
pub enum Event {
    /// PID 1 has ended.
    Exited(ExitRecord),
    /// Nothing of the run is left.
    TornDown,
    /// An exec has ended.
    ExecExited {
        /// Which.
        exec_id: String,
        /// Its exit code.
        exit_code: i32,
    },
}

/// Counts open connections: a shim closes its end with its own, so none open means that no shim has anything
/// left to clean up.
#[derive(Clone, Debug, Default)]
pub struct Open(Arc<()>);

impl Open {
    /// Waits until no connection is open, at most so long.
    pub async fn none(&self, patience: Duration) {
        let begin = std::time::Instant::now();
        while Arc::strong_count(&self.0) > 1 && begin.elapsed() < patience {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A connection to a shim.
pub struct ShimLink {
    stream: UnixStream,
    writing: tokio::sync::Mutex<()>,
    number: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    answers: HashMap<u64, oneshot::Sender<Answer>>,
    closed: bool,
}

impl ShimLink {
    /// Takes a socket over. The end of the events is the end of the connection; until then a copy of `open`
    /// exists.
    ///
    /// # Errors
    /// The operating system's.
    pub fn new(
        stream: StdStream,
        open: &Open,
    ) -> io::Result<(Arc<ShimLink>, mpsc::UnboundedReceiver<Event>)> {
        stream.set_nonblocking(true)?;
        let link = Arc::new(ShimLink {
            stream: UnixStream::from_std(stream)?,
            writing: tokio::sync::Mutex::new(()),
            number: AtomicU64::new(1),
            waiting: Mutex::default(),
        });
        let (events, receiver) = mpsc::unbounded_channel();
        tokio::spawn(read(Arc::clone(&link), events, open.clone()));
        Ok((link, receiver))
    }

    /// Connects to a shim that a former daemon started.
    ///
    /// # Errors
    /// The operating system's; "connection refused" and "not found" mean that there is no shim any more.
    pub fn connect(
        path: &Path,
        open: &Open,
    ) -> io::Result<(Arc<ShimLink>, mpsc::UnboundedReceiver<Event>)> {
        ShimLink::new(StdStream::connect(path)?, open)
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// When the shim is gone or silent.
    pub async fn ask(&self, body: RequestBody, files: &[OwnedFd]) -> Result<Answer, Unanswered> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiting = lock(&self.waiting);
            if waiting.closed {
                return Err(Unanswered::Gone);
            }
            waiting.answers.insert(number, sender);
        }
        let bytes = frame::encode(&Request { number, body })
            .map_err(|error| Unanswered::Failed(format!("shim: {error}")))?;
        let descriptors: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
        self.write(&bytes, &descriptors)
            .await
            .map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Unanswered::Gone,
                _ => Unanswered::Failed(format!("shim: {error}")),
            })?;
        match tokio::time::timeout(PATIENCE, receiver).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Unanswered::Gone),
            Err(_) => Err(Unanswered::Failed(
                "the container's shim does not answer".to_owned(),
            )),
        }
    }

    /// Asks for something that is either done or refused.
    ///
    /// # Errors
    /// 500 when the shim is gone, silent or refuses.
    pub async fn order(&self, body: RequestBody, files: &[OwnedFd]) -> Result<(), Error> {
        match self.ask(body, files).await? {
            Answer::Done => Ok(()),
            Answer::Error { message } => Err(Error::system(message)),
            other => Err(Error::system(format!(
                "unexpected answer of the shim: {other:?}"
            ))),
        }
    }

    /// Ends the connection. A shim that has no container yet ends with it.
    pub fn hang_up(&self) {
        // It fails only where the other side has hung up already.
        let _ = shutdown(self.stream.as_raw_fd(), Shutdown::Both);
    }

    async fn write(&self, bytes: &[u8], files: &[BorrowedFd<'_>]) -> io::Result<()> {
        let _turn = self.writing.lock().await;
        let mut sent = 0;
        while sent < bytes.len() {
            self.stream.writable().await?;
            let files = if sent == 0 { files } else { &[] };
            let result = self.stream.try_io(Interest::WRITABLE, || {
                descriptors::send(self.stream.as_fd(), &bytes[sent..], files)
            });
            match result {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Why a shim did not answer.
#[derive(Debug)]
pub enum Unanswered {
    /// The connection has ended. A shim leaves when it has told the end of its container, so that a request which
    /// meets the end finds this.
    Gone,
    /// Anything else.
    Failed(String),
}

impl Unanswered {
    /// For a verb that needs a running container: Docker's 409 when it has just ended.
    pub fn of(self, id: &str) -> Error {
        match self {
            Unanswered::Gone => super::kill::not_running(id),
            Unanswered::Failed(_) => self.into(),
        }
    }
}

impl std::fmt::Display for Unanswered {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unanswered::Gone => formatter.write_str("the container's shim is gone"),
            Unanswered::Failed(why) => formatter.write_str(why),
        }
    }
}

/// 500, where a shim that is gone is a fault.
impl From<Unanswered> for Error {
    fn from(error: Unanswered) -> Error {
        Error::system(error)
    }
}

/// Reads to the end of the connection; then nobody waits for an answer any more.
async fn read(link: Arc<ShimLink>, events: mpsc::UnboundedSender<Event>, _open: Open) {
    if let Err(error) = read_frames(&link, &events).await {
        tracing::warn!("shim: {error}");
    }
    let mut waiting = lock(&link.waiting);
    waiting.closed = true;
    waiting.answers.clear();
}

async fn read_frames(link: &ShimLink, events: &mpsc::UnboundedSender<Event>) -> io::Result<()> {
    let mut decoder = frame::Decoder::default();
    let mut buffer = [0_u8; 8 << 10];
    loop {
        link.stream.readable().await?;
        let length = match link.stream.try_read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        decoder.push(&buffer[..length]);
        while let Some(reply) = decoder.next::<Reply>()? {
            take(link, events, reply);
        }
    }
}

fn take(link: &ShimLink, events: &mpsc::UnboundedSender<Event>, reply: Reply) {
    let event = match reply {
        Reply::Answer { number, body } => {
            if let Some(asker) = lock(&link.waiting).answers.remove(&number) {
                // An asker that gave up has dropped its end, and there is nobody to tell.
                let _ = asker.send(body);
            }
            return;
        }
        Reply::Exited(record) => Event::Exited(record),
        Reply::TornDown => Event::TornDown,
        Reply::ExecExited { exec_id, exit_code } => Event::ExecExited { exec_id, exit_code },
    };
    // After a failed start nobody listens.
    let _ = events.send(event);
}
