//! Docker's grammar against Drydock's.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::model::{Command, Grammar};
use crate::reasons::{Entry, Reasons};

/// How one command or flag of Docker's is in Drydock's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// There, with the same meaning.
    Same,
    /// There, with another meaning, and the list says why.
    Differs,
    /// Not there, and the list says why.
    Absent,
    /// Not there or otherwise, and nobody says why.
    Unexplained,
}

/// One command, alias or flag of Docker's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The command's proper name.
    pub command: String,
    /// The flag, without dashes; none for the command itself.
    pub flag: Option<String>,
    /// How it is there.
    pub state: State,
    /// What Docker has.
    pub docker: String,
    /// What Drydock has; empty where it has nothing.
    pub drydock: String,
    /// Why it is so, where it is not the same.
    pub reason: String,
}

/// The whole comparison.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The version of Docker's client.
    pub docker: String,
    /// The version of Drydock's.
    pub drydock: String,
    /// Everything Docker has.
    pub rows: Vec<Row>,
    /// What only Drydock has.
    pub own: Vec<String>,
    /// Entries of the list that explain nothing.
    pub stale: Vec<String>,
    /// Entries of the list without a reason.
    pub without_reason: Vec<String>,
}

impl Report {
    /// Whether everything is the same or explained, and the list is true.
    pub fn all_well(&self) -> bool {
        self.stale.is_empty()
            && self.without_reason.is_empty()
            && self.count(State::Unexplained) == 0
            && !self.rows.is_empty()
    }

    /// How many rows are so.
    pub fn count(&self, state: State) -> usize {
        self.rows.iter().filter(|row| row.state == state).count()
    }

    /// Entries, without a reason yet, for what is unexplained. Of commands below each other the uppermost.
    pub fn proposal(&self) -> Vec<Entry> {
        let unexplained = self
            .rows
            .iter()
            .filter(|row| row.state == State::Unexplained);
        let mut entries: Vec<Entry> = Vec::new();
        for row in unexplained {
            let covered = |entry: &Entry| {
                entry.flag.is_none()
                    && row.flag.is_none()
                    && row.command.starts_with(&format!("{} ", entry.command))
            };
            if !entries.iter().any(covered) {
                entries.push(Entry {
                    command: row.command.clone(),
                    flag: row.flag.clone(),
                    reason: String::new(),
                });
            }
        }
        entries
    }
}

/// Compares, and looks up what is not the same.
pub fn compare(docker: &Grammar, drydock: &Grammar, reasons: &Reasons) -> Report {
    let mut look = Look {
        reasons,
        needed: BTreeSet::new(),
        rows: Vec::new(),
    };
    for (name, paths) in proper(docker) {
        let Some(theirs) = docker.commands.get(name) else {
            continue;
        };
        look.command(name, &paths, theirs, drydock);
    }
    let names = |entries: &mut dyn Iterator<Item = (usize, &Entry)>| {
        entries.map(|(_, entry)| entry.name()).collect()
    };
    let entries = || reasons.entries.iter().enumerate();
    Report {
        docker: docker.version.clone(),
        drydock: drydock.version.clone(),
        own: own(docker, drydock),
        stale: names(&mut entries().filter(|(index, _)| !look.needed.contains(index))),
        without_reason: names(&mut entries().filter(|(_, entry)| entry.reason.trim().is_empty())),
        rows: look.rows,
    }
}

/// Each command's proper name with all names that it has.
fn proper(grammar: &Grammar) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut commands: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (path, command) in &grammar.commands {
        let names = commands.entry(grammar.proper(path)).or_default();
        names.insert(path);
        names.extend(command.aliases.iter().map(String::as_str));
    }
    commands
}

/// What only Drydock has.
fn own(docker: &Grammar, drydock: &Grammar) -> Vec<String> {
    let mut own = BTreeSet::new();
    for (path, command) in &drydock.commands {
        let name = drydock.proper(path);
        match docker.find(path) {
            None => {
                own.insert(name.to_owned());
            }
            Some(theirs) => {
                let more = command
                    .flags
                    .keys()
                    .filter(|flag| !theirs.flags.contains_key(*flag));
                own.extend(more.map(|flag| format!("{name} --{flag}").trim_start().to_owned()));
            }
        }
    }
    own.into_iter().collect()
}

struct Look<'a> {
    reasons: &'a Reasons,
    needed: BTreeSet<usize>,
    rows: Vec<Row>,
}

impl Look<'_> {
    fn command(&mut self, name: &str, paths: &BTreeSet<&str>, theirs: &Command, drydock: &Grammar) {
        let ours = drydock.find(name);
        let missing: Vec<&str> = paths
            .iter()
            .filter(|path| drydock.find(path).is_none())
            .copied()
            .collect();
        let all: Vec<&str> = paths.iter().copied().collect();
        let there: Vec<&str> = all
            .iter()
            .filter(|path| !missing.contains(path))
            .copied()
            .collect();
        self.row(
            name,
            None,
            all.join(", "),
            there.join(", "),
            missing.is_empty(),
        );
        let Some(ours) = ours else {
            // Without the command there are no flags to speak of.
            return;
        };
        for (flag, meaning) in &theirs.flags {
            let docker = meaning.signature();
            let drydock = ours.flags.get(flag).map(crate::model::Flag::signature);
            let same = drydock.as_ref() == Some(&docker);
            self.row(name, Some(flag), docker, drydock.unwrap_or_default(), same);
        }
    }

    fn row(
        &mut self,
        command: &str,
        flag: Option<&str>,
        docker: String,
        drydock: String,
        same: bool,
    ) {
        let entry = if same {
            None
        } else {
            self.reasons.speaking_of(command, flag)
        };
        self.needed.extend(entry);
        let reason = entry.map_or("", |index| &self.reasons.entries[index].reason);
        let state = match (same, entry) {
            (true, _) => State::Same,
            (false, None) => State::Unexplained,
            (false, Some(_)) if drydock.is_empty() => State::Absent,
            (false, Some(_)) => State::Differs,
        };
        self.rows.push(Row {
            command: command.to_owned(),
            flag: flag.map(str::to_owned),
            state,
            docker,
            drydock,
            reason: reason.to_owned(),
        });
    }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
