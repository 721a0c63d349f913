//! `top`: the processes of a container.

use crate::failure::Outcome;
use crate::flags::Matches;
use crate::format::value::Value;
use crate::query::{Query, path_part};
use crate::{Context, output};

/// The least width of a column, and the space behind what is wider.
const WIDTH: usize = 20;
const GAP: usize = 3;

/// Prints the engine's table.
pub fn run(context: &Context, matches: &Matches) -> Outcome {
    let path = Query::new()
        .maybe("ps_args", &matches.words[1..].join(" "))
        .on(&format!("/containers/{}/top", path_part(&matches.words[0])));
    let answer: Value = context.client.get_json(&path)?;
    let cells = |row: &Value| -> Vec<String> {
        row.list()
            .iter()
            .map(|cell| cell.text().to_owned())
            .collect()
    };
    let mut rows = vec![cells(answer.get("Titles"))];
    rows.extend(answer.get("Processes").list().iter().map(cells));
    for line in aligned(&rows) {
        output::line(&line)?;
    }
    Ok(0)
}

/// Columns as wide as their widest cell; the last one is not filled up.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter(|row| row.len() > column + 1);
        let widest = cells.map(|row| row[column].chars().count()).max();
        (widest.unwrap_or(0) + GAP).max(WIDTH)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let mut text = String::new();
        for (index, cell) in row.iter().enumerate() {
            if index + 1 == row.len() {
                text.push_str(cell);
            } else {
                text.push_str(&format!("{cell:0$}", widths[index]));
            }
        }
        text
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_twenty_places_or_more() {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect();
        let long = "x".repeat(19);
        let lines = aligned(&[row(&["PID", "CMD"]), row(&["7", "sleep 1"])]);
        assert_eq!(lines[1], format!("7{}sleep 1", " ".repeat(19)));
        let lines = aligned(&[row(&["PID", "CMD"]), row(&[&long, "y"])]);
        assert_eq!(
            lines,
            [format!("PID{}CMD", " ".repeat(19)), format!("{long}   y")]
        );
    }
}
