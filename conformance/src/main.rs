//! `conformance`: runs the scenarios on the rigs and prints a matrix.
//!
//! The matrix goes to standard output, failures and progress to standard error. Exit status: 0 when nothing happened
//! that nobody knew of (see [`conformance::suite::Results::all_well`]), 1 otherwise, 2 for a wrong command line.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Arg, ArgAction, ArgMatches, Command};
use conformance::catalogue::{self, Entry};
use conformance::claims::Shown;
use conformance::suite::{Lists, Plan, Run};
use conformance::workshop::Workshop;
use conformance::{claims, divergence, known, recorded, report, suite};
use rig::Rig;

fn main() -> ExitCode {
    let matches = command().get_matches();
    let result = match matches.subcommand() {
        Some(("list", matches)) => list(matches),
        Some(("update", matches)) => update(matches),
        Some(("claims", matches)) => claims::command::run(matches),
        Some(("defects", matches)) => conformance::defects::run(matches),
        Some(("grammar", matches)) => grammar::run(matches),
        Some(("fuzz", matches)) => model::run(matches),
        Some(("side-by-side", matches)) => conformance::side_by_side::run(matches),
        Some((_, matches)) => run(matches),
        None => Ok(ExitCode::from(2)),
    };
    result.unwrap_or_else(|error| {
        eprintln!("conformance: {error:#}");
        ExitCode::FAILURE
    })
}

fn command() -> Command {
    let list = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_delimiter(',')
            .action(ArgAction::Append)
            .help(help)
    };
    let path = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("PATH")
            .value_parser(clap::value_parser!(PathBuf))
            .help(help)
    };
    let choice = [
        list("topic", "Only these topics (folders below scenarios/)").value_name("TOPIC"),
        Arg::new("filter")
            .long("filter")
            .value_name("TEXT")
            .help("Only scenarios whose id contains this text"),
        path("scenarios", "Where the scenarios lie"),
    ];
    Command::new("conformance")
        .about("Runs the same scenarios on Docker and on Drydock and shows where they differ")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("run")
                .about("Run scenarios and print a matrix of topics and rigs")
                .arg(list("rig", "Rigs to run on").value_name("RIG").default_value("docker,api,drydock").value_parser(|text: &str| text.parse::<Rig>()))
                .args(&choice)
                .arg(Arg::new("jobs").long("jobs").value_name("N").value_parser(clap::value_parser!(u16).range(1..)).help("Scenarios at a time [default: twice the number of processors]"))
                .arg(Arg::new("seed").long("seed").value_name("N").value_parser(clap::value_parser!(u64)).help("Run in the order of this seed [default: a new one, which is printed]"))
                .arg(Arg::new("wire").long("wire").action(ArgAction::SetTrue).help("Compare every answer with Docker's description of its API"))
                .arg(Arg::new("second-look").long("second-look").action(ArgAction::SetTrue).help("Run once more what failed; what passes then is `unsteady`, which is no pass"))
                .arg(path("json", "Write all results to this file as JSON"))
                .arg(path("markdown", "Write the matrix and the failures to this file as Markdown"))
                .arg(path("junit", "Write all results to this file as JUnit's XML"))
                .arg(path("html", "Write all results to this file as one HTML page"))
                .arg(Arg::new("record").long("record").action(ArgAction::SetTrue).help("Keep what real Docker printed in recorded/"))
                .arg(path("divergence", "The list of intended differences")),
        )
        .subcommand(Command::new("list").about("List the scenarios").args(&choice))
        .subcommand(claims::command::command())
        .subcommand(grammar::command())
        .subcommand(conformance::defects::command())
        .subcommand(model::command())
        .subcommand(conformance::side_by_side::command())
        .subcommand(
            Command::new("update")
                .about("Write what real Docker says into failing scenarios (look at the difference before keeping it)")
                .args(&choice),
        )
}

fn entries(matches: &ArgMatches) -> anyhow::Result<Vec<Entry>> {
    let directory = matches
        .get_one::<PathBuf>("scenarios")
        .cloned()
        .unwrap_or_else(catalogue::usual_directory);
    let topics: Vec<&str> = matches
        .get_many::<String>("topic")
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let filter = matches.get_one::<String>("filter");
    let mut entries = catalogue::read_topics(&directory, &topics)?;
    entries.retain(|entry| filter.is_none_or(|text| entry.id.contains(text)));
    anyhow::ensure!(
        !entries.is_empty(),
        "no scenario fits the topic and the filter\nhint: `conformance list` shows them all"
    );
    Ok(entries)
}

