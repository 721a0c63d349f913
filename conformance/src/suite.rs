//! Running many scenarios on several rigs at once, in an order that is new each time and can be repeated.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rig::{Rig, Unavailable};

use crate::catalogue::Entry;
use crate::divergence::{self, Divergence};
use crate::known::{self, KnownFailure};
use crate::recorded::{self, Recordings};
use crate::workshop::{Outcome, Workshop};

/// One scenario on one rig.
#[derive(Clone, Debug)]
pub struct Run {
    /// The scenario's id.
    pub id: String,
    /// Its topic.
    pub topic: String,
    /// Its page.
    pub page: String,
    /// The line of its heading.
    pub line: usize,
    /// The rig.
    pub rig: Rig,
    /// What it came to.
    pub outcome: Outcome,
    /// How long it took.
    pub elapsed: Duration,
}

/// What is known about scenarios that do not pass.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    /// Differences that are meant.
    pub divergences: Vec<Divergence>,
    /// Defects that somebody has looked at.
    pub known_failures: Vec<KnownFailure>,
}

/// How to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Scenarios at a time.
    pub jobs: usize,
    /// What the order is made from. The same seed and the same scenarios give the same order.
    pub seed: u64,
    /// Whether every answer is compared with Docker's description of its API.
    pub wire: bool,
    /// Whether the entries are all there are. Then an exception that the reference did not need is stale.
    pub whole: bool,
    /// Whether what failed is run once more, by itself, after all others. What passes then is
    /// [`Outcome::Unsteady`], which is no pass.
    pub second_look: bool,
}

/// What a whole run gave.
#[derive(Debug, Default)]
pub struct Results {
    /// Every scenario on every rig that could be opened.
    pub runs: Vec<Run>,
    /// Rigs that this host does not have, with the reason.
    pub not_here: BTreeMap<Rig, String>,
    /// Rigs that should have worked, what went wrong, and what engines left behind.
    pub errors: Vec<String>,
    /// What each engine calls itself.
    pub versions: BTreeMap<Rig, String>,
    /// Entries of the lists that are no longer true.
    pub stale: Vec<String>,
    /// How each engine's answers compare with Docker's description of its API, where the plan wanted it.
    pub wire: BTreeMap<Rig, wire::Report>,
    /// What the reference printed in the scenarios that passed there.
    pub recordings: Recordings,
    /// Which Docker the expectations were recorded from, for reports; [`recorded::Recorded::origin`].
    pub recorded: String,
    /// What the order was made from.
    pub order_seed: u64,
    /// How long the whole run took.
    pub elapsed: Duration,
}

impl Results {
    /// Whether nothing happened that nobody knew of, and something was run. What is not built yet and what is known
    /// to fail is counted and listed, but it is no news; on the reference there is no such thing.
    pub fn all_well(&self) -> bool {
        let fine = |run: &Run| match run.outcome {
            Outcome::Pass | Outcome::Skipped(_) => true,
            Outcome::Explained(_) | Outcome::NotBuiltYet(_) | Outcome::KnownFailure(_) => {
                run.rig != Rig::Docker
            }
            Outcome::Fail(_) | Outcome::Unsteady(_) => false,
        };
        self.errors.is_empty()
            && self.stale.is_empty()
            && !self.runs.is_empty()
            && self.runs.iter().all(fine)
    }
}

/// Runs `entries` on `rigs` as `plan` says. `progress` is called after each.
pub fn run(
    entries: &[Entry],
    rigs: &[Rig],
    plan: Plan,
    lists: &Lists,
    progress: &(dyn Fn(usize, usize, &Run) + Sync),
) -> Results {
    let started = Instant::now();
    let mut results = Results {
        order_seed: plan.seed,
        ..Results::default()
    };
    let mut workshops = open(rigs, &mut results);
    if plan.wire {
        for workshop in &mut workshops {
            if let Err(error) = workshop.record_wire() {
                results.errors.push(format!("{error:#}"));
            }
        }
    }
    // Scenario by scenario, not rig by rig: then the rigs share the machine's load evenly.
    let mut pairs: Vec<(&Entry, &Workshop)> = shuffled(entries, plan.seed)
        .into_iter()
        .flat_map(|entry| workshops.iter().map(move |workshop| (entry, workshop)))
        .collect();
    run_pairs(&pairs, plan.jobs, lists, progress, &mut results);
    if plan.second_look {
        let failed: BTreeMap<(String, Rig), String> = results
            .runs
            .iter()
            .filter_map(|run| match &run.outcome {
                Outcome::Fail(why) => Some(((run.id.clone(), run.rig), why.clone())),
                _ => None,
            })
            .collect();
        let key = |run: &Run| (run.id.clone(), run.rig);
        results.runs.retain(|run| !failed.contains_key(&key(run)));
        pairs.retain(|(entry, workshop)| {
            failed.contains_key(&(entry.id.clone(), workshop.engine().rig()))
        });
        run_pairs(&pairs, 1, lists, progress, &mut results);
        for run in &mut results.runs {
            if let (Outcome::Pass, Some(why)) = (&run.outcome, failed.get(&key(run))) {
                run.outcome = Outcome::Unsteady(why.clone());
            }
        }
    }
    results
        .runs
        .sort_by(|a, b| (&a.id, a.rig).cmp(&(&b.id, b.rig)));
    for workshop in &mut workshops {
        let rig = workshop.engine().rig();
        let compared = workshop.recorded_wire().and_then(|recording| {
            recording.map_or(Ok(()), |recording| {
                compare_wire(rig, &recording, plan.whole, &mut results)
            })
        });
        if let Err(error) = compared {
            results.errors.push(format!("{error:#}"));
        }
        results.errors.extend(
            workshop
                .leaks()
                .into_iter()
                .map(|leak| format!("the {rig} rig leaked: {leak}")),
        );
    }
    results.stale = stale(lists, &results.runs);
    results.elapsed = started.elapsed();
    results
}

