//! `--device` and its relatives, `--ulimit`, `--gpus`.

use serde_json::{Map, Value, json};

use crate::flags::values;

/// The paths are the host's: whether they exist only the engine can tell.
fn check_device(value: &str) -> Result<(), String> {
    let parts: Vec<&str> = value.split(':').collect();
    if parts.len() > 3 {
        return Err(format!("bad format for path: {value}"));
    }
    if parts.len() == 3 && !is_mode(parts[2]) {
        return Err(format!("bad mode specified: {}", parts[2]));
    }
    let inside = match parts.as_slice() {
        [path] | [path, _] if parts.len() == 1 || is_mode(parts[1]) => path,
        [_, path, ..] => path,
        _ => &"",
    };
    if !inside.starts_with('/') {
        return Err(format!("{inside} is not an absolute path"));
    }
    Ok(())
}

fn is_mode(text: &str) -> bool {
    let mut seen = Vec::new();
    !text.is_empty()
        && text.chars().all(|letter| {
            let fresh = "rwm".contains(letter) && !seen.contains(&letter);
            seen.push(letter);
            fresh
        })
}

/// `--device` as the API's `DeviceMapping`.
pub fn device(value: &str) -> Result<Value, String> {
    check_device(value)?;
    let parts: Vec<&str> = value.split(':').collect();
    let (host, inside, mode) = match parts.as_slice() {
        [host, mode] if is_mode(mode) => (*host, *host, *mode),
        [host, inside] => (*host, *inside, "rwm"),
        [host, inside, mode] => (*host, *inside, *mode),
        _ => (value, value, "rwm"),
    };
    Ok(json!({"PathOnHost": host, "PathInContainer": inside, "CgroupPermissions": mode}))
}

/// Checks `--device-cgroup-rule`: `c 1:3 rwm`.
pub fn check_rule(value: &str) -> Result<(), String> {
    let fault = || format!("invalid device cgroup format '{value}'");
    let words: Vec<&str> = value.split(' ').collect();
    let [kind, numbers, access] = words.as_slice() else {
        return Err(fault());
    };
    let is_number =
        |text: &str| text == "*" || (!text.is_empty() && text.chars().all(|c| c.is_ascii_digit()));
    let (major, minor) = numbers.split_once(':').ok_or_else(fault)?;
    let good = matches!(*kind, "a" | "b" | "c")
        && is_number(major)
        && is_number(minor)
        && (1..=3).contains(&access.len())
        && access.chars().all(|c| "rwm".contains(c));
    if good { Ok(()) } else { Err(fault()) }
}

/// Checks `DEVICE:BYTES`.
pub fn check_rate_bytes(value: &str) -> Result<(), String> {
    rate(value, true).map(drop)
}

/// Checks `DEVICE:COUNT`.
pub fn check_rate_count(value: &str) -> Result<(), String> {
    rate(value, false).map(drop)
}

/// `DEVICE:RATE` as the API's `ThrottleDevice`.
pub fn rate(value: &str, is_bytes: bool) -> Result<Value, String> {
    let (path, rate) = value
        .split_once(':')
        .filter(|(path, _)| !path.is_empty())
        .ok_or_else(|| format!("bad format: {value}"))?;
    if !path.starts_with("/dev/") {
        return Err(format!("bad format for device path: {value}"));
    }
    let rate = if is_bytes {
        values::bytes(rate).map_err(|_| {
            format!("invalid rate for device: {value}. The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb")
        })?
    } else {
        let number = values::unsigned(rate, 63).map_err(|_| {
            format!("invalid rate for device: {value}. The correct format is <device-path>:<number>. Number must be a positive integer")
        })?;
        i64::try_from(number).unwrap_or(i64::MAX)
    };
    Ok(json!({"Path": path, "Rate": rate}))
}

/// Checks `DEVICE:WEIGHT`.
pub fn check_weight(value: &str) -> Result<(), String> {
    weight(value).map(drop)
}

