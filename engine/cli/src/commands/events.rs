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
    let format = matches.text("format");
    let parse = |source: &str| {
        Template::parse("", source)
            .map_err(|fault| Failure::new(format!("Error parsing format: {fault}")).code(64))
    };
    let template = match format {
        "" | "json" => None,
        source => Some(parse(source)?),
    };
    // A wrong template fails before the first event, not at it.
    if let Some(template) = &template {
        let actor = ("Actor".to_string(), Value::Map(Vec::new()));
        let empty = schema::apply("event", Value::Map(vec![actor]));
        template
            .execute(&empty, Options::default())
            .map_err(|fault| Failure::new(format!("Error parsing format: {fault}")).code(64))?;
    }
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
        let event: Value = serde_json::from_str(&line)
            .map_err(|error| Failure::new(format!("invalid event: {error}")))?;
        let text = match &template {
            _ if format == "json" => line.trim().to_string(),
            None => plain(&event),
            Some(template) => template
                .execute(&schema::apply("event", event), Options::default())
                .map_err(|fault| Failure::new(format!("Error parsing format: {fault}")).code(64))?,
        };
        output::line(&text)?;
    }
    Ok(0)
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
