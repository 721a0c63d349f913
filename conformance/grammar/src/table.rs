//! The comparison as a table, one line for each command, and below it what is not the same.

use std::fmt::Write;

use crate::compare::{Report, Row, State};

/// The whole text.
pub(crate) fn table(report: &Report) -> String {
    let mut text = format!(
        "{:<28} {:>5} {:>8} {:>7} {:>12}\n",
        "command", "same", "differs", "absent", "unexplained"
    );
    for rows in report.rows.chunk_by(|a, b| a.command == b.command) {
        let name = if rows[0].command.is_empty() {
            "(global)"
        } else {
            &rows[0].command
        };
        // A command that is absent as a whole is in the list below.
        if rows.len() == 1 && rows[0].state == State::Absent {
            continue;
        }
        text.push_str(&line(name, |state| {
            rows.iter().filter(|row| row.state == state).count()
        }));
    }
    text.push_str(&line("total", |state| report.count(state)));
    let _ = writeln!(
        text,
        "\nDocker: {}\nDrydock: {}",
        report.docker, report.drydock
    );
    for (state, title) in [
        (State::Differs, "differs"),
        (State::Absent, "absent"),
        (State::Unexplained, "unexplained"),
    ] {
        let rows: Vec<&Row> = report
            .rows
            .iter()
            .filter(|row| row.state == state)
            .collect();
        let uppermost = rows.iter().filter(|row| !is_below_another(row, &rows));
        text.push_str(&list(title, rows.len(), uppermost.map(|row| words(row))));
    }
    for (title, names) in [
        ("only in drydock", &report.own),
        ("without a reason in grammar.toml", &report.without_reason),
        ("stale in grammar.toml", &report.stale),
    ] {
        text.push_str(&list(title, names.len(), names.iter().cloned()));
    }
    text
}

fn line(name: &str, count: impl Fn(State) -> usize) -> String {
    let cell = |state| match count(state) {
        0 => "-".to_owned(),
        count => count.to_string(),
    };
    format!(
        "{name:<28} {:>5} {:>8} {:>7} {:>12}\n",
        cell(State::Same),
        cell(State::Differs),
        cell(State::Absent),
        cell(State::Unexplained)
    )
}

/// Whether a command above this one is absent for the same reason.
fn is_below_another(row: &Row, rows: &[&Row]) -> bool {
    rows.iter().any(|other| {
        let below = row.command.strip_prefix(&other.command);
        row.flag.is_none()
            && other.flag.is_none()
            && other.reason == row.reason
            && below.is_some_and(|rest| rest.starts_with(' '))
    })
}

fn list(title: &str, count: usize, lines: impl Iterator<Item = String>) -> String {
    let lines: Vec<String> = lines.map(|line| format!("  {line}\n")).collect();
    if lines.is_empty() {
        return String::new();
    }
    format!("\n{count} {title}:\n{}", lines.concat())
}

fn words(row: &Row) -> String {
    let name = match &row.flag {
        Some(flag) => format!("{} --{flag}", row.command).trim_start().to_owned(),
        None => row.command.clone(),
    };
    let meaning = if row.drydock.is_empty() {
        String::new()
    } else {
        format!(" (docker: {}; drydock: {})", row.docker, row.drydock)
    };
    let reason = if row.reason.is_empty() {
        String::new()
    } else {
        format!(": {}", row.reason)
    };
    format!("{name}{meaning}{reason}")
}
