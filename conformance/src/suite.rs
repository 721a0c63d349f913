//! Running many scenarios on several rigs at once.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rig::{Rig, Unavailable};

use crate::catalogue::Entry;
use crate::divergence::{self, Divergence};
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
    /// Entries of `divergence.toml` that are no longer true.
    pub stale: Vec<String>,
}

impl Results {
    /// Whether everything passed, or is explained, and something was run.
    pub fn all_well(&self) -> bool {
        let fine = |run: &Run| {
            matches!(
                run.outcome,
                Outcome::Pass | Outcome::Explained(_) | Outcome::Skipped(_)
            )
        };
        self.errors.is_empty()
            && self.stale.is_empty()
            && !self.runs.is_empty()
            && self.runs.iter().all(fine)
    }
}

/// Runs `entries` on `rigs`, `jobs` at a time. `progress` is called after each.
pub fn run(
    entries: &[Entry],
    rigs: &[Rig],
    jobs: usize,
    divergences: &[Divergence],
    progress: &(dyn Fn(usize, usize, &Run) + Sync),
) -> Results {
    let mut results = Results::default();
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
    // Scenario by scenario, not rig by rig: then the rigs share the machine's load evenly.
    let pairs: Vec<(&Entry, &Workshop)> = entries
        .iter()
        .flat_map(|entry| workshops.iter().map(move |workshop| (entry, workshop)))
        .collect();
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (runs, errors) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, pairs.len().max(1)) {
            scope.spawn(|| {
                while let Some((entry, workshop)) = pairs.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    match run_one(entry, workshop, divergences) {
                        Ok(run) => {
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
    results.runs = std::mem::take(&mut *lock(&runs));
    results
        .runs
        .sort_by(|a, b| (&a.id, a.rig).cmp(&(&b.id, b.rig)));
    results.errors.append(&mut lock(&errors));
    for workshop in &workshops {
        let rig = workshop.engine().rig();
        results.errors.extend(
            workshop
                .leaks()
                .into_iter()
                .map(|leak| format!("the {rig} rig leaked: {leak}")),
        );
    }
    results.stale = stale(divergences, &results.runs);
    results
}

/// Runs one scenario on one engine and judges it with the list of divergences.
///
/// # Errors
/// As [`Workshop::run`].
pub fn run_one(
    entry: &Entry,
    workshop: &Workshop,
    divergences: &[Divergence],
) -> anyhow::Result<Run> {
    let started = Instant::now();
    let rig = workshop.engine().rig();
    let (mut outcome, _) = workshop.run(entry)?;
    if let (Outcome::Fail(_), Some(entry)) = (
        &outcome,
        divergence::explaining(divergences, &entry.id, rig),
    ) {
        outcome = Outcome::Explained(entry.id.clone());
    }
    Ok(Run {
        id: entry.id.clone(),
        topic: entry.topic.clone(),
        page: entry.page.name.clone(),
        line: entry.scenario().line,
        rig,
        outcome,
        elapsed: started.elapsed(),
    })
}

/// Divergences whose scenario passed on a rig that they name.
pub fn stale(divergences: &[Divergence], runs: &[Run]) -> Vec<String> {
    let passed = runs.iter().filter(|run| run.outcome == Outcome::Pass);
    let found = passed.filter_map(|run| {
        let entry = divergence::explaining(divergences, &run.id, run.rig)?;
        Some(format!(
            "divergence {} is stale: {} passes on {}",
            entry.id, run.id, run.rig
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
    fn only_passes_and_explained_failures_are_well() {
        for (outcome, well) in [
            (Outcome::Pass, true),
            (Outcome::Explained("x".into()), true),
            (Outcome::Fail(String::new()), false),
            (Outcome::NotBuiltYet(String::new()), false),
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
    fn a_divergence_that_passes_is_stale() {
        let entry = Divergence {
            id: "d".into(),
            what: "w".into(),
            why: "y".into(),
            scenario: "t/p/s".into(),
            rigs: vec!["api".into()],
            host: None,
        };
        assert_eq!(
            stale(std::slice::from_ref(&entry), &[a_run(Outcome::Pass)]).len(),
            1
        );
        assert!(
            stale(
                std::slice::from_ref(&entry),
                &[a_run(Outcome::Explained("d".into()))]
            )
            .is_empty()
        );
    }
}
