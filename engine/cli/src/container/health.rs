//! `--health-*` and `--no-healthcheck`.

use serde_json::{Map, Value, json};

use crate::flags::{Matches, values};

const TIMES: [(&str, &str, &str); 4] = [
    (
        "health-interval",
        "Interval",
        "--health-interval cannot be negative",
    ),
    (
        "health-timeout",
        "Timeout",
        "--health-timeout cannot be negative",
    ),
    (
        "health-start-period",
        "StartPeriod",
        "--health-start-period cannot be negative",
    ),
    (
        "health-start-interval",
        "StartInterval",
        "--health-start-interval cannot be negative",
    ),
];

/// The `Healthcheck` of the body, where a flag speaks of it.
pub fn check(matches: &Matches) -> Result<Option<Value>, String> {
    let command = matches.text("health-cmd");
    let retries = matches.int("health-retries");
    let have = !command.is_empty()
        || retries != 0
        || TIMES.iter().any(|(flag, ..)| nanos(matches, flag) != 0);
    if matches.switch("no-healthcheck") {
        if have {
            return Err("--no-healthcheck conflicts with --health-* options".to_string());
        }
        return Ok(Some(json!({"Test": ["NONE"]})));
    }
    if !have {
        return Ok(None);
    }
    let mut check = Map::new();
    if !command.is_empty() {
        check.insert("Test".to_string(), json!(["CMD-SHELL", command]));
    }
    for (flag, key, fault) in TIMES {
        let value = nanos(matches, flag);
        if value < 0 {
            return Err(fault.to_string());
        }
        if value > 0 {
            check.insert(key.to_string(), json!(value));
        }
    }
    if retries < 0 {
        return Err("--health-retries cannot be negative".to_string());
    }
    if retries > 0 {
        check.insert("Retries".to_string(), json!(retries));
    }
    Ok(Some(Value::Object(check)))
}

fn nanos(matches: &Matches, flag: &str) -> i64 {
    values::duration_nanos(matches.text(flag)).unwrap_or(0)
}
