//! What every list has in common: `--format`, `--quiet`, headings.

use std::io::Write;

use crate::failure::{Failure, Outcome};
use crate::format::evaluator::Options;
use crate::format::parser::Template;
use crate::format::table;
use crate::format::value::Value;
use crate::output;

/// The help of `--format` of a list.
pub const FORMAT_HELP: &str = "Print with a template:\n'table':            columns with headings (default)\n\
    'table TEMPLATE':   columns of your own\n'json':             one JSON object a line\n'TEMPLATE':         a Go template";

/// The help of `--format` of a single object.
pub const OBJECT_FORMAT_HELP: &str = "Print with a template:\n'json':             JSON on one line\n'TEMPLATE':         a Go template";

/// Prints rows. `default` is the template of the usual table, `headings` a row of its headings.
pub fn print(
    format: &str,
    quiet: bool,
    default: &str,
    headings: &Value,
    rows: &[Value],
) -> Outcome {
    if quiet && !matches!(format, "" | "table") {
        output::error_line(
            "WARNING: Ignoring custom format, because both --format and --quiet are set.",
        );
    }
    let (source, is_table) = match format {
        _ if quiet => ("{{.ID}}", false),
        "" | "table" => (default, true),
        "json" => ("{{json .}}", false),
        other => match other.strip_prefix("table") {
            Some(rest) => (rest.trim(), true),
            None => (other, false),
        },
    };
    let source = source.replace("\\t", "\t").replace("\\n", "\n");
    let template = Template::parse("", &source)
        .map_err(|fault| Failure::new(format!("template parsing error: {fault}")))?;
    let mut text = String::new();
    for row in rows {
        let line = template
            .execute(row, Options::default())
            .map_err(|fault| Failure::new(format!("template parsing error: {fault}")))?;
        text.push_str(&line);
        text.push('\n');
    }
    if is_table {
        let heading = template
            .execute(
                headings,
                Options {
                    missing_is_error: false,
                    header: true,
                },
            )
            .map_err(|fault| Failure::new(format!("template parsing error: {fault}")))?;
        text = table::align(&format!("{heading}\n{text}"));
    }
    output::stdout().write_all(text.as_bytes())?;
    Ok(0)
}
