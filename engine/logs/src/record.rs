//! One record as text: a line of output becomes a JSON object, and back.
//!
//! The escapes are exactly those of Docker's own encoder (seen on a real file of Docker 28): `\n`, `\r`, `\"`
//! and `\\` by name; every other control character, also tab, as `\u0009`; `<`, `>` and `&` as `\u003c` and so
//! on, a habit of Go's encoder; U+2028 and U+2029 escaped; each byte that is not valid UTF-8 as `\ufffd`.
//! DEL (0x7f) and all other characters stand as they are.

use std::{collections::BTreeMap, io};

use drydock_defects::defect;
use serde::Deserialize;

use crate::{Entry, Stream, time};

/// How a byte goes into a JSON string.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// As it is.
    Plain,
    /// A backslash and this byte.
    Short(u8),
    /// `\u00XX`.
    Control,
    /// First byte of a character of two to four bytes, or no character at all.
    Beyond,
}

const CLASSES: [Class; 256] = classes();

const fn classes() -> [Class; 256] {
    let mut table = [Class::Plain; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'\n' => Class::Short(b'n'),
            b'\r' => Class::Short(b'r'),
            b'"' => Class::Short(b'"'),
            b'\\' => Class::Short(b'\\'),
            b'<' | b'>' | b'&' | 0..=0x1f => Class::Control,
            0x80.. => Class::Beyond,
            _ => Class::Plain,
        };
        byte += 1;
    }
    table
}

/// Appends one record to `out`. `time` is RFC 3339 text, `attributes` a JSON object or empty.
pub(crate) fn encode(out: &mut Vec<u8>, stream: Stream, time: &str, line: &[u8], attributes: &str) {
    out.extend_from_slice(b"{\"log\":\"");
    escape(out, line);
    out.extend_from_slice(b"\",\"stream\":\"");
    out.extend_from_slice(stream.name().as_bytes());
    out.push(b'"');
    if !attributes.is_empty() && !defect!("log-attributes-lost") {
        out.extend_from_slice(b",\"attrs\":");
        out.extend_from_slice(attributes.as_bytes());
    }
    out.extend_from_slice(b",\"time\":\"");
    out.extend_from_slice(time.as_bytes());
    out.extend_from_slice(b"\"}\n");
}

/// A text as a JSON string with these escapes, in its quotes.
pub fn json_string(text: &str) -> String {
    let mut out = vec![b'"'];
    escape(&mut out, text.as_bytes());
    out.push(b'"');
    // What was UTF-8 stays it.
    String::from_utf8_lossy(&out).into_owned()
}

pub(crate) fn escape(out: &mut Vec<u8>, line: &[u8]) {
    let mut rest = line;
    while !rest.is_empty() {
        let plain = rest
            .iter()
            .position(|&byte| CLASSES[usize::from(byte)] != Class::Plain)
            .unwrap_or(rest.len());
        out.extend_from_slice(&rest[..plain]);
        rest = &rest[plain..];
        let Some(&byte) = rest.first() else { return };
        match CLASSES[usize::from(byte)] {
            Class::Plain => {}
            Class::Short(letter) => out.extend_from_slice(&[b'\\', letter]),
            Class::Control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
            Class::Beyond => {
                let run = rest.iter().take_while(|byte| **byte >= 0x80).count();
                escape_beyond_ascii(out, &rest[..run]);
                rest = &rest[run..];
                continue;
            }
        }
        rest = &rest[1..];
    }
}

