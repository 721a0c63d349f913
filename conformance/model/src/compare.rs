//! Two engines' answers and observations side by side.
//!
//! Both are JSON values and are compared leaf by leaf, so that a difference names the very field. What is meant to
//! differ is on a list here, and each entry names the entry of `divergence.toml` that says why.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// One leaf that differs. None: the engine does not have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where, as a JSON pointer.
    pub path: String,
    /// What the reference has there.
    pub reference: Option<Value>,
    /// What the engine under test has there.
    pub subject: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let show = |value: &Option<Value>| match value {
            Some(value) => value.to_string(),
            None => "nothing".to_owned(),
        };
        write!(
            formatter,
            "{}: Docker has {}, Drydock has {}",
            self.path,
            show(&self.reference),
            show(&self.subject)
        )
    }
}

/// A difference that is meant.
#[derive(Debug)]
pub struct Allowed {
    /// What the path ends with.
    pub path: &'static str,
    /// The entry of `divergence.toml`; for readers, and for the test that it is there.
    #[cfg_attr(not(test), allow(dead_code))]
    pub divergence: &'static str,
}

/// All of them.
pub const ALLOWED: [Allowed; 2] = [
    Allowed {
        path: "/HostConfig/CgroupnsMode",
        divergence: "cgroup-namespace",
    },
    Allowed {
        path: "/HostConfig/Runtime",
        divergence: "runtime-name",
    },
];

/// What differs and is not meant to.
pub fn differences(reference: &Value, subject: &Value) -> Vec<Difference> {
    let (reference, subject) = (leaves(reference), leaves(subject));
    let mut paths: Vec<&String> = reference.keys().chain(subject.keys()).collect();
    paths.sort();
    paths.dedup();
    paths
        .into_iter()
        .filter(|path| reference.get(*path) != subject.get(*path) && !is_allowed(path))
        .map(|path| Difference {
            path: path.clone(),
            reference: reference.get(path).cloned(),
            subject: subject.get(path).cloned(),
        })
        .collect()
}

fn is_allowed(path: &str) -> bool {
    ALLOWED.iter().any(|entry| path.ends_with(entry.path))
}

/// Every value that is not made of others, by its path. An empty list or object is a leaf.
fn leaves(value: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    collect(value, String::new(), &mut found);
    found
}

fn collect(value: &Value, path: String, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, item) in fields {
                collect(item, format!("{path}/{key}"), found);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                collect(item, format!("{path}/{index}"), found);
            }
        }
        leaf => {
            found.insert(path, leaf.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_difference_names_the_leaf() {
        let found = differences(
            &json!({"State": {"ExitCode": 1, "Error": ""}, "Names": ["a"]}),
            &json!({"State": {"ExitCode": 2, "Error": ""}, "Names": ["a", "b"]}),
        );
        let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "/Names/1: Docker has nothing, Drydock has \"b\"",
                "/State/ExitCode: Docker has 1, Drydock has 2"
            ]
        );
    }

    #[test]
    fn null_and_absent_and_empty_are_not_the_same() {
        assert_eq!(differences(&json!({"a": null}), &json!({})).len(), 2);
        assert_eq!(differences(&json!({"a": null}), &json!({"a": []})).len(), 1);
        assert!(differences(&json!({"a": []}), &json!({"a": []})).is_empty());
    }

    #[test]
    fn what_is_meant_is_explained_in_the_list() {
        let list = include_str!("../../divergence.toml");
        for entry in ALLOWED {
            assert!(
                list.contains(&format!("id = \"{}\"", entry.divergence)),
                "{entry:?}"
            );
            let differs = |name: &str| json!({"a#1": {"HostConfig": {"Runtime": name, "CgroupnsMode": name}}});
            assert!(differences(&differs("x"), &differs("y")).is_empty());
        }
    }
}
