//! What a learner has done so far: `progress.toml` in their working folder.
//!
//! A file for people: they may read it, and a text editor may change it. Nothing depends on its truth;
//! grading starts from nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::judge::TaskResult;
use crate::state::Seen;
use crate::verdict::Verdict;

/// The file's name.
pub const FILE: &str = "progress.toml";

const HEAD: &str = "\
# Your progress in this lab. `labs check` and `labs hint` write it; grading does not read it.
";

/// The content of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// The lab's id.
    pub lab: String,
    /// Tasks that were checked or asked about.
    #[serde(default)]
    pub tasks: BTreeMap<String, TaskProgress>,
    /// What checks have seen that may not be there later.
    #[serde(default)]
    pub seen: Seen,
}

/// What is known about one task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskProgress {
    /// The last verdict that said something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Whether it has passed once. Who tidies up afterwards does not lose it.
    #[serde(default)]
    pub done: bool,
    /// How many hints were read.
    #[serde(default)]
    pub hints: usize,
}

impl Progress {
    /// The progress of a lab that was just started.
    pub fn new(lab: &str) -> Progress {
        Progress {
            lab: lab.to_string(),
            ..Progress::default()
        }
    }

    /// Reads it from a learner's folder.
    pub fn read(folder: &Path) -> Result<Progress> {
        let path = folder.join(FILE);
        let describe = || {
            format!(
                "cannot read {}\nhint: `labs reset LAB` makes a new one",
                path.display()
            )
        };
        let text = fs::read_to_string(&path).with_context(describe)?;
        toml::from_str(&text).with_context(describe)
    }

    /// Writes it to a learner's folder, whole or not at all.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let text = format!("{HEAD}{}", toml::to_string(self)?);
        write_atomically(&folder.join(FILE), text.as_bytes())
    }

    /// Takes over what a check found. An error of the grader changes nothing.
    pub fn record(&mut self, results: &[TaskResult]) {
        for result in results {
            if result.verdict != Verdict::Error {
                let task = self.tasks.entry(result.id.clone()).or_default();
                task.verdict = Some(result.verdict);
                task.done |= result.verdict == Verdict::Pass;
            }
        }
    }

    /// Whether a task has passed once.
    pub fn is_done(&self, task: &str) -> bool {
        self.tasks.get(task).is_some_and(|task| task.done)
    }
}

/// Writes a file by a temporary one in the same folder, sync and rename: a reader sees the old or the new
/// content, and so does who looks after a power cut.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    let describe = || format!("cannot write {}", path.display());
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(folder)
        .with_context(describe)?;
    file.write_all(content).with_context(describe)?;
    file.as_file().sync_all().with_context(describe)?;
    file.persist(path).with_context(describe)?;
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .with_context(describe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_kept_and_readable() {
        let folder = tempfile::tempdir().unwrap();
        let mut progress = Progress::new("01-x");
        progress.tasks.insert(
            "zero".to_string(),
            TaskProgress {
                verdict: Some(Verdict::Fail),
                done: true,
                hints: 2,
            },
        );
        progress.write(folder.path()).unwrap();
        assert_eq!(Progress::read(folder.path()).unwrap(), progress);
        let text = fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert!(text.contains("[tasks.zero]\nverdict = \"fail\"\ndone = true\nhints = 2\n"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
