//! Measures `run --rm busybox true`, engine against engine.
//!
//! Rounds are interleaved and each round visits the engines in a new random order, so that a drift of the
//! machine (another program, a warmer cache, a timer) hits all of them alike. Every engine is warmed up
//! first. The same rounds are done for every gap: back to back, and with a pause before each run, because
//! several waits in the kernel (RCU, the cgroup lock) are only paid after an idle moment, and a person at
//! a keyboard always comes after an idle moment. Back to back, work that an engine leaves for later
//! falls on whoever comes next; with a pause it does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::engines::{Engine, Launchers};
use crate::progress::Progress;
use crate::statistics::{Summary, summarise};

/// An engine that fails this often in a row is not asked again: a hanging engine must not hold up the rest.
const FAILURES_IN_A_ROW: usize = 3;

/// How to measure.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Measured runs of each engine for each gap.
    pub rounds: usize,
    /// Runs before them that are not counted.
    pub warm_up: usize,
    /// Pauses before each run, in milliseconds; all rounds are done for each of them.
    pub gaps: Vec<u64>,
    /// Seed of the random order.
    pub seed: u64,
}

/// All rounds with one gap.
#[derive(Debug, Serialize)]
pub struct Section {
    /// The pause before each run, in milliseconds.
    pub gap_ms: u64,
    /// One entry for each engine, in the order of [`crate::engines::NAMES`].
    pub results: Vec<Measured>,
}

/// What was measured for one engine with one gap.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// The engine's name.
    pub engine: &'static str,
    /// `None` if no run succeeded.
    pub summary: Option<Summary>,
    /// Times of the runs that succeeded, in milliseconds, in the order they happened.
    pub samples: Vec<f64>,
    /// Runs that failed. Their times are not counted.
    pub failures: usize,
    /// What the last of them said.
    pub last_failure: Option<String>,
}

/// Measures all `engines`. Setting `stop` ends it early with what there is.
pub fn measure(
    plan: &Plan,
    engines: &[Engine],
    launchers: &mut Launchers,
    stop: &Arc<AtomicBool>,
) -> Result<Vec<Section>> {
    let mut random = fastrand::Rng::with_seed(plan.seed);
    let total = (plan.warm_up + plan.rounds) * plan.gaps.len();
    let mut progress = Progress::new(total);
    let mut serial = 0;
    let mut sections = Vec::new();
    for &gap_ms in &plan.gaps {
        let mut tallies: Vec<Tally> = engines.iter().map(|_| Tally::default()).collect();
        for round in 0..plan.warm_up + plan.rounds {
            let mut order: Vec<usize> = (0..engines.len()).collect();
            random.shuffle(&mut order);
            for index in order {
                if stop.load(Ordering::Relaxed) || tallies[index].given_up() {
                    continue;
                }
                thread::sleep(Duration::from_millis(gap_ms));
                serial += 1;
                let engine = &engines[index];
                let outcome = launchers
                    .get(engine.mount_namespace)?
                    .run(engine.measured(serial))?;
                let counted = round >= plan.warm_up;
                tallies[index].count(outcome.elapsed, outcome.failure, counted);
            }
            progress.step(&format!("gap {gap_ms} ms"));
        }
        let results = engines
            .iter()
            .zip(tallies)
            .map(|(engine, tally)| tally.measured(engine.name));
        sections.push(Section {
            gap_ms,
            results: results.collect(),
        });
    }
    Ok(sections)
}

/// One engine's runs so far.
#[derive(Default)]
struct Tally {
    samples: Vec<f64>,
    failures: usize,
    failures_in_a_row: usize,
    last_failure: Option<String>,
}

impl Tally {
    /// A failure counts also in the warm-up; a time does not.
    fn count(&mut self, elapsed: Duration, failure: Option<String>, counted: bool) {
        if failure.is_some() {
            self.failures += 1;
            self.failures_in_a_row += 1;
            self.last_failure = failure;
            return;
        }
        self.failures_in_a_row = 0;
        if counted {
            self.samples.push(elapsed.as_secs_f64() * 1000.0);
        }
    }

    fn given_up(&self) -> bool {
        self.failures_in_a_row >= FAILURES_IN_A_ROW
    }

    fn measured(self, engine: &'static str) -> Measured {
        Measured {
            engine,
            summary: summarise(&self.samples),
            samples: self.samples,
            failures: self.failures,
            last_failure: self.last_failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_and_their_times_are_not() {
        let mut tally = Tally::default();
        tally.count(Duration::from_millis(9), None, false);
        tally.count(Duration::from_millis(1), Some("exit status 1".into()), true);
        tally.count(Duration::from_millis(2), None, true);
        let measured = tally.measured("docker");
        assert_eq!(measured.samples, [2.0]);
        assert_eq!(measured.failures, 1);
        assert_eq!(measured.last_failure.as_deref(), Some("exit status 1"));
    }

    #[test]
    fn only_failures_in_a_row_end_the_asking() {
        let mut tally = Tally::default();
        let failed = || Some("exit status 1".to_owned());
        tally.count(Duration::ZERO, failed(), true);
        tally.count(Duration::ZERO, failed(), true);
        tally.count(Duration::ZERO, None, true);
        tally.count(Duration::ZERO, failed(), true);
        assert!(!tally.given_up());
        tally.count(Duration::ZERO, failed(), true);
        tally.count(Duration::ZERO, failed(), true);
        assert!(tally.given_up());
        assert_eq!(tally.failures, 5);
    }
}
