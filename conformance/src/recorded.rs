//! What real Docker said: the output of every scenario, kept, so that other engines can be judged without a Docker.
//!
//! The expectation in a page is what Docker said with the varying parts elided. Whether an elision is honest, and
//! whether somebody bent an expectation to another engine's output, can only be seen against the output itself. So
//! `conformance run --rig docker --record` keeps it in `recorded/TOPIC.json`, with the version it came from, and a
//! test holds every page against it: each recorded line must still fit, on hosts without a Docker as well.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use transcript::{ScenarioReport, compare};

use crate::catalogue::Entry;

/// One command and what it printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedStep {
    /// The command as it stood in the page.
    pub command: String,
    /// Its output, cleaned as in the crate `transcript`.
    pub output: Vec<String>,
    /// Its exit status.
    pub status: i32,
}

/// The steps of a scenario that passed, by its id.
pub type Recordings = BTreeMap<String, Vec<RecordedStep>>;

/// One file: what one topic's scenarios printed, and where.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct File {
    /// The version of Docker and of its API.
    docker: String,
    /// The day, as `2026-01-31`.
    recorded: String,
    scenarios: Recordings,
}

/// Where the recordings lie in the source tree.
pub fn usual_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("recorded")
}

/// The steps of a report. Steps that were skipped have none.
pub fn steps(report: &ScenarioReport) -> Vec<RecordedStep> {
    let ran = report.steps.iter().filter_map(|step| {
        Some(RecordedStep {
            command: step.step.command.clone(),
            output: step.output.clone(),
            status: step.status?,
        })
    });
    ran.collect()
}

/// Writes the recordings of a run: what was recorded before stays where the run did not come by, and goes where the
/// suite has no such scenario any more.
///
/// # Errors
/// When a file cannot be read or written.
pub fn write(
    directory: &Path,
    recordings: &Recordings,
    suite: &[Entry],
    docker: &str,
    today: &str,
) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("making {}", directory.display()))?;
    let mut topics: BTreeMap<&str, Recordings> = BTreeMap::new();
    for (id, steps) in recordings {
        let topic = id.split('/').next().unwrap_or(id);
        topics
            .entry(topic)
            .or_default()
            .insert(id.clone(), steps.clone());
    }
    for (topic, new) in topics {
        let path = directory.join(format!("{topic}.json"));
        let mut scenarios = match read_file(&path)? {
            Some(file) => file.scenarios,
            None => Recordings::new(),
        };
        scenarios.retain(|id, _| suite.iter().any(|entry| entry.id == *id));
        scenarios.extend(new);
        let file = File {
            docker: docker.to_owned(),
            recorded: today.to_owned(),
            scenarios,
        };
        let text = serde_json::to_string_pretty(&file)? + "\n";
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn read_file(path: &Path) -> anyhow::Result<Option<File>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    let file = serde_json::from_str(&text).with_context(|| format!("in {}", path.display()))?;
    Ok(Some(file))
}

/// All recordings, and a sentence on where they came from.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// By scenario.
    pub scenarios: Recordings,
    /// `recorded from Docker 28.5.2 (API 1.51) on 2026-01-31`, each version once.
    pub origin: String,
}

/// Reads all files of a directory; none is there before the first recording.
///
/// # Errors
/// When a file cannot be read or is malformed.
pub fn read(directory: &Path) -> anyhow::Result<Recorded> {
    let mut recorded = Recorded::default();
    let mut origins = std::collections::BTreeSet::new();
    let files = std::fs::read_dir(directory).into_iter().flatten();
    for path in files.filter_map(|entry| Some(entry.ok()?.path())) {
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
            && let Some(file) = read_file(&path)?
        {
            origins.insert(format!("Docker {} on {}", file.docker, file.recorded));
            recorded.scenarios.extend(file.scenarios);
        }
    }
    recorded.origin = match origins.is_empty() {
        true => "not recorded yet".to_owned(),
        false => format!(
            "recorded from {}",
            origins.into_iter().collect::<Vec<_>>().join(" and ")
        ),
    };
    Ok(recorded)
}

