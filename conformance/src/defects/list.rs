//! `defects.toml`: each deliberate defect of the engine, and the scenarios that must notice it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::catalogue::{self, Entry};

/// A scenario for each is enough, and the whole must stay quick.
const MOST_SCENARIOS: usize = 3;

/// One defect.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defect {
    /// Its name, as in `drydock_defects::NAMES`.
    pub id: String,
    /// What is wrong with it, as a user sees it.
    pub what: String,
    /// The ids of the scenarios that fail with it.
    pub scenarios: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    defect: Vec<Defect>,
}

/// Where the list lies in the source tree.
pub fn usual_file() -> PathBuf {
    catalogue::usual_directory().with_file_name("defects.toml")
}

/// Reads the list.
///
/// # Errors
/// When the file cannot be read or is malformed.
pub fn read(path: &Path) -> anyhow::Result<Vec<Defect>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    parse(&text).with_context(|| format!("in {}", path.display()))
}

fn parse(text: &str) -> anyhow::Result<Vec<Defect>> {
    let list: List = toml::from_str(text)?;
    let mut ids = BTreeSet::new();
    for defect in &list.defect {
        if !ids.insert(&defect.id) {
            bail!("the defect {} is there twice", defect.id);
        }
        if defect.what.trim().is_empty() {
            bail!("the defect {} does not say what is wrong", defect.id);
        }
        if defect.scenarios.is_empty() || defect.scenarios.len() > MOST_SCENARIOS {
            bail!(
                "the defect {} names {} scenarios, not one to {MOST_SCENARIOS}",
                defect.id,
                defect.scenarios.len()
            );
        }
    }
    Ok(list.defect)
}

/// Checks that every scenario in the list is there.
///
/// # Errors
/// Names all that are not.
pub fn check(defects: &[Defect], entries: &[Entry]) -> anyhow::Result<()> {
    let known: BTreeMap<&str, &Entry> = entries
        .iter()
        .map(|entry| (entry.id.as_str(), entry))
        .collect();
    let unknown: Vec<String> = defects
        .iter()
        .flat_map(|defect| defect.scenarios.iter().map(move |id| (&defect.id, id)))
        .filter(|(_, id)| !known.contains_key(id.as_str()))
        .map(|(defect, id)| {
            format!("the defect {defect} names the scenario {id}, which is not there")
        })
        .collect();
    if unknown.is_empty() {
        Ok(())
    } else {
        bail!("{}", unknown.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, scenarios: &str) -> String {
        format!("[[defect]]\nid = \"{id}\"\nwhat = \"w\"\nscenarios = [{scenarios}]\n")
    }

    #[test]
    fn what_is_wrong_with_a_list_is_said() {
        assert_eq!(parse(&entry("a", "'t/p/s'")).unwrap()[0].id, "a");
        let twice = entry("a", "'s'") + &entry("a", "'s'");
        for (text, word) in [
            (twice, "twice"),
            (entry("a", ""), "0 scenarios"),
            (entry("a", "'1', '2', '3', '4'"), "4 scenarios"),
            (entry("a", "'1'").replace('w', " "), "unknown field"),
        ] {
            let error = format!("{:#}", parse(&text).unwrap_err());
            assert!(error.contains(word), "{error}");
        }
    }

    /// The names in the code of the engine: `defect!("…")`.
    fn used(directory: &Path, names: &mut BTreeMap<String, usize>) {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() && entry.file_name() != "defects" && entry.file_name() != "target" {
                used(&path, names);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                for rest in text.split("defect!(\"").skip(1) {
                    let name = rest.split('"').next().unwrap();
                    *names.entry(name.to_owned()).or_default() += 1;
                }
            }
        }
    }

    #[test]
    fn list_code_and_scenarios_say_the_same() {
        let defects = read(&usual_file()).unwrap();
        check(
            &defects,
            &catalogue::read(&catalogue::usual_directory()).unwrap(),
        )
        .unwrap();
        let engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine");
        let mut in_code = BTreeMap::new();
        used(&engine, &mut in_code);
        let names: BTreeSet<&str> = drydock_defects::NAMES.iter().copied().collect();
        let listed: BTreeSet<&str> = defects.iter().map(|defect| defect.id.as_str()).collect();
        let planted: BTreeSet<&str> = in_code.keys().map(String::as_str).collect();
        assert_eq!(listed, names, "defects.toml and drydock_defects::NAMES");
        assert_eq!(
            planted, names,
            "the engine's code and drydock_defects::NAMES"
        );
        assert!(names.len() >= 24);
    }
}
