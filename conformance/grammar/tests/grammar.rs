//! Everything that Docker's help shows is in Drydock's, or in `grammar.toml` with a reason.

#![allow(clippy::unwrap_used)] // this is a test, though without the usual harness

use std::process::ExitCode;

use grammar::{Reasons, compare, docker, drydock, recorded};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = vec![
        Trial::test("everything_is_the_same_or_explained", explained),
        Trial::ignorable_test("the_recording_is_true", recording),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn explained() -> Result<(), Failed> {
    let reasons = Reasons::read(&Reasons::usual_path()).unwrap();
    let report = compare(&recorded().unwrap(), &drydock().unwrap(), &reasons);
    if report.all_well() {
        return Ok(());
    }
    let unexplained: Vec<String> = report.proposal().iter().map(grammar::Entry::name).collect();
    Err(format!(
        "unexplained: {unexplained:?}\nstale: {:?}\nwithout a reason: {:?}",
        report.stale, report.without_reason
    )
    .into())
}

/// Only a client of the very version that was recorded can tell.
fn recording() -> Result<Completion, Failed> {
    let recorded = recorded().unwrap();
    let docker = match docker() {
        Ok(docker) => docker,
        Err(reason) => return Ok(Completion::ignored_with(reason.to_string())),
    };
    if docker.version != recorded.version {
        let reason = format!(
            "here is {}, recorded was {}",
            docker.version, recorded.version
        );
        return Ok(Completion::ignored_with(reason));
    }
    for (path, command) in &recorded.commands {
        if docker.commands.get(path) != Some(command) {
            return Err(format!("`docker {path} --help` is not as recorded").into());
        }
    }
    if docker != recorded {
        return Err("the docker client has more commands than were recorded".into());
    }
    Ok(Completion::Completed)
}
