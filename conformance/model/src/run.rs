//! One sequence on two engines, compared after each step.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::compare::{Difference, differences};
use crate::operation::Step;
use crate::subject::{NO_ANSWER, Subject};

/// Where two engines differed for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The index of the step.
    pub step: usize,
    /// What differs.
    pub differences: Vec<Difference>,
}

/// The two engines.
pub struct Pair<'a> {
    /// The one that decides what is right.
    pub reference: &'a mut dyn Subject,
    /// The one that is tested.
    pub subject: &'a mut dyn Subject,
    /// How long two observations may differ. One engine tells an event a moment after the state it belongs to, the
    /// other before; what still differs then differs for good.
    pub patience: Duration,
}

impl Pair<'_> {
    /// Runs a sequence up to the first difference, and removes what it made.
    ///
    /// # Errors
    /// When the reference does not answer, or one of the engines cannot be made ready.
    pub fn run(&mut self, tag: &str, steps: &[Step]) -> anyhow::Result<Option<Finding>> {
        let (first, second) = self.both(|subject| subject.begin(tag));
        first.context("the reference")?;
        second.context("the engine that is tested")?;
        let found = self.steps(steps);
        let (first, second) = self.both(|subject| subject.end());
        first.context("the reference")?;
        let found = found?;
        // What cannot be removed is a finding as well, unless there is one that explains it.
        Ok(found.or_else(|| left_behind(steps.len().saturating_sub(1), second)))
    }

    fn steps(&mut self, steps: &[Step]) -> anyhow::Result<Option<Finding>> {
        for (index, step) in steps.iter().enumerate() {
            let (reference, subject) = self.both(|subject| subject.act(step));
            check_alive(&reference)?;
            let mut found = differences(&reference, &subject);
            if found.is_empty() {
                found = self.observe()?;
            }
            if !found.is_empty() {
                return Ok(Some(Finding {
                    step: index,
                    differences: found,
                }));
            }
        }
        Ok(None)
    }

    fn observe(&mut self) -> anyhow::Result<Vec<Difference>> {
        let deadline = Instant::now() + self.patience;
        loop {
            let (reference, subject) = self.both(|subject| subject.observe());
            check_alive(&reference)?;
            let found = differences(&reference, &subject);
            // An engine that does not answer lacks every field; the reason is enough.
            if let Some(reason) = subject.get(NO_ANSWER) {
                return Ok(vec![silence(reason)]);
            }
            if found.is_empty() || Instant::now() >= deadline {
                return Ok(found);
            }
            std::thread::sleep(Duration::from_millis(50).min(self.patience));
        }
    }

    /// Does the same on both at once, so that a sequence takes the time of the slower one.
    fn both<T: Send>(&mut self, act: impl Fn(&mut dyn Subject) -> T + Sync) -> (T, T) {
        let (reference, subject) = (&mut *self.reference, &mut *self.subject);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| act(subject));
            let first = act(reference);
            match other.join() {
                Ok(second) => (first, second),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}

fn silence(reason: &Value) -> Difference {
    Difference {
        path: "/observation".to_owned(),
        reference: Some(Value::String("an answer".to_owned())),
        subject: Some(reason.clone()),
    }
}

fn left_behind(step: usize, end: anyhow::Result<()>) -> Option<Finding> {
    let error = end.err()?;
    let left = Difference {
        path: "/the end".to_owned(),
        reference: None,
        subject: Some(Value::String(format!("{error:#}"))),
    };
    Some(Finding {
        step,
        differences: vec![left],
    })
}

/// A reference that does not answer says nothing about the other engine.
fn check_alive(seen: &Value) -> anyhow::Result<()> {
    let dead = match seen {
        Value::Array(answers) => answers
            .iter()
            .find(|answer| answer.get(NO_ANSWER).is_some()),
        other => other.get(NO_ANSWER),
    };
    if let Some(dead) = dead {
        bail!("the reference does not answer: {dead}");
    }
    Ok(())
}
