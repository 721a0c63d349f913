//! An engine behind a socket: sends a step's operations and normalises the answers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rig::{Daemon, Response};
use serde_json::{Value, json};

use crate::normal::{self, Known};
use crate::observe::{self, Events};
use crate::operation::{Operation, Step};
use crate::pending::Pending;
use crate::subject::{NO_ANSWER, Subject};
use crate::track::Tracked;
use crate::wire::{self, API};

/// How long an exec that was started in the background may run, and a wait that has reason to end.
const PATIENCE: Duration = Duration::from_secs(3);

/// An engine.
#[derive(Debug)]
pub struct Engine {
    /// Its socket.
    pub(crate) socket: PathBuf,
    /// The daemon, where it is one of our own.
    daemon: Option<Arc<Daemon>>,
    /// The tag of the sequence that runs.
    pub(crate) tag: String,
    /// Its containers.
    pub(crate) containers: Vec<Tracked>,
    /// What was told of them.
    pub(crate) events: Events,
}

impl Engine {
    /// An engine that listens at a socket; with its daemon, where that may be restarted.
    pub fn new(socket: PathBuf, daemon: Option<Arc<Daemon>>) -> Engine {
        Engine {
            socket,
            daemon,
            tag: String::new(),
            containers: Vec::new(),
            events: Events::default(),
        }
    }

