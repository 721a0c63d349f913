//! A sequence as a tree that proptest can shrink.
//!
//! proptest's own vectors draw all elements from one strategy, and one with a fixed length is never made shorter. The
//! first steps of a sequence come from another strategy than the rest, and every step may go. The order is that of
//! proptest's vectors: leave out steps one by one, then make each that is left simpler.

use proptest::strategy::{BoxedStrategy, Strategy, ValueTree};

use crate::operation::Step;

type StepTree = <BoxedStrategy<Step> as Strategy>::Tree;

/// What `simplify` does next, or did last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    LeaveOut(usize),
    Simplify(usize),
}

/// The steps of a sequence, each with its own tree.
pub struct SequenceTree {
    steps: Vec<StepTree>,
    kept: Vec<bool>,
    next: Move,
    last: Option<Move>,
}

impl SequenceTree {
    /// A sequence of these steps.
    pub fn new(steps: Vec<StepTree>) -> SequenceTree {
        SequenceTree {
            kept: vec![true; steps.len()],
            steps,
            next: Move::LeaveOut(0),
            last: None,
        }
    }
}

impl ValueTree for SequenceTree {
    type Value = Vec<Step>;

    fn current(&self) -> Vec<Step> {
        let kept = self.steps.iter().zip(&self.kept).filter(|(_, kept)| **kept);
        kept.map(|(step, _)| step.current()).collect()
    }

    fn simplify(&mut self) -> bool {
        loop {
            match self.next {
                Move::LeaveOut(index) if index >= self.steps.len() => self.next = Move::Simplify(0),
                Move::LeaveOut(index) => {
                    self.kept[index] = false;
                    self.last = Some(self.next);
                    self.next = Move::LeaveOut(index + 1);
                    return true;
                }
                Move::Simplify(index) if index >= self.steps.len() => return false,
                Move::Simplify(index) if self.kept[index] && self.steps[index].simplify() => {
                    self.last = Some(self.next);
                    return true;
                }
                Move::Simplify(index) => self.next = Move::Simplify(index + 1),
            }
        }
    }

    fn complicate(&mut self) -> bool {
        match self.last {
            None => false,
            Some(Move::LeaveOut(index)) => {
                self.kept[index] = true;
                self.last = None;
                true
            }
            Some(Move::Simplify(index)) => {
                let more = self.steps[index].complicate();
                if !more {
                    self.last = None;
                }
                more
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::{Name, Operation};
    use proptest::test_runner::TestRunner;

    #[test]
    fn steps_go_and_what_stays_becomes_simple() {
        let mut runner = TestRunner::deterministic();
        let strategy = (0..100u8)
            .prop_map(|number| Step::One(Operation::Start(Name(number))))
            .boxed();
        let number = |step: &Step| match step {
            Step::One(Operation::Start(Name(number))) => *number,
            _ => 0,
        };
        let steps = (0..20).map(|_| strategy.new_tree(&mut runner).unwrap());
        let mut tree = SequenceTree::new(steps.collect());
        let fails = |steps: &[Step]| steps.iter().filter(|step| number(step) >= 10).count() >= 2;
        assert!(fails(&tree.current()));
        let mut more = tree.simplify();
        let mut best = tree.current();
        while more {
            if fails(&tree.current()) {
                best = tree.current();
                more = tree.simplify();
            } else {
                more = tree.complicate();
            }
        }
        assert_eq!(best.iter().map(number).collect::<Vec<_>>(), [10, 10]);
    }
}
