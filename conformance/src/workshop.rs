//! Running one scenario on one engine, from clean to clean.

use std::time::Duration;

use anyhow::Context;
use rig::{Engine, Rig, Unavailable};
use transcript::{Environment, Options};

use crate::catalogue::Entry;
use crate::helpers::Helpers;
use crate::holdings::Holding;

/// The words with which an engine or a client says that a part of it is not there yet: ours, and Docker's client's for
/// commands and flags that it does not know.
const NOT_BUILT_YET: [&str; 5] = [
    "not built yet",
    "unknown command: docker",
    "run 'docker --help' for more information",
    "unknown flag: ",
    "unknown shorthand flag: ",
];

/// How long a scenario waits for something that should happen at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// Commands whose words on stderr scenarios send away, because the docker client writes a notice of its own there
/// (`docker build` calls its builder deprecated), and the request that such a command makes.
const QUIET_COMMANDS: [(&str, &str, &str); 3] = [
    ("docker build", "POST", "/build"),
    ("docker compose up", "POST", "/networks/create"),
    ("docker cp", "GET", "/containers/x/archive?path=/"),
];

/// An engine with what scenarios need beside it.
#[derive(Debug)]
pub struct Workshop {
    engine: Engine,
    helpers: Helpers,
    patience: Duration,
    baseline: Option<rig::leaks::Footprint>,
    /// Stands between the client and the engine where answers are compared with Docker's description.
    recorder: Option<wire::Recorder>,
}

/// What a scenario came to on a rig.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As on Docker.
    Pass,
    /// Not as on Docker; the text shows the difference.
    Fail(String),
    /// The engine or the client says that it has no such part yet.
    NotBuiltYet(String),
    /// It fails, and `divergence.toml` says why that is meant: the entry's id.
    Explained(String),
    /// It fails, and `known-failures.toml` says what is wrong.
    KnownFailure(String),
    /// It failed at the first look and passed at the second; the text shows the failure.
    Unsteady(String),
    /// It was not run, with the reason.
    Skipped(String),
}

impl Workshop {
    /// Opens a rig and warms it up with one container, so that what stays after it is no leak.
    ///
    /// # Errors
    /// As [`Rig::open`].
    pub fn open(rig: Rig) -> Result<Workshop, Unavailable> {
        Workshop::on_engine(rig.open()?)
    }

    /// The same for an engine that runs already.
    ///
    /// # Errors
    /// When a helper or the first container does not start.
    pub fn on_engine(engine: Engine) -> Result<Workshop, Unavailable> {
        let mut workshop = Workshop {
            engine,
            helpers: Helpers::start()?,
            patience: PATIENCE,
            baseline: None,
            recorder: None,
        };
        if let Some(daemon) = workshop.engine.daemon() {
            let warm = workshop
                .engine
                .client()
                .args(["run", "--rm", "busybox", "true"])
                .output()
                .context("running the client")?;
            if !warm.status.success() {
                let words = String::from_utf8_lossy(&warm.stderr).trim().to_owned();
                return Err(anyhow::anyhow!(
                    "the first container does not run: {words}\n{}",
                    daemon.log()
                )
                .into());
            }
            // The teardown comes after the answer; the idle daemon is the one to compare with.
            daemon.leaks_since(
                &rig::leaks::Footprint::default(),
                Duration::from_millis(500),
            );
            workshop.baseline = Some(daemon.footprint());
        }
        Ok(workshop)
    }

