//! Reading what was damaged, rotated or truncated, and what Docker itself wrote.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::PathBuf,
};

use super::*;
use crate::{
    Log as Writer, Stream,
    plan::{FilePlan, Plan},
    rotation::numbered,
};

/// A log in a folder of its own, with a writer.
struct Log {
    _folder: tempfile::TempDir,
    path: PathBuf,
    format: Format,
    writer: Writer,
    next: u64,
}

impl Log {
    fn new(max_size: u64, max_file: u32) -> Log {
        Log::of(Format::Json, max_size, max_file, false)
    }

    fn of(format: Format, max_size: u64, max_file: u32, compress: bool) -> Log {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        let plan = FilePlan {
            compress,
            ..FilePlan::plain(&path, format, max_size, max_file)
        };
        Log {
            _folder: folder,
            path,
            format,
            writer: open(plan),
            next: 0,
        }
    }

    /// Writes lines `0`, `1`, …; line n has the time n.
    fn write(&mut self, count: u64) {
        for _ in 0..count {
            let line = format!("{}\n", self.next);
            self.writer
                .append(Stream::Stdout, self.next, line.as_bytes())
                .unwrap();
            while let Some(job) = self.writer.take_job() {
                job.run().unwrap();
                self.writer.job_done();
            }
            self.next += 1;
        }
    }

    fn reader(&self, options: ReadOptions) -> Reader {
        read(&self.path, self.format, &options).unwrap()
    }

    fn damage(&self, bytes: &[u8]) {
        OpenOptions::new()
            .append(true)
            .open(&self.path)
            .unwrap()
            .write_all(bytes)
            .unwrap();
    }
}

fn open(plan: FilePlan) -> Writer {
    Writer::open(&Plan::of_file(plan), None).unwrap()
}

fn numbers(entries: impl IntoIterator<Item = Entry>) -> Vec<u64> {
    entries
        .into_iter()
        .map(|entry| {
            String::from_utf8(entry.line)
                .unwrap()
                .trim()
                .parse()
                .unwrap()
        })
        .collect()
}

fn all(reader: &mut Reader) -> Vec<u64> {
    numbers(reader.map(Result::unwrap))
}

fn new(reader: &mut Reader) -> Vec<u64> {
    numbers(std::iter::from_fn(|| reader.next_new().unwrap()))
}

fn tail(count: u64) -> ReadOptions {
    ReadOptions {
        tail: Some(count),
        ..ReadOptions::default()
    }
}

#[test]
fn reads_back_what_was_written() {
    let mut log = Log::new(0, 1);
    log.writer
        .append(Stream::Stderr, 7, "é<\t\n".as_bytes())
        .unwrap();
    let entries: Vec<Entry> = log
        .reader(ReadOptions::default())
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        entries,
        [Entry {
            stream: Stream::Stderr,
            time_nanos: 7,
            line: "é<\t\n".into(),
            attributes: Vec::new(),
        }]
    );
}

#[test]
fn since_and_until_include_their_ends() {
    let mut log = Log::new(0, 1);
    log.write(10);
    let options = ReadOptions {
        since: Some(3),
        until: Some(5),
        tail: None,
    };
    let mut reader = log.reader(options);
    assert_eq!(all(&mut reader), [3, 4, 5]);
    assert!(reader.finished());
    // As on Docker, tail comes first.
    assert_eq!(
        all(&mut log.reader(ReadOptions {
            until: Some(5),
            ..tail(6)
        })),
        [4, 5]
    );
}

#[test]
fn tail_takes_the_last_ones_from_several_files() {
    let mut log = Log::new(1000, 10);
    log.write(100);
    assert!(numbered(&log.path, 3).exists());
    for count in [0, 1, 7, 40, 99, 100, 101, u64::MAX] {
        let expected: Vec<u64> = (100u64.saturating_sub(count)..100).collect();
        assert_eq!(all(&mut log.reader(tail(count))), expected, "tail {count}");
    }
}

#[test]
fn tail_crosses_blocks() {
    let mut log = Log::new(0, 1);
    log.write(5000);
    for count in [1, 700, 1000, 4999, 5000] {
        assert_eq!(
            all(&mut log.reader(tail(count))),
            (5000 - count..5000).collect::<Vec<u64>>()
        );
    }
}

