//! A log that goes to another program: a queue of messages and a socket that never blocks.
//!
//! Whether the other side is there is asked once, when the container starts, and then a container does not start
//! without it. What happens when it goes away later is Docker's, by protocol:
//!
//! | protocol | a lost connection |
//! |---|---|
//! | syslog, journald | is tried again at once; what waits is given up when that fails |
//! | gelf on TCP | is tried `gelf-tcp-max-reconnect` times, `gelf-tcp-reconnect-delay` apart |
//! | fluentd | is tried with growing pauses, `fluentd-max-retries` times (for ever); the container waits meanwhile |
//! | UDP | is not noticed |
//!
//! The end of a container waits for nothing of this: what is queued then has [`PATIENCE`] to get away.

mod fluentd;
mod gelf;
mod journald;
mod link;
mod syslog;

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use self::link::{Link, Sent};
use crate::{
    Wait,
    line::Piece,
    plan::{Address, Protocol, RemotePlan},
};

/// How many bytes may wait before a container with `mode=blocking` has to.
const LIMIT: usize = 256 << 10;

/// How many messages go with one system call.
const BATCH: usize = 64;

/// How long what is left may take after the container's end. Docker waits as long.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(10);

/// The longest pause between two attempts of fluentd.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What is sent for one line, or a part of that.
#[derive(Debug)]
struct Message {
    bytes: Vec<u8>,
    /// What the other side answers to confirm it.
    confirmation: Option<String>,
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Message {
        Message {
            bytes,
            confirmation: None,
        }
    }
}

/// Makes messages of pieces.
#[derive(Debug)]
enum Encoder {
    Syslog(syslog::Encoder),
    Gelf(gelf::Encoder),
    Fluentd(fluentd::Encoder),
    Journald(journald::Encoder),
}

/// How long a lost connection is tried again.
#[derive(Clone, Copy, Debug)]
struct Persistence {
    attempts: u64,
    pause: Duration,
    /// Each pause is so many times as long as the one before, in percent.
    growth: u32,
}

/// Docker's text for a remote that is not there.
fn named(protocol: &Protocol, error: io::Error) -> io::Error {
    match protocol {
        Protocol::Gelf(gelf) => io::Error::new(
            error.kind(),
            format!(
                "gelf: cannot connect to GELF endpoint: {} {error}",
                gelf.endpoint
            ),
        ),
        _ => error,
    }
}

/// A remote log.
#[derive(Debug)]
pub(crate) struct Remote {
    encoder: Encoder,
    link: Link,
    queue: VecDeque<Message>,
    /// Bytes in the queue.
    waiting: usize,
    /// Bytes of the first message that have gone already (streams only).
    sent: usize,
    /// The first message has gone and is to be confirmed.
    unconfirmed: bool,
    /// What came from the other side since.
    received: Vec<u8>,
    persistence: Persistence,
    /// Failed attempts in a row.
    failures: u64,
    /// Lines are dropped beyond so many bytes, rather than that the container waits.
    drop_beyond: Option<usize>,
    /// Lines are dropped beyond so many messages.
    most_messages: Option<u64>,
    dropped: u64,
    /// Set after the end: when to give up.
    deadline: Option<Instant>,
}

impl Remote {
    pub(crate) fn open(plan: &RemotePlan, folder: Option<OwnedFd>) -> io::Result<Remote> {
        let stream = matches!(plan.address, Address::Tcp(_) | Address::Unix { .. });
        let encoder = match &plan.protocol {
            Protocol::Syslog(options) => Encoder::Syslog(syslog::Encoder::new(options)),
            Protocol::Gelf(options) => Encoder::Gelf(gelf::Encoder::new(options, stream)),
            Protocol::Fluentd(options) => Encoder::Fluentd(fluentd::Encoder::new(options)),
            Protocol::Journald(options) => Encoder::Journald(journald::Encoder::new(options)),
        };
        let once = Persistence {
            attempts: 1,
            pause: Duration::ZERO,
            growth: 100,
        };
        let (persistence, asynchronous) = match &plan.protocol {
            Protocol::Gelf(gelf) if stream => (
                Persistence {
                    attempts: gelf.reconnects.max(1).into(),
                    pause: Duration::from_secs(gelf.reconnect_delay.into()),
                    growth: 100,
                },
                None,
            ),
            Protocol::Fluentd(fluentd) => (
                Persistence {
                    attempts: fluentd.max_retries.max(1),
                    pause: Duration::from_millis(fluentd.retry_wait),
                    growth: 150,
                },
                fluentd.asynchronous.then_some(fluentd.buffer_limit),
            ),
            _ => (once, None),
        };
        let mut link = Link::new(plan.address.clone(), folder);
        if asynchronous.is_none() {
            let connected = link.connect_and_wait(CONNECT);
            connected.map_err(|error| named(&plan.protocol, error))?;
        }
        Ok(Remote {
            encoder,
            link,
            queue: VecDeque::new(),
            waiting: 0,
            sent: 0,
            unconfirmed: false,
            received: Vec::new(),
            persistence,
            failures: 0,
            drop_beyond: plan
                .drop_beyond
                .map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
            most_messages: asynchronous,
            dropped: 0,
            deadline: None,
        })
    }