    /// The same with another patience, for an engine of which nothing good is expected.
    pub fn with_patience(self, patience: Duration) -> Workshop {
        Workshop { patience, ..self }
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// From now on, reads along what clients and the engine say to each other.
    ///
    /// # Errors
    /// When the recorder cannot be started.
    pub fn record_wire(&mut self) -> anyhow::Result<()> {
        self.recorder = Some(wire::Recorder::start(self.engine.socket())?);
        Ok(())
    }

    /// What was read since [`Workshop::record_wire`], and the end of it. Before that comes a tour of what no client
    /// asks for, so that the routes seen do not depend on which scenarios ran.
    ///
    /// # Errors
    /// When the engine does not answer any more.
    pub fn recorded_wire(&mut self) -> anyhow::Result<Option<wire::Recording>> {
        let Some(recorder) = self.recorder.take() else {
            return Ok(None);
        };
        wire::tour(recorder.socket())?;
        Ok(Some(recorder.finish()))
    }

    /// The variables that lead a client to the engine, by way of the recorder where there is one.
    fn variables(&self) -> Vec<(String, String)> {
        match &self.recorder {
            Some(recorder) => self.engine.variables_by(recorder.socket()),
            None => self.engine.variables(),
        }
    }

    /// Runs one scenario. What an earlier, broken run of it left is removed first; what it leaves is a failure.
    ///
    /// # Errors
    /// When the harness itself fails: bash does not start, the engine does not answer.
    pub fn run(&self, entry: &Entry) -> anyhow::Result<(Outcome, transcript::ScenarioReport)> {
        self.remove(entry)?;
        let home = tempfile::Builder::new().prefix("conf-home-").tempdir()?;
        self.helpers.furnish(home.path())?;
        let mut environment = Environment::new(home.path());
        environment.path_first = vec![
            self.engine.tools().to_owned(),
            self.helpers.path().to_owned(),
        ];
        let variables = self.variables().into_iter();
        let patience = self.patience.as_secs().to_string();
        environment.variables = variables
            .chain(self.helpers.variables())
            .chain([("WAIT_UNTIL_SECONDS".to_owned(), patience)])
            .collect();
        let options = Options {
            // A step that waits in vain ends by itself, and says for what it waited.
            timeout: self.patience + Duration::from_secs(10),
            rig: Some(self.engine.rig().name().to_owned()),
            helpers: self.helpers.names(),
        };
        let report =
            transcript::run_scenario(&entry.page.name, entry.scenario(), &environment, &options)?;
        let left = self.remove(entry)?;
        let outcome = self.judge(entry, &report, &left);
        Ok((outcome, report))
    }

    fn judge(
        &self,
        entry: &Entry,
        report: &transcript::ScenarioReport,
        left: &[String],
    ) -> Outcome {
        if let Some(reason) = report.skipped() {
            return Outcome::Skipped(reason.to_owned());
        }
        // A command may have sent its words elsewhere (`2>/dev/null`); then the next one that failed tells.
        let mut telling = report.failures().filter(|step| !step.output.is_empty());
        if let Some(line) = telling.next().and_then(not_built_yet) {
            return Outcome::NotBuiltYet(line.to_owned());
        }
        if let Some(words) = self.not_built_quietly(report) {
            return Outcome::NotBuiltYet(words);
        }
        let mut text = report.describe();
        if !left.is_empty() {
            text.push_str(&format!(
                "{}:{}: {}\n  left behind: {}\n",
                entry.page.name,
                report.line,
                report.title,
                left.join(", ")
            ));
        }
        if text.is_empty() {
            Outcome::Pass
        } else {
            Outcome::Fail(text)
        }
    }

    /// What the engine says to the request of a quiet command that failed, where that is 501.
    fn not_built_quietly(&self, report: &transcript::ScenarioReport) -> Option<String> {
        report.failures().next()?;
        let says = |command: &str| {
            let mut steps = report.steps.iter();
            steps.any(|step| step.step.command.contains(command))
        };
        let (_, method, path) = QUIET_COMMANDS
            .iter()
            .find(|(command, _, _)| says(command))?;
        let answer = self.engine.request(method, path, None).ok()?;
        (answer.status == 501).then(|| answer.text())
    }

    /// Removes what carries one of the scenario's names, and says what that was.
    fn remove(&self, entry: &Entry) -> anyhow::Result<Vec<String>> {
        if entry.names.is_empty() {
            return Ok(Vec::new());
        }
        let mut removed = Vec::new();
        for holding in Holding::ALL {
            for (path, name) in holding.named(&self.engine, &entry.names)? {
                self.engine.request("DELETE", &path, None)?;
                removed.push(format!("{} {name}", holding.word()));
            }
        }
        Ok(removed)
    }

    /// After the last scenario: what the engine holds beyond what it held when idle. Always empty for a Docker of
    /// someone else, about which nothing can be said.
    pub fn leaks(&self) -> Vec<String> {
        match (self.engine.daemon(), &self.baseline) {
            (Some(daemon), Some(baseline)) => daemon.leaks_since(baseline, Duration::from_secs(10)),
            _ => Vec::new(),
        }
    }
}

/// The line in which a failed step says that something is not built yet. Only the engine's or client's own words
/// count, and only where Docker did not say the same.
fn not_built_yet(step: &transcript::StepReport) -> Option<&str> {
    let says = |line: &str| {
        NOT_BUILT_YET
            .iter()
            .any(|words| line.to_lowercase().contains(words))
    };
    let expected = step.step.expected.iter().any(|line| says(line));
    let mut lines = step.output.iter().map(String::as_str);
    lines.find(|line| !expected && says(line))
}
