//! `book build`, `book serve`, `book check`: the book's command line.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Arg, ArgMatches, Command, value_parser};

fn main() -> ExitCode {
    match run(&command().get_matches()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("book: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn command() -> Command {
    Command::new("book")
        .about("The Drydock book: make it, show it, check it")
        .after_help("The commands on its pages are run by `cargo test -p book`.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("build")
                .about("Make the HTML and say where it is")
                .arg(
                    Arg::new("into")
                        .long("into")
                        .value_name("FOLDER")
                        .value_parser(value_parser!(PathBuf))
                        .help("Where to put it [default: book/output in the project]"),
                ),
        )
        .subcommand(
            Command::new("serve")
                .about("Make the HTML and show it to a browser on this machine")
                .arg(
                    Arg::new("port")
                        .long("port")
                        .value_name("PORT")
                        .default_value("3000")
                        .value_parser(value_parser!(u16))
                        .help("TCP port on 127.0.0.1; 0 takes a free one"),
                ),
        )
        .subcommand(
            Command::new("check")
                .about("Prove that links lead somewhere and that every command is a transcript"),
        )
}

fn run(matches: &ArgMatches) -> Result<ExitCode> {
    match matches.subcommand() {
        Some(("build", matches)) => {
            let into = matches.get_one::<PathBuf>("into");
            println!(
                "{}",
                book::build(into.map(PathBuf::as_path))?
                    .join("index.html")
                    .display()
            );
            Ok(ExitCode::SUCCESS)
        }
        Some(("serve", matches)) => {
            let port = matches.get_one::<u16>("port").copied().unwrap_or_default();
            book::serve::serve(&book::build(None)?, port)?;
            Ok(ExitCode::SUCCESS)
        }
        _ => check(),
    }
}

fn check() -> Result<ExitCode> {
    let report = book::check::check()?;
    println!("{report}");
    Ok(if report.problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_grammar_is_consistent() {
        super::command().debug_assert();
    }
}
