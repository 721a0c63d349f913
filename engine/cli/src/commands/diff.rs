//! `diff`: the files that a container has added, changed and deleted.

use crate::Context;
use crate::failure::Outcome;
use crate::flags::{Flag, Matches};
use crate::format::value::Value;
use crate::query::path_part;

use super::rows;

/// The flags of `diff`.
pub const FLAGS: &[Flag] = &[Flag::text("format", rows::FORMAT_HELP)];

/// Lists the changes.
pub fn run(context: &Context, matches: &Matches) -> Outcome {
    let path = format!("/containers/{}/changes", path_part(&matches.words[0]));
    let changes: Value = context.client.get_json(&path)?;
    let rows: Vec<Value> = changes.list().iter().map(row).collect();
    let format = match matches.text("format") {
        "" => "{{.Type}} {{.Path}}",
        format => format,
    };
    let headings = Value::row(
        "map",
        vec![
            ("Type", Value::from("CHANGE TYPE")),
            ("Path", Value::from("PATH")),
        ],
    );
    rows::print(format, false, "{{.Type}}\t{{.Path}}", &headings, &rows)
}

fn row(change: &Value) -> Value {
    let letter = match change.get("Kind").int() {
        0 => "C",
        1 => "A",
        _ => "D",
    };
    Value::row(
        "*container.diffContext",
        vec![
            ("Path", Value::from(change.get("Path").text())),
            ("Type", Value::from(letter)),
        ],
    )
}
