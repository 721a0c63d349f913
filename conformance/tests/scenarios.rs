//! Every scenario on every rig that this host has, as tests.
//!
//! Each test is named after its rig and scenario: `cargo test -p conformance --test scenarios -- drydock::logs`.
//! A rig that this host does not have gives ignored tests with the reason as their kind. Each rig has one
//! engine, which its first test opens; the last test of a rig (`…::left-behind`) proves that nothing leaked, so
//! it waits for the others. What fails is run once more, and says so: see [`UNSTEADY_AT_MOST`].

#![allow(clippy::unwrap_used, clippy::expect_used)] // this is a test, though without the usual harness

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Condvar, Mutex, OnceLock};

use conformance::catalogue::{self, Entry};
use conformance::suite::{self, Lists, run_one};
use conformance::workshop::{Outcome, Workshop};
use conformance::{divergence, known};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use rig::Rig;

/// One rig's engine and how many of its tests are still to come.
struct Bench {
    rig: Rig,
    workshop: OnceLock<Result<Workshop, String>>,
    waiting: Mutex<usize>,
    changed: Condvar,
    lists: Lists,
    unsteady: Mutex<Vec<String>>,
}

/// How many scenarios of a rig may pass only at the second look. Real Docker has races of its own on a busy host (`ps`
/// may lag behind `start -a`), and a scenario may ask for a state that is gone already; a few of those are not worth a
/// red gate, and more than a few are. `conformance run` gives no second look unless it is asked for one.
const UNSTEADY_AT_MOST: usize = 5;

impl Bench {
    fn workshop(&self) -> Result<&Workshop, Failed> {
        let opened = self
            .workshop
            .get_or_init(|| Workshop::open(self.rig).map_err(|error| error.to_string()));
        opened
            .as_ref()
            .map_err(|error| Failed::from(error.as_str()))
    }

    fn run(&self, entry: &Entry) -> Result<Completion, Failed> {
        let (mut run, _) = run_one(entry, self.workshop()?, &self.lists)?;
        if let Outcome::Fail(why) = &run.outcome {
            eprintln!("{} on {} is run once more:\n{why}", entry.id, self.rig);
            (run, _) = run_one(entry, self.workshop()?, &self.lists)?;
            if run.outcome == Outcome::Pass {
                self.unsteady.lock().unwrap().push(entry.id.clone());
                return Ok(Completion::Completed);
            }
        }
        if let Some(stale) = suite::stale(&self.lists, std::slice::from_ref(&run)).first() {
            return Err(stale.into());
        }
        match run.outcome {
            Outcome::Pass | Outcome::Explained(_) => Ok(Completion::Completed),
            Outcome::Fail(why) | Outcome::Unsteady(why) => Err(why.into()),
            Outcome::KnownFailure(what) => {
                Ok(Completion::ignored_with(format!("known failure: {what}")))
            }
            // The reference has everything: there it can only be a wrong scenario.
            Outcome::NotBuiltYet(line) if self.rig == Rig::Docker => Err(line.into()),
            Outcome::Skipped(reason) => Ok(Completion::ignored_with(reason)),
            // Not a pass and not a defect: the engine itself says that it has no such part. The matrix counts these.
            Outcome::NotBuiltYet(line) => {
                Ok(Completion::ignored_with(format!("not built yet: {line}")))
            }
        }
    }

    fn finished(&self) {
        *self.waiting.lock().unwrap() -= 1;
        self.changed.notify_all();
    }

    fn left_behind(&self) -> Result<(), Failed> {
        let waiting = self
            .changed
            .wait_while(self.waiting.lock().unwrap(), |waiting| *waiting > 0)
            .unwrap();
        drop(waiting);
        let mut problems = self.workshop()?.leaks();
        let unsteady = self.unsteady.lock().unwrap();
        if unsteady.len() > UNSTEADY_AT_MOST {
            problems.push(format!(
                "{} scenarios passed only at the second look: {}",
                unsteady.len(),
                unsteady.join(", ")
            ));
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems.join("\n").into())
        }
    }
}

/// Counts a test as finished however it ends.
struct Finished(Arc<Bench>);

impl Drop for Finished {
    fn drop(&mut self) {
        self.0.finished();
    }
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // A scenario mostly waits for an engine; with one thread for each processor, so would the processors.
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    arguments.test_threads.get_or_insert(processors * 2);
    let entries = match catalogue::read(&catalogue::usual_directory()) {
        Ok(entries) => entries,
        Err(error) => {
            eprintln!("the scenarios cannot be read: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let crate_directory = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let lists = Lists {
        divergences: divergence::read(&crate_directory.join("divergence.toml"))
            .expect("divergence.toml is readable"),
        known_failures: known::read(&crate_directory.join("known-failures.toml"))
            .expect("known-failures.toml is readable"),
    };
    let mut trials = Vec::new();
    let mut benches = Vec::new();
    for rig in Rig::ALL {
        let missing = if arguments.list { None } else { rig.missing() };
        let chosen = |entry: &&Entry| {
            arguments
                .filter
                .as_ref()
                .is_none_or(|filter| name(rig, entry).contains(filter.as_str()))
        };
        let bench = Arc::new(Bench {
            rig,
            workshop: OnceLock::new(),
            waiting: Mutex::new(entries.iter().filter(chosen).count()),
            changed: Condvar::new(),
            lists: lists.clone(),
            unsteady: Mutex::default(),
        });
        benches.push(Arc::clone(&bench));
        for entry in &entries {
            let (bench, entry) = (Arc::clone(&bench), entry.clone());
            let trial = Trial::ignorable_test(name(rig, &entry), move || {
                let _finished = Finished(Arc::clone(&bench));
                bench.run(&entry)
            });
            trials.push(marked(trial, missing.as_deref()));
        }
        // Which tests run under `--skip` and `--exact` is libtest-mimic's to know; without the number there is no last.
        if arguments.skip.is_empty() && !arguments.exact {
            let trial = Trial::test(format!("{rig}::left-behind"), move || bench.left_behind());
            trials.push(marked(trial, missing.as_deref()));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Engines are ended here, not by the end of the process, which would skip their guards.
    drop(benches);
    conclusion.exit_code()
}

fn name(rig: Rig, entry: &Entry) -> String {
    format!("{rig}::{}", entry.id)
}

/// A trial that is ignored, visibly and with the reason, when its rig is not here.
fn marked(trial: Trial, missing: Option<&str>) -> Trial {
    match missing {
        Some(reason) => trial.with_kind(reason).with_ignored_flag(true),
        None => trial,
    }
}
