//! Exec instances: what they are, POST /containers/{id}/exec and GET /exec/{id}/json.
//!
//! They live in memory: an exec is a conversation, and Docker forgets them with its daemon too.

use std::sync::Arc;
use std::time::Duration;

use drydock_api::{Error, request, shape};
use drydock_shim::protocol::{self, RequestBody, VERSION};
use hyper::StatusCode;
use serde_json::{Value, json};

use super::{Container, Status, attach, kill, links, names};
use crate::engine::Engine;
use crate::http::{Answer, Request};

/// Ended instances that are kept for a late `inspect`, in each container.
const KEPT: usize = 128;

/// What a client asked for, and how far it is.
#[derive(Clone, Debug)]
pub struct Instance {
    /// 64 hexadecimal digits.
    pub id: String,
    /// The request's body, with Docker's keys.
    pub config: Value,
    /// How far it is.
    pub state: ExecState,
    /// In the host's PID namespace; 0 before it runs.
    pub pid: i32,
    /// When it was made, to drop the oldest first.
    pub created: u64,
    /// It ends when the client of its streams goes; see [`super::probe`].
    pub ends_with_client: bool,
}

/// How far an exec is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecState {
    /// Not started.
    Created,
    /// Its start is under way.
    Starting,
    /// It runs.
    Running,
    /// It has ended with this code.
    Ended(i32),
}

impl Instance {
    /// Runs, or is about to.
    pub fn is_running(&self) -> bool {
        self.state == ExecState::Running
    }

    /// Has ended.
    pub fn is_ended(&self) -> bool {
        matches!(self.state, ExecState::Ended(_))
    }

    /// Has a terminal.
    pub fn terminal(&self) -> bool {
        self.truth("Tty")
    }

