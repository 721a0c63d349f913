//! netlink(7): messages with nested attributes, sent in batches, every one acknowledged.
//!
//! Our own small builder and not a library: a sandbox is wired with three `sendmsg` calls, and the known
//! crates are asynchronous, one message a round trip, or bring their own runtime. Only what rtnetlink(7) and
//! nfnetlink share is here; what the attributes mean stands in `link` and `nft`.
//!
//! A [`Batch`] remembers for each message what it is about, so that a refusal names the object. The kernel
//! handles a message inside the `send` call, thus all answers wait in the socket when it returns: receiving
//! never blocks, and a missing answer is an error instead of a hang.

mod reply;

use std::borrow::Cow;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, sendto,
    socket,
};

use crate::Error;
pub use reply::{Attributes, Part, Parts, Reply, until_nul};

/// `NLM_F_REQUEST`: every message to the kernel has it.
const NLM_F_REQUEST: u16 = 0x01;
/// `NLM_F_ACK`: answer also when there is no error.
pub const NLM_F_ACK: u16 = 0x04;
/// `NLM_F_DUMP_INTR` (in answers): the list changed while it was read.
const NLM_F_DUMP_INTR: u16 = 0x10;
/// `NLM_F_EXCL`: fail if the object exists.
pub const NLM_F_EXCL: u16 = 0x200;
/// `NLM_F_DUMP`: list all objects.
pub const NLM_F_DUMP: u16 = 0x300;
/// `NLM_F_CREATE`: make the object.
pub const NLM_F_CREATE: u16 = 0x400;
/// `NLM_F_APPEND`: behind the others of a list.
pub const NLM_F_APPEND: u16 = 0x800;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// Set in an attribute's type when attributes lie inside it.
const NLA_F_NESTED: u16 = 0x8000;

/// How often a list is read again because it changed meanwhile.
const DUMP_ATTEMPTS: usize = 10;

/// Messages that go to the kernel in one `send`.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    messages: Vec<Pending>,
}

/// What a sent message waits for.
#[derive(Debug)]
struct Pending {
    action: Cow<'static, str>,
    answered: Answered,
}

#[derive(Debug, PartialEq)]
enum Answered {
    /// The kernel is silent unless it refuses: the marks around an nfnetlink batch.
    OnRefusal,
    NotYet,
    Yes,
}

impl Batch {
    /// Begins a message of type `kind`, whose fixed part is `header`. `action` is for errors and names the
    /// object: `create bridge drydock0`.
    pub fn message(
        &mut self,
        kind: u16,
        flags: u16,
        header: &[u8],
        action: impl Into<Cow<'static, str>>,
    ) -> Message<'_> {
        let silent = flags & (NLM_F_ACK | NLM_F_DUMP) == 0;
        let answered = if silent {
            Answered::OnRefusal
        } else {
            Answered::NotYet
        };
        self.messages.push(Pending {
            action: action.into(),
            answered,
        });
        let start = self.bytes.len();
        // The sequence number is the message's place in the batch, counted from 1 because the kernel uses 0.
        let sequence = self.messages.len() as u32;
        self.bytes.extend_from_slice(&0u32.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes
            .extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&0u32.to_ne_bytes());
        let mut message = Message { batch: self, start };
        message.append(header);
        message
    }
}

/// A message under construction.
#[derive(Debug)]
pub struct Message<'batch> {
    batch: &'batch mut Batch,
    start: usize,
}

