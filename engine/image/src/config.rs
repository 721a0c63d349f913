//! The `config` object of an image, as far as Dockerfile instructions change it (OCI image specification,
//! "Properties"; Docker adds `Healthcheck`, `OnBuild` and some more).
//!
//! What an object has beyond the fields here is carried along untouched.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::Error;

/// The fields, in the spelling of the specification. Docker writes `null` for what is empty, hence the options.
#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Config {
    #[serde(skip_serializing_if = "Option::is_none")]
    cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entrypoint: Option<Vec<String>>,
    /// `NAME=value`, each name once.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_empty"
    )]
    pub(crate) env: Vec<String>,
    /// Ports as `80/tcp`; the values are always empty.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_empty"
    )]
    pub(crate) exposed_ports: BTreeMap<String, Empty>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) healthcheck: Option<Map<String, Value>>,
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_empty"
    )]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_empty"
    )]
    pub(crate) on_build: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stop_signal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_empty"
    )]
    pub(crate) volumes: BTreeMap<String, Empty>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) working_dir: Option<String>,
    /// A command was set by an instruction, so that an entrypoint does not take it away.
    #[serde(skip)]
    command_set: bool,
}

/// The empty object that the specification has where a set is meant.
#[derive(Deserialize, Serialize)]
pub(crate) struct Empty {}

fn null_is_empty<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl Config {
    /// Reads the fields of an object.
    pub(crate) fn read(object: &Map<String, Value>) -> Result<Config, Error> {
        Config::deserialize(object)
            .map_err(|error| Error::InvalidParameter(format!("invalid image config: {error}")))
    }

    /// Writes the fields into the object that they were read from.
    pub(crate) fn write(self, mut object: Map<String, Value>) -> Result<Map<String, Value>, Error> {
        // Set to none by an instruction, which is not the same as left alone.
        for (key, unset) in [
            ("Cmd", self.cmd.is_none()),
            ("Entrypoint", self.entrypoint.is_none()),
        ] {
            if let Some(value) = object.get_mut(key).filter(|_| unset) {
                *value = Value::Null;
            }
        }
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => object.extend(fields),
            other => return Err(Error::System(format!("encode the config: {other:?}"))),
        }
        Ok(object)
    }

    /// CMD.
    pub(crate) fn set_command(&mut self, command: Option<Vec<String>>) {
        self.cmd = command;
        self.command_set = true;
    }

    /// ENTRYPOINT: a command that was there before was meant for another entrypoint.
    pub(crate) fn set_entrypoint(&mut self, entrypoint: Option<Vec<String>>) {
        self.entrypoint = entrypoint;
        if !self.command_set {
            self.cmd = None;
        }
    }

    /// Sets a variable in the environment, in its old place if it is set.
    pub(crate) fn set_variable(&mut self, name: &str, value: &str) {
        let entry = format!("{name}={value}");
        let prefix = &entry[..=name.len()];
        match self.env.iter().position(|old| old.starts_with(prefix)) {
            Some(position) => self.env[position] = entry,
            None => self.env.push(entry),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::changes::config_from_changes;

    #[test]
    fn changes_of_a_containers_config() {
        let base = json!({
            "Hostname": "h", "Cmd": ["a"], "Entrypoint": null, "Env": ["A=1", "PATH=/bin"], "Labels": {"x": "y"},
            "ExposedPorts": {"80/tcp": {}}, "Volumes": null, "WorkingDir": "/srv", "OnBuild": null, "User": "",
        });
        let changed = |changes: &[&str]| {
            let changes: Vec<String> = changes.iter().map(|&change| change.to_owned()).collect();
            config_from_changes(base.as_object().unwrap().clone(), &changes).unwrap()
        };
        assert_eq!(changed(&[]), *base.as_object().unwrap());
        let config = changed(&["ENV B=$PATH:x A=2", "LABEL q=r", "EXPOSE 81", "WORKDIR sub"]);
        assert_eq!(config["Env"], json!(["A=2", "PATH=/bin", "B=/bin:x"]));
        assert_eq!(config["Labels"], json!({"q": "r", "x": "y"}));
        assert_eq!(config["ExposedPorts"], json!({"80/tcp": {}, "81/tcp": {}}));
        assert_eq!(config["WorkingDir"], "/srv/sub");
        assert_eq!(
            (&config["Hostname"], &config["Cmd"]),
            (&json!("h"), &json!(["a"]))
        );
        // An entrypoint takes the old command away, and not the one that comes with it.
        let config = changed(&["ENTRYPOINT [\"e\"]"]);
        assert_eq!(
            (&config["Entrypoint"], &config["Cmd"]),
            (&json!(["e"]), &json!(null))
        );
        let config = changed(&["CMD [\"c\"]", "ENTRYPOINT [\"e\"]"]);
        assert_eq!(config["Cmd"], json!(["c"]));
    }
}
