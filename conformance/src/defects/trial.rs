//! One daemon with one defect, and the daemon without any.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rig::{Daemon, DaemonOptions, Engine, Rig};

use super::Defect;
use crate::catalogue::Entry;
use crate::workshop::{Outcome, Workshop};

/// The variable that chooses the defect of a test build (`drydock_defects::VARIABLE`; the engine is not linked here).
const VARIABLE: &str = "DRYDOCK_DEFECT";

/// How long a scenario waits for what a defect may have made impossible.
const PATIENCE: Duration = Duration::from_secs(4);

/// What became of one defect.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The defect.
    pub defect: String,
    /// The scenarios that were run.
    pub scenarios: Vec<String>,
    /// Whether they noticed.
    pub verdict: Verdict,
    /// How long it took.
    pub elapsed: Duration,
}

/// Whether the scenarios noticed a defect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All of them failed; the text shows the differences.
    Noticed(String),
    /// These passed, or were not run.
    Missed(Vec<String>),
    /// It could not be tried.
    NotTried(String),
}

impl Verdict {
    /// Whether the suite did its work.
    pub fn is_noticed(&self) -> bool {
        matches!(self, Verdict::Noticed(_))
    }

    /// For the table.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Noticed(_) => "noticed",
            Verdict::Missed(_) => "MISSED",
            Verdict::NotTried(_) => "NOT TRIED",
        }
    }

    /// Everything else.
    pub fn text(&self) -> String {
        match self {
            Verdict::Noticed(text) | Verdict::NotTried(text) => text.clone(),
            Verdict::Missed(scenarios) => scenarios
                .iter()
                .map(|id| format!("  {id} passes\n"))
                .collect(),
        }
    }
}

/// What the binary without a defect did.
#[derive(Clone, Debug, Default)]
pub struct Control {
    /// How many scenarios were run.
    pub scenarios: usize,
    /// How many of them passed.
    pub passed: usize,
    /// The others, with their differences.
    pub failures: String,
}

impl Control {
    /// Whether all passed.
    pub fn is_well(&self) -> bool {
        self.passed == self.scenarios
    }
}

/// Runs the scenarios without a defect.
///
/// # Errors
/// When the daemon does not start or the harness fails.
pub fn control(program: &Path, entries: &[&Entry], jobs: usize) -> anyhow::Result<Control> {
    let workshop = open(program, None)?;
    let mut control = Control {
        scenarios: entries.len(),
        ..Control::default()
    };
    for (entry, outcome) in entries
        .iter()
        .zip(super::all(entries, jobs, |entry| workshop.run(entry)))
    {
        match outcome?.0 {
            Outcome::Pass => control.passed += 1,
            Outcome::Fail(text) => control
                .failures
                .push_str(&format!("{} without a defect: fail\n{text}\n", entry.id)),
            other => control
                .failures
                .push_str(&format!("{} without a defect: {other:?}\n", entry.id)),
        }
    }
    Ok(control)
}

/// Starts a daemon with the defect and runs its scenarios.
pub fn run(program: &Path, defect: &Defect, entries: &[Entry]) -> Finding {
    let started = Instant::now();
    let verdict = open(program, Some(&defect.id))
        .and_then(|workshop| judge(&workshop.with_patience(PATIENCE), defect, entries))
        .unwrap_or_else(|error| Verdict::NotTried(format!("{error:#}\n")));
    Finding {
        defect: defect.id.clone(),
        scenarios: defect.scenarios.clone(),
        verdict,
        elapsed: started.elapsed(),
    }
}

fn judge(workshop: &Workshop, defect: &Defect, entries: &[Entry]) -> anyhow::Result<Verdict> {
    let mut differences = String::new();
    let mut missed = Vec::new();
    let wanted = |entry: &&Entry| defect.scenarios.contains(&entry.id);
    for entry in entries.iter().filter(wanted) {
        match workshop.run(entry)?.0 {
            Outcome::Fail(text) => differences.push_str(&text),
            _ => missed.push(entry.id.clone()),
        }
    }
    Ok(if missed.is_empty() {
        Verdict::Noticed(differences)
    } else {
        Verdict::Missed(missed)
    })
}

/// A daemon of its own for each defect: what one does to the engine's state must not help to notice another.
fn open(program: &Path, defect: Option<&str>) -> anyhow::Result<Workshop> {
    let options = DaemonOptions {
        program: Some(program.to_owned()),
        variables: defect
            .map(|name| (VARIABLE.to_owned(), name.to_owned()))
            .into_iter()
            .collect(),
        ..DaemonOptions::default()
    };
    let daemon = Arc::new(Daemon::start(options)?);
    Ok(Workshop::on_engine(Engine::on_daemon(
        Rig::Drydock,
        daemon,
    )?)?)
}
