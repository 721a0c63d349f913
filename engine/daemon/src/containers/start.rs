//! POST /containers/{id}/start, and every other start (restart, restart policy, the daemon's own).
//!
//! The way of a start: the intent goes to disk; the network sandbox is made on the network thread while the
//! files and the spec are prepared and a shim is forked here; one frame with all descriptors goes to the
//! shim; its answer is published. Each step leaves a stamp, and the shim's stamps are joined to ours.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use drydock_api::Error;
use drydock_defects::defect;
use drydock_runtime::spec::{StartError, StartErrorKind};
use drydock_shim::protocol::{self, Answer, RequestBody, Stamp};
use hyper::header::{HeaderName, HeaderValue};
use serde_json::json;
use tokio::sync::mpsc;

use super::container::{Waiting, blocking};
use super::record::EndpointRecord;
use super::shim_link::{Event, ShimLink};
use super::spec::{CREATE_FAILED, Prepared};
use super::{Container, Record, Status, exit, join, links, prepare, probe, remove};
use crate::engine::Engine;
use crate::http::{Answer as HttpAnswer, Request};

/// The way of a start, as stamps of CLOCK_MONOTONIC.
#[derive(Default)]
pub struct Trace(Vec<Stamp>);

impl Trace {
    /// Something was done just now.
    pub fn stamp(&mut self, step: &str) {
        self.0.push(Stamp {
            step: format!("daemon: {step}"),
            at: drydock_sys::clock::monotonic(),
        });
    }

    fn join(&mut self, stamps: Vec<Stamp>) {
        self.0.extend(stamps);
        self.0.sort_by_key(|stamp| stamp.at);
    }
}

/// POST /containers/{id}/start.
///
/// # Errors
/// 304 when it runs, 400 for a body or a program that cannot be executed, 404 for an unknown container.
pub async fn handle(engine: &Arc<Engine>, mut request: Request) -> Result<HttpAnswer, Error> {
    let mut trace = Trace::default();
    trace.stamp("start request read");
    if request.has_body() && request.bytes().await?.len() > 7 {
        return Err(Error::invalid(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
        ));
    }
    let container = engine.containers.find(&request.name)?;
    {
        let _changing = container.lifecycle.lock().await;
        if !matches!(container.snapshot().state.status, Status::Running) {
            container.live().forget_restarts();
            container.publish(|record| {
                record.manually_stopped = false;
                record.restart_count = 0;
            });
        }
        start(engine, &container, &mut trace).await?;
    }
    trace.stamp("start answered");
    let mut answer = HttpAnswer::done();
    if request.wants_trace()
        && let HttpAnswer::Response(response) = &mut answer
        && let Ok(value) = HeaderValue::from_str(&json!(trace.0).to_string())
    {
        response
            .headers_mut()
            .insert(HeaderName::from_static("drydock-trace"), value);
    }
    Ok(answer)
}

/// Starts a container. The caller holds its lifecycle lock.
///
/// # Errors
/// As [`handle`]; the reason is in the record then, and nothing of the start is left.
pub async fn start(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    trace: &mut Trace,
) -> Result<(), Error> {
    let before = container.snapshot();
    match before.state.status {
        Status::Running if before.state.paused => {
            return Err(Error::Conflict(
                "cannot start a paused container, try unpause instead".to_owned(),
            ));
        }
        Status::Running | Status::Starting => return Err(Error::NotModified),
        Status::Removing | Status::Dead => {
            return Err(Error::Conflict(
                "container is marked for removal and cannot be started".to_owned(),
            ));
        }
        Status::Created | Status::Exited | Status::Restarting => {}
    }
    let result = attempt(engine, container, trace).await;
    if let Err(failure) = result {
        fail(engine, container, &before, &failure).await;
        return Err(failure.error);
    }
    Ok(())
}

/// Why a start failed, and the exit code that the record keeps.
struct Failure {
    error: Error,
    exit_code: i32,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure {
            error,
            exit_code: 128,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Error::system(error).into()
    }
}

/// Docker's status, text and code for a program that did not start.
fn refused(error: &StartError) -> Failure {
    let text = error.message.as_str();
    if let Some(text) = user_error(text) {
        return Error::system(text).into();
    }
    // Before the runtime is asked, too.
    if text.starts_with(LOG_FAILED) {
        return Error::system(text).into();
    }
    let why = text.strip_prefix(SHIM_FAILED).unwrap_or(text);
    let text = format!(
        "{CREATE_FAILED}unable to start container process: error during container init: {why}"
    );
    let exit_code = match error.kind {
        StartErrorKind::NotFound => 127,
        StartErrorKind::NotExecutable => 126,
        StartErrorKind::Other if MISSING.iter().any(|words| why.contains(words)) => 127,
        StartErrorKind::Other => return Error::system(text).into(),
    };
    let swapped = defect!("codes-126-and-127-swapped");
    Failure {
        error: Error::invalid(text),
        exit_code: if swapped {
            126 + 127 - exit_code
        } else {
            exit_code
        },
    }
}

