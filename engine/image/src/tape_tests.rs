//! Tests of the tar reader, against archives that the `tar` crate writes and some that no tool would.

use super::*;
use tar::{Builder, EntryType, Header};

/// A member's header with valid checksum.
fn header(name: &[u8], kind: u8, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(EntryType::new(kind));
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(1);
    header.set_gid(2);
    header.set_mtime(3);
    header.set_cksum();
    header
}

/// A member as it stands in an archive.
fn member(name: &[u8], kind: u8, contents: &[u8]) -> Vec<u8> {
    let mut bytes = header(name, kind, contents.len() as u64)
        .as_bytes()
        .to_vec();
    bytes.extend_from_slice(contents);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut text = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let length = (rest + 1..)
            .find(|length| rest + length.to_string().len() == *length)
            .unwrap();
        text.extend_from_slice(format!("{length} {key}=").as_bytes());
        text.extend_from_slice(value);
        text.push(b'\n');
    }
    member(b"PaxHeaders/x", kind::PAX, &text)
}

/// All members with their contents, and the recorded bytes.
#[allow(clippy::type_complexity)]
fn read(archive: &[u8]) -> io::Result<(Vec<(Member, Vec<u8>)>, Vec<u8>)> {
    let (mut members, mut recorded) = (Vec::new(), Vec::new());
    let mut tape = Tape::new(archive);
    while let Some(member) = tape.next(&mut |bytes| {
        recorded.extend_from_slice(bytes);
        Ok(())
    })? {
        let mut contents = Vec::new();
        tape.read_to_end(&mut contents)?;
        members.push((member, contents));
    }
    tape.finish(&mut |bytes| {
        recorded.extend_from_slice(bytes);
        Ok(())
    })?;
    Ok((members, recorded))
}

fn names(archive: &[u8]) -> Vec<String> {
    read(archive)
        .unwrap()
        .0
        .iter()
        .map(|(member, _)| String::from_utf8_lossy(&member.name).into_owned())
        .collect()
}

#[test]
fn members_and_contents() {
    let archive = [
        member(b"a", b'0', b"hello"),
        member(b"d/", b'5', b""),
        vec![0; 1024],
    ]
    .concat();
    let (members, recorded) = read(&archive).unwrap();
    assert_eq!(members.len(), 2);
    let (first, contents) = &members[0];
    assert_eq!(
        (first.name.as_slice(), contents.as_slice()),
        (&b"a"[..], &b"hello"[..])
    );
    assert_eq!(
        (first.uid, first.gid, first.mode, first.modified),
        (1, 2, 0o644, (3, 0))
    );
    assert_eq!(members[1].0.kind, kind::DIRECTORY);
    // Everything but the five bytes of contents.
    assert_eq!(recorded.len(), archive.len() - 5);
}

#[test]
fn contents_that_nobody_reads_are_recorded() {
    let archive = [member(b"a", b'0', b"hello"), member(b"b", b'0', b"x")].concat();
    let mut recorded = Vec::new();
    let mut tape = Tape::new(&archive[..]);
    while tape
        .next(&mut |bytes| {
            recorded.extend_from_slice(bytes);
            Ok(())
        })
        .unwrap()
        .is_some()
    {}
    assert_eq!(recorded, archive);
}

#[test]
fn long_names_of_all_kinds() {
    let long = "directory/".repeat(30) + "file";
    let mut builder = Builder::new(Vec::new());
    let mut gnu = Header::new_gnu();
    gnu.set_size(0);
    builder.append_data(&mut gnu, &long, io::empty()).unwrap();
    assert_eq!(names(&builder.into_inner().unwrap())[0], long);

    let archive = [
        pax(&[("path", long.as_bytes())]),
        member(b"short", b'0', b""),
    ]
    .concat();
    assert_eq!(names(&archive), [long]);

    let mut ustar = header(b"name", b'0', 0);
    ustar.as_ustar_mut().unwrap().prefix[..6].copy_from_slice(b"prefix");
    ustar.set_cksum();
    assert_eq!(names(ustar.as_bytes()), ["prefix/name"]);
}

