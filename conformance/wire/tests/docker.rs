//! A real Docker, where there is one, against its own description: the list of exceptions is complete.

#![allow(clippy::unwrap_used)] // this is a test, though without the usual harness

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use rig::Rig;
use wire::{Description, Exceptions, Recorder};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let missing = Rig::Docker.missing();
    let trial = Trial::test("dockers_answers_are_explained", explained);
    let trial = match &missing {
        Some(reason) => trial.with_ignored_flag(true).with_kind(reason),
        None => trial,
    };
    libtest_mimic::run(&arguments, vec![trial]).exit_code()
}

fn explained() -> Result<(), Failed> {
    let engine = Rig::Docker.open()?;
    let recorder = Recorder::start(engine.socket()).unwrap();
    wire::tour(recorder.socket()).unwrap();
    let recording = recorder.finish();
    let report = wire::report(
        &recording,
        Description::docker().unwrap(),
        &Exceptions::docker().unwrap(),
    );
    let fine = report.violations.is_empty() && report.lost == 0 && report.validated > 100;
    if fine {
        Ok(())
    } else {
        Err(report.text().into())
    }
}
