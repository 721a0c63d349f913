//! Replaying the commands of `answers.toml` on an engine, by the API calls that the docker CLI would make.
//!
//! Every container gets limits that a lab never reaches and a prank does: no network, no capabilities,
//! 64 MiB, 64 processes, one processor, 1 MiB of log. A failing command ends nothing, as in a shell: a lab
//! on exit codes wants failing commands. Each gets a few seconds, and whatever was made is removed at the
//! end.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use drydock_client::Error;
use serde::Serialize;
use serde_json::{Value, json};

use crate::answers::{Command, Creation, NAME_PREFIX};
use crate::engine::{Engine, encode};
use crate::lab::Lab;
use crate::state::{self, Seen};

/// How long one command may wait for a container's end.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long all of them may take.
const PATIENCE_OVER_ALL: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(20);

/// A command that did not succeed. Not a fault in itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedCommand {
    /// Its number in the file, from 1.
    pub command: usize,
    /// The HTTP status of the engine's answer; absent if it was a wait that took too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

/// A replay under way. Its containers are removed when it goes out of scope.
pub struct Replay<'a> {
    engine: &'a Engine,
    /// What was there at any time.
    pub seen: Seen,
    /// The commands that did not succeed.
    pub failed: Vec<FailedCommand>,
    is_clean: bool,
}

impl<'a> Replay<'a> {
    /// Prepares a replay. An engine that has containers of such names cannot be graded on: they would be
    /// taken for the submission's.
    pub fn new(engine: &'a Engine) -> Result<Replay<'a>> {
        let names = engine.containers()?;
        if let Some(name) = names.keys().find(|name| name.starts_with(NAME_PREFIX)) {
            bail!(
                "the engine has a container `{name}` already\nhint: remove it, or grade on an engine of its own (`--engine fresh`)"
            );
        }
        Ok(Replay {
            engine,
            seen: Seen::default(),
            failed: Vec::new(),
            is_clean: false,
        })
    }

    /// Runs all commands. An error is the engine's; what the submission got wrong is in `failed`.
    pub fn run(&mut self, lab: &Lab, commands: &[Command]) -> Result<()> {
        let end = Instant::now() + PATIENCE_OVER_ALL;
        for (index, command) in commands.iter().enumerate() {
            let deadline = end.min(Instant::now() + PATIENCE);
            let status = match self.act(command, deadline) {
                Ok(true) => None,
                Ok(false) => Some(None),
                Err(Error::Api { status, .. }) => Some(Some(status)),
                Err(error) => return Err(error.into()),
            };
            if let Some(status) = status {
                self.failed.push(FailedCommand {
                    command: index + 1,
                    status,
                });
            }
            state::look(self.engine, lab, &mut self.seen)?;
        }
        Ok(())
    }

    /// Removes every container of the replay.
    pub fn clean_up(mut self) -> Result<()> {
        self.is_clean = true;
        self.remove_all()
    }

    fn remove_all(&self) -> Result<()> {
        for (name, id) in self.engine.containers()? {
            if name.starts_with(NAME_PREFIX) {
                self.engine.remove(&id)?;
            }
        }
        Ok(())
    }

    /// False if a wait took too long.
    fn act(&self, command: &Command, deadline: Instant) -> Result<bool, Error> {
        let each = |names: &[String], verb: &str| -> Result<bool, Error> {
            for name in names {
                self.engine.act(name, verb)?;
            }
            Ok(true)
        };
        match command {
            Command::Create(container) => self.create(container).map(|_| true),
            Command::Run { detach, container } => {
                let id = self.create(container)?;
                self.engine.act(&id, "start")?;
                if *detach {
                    Ok(true)
                } else {
                    self.wait(&id, deadline)
                }
            }
            Command::Start(names) => each(names, "start"),
            Command::Stop { seconds, names } => match seconds {
                Some(seconds) => each(names, &format!("stop?t={seconds}")),
                None => each(names, "stop"),
            },
            Command::Kill { signal, names } => match signal {
                Some(signal) => each(names, &format!("kill?signal={}", encode(signal))),
                None => each(names, "kill"),
            },
            Command::Wait(names) => {
                for name in names {
                    if !self.wait(name, deadline)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Command::Remove { force, names } => {
                let query = if *force { "?force=1" } else { "" };
                for name in names {
                    let path = format!("/containers/{}{query}", encode(name));
                    self.engine.client.delete(&path)?;
                }
                Ok(true)
            }
        }
    }

    fn create(&self, container: &Creation) -> Result<String, Error> {
        self.engine
            .create(Some(&container.name), &description(container))
    }

    /// Waits until a container neither runs nor restarts, or is gone.
    fn wait(&self, name: &str, deadline: Instant) -> Result<bool, Error> {
        let path = format!("/containers/{}/json", encode(name));
        loop {
            let state = match self.engine.client.get_json::<Value>(&path) {
                Err(error) if error.status() == Some(404) => return Ok(true),
                other => other?["State"].clone(),
            };
            if state["Running"] != true && state["Restarting"] != true {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Replay<'_> {
    fn drop(&mut self) {
        if !self.is_clean {
            // On the way of an error, which says more than a failure here could.
            let _ = self.remove_all();
        }
    }
}

/// The body of `POST /containers/create`: what was asked for, within the grader's limits.
fn description(container: &Creation) -> Value {
    let (policy, count) = container
        .restart
        .clone()
        .unwrap_or_else(|| ("no".to_string(), 0));
    json!({
        "Image": container.image,
        "Cmd": if container.command.is_empty() { Value::Null } else { json!(container.command) },
        "Labels": { "drydock.labs": "replay" },
        "HostConfig": {
            "RestartPolicy": { "Name": policy, "MaximumRetryCount": count },
            "AutoRemove": container.remove_after,
            "NetworkMode": "none",
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "Memory": 64 << 20,
            "MemorySwap": 64 << 20,
            "NanoCpus": 1_000_000_000u64,
            "PidsLimit": 64,
            "LogConfig": { "Type": "json-file", "Config": { "max-size": "1m", "max-file": "1" } },
        },
    })
}