#[test]
fn pax_records_override_the_header() {
    let records: [(&str, &[u8]); 7] = [
        ("size", b"5"),
        ("uid", b"3000000000"),
        ("gid", b"7"),
        ("mtime", b"-1.5"),
        ("linkpath", b"target"),
        // File capabilities are bytes, and a newline is one of them.
        ("SCHILY.xattr.security.capability", b"\x01\0\0\x02\n\n\0\0"),
        ("comment", b"=\n="),
    ];
    let mut file = header(b"f", b'0', 0).as_bytes().to_vec();
    file.extend_from_slice(b"hello");
    file.resize(1024, 0);
    let archive = [pax(&records), file, member(b"g", b'0', b"")].concat();
    let (members, _) = read(&archive).unwrap();
    let (first, contents) = &members[0];
    assert_eq!(contents, b"hello");
    assert_eq!((first.uid, first.gid), (3_000_000_000, 7));
    assert_eq!(first.modified, (-1, 500_000_000));
    assert_eq!(first.link, b"target");
    assert_eq!(
        first.extended,
        [(
            b"security.capability".to_vec(),
            b"\x01\0\0\x02\n\n\0\0".to_vec()
        )]
    );
    // And they hold for one member only.
    assert_eq!((members[1].0.uid, members[1].0.extended.len()), (1, 0));
}

#[test]
fn global_headers_are_passed_over() {
    let archive = [
        member(b"g", kind::PAX_GLOBAL, b"12 comment=x\n"),
        member(b"a", b'0', b""),
    ]
    .concat();
    assert_eq!(names(&archive), ["a"]);
}

#[test]
fn a_hard_link_has_no_contents_whatever_its_size_says() {
    let mut link = header(b"l", kind::HARD_LINK, 5000);
    link.set_link_name("a").unwrap();
    link.set_cksum();
    let archive = [
        member(b"a", b'0', b"x"),
        link.as_bytes().to_vec(),
        member(b"b", b'0', b""),
    ]
    .concat();
    assert_eq!(names(&archive), ["a", "l", "b"]);
}

#[test]
fn old_archives() {
    // Before POSIX: type 0, and a directory is a name with a slash at its end.
    let archive = [member(b"d/", 0, b""), member(b"f", 0, b"x")].concat();
    let kinds: Vec<u8> = read(&archive)
        .unwrap()
        .0
        .iter()
        .map(|(member, _)| member.kind)
        .collect();
    assert_eq!(kinds, [kind::DIRECTORY, kind::REGULAR]);
}