/// Failures of the user's settings that Docker counts as "not found", like a missing program.
const MISSING: [&str; 2] = [
    "Are you trying to mount a directory onto a file",
    "open sysctl ",
];

/// What the text about a log that cannot be opened begins with.
const LOG_FAILED: &str =
    "failed to create task for container: failed to initialize logging driver: ";

/// What the shim's own texts begin with.
const SHIM_FAILED: &str = "failed to create task for container: unable to start container process: error during container init: ";

/// The part of a text about a user or group that does not exist. Docker looks for those before it asks the
/// runtime, so its text has nothing before it.
pub fn user_error(text: &str) -> Option<&str> {
    const BEGINNINGS: [&str; 3] = [
        "unable to find user ",
        "unable to find group ",
        "uids and gids must be in range",
    ];
    BEGINNINGS
        .iter()
        .find_map(|words| text.find(words))
        .and_then(|at| text.get(at..))
}

async fn attempt(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    trace: &mut Trace,
) -> Result<(), Failure> {
    container.wait_torn_down().await?;
    // Of a run whose end a former daemon did not see; this run must not be taken for it.
    exit::forget_record(container)?;
    let before = container.snapshot();
    let mut joined = join::open(engine, &before, &before.host()).await?;
    let shared = joined.network.take();
    let endpoint = endpoint(engine, &before)?;
    let record = container.publish(|record| {
        record.state.status = Status::Starting;
        record.state.paused = false;
        record.state.held = false;
        record.endpoint = endpoint;
        if let Some((other, _)) = &shared {
            record.take_names(&other.snapshot());
        }
    });
    container.save()?;
    trace.stamp("intent written");
    let (files, shared) = match shared {
        Some((other, namespace)) => (other, Some(namespace)),
        None => (Arc::clone(container), None),
    };
    let network = async {
        if record.network_mode() == "host" {
            return Ok(None);
        }
        if let Some(namespace) = shared {
            return Ok(Some((namespace, drydock_sys::clock::monotonic())));
        }
        let made = engine
            .network
            .sandbox(&record.id, record.endpoint.as_ref())
            .await;
        made.map(|namespace| Some((namespace, drydock_sys::clock::monotonic())))
    };
    let local = async {
        let prepared = blocking(|| prepare::run(engine, container, &record, &files))?;
        // Whatever can be wrong with the settings is found by now: a shim that is asked for and gets no start waits for
        // one as long as the connection lives.
        let shim = blocking(|| engine.shim())?;
        Ok::<_, Failure>((prepared, shim, drydock_sys::clock::monotonic()))
    };
    let (network, local) = tokio::join!(network, local);
    let (prepared, shim, prepared_at) = local?;
    trace.0.push(Stamp {
        step: "daemon: files and spec prepared, shim asked for".to_owned(),
        at: prepared_at,
    });
    let namespace = network.map_err(|error| {
        Failure::from(Error::system(format!(
            "failed to set up container networking: {error}"
        )))
    })?;
    if let Some((_, at)) = &namespace {
        trace.0.push(Stamp {
            step: "daemon: network sandbox made".to_owned(),
            at: *at,
        });
    }
    let (link, events) = ShimLink::new(shim, &engine.open_links)?;
    let (started, stamps) = send(
        engine,
        container,
        &link,
        prepared,
        namespace
            .map(|(namespace, _)| namespace)
            .into_iter()
            .chain(joined.pid)
            .chain(joined.ipc.into_iter().flatten()),
    )
    .await?;
    trace.join(stamps);
    trace.stamp("shim answered");
    publish_running(engine, container, link, events, started)?;
    trace.stamp("running published");
    Ok(())
}

/// The endpoint for a container on the default bridge.
fn endpoint(engine: &Engine, record: &Record) -> Result<Option<EndpointRecord>, Error> {
    match record.network_mode() {
        "bridge" => engine.network.lease().map(Some).map_err(|error| {
            Error::system(format!("failed to set up container networking: {error}"))
        }),
        "host" | "none" => Ok(None),
        other if join::named(other).is_some() => Ok(None),
        other => Err(Error::NotFound(format!(
            "failed to set up container networking: network {other} not found"
        ))),
    }
}

/// What the shim says of PID 1; fields as in [`Answer::Started`].
struct Started {
    pid: i32,
    started_at: u64,
}

