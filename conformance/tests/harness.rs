//! The harness against scenarios that are deliberately wrong: a suite that passes everything would pass the right
//! ones too. Needs an engine, and takes the Docker that is here.

use std::process::ExitCode;

use conformance::catalogue;
use conformance::workshop::{Outcome, Workshop};
use libtest_mimic::{Arguments, Failed, Trial};
use rig::Rig;

/// One test.
type Test = fn() -> Result<(), Failed>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let missing = if arguments.list {
        None
    } else {
        Rig::Docker.missing()
    };
    let tests: [(&str, Test); 4] = [
        ("a_right_scenario_passes", a_right_scenario_passes),
        ("wrong_output_and_status_fail", wrong_output_and_status_fail),
        (
            "what_is_left_behind_is_named_and_removed",
            what_is_left_behind_is_named_and_removed,
        ),
        (
            "not_built_yet_is_no_pass_and_no_fail",
            not_built_yet_is_no_pass_and_no_fail,
        ),
    ];
    let trials = tests.into_iter().map(|(name, test)| {
        let trial = Trial::test(name, test);
        match &missing {
            Some(reason) => trial.with_kind(reason).with_ignored_flag(true),
            None => trial,
        }
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// Runs a page's only scenario.
fn outcome(page: &str) -> Result<(Outcome, Workshop), Failed> {
    let directory = tempfile::tempdir()?;
    std::fs::create_dir(directory.path().join("topic"))?;
    std::fs::write(directory.path().join("topic/page.md"), page)?;
    let entries = catalogue::read(directory.path())?;
    let workshop = Workshop::open(Rig::Docker)?;
    let (outcome, _) = workshop.run(&entries[0])?;
    Ok((outcome, workshop))
}

fn a_right_scenario_passes() -> Result<(), Failed> {
    let (outcome, _) = outcome(
        "# T\n\n```console\n$ docker run --rm busybox sh -c 'echo out; exit 3'\nout\n? 3\n```\n",
    )?;
    if outcome == Outcome::Pass {
        Ok(())
    } else {
        Err(format!("{outcome:?}").into())
    }
}

fn wrong_output_and_status_fail() -> Result<(), Failed> {
    let (outcome, _) = outcome(
        "# T\n\n```console\n$ docker run --rm busybox sh -c 'echo out; exit 3'\nother\n```\n",
    )?;
    match outcome {
        Outcome::Fail(why) if why.contains("- other") && why.contains("+ ? 3") => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

fn what_is_left_behind_is_named_and_removed() -> Result<(), Failed> {
    let page = "# T\n\n```console\n$ docker create --name conf-harness-left busybox >/dev/null; docker tag busybox conf-harness-tag\n```\n";
    let (outcome, workshop) = outcome(page)?;
    match outcome {
        Outcome::Fail(why)
            if why.contains(
                "left behind: container conf-harness-left, image conf-harness-tag:latest",
            ) => {}
        other => return Err(format!("{other:?}").into()),
    }
    let containers = workshop.engine().containers()?;
    let still = containers
        .iter()
        .any(|(_, names)| names.iter().any(|name| name == "conf-harness-left"));
    if still {
        Err("the container is still there".into())
    } else {
        Ok(())
    }
}

fn not_built_yet_is_no_pass_and_no_fail() -> Result<(), Failed> {
    let (outcome, _) = outcome(
        "# T\n\n```console\n$ echo 'Error response from daemon: POST /build is not built yet'; false\n```\n",
    )?;
    if matches!(outcome, Outcome::NotBuiltYet(_)) {
        Ok(())
    } else {
        Err(format!("{outcome:?}").into())
    }
}
