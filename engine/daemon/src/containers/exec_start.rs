//! POST /exec/{id}/start: runs the program, detached or with the client's socket as its streams.

use std::future::Future;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::Arc;

use drydock_api::{Error, framing};
use drydock_defects::defect;
use drydock_runtime::spec::{Process, StartError, StartErrorKind};
use drydock_shim::protocol::{self, Attach, RequestBody};
use hyper::StatusCode;
use serde_json::Value;

use super::exec::{self, ExecState, Instance};
use super::{Container, attach, kill, links, security, spec, start};
use crate::engine::Engine;
use crate::http::{Answer, Hijack, Request};

/// POST /exec/{id}/start.
///
/// # Errors
/// 404, 409 when it has run or the container does not; 400 when a detached program cannot be executed. With
/// streams, that comes on them, since the answer has begun by then.
pub async fn handle(engine: &Arc<Engine>, mut request: Request) -> Result<Answer, Error> {
    let body = request.optional_json("container.ExecStartOptions").await?;
    let (container, instance) = exec::find(engine, &request.name)?;
    if container.live().shim.is_none() {
        return Err(kill::not_running(&container.id));
    }
    let detached = body.get("Detach").and_then(Value::as_bool).unwrap_or(false);
    if detached {
        claim(&container, &instance)?;
        run(engine, &container, &instance, &body, None).await?;
        return Ok(Answer::status(StatusCode::OK));
    }
    let head = head(&request, instance.terminal());
    let engine = Arc::clone(engine);
    let then =
        move |socket: OwnedFd, received: Vec<u8>| -> Pin<Box<dyn Future<Output = ()> + Send>> {
            Box::pin(async move {
                run_attached(&engine, &container, &instance, &body, socket, received).await
            })
        };
    Ok(Answer::Hijack(Hijack {
        head,
        then: Box::new(then),
    }))
}

fn head(request: &Request, terminal: bool) -> Vec<u8> {
    let server = concat!(
        "Api-Version: 1.51\r\nDocker-Experimental: false\r\nOstype: linux\r\nServer: Drydock/",
        env!("CARGO_PKG_VERSION"),
        " (linux)\r\n\r\n"
    );
    let text = if request.wants_upgrade() {
        let content_type = framing::content_type(terminal, request.version);
        format!(
            "HTTP/1.1 101 UPGRADED\r\nContent-Type: {content_type}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n{server}"
        )
    } else {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {}\r\n{server}",
            framing::RAW
        )
    };
    text.into_bytes()
}

/// An instance runs once.
fn claim(container: &Container, instance: &Instance) -> Result<(), Error> {
    let mut live = container.live();
    if live.shim.is_none() {
        return Err(kill::not_running(&container.id));
    }
    match live.execs.get_mut(&instance.id) {
        Some(known) if known.state == ExecState::Created => {
            known.state = ExecState::Starting;
            Ok(())
        }
        Some(known) if known.is_running() => Err(Error::Conflict(format!(
            "exec command {} is already running",
            instance.id
        ))),
        _ => Err(Error::Conflict(format!(
            "exec command {} has already run",
            instance.id
        ))),
    }
}

async fn run_attached(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    instance: &Instance,
    body: &Value,
    socket: OwnedFd,
    received: Vec<u8>,
) {
    // Kept for the one thing we have to say ourselves: that it could not be started, also when it has run
    // before. Docker says that on the stream too.
    let copy = socket.try_clone();
    let outcome = match claim(container, instance) {
        Ok(()) => run(engine, container, instance, body, Some((socket, received))).await,
        Err(error) => Err(error),
    };
    let Err(error) = outcome else { return };
    let line = format!("{error}\r\n");
    let mut output = Vec::new();
    if instance.terminal() {
        output.extend_from_slice(line.as_bytes());
    } else {
        framing::append(&mut output, framing::STDOUT, line.as_bytes());
    }
    // A client that went does not want it.
    let _ = copy
        .map(UnixStream::from)
        .and_then(|mut stream| stream.write_all(&output));
}

/// Runs an instance that is claimed, with a client at its streams where one is given.
///
/// # Errors
/// 400 when the program cannot be executed, 409 when the container does not run, 500 when the shim says so.
pub async fn run(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    instance: &Instance,
    body: &Value,
    client: Option<(OwnedFd, Vec<u8>)>,
) -> Result<(), Error> {
    let started = ask(engine, container, instance, body, client).await;
    let mut live = container.live();
    let known = live.execs.get_mut(&instance.id);
    match (started, known) {
        (Ok(pid), Some(known)) => {
            known.pid = pid;
            // Its end may have been told already.
            if known.state == ExecState::Starting {
                known.state = ExecState::Running;
            }
            Ok(())
        }
        (Ok(_), None) => Ok(()),
        (Err((error, code)), known) => {
            if let Some(known) = known {
                known.state = ExecState::Ended(code);
            }
            Err(error)
        }
    }
}