impl Message<'_> {
    /// Adds bytes, pads them to four, and brings the message's length up to date.
    fn append(&mut self, bytes: &[u8]) {
        let buffer = &mut self.batch.bytes;
        buffer.extend_from_slice(bytes);
        buffer.resize(buffer.len().next_multiple_of(4), 0);
        let length = (buffer.len() - self.start) as u32;
        buffer[self.start..self.start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    /// The fixed part of a link inside [`Message::nested`]: a veth's peer has one.
    pub fn fixed(&mut self, bytes: &[u8]) -> &mut Self {
        self.append(bytes);
        self
    }

    /// An attribute with raw bytes. Callers keep them far below the 64 KiB that its length field can say.
    pub fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = (value.len() + 4) as u16;
        self.batch.bytes.extend_from_slice(&length.to_ne_bytes());
        self.batch.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.append(value);
        self
    }

    /// A number in the host's byte order, as rtnetlink has them.
    pub fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// A number in network byte order, as nf_tables has them.
    pub fn u32_be(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// A string with the closing NUL that the kernel's `NLA_NUL_STRING` asks for.
    pub fn string(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = Vec::with_capacity(value.len() + 1);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    /// An attribute made of the attributes that `content` adds.
    pub fn nested(&mut self, kind: u16, content: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.batch.bytes.len();
        self.bytes(kind | NLA_F_NESTED, &[]);
        content(self);
        let length = (self.batch.bytes.len() - start) as u16;
        self.batch.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }
}

/// A netlink socket. It belongs to the network namespace of the thread that opened it, for ever.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl Socket {
    /// rtnetlink(7): links, addresses, routes.
    pub fn route() -> Result<Socket, Error> {
        Socket::open(SockProtocol::NetlinkRoute, 0, "rtnetlink")
    }

    /// nfnetlink: nf_tables.
    pub fn netfilter() -> Result<Socket, Error> {
        Socket::open(SockProtocol::NetlinkNetFilter, 0, "nfnetlink")
    }

    /// nfnetlink, receiving the messages of the multicast groups whose bits (number - 1) are set.
    pub fn netfilter_groups(groups: u32) -> Result<Socket, Error> {
        Socket::open(SockProtocol::NetlinkNetFilter, groups, "nfnetlink")
    }

    fn open(protocol: SockProtocol, groups: u32, name: &str) -> Result<Socket, Error> {
        let failed = |errno| Error::system(format!("open a {name} socket"), errno);
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            protocol,
        )
        .map_err(failed)?;
        if groups != 0 {
            bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups)).map_err(failed)?;
        }
        Ok(Socket(socket))
    }

    /// Sends a batch and waits until each message of it is answered. Gives the replies, or the first refusal
    /// in the order of the messages. rtnetlink handles the other messages of the batch all the same;
    /// nf_tables makes all or none.
    pub fn request(&self, batch: Batch) -> Result<Vec<Reply>, Error> {
        match self.exchange(batch)? {
            (replies, false) => Ok(replies),
            (_, true) => Err(Error::Protocol {
                action: "netlink request".to_owned(),
                reason: "the kernel's list changed while it was read".to_owned(),
            }),
        }
    }

    /// Sends the one list request that `build` makes, and again while the list changes under it.
    pub fn dump(&self, build: impl Fn(&mut Batch)) -> Result<Vec<Reply>, Error> {
        for _ in 1..DUMP_ATTEMPTS {
            let mut batch = Batch::default();
            build(&mut batch);
            if let (replies, false) = self.exchange(batch)? {
                return Ok(replies);
            }
        }
        let mut batch = Batch::default();
        build(&mut batch);
        self.request(batch)
    }

    /// The replies, and whether a list was interrupted.
    fn exchange(&self, batch: Batch) -> Result<(Vec<Reply>, bool), Error> {
        let Batch {
            bytes,
            mut messages,
        } = batch;
        let action = messages
            .first()
            .map(|message| message.action.clone())
            .unwrap_or_default();
        sendto(
            self.0.as_raw_fd(),
            &bytes,
            &NetlinkAddr::new(0, 0),
            MsgFlags::empty(),
        )
        .map_err(|errno| Error::Kernel {
            action: action.into_owned(),
            errno,
        })?;
        let mut collected = Collected::default();
        while !collected.batch_refused
            && messages
                .iter()
                .any(|message| message.answered == Answered::NotYet)
        {
            let received = self
                .receive()
                .map_err(|errno| unanswered(&messages, &collected, errno))?;
            collected.read(&received, &mut messages);
        }
        match collected.refused {
            Some((place, errno)) => Err(Error::Kernel {
                action: messages.swap_remove(place).action.into_owned(),
                errno,
            }),
            None => Ok((collected.replies, collected.interrupted)),
        }
    }

    /// One datagram, without waiting: one or several messages.
    pub fn receive(&self) -> Result<Vec<u8>, Errno> {
        // The kernel never builds a larger one for us: a dump fills at most 32 KiB.
        let mut buffer = vec![0; 64 << 10];
        let length = loop {
            match recv(
                self.0.as_raw_fd(),
                &mut buffer,
                MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC,
            ) {
                Err(Errno::EINTR) => {}
                result => break result?,
            }
        };
        if length > buffer.len() {
            return Err(Errno::EMSGSIZE);
        }
        buffer.truncate(length);
        Ok(buffer)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// No answer came although one is owed. A refusal that did come explains more than that.
fn unanswered(messages: &[Pending], collected: &Collected, errno: Errno) -> Error {
    if let Some((place, errno)) = collected.refused {
        return Error::Kernel {
            action: messages[place].action.clone().into_owned(),
            errno,
        };
    }
    let waiting = messages
        .iter()
        .find(|message| message.answered == Answered::NotYet);
    let action = waiting
        .map(|message| message.action.clone())
        .unwrap_or_default()
        .into_owned();
    let reason = match errno {
        Errno::EAGAIN => "the kernel sent no acknowledgement".to_owned(),
        errno => format!("receive the acknowledgement: {}", errno.desc()),
    };
    Error::Protocol { action, reason }
}

/// What came back so far.
#[derive(Debug, Default)]
struct Collected {
    replies: Vec<Reply>,
    interrupted: bool,
    /// nfnetlink refused the batch at its opening mark; the messages behind it get no answer.
    batch_refused: bool,
    /// The first message that was refused, by its place.
    refused: Option<(usize, Errno)>,
}

impl Collected {
    fn read(&mut self, datagram: &[u8], messages: &mut [Pending]) {
        for part in Parts(datagram) {
            let Some(place) = (part.sequence as usize)
                .checked_sub(1)
                .filter(|place| *place < messages.len())
            else {
                continue;
            };
            self.interrupted |= part.flags & NLM_F_DUMP_INTR != 0;
            if part.kind != NLMSG_ERROR && part.kind != NLMSG_DONE {
                self.replies.push(Reply {
                    kind: part.kind,
                    bytes: part.payload.to_vec(),
                });
                continue;
            }
            self.batch_refused |= messages[place].answered == Answered::OnRefusal;
            messages[place].answered = Answered::Yes;
            // Both carry 0 or a negative error number first.
            let number = part
                .payload
                .first_chunk()
                .map_or(0, |bytes| i32::from_ne_bytes(*bytes));
            if number < 0 && self.refused.is_none_or(|(first, _)| place < first) {
                self.refused = Some((place, Errno::from_raw(-number)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_attributes_read_back() {
        let mut batch = Batch::default();
        batch
            .message(16, NLM_F_ACK, &[7; 16], "test")
            .string(3, "eth0")
            .nested(18, |info| {
                info.string(1, "veth").nested(2, |data| {
                    data.u32(9, 42);
                });
            })
            .u32_be(20, 5);
        let parts: Vec<Part> = Parts(&batch.bytes).collect();
        assert_eq!(parts.len(), 1);
        assert_eq!((parts[0].kind, parts[0].sequence), (16, 1));
        let attributes = Attributes(&parts[0].payload[16..]);
        assert_eq!(attributes.string(3), Some("eth0"));
        assert_eq!(attributes.nested(18).string(1), Some("veth"));
        assert_eq!(attributes.nested(18).nested(2).u32(9), Some(42));
        assert_eq!(attributes.u32_be(20), Some(5));
        assert_eq!(attributes.get(21), None);
    }

    #[test]
    fn damaged_messages_end_the_list_without_panic() {
        let mut batch = Batch::default();
        batch
            .message(16, NLM_F_ACK, &[0; 16], "test")
            .string(3, "eth0");
        for cut in 0..batch.bytes.len() {
            assert_eq!(Parts(&batch.bytes[..cut]).count(), 0);
            Attributes(&batch.bytes[..cut]).for_each(drop);
        }
        assert_eq!(Parts(&[0; 64]).count(), 0);
        assert_eq!(Attributes(&[0; 64]).count(), 0);
    }
}
