//! `container prune`, `image prune` and `system prune`: remove what is not in use, after a question.

use std::io::{BufRead, Write};

use crate::failure::{Failure, Outcome};
use crate::flags::{Check, Flag, Kind, Matches};
use crate::format::human;
use crate::format::value::Value;
use crate::query::{self, Query};
use crate::{Context, output};

const FILTER: Flag = Flag::of(
    Kind::Named("filter", Check(query::check_filter)),
    "filter",
    "Remove only those that match, as NAME=VALUE (label, until)",
);
const FORCE: Flag = Flag::switch("force", "Do not ask").short('f');

/// The flags of `container prune`.
pub const FLAGS: &[Flag] = &[FILTER, FORCE];

/// The flags of `image prune`.
pub const IMAGES: &[Flag] = &[
    Flag::switch("all", "Remove also those that have a name").short('a'),
    FILTER,
    FORCE,
];

/// The flags of `system prune`.
pub const SYSTEM: &[Flag] = &[
    Flag::switch("all", "Remove also unused images that have a name").short('a'),
    FILTER,
    FORCE,
    Flag::switch("volumes", "Remove unused volumes without a name too"),
];

/// One kind of object that can be pruned.
struct Part {
    path: &'static str,
    /// What stands above the list of what went.
    title: &'static str,
    /// The list in the answer.
    list: &'static str,
}

const CONTAINERS: Part = Part {
    path: "/containers/prune",
    title: "Deleted Containers:",
    list: "ContainersDeleted",
};
const NETWORKS: Part = Part {
    path: "/networks/prune",
    title: "Deleted Networks:",
    list: "NetworksDeleted",
};
const VOLUMES: Part = Part {
    path: "/volumes/prune",
    title: "Deleted Volumes:",
    list: "VolumesDeleted",
};
const IMAGE: Part = Part {
    path: "/images/prune",
    title: "Deleted Images:",
    list: "ImagesDeleted",
};
const BUILDS: Part = Part {
    path: "/build/prune",
    title: "Deleted build cache objects:",
    list: "CachesDeleted",
};

/// Removes all containers that do not run.
pub fn containers(context: &Context, matches: &Matches) -> Outcome {
    let warning = "This will remove all stopped containers.";
    if !matches.switch("force") && !agreed(warning)? {
        return Ok(0);
    }
    let reclaimed = prune(context, &CONTAINERS, &matches.list("filter"))?;
    total(reclaimed)
}

/// Removes images that nothing uses.
pub fn images(context: &Context, matches: &Matches) -> Outcome {
    let all = matches.switch("all");
    let warning = if all {
        "This will remove all images without at least one container associated to them."
    } else {
        "This will remove all dangling images."
    };
    if !matches.switch("force") && !agreed(warning)? {
        return Ok(0);
    }
    let reclaimed = prune(context, &IMAGE, &image_filters(matches))?;
    total(reclaimed)
}

/// Removes everything that nothing uses; volumes only where that is wished.
pub fn system(context: &Context, matches: &Matches) -> Outcome {
    let filters = matches.list("filter");
    let with_volumes = matches.switch("volumes");
    if with_volumes && filters.iter().any(|filter| filter.starts_with("until=")) {
        return Err(Failure::new(
            "ERROR: The \"until\" filter is not supported with \"--volumes\"",
        ));
    }
    if !matches.switch("force") && !agreed(&system_warning(matches))? {
        return Ok(0);
    }
    let mut reclaimed = prune(context, &CONTAINERS, &filters)?;
    reclaimed += prune(context, &NETWORKS, &filters)?;
    if with_volumes {
        reclaimed += prune(context, &VOLUMES, &filters)?;
    }
    reclaimed += prune(context, &IMAGE, &image_filters(matches))?;
    let builds = Query::new().flag("all", matches.switch("all"));
    reclaimed += prune_by(context, &BUILDS, builds, &filters)?;
    total(reclaimed)
}

fn image_filters(matches: &Matches) -> Vec<String> {
    let mut filters = matches.list("filter");
    filters.push(format!("dangling={}", !matches.switch("all")));
    filters
}

fn system_warning(matches: &Matches) -> String {
    let all = matches.switch("all");
    let mut lines = vec![
        "all stopped containers",
        "all networks not used by at least one container",
    ];
    if matches.switch("volumes") {
        lines.push("all anonymous volumes not used by at least one container");
    }
    lines.extend(if all {
        [
            "all images without at least one container associated to them",
            "all build cache",
        ]
    } else {
        ["all dangling images", "unused build cache"]
    });
    let list = |lines: &[&str]| -> String {
        let lines = lines.iter().map(|line| format!("\n  - {line}"));
        lines.collect()
    };
    let mut text = format!("This will remove:{}\n", list(&lines));
    let mut filters = matches.list("filter");
    if !filters.is_empty() {
        filters.sort();
        let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
        let list = list(&filters);
        text.push_str(&format!(
            "\n  Items to be pruned will be filtered with:{list}\n"
        ));
    }
    text
}

fn prune(context: &Context, part: &Part, filters: &[String]) -> Result<i64, Failure> {
    prune_by(context, part, Query::new(), filters)
}

/// Removes, lists what went, and says how many bytes that were.
fn prune_by(
    context: &Context,
    part: &Part,
    query: Query,
    filters: &[String],
) -> Result<i64, Failure> {
    let path = query
        .maybe("filters", &query::filters(filters)?)
        .on(part.path);
    let answer: Value = context.client.post_json(&path, &serde_json::Value::Null)?;
    let deleted = answer.get(part.list).list();
    if !deleted.is_empty() {
        let lines: Vec<String> = deleted.iter().map(line).collect();
        output::line(&format!("{}\n{}\n", part.title, lines.join("\n")))?;
    }
    Ok(answer.get("SpaceReclaimed").int())
}

/// An id, or what happened to an image.
fn line(item: &Value) -> String {
    match (item.get("Untagged"), item.get("Deleted")) {
        (Value::Text(name), _) if !name.is_empty() => format!("untagged: {name}"),
        (_, Value::Text(id)) => format!("deleted: {id}"),
        _ => item.text().to_string(),
    }
}

fn total(reclaimed: i64) -> Outcome {
    let reclaimed = human::size(reclaimed, 4);
    output::line(&format!("Total reclaimed space: {reclaimed}"))?;
    Ok(0)
}

/// Asks on stdout and reads a line from stdin. No answer is a no.
fn agreed(warning: &str) -> std::io::Result<bool> {
    let question = format!("WARNING! {warning}\nAre you sure you want to continue? [y/N] ");
    output::stdout().write_all(question.as_bytes())?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim().eq_ignore_ascii_case("y"))
}
