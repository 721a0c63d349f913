//! Bodies of requests: JSON, read as Docker reads it.
//!
//! Go's decoder is lenient (keys in any case, null for a default, unknown keys ignored), and its errors have
//! texts that people look for. The body is laid over the skeleton of its type first ([`crate::shape`]), so
//! what follows sees Docker's keys and no others.

use serde_json::Value;
use serde_json::error::Category;

use crate::Error;

/// Checks the Content-Type of a request that has a body.
///
/// # Errors
/// 400 with Docker's text. A simple cross-site form cannot send JSON's type, so this also stops a web page
/// that posts to a socket it should not reach.
pub fn check_content_type(content_type: Option<&str>, has_body: bool) -> Result<(), Error> {
    match content_type {
        None if !has_body => Ok(()),
        None | Some("") => Err(Error::invalid(
            "malformed Content-Type header (): mime: no media type",
        )),
        Some(text) => {
            let kind = text.split(';').next().unwrap_or("").trim();
            if kind.eq_ignore_ascii_case("application/json") {
                return Ok(());
            }
            Err(Error::invalid(format!(
                "unsupported Content-Type header ({text}): must be 'application/json'"
            )))
        }
    }
}

/// Parses a body that must be one JSON object or null.
///
/// # Errors
/// 400 with Docker's texts; `what` is Go's name of the type, for the text on a list where an object belongs.
pub fn parse_object(body: &[u8], what: &str) -> Result<Value, Error> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::invalid(
            "invalid JSON: got EOF while reading request body",
        ));
    }
    let mut stream = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
    let value = match stream.next() {
        Some(Ok(value)) => value,
        Some(Err(error)) => return Err(syntax_error(body, &error)),
        None => return Err(Error::invalid("invalid JSON: unexpected EOF")),
    };
    let rest = &body[stream.byte_offset()..];
    if rest.iter().any(|byte| !byte.is_ascii_whitespace()) {
        return Err(Error::invalid("unexpected content after JSON"));
    }
    match kind(&value) {
        "object" | "null" => Ok(value),
        other => Err(Error::invalid(format!(
            "invalid JSON: json: cannot unmarshal {other} into Go value of type {what}"
        ))),
    }
}

/// A field of the wrong type, with as much of Go's text as the client can use.
pub fn type_error(error: &serde_json::Error) -> Error {
    Error::invalid(format!("invalid JSON: json: cannot unmarshal: {error}"))
}

/// Go's words for a syntax error.
fn syntax_error(body: &[u8], error: &serde_json::Error) -> Error {
    if error.classify() == Category::Eof {
        return Error::invalid("invalid JSON: unexpected EOF");
    }
    let line = body
        .split(|byte| *byte == b'\n')
        .nth(error.line().saturating_sub(1))
        .unwrap_or(body);
    let found = line
        .get(error.column().saturating_sub(1))
        .copied()
        .unwrap_or(b' ');
    let expected = if error.to_string().starts_with("key must be a string") {
        "looking for beginning of object key string"
    } else {
        "looking for beginning of value"
    };
    Error::invalid(format!(
        "invalid JSON: invalid character '{}' {expected}",
        char::from(found)
    ))
}

/// Go's name of a JSON kind.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Go's `strslice`: a string where a list belongs is a list of one.
pub fn string_as_list(object: &mut Value, key: &str) {
    if let Some(field) = object.get_mut(key)
        && field.is_string()
    {
        *field = Value::Array(vec![field.take()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &str) -> String {
        parse_object(body.as_bytes(), "container.CreateRequest")
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn errors_are_gos() {
        assert_eq!(
            message("{bad"),
            "invalid JSON: invalid character 'b' looking for beginning of object key string"
        );
        assert_eq!(
            message("[]"),
            "invalid JSON: json: cannot unmarshal array into Go value of type container.CreateRequest"
        );
        assert_eq!(
            message(r#"{"Image":"busybox"} trailing"#),
            "unexpected content after JSON"
        );
        assert_eq!(
            message(""),
            "invalid JSON: got EOF while reading request body"
        );
        assert_eq!(
            message(r#"{"Image":"busybox""#),
            "invalid JSON: unexpected EOF"
        );
    }

    #[test]
    fn content_types() {
        assert!(check_content_type(Some("application/json; charset=utf-8"), true).is_ok());
        assert!(check_content_type(None, false).is_ok());
        let text = check_content_type(Some("text/plain"), true)
            .unwrap_err()
            .to_string();
        assert_eq!(
            text,
            "unsupported Content-Type header (text/plain): must be 'application/json'"
        );
        assert!(check_content_type(None, true).is_err());
    }

    #[test]
    fn a_string_becomes_a_list() {
        let mut value = serde_json::json!({"Cmd": "echo hi", "Entrypoint": ["a"]});
        string_as_list(&mut value, "Cmd");
        string_as_list(&mut value, "Entrypoint");
        assert_eq!(
            value,
            serde_json::json!({"Cmd": ["echo hi"], "Entrypoint": ["a"]})
        );
    }
}
