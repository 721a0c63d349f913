//! What is written, byte for byte, and what happens when it cannot be.

use std::{fs, os::unix::fs::PermissionsExt};

use super::*;
use crate::{Log, Stream, plan::Plan};

/// A log of `json-file`.
fn json(path: &Path, max_size: u64, max_file: u32) -> Log {
    let plan = FilePlan::plain(path, Format::Json, max_size, max_file);
    Log::open(&Plan::of_file(plan), None).unwrap()
}

fn output(path: &Path) -> Output {
    Output::open(&FilePlan::plain(path, Format::Json, 0, 1)).unwrap()
}

fn piece(bytes: &[u8]) -> Piece<'_> {
    Piece {
        stream: Stream::Stdout,
        time: NOON,
        bytes,
        part: None,
    }
}
const NOON: u64 = 1_795_262_400_500_000_000;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn writes_dockers_lines_with_dockers_mode() {
    let folder = folder();
    let path = folder.path().join("x.log");
    let mut writer = json(&path, 0, 1);
    writer.append(Stream::Stdout, NOON, b"one\ntw").unwrap();
    writer.append(Stream::Stderr, NOON + 1, b"half").unwrap();
    writer.append(Stream::Stdout, NOON + 2, b"o\n").unwrap();
    writer.finish().unwrap();
    assert_eq!(
        lines(&path),
        [
            r#"{"log":"one\n","stream":"stdout","time":"2026-11-21T12:00:00.5Z"}"#,
            r#"{"log":"two\n","stream":"stdout","time":"2026-11-21T12:00:00.500000002Z"}"#,
            r#"{"log":"half","stream":"stderr","time":"2026-11-21T12:00:00.500000001Z"}"#,
        ]
    );
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o640
    );
}

#[test]
fn an_existing_log_goes_on() {
    let folder = folder();
    let path = folder.path().join("x.log");
    for text in ["first\n", "second\n"] {
        json(&path, 0, 1)
            .append(Stream::Stdout, NOON, text.as_bytes())
            .unwrap();
    }
    assert_eq!(lines(&path).len(), 2);
}

#[test]
fn a_torn_end_is_closed_before_the_next_record() {
    let folder = folder();
    let path = folder.path().join("x.log");
    fs::write(&path, b"{\"log\":\"to\0\0\0").unwrap();
    let mut writer = json(&path, 0, 1);
    writer.append(Stream::Stdout, NOON, b"a\n").unwrap();
    writer.append(Stream::Stdout, NOON, b"b\n").unwrap();
    let lines = lines(&path);
    assert_eq!(lines.len(), 3);
    assert!(lines[1].starts_with(r#"{"log":"a\n""#) && lines[2].starts_with(r#"{"log":"b\n""#));
}

/// The numbers are those of a real Docker 28.5 with `max-size=1k max-file=3` and the same 80 lines.
#[test]
fn rotates_where_docker_rotates() {
    let folder = folder();
    let path = folder.path().join("x.log");
    let mut writer = json(&path, 1000, 3);
    for number in 1..=80 {
        // A time of nine digits, as nearly all are.
        writer
            .append(
                Stream::Stdout,
                NOON + 1,
                format!("line {number}\n").as_bytes(),
            )
            .unwrap();
    }
    let first = |path: &Path| lines(path)[0].clone();
    assert!(first(&rotation::numbered(&path, 2)).contains("line 53\\n"));
    assert!(first(&rotation::numbered(&path, 1)).contains("line 66\\n"));
    assert!(first(&path).contains("line 79\\n"));
    assert!(!rotation::numbered(&path, 3).exists());
    assert!(fs::metadata(rotation::numbered(&path, 1)).unwrap().len() >= 1000);
}

#[test]
fn rotates_inside_one_chunk() {
    let folder = folder();
    let path = folder.path().join("x.log");
    let mut writer = json(&path, 1000, 5);
    let chunk: String = (1..=40).map(|number| format!("line {number}\n")).collect();
    writer
        .append(Stream::Stdout, NOON + 1, chunk.as_bytes())
        .unwrap();
    let total: usize = (1..5)
        .map(|number| lines(&rotation::numbered(&path, number)).len())
        .sum();
    assert_eq!(total + lines(&path).len(), 40);
    assert!(fs::metadata(rotation::numbered(&path, 1)).unwrap().len() < 1100);
}

#[test]
fn one_file_is_replaced_and_not_cut_short() {
    let folder = folder();
    let path = folder.path().join("x.log");
    let mut writer = json(&path, 100, 1);
    writer.append(Stream::Stdout, NOON, &[b'x'; 120]).unwrap();
    writer.append(Stream::Stdout, NOON, b"\n").unwrap();
    let reader_side = File::open(&path).unwrap();
    writer.append(Stream::Stdout, NOON, b"new\n").unwrap();
    assert!(
        reader_side.metadata().unwrap().len() > 120,
        "the old file is whole for who has it open"
    );
    assert_eq!(lines(&path).len(), 1);
    assert!(!rotation::numbered(&path, 1).exists());
}

#[test]
fn a_file_emptied_by_hand_has_room_again() {
    let folder = folder();
    let path = folder.path().join("x.log");
    let mut writer = json(&path, 1000, 2);
    writer
        .append(Stream::Stdout, NOON, &"12345678\n".repeat(20).into_bytes())
        .unwrap();
    File::create(&path).unwrap();
    writer.append(Stream::Stdout, NOON, b"after\n").unwrap();
    assert_eq!(lines(&path).len(), 1);
}

#[test]
fn a_failed_rotation_is_told_and_loses_nothing() {
    let folder = folder();
    let path = folder.path().join("x.log");
    let mut writer = json(&path, 10, 2);
    writer.append(Stream::Stdout, NOON, b"one\n").unwrap();
    // A folder in the way cannot be replaced by a rename.
    fs::create_dir(rotation::numbered(&path, 1)).unwrap();
    let error = writer.append(Stream::Stdout, NOON, b"two\n").unwrap_err();
    assert!(
        error.to_string().starts_with("rotate log file /"),
        "{error}"
    );
    assert_eq!(lines(&path).len(), 2);
    fs::remove_dir(rotation::numbered(&path, 1)).unwrap();
    writer.append(Stream::Stdout, NOON, b"three\n").unwrap();
    assert_eq!(
        (
            lines(&path).len(),
            lines(&rotation::numbered(&path, 1)).len()
        ),
        (1, 2)
    );
}

/// /dev/full takes no byte, so nothing may be counted as written and the next file must be right.
#[test]
fn a_full_disk_is_told() {
    let mut output = output(&folder().path().join("x.log"));
    output.file = OpenOptions::new().append(true).open("/dev/full").unwrap();
    output.record(&piece(b"lost\n"), "");
    output.flush();
    let error = output.outcome().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    assert_eq!(
        (output.size, output.torn, output.batch.len()),
        (0, false, 0)
    );
    output.flush();
    assert!(output.outcome().is_ok(), "an error is told once");
}

#[test]
fn half_a_record_is_cut_off_again() {
    let folder = folder();
    let path = folder.path().join("x.log");
    let mut output = output(&path);
    for text in ["whole\n", "half\n"] {
        output.record(&piece(text.as_bytes()), "");
    }
    // As if the disk had filled ten bytes before the end.
    let written = output.batch.len() - 10;
    output.file.write_all(&output.batch[..written]).unwrap();
    output
        .cut_back(written, io::ErrorKind::StorageFull.into())
        .unwrap_err();
    assert_eq!(lines(&path).len(), 1);
    assert_eq!(output.size, fs::metadata(&path).unwrap().len());
}
