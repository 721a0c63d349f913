//! `grammar.toml`: what Docker's client has and Drydock's has not, or has otherwise, and why.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// The list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reasons {
    /// Its entries.
    #[serde(default, rename = "absent")]
    pub entries: Vec<Entry>,
}

/// One command or flag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The command by its proper name, `container run`. Without a flag, the entry speaks of everything below too. With
    /// one, `*` stands for all commands.
    pub command: String,
    /// The flag, without dashes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flag: Option<String>,
    /// Why it is absent, or why it differs.
    pub reason: String,
}

impl Reasons {
    /// Where the list lies.
    pub fn usual_path() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("grammar.toml")
    }

    /// Reads a list.
    ///
    /// # Errors
    /// When it is not there or malformed. An empty reason is not an error here: the check says so.
    pub fn read(path: &Path) -> anyhow::Result<Reasons> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("in {}", path.display()))
    }

    /// The first entry that speaks of this command or flag, by its place in the list.
    pub fn speaking_of(&self, command: &str, flag: Option<&str>) -> Option<usize> {
        self.entries
            .iter()
            .position(|entry| entry.speaks_of(command, flag))
    }
}

impl Entry {
    fn speaks_of(&self, command: &str, flag: Option<&str>) -> bool {
        match (&self.flag, flag) {
            (Some(own), Some(flag)) => {
                own == flag && (self.command == "*" || self.command == command)
            }
            (None, None) => {
                command == self.command
                    || command
                        .strip_prefix(self.command.as_str())
                        .is_some_and(|rest| rest.starts_with(' '))
            }
            _ => false,
        }
    }

    /// `container run --init`.
    pub fn name(&self) -> String {
        match &self.flag {
            Some(flag) => format!("{} --{flag}", self.command),
            None => self.command.clone(),
        }
    }

    /// As it stands in the file.
    pub fn text(&self) -> String {
        let flag = self
            .flag
            .as_ref()
            .map_or(String::new(), |flag| format!("flag = {flag:?}\n"));
        format!(
            "\n[[absent]]\ncommand = {:?}\n{flag}reason = {:?}\n",
            self.command, self.reason
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(command: &str, flag: Option<&str>) -> Entry {
        Entry {
            command: command.into(),
            flag: flag.map(str::to_owned),
            reason: "r".into(),
        }
    }

    #[test]
    fn an_entry_speaks_of_its_own() {
        let swarm = entry("swarm", None);
        assert!(swarm.speaks_of("swarm", None) && swarm.speaks_of("swarm ca", None));
        assert!(!swarm.speaks_of("swarmed", None) && !swarm.speaks_of("swarm", Some("x")));
        let init = entry("container run", Some("init"));
        assert!(init.speaks_of("container run", Some("init")));
        assert!(!init.speaks_of("container create", Some("init")));
        assert!(entry("*", Some("init")).speaks_of("container create", Some("init")));
    }

    #[test]
    fn an_entry_is_read_as_it_is_written() {
        for entry in [entry("swarm", None), entry("a \"b\"", Some("c"))] {
            let list: Reasons = toml::from_str(&entry.text()).unwrap();
            assert_eq!(list.entries, [entry]);
        }
    }
}
