//! `conformance grammar`.
//!
//! Docker's side is the recording unless told otherwise: clients of one major version differ in details (`--host` took
//! a list before 28.5), and the result must not depend on which of them a host has.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::ask;
use crate::compare::{Report, compare};
use crate::model::Grammar;
use crate::reasons::Reasons;
use crate::table::table;

/// The sub-command's own grammar.
pub fn command() -> Command {
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
    };
    Command::new("grammar")
        .about("Compare the commands and flags of both clients by their help pages")
        .arg(switch(
            "client",
            "Ask the docker client that is here, of whichever version, instead of taking the recording",
        ))
        .arg(switch("json", "Print JSON instead of a table"))
        .arg(switch(
            "update",
            "Add what is unexplained to grammar.toml, for a person to say why",
        ))
        .arg(switch(
            "record",
            "Record the docker client that is here, and compare with it",
        ))
        .arg(
            Arg::new("reasons")
                .long("reasons")
                .value_name("PATH")
                .value_parser(clap::value_parser!(PathBuf))
                .help("The list of what is absent and why"),
        )
}

/// Does it. The exit status is 1 when something is unexplained, or the list is not true.
///
/// # Errors
/// When a client cannot be asked, or a file not be read or written.
pub fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let list = matches
        .get_one::<PathBuf>("reasons")
        .cloned()
        .unwrap_or_else(Reasons::usual_path);
    let docker = if matches.get_flag("record") || matches.get_flag("client") {
        ask::docker()?
    } else {
        ask::recorded()?
    };
    if matches.get_flag("record") {
        record(&docker)?;
    }
    let drydock = ask::drydock()?;
    let mut report = compare(&docker, &drydock, &Reasons::read(&list)?);
    if matches.get_flag("update") {
        update(&list, &report)?;
        report = compare(&docker, &drydock, &Reasons::read(&list)?);
    }
    if matches.get_flag("json") {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", table(&report));
    }
    Ok(if report.all_well() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn record(docker: &Grammar) -> anyhow::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker-28.json");
    let text = serde_json::to_string_pretty(docker)? + "\n";
    std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
}

/// Adds to the end of the list; what is there stays as it is, with its comments.
fn update(list: &Path, report: &Report) -> anyhow::Result<()> {
    let mut text =
        std::fs::read_to_string(list).with_context(|| format!("reading {}", list.display()))?;
    for entry in report.proposal() {
        let _ = write!(text, "{}", entry.text());
    }
    std::fs::write(list, text).with_context(|| format!("writing {}", list.display()))
}