/// Where a page and the recording of Docker disagree, a sentence each. A command that was written after the
/// recording has nothing to be held against and is counted by [`unrecorded`].
pub fn disagreements(entries: &[Entry], recorded: &Recorded) -> Vec<String> {
    let mut found = Vec::new();
    for entry in entries {
        let Some(steps) = recorded.scenarios.get(&entry.id) else {
            continue;
        };
        let written = entry
            .scenario()
            .blocks
            .iter()
            .flat_map(|block| &block.steps);
        for (step, kept) in written.zip(steps) {
            if step.command == kept.command
                && !(step.status == kept.status && compare::fits(&step.expected, &kept.output))
            {
                found.push(format!(
                    "{}:{}: `{}` is not what Docker said: {:?}, status {}",
                    entry.page.name, step.line, step.command, kept.output, kept.status
                ));
            }
        }
    }
    found
}

/// The scenarios whose commands are not those that were recorded.
pub fn unrecorded<'a>(entries: &'a [Entry], recorded: &Recorded) -> Vec<&'a str> {
    let is_recorded = |entry: &&Entry| {
        let kept = recorded.scenarios.get(&entry.id);
        let written = entry
            .scenario()
            .blocks
            .iter()
            .flat_map(|block| &block.steps);
        kept.is_some_and(|kept| {
            kept.iter()
                .map(|step| &step.command)
                .eq(written.map(|step| &step.command))
        })
    };
    let missing = entries.iter().filter(|entry| !is_recorded(entry));
    missing.map(|entry| entry.id.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;

    fn entries(page: &str) -> Vec<Entry> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("t")).unwrap();
        std::fs::write(directory.path().join("t/p.md"), page).unwrap();
        catalogue::read(directory.path()).unwrap()
    }

    fn recordings(output: &str) -> Recordings {
        let step = RecordedStep {
            command: "date".into(),
            output: vec![output.into()],
            status: 0,
        };
        Recordings::from([("t/p/s".to_owned(), vec![step])])
    }

    #[test]
    fn a_bent_expectation_is_seen_without_docker() {
        let directory = tempfile::tempdir().unwrap();
        let honest = entries("# P\n\n## S\n\n```console\n$ date\n[TIME]\n```\n");
        let taken = recordings("2026-01-31T12:00:00Z");
        write(directory.path(), &taken, &honest, "28.5.2", "2026-01-31").unwrap();
        let recorded = read(directory.path()).unwrap();
        assert_eq!(recorded.origin, "recorded from Docker 28.5.2 on 2026-01-31");
        assert!(disagreements(&honest, &recorded).is_empty());
        assert!(unrecorded(&honest, &recorded).is_empty());
        let bent = entries("# P\n\n## S\n\n```console\n$ date\nyesterday\n```\n");
        assert_eq!(disagreements(&bent, &recorded).len(), 1);
        let new = entries("# P\n\n## S\n\n```console\n$ date -u\n[TIME]\n```\n");
        assert!(disagreements(&new, &recorded).is_empty());
        assert_eq!(unrecorded(&new, &recorded), ["t/p/s"]);
    }

    #[test]
    fn what_the_suite_has_no_more_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let one = entries("# P\n\n## S\n\n```console\n$ date\n```\n");
        write(directory.path(), &recordings("x"), &one, "1", "d").unwrap();
        let step = recordings("y").remove("t/p/s").unwrap_or_default();
        let other = Recordings::from([("t/p/other".to_owned(), step)]);
        let renamed = entries("# P\n\n## Other\n\n```console\n$ date\n```\n");
        write(directory.path(), &other, &renamed, "1", "d").unwrap();
        let recorded = read(directory.path()).unwrap();
        assert_eq!(recorded.scenarios.keys().collect::<Vec<_>>(), ["t/p/other"]);
    }

    /// Every page says what Docker said.
    #[test]
    fn the_suite_agrees_with_what_docker_said() {
        let entries = catalogue::read(&catalogue::usual_directory()).unwrap();
        let recorded = read(&usual_directory()).unwrap();
        let found = disagreements(&entries, &recorded);
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}