/// Sends the frame and waits for PID 1. Clients that attached before go along.
async fn send(
    engine: &Engine,
    container: &Container,
    link: &ShimLink,
    (prepared, log): (Prepared, Option<prepare::Log>),
    namespaces: impl Iterator<Item = OwnedFd>,
) -> Result<(Started, Vec<Stamp>), Failure> {
    let record = container.snapshot();
    let (log, folder) = log.unzip();
    let mut files: Vec<OwnedFd> = namespaces
        .chain(prepared.binds)
        .chain(folder.flatten())
        .collect();
    let waiting = std::mem::take(&mut container.live().waiting);
    let room = protocol::MAX_DESCRIPTORS.saturating_sub(files.len());
    if waiting.len() > room {
        link.hang_up();
        return Err(Error::invalid("too many mounts and attached clients for one start").into());
    }
    let mut attach = Vec::new();
    for Waiting {
        socket,
        attach: wish,
    } in waiting
    {
        files.push(socket);
        attach.push(wish);
    }
    let start = protocol::Start {
        spec: prepared.spec,
        open_stdin: record.config_truth("OpenStdin"),
        stdin_once: record.config_truth("StdinOnce"),
        log,
        exit_record: container.exit_record(),
        durable: !record.auto_remove(),
        socket: engine.shim_socket(&record.id),
        attach,
    };
    match link
        .ask(RequestBody::Start(Box::new(start)), &files)
        .await
        .map_err(Error::from)?
    {
        Answer::Started {
            pid,
            started_at,
            trace,
            ..
        } => Ok((Started { pid, started_at }, trace)),
        Answer::Failed(error) => Err(refused(&error)),
        Answer::Error { message } => Err(Error::system(message).into()),
        other => Err(Error::system(format!("unexpected answer of the shim: {other:?}")).into()),
    }
}

fn publish_running(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    link: Arc<ShimLink>,
    events: mpsc::UnboundedReceiver<Event>,
    started: Started,
) -> Result<(), Failure> {
    let boot_id = crate::engine::pid_file::boot_id()?;
    {
        let mut live = container.live();
        live.shim = Some(link);
        live.exit_on_next = false;
    }
    let record = container.publish(|record| {
        let state = &mut record.state;
        state.status = Status::Running;
        state.pid = started.pid;
        state.exit_code = 0;
        state.error.clear();
        state.oom_killed = false;
        state.started_at = started.started_at;
        state.boot_id = boot_id;
        probe::begin(record);
    });
    if let Err(error) = container.save() {
        // It runs; the record on disk still says `starting`, and the next daemon asks the shim.
        tracing::error!("{error}");
    }
    connected(engine, &record);
    engine.events.container(&record, "start", &[]);
    blocking(|| links::refresh(engine, &record));
    probe::watch(engine, container);
    container.set_torn_down(false);
    tokio::spawn(exit::watch(
        Arc::clone(engine),
        Arc::clone(container),
        events,
    ));
    Ok(())
}

fn connected(engine: &Engine, record: &Record) {
    if join::named(record.network_mode()).is_some() {
        return;
    }
    let (id, kind) = network_of(engine, record);
    engine.events.publish(
        "network",
        "connect",
        id,
        &[
            ("container", &record.id),
            ("name", record.network_mode()),
            ("type", kind),
        ],
    );
}

/// The id and the driver of a container's network.
pub fn network_of<'a>(engine: &'a Engine, record: &Record) -> (&'a str, &'static str) {
    match record.network_mode() {
        "host" => (&engine.identity.host_id, "host"),
        "none" => (&engine.identity.none_id, "null"),
        _ => (&engine.identity.bridge_id, "bridge"),
    }
}

/// Undoes a failed start: the record says why, the address and the waiting clients go, and with `--rm` the
/// container.
async fn fail(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    before: &Record,
    failure: &Failure,
) {
    if let Some(endpoint) = &container.snapshot().endpoint {
        engine.network.release(endpoint.address);
    }
    container.live().waiting.clear();
    let status = if before.state.started_at == 0 {
        Status::Created
    } else {
        Status::Exited
    };
    let record = container.publish(|record| {
        record.endpoint = None;
        record.state.status = status;
        record.state.pid = 0;
        record.state.exit_code = failure.exit_code;
        record.state.error = failure.error.to_string();
    });
    if let Err(error) = container.save() {
        tracing::error!("{error}");
    }
    exit::disconnected(engine, &record);
    if record.auto_remove()
        && let Err(error) = remove::discard(engine, container).await
    {
        tracing::error!("remove container {}: {error}", record.name);
    }
}