/// Compares what an engine answered with Docker's description. On the reference a violation means that the list of
/// Docker's own exceptions is not complete, which is an error of ours; so is an exception that a whole run did not need.
fn compare_wire(
    rig: Rig,
    recording: &wire::Recording,
    whole: bool,
    results: &mut Results,
) -> anyhow::Result<()> {
    let report = wire::report(
        recording,
        wire::Description::docker()?,
        &wire::Exceptions::docker()?,
    );
    if rig == Rig::Docker && !report.violations.is_empty() {
        results.errors.push(format!(
            "{} kinds of answers of the reference are not in its description and not among the exceptions\n{}",
            report.violations.len(),
            report.proposal()
        ));
    }
    if rig == Rig::Docker && whole && !report.unneeded.is_empty() {
        results.errors.push(format!(
            "exceptions of the wire that no answer of the reference needed: {}",
            report.unneeded.join(", ")
        ));
    }
    results.wire.insert(rig, report);
    Ok(())
}

/// Opens the rigs and notes those that this host does not have.
fn open(rigs: &[Rig], results: &mut Results) -> Vec<Workshop> {
    let mut workshops = Vec::new();
    for rig in rigs {
        match Workshop::open(*rig) {
            Ok(workshop) => {
                results.versions.insert(*rig, version(&workshop));
                workshops.push(workshop);
            }
            Err(Unavailable::NotHere(reason)) => drop(results.not_here.insert(*rig, reason)),
            Err(Unavailable::Failed(error)) => results
                .errors
                .push(format!("the {rig} rig does not work: {error:#}")),
        }
    }
    workshops
}

fn run_pairs(
    pairs: &[(&Entry, &Workshop)],
    jobs: usize,
    lists: &Lists,
    progress: &(dyn Fn(usize, usize, &Run) + Sync),
    results: &mut Results,
) {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (runs, errors) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let recordings = Mutex::new(Recordings::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, pairs.len().max(1)) {
            scope.spawn(|| {
                while let Some((entry, workshop)) = pairs.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    match run_one(entry, workshop, lists) {
                        Ok((run, report)) => {
                            if let (Rig::Docker, Outcome::Pass) = (run.rig, &run.outcome) {
                                lock(&recordings).insert(run.id.clone(), recorded::steps(&report));
                            }
                            progress(done.fetch_add(1, Ordering::Relaxed) + 1, pairs.len(), &run);
                            lock(&runs).push(run);
                        }
                        Err(error) => lock(&errors).push(format!(
                            "{} on {}: {error:#}",
                            entry.id,
                            workshop.engine().rig()
                        )),
                    }
                }
            });
        }
    });
    results.runs.append(&mut lock(&runs));
    results.errors.append(&mut lock(&errors));
    results.recordings.append(&mut lock(&recordings));
}

/// The entries in an order that depends on `seed` alone. A scenario that needs another one to have run before it
/// fails sooner or later, and the seed brings that order back.
fn shuffled(entries: &[Entry], seed: u64) -> Vec<&Entry> {
    // SplitMix64 (Steele, Lea, Flood 2014): a few lines, and the order must never change with a library's version.
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let mut keyed: Vec<(u64, &Entry)> = entries.iter().map(|entry| (next(), entry)).collect();
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, entry)| entry).collect()
}

