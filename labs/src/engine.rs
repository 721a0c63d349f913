//! What the labs ask of an engine, through its API: any engine, Drydock or Docker.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use drydock_client::{Body, Client, Endpoint, Error, Method};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// An engine.
#[derive(Clone, Debug)]
pub struct Engine {
    /// The way to it.
    pub client: Client,
}

/// Which engine it is, for the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// `Docker Engine - Community`, `Drydock`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The newest API version it speaks.
    pub api_version: String,
    /// The kernel under it.
    pub kernel: String,
}

/// An event of a container.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Event {
    /// What happened.
    pub action: String,
    /// To whom, and how.
    pub actor: Actor,
}

/// The object of an event.
#[derive(Clone, Debug, Deserialize)]
pub struct Actor {
    /// The container's id.
    #[serde(rename = "ID")]
    pub id: String,
    /// What the event says beyond its action.
    #[serde(rename = "Attributes", default)]
    pub attributes: BTreeMap<String, String>,
}

impl Engine {
    /// The engine at `host`, or the one that `DRYDOCK_HOST`, `DOCKER_HOST` and the usual socket name.
    pub fn find(host: Option<&str>) -> Result<Engine> {
        let environment = |name: &str| std::env::var(name).ok();
        Ok(Engine {
            client: Client::new(Endpoint::choose(host, environment)?),
        })
    }

    /// Which engine this is. Fails if it does not answer.
    pub fn identity(&self) -> Result<Identity> {
        let version: Value = self
            .client
            .get_json("/version")
            .context("cannot ask the engine for its version")
            .map_err(|error| anyhow!("{error:#}\nhint: labs need an engine; `drydock up` starts one, and DRYDOCK_HOST or DOCKER_HOST says where one listens"))?;
        let text = |value: &Value| value.as_str().unwrap_or("unknown").to_string();
        // Debian's Docker has no name for its platform.
        let platform = version["Platform"]["Name"].as_str().unwrap_or_default();
        Ok(Identity {
            name: match platform {
                "" => text(&version["Components"][0]["Name"]),
                name => name.to_string(),
            },
            version: text(&version["Version"]),
            api_version: text(&version["ApiVersion"]),
            kernel: text(&version["KernelVersion"]),
        })
    }

    /// `inspect` of a container by name or id; None if there is none.
    pub fn inspect(&self, name: &str) -> Result<Option<Value>> {
        let path = format!("/containers/{}/json", encode(name));
        match self.client.get_json(&path) {
            Err(error) if error.status() == Some(404) => Ok(None),
            other => other
                .map(Some)
                .with_context(|| format!("cannot inspect {name}")),
        }
    }

    /// The names (without the leading slash) and ids of all containers, stopped ones too.
    pub fn containers(&self) -> Result<BTreeMap<String, String>> {
        let list: Vec<Value> = self
            .client
            .get_json("/containers/json?all=1")
            .context("cannot list the containers")?;
        let mut names = BTreeMap::new();
        for container in &list {
            let id = container["Id"].as_str().unwrap_or_default();
            for name in container["Names"].as_array().into_iter().flatten() {
                let name = name.as_str().unwrap_or_default().trim_start_matches('/');
                names.insert(name.to_string(), id.to_string());
            }
        }
        Ok(names)
    }

    /// What happened to one container so far, as far as the engine remembers (Docker keeps 256 events).
    pub fn events(&self, id: &str) -> Result<Vec<Event>> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let filters = encode(&json!({ "container": [id] }).to_string());
        // `until` in the past makes the engine answer with what there is, and end.
        let path = format!(
            "/events?since=0&until={}.{:09}&filters={filters}",
            now.as_secs(),
            now.subsec_nanos()
        );
        let bytes = self
            .client
            .get_bytes(&path)
            .context("cannot read the events")?;
        serde_json::Deserializer::from_slice(&bytes)
            .into_iter()
            .collect::<Result<_, _>>()
            .context("cannot understand an event")
    }

    /// The id of an image; None if the engine does not have it.
    pub fn image(&self, name: &str) -> Result<Option<String>> {
        let path = format!("/images/{}/json", encode(name));
        match self.client.get_json::<Value>(&path) {
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot inspect image {name}")),
            Ok(image) => Ok(image["Id"].as_str().map(str::to_string)),
        }
    }

    /// Creates a container and returns its id.
    pub fn create(&self, name: Option<&str>, body: &Value) -> Result<String, Error> {
        let query = name.map_or(String::new(), |name| format!("?name={}", encode(name)));
        let answer: Value = self
            .client
            .post_json(&format!("/containers/create{query}"), body)?;
        answer["Id"]
            .as_str()
            .map(str::to_string)
            .ok_or_else(|| Error::Protocol("the answer to create has no id".to_string()))
    }

    /// `POST /containers/NAME/VERB`. "Already so" (304) is no error.
    pub fn act(&self, name: &str, verb: &str) -> Result<(), Error> {
        self.client
            .post(&format!("/containers/{}/{verb}", encode(name)))
    }

    /// Removes a container, running or not. None there is no error.
    pub fn remove(&self, id: &str) -> Result<(), Error> {
        let path = format!("/containers/{}?force=1&v=1", encode(id));
        match self.client.delete(&path) {
            Err(error) if error.status() == Some(404) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Imports a tar archive as an image of one layer.
    pub fn import(
        &self,
        repository: &str,
        tag: &str,
        archive: &mut dyn std::io::Read,
    ) -> Result<()> {
        let path = format!(
            "/images/create?fromSrc=-&repo={}&tag={}",
            encode(repository),
            encode(tag)
        );
        let headers = [("Content-Type", "application/x-tar")];
        let answer = self
            .client
            .request(Method::Post, &path, &headers, Body::Stream(archive))
            .and_then(|response| response.bytes())
            .with_context(|| format!("cannot import image {repository}:{tag}"))?;
        // Errors after the head come as a line of the progress stream.
        for line in serde_json::Deserializer::from_slice(&answer).into_iter::<Value>() {
            if let Some(error) = line.context("cannot understand the import")?["error"].as_str() {
                bail!("cannot import image {repository}:{tag}: {error}");
            }
        }
        Ok(())
    }
}

/// Percent-encodes a path segment or a query value (RFC 3986).
pub fn encode(text: &str) -> String {
    use std::fmt::Write;
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_change_the_path() {
        assert_eq!(encode("a-b_c.1~"), "a-b_c.1~");
        assert_eq!(encode("../x?y=1#z"), "..%2Fx%3Fy%3D1%23z");
    }
}
