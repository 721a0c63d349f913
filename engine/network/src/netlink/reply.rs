//! Reading what the kernel sends: messages and their attributes (netlink(7)).
//!
//! Nothing here trusts a length: a damaged message ends the list.

/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;
/// The bits of an attribute's type that are not flags.
const NLA_TYPE_MASK: u16 = 0x3fff;

/// A message from the kernel that is no acknowledgement.
#[derive(Debug)]
pub struct Reply {
    /// The type, as `RTM_NEWLINK`.
    pub kind: u16,
    pub(super) bytes: Vec<u8>,
}

impl Reply {
    /// The fixed part, if the message is that long.
    pub fn header<const LENGTH: usize>(&self) -> Option<&[u8; LENGTH]> {
        self.bytes.first_chunk()
    }

    /// The attributes behind a fixed part of `header` bytes.
    pub fn attributes(&self, header: usize) -> Attributes<'_> {
        Attributes(self.bytes.get(header..).unwrap_or_default())
    }
}

/// Attributes in the order the kernel wrote them, as (type without flags, value).
#[derive(Clone, Debug)]
pub struct Attributes<'bytes>(pub &'bytes [u8]);

impl<'bytes> Attributes<'bytes> {
    /// The value of the first attribute of a type.
    pub fn get(&self, kind: u16) -> Option<&'bytes [u8]> {
        self.clone()
            .find(|(found, _)| *found == kind)
            .map(|(_, value)| value)
    }

    /// A number in the host's byte order.
    pub fn u32(&self, kind: u16) -> Option<u32> {
        Some(u32::from_ne_bytes(*self.get(kind)?.first_chunk()?))
    }

    /// A number in network byte order.
    pub fn u32_be(&self, kind: u16) -> Option<u32> {
        Some(u32::from_be_bytes(*self.get(kind)?.first_chunk()?))
    }

    /// A string, up to its NUL.
    pub fn string(&self, kind: u16) -> Option<&'bytes str> {
        std::str::from_utf8(until_nul(self.get(kind)?)).ok()
    }

    /// The attributes inside an attribute; none if it is not there.
    pub fn nested(&self, kind: u16) -> Attributes<'bytes> {
        Attributes(self.get(kind).unwrap_or_default())
    }
}

impl<'bytes> Iterator for Attributes<'bytes> {
    type Item = (u16, &'bytes [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16::from_ne_bytes(*self.0.first_chunk()?));
        let kind = u16::from_ne_bytes(*self.0.get(2..)?.first_chunk()?);
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & NLA_TYPE_MASK, value))
    }
}

/// The bytes before the first NUL, all if there is none.
pub fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// One message of a datagram.
#[derive(Debug)]
pub struct Part<'bytes> {
    /// The type, as `RTM_NEWLINK`.
    pub kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    /// All behind `struct nlmsghdr`.
    pub payload: &'bytes [u8],
}

/// The messages of a datagram.
#[derive(Debug)]
pub struct Parts<'bytes>(pub &'bytes [u8]);

impl<'bytes> Iterator for Parts<'bytes> {
    type Item = Part<'bytes>;

    fn next(&mut self) -> Option<Part<'bytes>> {
        let length = u32::from_ne_bytes(*self.0.first_chunk()?) as usize;
        let message = self.0.get(..length)?;
        let payload = message.get(HEADER..)?;
        let part = Part {
            kind: u16::from_ne_bytes([message[4], message[5]]),
            flags: u16::from_ne_bytes([message[6], message[7]]),
            sequence: u32::from_ne_bytes([message[8], message[9], message[10], message[11]]),
            payload,
        };
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(part)
    }
}
