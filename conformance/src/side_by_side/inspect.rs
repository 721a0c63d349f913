//! What inspect says of one and the same container on two engines: keys, types, values.

use std::collections::BTreeMap;

use rig::Rig;
use serde_json::{Value, json};

use super::probe::Probe;
use super::table;

/// A container with something in many of its fields.
const SCRIPT: &str = "echo ready; exec sleep 600";

/// What two documents have and have not in common, by the path of each value.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Values that were compared.
    compared: usize,
    /// Paths that only one document has.
    only: [Vec<String>; 2],
    /// Paths with values of two types.
    types: Vec<(String, [&'static str; 2])>,
    /// Paths with two values of one type.
    values: Vec<(String, [String; 2])>,
}

/// Makes the same container on both, and looks at it while it runs and after its end.
pub fn compare(probes: &[Probe<'_>; 2]) -> anyhow::Result<Comparison> {
    let more = json!({
        "Env": ["A=b"], "Labels": {"conf": "beside"}, "User": "0", "WorkingDir": "/tmp", "Hostname": "beside",
        "StopSignal": "SIGTERM", "StopTimeout": 1,
        "HostConfig": {
            "Memory": 67_108_864, "PidsLimit": 64, "CapDrop": ["NET_RAW"], "Tmpfs": {"/scratch": "size=1m"},
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 1}, "ExtraHosts": ["other:10.0.0.1"],
            "Dns": ["10.0.0.2"], "Ulimits": [{"Name": "nofile", "Soft": 64, "Hard": 128}],
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}
        }
    });
    let mut seen = [Value::Null, Value::Null];
    for (probe, seen) in probes.iter().zip(&mut seen) {
        probe.run("inspect", SCRIPT, &more)?;
        let running = probe.inspect("inspect")?;
        probe.verb("inspect", "stop")?;
        *seen = json!({"running": running, "stopped": probe.inspect("inspect")?});
        probe.remove("inspect")?;
    }
    Ok(Comparison::of(&seen[0], &seen[1]))
}

impl Comparison {
    fn of(first: &Value, second: &Value) -> Comparison {
        let (mut left, mut right) = (BTreeMap::new(), BTreeMap::new());
        leaves(first, String::new(), &mut left);
        leaves(second, String::new(), &mut right);
        let mut result = Comparison::default();
        for (path, value) in &left {
            match right.get(path) {
                None => result.only[0].push(path.clone()),
                Some(other) => result.pair(path, value, other),
            }
        }
        result.only[1] = right
            .into_keys()
            .filter(|path| !left.contains_key(path))
            .collect();
        result
    }

    fn pair(&mut self, path: &str, first: &Value, second: &Value) {
        self.compared += 1;
        if kind(first) != kind(second) {
            self.types
                .push((path.to_owned(), [kind(first), kind(second)]));
        } else if first != second {
            self.values
                .push((path.to_owned(), [shown(first), shown(second)]));
        }
    }

    /// Whether both have the same keys with values of the same types.
    pub fn is_same_shape(&self) -> bool {
        self.only.iter().all(Vec::is_empty) && self.types.is_empty()
    }

    /// For people.
    pub fn text(&self, rigs: &[Rig]) -> String {
        let mut text = format!(
            "{} values compared, of a running and a stopped container. Keys of one engine only: {}; values of two types: {}; \
             of two values: {}.\n",
            self.compared,
            self.only.iter().map(Vec::len).sum::<usize>(),
            self.types.len(),
            self.values.len()
        );
        for (rig, only) in rigs.iter().zip(&self.only) {
            for path in only {
                text.push_str(&format!("\n* only {rig}: `{path}`"));
            }
        }
        for (path, [first, second]) in &self.types {
            text.push_str(&format!("\n* `{path}`: {first} and {second}"));
        }
        let rows: Vec<Vec<String>> = self
            .values
            .iter()
            .map(|(path, values)| [std::slice::from_ref(path), &values[..]].concat())
            .collect();
        if !rows.is_empty() {
            text.push('\n');
            text.push_str(&table(
                &["value".to_owned(), rigs[0].to_string(), rigs[1].to_string()],
                &rows,
            ));
        }
        text
    }
}

/// Every value that holds no other, by its path. Lists are one value each, and so are maps whose keys are data.
fn leaves(value: &Value, path: String, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                leaves(value, format!("{path}/{key}"), found);
            }
        }
        _ => {
            found.insert(path, value.clone());
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "map",
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string().replace('|', "\\|");
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_types_and_values_are_told_apart() {
        let first = json!({"a": 1, "b": {"c": null, "d": "x"}, "e": [1]});
        let second = json!({"a": 2, "b": {"c": [], "f": true}, "e": [1]});
        let found = Comparison::of(&first, &second);
        assert_eq!(
            found.only,
            [vec!["/b/d".to_owned()], vec!["/b/f".to_owned()]]
        );
        assert_eq!(found.types, [("/b/c".to_owned(), ["null", "list"])]);
        assert_eq!(
            found.values,
            [("/a".to_owned(), ["`1`".to_owned(), "`2`".to_owned()])]
        );
        assert_eq!(found.compared, 3);
        assert!(!found.is_same_shape() && Comparison::of(&first, &first).is_same_shape());
    }
}
