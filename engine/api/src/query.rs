//! The query string of a request, read as Docker reads it.
//!
//! Docker's booleans are lenient (everything but `0`, `no`, `false`, `none` and nothing is true), its numbers
//! are strict, and an error in a number has Go's text.

use crate::Error;
use crate::time::{self, Moment};

/// The parameters of a request, in their order; a name may come more than once.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what follows the `?`.
    pub fn parse(text: &str) -> Query {
        let pairs = text.split('&').filter(|part| !part.is_empty());
        Query(
            pairs
                .map(|part| {
                    let (name, value) = part.split_once('=').unwrap_or((part, ""));
                    (decode(name, true), decode(value, true))
                })
                .collect(),
        )
    }

    /// The first value of a parameter; empty when it is missing.
    pub fn get(&self, name: &str) -> &str {
        self.find(name).unwrap_or("")
    }

    /// The first value of a parameter.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// All values of a parameter.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.0
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
            .collect()
    }

    /// Docker's boolean.
    pub fn boolean(&self, name: &str) -> bool {
        self.boolean_or(name, false)
    }

    /// Docker's boolean, with another value for a missing parameter.
    pub fn boolean_or(&self, name: &str, default: bool) -> bool {
        match self.find(name) {
            None => default,
            Some(value) => {
                let value = value.trim().to_ascii_lowercase();
                !matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
            }
        }
    }

    /// A whole number, None when missing or empty.
    ///
    /// # Errors
    /// 500 with Go's text, as Docker.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, Error> {
        match self.get(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Error::system(format!("strconv.Atoi: parsing \"{text}\": invalid syntax"))
            }),
        }
    }

    /// A moment as `seconds[.nanoseconds]`, None when missing or empty.
    ///
    /// # Errors
    /// 500 with Go's text, as Docker.
    pub fn moment(&self, name: &str) -> Result<Option<Moment>, Error> {
        match self.get(name) {
            "" => Ok(None),
            text => time::parse_moment(text).map(Some),
        }
    }
}

/// Percent-decodes; `plus` turns `+` into a space, as in a query. Bytes that are no UTF-8 are replaced.
pub fn decode(text: &str, plus: bool) -> String {
    let bytes = text.as_bytes();
    let mut output = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let escaped = (bytes[index] == b'%')
            .then(|| bytes.get(index + 1..index + 3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped {
            Some(byte) => {
                output.push(byte);
                index += 3;
            }
            None => {
                output.push(if plus && bytes[index] == b'+' {
                    b' '
                } else {
                    bytes[index]
                });
                index += 1;
            }
        }
    }
    String::from_utf8_lossy(&output).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_dockers() {
        let query = Query::parse("a=1&b=0&c=no&d=False&e=none&f=&g&h=yes&i=%20true");
        let truth: Vec<bool> = "abcdefghij"
            .chars()
            .map(|name| query.boolean(&name.to_string()))
            .collect();
        assert_eq!(
            truth,
            [
                true, false, false, false, false, false, false, true, true, false
            ]
        );
        assert!(query.boolean_or("missing", true));
    }

    #[test]
    fn values_are_decoded_and_repeat() {
        let query = Query::parse("changes=CMD+sh&changes=ENV%20A%3Db&bad=%zz");
        assert_eq!(query.all("changes"), ["CMD sh", "ENV A=b"]);
        assert_eq!(query.get("bad"), "%zz");
    }

    #[test]
    fn numbers_fail_with_gos_text() {
        let query = Query::parse("t=x&u=7");
        assert_eq!(query.integer("u"), Ok(Some(7)));
        assert_eq!(query.integer("none"), Ok(None));
        assert_eq!(
            query.integer("t"),
            Err(Error::system("strconv.Atoi: parsing \"x\": invalid syntax"))
        );
    }
}