#[test]
fn numbers() {
    assert_eq!(number(b"0000644\0").unwrap(), 0o644);
    assert_eq!(number(b"   644 \0").unwrap(), 0o644);
    assert_eq!(number(b"\0\0\0\0\0\0\0\0").unwrap(), 0);
    assert_eq!(number(b"        ").unwrap(), 0);
    assert_eq!(number(b"\x80\0\0\0\0\0\x01\0").unwrap(), 256);
    for wrong in [
        &b"\xff\xff\xff\xff\xff\xff\xff\xff"[..],
        b"0000648\0",
        b"-1\0",
        b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        assert!(number(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn sparse_files() {
    let mut sparse = Header::new_gnu();
    sparse.set_entry_type(EntryType::GNUSparse);
    sparse.set_path("s").unwrap();
    sparse.set_size(4);
    {
        let gnu = sparse.as_gnu_mut().unwrap();
        gnu.set_real_size(1000);
        gnu.sparse[0].set_offset(0);
        gnu.sparse[0].set_length(2);
        gnu.sparse[1].set_offset(500);
        gnu.sparse[1].set_length(2);
    }
    sparse.set_cksum();
    let mut archive = sparse.as_bytes().to_vec();
    archive.extend_from_slice(b"abcd");
    archive.resize(1024, 0);
    let (members, _) = read(&archive).unwrap();
    assert_eq!(members[0].0.sparse, Some((1000, vec![(0, 2), (500, 2)])));
    assert_eq!(members[0].1, b"abcd");

    // Pieces that overlap, lie outside, or are not what is stored.
    for (offset, length, whole) in [(1, 2, 1000), (999, 2, 1000), (500, 3, 1000), (500, 2, 501)] {
        let gnu = sparse.as_gnu_mut().unwrap();
        gnu.set_real_size(whole);
        gnu.sparse[1].set_offset(offset);
        gnu.sparse[1].set_length(length);
        sparse.set_cksum();
        archive[..BLOCK].copy_from_slice(sparse.as_bytes());
        assert!(read(&archive).is_err(), "{offset} {length} {whole}");
    }
}

#[test]
fn damaged_archives_in_dockers_words() {
    let whole = [
        pax(&[("path", b"long")]),
        member(b"a", b'0', &[7; 700]),
        vec![0; 1024],
    ]
    .concat();
    assert!(read(&whole).is_ok());
    for length in 1..whole.len() - 1024 {
        let result = read(&whole[..length]);
        // Cut between two members it is an archive without an end mark, which Docker takes.
        let error = result.expect_err(&format!("cut at {length}"));
        assert_eq!(error.to_string(), "unexpected EOF", "cut at {length}");
    }
    assert!(read(&whole[..whole.len() - 1024]).is_ok());
    assert!(read(&[]).unwrap().0.is_empty());
    let invalid: [Vec<u8>; 8] = [
        vec![b'x'; 512],
        whole
            .iter()
            .enumerate()
            .map(|(index, byte)| if index == 3 { byte ^ 1 } else { *byte })
            .collect(),
        [member(b"p", kind::PAX, b"5 a=b\n"), member(b"a", b'0', b"")].concat(),
        [member(b"p", kind::PAX, b"a=b\n"), member(b"a", b'0', b"")].concat(),
        [
            member(b"p", kind::PAX, b"99999999999999999999 a=b\n"),
            member(b"a", b'0', b""),
        ]
        .concat(),
        [pax(&[("path", b"a\0b")]), member(b"a", b'0', b"")].concat(),
        [pax(&[("size", b"+5")]), member(b"a", b'0', b"")].concat(),
        [pax(&[("mtime", b"now")]), member(b"a", b'0', b"")].concat(),
    ];
    for (index, archive) in invalid.iter().enumerate() {
        assert_eq!(
            read(archive).unwrap_err().to_string(),
            "archive/tar: invalid tar header",
            "case {index}"
        );
    }
    // An extension of nothing.
    assert_eq!(
        read(&pax(&[("path", b"x")])).unwrap_err().to_string(),
        "unexpected EOF"
    );
}

#[test]
fn headers_are_bounded() {
    /// A header that promises a gigabyte of PAX records, and as many bytes as one wants.
    struct Endless(Vec<u8>);
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                buffer.fill(b'x');
                return Ok(buffer.len());
            }
            let count = buffer.len().min(self.0.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0.drain(..count);
            Ok(count)
        }
    }
    for extension in [kind::PAX, kind::GNU_LONG_NAME, kind::GNU_LONG_LINK] {
        let mut tape = Tape::new(Endless(
            header(b"p", extension, 1 << 30).as_bytes().to_vec(),
        ));
        let error = tape.next(&mut |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("bytes of headers"), "{error}");
    }
}

/// Changed archives must end in a result or an error: no panic, no endless loop, no wrong byte count.
#[test]
fn random_changes() {
    let whole = [
        pax(&[("path", b"long"), ("SCHILY.xattr.user.a", b"\n")]),
        member(b"a", b'0', &[7; 700]),
        member(b"l", b'1', b""),
        member(b"L", kind::GNU_LONG_NAME, &[b'n'; 300]),
        member(b"s", kind::GNU_SPARSE, b"data"),
        vec![0; 1024],
    ]
    .concat();
    let mut state = 1u64;
    let mut random = |below: usize| {
        // Knuth's linear congruential generator: repeatable, and good enough to spread changes.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for _ in 0..5_000 {
        let mut changed = whole.clone();
        for _ in 0..=random(3) {
            let block = random(changed.len() / BLOCK) * BLOCK;
            changed[block + random(BLOCK)] = random(256) as u8;
            // Make the checksum right again, so that the change gets further than that.
            if let Ok(bytes) = <[u8; BLOCK]>::try_from(&changed[block..block + BLOCK]) {
                let sum: u64 = bytes[..148]
                    .iter()
                    .chain(b"        ")
                    .chain(&bytes[156..])
                    .map(|byte| u64::from(*byte))
                    .sum();
                changed[block + 148..block + 156]
                    .copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        changed.truncate(changed.len() - random(600));
        if let Ok((members, recorded)) = read(&changed) {
            let contents: usize = members.iter().map(|(_, contents)| contents.len()).sum();
            assert_eq!(contents + recorded.len(), changed.len());
        }
    }
}
