//! `history`: how an image was made, the last step first.

use crate::Context;
use crate::failure::Outcome;
use crate::flags::{Flag, Matches};
use crate::format::human;
use crate::format::value::Value;
use crate::query::{Query, path_part};

use super::ps::{ellipsis, seconds_now};
use super::rows;

/// The flags of `history`.
pub const FLAGS: &[Flag] = &[
    Flag::text("format", rows::FORMAT_HELP),
    Flag::switch("human", "Print sizes and dates for people")
        .short('H')
        .default("true"),
    Flag::switch("no-trunc", "Do not shorten"),
    Flag::text(
        "platform",
        "Show the history of this platform, as OS[/ARCH[/VARIANT]]",
    ),
    Flag::switch("quiet", "Show image IDs only").short('q'),
];

const TABLE: &str = "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";

/// Prints the steps.
pub fn run(context: &Context, matches: &Matches) -> Outcome {
    let path = Query::new()
        .maybe("platform", matches.text("platform"))
        .on(&format!("/images/{}/history", path_part(&matches.words[0])));
    let steps: Value = context.client.get_json(&path)?;
    let (full, for_people) = (matches.switch("no-trunc"), matches.switch("human"));
    let now = seconds_now();
    let rows: Vec<Value> = steps
        .list()
        .iter()
        .map(|step| row(step, full, for_people, now))
        .collect();
    let format = matches.text("format");
    let quiet = matches.switch("quiet");
    rows::print(format, quiet, TABLE, &headings(for_people), &rows)
}

fn headings(for_people: bool) -> Value {
    let since = if for_people { "CREATED" } else { "CREATED AT" };
    Value::row(
        "map",
        vec![
            ("ID", Value::from("IMAGE")),
            ("CreatedSince", Value::from(since)),
            ("CreatedAt", Value::from("CREATED AT")),
            ("CreatedBy", Value::from("CREATED BY")),
            ("Size", Value::from("SIZE")),
            ("Comment", Value::from("COMMENT")),
        ],
    )
}

fn row(step: &Value, full: bool, for_people: bool, now: i64) -> Value {
    let id = step.get("Id").text();
    let short = id.strip_prefix("sha256:").unwrap_or(id);
    let id = if full {
        id
    } else {
        short.get(..12).unwrap_or(short)
    };
    let by = step.get("CreatedBy").text().replace('\t', " ");
    let created = step.get("Created").int();
    let at = iso(created);
    let bytes = step.get("Size").int();
    let since = if for_people {
        format!("{} ago", human::duration(now - created))
    } else {
        at.clone()
    };
    let size = if for_people {
        human::size(bytes, 3)
    } else {
        bytes.to_string()
    };
    Value::row(
        "*formatter.historyContext",
        vec![
            ("Comment", Value::from(step.get("Comment").text())),
            ("CreatedAt", Value::Text(at)),
            (
                "CreatedBy",
                Value::Text(if full { by } else { ellipsis(&by, 45) }),
            ),
            ("CreatedSince", Value::Text(since)),
            ("ID", Value::from(id)),
            ("Size", Value::Text(size)),
        ],
    )
}

/// RFC 3339 in UTC.
fn iso(seconds: i64) -> String {
    let (year, month, day) = human::date(seconds.div_euclid(86_400));
    let rest = seconds.rem_euclid(86_400);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_for_people_and_for_programs() {
        let text = r#"{"Id": "sha256:a23c55c236a15a07", "Created": 1735689600, "CreatedBy": "a\tb", "Size": 1980000, "Comment": "c"}"#;
        let step: Value = serde_json::from_str(text).unwrap();
        let show = |full, people| {
            let row = row(&step, full, people, 1_735_689_660);
            ["ID", "CreatedSince", "CreatedBy", "Size"].map(|key| row.get(key).text().to_owned())
        };
        assert_eq!(
            show(false, true),
            ["a23c55c236a1", "About a minute ago", "a b", "1.98MB"]
        );
        assert_eq!(
            show(true, false),
            [
                "sha256:a23c55c236a15a07",
                "2025-01-01T00:00:00Z",
                "a b",
                "1980000"
            ]
        );
    }
}
