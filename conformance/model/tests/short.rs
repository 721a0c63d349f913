//! A few sequences on both engines, short enough for every run of the tests.

use std::process::ExitCode;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use model::Plan;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let missing = if arguments.list {
        None
    } else {
        model::missing()
    };
    let trial = Trial::test("five_sequences_show_no_difference", five_sequences);
    let trial = match &missing {
        Some(reason) => trial.with_kind(reason).with_ignored_flag(true),
        None => trial,
    };
    libtest_mimic::run(&arguments, vec![trial]).exit_code()
}

fn five_sequences() -> Result<(), Failed> {
    let plan = Plan {
        sequences: 5,
        steps: 12,
        seed: 1000,
        jobs: 2,
        shrink: Duration::from_secs(60),
    };
    let report = model::fuzz(&plan, &|_| {})?;
    if report.pages.is_empty() {
        Ok(())
    } else {
        Err(report.pages.join("\n").into())
    }
}