/// A run of bytes above 0x7f: characters of UTF-8, or not.
fn escape_beyond_ascii(out: &mut Vec<u8>, run: &[u8]) {
    for chunk in run.utf8_chunks() {
        let mut valid = chunk.valid();
        while let Some(at) = valid.find(['\u{2028}', '\u{2029}']) {
            out.extend_from_slice(&valid.as_bytes()[..at]);
            let separator = &valid[at..at + '\u{2028}'.len_utf8()];
            out.extend_from_slice(if separator == "\u{2028}" {
                b"\\u2028"
            } else {
                b"\\u2029"
            });
            valid = &valid[at + separator.len()..];
        }
        out.extend_from_slice(valid.as_bytes());
        // Go replaces byte by byte, so a character that was cut after three bytes becomes three signs.
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

/// What is read from a record; unknown keys are skipped.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(default)]
    log: String,
    #[serde(borrow)]
    stream: &'a str,
    #[serde(default)]
    attrs: BTreeMap<String, String>,
    #[serde(borrow)]
    time: &'a str,
}

/// Reads one record, without its newline. None if it is damaged.
pub(crate) fn decode(text: &[u8]) -> Option<Entry> {
    let wire: Wire<'_> = serde_json::from_slice(text).ok()?;
    let stream = match wire.stream {
        "stdout" => Stream::Stdout,
        "stderr" => Stream::Stderr,
        _ => return None,
    };
    Some(Entry {
        stream,
        time_nanos: time::parse_rfc3339(wire.time)?,
        line: wire.log.into_bytes(),
        attributes: wire.attrs.into_iter().collect(),
    })
}

/// The file's name in an error of the operating system: "open log file /x: permission denied".
pub(crate) fn name_error(action: &str, path: &std::path::Path, error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("{action} log file {}: {error}", path.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(line: &[u8]) -> String {
        let mut out = Vec::new();
        encode(
            &mut out,
            Stream::Stdout,
            "2026-11-21T06:56:02.332049137Z",
            line,
            "",
        );
        String::from_utf8(out).expect("records are UTF-8")
    }

    /// Taken from the log file of a container on Docker 28.5 that wrote exactly these bytes.
    #[test]
    fn escapes_as_docker_does() {
        assert_eq!(
            encoded(
                b"a<b>&c\"\\\t\t|\x01\x08\x0c\x1b\x7f|\x80\xff|\xe2\x80\xa8|\xe2\x80|\xc3\xa9\r\n"
            ),
            concat!(
                r#"{"log":"a\u003cb\u003e\u0026c\"\\\u0009\u0009|\u0001\u0008\u000c\u001b"#,
                "\x7f",
                r"|\ufffd\ufffd|\u2028|\ufffd\ufffd|é\r\n",
                r#"","stream":"stdout","time":"2026-11-21T06:56:02.332049137Z"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn what_is_text_comes_back_unchanged() {
        let every_character: String = (0..0x3000)
            .chain(0x1F600..0x1F650)
            .filter_map(char::from_u32)
            .collect();
        let text = encoded(every_character.as_bytes());
        let entry = decode(text.trim_end_matches('\n').as_bytes()).expect("a good record");
        assert_eq!(entry.line, every_character.as_bytes());
        assert_eq!(text.matches('\n').count(), 1, "a record is one line");
    }

    #[test]
    fn refuses_damaged_records() {
        for damaged in [
            &b"{\"log\":\"abc"[..],
            b"{\"log\":\"abc\0\0\",\"stream\":\"stdout\",\"time\":\"2026-11-21T06:56:02Z\"}",
            b"{\"log\":\"a\",\"stream\":\"stdin\",\"time\":\"2026-11-21T06:56:02Z\"}",
            b"{\"log\":\"a\",\"stream\":\"stdout\",\"time\":\"yesterday\"}",
            b"{\"log\":\"a\",\"stream\":\"stdout\"}",
            b"{}",
            b"",
        ] {
            assert_eq!(
                decode(damaged),
                None,
                "{}",
                String::from_utf8_lossy(damaged)
            );
        }
    }

    #[test]
    fn reads_records_with_attributes() {
        let entry = decode(
            br#"{"log":"x\n","stream":"stderr","attrs":{"tag":"web"},"time":"2026-11-21T06:56:02.5Z"}"#,
        );
        assert_eq!(
            entry.map(|entry| (entry.stream, entry.line, entry.attributes)),
            Some((
                Stream::Stderr,
                b"x\n".to_vec(),
                vec![("tag".to_owned(), "web".to_owned())]
            ))
        );
        let mut out = Vec::new();
        let attributes = format!("{{\"a\":{}}}", json_string("<b>\""));
        encode(
            &mut out,
            Stream::Stdout,
            "2026-11-21T06:56:02Z",
            b"x\n",
            &attributes,
        );
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"{"log":"x\n","stream":"stdout","attrs":{"a":"\u003cb\u003e\""},"time":"2026-11-21T06:56:02Z"}"#,
                "\n"
            )
        );
    }
}
