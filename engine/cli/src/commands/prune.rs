//! `container prune`: removes what is not in use, after a question.

use std::io::{BufRead, Write};

use crate::failure::Outcome;
use crate::flags::{Check, Flag, Kind, Matches};
use crate::format::human;
use crate::format::value::Value;
use crate::query::{self, Query};
use crate::{Context, output};

/// The flags.
pub const FLAGS: &[Flag] = &[
    Flag::of(
        Kind::Named("filter", Check(query::check_filter)),
        "filter",
        "Remove only those that match, as NAME=VALUE (label, until)",
    ),
    Flag::switch("force", "Do not ask").short('f'),
];

/// Removes all containers that do not run.
pub fn containers(context: &Context, matches: &Matches) -> Outcome {
    let path = Query::new()
        .maybe("filters", &query::filters(&matches.list("filter"))?)
        .on("/containers/prune");
    if !matches.switch("force") && !agreed("This will remove all stopped containers.")? {
        return Ok(0);
    }
    let answer: Value = context.client.post_json(&path, &serde_json::Value::Null)?;
    let deleted = answer.get("ContainersDeleted").list();
    if !deleted.is_empty() {
        let ids: Vec<&str> = deleted.iter().map(Value::text).collect();
        output::line(&format!("Deleted Containers:\n{}\n", ids.join("\n")))?;
    }
    let reclaimed = human::size(answer.get("SpaceReclaimed").int(), 4);
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