/// "Reads from the end" as a number: a log with a hole of one TiB is read in no time.
#[test]
fn tail_does_not_read_the_whole_file() {
    let mut log = Log::new(0, 1);
    log.write(1);
    OpenOptions::new()
        .write(true)
        .open(&log.path)
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    log.damage(b"\n");
    log.write(3);
    assert_eq!(all(&mut log.reader(tail(3))), [1, 2, 3]);
}

#[test]
fn a_log_that_does_not_exist_is_empty_until_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.log");
    let mut reader = read(&path, Format::Json, &ReadOptions::default()).unwrap();
    assert!(reader.next().is_none());
    let mut writer = open(FilePlan::plain(&path, Format::Json, 0, 1));
    writer.append(Stream::Stdout, 1, b"5\n").unwrap();
    assert_eq!(new(&mut reader), [5]);
}

#[test]
fn the_iterator_ends_where_the_log_ended() {
    let mut log = Log::new(0, 1);
    log.write(3);
    let mut reader = log.reader(ReadOptions::default());
    log.write(3);
    assert_eq!(all(&mut reader), [0, 1, 2]);
    assert_eq!(new(&mut reader), [3, 4, 5]);
}

#[test]
fn follows_a_record_that_comes_in_two_pieces() {
    let mut log = Log::new(0, 1);
    log.write(1);
    let mut reader = log.reader(ReadOptions::default());
    let record = br#"{"log":"1\n","stream":"stdout","time":"1970-01-01T00:00:00.000000001Z"}"#;
    log.damage(&record[..30]);
    assert_eq!(new(&mut reader), [0]);
    log.damage(&record[30..]);
    assert_eq!(new(&mut reader), [0; 0]);
    log.damage(b"\n");
    assert_eq!(new(&mut reader), [1]);
    assert_eq!(reader.skipped(), Skipped::default());
}

#[test]
fn follows_across_rotation() {
    // Each step writes another amount, so rotations fall at every place: none, one, several at once.
    for max_file in [2, 3, 20] {
        let mut log = Log::new(500, max_file);
        let mut reader = log.reader(ReadOptions::default());
        let mut seen = Vec::new();
        for step in 0..40 {
            // As many lines as are sure to be in the files that are kept.
            log.write(step % if max_file == 2 { 6 } else { 11 });
            seen.extend(new(&mut reader));
        }
        assert_eq!(
            seen,
            (0..log.next).collect::<Vec<u64>>(),
            "max_file {max_file}"
        );
        assert_eq!(reader.skipped(), Skipped::default());
    }
}

/// With one file a slow reader loses what was in between, but never a line of the file it has open.
#[test]
fn a_reader_that_is_overtaken_goes_on_with_what_is_left() {
    let mut log = Log::new(500, 2);
    log.write(5);
    let mut reader = log.reader(ReadOptions::default());
    log.write(60);
    let seen = new(&mut reader);
    assert_eq!(seen[..5], [0, 1, 2, 3, 4]);
    assert_eq!(seen.last(), Some(&64));
    assert!(seen.is_sorted());
}

#[test]
fn follows_across_truncation() {
    let mut log = Log::new(0, 1);
    log.write(10);
    let mut reader = log.reader(ReadOptions::default());
    assert_eq!(new(&mut reader).len(), 10);
    fs::File::create(&log.path).unwrap();
    log.write(2);
    assert_eq!(new(&mut reader), [10, 11]);
}

/// moby#53631: Docker stops at the first of these, says nothing and ends with 0.
#[test]
fn goes_on_behind_nul_bytes() {
    // On a line of their own, glued to the next record, a record overwritten in place, and at the end.
    let mut log = Log::new(0, 1);
    log.write(2);
    log.damage(&[0; 5000]);
    log.damage(b"\n");
    log.write(2);
    log.damage(&[0; 100_000]);
    log.write(2);
    let mut bytes = fs::read(&log.path).unwrap();
    let length = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    bytes[..length].fill(0);
    bytes.extend([0; 40]);
    fs::write(&log.path, &bytes).unwrap();

    let mut reader = log.reader(ReadOptions::default());
    assert_eq!(all(&mut reader), [1, 2, 3, 4, 5]);
    assert_eq!(
        reader.skipped(),
        Skipped {
            places: 4,
            bytes: length as u64 + 105_040
        }
    );
    assert_eq!(
        all(&mut log.reader(ReadOptions {
            since: Some(3),
            ..ReadOptions::default()
        })),
        [3, 4, 5]
    );
    assert_eq!(all(&mut log.reader(tail(4))), [2, 3, 4, 5]);
}