    /// One request.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn send(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Response> {
        let body = body.map(Value::to_string);
        rig::request(
            &self.socket,
            method,
            path,
            body.as_deref().map(str::as_bytes),
        )
    }

    /// The ids and labels of the sequence's containers.
    pub fn known(&self) -> Vec<Known> {
        self.containers
            .iter()
            .map(|container| container.known.clone())
            .collect()
    }

    /// The container that has the operation's name now.
    fn target(&mut self, operation: &Operation) -> Option<&mut Tracked> {
        let name = wire::full_name(&self.tag, operation.name()?);
        let mut containers = self.containers.iter_mut();
        containers.find(|container| !container.gone && container.name == name)
    }

    /// What a client is answered. An engine that does not answer is an answer as well: it differs.
    fn answer(&self, operation: &Operation) -> Value {
        let answer = match operation {
            Operation::Exec(_, exec) => self.exec(operation, *exec == crate::operation::Exec::Tty),
            _ => self.plain(operation),
        };
        answer.unwrap_or_else(|error| json!({ NO_ANSWER: format!("{error:#}") }))
    }

    fn plain(&self, operation: &Operation) -> anyhow::Result<Value> {
        let request = wire::request(&self.tag, operation);
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let response = self.send(request.method, &request.path, request.body.as_ref())?;
            // Docker prunes for one client at a time, and other sequences prune as well.
            let busy = matches!(operation, Operation::Prune) && response.status == 409;
            if busy && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
            return Ok(observe::answer(operation, &response));
        }
    }

    /// Creates an exec, starts it, and looks at it when it has ended.
    fn exec(&self, operation: &Operation, tty: bool) -> anyhow::Result<Value> {
        let request = wire::request(&self.tag, operation);
        let created = self.send(request.method, &request.path, request.body.as_ref())?;
        let mut answer = observe::answer(operation, &created);
        let Some(id) = json_of(&created)["Id"].as_str().map(str::to_owned) else {
            return Ok(answer);
        };
        let attached = request
            .body
            .is_some_and(|body| body["AttachStdout"] == true);
        let start = json!({ "Detach": !attached, "Tty": tty });
        let started = self.send("POST", &format!("{API}/exec/{id}/start"), Some(&start))?;
        answer["started"] = json!(started.status);
        if started.status < 300 {
            let (out, err) = wire::streams(&started.body);
            answer["stdout"] = json!(out);
            answer["stderr"] = json!(err);
        } else {
            answer["message"] = json_of(&started)["message"].clone();
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let inspect = json_of(&self.send("GET", &format!("{API}/exec/{id}/json"), None)?);
            if inspect["Running"] != true || Instant::now() > deadline {
                for field in [
                    "Running",
                    "ExitCode",
                    "ProcessConfig",
                    "OpenStdout",
                    "message",
                ] {
                    answer["exec"][field] = inspect[field].clone();
                }
                return Ok(answer);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Several clients at once; the answers in the operations' order.
    fn together(&self, operations: &[Operation]) -> Vec<Value> {
        std::thread::scope(|scope| {
            let clients: Vec<_> = operations
                .iter()
                .map(|operation| scope.spawn(move || self.answer(operation)))
                .collect();
            clients
                .into_iter()
                .map(|client| {
                    client
                        .join()
                        .unwrap_or_else(|_| json!("the client panicked"))
                })
                .collect()
        })
    }

    /// One client waits, then another does something.
    fn awaiting(&self, wait: &Operation, then: &Operation) -> Vec<Value> {
        let request = wire::request(&self.tag, wait);
        let pending = Pending::send(&self.socket, request.method, &request.path);
        let then = self.answer(then);
        let waited = match pending.and_then(|pending| pending.finish(PATIENCE)) {
            Ok(None) => json!("still waits"),
            Ok(Some((status, body))) => {
                let body: Value = serde_json::from_slice(&body).unwrap_or_default();
                json!({ "status": status, "body": body })
            }
            Err(error) => json!({ NO_ANSWER: error.to_string() }),
        };
        vec![waited, then]
    }

    /// Ends the daemon and starts it again.
    ///
    /// Left out while a container rests that a starting daemon would wake or remove: `always` starts what was stopped
    /// by hand as well, and the other engine is not restarted, since it belongs to everybody on this host.
    fn restart_daemon(&self, killed: bool) -> anyhow::Result<()> {
        let Some(daemon) = &self.daemon else {
            return Ok(());
        };
        for container in self.containers.iter().filter(|container| !container.gone) {
            let path = format!("{API}/containers/{}/json", container.known.id);
            if container.wakes_with_daemon(&json_of(&self.send("GET", &path, None)?)) {
                return Ok(());
            }
        }
        if killed {
            daemon.kill()?
        } else {
            daemon.stop()?
        }
        daemon.launch()
    }

    /// What a success has promised, looked at without waiting: an engine that answers first and acts later would
    /// otherwise be as good as one that does not.
    fn promised(&self, operation: &Operation) -> Value {
        let promises = match operation {
            Operation::Stop(..)
            | Operation::Pause(_)
            | Operation::Unpause(_)
            | Operation::Remove(..) => true,
            Operation::Kill(_, signal) => matches!(*signal, "KILL" | "9" | ""),
            _ => false,
        };
        let Some(name) = operation.name().filter(|_| promises) else {
            return Value::Null;
        };
        let path = format!("{API}/containers/{}/json", wire::full_name(&self.tag, name));
        match self.send("GET", &path, None) {
            Ok(response) => {
                let state = &json_of(&response)["State"];
                // With `--rm` it may be gone, and does not run either.
                json!([state["Running"] == true, state["Paused"] == true])
            }
            Err(error) => json!({ NO_ANSWER: format!("{error:#}") }),
        }
    }

    /// Takes note of what an operation has done to the containers.
    fn note(&mut self, operation: &Operation, answer: &Value) {
        let succeeded = answer["status"].as_u64().is_some_and(|status| status < 300);
        if !succeeded {
            return;
        }
        if let Operation::Create(name, creation) = operation {
            let before = format!("{name}#");
            let count = self
                .containers
                .iter()
                .filter(|container| container.known.label.starts_with(&before))
                .count();
            let known = Known {
                label: format!("{name}#{}", count + 1),
                id: answer["body"]["Id"].as_str().unwrap_or_default().to_owned(),
            };
            let name = wire::full_name(&self.tag, *name);
            self.containers.push(Tracked::new(known, *creation, name));
        } else if let Some(target) = self.target(operation) {
            target.noticed(operation);
        }
    }
}

impl Subject for Engine {
    fn begin(&mut self, tag: &str) -> anyhow::Result<()> {
        self.tag = tag.to_owned();
        self.containers.clear();
        self.events = Events::default();
        if let Some(daemon) = &self.daemon
            && self.send("GET", "/_ping", None).is_err()
        {
            daemon.kill()?;
            daemon.launch()?;
        }
        Ok(())
    }

    fn act(&mut self, step: &Step) -> Value {
        let operations = step.operations();
        let mut answers = match step {
            Step::One(operation) => vec![self.answer(operation)],
            Step::Together(operations) => self.together(operations),
            Step::Await(..) => self.awaiting(&operations[0], &operations[1]),
            Step::RestartDaemon(killed) => {
                let restarted = self.restart_daemon(*killed);
                return json!({ "daemon": restarted.err().map(|error| format!("{error:#}")) });
            }
        };
        for (operation, answer) in operations.iter().zip(&mut answers) {
            self.note(operation, answer);
            if answer["status"].as_u64().is_some_and(|status| status < 300) {
                answer["at once"] = self.promised(operation);
            }
        }
        normal::value(&Value::Array(answers), &self.tag, &self.known())
    }

    fn observe(&mut self) -> Value {
        observe::observe(self).unwrap_or_else(|error| {
            let threads = self
                .daemon
                .as_ref()
                .map_or(String::new(), |daemon| daemon.threads());
            json!({ NO_ANSWER: format!("{error:#}{threads}") })
        })
    }

    fn end(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let list = self
                .send("GET", &wire::list_path(&self.tag, None), None)?
                .success()?
                .json()?;
            let ids: Vec<&str> = list
                .as_array()
                .context("the list of containers is no list")?
                .iter()
                .filter_map(|entry| entry["Id"].as_str())
                .collect();
            if ids.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!(
                    "containers of the sequence {} cannot be removed: {}",
                    self.tag,
                    ids.join(" ")
                );
            }
            for id in ids {
                // What is being removed already is refused; the list says when it is gone.
                self.send(
                    "DELETE",
                    &format!("{API}/containers/{id}?force=1&v=1"),
                    None,
                )?;
            }
        }
    }
}

/// A body as JSON; null when it is not.
pub(crate) fn json_of(response: &Response) -> Value {
    response.json().unwrap_or_default()
}
