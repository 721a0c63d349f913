//! An engine and the containers that are made on it to be looked at.

use std::time::{Duration, Instant};

use anyhow::Context;
use rig::{Engine, Response};
use serde_json::{Value, json};

/// How long a state may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// All containers are called so, with something behind it.
const PREFIX: &str = "conf-beside-";

/// One of the two engines. What was made on it goes when it is dropped.
pub struct Probe<'a> {
    engine: &'a Engine,
    /// When this began, in seconds since 1970: an engine keeps the events of earlier runs, of the same names.
    began: f64,
}

impl<'a> Probe<'a> {
    /// Takes what an earlier, broken run left away.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn new(engine: &'a Engine) -> anyhow::Result<Probe<'a>> {
        let mut probe = Probe { engine, began: 0.0 };
        probe.clean()?;
        probe.began = now()?;
        Ok(probe)
    }

    /// One request that must succeed.
    ///
    /// # Errors
    /// With the engine's message when it refuses.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Response> {
        let text = body.map(Value::to_string);
        self.engine
            .request(method, path, text.as_deref().map(str::as_bytes))
            .and_then(Response::success)
            .with_context(|| format!("{method} {path} on the {} rig", self.engine.rig()))
    }

    /// A verb on a container.
    ///
    /// # Errors
    /// As [`Probe::ask`].
    pub fn verb(&self, name: &str, verb: &str) -> anyhow::Result<()> {
        self.ask("POST", &format!("/containers/{PREFIX}{name}/{verb}"), None)
            .map(drop)
    }

    /// Makes a container that runs `script`; `more` is laid over what is sent.
    ///
    /// # Errors
    /// As [`Probe::ask`].
    pub fn create(&self, name: &str, script: &str, more: &Value) -> anyhow::Result<()> {
        let mut body = json!({"Image": "busybox", "Cmd": ["sh", "-c", script]});
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        self.ask(
            "POST",
            &format!("/containers/create?name={PREFIX}{name}"),
            Some(&body),
        )
        .map(drop)
    }

    /// Makes and starts one, and waits until it has said `ready`.
    ///
    /// # Errors
    /// As [`Probe::ask`], and when it does not come.
    pub fn run(&self, name: &str, script: &str, more: &Value) -> anyhow::Result<()> {
        self.create(name, script, more)?;
        self.verb(name, "start")?;
        self.until("it is ready", || {
            let path = format!("/containers/{PREFIX}{name}/logs?stdout=1");
            Ok(self.ask("GET", &path, None)?.text().contains("ready"))
        })
    }

    /// What inspect says.
    ///
    /// # Errors
    /// As [`Probe::ask`].
    pub fn inspect(&self, name: &str) -> anyhow::Result<Value> {
        self.ask("GET", &format!("/containers/{PREFIX}{name}/json"), None)?
            .json()
    }

    /// Removes a container, however it is.
    ///
    /// # Errors
    /// As [`Probe::ask`].
    pub fn remove(&self, name: &str) -> anyhow::Result<()> {
        self.ask(
            "DELETE",
            &format!("/containers/{PREFIX}{name}?force=1"),
            None,
        )
        .map(drop)
    }

    /// Waits for a state.
    ///
    /// # Errors
    /// When it does not come in time.
    pub fn until(
        &self,
        what: &str,
        holds: impl Fn() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let begin = Instant::now();
        while !holds()? {
            anyhow::ensure!(
                begin.elapsed() < PATIENCE,
                "on the {} rig: {what}: not within a minute",
                self.engine.rig()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// The events of a container, the oldest first: action and moment in nanoseconds.
    ///
    /// # Errors
    /// As [`Probe::ask`].
    pub fn events(&self, name: &str) -> anyhow::Result<Vec<(String, i64)>> {
        let filters = json!({"container": [format!("{PREFIX}{name}")]}).to_string();
        // Percent-encoding of the few characters that JSON has and a query has not.
        let filters = filters
            .replace('{', "%7B")
            .replace('}', "%7D")
            .replace('"', "%22")
            .replace('[', "%5B")
            .replace(']', "%5D");
        let (since, until) = (self.began, now()?);
        let path = format!("/events?since={since:.9}&until={until:.9}&filters={filters}");
        let text = self.ask("GET", &path, None)?.text();
        let events = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        events
            .map(|event| {
                let event = event.context("an event is no JSON")?;
                let action = event["Action"].as_str().unwrap_or_default();
                // Behind the colon stands what was executed.
                let action = action.split(':').next().unwrap_or_default().to_owned();
                Ok((action, event["timeNano"].as_i64().unwrap_or_default()))
            })
            .collect()
    }

    fn clean(&self) -> anyhow::Result<()> {
        for (id, names) in self.engine.containers()? {
            if names.iter().any(|name| name.starts_with(PREFIX)) {
                self.ask("DELETE", &format!("/containers/{id}?force=1"), None)?;
            }
        }
        Ok(())
    }
}

/// Seconds since 1970.
fn now() -> anyhow::Result<f64> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(now.as_secs_f64())
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.clean() {
            eprintln!("conformance: {error:#}");
        }
    }
}