#[test]
fn goes_on_behind_half_a_record() {
    let mut log = Log::new(0, 1);
    log.write(1);
    log.damage(b"{\"log\":\"torn\\n\",\"stre");
    log.write(1);
    log.damage(b"{\"log\":\"no time\"}\n");
    log.damage(b"not a record\n\n\n");
    log.write(1);
    let mut reader = log.reader(ReadOptions::default());
    assert_eq!(all(&mut reader), [0, 1, 2]);
    assert_eq!(
        reader.skipped(),
        Skipped {
            places: 2,
            bytes: 21 + 17 + 12
        }
    );
    assert_eq!(all(&mut log.reader(tail(2))), [1, 2]);
}

#[test]
fn output_that_looks_like_a_record_is_not_one() {
    let mut log = Log::new(0, 1);
    let fake = br#"{"log":"fake\n","stream":"stdout","time":"1970-01-01T00:00:00Z"}"#;
    log.writer
        .append(Stream::Stdout, 0, &[&fake[..], b"\n"].concat())
        .unwrap();
    // Damage the beginning of the record that carries it.
    let mut bytes = fs::read(&log.path).unwrap();
    bytes[0] = 0;
    fs::write(&log.path, bytes).unwrap();
    log.write(1);
    assert_eq!(all(&mut log.reader(ReadOptions::default())), [0]);
}

#[test]
fn damage_of_many_megabytes_needs_little_memory() {
    let mut log = Log::new(0, 1);
    log.write(1);
    log.damage(&vec![b'x'; 5 * crate::scan::MAX_RECORD + 17]);
    log.write(1);
    let mut reader = log.reader(ReadOptions::default());
    assert_eq!(all(&mut reader), [0, 1]);
    assert_eq!(
        reader.skipped().bytes,
        5 * crate::scan::MAX_RECORD as u64 + 17
    );
    assert_eq!(all(&mut log.reader(tail(1))), [1]);
}

/// Every way to cut or blank a log of three records: the others are always found.
#[test]
fn any_damage_costs_only_what_it_touches() {
    let mut log = Log::new(0, 1);
    log.write(3);
    let whole = fs::read(&log.path).unwrap();
    let mut ends: Vec<usize> = whole
        .iter()
        .enumerate()
        .filter_map(|(at, byte)| (*byte == b'\n').then_some(at + 1))
        .collect();
    ends.insert(0, 0);
    for start in 0..whole.len() {
        for length in [1, 5, ends[1] - 1, ends[1]] {
            let end = (start + length).min(whole.len());
            let mut bytes = whole.clone();
            bytes[start..end].fill(0);
            fs::write(&log.path, &bytes).unwrap();
            let seen = all(&mut log.reader(ReadOptions::default()));
            // The newline belongs to the record: without it the next one is glued on and this one unreadable.
            let untouched =
                (0..3).filter(|&number| start >= ends[number + 1] || end <= ends[number]);
            assert_eq!(
                seen,
                untouched.map(|number| number as u64).collect::<Vec<u64>>(),
                "{start}..{end}"
            );
        }
    }
}

