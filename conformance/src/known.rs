//! `known-failures.toml`: what our engine does not do as Docker does, and should.
//!
//! An entry is a defect with a name: the scenario fails, somebody has looked at it and says what is wrong. It is no
//! excuse, so the matrix counts it by itself and never as a pass. It is on a list so that a new failure is seen
//! among the old ones. An entry whose scenario passes is stale, and the run fails until it is removed.
//!
//! What is different on purpose does not belong here but in `divergence.toml`.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, bail};
use rig::Rig;
use serde::Deserialize;

/// One scenario that fails, and why.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownFailure {
    /// The scenario's id.
    pub scenario: String,
    /// The rigs on which it fails.
    pub rigs: Vec<String>,
    /// What the engine does instead.
    pub what: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default, rename = "known-failure")]
    known_failure: Vec<KnownFailure>,
}

/// Reads the list. A file that is not there is an empty list.
///
/// # Errors
/// When the file is malformed, an entry says nothing, or excuses the reference.
pub fn read(path: &Path) -> anyhow::Result<Vec<KnownFailure>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    parse(&text).with_context(|| format!("in {}", path.display()))
}

fn parse(text: &str) -> anyhow::Result<Vec<KnownFailure>> {
    let list: List = toml::from_str(text)?;
    let mut seen = BTreeSet::new();
    for entry in &list.known_failure {
        if entry.what.trim().is_empty() || entry.rigs.is_empty() {
            bail!(
                "the known failure {} must say what and on which rigs",
                entry.scenario
            );
        }
        for rig in &entry.rigs {
            if rig.parse::<Rig>().map_err(anyhow::Error::msg)? == Rig::Docker {
                bail!(
                    "the known failure {}: a scenario that fails on the reference is wrong",
                    entry.scenario
                );
            }
            if !seen.insert((&entry.scenario, rig)) {
                bail!("the known failure {} is there twice", entry.scenario);
            }
        }
    }
    Ok(list.known_failure)
}

/// The entry for `scenario` on `rig`.
pub fn entry<'a>(list: &'a [KnownFailure], scenario: &str, rig: Rig) -> Option<&'a KnownFailure> {
    list.iter().find(|entry| {
        entry.scenario == scenario && entry.rigs.iter().any(|name| name == rig.name())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_by_scenario_and_rig() {
        let list =
            parse("[[known-failure]]\nscenario = \"t/p/s\"\nrigs = [\"api\"]\nwhat = \"w\"\n")
                .unwrap();
        assert!(entry(&list, "t/p/s", Rig::Api).is_some());
        assert!(entry(&list, "t/p/s", Rig::Drydock).is_none());
        assert!(entry(&list, "t/p/x", Rig::Api).is_none());
    }

    #[test]
    fn malformed_lists_are_refused() {
        for rest in [
            "rigs = []\nwhat = \"w\"",
            "rigs = [\"api\"]\nwhat = \" \"",
            "rigs = [\"docker\"]\nwhat = \"w\"",
            "rigs = [\"api\", \"api\"]\nwhat = \"w\"",
            "rigs = [\"api\"]\nwhat = \"w\"\nwhy = \"y\"",
        ] {
            let text = format!("[[known-failure]]\nscenario = \"t/p/s\"\n{rest}\n");
            assert!(parse(&text).is_err(), "{rest}");
        }
    }
}