fn list(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let mut output = std::io::stdout().lock();
    for entry in entries(matches)? {
        writeln!(output, "{}", entry.id)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let entries = entries(matches)?;
    let mut rigs: Vec<Rig> = matches
        .get_many("rig")
        .into_iter()
        .flatten()
        .copied()
        .collect();
    rigs.sort();
    rigs.dedup();
    let list = matches
        .get_one::<PathBuf>("divergence")
        .cloned()
        .unwrap_or_else(|| catalogue::usual_directory().with_file_name("divergence.toml"));
    let lists = Lists {
        known_failures: known::read(&list.with_file_name("known-failures.toml"))?,
        divergences: divergence::read(&list)?,
    };
    let plan = Plan {
        // A scenario mostly waits for an engine; with one at a time for each processor, so would the processors.
        jobs: matches
            .get_one::<u16>("jobs")
            .map_or_else(|| processors() * 2, |jobs| usize::from(*jobs)),
        seed: matches.get_one("seed").copied().unwrap_or_else(new_seed),
        wire: matches.get_flag("wire"),
        whole: matches.get_one::<String>("filter").is_none()
            && matches.get_many::<String>("topic").is_none()
            && matches.get_one::<PathBuf>("scenarios").is_none(),
        second_look: matches.get_flag("second-look"),
    };
    eprintln!(
        "{} scenarios, in the order of --seed {}",
        entries.len(),
        plan.seed
    );
    let mut results = suite::run(&entries, &rigs, plan, &lists, &progress);
    results.errors.extend(lost_claims(&results)?);
    results.recorded = recorded::read(&recorded::usual_directory())?.origin;
    if matches.get_flag("record") {
        record(&results)?;
    }
    eprint!(
        "{}{}",
        if std::io::stderr().is_terminal() {
            "\r\x1b[K"
        } else {
            ""
        },
        report::failures(&results)
    );
    print!("{}", report::matrix(&results, &rigs));
    for (rig, report) in &results.wire {
        print!("\nthe wire of {rig}: {}", report.text());
    }
    if let Some(path) = matches.get_one::<PathBuf>("json") {
        let text = serde_json::to_string_pretty(&report::json(&results, &rigs))? + "\n";
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    if let Some(path) = matches.get_one::<PathBuf>("markdown") {
        std::fs::write(path, report::markdown(&results, &rigs))
            .with_context(|| format!("writing {}", path.display()))?;
    }
    let setting = report::Setting::here();
    if let Some(path) = matches.get_one::<PathBuf>("junit") {
        std::fs::write(path, report::junit(&results, &rigs, &setting)?)
            .with_context(|| format!("writing {}", path.display()))?;
    }
    if let Some(path) = matches.get_one::<PathBuf>("html") {
        std::fs::write(path, report::html(&results, &rigs, &lists, &setting)?)
            .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(if results.all_well() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Claims that this run takes the evidence from: a scenario of theirs did not pass on the reference.
fn lost_claims(results: &suite::Results) -> anyhow::Result<Vec<String>> {
    let ledger = claims::read(&claims::usual_path())?;
    let lost = claims::shown(&ledger, &results.runs)
        .into_iter()
        .filter(|(_, shown)| *shown == Shown::No);
    Ok(lost
        .map(|(claim, _)| format!("the claim {} is without evidence on Docker", claim.id))
        .collect())
}

/// Keeps what the reference printed.
fn record(results: &suite::Results) -> anyhow::Result<()> {
    let version = results
        .versions
        .get(&Rig::Docker)
        .context("nothing to record: the docker rig did not run")?;
    let today = std::process::Command::new("date")
        .args(["-u", "+%F"])
        .output()
        .context("asking date(1) for the day")?;
    let suite = catalogue::read(&catalogue::usual_directory())?;
    let today = String::from_utf8_lossy(&today.stdout).trim().to_owned();
    let directory = recorded::usual_directory();
    recorded::write(&directory, &results.recordings, &suite, version, &today)
}

/// One line that is written over again and again; nothing where no person looks.
fn progress(done: usize, all: usize, run: &Run) {
    if std::io::stderr().is_terminal() {
        eprint!(
            "\r\x1b[K[{done}/{all}] {} on {}: {}",
            run.id,
            run.rig,
            report::word(&run.outcome)
        );
    }
}

/// Writes what Docker says into the pages of the chosen scenarios. Never what another engine says.
fn update(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let workshop = Workshop::open(Rig::Docker)?;
    let entries = entries(matches)?;
    for page in entries.chunk_by(|a, b| a.page.name == b.page.name) {
        let mut reports = Vec::new();
        for entry in page {
            reports.push(workshop.run(entry)?.1);
        }
        let page = &page[0].page;
        let text = transcript::update::rewritten(page, &reports);
        if text != page.text {
            eprintln!("updated: {}", page.name);
            std::fs::write(&page.name, text).with_context(|| format!("writing {}", page.name))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A short number that nobody has to copy from a long line.
fn new_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| u64::from(now.subsec_nanos()) % 100_000)
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}
