//! Namespaces that a container shares with another: `--network`, `--pid` and `--ipc container:NAME`.
//!
//! The name becomes an id when the container is made, so a later one of the same name is not joined by mistake. At the
//! start the other's namespaces are opened by the number of its PID 1, and then its shim is asked whether that process
//! is still there: a number that had passed to another process is found out, for the shim is the one who reaps it.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use drydock_api::Error;
use drydock_api::models::HostConfig;
use drydock_shim::protocol::{Answer, RequestBody, VERSION};
use serde_json::{Value, json};

use super::{Container, Record, Status, pause};
use crate::engine::Engine;

/// What is shared, opened.
#[derive(Default)]
pub struct Joined {
    /// Whose network, with its namespace.
    pub network: Option<(Arc<Container>, OwnedFd)>,
    /// The PID namespace.
    pub pid: Option<OwnedFd>,
    /// The IPC namespace, and the mount namespace in which its /dev/shm is.
    pub ipc: Option<[OwnedFd; 2]>,
}

/// The container that a mode names, as the user named it.
pub fn named(mode: &str) -> Option<&str> {
    mode.strip_prefix("container:")
}

/// Names become ids, for what is there. A network of a container that is not there yet is allowed, as in Docker.
pub fn resolve_names(engine: &Engine, host_config: &mut Value) {
    for key in ["NetworkMode", "PidMode", "IpcMode"] {
        let mode = host_config.get(key).and_then(Value::as_str).unwrap_or("");
        let found = named(mode).map(|name| engine.containers.find(name));
        if let Some(Ok(container)) = found {
            host_config[key] = json!(format!("container:{}", container.id));
        }
    }
}

/// Whose network a container shares, if it is there.
pub fn network_owner(engine: &Engine, record: &Record) -> Option<Arc<Container>> {
    engine.containers.find(named(record.network_mode())?).ok()
}

/// Whether a running container shares the network of this one.
pub fn network_is_shared(engine: &Engine, id: &str) -> bool {
    engine.containers.unordered().iter().any(|other| {
        let record = other.snapshot();
        record.state.status == Status::Running && named(record.network_mode()) == Some(id)
    })
}

/// Whether a mode is the host's namespace, itself or through the containers that share it. `mode_of` is the mode of the
/// same kind of another container.
pub fn is_hosts(
    engine: &Engine,
    mode: Option<&str>,
    mode_of: fn(&HostConfig) -> Option<&String>,
) -> bool {
    // Longer than any chain that can start: each of it runs before the next.
    const LONGEST: usize = 64;
    let mut mode = mode.unwrap_or_default().to_owned();
    for _ in 0..LONGEST {
        let Some(other) = named(&mode).and_then(|name| engine.containers.find(name).ok()) else {
            return mode == "host";
        };
        let host = other.snapshot().host();
        mode = mode_of(&host).cloned().unwrap_or_default();
    }
    true
}

/// Opens what the container shares.
///
/// # Errors
/// Docker's statuses and texts where the other is not there, does not run, or does not share.
pub async fn open(engine: &Engine, record: &Record, host: &HostConfig) -> Result<Joined, Error> {
    let mode = |mode: &Option<String>| {
        let mode = mode.as_deref().unwrap_or_default();
        named(mode).map(str::to_owned)
    };
    let mut joined = Joined::default();
    if let Some(name) = named(record.network_mode()) {
        let other = network_of(engine, record, name)?;
        let [namespace] = namespaces(&other, ["net"]).await?;
        joined.network = Some((other, namespace));
    }
    if let Some(name) = mode(&host.ipc_mode) {
        let failed = |error: Error| {
            Error::from_status(
                if error.status() == 404 {
                    400
                } else {
                    error.status()
                },
                format!("failed to join IPC namespace: {error}"),
            )
        };
        let other = running(engine, &name).map_err(failed)?;
        shares_memory(engine, &other).map_err(failed)?;
        joined.ipc = Some(namespaces(&other, ["ipc", "mnt"]).await.map_err(failed)?);
    }
    if let Some(name) = mode(&host.pid_mode) {
        let failed = |error: Error| Error::system(format!("failed to join PID namespace: {error}"));
        let other = running(engine, &name).map_err(failed)?;
        let [namespace] = namespaces(&other, ["pid"]).await.map_err(failed)?;
        joined.pid = Some(namespace);
    }
    Ok(joined)
}

fn network_of(engine: &Engine, record: &Record, name: &str) -> Result<Arc<Container>, Error> {
    let other = engine.containers.find(name).map_err(|error| {
        Error::system(format!("joining network namespace of container: {error}"))
    })?;
    if other.id == record.id {
        return Err(Error::system("cannot join own network namespace"));
    }
    let state = other.snapshot();
    match state.state.status {
        Status::Running => Ok(other),
        Status::Restarting => Err(pause::restarting(name)),
        _ => Err(Error::Conflict(format!(
            "cannot join network namespace of a non running container: container {} is {}",
            state.name,
            state.status_word()
        ))),
    }
}

fn running(engine: &Engine, name: &str) -> Result<Arc<Container>, Error> {
    if name.is_empty() {
        return Err(invalid_name());
    }
    let other = engine.containers.find(name)?;
    match other.snapshot().state.status {
        Status::Running => Ok(other),
        Status::Restarting => Err(pause::restarting(&other.id)),
        _ => Err(not_running(&other.id)),
    }
}

/// Docker's text for an empty name.
pub fn invalid_name() -> Error {
    Error::invalid("invalid name or ID supplied: \"\"")
}

fn not_running(id: &str) -> Error {
    Error::Conflict(format!("container {id} is not running"))
}

/// A container keeps its shared memory to itself unless it was made to share it; what it shares itself it passes on as
/// long as the one is there whose it is.
fn shares_memory(engine: &Engine, container: &Container) -> Result<(), Error> {
    let host = container.snapshot().host();
    let mode = host.ipc_mode.as_deref().unwrap_or_default();
    let passes_on = |id| {
        let owner = engine.containers.by_id(id);
        owner.is_some_and(|owner| shares_memory(engine, &owner).is_ok())
    };
    if matches!(mode, "shareable" | "host") || named(mode).is_some_and(passes_on) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "container {}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)",
        container.id
    )))
}

/// Opens namespaces of a running container's PID 1.
async fn namespaces<const N: usize>(
    container: &Container,
    kinds: [&str; N],
) -> Result<[OwnedFd; N], Error> {
    let gone = || not_running(&container.id);
    let pid = container.snapshot().state.pid;
    let shim = container.live().shim.clone().ok_or_else(gone)?;
    let mut opened = Vec::with_capacity(N);
    for kind in kinds {
        let path = format!("/proc/{pid}/ns/{kind}");
        opened.push(OwnedFd::from(File::open(path).map_err(|_| gone())?));
    }
    match shim
        .ask(RequestBody::Hello { version: VERSION }, &[])
        .await?
    {
        Answer::State {
            pid: now,
            exit: None,
            ..
        } if now == pid => opened.try_into().map_err(|_| gone()),
        _ => Err(gone()),
    }
}