    /// Queues a line, or drops it by the rules of its mode. As in Docker one line always has a place.
    pub(crate) fn take(&mut self, piece: &Piece<'_>, id: &str) {
        let too_much = self
            .drop_beyond
            .is_some_and(|limit| self.waiting + piece.bytes.len() > limit);
        let too_many = self
            .most_messages
            .is_some_and(|most| self.queue.len() as u64 >= most);
        if (too_much || too_many) && !self.queue.is_empty() {
            self.dropped += 1;
            return;
        }
        let before = self.queue.len();
        let queue = &mut self.queue;
        match &mut self.encoder {
            Encoder::Syslog(encoder) => encoder.encode(piece, queue),
            Encoder::Gelf(encoder) => encoder.encode(piece, queue),
            Encoder::Fluentd(encoder) => encoder.encode(piece, id, queue),
            Encoder::Journald(encoder) => encoder.encode(piece, id, queue),
        }
        self.waiting += self
            .queue
            .range(before..)
            .map(|message| message.bytes.len())
            .sum::<usize>();
    }

    pub(crate) fn is_full(&self) -> bool {
        self.drop_beyond.is_none() && self.most_messages.is_none() && self.waiting >= LIMIT
    }

    /// Nothing more comes.
    pub(crate) fn finish(&mut self, now: Instant) {
        self.deadline.get_or_insert(now + PATIENCE);
    }

    pub(crate) fn is_done(&self) -> bool {
        self.queue.is_empty()
            || self
                .deadline
                .is_some_and(|deadline| Instant::now() >= deadline)
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(crate) fn wait(&self) -> Wait<'_> {
        let wants_to_send = !self.queue.is_empty() && !self.unconfirmed;
        let mut wait = self.link.wait(wants_to_send);
        if !self.queue.is_empty()
            && let Some(deadline) = self.deadline
        {
            wait.until = Some(wait.until.map_or(deadline, |until| until.min(deadline)));
        }
        wait
    }

    /// Does what can be done without waiting. `readable`: the other side has said or closed something.
    pub(crate) fn progress(&mut self, readable: bool, now: Instant) {
        if readable {
            self.receive(now);
        }
        while !self.queue.is_empty() && !self.unconfirmed {
            if !self.link.is_connected() {
                match self.link.connect(now, CONNECT) {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(_) => {
                        self.failed(now);
                        continue;
                    }
                }
            }
            match self.send() {
                Sent::Bytes(count) => {
                    self.failures = 0;
                    self.advance(count);
                }
                Sent::Message => self.drop_first(),
                Sent::Nothing => return,
                Sent::Lost { fresh } => {
                    self.restart();
                    if fresh {
                        self.failed(now);
                    }
                }
            }
        }
    }

    fn send(&mut self) -> Sent {
        // One that is to be confirmed goes alone.
        let most = match self.queue.front() {
            Some(first) if first.confirmation.is_some() => 1,
            _ => BATCH,
        };
        let pieces: Vec<IoSlice<'_>> = self
            .queue
            .iter()
            .take(most)
            .enumerate()
            .map(|(index, message)| {
                let from = if index == 0 { self.sent } else { 0 };
                IoSlice::new(&message.bytes[from..])
            })
            .collect();
        self.link.send(&pieces)
    }

    /// So many bytes of the queue have gone.
    fn advance(&mut self, mut count: usize) {
        while let Some(first) = self.queue.front() {
            let left = first.bytes.len() - self.sent;
            if count < left {
                self.sent += count;
                return;
            }
            count -= left;
            if first.confirmation.is_some() {
                self.sent = first.bytes.len();
                self.unconfirmed = true;
                self.received.clear();
                return;
            }
            self.drop_first();
            if count == 0 {
                return;
            }
        }
    }

    fn drop_first(&mut self) {
        if let Some(first) = self.queue.pop_front() {
            self.waiting -= first.bytes.len();
        }
        self.sent = 0;
        self.unconfirmed = false;
    }

    /// What the other side says is a confirmation or nothing that matters; its end is the end of the connection.
    fn receive(&mut self, now: Instant) {
        match self.link.receive(&mut self.received) {
            Ok(true) => {}
            Ok(false) => return,
            Err(_) => {
                self.restart();
                if !self.queue.is_empty() {
                    self.failed(now);
                }
                return;
            }
        }
        let confirmed = self.unconfirmed
            && self
                .queue
                .front()
                .and_then(|first| first.confirmation.as_ref())
                .is_some_and(|id| memchr::memmem::find(&self.received, id.as_bytes()).is_some());
        if confirmed {
            self.failures = 0;
            self.drop_first();
        }
        // No answer is as long as this.
        if !self.unconfirmed || self.received.len() > 4096 {
            self.received.clear();
        }
    }

    /// The first message has to go again, on another connection.
    fn restart(&mut self) {
        self.link.close();
        self.sent = 0;
        self.unconfirmed = false;
    }

    /// It could not be connected. What waits is given up after the last attempt.
    fn failed(&mut self, now: Instant) {
        self.link.close();
        self.failures += 1;
        if self.failures < self.persistence.attempts {
            self.link.pause(now + self.pause());
            return;
        }
        self.failures = 0;
        self.dropped += self.queue.len() as u64;
        self.queue.clear();
        self.waiting = 0;
        self.sent = 0;
        self.unconfirmed = false;
    }

    fn pause(&self) -> Duration {
        let mut pause = self.persistence.pause;
        for _ in 1..self.failures.min(64) {
            pause = (pause * self.persistence.growth / 100).min(LONGEST_PAUSE);
        }
        pause
    }
}