/// `DEVICE:WEIGHT` as the API's `WeightDevice`.
pub fn weight(value: &str) -> Result<Value, String> {
    let (path, weight) = value
        .split_once(':')
        .filter(|(path, _)| !path.is_empty())
        .ok_or_else(|| format!("bad format: {value}"))?;
    if !path.starts_with("/dev/") {
        return Err(format!("bad format for device path: {value}"));
    }
    let weight =
        values::unsigned(weight, 16).map_err(|_| format!("invalid weight for device: {value}"))?;
    if weight > 0 && !(10..=1000).contains(&weight) {
        return Err(format!("invalid weight for device: {value}"));
    }
    Ok(json!({"Path": path, "Weight": weight}))
}

const ULIMITS: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Checks `--ulimit`.
pub fn check_ulimit(value: &str) -> Result<(), String> {
    ulimit(value).map(drop)
}

/// `nofile=1024:2048` as the API's `Ulimit`.
pub fn ulimit(value: &str) -> Result<Value, String> {
    let (name, limits) = value
        .split_once('=')
        .ok_or_else(|| format!("invalid ulimit argument: {value}"))?;
    if !ULIMITS.contains(&name) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    let parts: Vec<&str> = limits.split(':').collect();
    let number = |text: &str| values::integer_base_ten(text);
    let (soft, hard) = match parts.as_slice() {
        [both] => (number(both)?, number(both)?),
        [soft, hard] => (number(soft)?, number(hard)?),
        _ => {
            return Err(format!(
                "too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"
            ));
        }
    };
    if hard != -1 && soft > hard {
        return Err(format!(
            "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
        ));
    }
    if hard != -1 && soft == -1 {
        return Err(format!(
            "ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: {hard}"
        ));
    }
    Ok(json!({"Name": name, "Soft": soft, "Hard": hard}))
}

/// Checks `--gpus`.
pub fn check_gpu(value: &str) -> Result<(), String> {
    gpu(value).map(drop)
}

/// `--gpus`: `all`, a count, or `"device=0,1",capabilities=utility`.
pub fn gpu(value: &str) -> Result<Value, String> {
    let mut request = Map::new();
    let mut capabilities: Vec<String> = Vec::new();
    let mut counted = false;
    for field in super::mounts::csv(value)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_string(), value.to_string()),
            None if field == "all" || field.parse::<i64>().is_ok() => {
                ("count".to_string(), field.clone())
            }
            None => {
                return Err(format!(
                    "invalid count ({field}): value must be either \"all\" or an integer: invalid syntax"
                ));
            }
        };
        match key.as_str() {
            "driver" => drop(request.insert("Driver".to_string(), json!(value))),
            "count" => {
                counted = true;
                let count = if value == "all" {
                    -1
                } else {
                    value.parse().unwrap_or(0)
                };
                request.insert("Count".to_string(), json!(count));
            }
            "device" => drop(request.insert(
                "DeviceIDs".to_string(),
                json!(value.split(',').collect::<Vec<_>>()),
            )),
            "capabilities" => capabilities.extend(value.split(',').map(str::to_string)),
            "options" => {
                let options: Map<String, Value> = super::mounts::csv(&value)?
                    .iter()
                    .map(|line| super::environment::key_value(line))
                    .map(|(key, value)| (key, json!(value)))
                    .collect();
                request.insert("Options".to_string(), Value::Object(options));
            }
            other => return Err(format!("unexpected key '{other}' in '{field}'")),
        }
    }
    if !counted && !request.contains_key("DeviceIDs") {
        request.insert("Count".to_string(), json!(1));
    }
    if !capabilities.iter().any(|name| name == "gpu") {
        capabilities.push("gpu".to_string());
    }
    request.entry("Driver").or_insert_with(|| json!(""));
    request.entry("Count").or_insert_with(|| json!(0));
    request.entry("DeviceIDs").or_insert(Value::Null);
    request.entry("Options").or_insert_with(|| json!({}));
    request.insert("Capabilities".to_string(), json!([capabilities]));
    Ok(Value::Object(request))
}
