//! The heads of requests and answers, as far as they say where a message ends.

use crate::framing::{Chunked, Framing};

/// A head is not longer than this; engines refuse longer ones.
const MOST_OF_A_HEAD: usize = 1 << 20;

/// More fields than any client or engine sends.
const MOST_FIELDS: usize = 128;

/// How far a head was read.
#[derive(Debug)]
pub(crate) enum Head<T> {
    /// More of it is to come.
    Partial,
    /// It ended after so many of the new bytes.
    Complete(usize, T),
    /// It is none.
    Nonsense,
}

/// A request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Of the body; none where there is no body.
    pub(crate) framing: Option<Framing>,
    /// The connection may become a raw stream with the answer.
    pub(crate) may_be_raw: bool,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    /// As the fields say it. An answer to HEAD, a 204 and a 304 have no body all the same.
    pub(crate) framing: Framing,
}

/// Adds `bytes` to what came of a request's head.
pub(crate) fn request(buffer: &mut Vec<u8>, bytes: &[u8]) -> Head<Request> {
    let before = extend(buffer, bytes);
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(buffer) {
        Ok(httparse::Status::Complete(end)) => {
            let (method, target) = (parsed.method.unwrap_or(""), parsed.path.unwrap_or(""));
            let request = Request {
                framing: framing(parsed.headers),
                may_be_raw: field(parsed.headers, "upgrade").is_some()
                    || (method == "POST" && is_stream(target)),
                method: method.to_owned(),
                target: target.to_owned(),
            };
            Head::Complete(end - before, request)
        }
        Ok(httparse::Status::Partial) if buffer.len() < MOST_OF_A_HEAD => Head::Partial,
        _ => Head::Nonsense,
    }
}

/// Adds `bytes` to what came of an answer's head.
pub(crate) fn response(buffer: &mut Vec<u8>, bytes: &[u8]) -> Head<Response> {
    let before = extend(buffer, bytes);
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut parsed = httparse::Response::new(&mut fields);
    match parsed.parse(buffer) {
        Ok(httparse::Status::Complete(end)) => {
            let kind = field(parsed.headers, "content-type").unwrap_or("");
            let kind = kind.split(';').next().unwrap_or("").trim();
            let response = Response {
                status: parsed.code.unwrap_or(0),
                content_type: kind.to_ascii_lowercase(),
                framing: framing(parsed.headers).unwrap_or(Framing::UntilClose),
            };
            Head::Complete(end - before, response)
        }
        Ok(httparse::Status::Partial) if buffer.len() < MOST_OF_A_HEAD => Head::Partial,
        _ => Head::Nonsense,
    }
}

/// Gives the length that the buffer had.
fn extend(buffer: &mut Vec<u8>, bytes: &[u8]) -> usize {
    let before = buffer.len();
    buffer.extend_from_slice(bytes);
    before
}

/// RFC 9112, section 6.3: a transfer coding goes before a length.
fn framing(fields: &[httparse::Header]) -> Option<Framing> {
    let chunked = field(fields, "transfer-encoding")
        .is_some_and(|value| value.to_ascii_lowercase().contains("chunked"));
    if chunked {
        return Some(Framing::Chunked(Chunked::default()));
    }
    let length = field(fields, "content-length")?.trim().parse().ok()?;
    Some(Framing::Length(length))
}

fn field<'a>(fields: &[httparse::Header<'a>], name: &str) -> Option<&'a str> {
    let found = fields
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(found.value).ok()
}

/// Attaching and starting an exec make a raw stream also without an upgrade.
fn is_stream(target: &str) -> bool {
    let path = target.split('?').next().unwrap_or_default();
    path.ends_with("/attach") || (path.ends_with("/start") && path.contains("/exec/"))
}
