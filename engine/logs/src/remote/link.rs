//! The socket of a remote log. It never blocks, except for the one moment when a container starts and is not to
//! start without it.
//!
//! A socket of the host is reached through the descriptor of its folder (`/proc/self/fd/N/name`): a shim has no
//! other way to the host's files, and the short path also fits into the 107 bytes of a socket's address.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        socket::{
            AddressFamily, MsgFlags, SockFlag, SockType, SockaddrLike, SockaddrStorage, UnixAddr,
            connect, getsockopt, recv, send, socket, sockopt::SocketError,
        },
        uio::writev,
    },
};

use crate::{Wait, plan::Address};

/// What became of a send.
#[derive(Debug)]
pub(super) enum Sent {
    /// So many bytes have gone into the stream.
    Bytes(usize),
    /// The first message has gone, or will never: a datagram that is too large.
    Message,
    /// The other side takes nothing at the moment.
    Nothing,
    /// The connection is of no more use; `fresh` if it was made just now, and nothing ever went over it.
    Lost { fresh: bool },
}

#[derive(Debug)]
enum State {
    /// To be connected when there is something to send, but not before this.
    Down(Option<Instant>),
    Connecting(OwnedFd, Instant),
    Connected {
        socket: OwnedFd,
        fresh: bool,
    },
}

/// A socket, or the lack of one.
#[derive(Debug)]
pub(super) struct Link {
    address: Address,
    folder: Option<OwnedFd>,
    /// Which of several addresses is tried next.
    next: usize,
    state: State,
}

impl Link {
    pub(super) fn new(address: Address, folder: Option<OwnedFd>) -> Link {
        Link {
            address,
            folder,
            next: 0,
            state: State::Down(None),
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected { .. })
    }

    pub(super) fn close(&mut self) {
        self.state = State::Down(None);
    }

    /// Not before this moment again.
    pub(super) fn pause(&mut self, until: Instant) {
        self.state = State::Down(Some(until));
    }

