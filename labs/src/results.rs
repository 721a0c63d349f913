//! `results.json`: what a grading found, for a gradebook and for whoever asks why.
//!
//! One document per run. Under the same seed, with the same lab, compiler and engine, everything but `times`
//! is the same again, byte for byte.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::engine::Identity;
use crate::judge::TaskResult;
use crate::lab::Limits;
use crate::progress::write_atomically;
use crate::replay::FailedCommand;
use crate::verdict::{self, Verdict};

/// The version of this document's form.
pub const SCHEMA_VERSION: u32 = 1;

/// The document.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What was graded.
    pub lab: LabIdentity,
    /// On what; null if there was no submission, or no engine.
    pub engine: Option<Identity>,
    /// The compiler of a "build it" lab.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compiler: Option<String>,
    /// The grader's version.
    pub grader: String,
    /// What the inputs were made from; text, because JSON numbers are exact to 53 bits only.
    pub seed: String,
    /// What a submission could use.
    pub limits: Limits,
    /// The submissions, by name.
    pub submissions: Vec<SubmissionResult>,
    /// When, and how long. The one part that differs between two equal runs.
    pub times: Times,
}

/// Which lab, exactly.
#[derive(Clone, Debug, Serialize)]
pub struct LabIdentity {
    /// Its id.
    pub id: String,
    /// The digest of its folder.
    pub digest: String,
    /// The most that can be earned.
    pub points_max: u32,
}

/// What was found about one submission.
#[derive(Clone, Debug, Serialize)]
pub struct SubmissionResult {
    /// The name of its folder.
    pub name: String,
    /// The digest of what was handed in; null if it could not be read.
    pub digest: Option<String>,
    /// The sum of the tasks' points.
    pub points: u32,
    /// False if a task's verdict is `error`: then `points` says nothing, and grading must be repeated.
    pub complete: bool,
    /// Every task of the lab.
    pub tasks: Vec<TaskResult>,
    /// "Use it" labs: commands of the submission that did not succeed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed_commands: Vec<FailedCommand>,
}

/// Wall times.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Times {
    /// Seconds since 1970 at the start.
    pub started: u64,
    /// Milliseconds over all.
    pub milliseconds: u64,
    /// Milliseconds of each submission, in the order of `submissions`.
    pub submissions: Vec<u64>,
}

impl SubmissionResult {
    /// Every verdict.
    pub fn verdicts(&self) -> impl Iterator<Item = Verdict> {
        self.tasks.iter().map(|task| task.verdict)
    }
}

impl Results {
    /// The exit code of the run (see [`verdict::exit_code`]).
    pub fn exit_code(&self) -> u8 {
        verdict::exit_code(self.submissions.iter().flat_map(SubmissionResult::verdicts))
    }

    /// Writes the document, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).context("cannot write the results")?;
        text.push('\n');
        write_atomically(path, text.as_bytes())
    }
}
