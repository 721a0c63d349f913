//! `images`: images, one line a name.

use crate::Context;
use crate::failure::{Failure, Outcome};
use crate::flags::{Check, Flag, Kind, Matches};
use crate::format::human;
use crate::format::value::Value;
use crate::query::{self, Query};

use super::ps::seconds_now;
use super::rows;

/// The flags of `images`.
pub const FLAGS: &[Flag] = &[
    Flag::switch("all", "Show the images between the layers of a build too").short('a'),
    Flag::switch("digests", "Show digests"),
    Flag::of(
        Kind::Named("filter", Check(query::check_filter)),
        "filter",
        "Show only those that match, as NAME=VALUE",
    )
    .short('f'),
    Flag::text("format", rows::FORMAT_HELP),
    Flag::switch("no-trunc", "Do not shorten IDs"),
    Flag::switch("quiet", "Show IDs only").short('q'),
    Flag::switch("tree", "Show the platforms of each image (not supported)"),
];

/// Lists images.
pub fn run(context: &Context, matches: &Matches) -> Outcome {
    if matches.switch("tree") {
        return Err(Failure::new("--tree is not supported by this client"));
    }
    let mut filters = matches.list("filter");
    filters.extend(
        matches
            .words
            .first()
            .map(|name| format!("reference={name}")),
    );
    let path = Query::new()
        .flag("all", matches.switch("all"))
        .maybe("filters", &query::filters(&filters)?)
        .on("/images/json");
    let list: Value = context.client.get_json(&path)?;
    let (full, digests, now) = (
        matches.switch("no-trunc"),
        matches.switch("digests"),
        seconds_now(),
    );
    let quiet = matches.switch("quiet");
    let format = match matches.text("format") {
        "" if !quiet => &context.configuration.images_format,
        given => given,
    };
    let with_digest = digests || format.contains(".Digest");
    let mut rows = Vec::new();
    for image in list.list() {
        for (repository, tag, digest) in names(image, with_digest) {
            rows.push(row(image, &repository, &tag, &digest, full, now));
        }
    }
    let table = if digests {
        "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
    } else {
        "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
    };
    rows::print(format, quiet, table, &headings(), &rows)
}

/// The headings of the list.
pub fn headings() -> Value {
    let fields = [
        ("ID", "IMAGE ID"),
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("Digest", "DIGEST"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("Size", "SIZE"),
        ("Containers", "CONTAINERS"),
        ("VirtualSize", "SIZE"),
        ("SharedSize", "SHARED SIZE"),
        ("UniqueSize", "UNIQUE SIZE"),
    ];
    Value::row(
        "map",
        fields
            .map(|(name, text)| (name, Value::from(text)))
            .to_vec(),
    )
}

/// (repository, tag, digest) of each line; `<none>` for what an image lacks.
fn names(image: &Value, with_digest: bool) -> Vec<(String, String, String)> {
    let none = || "<none>".to_string();
    let texts = |field: &str| -> Vec<String> {
        image
            .get(field)
            .list()
            .iter()
            .map(|name| name.text().to_string())
            .filter(|name| !name.starts_with("<none>"))
            .collect()
    };
    let digests: Vec<(String, String)> = texts("RepoDigests")
        .iter()
        .filter_map(|name| name.split_once('@'))
        .map(|(repository, digest)| (repository.to_string(), digest.to_string()))
        .collect();
    let mut lines = Vec::new();
    for name in texts("RepoTags") {
        let Some((repository, tag)) = name.rsplit_once(':') else {
            continue;
        };
        let own: Vec<&String> = digests
            .iter()
            .filter(|(other, _)| other == repository)
            .map(|(_, digest)| digest)
            .collect();
        if with_digest && !own.is_empty() {
            lines.extend(
                own.iter()
                    .map(|digest| (repository.to_string(), tag.to_string(), (*digest).clone())),
            );
        } else {
            lines.push((repository.to_string(), tag.to_string(), none()));
        }
    }
    let tagged: Vec<String> = lines
        .iter()
        .map(|(repository, ..)| repository.clone())
        .collect();
    for (repository, digest) in digests
        .into_iter()
        .filter(|(repository, _)| !tagged.contains(repository))
    {
        lines.push((repository, none(), digest));
    }
    if lines.is_empty() {
        lines.push((none(), none(), none()));
    }
    lines
}

/// The year 1, as seconds since 1970.
const GO_ZERO_TIME: i64 = -62_135_596_800;

/// A line of the list; `now` is in seconds since 1970.
pub fn row(
    image: &Value,
    repository: &str,
    tag: &str,
    digest: &str,
    full: bool,
    now: i64,
) -> Value {
    let id = image.get("Id").text();
    let hex = id.strip_prefix("sha256:").unwrap_or(id);
    let created = image.get("Created").int();
    let size = image.get("Size").int();
    // An image that does not say when it was made is of 1970; Go's zero time is the year 1.
    let since = if created != GO_ZERO_TIME {
        format!("{} ago", human::duration(now - created))
    } else {
        "N/A".to_string()
    };
    // -1 says that nobody has counted.
    let shared = match image.get("SharedSize") {
        Value::Int(bytes) if *bytes >= 0 => Some(*bytes),
        _ => None,
    };
    let counted = |bytes: Option<i64>| bytes.map_or("N/A".into(), |bytes| human::size(bytes, 4));
    let containers = match image.get("Containers") {
        Value::Int(count) if *count >= 0 => count.to_string(),
        _ => "N/A".to_string(),
    };
    Value::row(
        "*formatter.imageContext",
        vec![
            ("Containers", Value::Text(containers)),
            ("CreatedAt", Value::Text(human::go_time(created))),
            ("CreatedSince", Value::Text(since)),
            ("Digest", Value::from(digest)),
            (
                "ID",
                Value::from(if full {
                    id
                } else {
                    hex.get(..12).unwrap_or(hex)
                }),
            ),
            ("Repository", Value::from(repository)),
            ("SharedSize", Value::Text(counted(shared))),
            ("Size", Value::Text(human::size(size, 3))),
            ("Tag", Value::from(tag)),
            (
                "UniqueSize",
                Value::Text(counted(shared.map(|shared| size - shared))),
            ),
            ("VirtualSize", Value::Text(human::size(size, 4))),
        ],
    )
}
