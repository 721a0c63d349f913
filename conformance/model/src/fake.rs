//! A thing that behaves like an engine, with a defect planted in it: the fuzzer has to find it and shrink it to the
//! fewest steps that show it. Without this, a fuzzer that never finds anything would look like two equal engines.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::strategy::ValueTree;
use serde_json::{Value, json};

use crate::generate::{self, Abilities};
use crate::operation::{Name, NewName, Operation, Step};
use crate::run::Pair;
use crate::shrink::{Shortest, shrink};
use crate::subject::Subject;

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Defect {
    #[default]
    None,
    /// A container that was renamed cannot be stopped.
    StopAfterRename,
    /// The third start of a container leaves it paused.
    ThirdStart,
    /// A forced removal leaves the container to the end.
    Leak,
}

#[derive(Clone, Default)]
struct Container {
    running: bool,
    renamed: bool,
    starts: u32,
}

#[derive(Default)]
struct Fake {
    defect: Defect,
    containers: BTreeMap<Name, Container>,
    leaked: bool,
}

impl Fake {
    fn with(defect: Defect) -> Fake {
        Fake {
            defect,
            ..Fake::default()
        }
    }

    fn answer(&mut self, operation: &Operation) -> u16 {
        let Some(name) = operation.name() else {
            return 200;
        };
        if let Operation::Create(..) = operation {
            let free = !self.containers.contains_key(&name);
            self.containers.entry(name).or_default();
            return if free { 201 } else { 409 };
        }
        let Some(mut container) = self.containers.remove(&name) else {
            return 404;
        };
        let mut name = name;
        let status = match operation {
            Operation::Start(_) if container.running => 304,
            Operation::Start(_) => {
                container.running = true;
                container.starts += 1;
                204
            }
            Operation::Stop(..) if !container.running => 304,
            Operation::Stop(..) if self.defect == Defect::StopAfterRename && container.renamed => {
                500
            }
            Operation::Stop(..) => {
                container.running = false;
                204
            }
            Operation::Rename(_, NewName::Name(new)) if !self.containers.contains_key(new) => {
                container.renamed |= *new != name;
                name = *new;
                204
            }
            Operation::Remove(_, force) if *force || !container.running => {
                self.leaked |= *force && self.defect == Defect::Leak;
                return 204;
            }
            _ => 409,
        };
        self.containers.insert(name, container);
        status
    }
}

impl Subject for Fake {
    fn begin(&mut self, _: &str) -> anyhow::Result<()> {
        *self = Fake::with(self.defect);
        Ok(())
    }

    fn act(&mut self, step: &Step) -> Value {
        step.operations()
            .iter()
            .map(|operation| json!({ "status": self.answer(operation) }))
            .collect()
    }

    fn observe(&mut self) -> Value {
        let paused =
            |container: &Container| self.defect == Defect::ThirdStart && container.starts == 3;
        let shown = |(name, container): (&Name, &Container)| {
            (
                name.to_string(),
                json!([container.running, paused(container)]),
            )
        };
        Value::Object(self.containers.iter().map(shown).collect())
    }

    fn end(&mut self) -> anyhow::Result<()> {
        anyhow::ensure!(!self.leaked, "a container is left");
        Ok(())
    }
}

/// The shortest sequence for a defect, from the first seed that meets it.
fn search(defect: Defect) -> Option<Shortest> {
    let (mut reference, mut subject) = (Fake::default(), Fake::with(defect));
    let mut pair = Pair {
        reference: &mut reference,
        subject: &mut subject,
        patience: Duration::ZERO,
    };
    for seed in 0..200 {
        let mut tree = generate::tree(seed, 40, &Abilities::default()).unwrap();
        let mut test = |steps: &[Step]| pair.run("t", steps);
        if let Some(finding) = test(&tree.current()).unwrap() {
            return Some(shrink(&mut tree, finding, Duration::from_secs(20), &mut test).unwrap());
        }
    }
    None
}

fn verbs(shortest: &Shortest) -> Vec<&'static str> {
    let operations = shortest.steps.iter().flat_map(Step::operations);
    operations.map(|operation| operation.verb()).collect()
}

#[test]
fn equal_engines_do_not_differ() {
    assert_eq!(search(Defect::None), None);
}

#[test]
fn a_wrong_answer_is_found_and_shrunk() {
    let shortest = search(Defect::StopAfterRename).unwrap();
    // Whether the start or the rename comes first is all the same.
    let mut needed = verbs(&shortest);
    needed.sort_unstable();
    assert_eq!(
        needed,
        ["create", "rename", "start", "stop"],
        "{shortest:?}"
    );
    assert_eq!(
        shortest.finding.differences[0].to_string(),
        "/0/status: Docker has 204, Drydock has 500"
    );
}

#[test]
fn a_wrong_state_is_found_and_shrunk() {
    let shortest = search(Defect::ThirdStart).unwrap();
    assert_eq!(
        verbs(&shortest),
        ["create", "start", "stop", "start", "stop", "start"],
        "{shortest:?}"
    );
}

#[test]
fn what_is_left_at_the_end_is_found() {
    let shortest = search(Defect::Leak).unwrap();
    assert_eq!(verbs(&shortest), ["create", "rm"], "{shortest:?}");
}
