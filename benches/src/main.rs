//! `benches startup`: what one `run --rm busybox true` costs on every engine of this machine.
//!
//! The figures are for people who compare engines, so the harness follows what referees of such figures
//! accept: engines interleaved in random order, warm-up, the spread beside the median, failures counted,
//! the machine and all versions recorded, raw times kept. See `startup` for the method and `launch` for the
//! clock. It ends by itself: each run has a time limit, and an engine that keeps failing is left out.

mod bundle;
mod engines;
mod launch;
mod machine;
mod progress;
mod report;
mod seccomp;
mod startup;
mod statistics;
mod workshop;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use engines::Launchers;
use machine::Machine;
use report::Report;
use startup::Plan;
use workshop::Workshop;

fn main() -> ExitCode {
    let matches = command().get_matches();
    let done = match matches.subcommand() {
        Some(("startup", matches)) => startup(matches),
        _ => Ok(()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benches: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn command() -> Command {
    let number = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("N")
            .default_value(default)
            .value_parser(value_parser!(u64))
            .help(help)
    };
    let file = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help(help)
    };
    let startup = Command::new("startup")
        .about("Measure `run --rm busybox true` on every engine found here")
        .after_help(
            "Drydock is the daemon on DRYDOCK_HOST, else one started for the measurement. Docker is the one on\n\
             CONFORMANCE_DOCKER_HOST, DOCKER_HOST or /var/run/docker.sock. DRYDOCK_BENCH_PODMAN, _CRUN, _RUNC,\n\
             _DOCKER and _DRYDOCK each give the command to call instead of the one on PATH.",
        )
        .arg(number("rounds", "50", "Measured runs of each engine for each gap"))
        .arg(number("warm-up", "5", "Runs before them that are not counted"))
        .arg(
            Arg::new("gap")
                .long("gap")
                .value_name("MS")
                .action(ArgAction::Append)
                .value_parser(value_parser!(u64).range(..=60_000))
                .help("Pause before each run; may be given several times [default: 0 and 200]"),
        )
        .arg(
            Arg::new("engine")
                .long("engine")
                .value_name("NAME")
                .action(ArgAction::Append)
                .value_parser(engines::NAMES)
                .help("Only this engine; may be given several times. If it is not measured without failure, that is an error"),
        )
        .arg(Arg::new("seed").long("seed").value_name("N").value_parser(value_parser!(u64)).help(
            "Seed of the random order [default: a new one, shown in the report]",
        ))
        .arg(file("json", "Write everything measured to this file"))
        .arg(file("markdown", "Write the tables to this file as well as to standard output"));
    Command::new("benches")
        .about("What container engines cost, measured on this machine")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(startup)
}

fn startup(matches: &ArgMatches) -> Result<()> {
    let plan = plan(matches)?;
    let asked_for: Vec<String> = matches
        .get_many::<String>("engine")
        .unwrap_or_default()
        .cloned()
        .collect();
    let wanted = match asked_for.is_empty() {
        true => engines::NAMES.iter().map(ToString::to_string).collect(),
        false => asked_for.clone(),
    };
    // Ctrl-C ends the rounds; what was measured is still reported, and everything is cleaned up.
    let stop = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::clone(&stop))?;
    signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&stop))?;

    // Before the first figure a daemon may have to be built, and every engine runs one container.
    eprintln!("benches: looking for engines");
    let workshop = Workshop::new()?;
    let mut launchers = Launchers::default();
    let (engines, absent) = engines::find(&workshop, &wanted, &mut launchers);
    for absent in &absent {
        eprintln!(
            "benches: {} is not measured: {}",
            absent.name, absent.reason
        );
    }
    ensure!(!engines.is_empty(), "no engine to measure");
    let mut machine = Machine::look();
    let sections = startup::measure(&plan, &engines, &mut launchers, &stop)?;
    machine.load_after = machine::load_average();

    let report = Report {
        schema_version: 1,
        benchmark: "startup",
        plan,
        complete: !stop.load(Ordering::Relaxed),
        machine,
        engines,
        absent,
        sections,
    };
    publish(&report, matches)?;
    let missed = report.missed(&asked_for);
    ensure!(
        missed.is_empty(),
        "asked for and not measured without failure: {}",
        missed.join(", ")
    );
    Ok(())
}

fn plan(matches: &ArgMatches) -> Result<Plan> {
    let number = |name: &str| -> Result<usize> {
        let value = *matches
            .get_one::<u64>(name)
            .context("an option without its default")?;
        usize::try_from(value).with_context(|| format!("--{name} {value}"))
    };
    let plan = Plan {
        rounds: number("rounds")?,
        warm_up: number("warm-up")?,
        gaps: matches
            .get_many::<u64>("gap")
            .map_or_else(|| vec![0, 200], |gaps| gaps.copied().collect()),
        seed: matches
            .get_one::<u64>("seed")
            .copied()
            .unwrap_or_else(|| fastrand::u64(..)),
    };
    ensure!(plan.rounds > 0, "--rounds must be at least 1");
    Ok(plan)
}

fn publish(report: &Report, matches: &ArgMatches) -> Result<()> {
    let markdown = report.markdown();
    print!("{markdown}");
    if let Some(path) = matches.get_one::<PathBuf>("markdown") {
        fs::write(path, &markdown).with_context(|| format!("write {}", path.display()))?;
    }
    if let Some(path) = matches.get_one::<PathBuf>("json") {
        let json = serde_json::to_vec_pretty(report)?;
        fs::write(path, json).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn gaps_default_to_none_and_to_a_human_pause() {
        let matches = command().get_matches_from(["benches", "startup"]);
        let (_, matches) = matches.subcommand().expect("startup");
        assert_eq!(plan(matches).expect("a plan").gaps, [0, 200]);
        let matches =
            command().get_matches_from(["benches", "startup", "--gap", "50", "--rounds", "3"]);
        let (_, matches) = matches.subcommand().expect("startup");
        let plan = plan(matches).expect("a plan");
        assert_eq!((plan.gaps, plan.rounds), (vec![50], 3));
    }

    #[test]
    fn no_rounds_is_refused() {
        let matches = command().get_matches_from(["benches", "startup", "--rounds", "0"]);
        let (_, matches) = matches.subcommand().expect("startup");
        assert!(plan(matches).is_err());
    }
}
