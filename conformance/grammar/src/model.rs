//! What a client's help pages say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// All commands of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grammar {
    /// What the client says its version is.
    pub version: String,
    /// By path: `container ls`. The client itself is the empty path.
    pub commands: BTreeMap<String, Command>,
}

/// One command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The usage line without the program: `run [OPTIONS] IMAGE [COMMAND] [ARG...]`.
    pub usage: String,
    /// What it does.
    pub about: String,
    /// All of its names, its own among them, the proper one first. Empty where there is only one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The commands below it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// By long name, without dashes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub flags: BTreeMap<String, Flag>,
}

/// One flag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flag {
    /// The letter of the short form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short: Option<char>,
    /// The word for the value; empty for a switch.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// The default that the page shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// What it does, without the default.
    pub about: String,
}

impl Grammar {
    /// The proper path of a command that has several: `container run` of `run`.
    pub fn proper<'a>(&'a self, path: &'a str) -> &'a str {
        let first = self
            .commands
            .get(path)
            .and_then(|command| command.aliases.first());
        first
            .filter(|first| self.commands.contains_key(*first))
            .map_or(path, String::as_str)
    }

    /// The command with this path, or with this alias.
    pub fn find(&self, path: &str) -> Option<&Command> {
        self.commands.get(path).or_else(|| {
            self.commands
                .values()
                .find(|command| command.aliases.iter().any(|alias| alias == path))
        })
    }
}

impl Flag {
    /// The default, unless it is the zero of its kind, which pages show or not as they like.
    pub fn meant_default(&self) -> Option<&str> {
        let zero = |text: &&str| matches!(*text, "[]" | "map[]" | "0" | "0s" | "\"\"" | "false");
        self.default.as_deref().filter(|text| !zero(text))
    }

    /// `-a, --attach list`, without the long name: letter, kind and default.
    pub fn signature(&self) -> String {
        let short = self
            .short
            .map_or(String::new(), |letter| format!("-{letter} "));
        let value = if self.value.is_empty() {
            "switch"
        } else {
            &self.value
        };
        let default = self
            .meant_default()
            .map_or(String::new(), |default| format!(" (default {default})"));
        format!("{short}{value}{default}")
    }
}
