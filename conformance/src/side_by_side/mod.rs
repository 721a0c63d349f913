//! `conformance side-by-side`: what two engines do with the same container, in three tables.
//!
//! Scenarios say whether an engine does what Docker does. This shows how close it is where there is no right or wrong: how
//! long a restart policy waits and a stop takes, in which order the events of a verb come, and what inspect says of one
//! and the same container, key by key. The rounds of the engines alternate, so that a busy moment of the host meets both.
//!
//! The tables go to standard output as Markdown. Exit status 1 when inspect has other keys or types, or a verb other
//! events; times and values are for people.

mod events;
mod inspect;
mod probe;
mod timing;

use std::fmt::Write as _;
use std::io::Write;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};
use rig::Rig;

use probe::Probe;

/// The subcommand.
pub fn command() -> Command {
    Command::new("side-by-side")
        .about(
            "Show two engines side by side: inspect of the same container, times, orders of events",
        )
        .arg(
            Arg::new("rig")
                .long("rig")
                .value_name("RIG")
                .value_delimiter(',')
                .default_value("docker,api")
                .value_parser(|text: &str| text.parse::<Rig>())
                .help("The reference and the engine beside it"),
        )
        .arg(
            Arg::new("rounds")
                .long("rounds")
                .value_name("N")
                .default_value("5")
                .value_parser(clap::value_parser!(u16).range(1..))
                .help("How often each time is taken"),
        )
}

/// Runs the subcommand.
///
/// # Errors
/// When not two rigs are named, or one of them cannot be opened or does not answer.
pub fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let rigs: Vec<Rig> = matches
        .get_many("rig")
        .into_iter()
        .flatten()
        .copied()
        .collect();
    let [reference, subject] = rigs[..] else {
        anyhow::bail!(
            "two rigs are compared, not {}\nhint: --rig docker,api",
            rigs.len()
        );
    };
    let rounds = matches.get_one::<u16>("rounds").copied().unwrap_or(5);
    let engines = [reference.open()?, subject.open()?];
    let probes = [Probe::new(&engines[0])?, Probe::new(&engines[1])?];
    let mut page = String::new();
    let inspect = inspect::compare(&probes)?;
    let _ = writeln!(page, "## Inspect\n\n{}", inspect.text(&rigs));
    let events = events::compare(&probes)?;
    let _ = writeln!(page, "## Events\n\n{}", events.text(&rigs));
    let times = timing::compare(&probes, usize::from(rounds))?;
    let _ = writeln!(
        page,
        "## Times, milliseconds\n\n{}",
        timing::text(&rigs, &times)
    );
    std::io::stdout().write_all(page.as_bytes())?;
    Ok(if inspect.is_same_shape() && events.are_same() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A table in Markdown.
fn table(head: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule: Vec<String> = head.iter().map(|_| "---".to_owned()).collect();
    let body: String = rows.iter().map(|row| line(row)).collect();
    line(head) + &line(&rule) + &body
}
