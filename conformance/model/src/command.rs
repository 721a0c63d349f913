//! `conformance fuzz`: runs sequences with several clients' patience, and prints what they found.
//!
//! A sequence follows from one number. Sequence number N of a run with the seed S is the first of a run with the seed
//! S + N, which is what a finding names to be run again.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use clap::{Arg, ArgMatches, Command, value_parser};
use proptest::strategy::ValueTree;
use rig::{Daemon, DaemonOptions, Rig};

use crate::engine::Engine;
use crate::generate::{self, Abilities};
use crate::probe;
use crate::run::{Finding, Pair};
use crate::scenario;
use crate::shrink::{self, Shortest};

/// How long two engines may differ before it counts.
const PATIENCE: Duration = Duration::from_secs(4);

/// What is run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many sequences.
    pub sequences: u64,
    /// How many steps each of them has.
    pub steps: usize,
    /// The first seed.
    pub seed: u64,
    /// How many run at a time.
    pub jobs: usize,
    /// How long to search for the shortest sequence.
    pub shrink: Duration,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Report {
    /// Pages, one for each sequence that showed a difference.
    pub pages: Vec<String>,
    /// How many sequences were run.
    pub sequences: u64,
    /// Verbs that were left out, because an engine does not have them yet.
    pub left_out: Vec<&'static str>,
}

/// The subcommand.
pub fn command() -> Command {
    let number = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new("fuzz")
        .about("Run random sequences of operations on Docker and on Drydock and compare them after each step")
        .arg(number("sequences", "N", "How many sequences").default_value("20").value_parser(value_parser!(u64).range(1..)))
        .arg(number("steps", "M", "Steps of each sequence").default_value("20").value_parser(value_parser!(u64).range(1..=1000)))
        .arg(number("seed", "S", "Where to begin [default: the time]").value_parser(value_parser!(u64)))
        .arg(number("jobs", "J", "Sequences at a time").default_value("2").value_parser(value_parser!(u64).range(1..=64)))
        .arg(number("shrink", "SECONDS", "How long to look for the shortest sequence of each difference").default_value("240").value_parser(value_parser!(u64)))
}

/// Runs it. Pages go to standard output, progress and the summary to standard error.
///
/// # Errors
/// When there is no Docker or no root, or Docker stops to answer.
pub fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let number = |name: &str| matches.get_one::<u64>(name).copied();
    let plan = Plan {
        sequences: number("sequences").unwrap_or(20),
        steps: number("steps").unwrap_or(20) as usize,
        seed: number("seed").unwrap_or_else(seed_of_now),
        jobs: number("jobs").unwrap_or(2) as usize,
        shrink: Duration::from_secs(number("shrink").unwrap_or(240)),
    };
    let begin = Instant::now();
    eprintln!("seed {}", plan.seed);
    let report = fuzz(&plan, &|page| {
        clear_line();
        let mut output = std::io::stdout().lock();
        // A reader that went away does not stop the search.
        let _ = writeln!(output, "{page}").and_then(|()| output.flush());
    })?;
    clear_line();
    if !report.left_out.is_empty() {
        eprintln!("left out, not built yet: {}", report.left_out.join(", "));
    }
    eprintln!(
        "{} sequences of {} steps, seed {}, {:.0} s: {}",
        report.sequences,
        plan.steps,
        plan.seed,
        begin.elapsed().as_secs_f64(),
        match report.pages.len() {
            0 => "no difference".to_owned(),
            1 => "1 finding".to_owned(),
            several => format!("{several} findings"),
        }
    );
    Ok(if report.pages.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn seed_of_now() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    now.as_secs() % 100_000 * 1000
}

fn clear_line() {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}

/// Why this host cannot fuzz.
pub fn missing() -> Option<String> {
    Rig::Docker.missing().or_else(Daemon::missing)
}

