//! From a sequence that shows a difference to the shortest one.
//!
//! proptest's tree does the work: it leaves out steps and makes what is left simpler, and takes each back that makes
//! the difference go away. A run costs seconds here, so a candidate is only run when its outcome is not known yet:
//! a sequence with the same beginning, up to the step that differed, differs there as well. The tree passes over the
//! steps once; a step that was needed by another which went later is found by passing again at the end.

use std::time::{Duration, Instant};

use proptest::strategy::ValueTree;

use crate::operation::Step;
use crate::run::Finding;

/// What is left of a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortest {
    /// The steps.
    pub steps: Vec<Step>,
    /// The difference that they show.
    pub finding: Finding,
    /// How many sequences were run on the way.
    pub runs: usize,
}

/// Shrinks a tree whose present value has shown a difference.
///
/// # Errors
/// The ones of `test`.
pub fn shrink(
    tree: &mut dyn ValueTree<Value = Vec<Step>>,
    finding: Finding,
    budget: Duration,
    test: &mut dyn FnMut(&[Step]) -> anyhow::Result<Option<Finding>>,
) -> anyhow::Result<Shortest> {
    let mut search = Search {
        best: Shortest {
            steps: tree.current(),
            finding,
            runs: 0,
        },
        tried: Vec::new(),
        deadline: Instant::now() + budget,
        test,
    };
    search.cut();
    if tree.simplify() {
        loop {
            let differs = search.differs(&tree.current())?;
            let more = if differs {
                tree.simplify()
            } else {
                tree.complicate()
            };
            if !more || search.is_over() {
                break;
            }
        }
    }
    search.leave_out()?;
    Ok(search.best)
}

struct Search<'a> {
    best: Shortest,
    /// Sequences that do not differ.
    tried: Vec<Vec<Step>>,
    deadline: Instant,
    test: &'a mut dyn FnMut(&[Step]) -> anyhow::Result<Option<Finding>>,
}

impl Search<'_> {
    fn is_over(&self) -> bool {
        Instant::now() > self.deadline
    }

    /// Takes away what comes after the difference.
    fn cut(&mut self) {
        self.best.steps.truncate(self.best.finding.step + 1);
    }

    fn differs(&mut self, steps: &[Step]) -> anyhow::Result<bool> {
        if steps.starts_with(&self.best.steps) {
            return Ok(true);
        }
        if self.tried.iter().any(|tried| tried == steps) {
            return Ok(false);
        }
        self.best.runs += 1;
        match (self.test)(steps)? {
            Some(finding) => {
                self.best.steps = steps.to_vec();
                self.best.finding = finding;
                self.cut();
                Ok(true)
            }
            None => {
                self.tried.push(steps.to_vec());
                Ok(false)
            }
        }
    }

    /// Leaves out each step once more, until none can be spared and no second client either.
    fn leave_out(&mut self) -> anyhow::Result<()> {
        let mut index = 0;
        while index < self.best.steps.len() && !self.is_over() {
            let mut shorter = false;
            for steps in without(&self.best.steps, index) {
                if self.differs(&steps)? {
                    shorter = true;
                    break;
                }
            }
            // After a success the steps before this one may have become superfluous.
            index = if shorter { 0 } else { index + 1 };
        }
        Ok(())
    }
}

/// The sequence without one step, or with one of its clients only.
fn without(steps: &[Step], index: usize) -> Vec<Vec<Step>> {
    let mut candidates = Vec::new();
    if steps.len() > 1 {
        let mut fewer = steps.to_vec();
        fewer.remove(index);
        candidates.push(fewer);
    }
    let several = match &steps[index] {
        Step::Together(operations) => operations.clone(),
        Step::Await(_, _, then) => vec![*then],
        Step::One(_) | Step::RestartDaemon(_) => Vec::new(),
    };
    for operation in several {
        let mut simpler = steps.to_vec();
        simpler[index] = Step::One(operation);
        candidates.push(simpler);
    }
    candidates
}
