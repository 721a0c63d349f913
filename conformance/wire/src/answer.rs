//! One answer against the description of its route.

use serde_json::{Deserializer, Value};

use crate::description::{Description, Route};
use crate::recording::Exchange;
use crate::schema::Schema;
use crate::validate;

/// The oldest version of the API that is compared. 1.50 and 1.51 differ in no answer that a route of containers,
/// images, networks or volumes gives; before 1.50, engines add fields to images that are gone since.
const OLDEST: (u32, u32) = (1, 50);

/// The definition of all errors.
const ERROR: &str = "ErrorResponse";

/// Something that an answer has and the description has not, or the other way round.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The route, as [`Route::name`]; for paths without a route, `(no route)`.
    pub route: String,
    /// Where in the body: a JSON pointer in which `*` stands for any entry. Empty for the body as a whole.
    pub pointer: String,
    /// Which kind: `null`, `unknown field`, `missing`, `type`, `value`, `format`, `range`, `status 409`,
    /// `content type`, `not JSON`, `no body`, `more than one value`.
    pub what: String,
    /// What is there and what is described.
    pub detail: String,
}

/// What came of looking at an exchange.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// There was no answer.
    Unanswered,
    /// The engine says that it has no such part yet.
    NotBuilt,
    /// The request asks for a version that the description is not about.
    OtherVersion,
    /// Looked at. The flag tells whether there was a body to look at.
    Looked(bool, Vec<Finding>),
}

/// The words with which an engine says that a part of it is not there yet.
const NOT_BUILT_YET: &str = "not built yet";

/// The name of what has no route.
pub(crate) const NO_ROUTE: &str = "(no route)";

/// Looks at one exchange.
pub(crate) fn judge(
    description: &Description,
    route: Option<&Route>,
    exchange: &Exchange,
) -> Verdict {
    let Some(status) = exchange.status else {
        return Verdict::Unanswered;
    };
    // Docker answers with 501 too, for the logs of a container that keeps none.
    let said = || String::from_utf8_lossy(&exchange.body).contains(NOT_BUILT_YET);
    if status == 501 && (exchange.method == "HEAD" || said()) {
        return Verdict::NotBuilt;
    }
    if exchange
        .version()
        .is_some_and(|version| version < OLDEST || version > description.version())
    {
        return Verdict::OtherVersion;
    }
    let mut look = Look {
        description,
        route: route.map_or(NO_ROUTE, |route| &route.name),
        stream: route.is_some_and(|route| route.stream),
        findings: Vec::new(),
    };
    let answer = route.and_then(|route| route.answers.get(&status));
    if let (Some(route), None) = (route, answer) {
        let known: Vec<String> = route.answers.keys().map(u16::to_string).collect();
        let detail = format!("described are {}", known.join(", "));
        look.found("", &format!("status {status}"), detail);
    }
    let schema = match answer {
        Some(answer) => answer.schema.as_ref(),
        None if status >= 400 => description.definition(ERROR),
        None => None,
    };
    let bodiless = exchange.raw || exchange.method == "HEAD" || matches!(status, 204 | 304);
    let looked = match schema.filter(|_| !bodiless) {
        Some(schema) => look.body(schema, exchange),
        None => false,
    };
    Verdict::Looked(looked, look.findings)
}

struct Look<'a> {
    description: &'a Description,
    route: &'a str,
    stream: bool,
    findings: Vec<Finding>,
}

