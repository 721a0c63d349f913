//! `-v`, `--mount` and `--tmpfs`.

use serde_json::{Map, Value, json};

use crate::flags::values;

/// Splits a line of comma-separated values with `"` quotes (RFC 4180).
pub fn csv(text: &str) -> Result<Vec<String>, String> {
    let mut fields = vec![String::new()];
    let (mut quoted, mut characters) = (false, text.chars().peekable());
    while let Some(character) = characters.next() {
        let Some(field) = fields.last_mut() else {
            continue;
        };
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            '"' => {
                return Err(
                    "parse error on line 1, column 1: bare \" in non-quoted field".to_string(),
                );
            }
            ',' if !quoted => fields.push(String::new()),
            other => field.push(other),
        }
    }
    if quoted {
        return Err(
            "parse error on line 1, column 1: extraneous or missing \" in quoted-field".to_string(),
        );
    }
    Ok(fields)
}

/// Checks one `--mount`.
pub fn check(value: &str) -> Result<(), String> {
    mount(value).map(drop)
}

/// Which option group each key of `--mount` belongs to: the API's key, and how its value is read.
const OPTIONS: [(&str, &str, &str); 10] = [
    ("bind-propagation", "BindOptions", "Propagation"),
    ("bind-nonrecursive", "BindOptions", "NonRecursive"),
    ("bind-create-src", "BindOptions", "CreateMountpoint"),
    ("volume-subpath", "VolumeOptions", "Subpath"),
    ("volume-nocopy", "VolumeOptions", "NoCopy"),
    ("volume-driver", "VolumeOptions", "DriverConfig"),
    ("volume-opt", "VolumeOptions", "DriverConfig"),
    ("volume-label", "VolumeOptions", "Labels"),
    ("image-subpath", "ImageOptions", "Subpath"),
    ("tmpfs-size", "TmpfsOptions", "SizeBytes"),
];

/// One `--mount` as the API's `Mount`.
pub fn mount(text: &str) -> Result<Value, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("EOF".to_string());
    }
    let mut mount = Map::new();
    mount.insert("Type".to_string(), json!("volume"));
    for field in csv(text)? {
        set(&mut mount, &field)?;
    }
    let kind = mount
        .get("Type")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_string();
    if kind.is_empty() {
        return Err("type is required".to_string());
    }
    if !mount.contains_key("Target") {
        return Err("target is required".to_string());
    }
    for (group, owner) in [
        ("BindOptions", "bind"),
        ("VolumeOptions", "volume"),
        ("ImageOptions", "image"),
        ("TmpfsOptions", "tmpfs"),
    ] {
        if mount.contains_key(group) && kind != owner {
            return Err(format!(
                "cannot mix '{owner}-*' options with mount type '{kind}'"
            ));
        }
    }
    Ok(Value::Object(mount))
}

fn set(mount: &mut Map<String, Value>, field: &str) -> Result<(), String> {
    let (key, value) = match field.split_once('=') {
        Some((key, value)) => (key.to_lowercase(), Some(value)),
        None => (field.to_lowercase(), None),
    };
    let value = match (key.as_str(), value) {
        (_, Some(value)) => value,
        ("readonly" | "ro" | "volume-nocopy" | "bind-nonrecursive" | "bind-create-src", None) => {
            "true"
        }
        (_, None) => return Err(format!("invalid field '{field}' must be a key=value pair")),
    };
    let switch = || values::boolean(value).map_err(|_| format!("invalid value for {key}: {value}"));
    match key.as_str() {
        "type" => drop(mount.insert("Type".to_string(), json!(value.to_lowercase()))),
        "source" | "src" => drop(mount.insert("Source".to_string(), json!(absolute(value)))),
        "target" | "dst" | "destination" => drop(mount.insert("Target".to_string(), json!(value))),
        "readonly" | "ro" => {
            drop(switch()?.then(|| mount.insert("ReadOnly".to_string(), json!(true))))
        }
        "consistency" => drop(mount.insert("Consistency".to_string(), json!(value.to_lowercase()))),
        "bind-recursive" => recursive(mount, value)?,
        "tmpfs-mode" => {
            let mode = u32::from_str_radix(value, 8)
                .map_err(|_| format!("invalid value for {key}: {value}"))?;
            group(mount, "TmpfsOptions").insert("Mode".to_string(), json!(mode));
        }
        _ => {
            let Some((_, group_name, name)) = OPTIONS.iter().find(|(option, ..)| *option == key)
            else {
                return Err(format!("unexpected key '{key}' in '{field}'"));
            };
            let options = group(mount, group_name);
            match key.as_str() {
                "bind-nonrecursive" | "volume-nocopy" | "bind-create-src" => {
                    if switch()? {
                        options.insert((*name).to_string(), json!(true));
                    }
                }
                "tmpfs-size" => {
                    let size = values::bytes(value)
                        .map_err(|_| format!("invalid value for {key}: {value}"))?;
                    options.insert((*name).to_string(), json!(size));
                }
                "volume-driver" => {
                    drop(group(options, name).insert("Name".to_string(), json!(value)))
                }
                "volume-opt" => pair(group(group(options, name), "Options"), value),
                "volume-label" => pair(group(options, name), value),
                _ => drop(options.insert((*name).to_string(), json!(value))),
            }
        }
    }
    Ok(())
}