/// Asks the shim; the error comes with the exit code that `inspect` shows.
async fn ask(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    instance: &Instance,
    body: &Value,
    client: Option<(OwnedFd, Vec<u8>)>,
) -> Result<i32, (Error, i32)> {
    let shim = container
        .live()
        .shim
        .clone()
        .ok_or_else(|| (kill::not_running(&container.id), 126))?;
    let process = process(engine, container, instance, body).map_err(|error| (error, 126))?;
    let record = container.snapshot();
    engine.events.container(
        &record,
        format!("exec_start: {}", instance.command()),
        &[("execID", &instance.id)],
    );
    let mut files = Vec::new();
    let attach = client.map(|(socket, received)| {
        files.push(socket);
        Attach {
            stdin: instance.truth("AttachStdin"),
            stdout: instance.truth("AttachStdout"),
            stderr: instance.truth("AttachStderr"),
            detach_keys: attach::detach_keys(instance.text("DetachKeys")).unwrap_or_default(),
            received,
        }
    });
    let request = protocol::Exec {
        exec_id: instance.id.clone(),
        process,
        attach,
        ends_with_client: instance.ends_with_client,
    };
    match shim.ask(RequestBody::Exec(Box::new(request)), &files).await {
        Ok(protocol::Answer::ExecStarted { pid }) => Ok(pid),
        Ok(protocol::Answer::Failed(error)) => Err(refused(&error)),
        Ok(protocol::Answer::Error { message }) => Err((Error::system(message), 126)),
        Ok(other) => Err((
            Error::system(format!("unexpected answer of the shim: {other:?}")),
            126,
        )),
        Err(error) => Err((error.of(&container.id), 126)),
    }
}

fn refused(error: &StartError) -> (Error, i32) {
    let text = error.message.as_str();
    match error.kind {
        StartErrorKind::NotFound => (Error::invalid(text), 127),
        StartErrorKind::NotExecutable => (Error::invalid(text), 126),
        // runc looks at this one before it has a process.
        StartErrorKind::Other if text.ends_with("Cwd must be an absolute path") => {
            (Error::invalid(text), 128)
        }
        // Docker finds an unknown user before it asks the runtime.
        StartErrorKind::Other => (Error::invalid(start::user_error(text).unwrap_or(text)), 126),
    }
}

/// The process: as the container's own, with what the request says.
fn process(
    engine: &Engine,
    container: &Container,
    instance: &Instance,
    body: &Value,
) -> Result<Process, Error> {
    let record = container.snapshot();
    let host = record.host();
    let terminal = instance.terminal();
    let linked = links::linked(engine, &record)?;
    let linked = links::environment(&record.name, &linked);
    let mut env = spec::environment(&record, terminal, &linked);
    if !defect!("exec-environment-ignored") {
        spec::replace(&mut env, instance.list("Env"));
    }
    let or = |given: &str, own: &str, ignored: bool| {
        if given.is_empty() || ignored {
            own.to_owned()
        } else {
            given.to_owned()
        }
    };
    let security = security::read(host.security_opt.as_deref().unwrap_or_default())?;
    let privileged = host.privileged == Some(true) || instance.truth("Privileged");
    let mut caps = host.clone();
    caps.privileged = Some(privileged);
    let capabilities = spec::capabilities(&caps)?;
    Ok(Process {
        args: instance.list("Cmd"),
        env,
        cwd: or(
            instance.text("WorkingDir"),
            record.config_text("WorkingDir"),
            defect!("exec-directory-ignored"),
        ),
        user: or(
            instance.text("User"),
            record.config_text("User"),
            defect!("exec-user-ignored"),
        ),
        additional_groups: host.group_add.clone().unwrap_or_default(),
        capabilities,
        ambient: false,
        no_new_privileges: security.no_new_privileges,
        seccomp: spec::filter(&security.seccomp, capabilities, privileged)?,
        rlimits: spec::limits(&host),
        oom_score_adj: host
            .oom_score_adj
            .and_then(|score| i32::try_from(score).ok())
            .filter(|score| *score != 0),
        terminal,
        console_size: console_size(body).or_else(|| console_size(&instance.config)),
    })
}

fn console_size(value: &Value) -> Option<(u16, u16)> {
    let size = |index: usize| {
        let number = value.get("ConsoleSize")?.get(index)?.as_u64()?;
        u16::try_from(number).ok().filter(|number| *number > 0)
    };
    size(0).zip(size(1))
}
