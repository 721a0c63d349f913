//! The exact shape of Docker's JSON: which keys are always there, and what stands where nothing is known.
//!
//! Each skeleton is a document recorded from a Docker 28.5 with the particulars taken out. An answer is laid
//! over it: keys come in Docker's order, missing ones keep the skeleton's null, `{}`, `[]`, `""` or 0, and
//! keys that Docker does not have are dropped. A request is laid over the same documents, so that a record
//! on disk is in the shape in which `inspect` shows it.
//!
//! A key that ends in `?` is left out when it is empty (Go's `omitempty`); one that ends in `??` only when it
//! is null (Go's `omitempty` on a pointer).

use std::sync::LazyLock;

use serde_json::{Map, Value};

/// Declares one skeleton: a constant that is parsed at its first use.
macro_rules! skeleton {
    ($(#[$doc:meta])* $name:ident, $file:literal) => {
        $(#[$doc])*
        pub static $name: Skeleton = Skeleton(LazyLock::new(|| parse(include_str!(concat!("skeletons/", $file)), $file)));
    };
}

skeleton!(/// GET /containers/{id}/json.
    CONTAINER_INSPECT, "container-inspect.json");
skeleton!(/// An entry of GET /containers/json.
    CONTAINER_LIST, "container-list.json");
skeleton!(/// `Config` of a container, in requests and answers.
    CONFIG, "config.json");
skeleton!(/// `HostConfig`, in requests and answers.
    HOST_CONFIG, "host-config.json");
skeleton!(/// `NetworkSettings` of a container.
    NETWORK_SETTINGS, "network-settings.json");
skeleton!(/// A network of `NetworkSettings.Networks`.
    ENDPOINT, "endpoint.json");
skeleton!(/// GET /exec/{id}/json.
    EXEC, "exec.json");
skeleton!(/// GET /images/{name}/json.
    IMAGE_INSPECT, "image-inspect.json");
skeleton!(/// An entry of GET /images/json.
    IMAGE_LIST, "image-list.json");
skeleton!(/// An entry of GET /images/{name}/history.
    IMAGE_HISTORY, "image-history.json");
skeleton!(/// GET /networks/{id} and an entry of GET /networks.
    NETWORK, "network.json");
skeleton!(/// GET /info.
    INFO, "info.json");
skeleton!(/// GET /version.
    VERSION, "version.json");

/// A recorded document.
pub struct Skeleton(LazyLock<Value>);

impl Skeleton {
    /// Lays `values` over the document.
    pub fn with(&self, values: Value) -> Value {
        lay_over(&self.0, values)
    }

    /// Whether an object has any of the document's keys, in any case. To Go's decoder a struct that is embedded
    /// behind a pointer is missing otherwise.
    pub fn names_any(&self, values: &Value) -> bool {
        let (Value::Object(keys), Value::Object(values)) = (&*self.0, values) else {
            return false;
        };
        let mut names = values.keys();
        names.any(|name| {
            keys.keys()
                .any(|key| Presence::of(key).0.eq_ignore_ascii_case(name))
        })
    }

    /// The document with nothing laid over it.
    pub fn empty(&self) -> Value {
        self.with(Value::Object(Map::new()))
    }
}

/// Parses a skeleton. They are part of the program, so a broken one is a defect that the tests find; it
/// shows as an empty document instead of a panic.
fn parse(text: &str, _file: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

/// Lays `values` over `skeleton`; see the module's head.
fn lay_over(skeleton: &Value, values: Value) -> Value {
    match (skeleton, values) {
        (Value::Object(keys), Value::Object(values)) if !keys.is_empty() => {
            Value::Object(lay_object(keys, values))
        }
        (_, Value::Null) => plain(skeleton),
        (_, values) => values,
    }
}

fn lay_object(keys: &Map<String, Value>, mut values: Map<String, Value>) -> Map<String, Value> {
    let mut output = Map::with_capacity(keys.len());
    for (marked, inner) in keys {
        let (key, presence) = Presence::of(marked);
        let value = lay_over(inner, take(&mut values, key));
        if presence.keeps(&value) {
            output.insert(key.to_owned(), value);
        }
    }
    output
}

/// The skeleton itself, without its optional keys.
fn plain(skeleton: &Value) -> Value {
    match skeleton {
        Value::Object(keys) if !keys.is_empty() => Value::Object(lay_object(keys, Map::new())),
        other => other.clone(),
    }
}

/// Takes a key out of the values: as written, or in any other case, as Go's decoder does.
fn take(values: &mut Map<String, Value>, key: &str) -> Value {
    if let Some(value) = values.get_mut(key) {
        return value.take();
    }
    values
        .iter_mut()
        .find(|(name, _)| name.eq_ignore_ascii_case(key))
        .map_or(Value::Null, |(_, value)| value.take())
}

/// When a key is there.
enum Presence {
    Always,
    UnlessEmpty,
    UnlessNull,
}

impl Presence {
    fn of(marked: &str) -> (&str, Presence) {
        if let Some(key) = marked.strip_suffix("??") {
            (key, Presence::UnlessNull)
        } else if let Some(key) = marked.strip_suffix('?') {
            (key, Presence::UnlessEmpty)
        } else {
            (marked, Presence::Always)
        }
    }

    fn keeps(&self, value: &Value) -> bool {
        match self {
            Presence::Always => true,
            Presence::UnlessNull => !value.is_null(),
            Presence::UnlessEmpty => match value {
                Value::Null | Value::Bool(false) => false,
                Value::String(text) => !text.is_empty(),
                Value::Array(list) => !list.is_empty(),
                Value::Object(map) => !map.is_empty(),
                Value::Number(number) => number.as_f64() != Some(0.0),
                Value::Bool(true) => true,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn all() -> [(&'static str, &'static Skeleton); 13] {
        [
            ("container-inspect", &CONTAINER_INSPECT),
            ("container-list", &CONTAINER_LIST),
            ("config", &CONFIG),
            ("host-config", &HOST_CONFIG),
            ("network-settings", &NETWORK_SETTINGS),
            ("endpoint", &ENDPOINT),
            ("exec", &EXEC),
            ("image-inspect", &IMAGE_INSPECT),
            ("image-list", &IMAGE_LIST),
            ("image-history", &IMAGE_HISTORY),
            ("network", &NETWORK),
            ("info", &INFO),
            ("version", &VERSION),
        ]
    }

    #[test]
    fn every_skeleton_is_an_object() {
        for (name, skeleton) in all() {
            assert!(
                skeleton
                    .empty()
                    .as_object()
                    .is_some_and(|map| !map.is_empty()),
                "{name}"
            );
        }
    }

    #[test]
    fn keys_are_known_in_any_case_and_without_their_marks() {
        for (body, known) in [
            (json!({}), false),
            (json!(null), false),
            (json!({"HostConfig": {}, "foo": 1}), false),
            (json!({"Image": null}), true),
            (json!({"macaddress": ""}), true),
        ] {
            assert_eq!(CONFIG.names_any(&body), known, "{body}");
        }
    }

    #[test]
    fn null_takes_the_skeletons_value_and_unknown_keys_go() {
        let skeleton = json!({"List": [], "Map": {}, "Text": "", "Inner": {"A": 1, "B": null}});
        let laid = lay_over(
            &skeleton,
            json!({"list": null, "Map": {"k": "v"}, "Foo": 1, "Inner": {"B": 2}}),
        );
        assert_eq!(
            laid,
            json!({"List": [], "Map": {"k": "v"}, "Text": "", "Inner": {"A": 1, "B": 2}})
        );
    }

    #[test]
    fn keys_keep_the_skeletons_order() {
        let laid = lay_over(&json!({"b": 1, "a": 2}), json!({"a": 3, "b": 4}));
        assert_eq!(laid.to_string(), r#"{"b":4,"a":3}"#);
    }

    #[test]
    fn optional_keys_appear_with_a_value() {
        let skeleton = json!({"Mounts?": null, "Init??": null});
        assert_eq!(
            lay_over(&skeleton, json!({"Mounts": [], "Init": null})),
            json!({})
        );
        assert_eq!(
            lay_over(&skeleton, json!({"Mounts": [1], "Init": false})),
            json!({"Mounts": [1], "Init": false})
        );
    }

    #[test]
    fn typed_clients_can_read_the_skeletons() {
        use crate::models::{
            ContainerInspectResponse, HostConfig, ImageInspect, Network, SystemInfo,
        };
        serde_json::from_value::<ContainerInspectResponse>(CONTAINER_INSPECT.empty()).unwrap();
        serde_json::from_value::<HostConfig>(HOST_CONFIG.empty()).unwrap();
        serde_json::from_value::<ImageInspect>(IMAGE_INSPECT.empty()).unwrap();
        serde_json::from_value::<Network>(NETWORK.empty()).unwrap();
        serde_json::from_value::<SystemInfo>(INFO.empty()).unwrap();
    }
}
