//! Running one scenario on one engine, from clean to clean.

use std::time::Duration;

use anyhow::Context;
use rig::{Engine, Rig, Unavailable};
use transcript::{Environment, Options};

use crate::catalogue::Entry;

/// `wait-until VALUE COMMAND…`: scenarios wait for a state with it and never for a time to pass.
const WAIT_UNTIL: &str = r#"#!/bin/bash
# wait-until VALUE COMMAND...: runs the command until its output is VALUE, at most 20 seconds.
value=$1; shift
deadline=$((SECONDS + 20))
while true; do
    output=$("$@" 2>&1)
    [ "$output" = "$value" ] && exit 0
    if [ $SECONDS -ge $deadline ]; then
        echo "wait-until: still \`$output\`, not \`$value\`, after 20 seconds" >&2
        exit 1
    fi
    sleep 0.02
done
"#;

/// The words with which an engine or a client says that a part of it is not there yet.
const NOT_BUILT_YET: &str = "not built yet";

/// An engine with what scenarios need beside it.
#[derive(Debug)]
pub struct Workshop {
    engine: Engine,
    helpers: tempfile::TempDir,
    baseline: Option<rig::leaks::Footprint>,
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
    /// It was not run, with the reason.
    Skipped(String),
}

impl Workshop {
    /// Opens a rig and warms it up with one container, so that what stays after it is no leak.
    ///
    /// # Errors
    /// As [`Rig::open`].
    pub fn open(rig: Rig) -> Result<Workshop, Unavailable> {
        let engine = rig.open()?;
        let helpers = tempfile::Builder::new()
            .prefix("conformance-")
            .tempdir()
            .context("making a directory for helpers")?;
        let helper = helpers.path().join("wait-until");
        std::fs::write(&helper, WAIT_UNTIL).context("writing wait-until")?;
        make_executable(&helper).context("writing wait-until")?;
        let mut workshop = Workshop {
            engine,
            helpers,
            baseline: None,
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

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Runs one scenario. What an earlier, broken run of it left is removed first; what it leaves is a failure.
    ///
    /// # Errors
    /// When the harness itself fails: bash does not start, the engine does not answer.
    pub fn run(
        &self,
        entry: &Entry,
    ) -> anyhow::Result<(Outcome, Option<transcript::ScenarioReport>)> {
        self.remove(entry)?;
        let home = tempfile::Builder::new().prefix("conf-home-").tempdir()?;
        let mut environment = Environment::new(home.path());
        environment.path_first = vec![
            self.engine.tools().to_owned(),
            self.helpers.path().to_owned(),
        ];
        environment.variables = self.engine.variables().into_iter().collect();
        let options = Options {
            timeout: Duration::from_secs(30),
            rig: Some(self.engine.rig().name().to_owned()),
        };
        let report =
            transcript::run_scenario(&entry.page.name, entry.scenario(), &environment, &options)?;
        let left = self.remove(entry)?;
        let outcome = self.judge(entry, &report, &left);
        Ok((outcome, Some(report)))
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
        // Only the engine's or client's own words count, and only where the scenario failed by them.
        let said = report
            .failures()
            .flat_map(|step| &step.output)
            .find(|line| line.to_lowercase().contains(NOT_BUILT_YET));
        if let Some(line) = said {
            return Outcome::NotBuiltYet(line.clone());
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

    /// Removes what carries one of the scenario's names, and says what that was.
    fn remove(&self, entry: &Entry) -> anyhow::Result<Vec<String>> {
        if entry.names.is_empty() {
            return Ok(Vec::new());
        }
        let mut removed = Vec::new();
        for (id, names) in self.engine.containers()? {
            if let Some(name) = names.iter().find(|name| entry.names.contains(*name)) {
                self.engine
                    .request("DELETE", &format!("/containers/{id}?force=1&v=1"), None)?;
                removed.push(format!("container {name}"));
            }
        }
        for image in self.engine.image_names()? {
            let repository = image
                .rsplit_once(':')
                .map_or(image.as_str(), |(repository, _)| repository);
            if entry.names.contains(repository) {
                self.engine
                    .request("DELETE", &format!("/images/{image}?force=1"), None)?;
                removed.push(format!("image {image}"));
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

fn make_executable(path: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}
