//! Finding the scenarios, and the rules that every scenario keeps.
//!
//! A scenario is one heading of a page `scenarios/TOPIC/PAGE.md`; its id is `TOPIC/PAGE/the-heading`. Several
//! run at once on one engine, also on a Docker that belongs to someone else. So what a scenario makes has a
//! name that begins with `conf-`, no two scenarios use the same name, and a container without a name is
//! made with `--rm`. From these names the harness knows what to look for when it checks that nothing is left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use regex_lite::Regex;
use transcript::{Page, Scenario};

/// One scenario of the suite.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `topic/page/title-in-kebab-case`.
    pub id: String,
    /// The folder's name.
    pub topic: String,
    /// The page that holds it.
    pub page: Arc<Page>,
    /// Which scenario of the page.
    pub index: usize,
    /// The names that begin with `conf-` and occur in its commands.
    pub names: BTreeSet<String>,
}

impl Entry {
    /// The scenario itself.
    pub fn scenario(&self) -> &Scenario {
        &self.page.scenarios[self.index]
    }
}

/// Where the suite's scenarios lie in the source tree.
pub fn usual_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

/// Reads all scenarios below `directory`, in the order of their ids' pages.
///
/// # Errors
/// When a page cannot be read or breaks a rule; all broken rules are named at once.
pub fn read(directory: &Path) -> anyhow::Result<Vec<Entry>> {
    read_topics(directory, &[])
}

/// Reads the scenarios of some topics, of all when there are none in the list. Pages of other topics are not looked
/// at, so that a page which somebody is just writing does not stop the work on another one.
///
/// # Errors
/// As [`read`].
pub fn read_topics(directory: &Path, topics: &[&str]) -> anyhow::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let chosen = |path: &PathBuf| {
        path.is_dir() && (topics.is_empty() || topics.contains(&file_name(path).as_str()))
    };
    for topic in sorted(directory)?.into_iter().filter(chosen) {
        for path in sorted(&topic)?
            .into_iter()
            .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        {
            let page = Arc::new(Page::read(&path)?);
            let topic = file_name(&topic);
            let stem = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            entries
                .extend((0..page.scenarios.len()).map(|index| entry(&topic, &stem, &page, index)));
        }
    }
    let broken = broken_rules(&entries);
    if !broken.is_empty() {
        bail!("{}", broken.join("\n"));
    }
    Ok(entries)
}

fn entry(topic: &str, stem: &str, page: &Arc<Page>, index: usize) -> Entry {
    let scenario = &page.scenarios[index];
    let commands: String = scenario
        .blocks
        .iter()
        .flat_map(|block| &block.steps)
        .map(|step| step.command.clone() + "\n")
        .collect();
    Entry {
        id: format!("{topic}/{stem}/{}", kebab(&scenario.title)),
        topic: topic.to_owned(),
        page: Arc::clone(page),
        index,
        names: names(&commands),
    }
}

/// The words that begin with `conf-`.
fn names(text: &str) -> BTreeSet<String> {
    let is_part =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    let words = text
        .split(|character: char| !is_part(character))
        .map(|word| word.trim_end_matches('.'));
    words
        .filter(|word| word.len() > 5 && word.starts_with("conf-"))
        .map(str::to_owned)
        .collect()
}

