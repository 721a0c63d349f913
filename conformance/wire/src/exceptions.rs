//! `exceptions.toml`: where Docker itself answers otherwise than it describes.
//!
//! An entry is there because a real Docker gave such an answer, and no engine is blamed for doing the same. An entry
//! that Docker's answers no longer need is stale.

use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::answer::Finding;

/// Docker's own, gathered from a Docker 28.5.
const FILE: &str = include_str!("../exceptions.toml");

/// The list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exceptions {
    /// Its entries.
    #[serde(default, rename = "exception")]
    pub entries: Vec<Exception>,
}

/// One habit of Docker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// The route, as the description writes it, or `*` for all.
    pub route: String,
    /// Where in the body. `*` stands for any one step, `**` in front for any number of them.
    pub pointer: String,
    /// Which kind of finding.
    pub what: String,
    /// Why it is right.
    pub reason: String,
    /// Whether Docker answers so only now and then, for example when two clients prune at once. A run without such an
    /// answer does not make the entry stale.
    #[serde(default)]
    pub seldom: bool,
}

impl Exceptions {
    /// Docker's own.
    ///
    /// # Errors
    /// When the file that is part of this program is malformed, which a test rules out.
    pub fn docker() -> anyhow::Result<Exceptions> {
        Exceptions::parse(FILE).context("in exceptions.toml")
    }

    /// Reads a list from a file.
    ///
    /// # Errors
    /// When it is not there or malformed.
    pub fn read(path: &Path) -> anyhow::Result<Exceptions> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        Exceptions::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    /// Reads a list.
    ///
    /// # Errors
    /// When it is malformed, or an entry is there twice or has no reason.
    pub fn parse(text: &str) -> anyhow::Result<Exceptions> {
        let list: Exceptions = toml::from_str(text)?;
        for (index, entry) in list.entries.iter().enumerate() {
            if entry.reason.trim().is_empty() || entry.what.trim().is_empty() {
                bail!("the exception {} must say what and why", entry.name());
            }
            let same = |other: &Exception| other.name() == entry.name();
            if list.entries[..index].iter().any(same) {
                bail!("the exception {} is there twice", entry.name());
            }
        }
        Ok(list)
    }

    /// The first entry that excuses a finding, by its place in the list.
    pub fn excusing(&self, finding: &Finding) -> Option<usize> {
        self.entries.iter().position(|entry| entry.excuses(finding))
    }
}

impl Exception {
    /// Whether it speaks of this finding.
    pub fn excuses(&self, finding: &Finding) -> bool {
        (self.route == "*" || self.route == finding.route)
            && self.what == finding.what
            && fits(&self.pointer, &finding.pointer)
    }

    /// Route, pointer and kind in a line.
    pub fn name(&self) -> String {
        format!("{} {} {}", self.route, self.pointer, self.what)
    }
}

fn fits(pattern: &str, pointer: &str) -> bool {
    let steps: Vec<&str> = pointer.split('/').skip(1).collect();
    let (pattern, steps) = match pattern.strip_prefix("/**") {
        Some(rest) => {
            let length = rest.split('/').skip(1).count();
            let Some(start) = steps.len().checked_sub(length) else {
                return false;
            };
            (rest, &steps[start..])
        }
        None => (pattern, &steps[..]),
    };
    let pattern: Vec<&str> = pattern.split('/').skip(1).collect();
    pattern.len() == steps.len()
        && pattern
            .iter()
            .zip(steps)
            .all(|(pattern, step)| *pattern == "*" || pattern == step)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str =
        "[[exception]]\nroute = \"GET /a\"\npointer = \"/*/Ports\"\nwhat = \"null\"\n";

    fn finding(route: &str, pointer: &str, what: &str) -> Finding {
        Finding {
            route: route.into(),
            pointer: pointer.into(),
            what: what.into(),
            detail: String::new(),
        }
    }

    #[test]
    fn dockers_list_is_well_formed_and_about_the_description() {
        let description = crate::Description::docker().unwrap();
        for entry in Exceptions::docker().unwrap().entries {
            let known = description
                .routes()
                .iter()
                .any(|route| route.name == entry.route);
            assert!(
                known || ["*", crate::answer::NO_ROUTE].contains(&&*entry.route),
                "{}",
                entry.name()
            );
        }
    }

    #[test]
    fn an_entry_excuses_its_own_finding_only() {
        let list = Exceptions::parse(&format!("{ENTRY}reason = \"r\"\n")).unwrap();
        for (route, pointer, what, excused) in [
            ("GET /a", "/*/Ports", "null", true),
            ("GET /a", "/x/Ports", "null", true),
            ("GET /b", "/*/Ports", "null", false),
            ("GET /a", "/Ports", "null", false),
            ("GET /a", "/*/Ports/*", "null", false),
            ("GET /a", "/*/Ports", "type", false),
        ] {
            let found = list.excusing(&finding(route, pointer, what)).is_some();
            assert_eq!(found, excused, "{route} {pointer} {what}");
        }
        assert!(fits("/**/Ports", "/a/b/Ports") && fits("/**/Ports", "/Ports"));
        assert!(!fits("/**/Ports", "/Ports/a") && !fits("/**/a/Ports", "/Ports"));
        assert!(fits("", "") && !fits("", "/a"));
    }

    #[test]
    fn malformed_lists_are_refused() {
        for rest in ["", "reason = \" \"\n", "reason = \"r\"\nnote = \"n\"\n"] {
            assert!(
                Exceptions::parse(&format!("{ENTRY}{rest}")).is_err(),
                "{rest}"
            );
        }
        let twice = format!("{ENTRY}reason = \"r\"\n").repeat(2);
        assert!(Exceptions::parse(&twice).is_err());
    }
}
