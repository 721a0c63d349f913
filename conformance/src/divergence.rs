//! `divergence.toml`: every difference from Docker that is there on purpose.
//!
//! An entry names a scenario that fails on some rigs, and why that is meant. When the scenario passes there, the
//! entry is stale, and the run fails: a list that is not true is worse than none. What shows on some hosts only names
//! the host, and is not looked at on others.

use std::path::Path;

use anyhow::{Context, bail};
use rig::Rig;
use serde::Deserialize;

/// One difference.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Divergence {
    /// A short name in kebab case.
    pub id: String,
    /// What differs, as a user sees it.
    pub what: String,
    /// Why it is meant.
    pub why: String,
    /// The id of the scenario that shows it.
    pub scenario: String,
    /// The rigs on which it shows: `api`, `drydock`.
    pub rigs: Vec<String>,
    /// The hosts on which it shows; on all when it is left out.
    #[serde(default)]
    pub host: Option<Host>,
}

/// A kind of host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Host {
    /// Its control groups are of version 1, alone or beside version 2 (cgroups(7)).
    CgroupV1,
    /// Its processor is a 64-bit x86.
    #[serde(rename = "x86-64")]
    X86_64,
}

impl Host {
    /// Whether this host is of that kind.
    pub fn is_here(self) -> bool {
        match self {
            Host::CgroupV1 => !Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
            Host::X86_64 => cfg!(target_arch = "x86_64"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    divergence: Vec<Divergence>,
}

/// Reads the list. A file that is not there is an empty list.
///
/// # Errors
/// When the file is malformed, or an entry is empty, twice there, or says that Docker differs from itself.
pub fn read(path: &Path) -> anyhow::Result<Vec<Divergence>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    parse(&text).with_context(|| format!("in {}", path.display()))
}

fn parse(text: &str) -> anyhow::Result<Vec<Divergence>> {
    let list: List = toml::from_str(text)?;
    let mut ids = std::collections::BTreeSet::new();
    for entry in &list.divergence {
        if !ids.insert(&entry.id) {
            bail!("the divergence {} is there twice", entry.id);
        }
        if entry.what.trim().is_empty() || entry.why.trim().is_empty() || entry.rigs.is_empty() {
            bail!(
                "the divergence {} must say what, why and on which rigs",
                entry.id
            );
        }
        for rig in &entry.rigs {
            if rig.parse::<Rig>().map_err(anyhow::Error::msg)? == Rig::Docker {
                bail!(
                    "the divergence {}: Docker is the reference and cannot differ from itself",
                    entry.id
                );
            }
        }
    }
    Ok(list.divergence)
}

/// The entry that explains why `scenario` fails on `rig`.
pub fn explaining<'a>(list: &'a [Divergence], scenario: &str, rig: Rig) -> Option<&'a Divergence> {
    list.iter().find(|entry| {
        entry.scenario == scenario
            && entry.rigs.iter().any(|name| name == rig.name())
            && entry.host.is_none_or(Host::is_here)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str =
        "[[divergence]]\nid = \"a\"\nwhat = \"w\"\nwhy = \"y\"\nscenario = \"t/p/s\"\n";

    #[test]
    fn entries_explain_their_scenario_and_rig_only() {
        let list = parse(&format!("{ENTRY}rigs = [\"api\"]\n")).unwrap();
        assert!(explaining(&list, "t/p/s", Rig::Api).is_some());
        assert!(explaining(&list, "t/p/s", Rig::Drydock).is_none());
        assert!(explaining(&list, "t/p/other", Rig::Api).is_none());
    }

    #[test]
    fn an_entry_of_another_host_explains_nothing() {
        let list = parse(&format!("{ENTRY}rigs = [\"api\"]\nhost = \"cgroup-v1\"\n")).unwrap();
        assert_eq!(
            explaining(&list, "t/p/s", Rig::Api).is_some(),
            Host::CgroupV1.is_here()
        );
        let list = parse(&format!("{ENTRY}rigs = [\"api\"]\nhost = \"x86-64\"\n")).unwrap();
        assert_eq!(
            explaining(&list, "t/p/s", Rig::Api).is_some(),
            cfg!(target_arch = "x86_64")
        );
    }

    #[test]
    fn malformed_lists_are_refused() {
        for rest in [
            "rigs = []\n",
            "rigs = [\"docker\"]\n",
            "rigs = [\"podman\"]\n",
            "rigs = [\"api\"]\nnote = \"x\"\n",
            "rigs = [\"api\"]\nhost = \"windows\"\n",
            "",
        ] {
            assert!(parse(&format!("{ENTRY}{rest}")).is_err(), "{rest}");
        }
        assert!(parse(&format!("{ENTRY}rigs=[\"api\"]\n{ENTRY}rigs=[\"api\"]\n")).is_err());
    }
}
