//! Writes tar archives, the counterpart of [`crate::tape`]: POSIX ustar, with PAX records for what a header
//! cannot hold (IEEE 1003.1, "pax").
//!
//! Go's writer, and so Docker, chooses the same way: a name of more than 100 bytes or with letters beyond
//! ASCII, a large id, a large file, a time before 1970 and an extended attribute each become a record, and
//! everything else stays in the header. Times are whole seconds.

use std::io::{self, Write};

use crate::tape::{BLOCK, kind};

/// The longest name or link target in a header.
const NAME_BYTES_MAX: usize = 100;

/// One member to be written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    /// The name, without a leading slash.
    pub(crate) name: Vec<u8>,
    /// One of [`kind`].
    pub(crate) kind: u8,
    /// The target of a link.
    pub(crate) link: Vec<u8>,
    /// Permission bits.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Bytes of contents that follow.
    pub(crate) size: u64,
    /// Seconds since 1970.
    pub(crate) modified: i64,
    /// Major and minor number of a device.
    pub(crate) device: (u32, u32),
    /// Extended attributes.
    pub(crate) extended: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// A plain file of root's, of 1970.
    pub(crate) fn file(name: &str, size: u64) -> Entry {
        Entry {
            name: name.as_bytes().to_vec(),
            kind: kind::REGULAR,
            mode: 0o644,
            size,
            ..Entry::default()
        }
    }

    /// A directory of root's, of 1970.
    pub(crate) fn directory(name: &str) -> Entry {
        Entry {
            name: name.as_bytes().to_vec(),
            kind: kind::DIRECTORY,
            mode: 0o755,
            ..Entry::default()
        }
    }
}

/// Writes a member's header, after its PAX records where it needs any. Its contents and [`pad`] follow.
pub(crate) fn write_header(entry: &Entry, output: &mut dyn Write) -> io::Result<()> {
    let records = records(entry);
    if !records.is_empty() {
        let extension = Entry {
            name: b"PaxHeaders.0/member".to_vec(),
            kind: kind::PAX,
            size: records.len() as u64,
            ..Entry::default()
        };
        output.write_all(&block(&extension))?;
        output.write_all(&records)?;
        pad(records.len() as u64, output)?;
    }
    output.write_all(&block(entry))
}

/// Fills contents of this length up to a whole block.
pub(crate) fn pad(length: u64, output: &mut dyn Write) -> io::Result<()> {
    let over = (length % BLOCK as u64) as usize;
    match over {
        0 => Ok(()),
        _ => output.write_all(&[0; BLOCK][over..]),
    }
}

/// Ends an archive.
pub(crate) fn end(output: &mut dyn Write) -> io::Result<()> {
    output.write_all(&[0; 2 * BLOCK])
}

/// The PAX records that a member needs.
fn records(entry: &Entry) -> Vec<u8> {
    let mut records = Vec::new();
    let mut add = |key: &[u8], value: &[u8]| record(key, value, &mut records);
    for (key, name) in [("path", &entry.name), ("linkpath", &entry.link)] {
        if name.len() > NAME_BYTES_MAX || !name.is_ascii() {
            add(key.as_bytes(), name);
        }
    }
    let numbers = [
        ("uid", entry.uid.into(), 7),
        ("gid", entry.gid.into(), 7),
        ("size", entry.size, 11),
    ];
    for (key, number, digits) in numbers {
        if octal(number, digits).is_none() {
            add(key.as_bytes(), number.to_string().as_bytes());
        }
    }
    if header_time(entry.modified).is_none() {
        add(b"mtime", entry.modified.to_string().as_bytes());
    }
    for (name, value) in &entry.extended {
        add(&[b"SCHILY.xattr.", name.as_slice()].concat(), value);
    }
    records
}

/// `LENGTH KEY=VALUE\n`, where the length counts its own digits too.
fn record(key: &[u8], value: &[u8], records: &mut Vec<u8>) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} ").as_bytes());
    for part in [key, b"=", value, b"\n"] {
        records.extend_from_slice(part);
    }
}

/// A time as a header can hold it.
fn header_time(seconds: i64) -> Option<u64> {
    let seconds = u64::try_from(seconds).ok()?;
    octal(seconds, 11).map(|_| seconds)
}

/// A number in so many octal digits; None if it needs more.
fn octal(number: u64, digits: usize) -> Option<String> {
    let text = format!("{number:0digits$o}");
    (text.len() == digits).then_some(text)
}

