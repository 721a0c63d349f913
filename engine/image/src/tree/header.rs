//! Writes tar archives: POSIX ustar headers, with PAX records for what does not fit (tar(5), "pax").
//!
//! Numbers and names go into the ustar header where they fit, as Go's writer does it in PAX format: old tools
//! read the archive, and one of ordinary files is byte for byte what they expect.

use std::io::{self, Write};

use crate::tape::kind;

const BLOCK: usize = 512;

/// The highest number that seven octal digits hold: owners and devices.
const SEVEN_DIGITS: u64 = 0o7_777_777;
/// The highest number that eleven octal digits hold: sizes and times.
const ELEVEN_DIGITS: u64 = 0o77_777_777_777;

/// What a header says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a [u8],
    pub(super) kind: u8,
    /// The target of a link.
    pub(super) link: &'a [u8],
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    /// Bytes of contents that follow.
    pub(super) size: u64,
    /// Seconds since 1970.
    pub(super) modified: i64,
    /// Major and minor number.
    pub(super) device: (u32, u32),
    /// The extended attribute `security.capability`.
    pub(super) capability: Option<&'a [u8]>,
}

/// Writes the header of a member, and before it its PAX records where it needs some.
pub(super) fn write(output: &mut impl Write, entry: &Entry<'_>) -> io::Result<()> {
    let records = records(entry);
    if !records.is_empty() {
        let described = Entry {
            name: b"PaxHeaders.0/member",
            kind: kind::PAX,
            mode: 0o644,
            size: records.len() as u64,
            ..Entry::default()
        };
        output.write_all(&block(&described))?;
        output.write_all(&records)?;
        pad(output, records.len() as u64)?;
    }
    output.write_all(&block(entry))
}

/// Fills contents of this size up to a whole block.
pub(super) fn pad(output: &mut impl Write, size: u64) -> io::Result<()> {
    let rest = (size % BLOCK as u64) as usize;
    match rest {
        0 => Ok(()),
        rest => output.write_all(&[0; BLOCK][rest..]),
    }
}

/// The end of an archive.
pub(super) fn end(output: &mut impl Write) -> io::Result<()> {
    output.write_all(&[0; 2 * BLOCK])
}

fn records(entry: &Entry<'_>) -> Vec<u8> {
    let mut records = Vec::new();
    let fits = |text: &[u8]| text.len() <= 100 && text.is_ascii();
    if !fits(entry.name) {
        record(&mut records, "path", entry.name);
    }
    if !fits(entry.link) {
        record(&mut records, "linkpath", entry.link);
    }
    let mut number = |key, value: u64, most| {
        if value > most {
            record(&mut records, key, value.to_string().as_bytes());
        }
    };
    number("uid", entry.owner.0.into(), SEVEN_DIGITS);
    number("gid", entry.owner.1.into(), SEVEN_DIGITS);
    number("size", entry.size, ELEVEN_DIGITS);
    if !(0..=ELEVEN_DIGITS as i64).contains(&entry.modified) {
        record(&mut records, "mtime", entry.modified.to_string().as_bytes());
    }
    if let Some(value) = entry.capability {
        record(&mut records, "SCHILY.xattr.security.capability", value);
    }
    records
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself.
fn record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while rest + digits(length) != length {
        length = rest + digits(length);
    }
    records.extend_from_slice(format!("{length} {key}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn digits(number: usize) -> usize {
    number.to_string().len()
}

fn block(entry: &Entry<'_>) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let text = |field: &mut [u8], text: &[u8]| {
        // What is cut here stands whole in the PAX records.
        let length = text.len().min(field.len());
        field[..length].copy_from_slice(&text[..length]);
    };
    let octal = |field: &mut [u8], value: u64| {
        let width = field.len() - 1;
        let most = 8u64.pow(width as u32) - 1;
        let value = if value > most { 0 } else { value };
        field[..width].copy_from_slice(format!("{value:0width$o}").as_bytes());
    };
    text(&mut block[..100], entry.name);
    octal(&mut block[100..108], (entry.mode & 0o7777).into());
    octal(&mut block[108..116], entry.owner.0.into());
    octal(&mut block[116..124], entry.owner.1.into());
    octal(&mut block[124..136], entry.size);
    octal(
        &mut block[136..148],
        u64::try_from(entry.modified).unwrap_or(0),
    );
    block[156] = entry.kind;
    text(&mut block[157..257], entry.link);
    block[257..265].copy_from_slice(b"ustar\x0000");
    octal(&mut block[329..337], entry.device.0.into());
    octal(&mut block[337..345], entry.device.1.into());
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::{Member, Tape};

    fn round(entry: &Entry<'_>) -> Member {
        let mut bytes = Vec::new();
        write(&mut bytes, entry).unwrap();
        assert_eq!(bytes.len() % BLOCK, 0);
        end(&mut bytes).unwrap();
        let mut tape = Tape::new(&bytes[..]);
        tape.next(&mut |_| Ok(())).unwrap().unwrap()
    }

    #[test]
    fn what_fits_needs_no_records() {
        let entry = Entry {
            name: &[b'n'; 100],
            kind: kind::CHARACTER_DEVICE,
            mode: 0o104755,
            owner: (SEVEN_DIGITS as u32, 5),
            modified: ELEVEN_DIGITS as i64,
            device: (1, 3),
            ..Entry::default()
        };
        assert!(records(&entry).is_empty());
        let member = round(&entry);
        assert_eq!((member.name, member.mode), (vec![b'n'; 100], 0o4755));
        assert_eq!(
            (member.uid, member.gid, member.device),
            (SEVEN_DIGITS, 5, (1, 3))
        );
        assert_eq!(member.modified.0, ELEVEN_DIGITS as i64);
    }

    #[test]
    fn what_does_not_fit_has_records() {
        let (name, link) = (vec![b'n'; 3000], "ü".as_bytes());
        let member = round(&Entry {
            name: &name,
            kind: kind::SYMBOLIC_LINK,
            link,
            owner: (u32::MAX - 1, SEVEN_DIGITS as u32 + 1),
            modified: -5,
            capability: Some(b"a\nb\0"),
            ..Entry::default()
        });
        assert_eq!((&member.name[..], &member.link[..]), (&name[..], link));
        assert_eq!(
            (member.uid, member.gid),
            (u64::from(u32::MAX) - 1, SEVEN_DIGITS + 1)
        );
        assert_eq!(member.modified.0, -5);
        assert_eq!(
            member.extended,
            [(b"security.capability".to_vec(), b"a\nb\0".to_vec())]
        );
        let size = ELEVEN_DIGITS + 1;
        let member = round(&Entry {
            name: b"big",
            kind: kind::REGULAR,
            size,
            ..Entry::default()
        });
        assert_eq!(member.size, size);
    }

    #[test]
    fn a_record_counts_its_own_length() {
        for length in [0, 80, 88, 89, 90, 980, 985, 990, 9_985, 9_990] {
            let mut records = Vec::new();
            record(&mut records, "path", &vec![b'x'; length]);
            let stated: usize =
                std::str::from_utf8(records.split(|byte| *byte == b' ').next().unwrap())
                    .unwrap()
                    .parse()
                    .unwrap();
            assert_eq!(stated, records.len(), "{length}");
        }
    }
}