    pub(super) fn wait(&self, wants_to_send: bool) -> Wait<'_> {
        let stream = self.is_stream();
        match &self.state {
            State::Down(until) => Wait {
                socket: None,
                until: until.filter(|_| wants_to_send),
            },
            State::Connecting(socket, deadline) => Wait {
                socket: Some((socket.as_fd(), false, true)),
                until: Some(*deadline),
            },
            State::Connected { socket, .. } => Wait {
                socket: (stream || wants_to_send).then_some((
                    socket.as_fd(),
                    stream,
                    wants_to_send,
                )),
                until: None,
            },
        }
    }

    fn is_stream(&self) -> bool {
        matches!(self.address, Address::Tcp(_) | Address::Unix { .. })
    }

    /// Connects, waiting for it, to the first address that answers. The error is Go's: "dial tcp 127.0.0.1:1:
    /// connect: connection refused".
    pub(super) fn connect_and_wait(&mut self, patience: Duration) -> io::Result<()> {
        let count = match &self.address {
            Address::Tcp(list) | Address::Udp(list) => list.len().max(1),
            Address::Unix { .. } | Address::UnixDatagram { .. } => 1,
        };
        let mut last = Errno::EADDRNOTAVAIL;
        for _ in 0..count {
            let shown = self.shown();
            match self.connect_one(Instant::now() + patience) {
                Ok(()) => {
                    // Lost before it was used, it is worth another try.
                    if let State::Connected { fresh, .. } = &mut self.state {
                        *fresh = false;
                    }
                    return Ok(());
                }
                Err(errno) => last = errno,
            }
            if count == 1 || last == Errno::ETIMEDOUT {
                return Err(dial_error(&shown, last));
            }
        }
        Err(dial_error(&self.shown(), last))
    }

    fn connect_one(&mut self, deadline: Instant) -> nix::Result<()> {
        let mut done = self.try_connect(Instant::now(), deadline)?;
        while !done {
            let State::Connecting(socket, _) = &self.state else {
                return Ok(());
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.close();
                return Err(Errno::ETIMEDOUT);
            }
            let mut set = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
            match poll(
                &mut set,
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX),
            ) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
            done = self.try_connect(Instant::now(), deadline)?;
        }
        Ok(())
    }

    /// Goes on with connecting; true once it is connected.
    pub(super) fn connect(&mut self, now: Instant, patience: Duration) -> io::Result<bool> {
        self.try_connect(now, now + patience).map_err(Into::into)
    }

    fn try_connect(&mut self, now: Instant, deadline: Instant) -> nix::Result<bool> {
        match std::mem::replace(&mut self.state, State::Down(None)) {
            State::Down(Some(until)) if now < until => {
                self.state = State::Down(Some(until));
                Ok(false)
            }
            State::Down(_) => {
                let (socket, done) = self.start()?;
                self.state = if done {
                    State::Connected {
                        socket,
                        fresh: true,
                    }
                } else {
                    State::Connecting(socket, deadline)
                };
                Ok(done)
            }
            State::Connecting(socket, deadline) => {
                let mut set = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
                if poll(&mut set, PollTimeout::ZERO)? == 0 {
                    if now >= deadline {
                        return Err(Errno::ETIMEDOUT);
                    }
                    self.state = State::Connecting(socket, deadline);
                    return Ok(false);
                }
                match getsockopt(&socket, SocketError)? {
                    0 => {
                        self.state = State::Connected {
                            socket,
                            fresh: true,
                        };
                        Ok(true)
                    }
                    number => Err(Errno::from_raw(number)),
                }
            }
            connected @ State::Connected { .. } => {
                self.state = connected;
                Ok(true)
            }
        }
    }

    /// A new socket, and whether it is connected already.
    fn start(&mut self) -> nix::Result<(OwnedFd, bool)> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (address, kind): (Box<dyn SockaddrLike>, SockType) = match &self.address {
            Address::Tcp(list) => (Box::new(pick(list, &mut self.next)?), SockType::Stream),
            Address::Udp(list) => (Box::new(pick(list, &mut self.next)?), SockType::Datagram),
            Address::Unix { name, .. } => (
                Box::new(unix_address(self.folder.as_ref(), name)?),
                SockType::Stream,
            ),
            Address::UnixDatagram { name, .. } => (
                Box::new(unix_address(self.folder.as_ref(), name)?),
                SockType::Datagram,
            ),
        };
        let family = address.family().unwrap_or(AddressFamily::Unix);
        let socket = socket(family, kind, flags, None)?;
        match connect(socket.as_raw_fd(), address.as_ref()) {
            Ok(()) => Ok((socket, true)),
            Err(Errno::EINPROGRESS) => Ok((socket, false)),
            Err(errno) => Err(errno),
        }
    }

    /// `tcp 127.0.0.1:1`, as Go names an endpoint.
    fn shown(&self) -> String {
        match &self.address {
            Address::Tcp(list) => format!("tcp {}", shown(list, self.next)),
            Address::Udp(list) => format!("udp {}", shown(list, self.next)),
            Address::Unix { shown, .. } => format!("unix {shown}"),
            Address::UnixDatagram { shown, .. } => format!("unixgram {shown}"),
        }
    }

    /// Sends what a stream takes of some messages, or the first as a datagram.
    pub(super) fn send(&mut self, messages: &[IoSlice<'_>]) -> Sent {
        let (stream, udp) = (self.is_stream(), matches!(self.address, Address::Udp(_)));
        let State::Connected { socket, fresh } = &mut self.state else {
            return Sent::Lost { fresh: true };
        };
        let Some(first) = messages.first() else {
            return Sent::Nothing;
        };
        let result = if stream {
            writev(&socket, messages)
        } else {
            let flags = MsgFlags::MSG_NOSIGNAL;
            let sent = send(socket.as_raw_fd(), first, flags);
            // The answer to an earlier datagram: nobody listens there. It is told once, and this one goes now.
            match sent {
                Err(Errno::ECONNREFUSED) if udp => send(socket.as_raw_fd(), first, flags),
                other => other,
            }
        };
        match result {
            Ok(count) => {
                *fresh = false;
                if stream {
                    Sent::Bytes(count)
                } else {
                    Sent::Message
                }
            }
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOBUFS) => Sent::Nothing,
            // Of UDP a refusal or a lost route says nothing about the next datagram.
            Err(Errno::EMSGSIZE) => Sent::Message,
            Err(_) if udp => Sent::Message,
            Err(_) => Sent::Lost { fresh: *fresh },
        }
    }

    /// Takes what the other side has said. False when that is nothing.
    ///
    /// # Errors
    /// The connection has ended.
    pub(super) fn receive(&mut self, into: &mut Vec<u8>) -> io::Result<bool> {
        let State::Connected { socket, .. } = &self.state else {
            return Ok(false);
        };
        let mut buffer = [0; 1024];
        match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                into.extend_from_slice(&buffer[..count]);
                Ok(true)
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// The next of several addresses, in turn.
fn pick(list: &[SocketAddr], next: &mut usize) -> nix::Result<SockaddrStorage> {
    let index = *next % list.len().max(1);
    *next = index + 1;
    let address = list.get(index).ok_or(Errno::EADDRNOTAVAIL)?;
    Ok(SockaddrStorage::from(*address))
}

fn shown(list: &[SocketAddr], next: usize) -> String {
    let address = list.get(next % list.len().max(1));
    address.map(ToString::to_string).unwrap_or_default()
}

fn unix_address(folder: Option<&OwnedFd>, name: &str) -> nix::Result<UnixAddr> {
    let folder = folder.ok_or(Errno::EBADF)?;
    UnixAddr::new(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()).as_str())
}

fn dial_error(shown: &str, errno: Errno) -> io::Error {
    let why = match errno {
        Errno::ETIMEDOUT => "i/o timeout".to_owned(),
        errno => format!("connect: {}", errno.desc().to_lowercase()),
    };
    io::Error::new(
        io::Error::from(errno).kind(),
        format!("dial {shown}: {why}"),
    )
}