/// The header. What it cannot hold stands in the records and is left out or cut here.
fn block(entry: &Entry) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |offset: usize, bytes: &[u8]| {
        block[offset..offset + bytes.len()].copy_from_slice(bytes);
    };
    let cut = |name: &[u8]| name[..name.len().min(NAME_BYTES_MAX)].to_vec();
    let number = |number: u64, digits: usize| {
        let text = octal(number, digits).unwrap_or_else(|| "0".repeat(digits));
        text.into_bytes()
    };
    put(0, &cut(&entry.name));
    put(100, &number(entry.mode.into(), 7));
    put(108, &number(entry.uid.into(), 7));
    put(116, &number(entry.gid.into(), 7));
    put(124, &number(entry.size, 11));
    put(136, &number(header_time(entry.modified).unwrap_or(0), 11));
    put(148, b"        ");
    put(156, &[entry.kind]);
    put(157, &cut(&entry.link));
    put(257, b"ustar\x0000");
    put(329, &number(entry.device.0.into(), 7));
    put(337, &number(entry.device.1.into(), 7));
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..154].copy_from_slice(&number(sum, 6));
    block[154] = 0;
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::{Member, Tape};

    fn read_back(entry: &Entry, contents: &[u8]) -> Member {
        let mut archive = Vec::new();
        write_header(entry, &mut archive).unwrap();
        archive.extend_from_slice(contents);
        pad(contents.len() as u64, &mut archive).unwrap();
        end(&mut archive).unwrap();
        assert_eq!(archive.len() % BLOCK, 0);
        let mut tape = Tape::new(archive.as_slice());
        let member = tape.next(&mut |_| Ok(())).unwrap().unwrap();
        let mut read = Vec::new();
        io::Read::read_to_end(&mut tape, &mut read).unwrap();
        assert_eq!(read, contents);
        assert_eq!(tape.next(&mut |_| Ok(())).unwrap(), None);
        member
    }

    #[test]
    fn a_plain_member_has_no_records() {
        let entry = Entry {
            uid: 1000,
            gid: 5,
            mode: 0o4755,
            modified: 1_700_000_000,
            ..Entry::file("bin/tool", 3)
        };
        assert!(records(&entry).is_empty());
        let member = read_back(&entry, b"abc");
        assert_eq!(member.name, b"bin/tool");
        assert_eq!((member.uid, member.gid, member.mode), (1000, 5, 0o4755));
        assert_eq!(member.modified, (1_700_000_000, 0));
    }

    #[test]
    fn what_a_header_cannot_hold_comes_back() {
        let long = [vec![b'd'; 90], b"/".to_vec(), vec![b'n'; 200]].concat();
        let cases = [
            Entry {
                name: long.clone(),
                link: long,
                kind: kind::SYMBOLIC_LINK,
                ..Entry::default()
            },
            Entry {
                name: "ä\n=\u{1F6A2}".into(),
                kind: kind::FIFO,
                uid: u32::MAX - 1,
                gid: 1 << 21,
                modified: -5,
                ..Entry::default()
            },
            Entry {
                name: b"cap".to_vec(),
                kind: kind::REGULAR,
                extended: vec![(b"security.capability".to_vec(), b"\x01\0\n\0=".to_vec())],
                ..Entry::default()
            },
            Entry {
                name: vec![0xFF, b'x'],
                kind: kind::CHARACTER_DEVICE,
                device: (1, 1 << 19),
                modified: 1 << 34,
                ..Entry::default()
            },
        ];
        for entry in cases {
            let member = read_back(&entry, b"");
            assert_eq!(member.name, entry.name);
            assert_eq!(member.link, entry.link);
            assert_eq!(member.kind, entry.kind);
            assert_eq!(
                (member.uid, member.gid),
                (entry.uid.into(), entry.gid.into())
            );
            assert_eq!(member.modified, (entry.modified, 0));
            assert_eq!(member.extended, entry.extended);
            assert_eq!(
                member.device,
                (entry.device.0.into(), entry.device.1.into())
            );
        }
    }

    #[test]
    fn a_records_length_counts_its_own_digits() {
        for length in 0..200 {
            let mut bytes = Vec::new();
            record(b"k", &vec![b'v'; length], &mut bytes);
            let text = String::from_utf8(bytes).unwrap();
            let said: usize = text.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(said, text.len());
        }
    }
}
