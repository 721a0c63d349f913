//! The engines of this machine, each as a command that runs the image once.
//!
//! An engine that is not there or cannot run is not left out silently: it stands in the report with the
//! reason. Before it is measured, every engine has to run one container whose output we check, so that a
//! fast failure can never look like a fast start.

mod bare;
mod drydock;
mod imported;

use std::any::Any;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use crate::launch::{Job, Launcher, MountNamespace, UNIFIED};
use crate::workshop::Workshop;

/// What the proving run prints.
pub const MARKER: &str = "drydock-bench";

/// After this long a single run counts as hung.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Name of the plain-exec floor.
pub const FLOOR: &str = "exec";

/// Name of the engine that others are compared with.
pub const DOCKER: &str = "docker";

/// The names of all engines that are looked for, in the order of the report.
pub const NAMES: [&str; 7] = [
    "drydock",
    "drydock-api",
    DOCKER,
    "podman",
    "crun",
    "runc",
    FLOOR,
];

/// An engine, ready to be measured. Dropping it removes what it needed (its image, a daemon of its own).
#[derive(Serialize)]
pub struct Engine {
    /// Short name, one of [`NAMES`].
    pub name: &'static str,
    /// What is measured, in words.
    pub what: &'static str,
    /// The engine's own words on its version, with what else matters for its times.
    pub version: String,
    /// Program and arguments of a measured run; `{id}` stands for a fresh container id.
    pub command: Vec<String>,
    /// In which mount namespace it runs.
    pub mount_namespace: MountNamespace,
    /// The same as `command`, but printing [`MARKER`].
    #[serde(skip)]
    proof: Vec<String>,
    #[serde(skip)]
    environment: Vec<(String, String)>,
    #[serde(skip)]
    undo: Vec<Vec<String>>,
    /// What has to stay alive while the engine is measured.
    #[serde(skip)]
    _keep: Option<Box<dyn Any>>,
}

/// An engine that will not be measured.
#[derive(Clone, Debug, Serialize)]
pub struct Absent {
    /// Short name, one of [`NAMES`].
    pub name: &'static str,
    /// Why not.
    pub reason: String,
}

/// Looks for every engine whose name is in `wanted` and proves those that are there.
pub fn find(
    workshop: &Workshop,
    wanted: &[String],
    launchers: &mut Launchers,
) -> (Vec<Engine>, Vec<Absent>) {
    let mut engines = Vec::new();
    let mut absent = Vec::new();
    let drydock = drydock::Daemon::default();
    for name in NAMES
        .into_iter()
        .filter(|name| wanted.iter().any(|wanted| wanted == name))
    {
        let found = match name {
            "drydock" => drydock.by_own_client(workshop),
            "drydock-api" => drydock.by_docker_client(workshop),
            DOCKER => imported::docker(workshop),
            "podman" => imported::podman(workshop),
            "crun" | "runc" => bare::runtime(name, workshop),
            _ => Ok(bare::floor(workshop)),
        };
        match found.and_then(|engine| prove(engine, launchers)) {
            Ok(engine) => engines.push(engine),
            Err(error) => absent.push(Absent {
                name,
                reason: format!("{error:#}"),
            }),
        }
    }
    (engines, absent)
}

fn prove(engine: Engine, launchers: &mut Launchers) -> Result<Engine> {
    let job = engine.job(&engine.proof, "proof");
    let outcome = launchers.get(engine.mount_namespace)?.run(job)?;
    if let Some(failure) = outcome.failure {
        bail!("its first run failed: {failure}");
    }
    ensure!(
        outcome.stdout.trim() == MARKER,
        "its first run printed {:?}, not {MARKER:?}",
        outcome.stdout.trim()
    );
    Ok(engine)
}

impl Engine {
    /// The job of one measured run. `serial` makes the container's id unique in this process.
    pub fn measured(&self, serial: usize) -> Job {
        self.job(&self.command, &serial.to_string())
    }

    fn job(&self, command: &[String], serial: &str) -> Job {
        let id = format!("{MARKER}-{}-{serial}", std::process::id());
        Job {
            argv: command
                .iter()
                .map(|argument| argument.replace("{id}", &id))
                .collect(),
            environment: self.environment.clone(),
            timeout: TIMEOUT,
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        for command in &self.undo {
            if let Err(error) = output(command, &self.environment) {
                eprintln!("benches: could not clean up after {}: {error:#}", self.name);
            }
        }
    }
}

/// One launcher per mount namespace, made when first needed.
#[derive(Default)]
pub struct Launchers {
    host: Option<Launcher>,
    without_unified: Option<Launcher>,
}

impl Launchers {
    /// The launcher for `namespace`.
    pub fn get(&mut self, namespace: MountNamespace) -> Result<&Launcher> {
        let slot = match namespace {
            MountNamespace::Host => &mut self.host,
            MountNamespace::WithoutUnified => &mut self.without_unified,
        };
        match slot {
            Some(launcher) => Ok(launcher),
            None => Ok(slot.insert(Launcher::new(namespace)?)),
        }
    }
}

/// The mount namespace for an engine that may use crun: see [`MountNamespace::WithoutUnified`].
fn crun_namespace() -> MountNamespace {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let hybrid = mounts
        .lines()
        .any(|line| line.split(' ').nth(1) == Some(UNIFIED));
    if hybrid {
        MountNamespace::WithoutUnified
    } else {
        MountNamespace::Host
    }
}

/// The environment of every measured process: PATH and HOME of this one, and what the engine needs.
fn environment(extra: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut environment: Vec<(String, String)> = ["PATH", "HOME"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)))
        .collect();
    environment.extend(
        extra
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    environment
}

/// Runs a preparing command and gives what it printed; an error has its standard error.
fn output(command: &[String], environment: &[(String, String)]) -> Result<String> {
    let (program, arguments) = command.split_first().context("an empty command")?;
    let output = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output()
        .with_context(|| format!("start {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed: {}", command.join(" "), said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// `words` after `program`, as owned strings.
fn command(program: &[String], words: &[&str]) -> Vec<String> {
    program
        .iter()
        .cloned()
        .chain(words.iter().map(|word| (*word).to_owned()))
        .collect()
}
