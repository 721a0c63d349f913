//! Runs a command with a recorder between it and an engine, and prints what the engine answered otherwise than
//! Docker describes: `record ENGINE [--propose] [--tour] [COMMAND…]`. The engine is a socket, or the name of a rig that
//! is opened for it. With `--tour`, the tour of the library is made as well.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Context;
use rig::Rig;

const USAGE: &str = "usage: record ENGINE [--propose] [--tour] [COMMAND…]";

fn main() -> anyhow::Result<ExitCode> {
    let mut words = std::env::args_os().skip(1).peekable();
    let word = words.next().context(USAGE)?;
    let rig = word.to_str().and_then(|name| name.parse::<Rig>().ok());
    let opened = rig.map(Rig::open).transpose()?;
    let engine = match &opened {
        Some(engine) => engine.socket().to_owned(),
        None => PathBuf::from(word),
    };
    let propose = words.next_if(|word| word == "--propose").is_some();
    let tour = words.next_if(|word| word == "--tour").is_some();
    let recorder = wire::Recorder::start(&engine)?;
    let mut well = true;
    if tour {
        wire::tour(recorder.socket())?;
    }
    if let Some(program) = words.next() {
        let host = format!("unix://{}", recorder.socket().display());
        let status = Command::new(&program)
            .args(words)
            .env("DOCKER_HOST", &host)
            .env("DRYDOCK_HOST", &host)
            .env("CONFORMANCE_DOCKER_HOST", &host)
            .env("ENGINE_SOCKET", recorder.socket())
            .status()
            .with_context(|| format!("starting {}", program.display()))?;
        well = status.success();
    }
    let recording = recorder.finish();
    let exceptions = wire::Exceptions::docker()?;
    let report = wire::report(&recording, wire::Description::docker()?, &exceptions);
    eprintln!("\n{}", report.text());
    if propose {
        print!("{}", report.proposal());
    }
    for name in report.unneeded.iter().filter(|_| propose) {
        eprintln!("unneeded: {name}");
    }
    well &= report.violations.is_empty();
    Ok(if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
