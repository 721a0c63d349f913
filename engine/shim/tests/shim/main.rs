//! Containers started through the spawner and a shim, without a daemon: streams, exec, confinement, and what
//! stays after the end.
//!
//! The test program is its own spawner: `launch` starts a copy of the running program with the argument
//! `spawner`, as it does in the engine. Needs root and a static busybox; without them every test is reported
//! as ignored with the reason.

mod confinement;
mod execs;
mod harness;
mod sharing;
mod streams;

use libtest_mimic::{Arguments, Failed, Trial};

/// A test, by its name.
pub type Test = (&'static str, fn(&harness::Bench) -> Result<(), Failed>);

fn main() -> std::process::ExitCode {
    if std::env::args()
        .nth(1)
        .is_some_and(|word| word == "spawner")
    {
        return drydock_shim::spawner_main();
    }
    let arguments = Arguments::from_args();
    let missing = harness::what_is_missing();
    let tests = [
        streams::TESTS,
        execs::TESTS,
        confinement::TESTS,
        sharing::TESTS,
    ]
    .concat();
    let trials = tests
        .into_iter()
        .map(|(name, test)| {
            let trial = Trial::test(name, move || test(&harness::Bench::new()?));
            match missing {
                Some(reason) => trial.with_kind(reason).with_ignored_flag(true),
                None => trial,
            }
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
