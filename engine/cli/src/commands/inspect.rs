//! `inspect`: objects as JSON, or through a template.

use std::io::Write;

use drydock_client::Error;

use crate::failure::{Failure, Outcome};
use crate::flags::{Flag, Matches};
use crate::format::evaluator::Options;
use crate::format::parser::Template;
use crate::format::print::indent;
use crate::format::schema;
use crate::format::value::Value;
use crate::query::{Query, path_part};
use crate::{Context, output};

use super::rows;

/// The flags of `inspect`.
pub const FLAGS: &[Flag] = &[
    Flag::text("format", rows::OBJECT_FORMAT_HELP).short('f'),
    Flag::switch("size", "Show the sizes of containers").short('s'),
    Flag::text("type", "Look only at objects of this type"),
];

/// The flags of `container inspect`.
pub const CONTAINER_FLAGS: &[Flag] = &[FLAGS[0], FLAGS[1]];

/// The flags of `image inspect`.
pub const IMAGE_FLAGS: &[Flag] = &[FLAGS[0]];

/// Types of the stock client that this engine may have.
const TYPES: [(&str, &str); 4] = [
    ("container", "/containers/"),
    ("image", "/images/"),
    ("network", "/networks/"),
    ("volume", "/volumes/"),
];

/// Inspects objects of any type.
pub fn run(context: &Context, matches: &Matches) -> Outcome {
    let kind = matches.text("type");
    let known = [
        "config",
        "container",
        "image",
        "network",
        "node",
        "plugin",
        "secret",
        "service",
        "task",
        "volume",
    ];
    if matches.given("type") && !known.contains(&kind) {
        let list: Vec<String> = known.iter().map(|name| format!("{name:?}")).collect();
        let problem = if kind.is_empty() {
            "type is empty".to_string()
        } else {
            format!("unknown type: {kind:?}")
        };
        return Err(Failure::new(format!(
            "{problem}: must be one of {}",
            list.join(", ")
        )));
    }
    inspect(context, matches, kind, matches.switch("size"))
}

/// Inspects containers.
pub fn containers(context: &Context, matches: &Matches) -> Outcome {
    inspect(context, matches, "container", matches.switch("size"))
}

/// Inspects images.
pub fn images(context: &Context, matches: &Matches) -> Outcome {
    inspect(context, matches, "image", false)
}

fn inspect(context: &Context, matches: &Matches, kind: &str, size: bool) -> Outcome {
    let format = matches.text("format");
    let template =
        match format {
            "" | "json" => None,
            source => Some(Template::parse("", source).map_err(|fault| {
                Failure::new(format!("template parsing error: {fault}")).code(64)
            })?),
        };
    let (mut found, mut faults, mut text, mut unreachable) =
        (Vec::new(), Vec::new(), String::new(), false);
    for name in &matches.words {
        match fetch(context, kind, name, size) {
            Ok((kind, raw)) => match &template {
                None => found.push(raw),
                Some(template) => match execute(template, kind, &raw) {
                    Ok(line) => text.push_str(&format!("{line}\n")),
                    Err(fault) => {
                        faults.push(format!("template parsing error: {fault}"));
                        break;
                    }
                },
            },
            Err(failure) => {
                unreachable |= failure.unreachable;
                faults.push(failure.text);
            }
        }
    }
    let joined = format!("[{}]", found.join(","));
    match (template, format) {
        (Some(_), _) if text.is_empty() => text.push('\n'),
        (Some(_), _) => {}
        (None, "json") => text = format!("{joined}\n"),
        (None, _) => text = format!("{}\n", indent(&joined, "    ")),
    }
    output::stdout().write_all(text.as_bytes())?;
    if faults.is_empty() {
        return Ok(0);
    }
    Err(Failure {
        unreachable,
        ..Failure::new(faults.join("\n"))
    })
}

/// The object's JSON as the engine sent it, and its type.
fn fetch(
    context: &Context,
    kind: &str,
    name: &str,
    size: bool,
) -> Result<(&'static str, String), Failure> {
    for (known, path) in TYPES {
        if !kind.is_empty() && kind != known {
            continue;
        }
        let end = if matches!(known, "container" | "image") {
            "/json"
        } else {
            ""
        };
        let query = Query::new().flag("size", size && known == "container");
        let raw = context
            .client
            .get_bytes(&query.on(&format!("{path}{}{end}", path_part(name))));
        match raw {
            Ok(raw) => return Ok((known, String::from_utf8_lossy(&raw).trim().to_string())),
            // Without a type the next one is tried; an engine may lack a type altogether.
            Err(Error::Api {
                status: 404 | 501 | 503,
                ..
            }) if kind.is_empty() => {}
            Err(error) => return Err(error.into()),
        }
    }
    if kind.is_empty() || TYPES.iter().any(|(known, _)| *known == kind) {
        return Err(Failure::new(format!("Error: No such object: {name}")));
    }
    Err(Failure::new(format!("Error: No such {kind}: {name}")))
}

/// First as the Go struct, so that fields that were left out have their zero; where that fails, as plain JSON,
/// in which a missing key is an error.
fn execute(template: &Template, kind: &str, raw: &str) -> Result<String, String> {
    let plain: Value = serde_json::from_str(raw).map_err(|error| error.to_string())?;
    let typed = schema::apply(kind, plain.clone());
    if let Ok(text) = template.execute(&typed, Options::default())
        && typed != plain
    {
        return Ok(text);
    }
    template.execute(
        &plain,
        Options {
            missing_is_error: true,
            header: false,
        },
    )
}
