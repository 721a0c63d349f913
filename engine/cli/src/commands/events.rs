//! `events`: what happens in the engine, as it happens.

use std::io::{BufRead, BufReader};

use drydock_client::{Body, Method};

use crate::failure::{Failure, Outcome};
use crate::flags::{Check, Flag, Kind, Matches};
use crate::format::evaluator::Options;
use crate::format::human;
use crate::format::parser::Template;
use crate::format::schema;
use crate::format::value::Value;
use crate::query::{self, Query};
use crate::{Context, output};

use super::{logs, rows};

/// The flags of `events`.
pub const FLAGS: &[Flag] = &[
    Flag::of(
        Kind::Named("filter", Check(query::check_filter)),
        "filter",
        "Show only those that match, as NAME=VALUE",
    )
    .short('f'),
    Flag::text("format", rows::OBJECT_FORMAT_HELP),
    Flag::text("since", "Show those since a time or an age"),
    Flag::text("until", "End at a time or an age"),
];

/// Prints events until the engine ends the stream.
pub fn run(context: &Context, matches: &Matches) -> Outcome {
    let format = Format::parse(matches.text("format"))?;
    let path = Query::new()
        .maybe("since", &logs::timestamp(matches.text("since"))?)
        .maybe("until", &logs::timestamp(matches.text("until"))?)
        .maybe("filters", &query::filters(&matches.list("filter"))?)
        .on("/events");
    let response = context
        .client
        .request(Method::Get, &path, &[], Body::Empty)?;
    for line in BufReader::new(response).lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let text = format.text(line.trim())?;
        output::line(&text)?;
    }
    Ok(0)
}

/// How an event becomes a line.
enum Format {
    /// For people.
    Plain,
    /// As the engine sent it.
    Json,
    /// By a template of the user.
    Template(Template),
}

impl Format {
    /// Reads the flag's value. A wrong template fails here, before the first event, and not at it.
    fn parse(source: &str) -> Result<Format, Failure> {
        let format = match source {
            "" => Format::Plain,
            "json" => Format::Json,
            source => Format::Template(Template::parse("", source).map_err(fault)?),
        };
        format.text(r#"{"Actor":{}}"#)?;
        Ok(format)
    }

    /// The line for an event, which is `json` of one line.
    fn text(&self, json: &str) -> Result<String, Failure> {
        if let Format::Json = self {
            return Ok(json.to_string());
        }
        let event: Value = serde_json::from_str(json)
            .map_err(|error| Failure::new(format!("invalid event: {error}")))?;
        match self {
            Format::Template(template) => template
                .execute(&schema::apply("event", event), Options::default())
                .map_err(fault),
            _ => Ok(plain(&event)),
        }
    }
}

/// Docker ends with 64, EX_USAGE of sysexits(3), when a template is wrong.
fn fault(problem: String) -> Failure {
    Failure::new(format!("Error parsing format: {problem}")).code(64)
}

/// `TIME TYPE ACTION ID (name=value, …)`.
fn plain(event: &Value) -> String {
    let time = match (event.get("timeNano").int(), event.get("time").int()) {
        (0, seconds) => seconds * 1_000_000_000,
        (nanos, _) => nanos,
    };
    let actor = event.get("Actor");
    let mut attributes: Vec<String> = actor
        .get("Attributes")
        .entries()
        .iter()
        .map(|(key, value)| format!("{key}={}", value.text()))
        .collect();
    attributes.sort();
    let tail = if attributes.is_empty() {
        String::new()
    } else {
        format!(" ({})", attributes.join(", "))
    };
    let (kind, action, id) = (
        event.get("Type").text(),
        event.get("Action").text(),
        actor.get("ID").text(),
    );
    format!("{} {kind} {action} {id}{tail}", human::nano_time(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"status":"start","id":"7f","from":"busybox","Type":"container","Action":"start","Actor":{"ID":"7f","Attributes":{"image":"busybox","name":"web"}},"scope":"local","time":7,"timeNano":7000000001}"#;

    #[test]
    fn templates_reach_the_attributes_of_the_actor() {
        for (template, text) in [
            (r#"{{index .Actor.Attributes "name"}}"#, "web"),
            (
                r#"{{.Actor.Attributes.image}} {{.ID}} {{.Action}}"#,
                "busybox 7f start",
            ),
            (r#"{{index .Actor.Attributes "none"}}."#, "."),
            (
                "{{json .Actor}}",
                r#"{"ID":"7f","Attributes":{"image":"busybox","name":"web"}}"#,
            ),
        ] {
            let format = Format::parse(template).unwrap_or_else(|_| panic!("{template}"));
            assert_eq!(format.text(EVENT).ok().as_deref(), Some(text), "{template}");
        }
    }

    #[test]
    fn a_wrong_template_fails_before_the_first_event() {
        for template in ["{{.Nosuch}}", "{{.Actor.Nosuch}}", "{{.Type"] {
            assert!(Format::parse(template).is_err(), "{template}");
        }
    }

    #[test]
    fn without_a_template_it_is_for_people_or_json() {
        let plain = Format::parse("").and_then(|format| format.text(EVENT));
        let tail = " container start 7f (image=busybox, name=web)";
        assert!(plain.is_ok_and(|text| text.ends_with(tail)));
        let json = Format::parse("json").and_then(|format| format.text(EVENT));
        assert_eq!(json.ok().as_deref(), Some(EVENT));
    }
}
