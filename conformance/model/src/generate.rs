//! Strategies that make sequences.
//!
//! They know nothing of a container's state: about half of the operations meet a container that cannot do what is asked,
//! and its refusal is compared as much as a success. The one thing they hold is that what they make comes to rest
//! (`operation.rs`). In each choice the simplest comes first, because that is where shrinking goes.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::operation::{
    Change, Creation, Exec, Flaw, Listing, Name, NewName, Operation, Policy, Program, Step,
};
use crate::sequence::SequenceTree;

/// What the engines can do, and so what is generated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// Verbs ([`Operation::verb`]) that an engine says it does not have yet.
    pub missing: Vec<&'static str>,
}

impl Abilities {
    fn allow(&self, operation: &Operation) -> bool {
        !self.missing.contains(&operation.verb())
    }
}

/// How many steps of a sequence mostly create and start. Without them most operations would meet no container.
const EARLY: usize = 5;

/// The sequence that follows from a seed.
///
/// # Errors
/// When a strategy gives nothing, which would be a defect of this file.
pub fn tree(seed: u64, steps: usize, abilities: &Abilities) -> anyhow::Result<SequenceTree> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let early = prop_oneof![
        2 => create().prop_map(Step::One),
        1 => name().prop_map(|name| Step::One(Operation::Start(name))),
    ];
    let (early, late) = (early.boxed(), step(abilities));
    let trees = (0..steps).map(|index| {
        let strategy = if index < EARLY { &early } else { &late };
        strategy
            .new_tree(&mut runner)
            .map_err(|reason| anyhow::anyhow!("no step could be made: {reason}"))
    });
    Ok(SequenceTree::new(trees.collect::<anyhow::Result<_>>()?))
}

/// One step.
fn step(abilities: &Abilities) -> BoxedStrategy<Step> {
    let allowed = abilities.clone();
    let one = operation()
        .prop_filter("an engine does not have it", move |operation| {
            allowed.allow(operation)
        })
        .boxed();
    let apart = one.clone();
    prop_oneof![
        30 => one.prop_map(Step::One),
        3 => together_apart(apart.clone()),
        2 => together_on_one(),
        2 => awaiting(),
        1 => any::<bool>().prop_map(Step::RestartDaemon),
    ]
    .boxed()
}

/// Operations on different containers.
fn together_apart(one: BoxedStrategy<Operation>) -> impl Strategy<Value = Step> {
    vec(one, 2..=3)
        .prop_map(|operations| {
            let mut kept: Vec<Operation> = Vec::new();
            for operation in operations {
                // A list sees the others' containers, and a rename is about two names.
                let apart = !matches!(
                    operation,
                    Operation::List(_) | Operation::Prune | Operation::Rename(..)
                ) && kept.iter().all(|other| other.name() != operation.name());
                if apart {
                    kept.push(operation);
                }
            }
            kept
        })
        .prop_filter("nothing at once", |operations| operations.len() > 1)
        .prop_map(Step::Together)
}

/// Operations on one container that leave it as it is.
fn together_on_one() -> impl Strategy<Value = Step> {
    let harmless = |name| {
        prop_oneof![
            Just(Operation::Inspect(name)),
            Just(Operation::Logs(name, None)),
            select(vec![0, 1, 3]).prop_map(move |code| Operation::Exec(name, Exec::Exit(code))),
            Just(Operation::Exec(name, Exec::Missing)),
            Just(Operation::List(Listing::Running)),
        ]
    };
    name()
        .prop_flat_map(move |name| vec(harmless(name), 2..=3))
        .prop_map(Step::Together)
}

fn awaiting() -> impl Strategy<Value = Step> {
    let then = |name| {
        prop_oneof![
            Just(Operation::Kill(name, "KILL")),
            Just(Operation::Stop(name, None)),
            Just(Operation::Start(name)),
            Just(Operation::Remove(name, true)),
            Just(Operation::Restart(name, None)),
        ]
    };
    let condition = select(vec!["not-running", "next-exit", "removed", ""]);
    (name(), condition).prop_flat_map(move |(name, condition)| {
        then(name).prop_map(move |then| Step::Await(name, condition, then))
    })
}

fn name() -> impl Strategy<Value = Name> {
    (0..Name::COUNT).prop_map(Name)
}

fn operation() -> impl Strategy<Value = Operation> {
    // Not 0: which of the stop signal and SIGKILL, sent at once, a program hears is a matter of luck.
    let seconds = || option::weighted(0.3, Just(1i8));
    prop_oneof![
        6 => create(),
        10 => name().prop_map(Operation::Start),
        4 => (name(), seconds()).prop_map(|(name, seconds)| Operation::Stop(name, seconds)),
        3 => (name(), seconds()).prop_map(|(name, seconds)| Operation::Restart(name, seconds)),
        5 => (name(), signal()).prop_map(|(name, signal)| Operation::Kill(name, signal)),
        3 => name().prop_map(Operation::Pause),
        3 => name().prop_map(Operation::Unpause),
        3 => (name(), new_name()).prop_map(|(name, new)| Operation::Rename(name, new)),
        3 => (name(), any::<bool>()).prop_map(|(name, force)| Operation::Remove(name, force)),
        5 => (name(), exec()).prop_map(|(name, exec)| Operation::Exec(name, exec)),
        1 => name().prop_map(Operation::Inspect),
        1 => listing().prop_map(Operation::List),
        2 => (name(), change()).prop_map(|(name, change)| Operation::Update(name, change)),
        1 => name().prop_map(Operation::Top),
        1 => (name(), option::of(0u8..3)).prop_map(|(name, tail)| Operation::Logs(name, tail)),
        1 => Just(Operation::Prune),
    ]
}

