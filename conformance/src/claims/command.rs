//! `conformance claims`: the ledger's counts, its wrong and outdated claims, and the book's page.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Arg, ArgMatches, Command};

use super::{Claim, Verdict, dangling, page, read, usual_path};
use crate::catalogue;

/// The subcommand's grammar.
pub fn command() -> Command {
    let path = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("PATH")
            .value_parser(clap::value_parser!(PathBuf))
            .help(help)
    };
    Command::new("claims")
        .about("Show what the notes on Docker say, and which of it is true, outdated or wrong")
        .arg(
            Arg::new("verdict")
                .long("verdict")
                .value_parser(["true", "outdated", "wrong"])
                .help("Only claims with this verdict"),
        )
        .arg(path(
            "page",
            "Write the book's page of wrong and outdated claims to this file",
        ))
}

/// Prints the claims, or writes the page.
///
/// # Errors
/// When the ledger is malformed or names a scenario that is not there.
pub fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let claims = read(&usual_path())?;
    let entries = catalogue::read(&catalogue::usual_directory())?;
    let problems = dangling(&claims, &entries);
    anyhow::ensure!(problems.is_empty(), "{}", problems.join("\n"));
    if let Some(path) = matches.get_one::<PathBuf>("page") {
        std::fs::write(path, page::page(&claims, &entries))
            .with_context(|| format!("writing {}", path.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let wanted = matches.get_one::<String>("verdict");
    let mut output = std::io::stdout().lock();
    for claim in &claims {
        if wanted.is_none_or(|verdict| *verdict == claim.verdict.to_string()) {
            write_claim(&mut output, claim)?;
        }
    }
    writeln!(output, "{}", counts(&claims))?;
    Ok(ExitCode::SUCCESS)
}

fn write_claim(output: &mut impl Write, claim: &Claim) -> std::io::Result<()> {
    writeln!(output, "{:8}  {}: {}", claim.verdict, claim.id, claim.says)?;
    if let Some(truth) = &claim.truth {
        writeln!(output, "          {truth}")?;
    }
    writeln!(
        output,
        "          notes {}; shown by {}",
        claim.notes.join(", "),
        claim.evidence.join(", ")
    )
}

/// `180 claims: 130 true, 20 outdated, 30 wrong`
pub fn counts(claims: &[Claim]) -> String {
    let count = |verdict| {
        claims
            .iter()
            .filter(|claim| claim.verdict == verdict)
            .count()
    };
    let parts: Vec<String> = Verdict::ALL
        .iter()
        .map(|verdict| format!("{} {verdict}", count(*verdict)))
        .collect();
    format!("{} claims: {}", claims.len(), parts.join(", "))
}