/// The driver `local`, and both formats compressed, read like plain `json-file`.
#[test]
fn every_format_is_read_alike() {
    for (format, compress) in [
        (Format::Json, true),
        (Format::Local, false),
        (Format::Local, true),
    ] {
        let mut log = Log::of(format, 500, 4, compress);
        let mut follower = log.reader(ReadOptions::default());
        let mut seen = Vec::new();
        for step in 0..60 {
            log.write(step % 9);
            seen.extend(new(&mut follower));
        }
        let what = format!("{format:?}, compressed {compress}");
        assert_eq!(seen, (0..log.next).collect::<Vec<u64>>(), "{what}");
        assert_eq!(follower.skipped(), Skipped::default());
        let oldest = numbered(&log.path, 3);
        assert_eq!(
            (
                oldest.exists(),
                crate::compress::compressed(&oldest).exists()
            ),
            (!compress, compress),
            "{what}"
        );
        assert!(!numbered(&log.path, 4).exists());
        let kept = all(&mut log.reader(ReadOptions::default()));
        assert!(kept.len() > 10 && kept.is_sorted() && kept.last() == Some(&(log.next - 1)));
        for count in [0, 1, 7, kept.len() as u64 - 1, kept.len() as u64, u64::MAX] {
            let first = kept.len() - usize::try_from(count).unwrap_or(usize::MAX).min(kept.len());
            assert_eq!(
                all(&mut log.reader(tail(count))),
                kept[first..],
                "{what}, tail {count}"
            );
        }
        // Line n has the time n: what is older need not be unpacked.
        let since = ReadOptions {
            since: Some(log.next - 3),
            ..ReadOptions::default()
        };
        assert_eq!(
            all(&mut log.reader(since)),
            (log.next - 3..log.next).collect::<Vec<u64>>(),
            "{what}"
        );
    }
}

/// Every way to cut or blank a log of `local`: the other records are always found.
#[test]
fn damage_in_local_costs_only_what_it_touches() {
    let mut log = Log::of(Format::Local, 0, 1, false);
    let mut ends = vec![0];
    for _ in 0..3 {
        log.write(1);
        ends.push(fs::metadata(&log.path).unwrap().len() as usize);
    }
    let whole = fs::read(&log.path).unwrap();
    for start in 0..whole.len() {
        for length in [1, 5, ends[1]] {
            let end = (start + length).min(whole.len());
            let mut bytes = whole.clone();
            bytes[start..end].fill(0);
            fs::write(&log.path, &bytes).unwrap();
            // A blank in the line itself is no damage that anybody could tell.
            let lines = |options| -> Vec<Vec<u8>> {
                log.reader(options)
                    .map(|entry| entry.unwrap().line)
                    .collect()
            };
            let seen = lines(ReadOptions::default());
            for number in (0..3).filter(|&number| start >= ends[number + 1] || end <= ends[number])
            {
                let line = format!("{number}\n").into_bytes();
                assert!(seen.contains(&line), "{start}..{end}: {seen:?}");
            }
            assert_eq!(lines(tail(1)).last(), seen.last(), "{start}..{end}");
        }
    }
}

/// The container writes a lot more than it may keep: the disk holds what the options say, and one record more
/// for each file.
#[test]
fn a_chatty_container_stays_within_its_files() {
    for (format, compress) in [(Format::Json, false), (Format::Local, true)] {
        let mut log = Log::of(format, 20_000, 3, compress);
        let chunk = b"0123456789\n".repeat(6000);
        for _ in 0..8 {
            log.writer.append(Stream::Stdout, 1, &chunk).unwrap();
            assert_eq!(
                log.writer.take_job(),
                None,
                "small files are compressed at once"
            );
        }
        let files: Vec<u64> = fs::read_dir(log.path.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .collect();
        assert_eq!(files.len(), 3, "{files:?}");
        assert!(files.iter().all(|size| *size < 20_200), "{files:?}");
    }
}

/// Until the last rotation is compressed there is no other one, and the log says that it is full.
#[test]
fn a_compression_that_is_slow_makes_the_container_wait() {
    let mut log = Log::of(Format::Json, 300_000, 3, true);
    let chunk = b"0123456789\n".repeat(10_000);
    log.writer.append(Stream::Stdout, 1, &chunk).unwrap();
    let job = log.writer.take_job().expect("the first rotation is due");
    assert_eq!(log.writer.take_job(), None);
    assert!(log.writer.is_full());
    assert!(numbered(&log.path, 1).exists() && !numbered(&log.path, 2).exists());
    job.run().unwrap();
    log.writer.job_done();
    assert!(!log.writer.is_full());
    log.writer.append(Stream::Stdout, 1, &chunk).unwrap();
    assert!(crate::compress::compressed(&numbered(&log.path, 2)).exists());
}