fn signal() -> impl Strategy<Value = &'static str> {
    // No SIGSTOP: a stopped process does not hear what comes next, and nothing that an engine shows says so.
    select(vec![
        "KILL",
        "TERM",
        "SIGUSR1",
        "HUP",
        "9",
        "",
        "nosuch",
        "0",
        "SIGRTMIN+1",
    ])
}

fn new_name() -> impl Strategy<Value = NewName> {
    prop_oneof![
        // One more than `create` uses, so that a free name is not rare.
        8 => (0..=Name::COUNT).prop_map(|name| NewName::Name(Name(name))),
        1 => Just(NewName::Same),
        1 => Just(NewName::Malformed),
        1 => Just(NewName::Empty),
    ]
}

fn exec() -> impl Strategy<Value = Exec> {
    prop_oneof![
        4 => select(vec![0u8, 1, 5]).prop_map(Exec::Exit),
        1 => Just(Exec::Missing),
        1 => Just(Exec::User),
        1 => Just(Exec::Directory),
        1 => Just(Exec::Tty),
        1 => select(vec![0u8, 7]).prop_map(Exec::Detached),
        4 => Just(Exec::KillInside),
        1 => Just(Exec::Empty),
    ]
}

fn listing() -> impl Strategy<Value = Listing> {
    prop_oneof![
        Just(Listing::Running),
        select(vec!["created", "running", "paused", "exited", "nosuch"]).prop_map(Listing::Status),
        select(vec![0u8, 7, 137]).prop_map(Listing::Exited),
        name().prop_map(Listing::Named),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        // Not `always`: a container whose program ends would never come to rest.
        select(vec![Policy::No, Policy::OnFailure(1)]).prop_map(Change::Policy),
        select(vec![2u16, 512]).prop_map(Change::Shares),
        Just(Change::LittleMemory),
    ]
}

fn create() -> impl Strategy<Value = Operation> {
    let program = prop_oneof![
        5 => Just(Program::Sleep),
        4 => Just(Program::Trap),
        4 => select(vec![0u8, 1, 3]).prop_map(Program::Exit),
        1 => Just(Program::Twice),
        1 => Just(Program::Missing),
        1 => Just(Program::NotExecutable),
    ];
    let creation = program.prop_flat_map(|program| {
        (
            policy(program),
            prop::bool::weighted(0.15),
            prop::bool::weighted(0.1),
            option::weighted(0.2, select(vec!["SIGUSR1", "KILL", "TERM"])),
            prop::bool::weighted(0.2),
            option::weighted(0.12, flaw(program)),
        )
            .prop_map(
                move |(policy, auto_remove, tty, stop_signal, no_network, flaw)| Creation {
                    program,
                    policy,
                    auto_remove,
                    tty,
                    stop_signal,
                    no_network,
                    flaw,
                },
            )
    });
    (name(), creation).prop_map(|(name, creation)| Operation::Create(name, creation))
}

/// The policies with which a program comes to rest.
fn policy(program: Program) -> impl Strategy<Value = Policy> {
    let ends = matches!(program, Program::Exit(_));
    let mut policies = vec![Policy::No, Policy::No, Policy::No, Policy::OnFailure(1)];
    policies.extend(if ends {
        [Policy::No, Policy::OnFailure(2)]
    } else {
        [Policy::Always, Policy::UnlessStopped]
    });
    select(policies)
}

/// Of two reasons why a start fails, Docker tells the missing program first and Drydock the missing network: Docker has
/// the program looked up before there is a network. One of them at a time.
fn flaw(program: Program) -> impl Strategy<Value = Flaw> {
    let mut flaws = vec![
        Flaw::Image,
        Flaw::Policy,
        Flaw::Retries,
        Flaw::Memory,
        Flaw::Signal,
        Flaw::Directory,
        Flaw::User,
    ];
    if !matches!(program, Program::Missing | Program::NotExecutable) {
        flaws.push(Flaw::Network);
    }
    select(flaws)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::strategy::ValueTree;

    fn steps(seed: u64) -> Vec<Step> {
        tree(seed, 20, &Abilities::default()).unwrap().current()
    }

    #[test]
    fn a_seed_is_a_sequence() {
        assert_eq!(steps(7), steps(7));
        assert_ne!(steps(7), steps(8));
        assert_eq!(steps(7).len(), 20);
    }

    #[test]
    fn clients_at_once_do_not_meet() {
        let reads = |operation: &Operation| {
            use Operation::*;
            matches!(operation, Inspect(_) | Logs(..) | Exec(..) | List(_))
        };
        let together = (0..200).flat_map(steps).filter_map(|step| match step {
            Step::Together(operations) => Some(operations),
            _ => None,
        });
        for operations in together {
            let mut names: Vec<_> = operations.iter().map(Operation::name).collect();
            names.sort();
            names.dedup();
            let apart = names.len() == operations.len() && !names.contains(&None);
            assert!(apart || operations.iter().all(reads), "{operations:?}");
        }
    }

    #[test]
    fn what_an_engine_lacks_is_not_made() {
        let abilities = Abilities {
            missing: vec!["pause", "exec"],
        };
        for seed in 0..20 {
            for step in tree(seed, 20, &abilities).unwrap().current() {
                if let Step::One(operation) = step {
                    assert!(abilities.allow(&operation), "{operation:?}");
                }
            }
        }
    }

    #[test]
    fn programs_that_end_are_not_started_for_ever() {
        for operation in (0..200).flat_map(steps).flat_map(|step| step.operations()) {
            if let Operation::Create(_, creation) = operation
                && matches!(creation.program, Program::Exit(_))
            {
                assert!(matches!(creation.policy, Policy::No | Policy::OnFailure(_)));
            }
        }
    }
}
