//! Query strings, escaped as Go's `url.QueryEscape` does.

use serde_json::{Map, Value, json};

/// Escapes one value.
pub fn escape(text: &str) -> String {
    let mut result = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                result.push(char::from(byte))
            }
            b' ' => result.push('+'),
            _ => result.push_str(&format!("%{byte:02X}")),
        }
    }
    result
}

/// Escapes a name in a path. It may hold anything the user typed; the slashes, colons and at signs of image
/// names stay, as the stock client sends them.
pub fn path_part(text: &str) -> String {
    escape(text)
        .replace('+', "%20")
        .replace("%2F", "/")
        .replace("%3A", ":")
        .replace("%40", "@")
}

/// A query under construction.
#[derive(Debug, Default)]
pub struct Query(String);

impl Query {
    /// An empty one.
    pub fn new() -> Query {
        Query::default()
    }

    /// Adds `name=value`.
    pub fn set(mut self, name: &str, value: &str) -> Query {
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        self.0.push_str(&format!("{name}={}", escape(value)));
        self
    }

    /// Adds `name=1` where `yes`.
    pub fn flag(self, name: &str, yes: bool) -> Query {
        if yes { self.set(name, "1") } else { self }
    }

    /// Adds `name=value` unless the value is empty.
    pub fn maybe(self, name: &str, value: &str) -> Query {
        if value.is_empty() {
            self
        } else {
            self.set(name, value)
        }
    }

    /// `?a=1&b=2` behind a path.
    pub fn on(self, path: &str) -> String {
        format!("{path}{}", self.0)
    }
}

/// Checks one `--filter`.
pub fn check_filter(text: &str) -> Result<(), String> {
    if text.contains('=') {
        Ok(())
    } else {
        Err("bad format of filter (expected name=value)".to_string())
    }
}

/// `--filter name=value` as the API's `{"name":{"value":true}}`.
pub fn filters(list: &[String]) -> Result<String, String> {
    let mut map: Map<String, Value> = Map::new();
    for text in list {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| format!("invalid filter '{text}'"))?;
        let entry = map
            .entry(name.trim().to_lowercase())
            .or_insert_with(|| json!({}));
        if let Value::Object(values) = entry {
            values.insert(value.trim().to_string(), json!(true));
        }
    }
    Ok(if map.is_empty() {
        String::new()
    } else {
        Value::Object(map).to_string()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_as_go_does() {
        assert_eq!(escape("a b/ü:~"), "a+b%2F%C3%BC%3A~");
        assert_eq!(path_part("a b"), "a%20b");
        assert_eq!(
            Query::new()
                .set("name", "x y")
                .flag("all", true)
                .flag("no", false)
                .maybe("m", "")
                .on("/p"),
            "/p?name=x+y&all=1"
        );
    }

    #[test]
    fn filters_collect_values() {
        let list = [
            "label=a=b".to_string(),
            "status=exited".to_string(),
            "status=paused".to_string(),
        ];
        let text = filters(&list).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value,
            json!({"label": {"a=b": true}, "status": {"exited": true, "paused": true}})
        );
        assert!(filters(&["x".to_string()]).is_err());
    }
}