/// Runs one scenario on one engine and judges it with the lists.
///
/// # Errors
/// As [`Workshop::run`].
pub fn run_one(
    entry: &Entry,
    workshop: &Workshop,
    lists: &Lists,
) -> anyhow::Result<(Run, transcript::ScenarioReport)> {
    let started = Instant::now();
    let rig = workshop.engine().rig();
    let (mut outcome, report) = workshop.run(entry)?;
    if let Outcome::Fail(_) = &outcome {
        if let Some(entry) = divergence::explaining(&lists.divergences, &entry.id, rig) {
            outcome = Outcome::Explained(entry.id.clone());
        } else if let Some(entry) = known::entry(&lists.known_failures, &entry.id, rig) {
            outcome = Outcome::KnownFailure(entry.what.clone());
        }
    }
    let run = Run {
        id: entry.id.clone(),
        topic: entry.topic.clone(),
        page: entry.page.name.clone(),
        line: entry.scenario().line,
        rig,
        outcome,
        elapsed: started.elapsed(),
    };
    Ok((run, report))
}

/// Entries of the lists whose scenario passed on a rig that they name.
pub fn stale(lists: &Lists, runs: &[Run]) -> Vec<String> {
    let passed = runs.iter().filter(|run| run.outcome == Outcome::Pass);
    let found = passed.filter_map(|run| {
        if let Some(entry) = divergence::explaining(&lists.divergences, &run.id, run.rig) {
            return Some(format!(
                "divergence {} is stale: {} passes on {}",
                entry.id, run.id, run.rig
            ));
        }
        known::entry(&lists.known_failures, &run.id, run.rig)?;
        Some(format!(
            "the known failure is none any more: {} passes on {}",
            run.id, run.rig
        ))
    });
    found.collect()
}

fn version(workshop: &Workshop) -> String {
    let answer = workshop
        .engine()
        .request("GET", "/version", None)
        .and_then(|response| response.json());
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("?").to_owned();
    match answer {
        Ok(answer) => format!(
            "{} (API {})",
            text(&answer["Version"]),
            text(&answer["ApiVersion"])
        ),
        Err(error) => format!("unknown: {error}"),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_run(outcome: Outcome) -> Run {
        Run {
            id: "t/p/s".into(),
            topic: "t".into(),
            page: "p.md".into(),
            line: 1,
            rig: Rig::Api,
            outcome,
            elapsed: Duration::ZERO,
        }
    }

    #[test]
    fn what_nobody_knew_of_is_not_well() {
        for (outcome, well) in [
            (Outcome::Pass, true),
            (Outcome::Explained("x".into()), true),
            (Outcome::Fail(String::new()), false),
            (Outcome::NotBuiltYet(String::new()), true),
            (Outcome::KnownFailure(String::new()), true),
            (Outcome::Unsteady(String::new()), false),
        ] {
            let results = Results {
                runs: vec![a_run(outcome.clone())],
                ..Results::default()
            };
            assert_eq!(results.all_well(), well, "{outcome:?}");
        }
        assert!(!Results::default().all_well(), "nothing run is not well");
    }

    #[test]
    fn an_entry_that_passes_is_stale() {
        let entry = Divergence {
            id: "d".into(),
            what: "w".into(),
            why: "y".into(),
            scenario: "t/p/s".into(),
            rigs: vec!["api".into()],
            host: None,
        };
        let lists = Lists {
            divergences: vec![entry],
            known_failures: vec![KnownFailure {
                scenario: "t/p/k".into(),
                rigs: vec!["api".into()],
                what: "w".into(),
            }],
        };
        let known = |outcome| Run {
            id: "t/p/k".into(),
            ..a_run(outcome)
        };
        assert_eq!(stale(&lists, &[a_run(Outcome::Pass)]).len(), 1);
        assert!(stale(&lists, &[a_run(Outcome::Explained("d".into()))]).is_empty());
        assert_eq!(stale(&lists, &[known(Outcome::Pass)]).len(), 1);
        assert!(stale(&lists, &[known(Outcome::KnownFailure("w".into()))]).is_empty());
    }

    #[test]
    fn a_seed_is_an_order_that_loses_nothing() {
        let page = "# P\n".to_owned()
            + &(0..40)
                .map(|number| format!("\n## S{number}\n\n```console\n$ true\n```\n"))
                .collect::<String>();
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("t")).unwrap();
        std::fs::write(directory.path().join("t/p.md"), page).unwrap();
        let entries = crate::catalogue::read(directory.path()).unwrap();
        let order = |seed| -> Vec<&str> {
            shuffled(&entries, seed)
                .iter()
                .map(|entry| entry.id.as_str())
                .collect()
        };
        assert_eq!(order(7), order(7));
        assert_ne!(order(7), order(8));
        let mut sorted = order(7);
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 40);
    }
}