/// Rules that some scenario breaks, a sentence each.
fn broken_rules(entries: &[Entry]) -> Vec<String> {
    let mut broken = Vec::new();
    let mut ids = BTreeSet::new();
    let mut users: BTreeMap<&str, &str> = BTreeMap::new();
    for entry in entries {
        if !ids.insert(&entry.id) {
            broken.push(format!("{}: two scenarios have this id", entry.id));
        }
        for name in &entry.names {
            if let Some(other) = users.insert(name, &entry.id) {
                broken.push(format!(
                    "{}: the name {name} is also used by {other}",
                    entry.id
                ));
            }
        }
        for block in &entry.scenario().blocks {
            for need in &block.control.needs {
                if !crate::helpers::NAMES.contains(&need.as_str()) {
                    broken.push(format!(
                        "{}:{}: there is no helper `{need}`",
                        entry.page.name, block.line
                    ));
                }
            }
            for step in &block.steps {
                if makes_nameless(&step.command) {
                    broken.push(format!(
                        "{}:{}: a container needs `--rm` or `--name conf-…`",
                        entry.page.name, step.line
                    ));
                }
                if Regex::new(r"(^|[;&|\s])sleep [0-9.]+\s*($|[;&])")
                    .is_ok_and(|regex| regex.is_match(outside_quotes(&step.command).trim_start()))
                {
                    broken.push(format!(
                        "{}:{}: wait for a state (wait-until), do not sleep",
                        entry.page.name, step.line
                    ));
                }
            }
        }
    }
    broken
}

/// Whether a command makes a container that the harness could not find again.
fn makes_nameless(command: &str) -> bool {
    let makes = [
        "docker run ",
        "docker create ",
        "docker container run ",
        "docker container create ",
    ];
    command.lines().any(|line| {
        makes.iter().any(|make| line.contains(make))
            && !["--rm", "--name", "--help"]
                .iter()
                .any(|option| line.contains(option))
    })
}

/// The command with quoted text and the arguments of `docker` cut out: a `sleep` inside a container is no wait.
fn outside_quotes(command: &str) -> String {
    let mut kept = String::new();
    let mut quote = None;
    for character in command.chars() {
        match quote {
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None if matches!(character, '\'' | '"') => quote = Some(character),
            None => kept.push(character),
        }
    }
    let pieces = kept
        .split([';', '&', '|', '\n'])
        .filter(|piece| !piece.contains("docker "));
    pieces.collect::<Vec<_>>().join(";")
}

/// `Exit code 3 is kept` becomes `exit-code-3-is-kept`.
fn kebab(title: &str) -> String {
    let lower = title.to_lowercase();
    let words = lower
        .split(|character: char| !character.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

fn sorted(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_page(text: &str) -> anyhow::Result<Vec<Entry>> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("topic")).unwrap();
        std::fs::write(directory.path().join("topic/page.md"), text).unwrap();
        read(directory.path())
    }

    #[test]
    fn entries_have_ids_and_names() {
        let entries = read_page("# T\n\n## Exit code 3, kept\n\n```console\n$ docker run --name conf-a busybox true; docker rmi conf-b:1\n```\n").unwrap();
        assert_eq!(entries[0].id, "topic/page/exit-code-3-kept");
        assert_eq!(
            entries[0].names,
            BTreeSet::from(["conf-a".to_owned(), "conf-b".to_owned()])
        );
    }

    #[test]
    fn rules_are_held() {
        for command in [
            "docker run busybox true",
            "docker create busybox",
            "sleep 1",
            "true; sleep 0.5",
        ] {
            assert!(
                read_page(&format!("# T\n\n```console\n$ {command}\n```\n")).is_err(),
                "{command}"
            );
        }
        for command in [
            "docker run --rm busybox sleep 1",
            "docker run -d --name conf-x busybox sleep 100",
        ] {
            assert!(
                read_page(&format!("# T\n\n```console\n$ {command}\n```\n")).is_ok(),
                "{command}"
            );
        }
        let unknown = "# T\n\n<!-- transcript: needs=regstry -->\n```console\n$ true\n```\n";
        assert!(
            read_page(unknown)
                .unwrap_err()
                .to_string()
                .contains("regstry")
        );
        let twice = "# A\n\n```console\n$ docker rm conf-x\n```\n\n# B\n\n```console\n$ docker rm conf-x\n```\n";
        assert!(read_page(twice).unwrap_err().to_string().contains("conf-x"));
    }

    /// The suite itself can be read and keeps the rules.
    #[test]
    fn the_suite_is_well_formed() {
        assert!(read(&usual_directory()).unwrap().len() >= 40);
    }
}