fn recursive(mount: &mut Map<String, Value>, value: &str) -> Result<(), String> {
    let key = match value {
        "enabled" => return Ok(()),
        "disabled" => "NonRecursive",
        "writable" => "ReadOnlyNonRecursive",
        "readonly" => "ReadOnlyForceRecursive",
        _ => {
            return Err(format!(
                "invalid value for bind-recursive: {value} (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")"
            ));
        }
    };
    group(mount, "BindOptions").insert(key.to_string(), json!(true));
    Ok(())
}

fn pair(map: &mut Map<String, Value>, text: &str) {
    let (key, value) = super::environment::key_value(text);
    map.insert(key, json!(value));
}

/// The object under `name`, made if it is not there.
fn group<'a>(map: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    as_object(map.entry(name).or_insert_with(|| json!({})))
}

/// Borrows a value as an object, which it becomes if it is something else.
fn as_object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(map) => map,
        // Not reachable: it was made an object above. Written without a panic all the same.
        other => as_object(other),
    }
}

/// `./data` means the directory here; the engine works elsewhere.
fn absolute(path: &str) -> String {
    if path == "." || path == ".." || path.starts_with("./") || path.starts_with("../") {
        return normalize(path);
    }
    path.to_string()
}

/// Joins with the working directory and takes `.` and `..` out, without looking at the file system.
fn normalize(path: &str) -> String {
    let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
    let joined = format!("{}/{path}", here.display());
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            other => parts.push(other),
        }
    }
    format!("/{}", parts.join("/"))
}

/// What one `-v` means.
#[derive(Debug, PartialEq, Eq)]
pub enum Volume {
    /// `Binds` of the host config: a host directory or a named volume.
    Bind(String),
    /// `Volumes` of the config: an unnamed volume.
    Anonymous(String),
}

/// Reads one `-v`.
pub fn volume(text: &str) -> Result<Volume, String> {
    if text.is_empty() {
        return Err("invalid empty volume spec".to_string());
    }
    let parts: Vec<&str> = text.split(':').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(format!(
            "invalid spec: {text}: empty section between colons"
        ));
    }
    // One letter before a colon is a drive of Windows for the stock client, and belongs to what follows.
    let is_drive = |part: &&str| part.len() == 1 && part.chars().all(char::is_alphabetic);
    let (last, others) = parts.split_last().unwrap_or((&"", &[]));
    let drives = others.iter().filter(|part| is_drive(part)).count();
    if !last.is_empty() && parts.len() - drives > 3 {
        return Err(format!("invalid spec: {text}: too many colons"));
    }
    match parts.as_slice() {
        [only] => Ok(Volume::Anonymous((*only).to_string())),
        [source, rest @ ..] if source.starts_with('.') => Ok(Volume::Bind(format!(
            "{}:{}",
            normalize(source),
            rest.join(":")
        ))),
        _ => Ok(Volume::Bind(text.to_string())),
    }
}
