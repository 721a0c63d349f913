//! daemon.json: reading, and merging with the flags by Docker's rules and with its texts.

use std::io::ErrorKind;
use std::path::Path;

use serde_json::{Map, Value};

use super::keys::{KEYS, NOT_BUILT, check};
use super::{SettingsError, invalid};

/// Reads the file into a map; an empty file is an empty map, and so is a missing one that need not exist.
pub fn read(path: &Path, must_exist: bool) -> Result<Map<String, Value>, SettingsError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound && !must_exist => return Ok(Map::new()),
        Err(error) => return Err(refused(path, &error.to_string())),
    };
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_str(&text) {
        Ok(Value::Object(map)) => {
            check_keys(map).map_err(|error| refused(path, &error.to_string()))
        }
        Ok(_) => Err(refused(path, "it is not a JSON object")),
        Err(error) => Err(refused(path, &error.to_string())),
    }
}

fn refused(path: &Path, why: &str) -> SettingsError {
    invalid(format!(
        "unable to configure the daemon with file {}: {why}",
        path.display()
    ))
}

fn check_keys(map: Map<String, Value>) -> Result<Map<String, Value>, SettingsError> {
    let names = |wanted: &dyn Fn(&str) -> bool| {
        let names: Vec<&str> = map
            .keys()
            .map(String::as_str)
            .filter(|name| wanted(name))
            .collect();
        names.join(", ")
    };
    let built = |name: &str| KEYS.iter().any(|key| key.key == name);
    let unknown = names(&|name| !built(name) && !NOT_BUILT.contains(&name));
    if !unknown.is_empty() {
        return Err(invalid(format!(
            "the following directives don't match any configuration option: {unknown}"
        )));
    }
    let later = names(&|name| NOT_BUILT.contains(&name));
    if !later.is_empty() {
        return Err(invalid(format!(
            "the following directives are not built yet in this engine: {later}"
        )));
    }
    for key in KEYS {
        if let Some(value) = map.get(key.key) {
            check(key, value)?;
        }
    }
    Ok(map)
}

/// Joins flags and file; a key in both is an error.
pub fn merge(
    mut flags: Map<String, Value>,
    file: Map<String, Value>,
    path: &Path,
) -> Result<Map<String, Value>, SettingsError> {
    let conflicts: Vec<String> = file
        .iter()
        .filter_map(|(key, value)| {
            let flag = flags.get(key)?;
            Some(format!("{key}: (from flag: {flag}, from file: {value})"))
        })
        .collect();
    if !conflicts.is_empty() {
        return Err(refused(
            path,
            &format!(
                "the following directives are specified both as a flag and in the configuration file: {}",
                conflicts.join(", ")
            ),
        ));
    }
    flags.extend(file);
    Ok(flags)
}