    /// A truth value of the request.
    pub fn truth(&self, key: &str) -> bool {
        self.config
            .get(key)
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    /// A text of the request.
    pub fn text(&self, key: &str) -> &str {
        self.config.get(key).and_then(Value::as_str).unwrap_or("")
    }

    /// A list of texts of the request.
    pub fn list(&self, key: &str) -> Vec<String> {
        let list = self
            .config
            .get(key)
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        list.iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    }

    /// The command in one line, as events show it: the program, a space, and the arguments, if any.
    pub fn command(&self) -> String {
        let words = self.list("Cmd");
        match words.as_slice() {
            [program] => format!("{program} "),
            words => words.join(" "),
        }
    }
}

/// POST /containers/{id}/exec.
///
/// # Errors
/// 400 without a command, 404, 409 when the container does not run.
pub async fn create(engine: &Arc<Engine>, mut request: Request) -> Result<Answer, Error> {
    let mut config = request.json("container.ExecOptions").await?;
    request::string_as_list(&mut config, "Cmd");
    let id = names::random_id().map_err(Error::system)?;
    let instance = Instance {
        id: id.clone(),
        config,
        state: ExecState::Created,
        pid: 0,
        created: drydock_sys::clock::monotonic(),
        ends_with_client: false,
    };
    if instance.list("Cmd").is_empty() {
        return Err(Error::invalid("No exec command specified"));
    }
    let container = engine.containers.find(&request.name)?;
    attach::detach_keys(instance.text("DetachKeys"))?;
    if let Some(bad) = instance
        .list("Env")
        .iter()
        .find(|variable| variable.is_empty() || variable.starts_with('='))
    {
        return Err(Error::invalid(format!(
            "invalid environment variable: {bad}"
        )));
    }
    let record = container.snapshot();
    match record.state.status {
        Status::Running if record.state.paused => {
            return Err(Error::Conflict(format!(
                "Container {} is paused, unpause the container before exec",
                request.name
            )));
        }
        Status::Running => {}
        Status::Restarting => {
            return Err(Error::Conflict(format!(
                "Container {} is restarting, wait until the container is running",
                record.id
            )));
        }
        _ => return Err(kill::not_running(&record.id)),
    }
    check_user(&container, &record, &instance).await?;
    links::linked(engine, &record)?;
    let action = format!("exec_create: {}", instance.command());
    keep(&container, instance);
    engine.events.container(&record, action, &[("execID", &id)]);
    Ok(Answer::json_with(StatusCode::CREATED, &json!({"Id": id})))
}

/// Docker looks for the user when the instance is made. Only the shim can look into the container.
async fn check_user(
    container: &Container,
    record: &super::Record,
    instance: &Instance,
) -> Result<(), Error> {
    let user = instance.text("User");
    if user.is_empty() {
        return Ok(());
    }
    let shim = container.live().shim.clone();
    let shim = shim.ok_or_else(|| kill::not_running(&container.id))?;
    let body = RequestBody::CheckUser {
        user: user.to_owned(),
        groups: record.host().group_add.unwrap_or_default(),
    };
    let answer = shim.ask(body, &[]).await;
    match answer.map_err(|error| error.of(&container.id))? {
        protocol::Answer::Failed(error) => Err(Error::invalid(error.message)),
        _ => Ok(()),
    }
}

/// Makes an instance known; of many ended ones the oldest is forgotten.
pub fn keep(container: &Container, instance: Instance) {
    let mut live = container.live();
    if live.execs.len() >= KEPT {
        let oldest = live
            .execs
            .values()
            .filter(|known| known.is_ended())
            .min_by_key(|known| known.created);
        if let Some(id) = oldest.map(|known| known.id.clone()) {
            live.execs.remove(&id);
        }
    }
    live.execs.insert(instance.id.clone(), instance);
}

/// Finds an instance and its container.
///
/// # Errors
/// Docker's 404.
pub fn find(engine: &Engine, id: &str) -> Result<(Arc<Container>, Instance), Error> {
    let found = engine.containers.all().into_iter().find_map(|container| {
        let instance = container.live().execs.get(id).cloned()?;
        Some((container, instance))
    });
    found.ok_or_else(|| Error::NotFound(format!("No such exec instance: {id}")))
}

/// GET /exec/{id}/json.
///
/// # Errors
/// Docker's 404.
pub async fn inspect(engine: &Arc<Engine>, request: &Request) -> Result<Answer, Error> {
    let (container, instance) = find(engine, &request.name)?;
    let instance = if instance.is_running() {
        settled(&container, instance).await
    } else {
        instance
    };
    let words = instance.list("Cmd");
    let exit_code = match instance.state {
        ExecState::Ended(code) => json!(code),
        _ => Value::Null,
    };
    Ok(Answer::json(&shape::EXEC.with(json!({
        "ID": instance.id,
        "Running": instance.is_running(),
        "ExitCode": exit_code,
        "ProcessConfig": {
            "tty": instance.terminal(),
            "entrypoint": words.first(),
            "arguments": words.get(1..),
            "privileged": instance.truth("Privileged"),
            "user": instance.text("User"),
        },
        "OpenStdin": instance.truth("AttachStdin"),
        "OpenStderr": instance.truth("AttachStderr"),
        "OpenStdout": instance.truth("AttachStdout"),
        "ContainerID": container.id,
        "DetachKeys": instance.text("DetachKeys"),
        "Pid": instance.pid,
    }))))
}

/// A running instance, or an ended one if its end is under way to us. A client asks for the exit code as soon
/// as the streams have ended, which it hears from the shim and not from us, so it may be faster than the
/// shim's event. What the shim knows before it answers a question, it has said before the answer.
async fn settled(container: &Container, instance: Instance) -> Instance {
    let mut ends = container.exec_ends();
    let now = || container.live().execs.get(&instance.id).cloned();
    let shim = container.live().shim.clone();
    let Some(shim) = shim else {
        return now().unwrap_or(instance);
    };
    let answer = shim.ask(RequestBody::Hello { version: VERSION }, &[]).await;
    if let Ok(protocol::Answer::State { exec_ids, .. }) = answer
        && !exec_ids.contains(&instance.id)
    {
        let ended = async {
            while now().is_some_and(|instance| !instance.is_ended()) && ends.changed().await.is_ok()
            {
            }
        };
        // Its event is in our queue; a second is for ever. Without it the old state stands.
        let _ = tokio::time::timeout(Duration::from_secs(1), ended).await;
    }
    now().unwrap_or(instance)
}

/// The shim says that one has ended.
pub fn ended(engine: &Engine, container: &Container, id: &str, exit_code: i32) {
    if let Some(instance) = container.live().execs.get_mut(id) {
        instance.state = ExecState::Ended(exit_code);
    }
    container.notify_exec_end();
    engine.events.container(
        &container.snapshot(),
        "exec_die",
        &[("execID", id), ("exitCode", &exit_code.to_string())],
    );
}

/// PID 1 has ended, and with its namespace every other process.
pub fn all_ended(container: &Container) {
    for instance in container.live().execs.values_mut() {
        if !instance.is_ended() {
            instance.state = ExecState::Ended(137);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_written_as_docker_writes_it() {
        let command = |words: &[&str]| {
            let instance = Instance {
                id: String::new(),
                config: json!({ "Cmd": words }),
                state: ExecState::Created,
                pid: 0,
                created: 0,
                ends_with_client: false,
            };
            instance.command()
        };
        assert_eq!(command(&["sh", "-c", "exit 3"]), "sh -c exit 3");
        assert_eq!(command(&["true"]), "true ");
    }
}