impl Look<'_> {
    fn found(&mut self, pointer: &str, what: &str, detail: String) {
        self.findings.push(Finding {
            route: self.route.to_owned(),
            pointer: pointer.to_owned(),
            what: what.to_owned(),
            detail,
        });
    }

    /// False when there was nothing to compare.
    fn body(&mut self, schema: &Schema, exchange: &Exchange) -> bool {
        let json = exchange.content_type.contains("json");
        if !json && self.is_text(schema) {
            return false;
        }
        if exchange.length == 0 {
            // A stream may have nothing to say.
            if !self.stream && !exchange.cut {
                self.found("", "no body", "a body is described".to_owned());
            }
            return !exchange.cut;
        }
        if exchange.content_type != "application/json" {
            let detail = format!("`{}`, not application/json", exchange.content_type);
            self.found("", "content type", detail);
            if !json && exchange.body.is_empty() {
                return false;
            }
        }
        self.values(schema, exchange)
    }

    fn values(&mut self, schema: &Schema, exchange: &Exchange) -> bool {
        let mut count = 0;
        for value in Deserializer::from_slice(&exchange.body).into_iter::<Value>() {
            match value {
                Ok(value) => {
                    count += 1;
                    self.value(schema, &value);
                }
                // The rest was not recorded.
                Err(error) if error.is_eof() && !exchange.is_whole() => return count > 0,
                Err(error) => {
                    let text = String::from_utf8_lossy(&exchange.body);
                    let start: String = text.chars().take(60).collect();
                    self.found("", "not JSON", format!("{error}: {start}"));
                    return true;
                }
            }
        }
        if count > 1 && !self.stream {
            let detail = format!("{count} JSON values, one is described");
            self.found("", "more than one value", detail);
        }
        true
    }

    fn value(&mut self, schema: &Schema, value: &Value) {
        for fault in validate::faults(self.description, schema, value) {
            self.found(&fault.pointer, fault.what, fault.detail);
        }
    }

    /// Raw streams, archives and `OK` are described as a string without being JSON.
    fn is_text(&self, schema: &Schema) -> bool {
        self.description
            .leaves(schema)
            .iter()
            .any(|leaf| leaf.kind.as_deref() == Some("string"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(line: &str, status: u16, body: &str) -> Exchange {
        let (method, target) = line.split_once(' ').unwrap();
        Exchange {
            method: method.into(),
            target: target.into(),
            status: Some(status),
            content_type: "application/json".into(),
            body: body.into(),
            length: body.len() as u64,
            ..Exchange::default()
        }
    }

    fn look(exchange: &Exchange) -> Verdict {
        let description = Description::docker().unwrap();
        let route = description.route(&exchange.method, exchange.path());
        judge(description, route, exchange)
    }

    fn found(exchange: &Exchange) -> Vec<String> {
        match look(exchange) {
            Verdict::Looked(_, findings) => findings
                .iter()
                .map(|finding| format!("{} {}", finding.pointer, finding.what))
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn bodies_are_compared() {
        assert_eq!(found(&exchange("GET /containers/json", 200, "[]")), [""; 0]);
        assert_eq!(
            found(&exchange(
                "GET /v1.51/containers/json",
                200,
                r#"[{"Id":1}]"#
            )),
            ["/*/Id type"]
        );
        let twice = exchange("GET /version", 200, "{}{}");
        assert_eq!(found(&twice).last().unwrap(), " more than one value");
        assert_eq!(found(&exchange("GET /info", 200, "{")), [" not JSON"]);
        assert_eq!(found(&exchange("GET /info", 200, "")), [" no body"]);
    }

    #[test]
    fn streams_have_many_values_and_may_be_cut() {
        let event = r#"{"Type":"container","Action":"die"}"#;
        let mut exchange = exchange("GET /events", 200, &format!("{event}\n{event}\n{{\"Ty"));
        assert_eq!(found(&exchange), [" not JSON"]);
        exchange.cut = true;
        assert_eq!(found(&exchange), [""; 0]);
        exchange.body = br#"{"Type":"container"}{"Type":"planet"}"#.to_vec();
        assert_eq!(found(&exchange), ["/Type value"]);
    }

    #[test]
    fn errors_have_a_message() {
        let nothing = r#"{"message":"no such container"}"#;
        assert_eq!(
            found(&exchange("GET /containers/a/json", 404, nothing)),
            [""; 0]
        );
        let line = "GET /containers/a/json";
        assert_eq!(
            found(&exchange(line, 404, r#"{"error":"x"}"#)),
            ["/message missing", "/error unknown field"]
        );
        assert_eq!(found(&exchange(line, 418, nothing)), [" status 418"]);
        assert_eq!(found(&exchange("GET /nonsense", 404, nothing)), [""; 0]);
        assert_eq!(
            found(&exchange("GET /nonsense", 404, "{}")),
            ["/message missing"]
        );
        let mut text = exchange(line, 404, "no such container");
        text.content_type = "text/plain".into();
        assert_eq!(found(&text), [" content type", " not JSON"]);
    }

    #[test]
    fn bodies_that_are_no_json_are_left_alone() {
        let mut logs = exchange("GET /containers/a/logs", 200, "\u{1}...");
        logs.content_type = "application/vnd.docker.multiplexed-stream".into();
        assert!(matches!(look(&logs), Verdict::Looked(false, findings) if findings.is_empty()));
        assert_eq!(
            found(&exchange("HEAD /containers/a/archive", 404, "")),
            [""; 0]
        );
        assert_eq!(
            found(&exchange("POST /containers/a/start", 304, "")),
            [""; 0]
        );
    }

    #[test]
    fn what_is_not_compared() {
        let older = exchange("GET /v1.49/info", 200, "{}");
        assert!(matches!(look(&older), Verdict::OtherVersion));
        let newer = exchange("GET /v1.52/info", 400, "{}");
        assert!(matches!(look(&newer), Verdict::OtherVersion));
        let later = exchange(
            "GET /volumes",
            501,
            r#"{"message":"volumes: not built yet"}"#,
        );
        assert!(matches!(look(&later), Verdict::NotBuilt));
        let none = r#"{"message":"configured logging driver does not support reading"}"#;
        assert_eq!(
            found(&exchange("GET /containers/a/logs", 501, none)),
            [" status 501"]
        );
        let never = Exchange {
            status: None,
            ..later
        };
        assert!(matches!(look(&never), Verdict::Unanswered));
    }
}