/// Runs the plan; each page is also told at once.
///
/// # Errors
/// As [`run`].
pub fn fuzz(plan: &Plan, tell: &(dyn Fn(&str) + Sync)) -> anyhow::Result<Report> {
    let docker = Rig::Docker.open().map_err(|error| anyhow!("{error}"))?;
    let daemons = (0..plan.jobs.min(plan.sequences as usize))
        .map(|_| Daemon::start(DaemonOptions::default()).map(Arc::new))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| anyhow!("{error}"))?;
    let abilities = probe::abilities(&[docker.socket(), daemons[0].socket()])?;
    let shared = Shared {
        plan,
        abilities,
        next: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        pages: Mutex::default(),
        tell,
    };
    let outcomes: Vec<anyhow::Result<()>> = std::thread::scope(|scope| {
        let jobs: Vec<_> = daemons
            .iter()
            .map(|daemon| {
                let reference = Engine::new(docker.socket().to_owned(), None);
                let subject = Engine::new(daemon.socket().to_owned(), Some(Arc::clone(daemon)));
                let shared = &shared;
                scope.spawn(move || shared.job(reference, subject))
            })
            .collect();
        jobs.into_iter()
            .map(|job| {
                job.join()
                    .unwrap_or_else(|_| Err(anyhow!("a job panicked")))
            })
            .collect()
    });
    outcomes.into_iter().collect::<anyhow::Result<()>>()?;
    for daemon in daemons {
        // What a daemon leaves behind is a defect as well.
        if let Some(daemon) = Arc::into_inner(daemon) {
            daemon
                .finish()
                .context("ending the daemon that was tested")?;
        }
    }
    Ok(Report {
        pages: shared
            .pages
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner),
        sequences: shared.next.into_inner().min(plan.sequences),
        left_out: shared.abilities.missing,
    })
}

struct Shared<'a> {
    plan: &'a Plan,
    abilities: Abilities,
    next: AtomicU64,
    stop: AtomicBool,
    pages: Mutex<Vec<String>>,
    tell: &'a (dyn Fn(&str) + Sync),
}

impl Shared<'_> {
    /// Takes sequences until there are none.
    fn job(&self, mut reference: Engine, mut subject: Engine) -> anyhow::Result<()> {
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.plan.sequences {
                return Ok(());
            }
            let mut pair = Pair {
                reference: &mut reference,
                subject: &mut subject,
                patience: PATIENCE,
            };
            let seed = self.plan.seed.wrapping_add(number);
            if let Err(error) = self.sequence(&mut pair, seed) {
                self.stop.store(true, Ordering::Relaxed);
                return Err(error.context(format!("in the sequence with the seed {seed}")));
            }
            self.progress(number + 1);
        }
        Ok(())
    }

    fn progress(&self, done: u64) {
        if std::io::stderr().is_terminal() {
            let findings = self
                .pages
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .len();
            eprint!(
                "\r\x1b[K[{done}/{}] {findings} findings",
                self.plan.sequences
            );
        }
    }

    /// Runs one sequence, and shrinks it when it shows a difference.
    fn sequence(&self, pair: &mut Pair, seed: u64) -> anyhow::Result<()> {
        let mut tree = generate::tree(seed, self.plan.steps, &self.abilities)?;
        let mut attempt = 0;
        let mut test = |steps: &[crate::operation::Step]| {
            attempt += 1;
            pair.run(&format!("{}-{seed}-{attempt}", std::process::id()), steps)
        };
        let steps = tree.current();
        let Some(finding) = test(&steps)? else {
            return Ok(());
        };
        let page = match test(&steps)? {
            None => once(seed, &steps, &finding),
            Some(finding) => {
                let shortest = shrink::shrink(&mut tree, finding, self.plan.shrink, &mut test)?;
                repeated(seed, self.plan.steps, &shortest)
            }
        };
        (self.tell)(&page);
        self.pages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(page);
        Ok(())
    }
}

fn once(seed: u64, steps: &[crate::operation::Step], finding: &Finding) -> String {
    let title = format!("Seed {seed}: a difference that did not come a second time");
    scenario::page(&title, steps, finding)
}

fn repeated(seed: u64, steps: usize, shortest: &Shortest) -> String {
    let title = format!(
        "Seed {seed}: {} of {steps} steps are enough",
        shortest.steps.len()
    );
    scenario::page(&title, &shortest.steps, &shortest.finding)
}
