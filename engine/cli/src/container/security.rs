//! `--security-opt`: the file of a seccomp profile is read here, because it lies where the client is.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// What the options become.
#[derive(Debug, Default)]
pub struct Security {
    /// `SecurityOpt`.
    pub options: Vec<String>,
    /// `systempaths=unconfined`: nothing masked, nothing read-only.
    pub paths_unconfined: bool,
}

/// Reads the values of `--security-opt`.
pub fn parse(values: &[String]) -> Result<Security, String> {
    let mut security = Security::default();
    for value in values {
        if value == "systempaths=unconfined" {
            security.paths_unconfined = true;
            continue;
        }
        security.options.push(option(value)?);
    }
    Ok(security)
}

fn option(value: &str) -> Result<String, String> {
    let separated = value.split_once('=').or_else(|| value.split_once(':'));
    let Some((key, setting)) = separated else {
        if value == "no-new-privileges" {
            return Ok(value.to_string());
        }
        return Err(format!("Invalid --security-opt: {value:?}"));
    };
    if key != "seccomp" || matches!(setting, "unconfined" | "builtin") {
        return Ok(value.to_string());
    }
    let text = std::fs::read_to_string(setting).map_err(|error| {
        format!(
            "opening seccomp profile ({setting}) failed: {}",
            crate::failure::go_error("open", setting, &error)
        )
    })?;
    let profile: Value = serde_json::from_str(&text).map_err(|error| {
        format!("compacting json for seccomp profile ({setting}) failed: {error}")
    })?;
    Ok(format!("seccomp={profile}"))
}

/// `--pid`, `--uts`, `--userns` and `--cgroupns` have few legal values; the texts are Docker's.
pub fn check_modes(pid: &str, uts: &str, userns: &str, cgroupns: &str) -> Result<(), String> {
    let is_container = |mode: &str| {
        mode.strip_prefix("container:")
            .is_some_and(|name| !name.is_empty())
    };
    if !matches!(pid, "" | "host") && !is_container(pid) {
        return Err("--pid: invalid PID mode".to_string());
    }
    if !matches!(uts, "" | "host") {
        return Err("--uts: invalid UTS mode".to_string());
    }
    if !matches!(userns, "" | "host") {
        return Err("--userns: invalid USER mode".to_string());
    }
    if !matches!(cgroupns, "" | "host" | "private") {
        return Err("--cgroupns: invalid CGROUP mode".to_string());
    }
    Ok(())
}

/// `--restart` as the API's `RestartPolicy`.
pub fn restart_policy(text: &str) -> Result<Value, String> {
    let (name, count) = match text.split_once(':') {
        Some((name, count)) => (name, Some(count)),
        None => (text, None),
    };
    if count.is_some() && name.is_empty() {
        return Err("invalid restart policy format: no policy provided before colon".to_string());
    }
    let count = match count {
        None | Some("") => 0,
        Some(count) => count.parse::<i64>().map_err(|_| {
            "invalid restart policy format: maximum retry count must be an integer".to_string()
        })?,
    };
    Ok(json!({"Name": name, "MaximumRetryCount": count}))
}

/// `--cap-add` and `--cap-drop` as the API takes them: `CAP_` names, sorted, each once.
pub fn capabilities(names: &[String]) -> Vec<String> {
    let upper = names
        .iter()
        .map(|name| name.trim().to_uppercase())
        .filter(|name| !name.is_empty());
    let full = upper.map(|name| {
        if matches!(name.as_str(), "ALL" | "RESET") || name.starts_with("CAP_") {
            name
        } else {
            format!("CAP_{name}")
        }
    });
    full.collect::<BTreeSet<String>>().into_iter().collect()
}
