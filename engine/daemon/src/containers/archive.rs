//! GET, HEAD and PUT /containers/{id}/archive and GET /containers/{id}/export: files out of a container and in.
//!
//! Each request is done by a process of its own ([`super::copier`]). Archives stream: nothing is kept, and a client
//! that goes away ends the work.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use drydock_api::Error;
use drydock_image::tree::path;
use drydock_image::tree::protocol::{self, MountPoint, Operation, Root};
use drydock_image::tree::stat::Stat;
use drydock_runtime::spec::Mount;
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::sync::OwnedMutexGuard;

use super::container::blocking;
use super::copier::Copier;
use super::mounts::{self, Wanted};
use super::{Container, Record, Status, spec};
use crate::engine::Engine;
use crate::http::{Answer, Request};

/// How much of an archive is still received behind what is wrong in it, bytes: most clients read the answer only
/// when they have sent all.
const PASSED_OVER: usize = 256 << 20;

/// How long a copy waits for a run that is just ending.
const PATIENCE: Duration = Duration::from_secs(10);

/// The header with what is at a path.
const STAT: HeaderName = HeaderName::from_static("x-docker-container-path-stat");

/// GET and HEAD /containers/{id}/archive.
///
/// # Errors
/// 400 without a path, 404 for the container and the path, 500 for a path that passes through a file.
pub async fn read(engine: &Arc<Engine>, request: &Request) -> Result<Answer, Error> {
    let place = required_path(request)?;
    let container = engine.containers.find(&request.name)?;
    let only_stat = request.method == hyper::Method::HEAD;
    let operation = match only_stat {
        // As it was given: whoever only looks, follows a link before a `..`, as the kernel does.
        true => Operation::Stat {
            path: request.query.get("path").to_owned(),
        },
        false => Operation::Read { path: place },
    };
    let (mut copier, _) = look(engine, &container, operation, true).await?;
    let stat = copier.reply(&missing(request)).await?;
    let stat = stat.ok_or_else(|| Error::system("the copier did not say what it found"))?;
    let mut answer = match only_stat {
        true => Answer::status(StatusCode::OK),
        false => {
            let record = container.snapshot();
            engine.events.container(&record, "archive-path", &[]);
            Answer::archive("application/x-tar", copier.archive())
        }
    };
    if let Answer::Response(response) = &mut answer {
        response.headers_mut().insert(STAT, header(&stat)?);
    }
    Ok(answer)
}

/// GET /containers/{id}/export.
///
/// # Errors
/// 404, and 409 for a container that is being removed.
pub async fn export(engine: &Arc<Engine>, request: &Request) -> Result<Answer, Error> {
    let container = engine.containers.find(&request.name)?;
    let refused = |what: &str| {
        let id = &container.id;
        Err(Error::Conflict(format!(
            "You cannot export container {id} which is {what}"
        )))
    };
    match container.snapshot().state.status {
        Status::Dead => return refused("Dead"),
        Status::Removing => return refused("being removed"),
        _ => {}
    }
    let (mut copier, record) = look(engine, &container, Operation::Export, false).await?;
    copier.reply(&missing(request)).await?;
    engine.events.container(&record, "export", &[]);
    Ok(Answer::archive(
        "application/octet-stream",
        copier.archive(),
    ))
}

/// PUT /containers/{id}/archive.
///
/// # Errors
/// 400 for a target that is no directory or not to be written to, 404 for the container and the target, 500 for a
/// bad archive. What was unpacked before it went wrong stays, as in Docker.
pub async fn write(engine: &Arc<Engine>, mut request: Request) -> Result<Answer, Error> {
    let mut body = request.body.take();
    let result = unpack(engine, &request, &mut body).await;
    if let (Err(_), Some(body)) = (&result, &mut body) {
        pass_over(body).await;
    }
    result.map(|()| Answer::status(StatusCode::OK))
}

async fn unpack(
    engine: &Arc<Engine>,
    request: &Request,
    body: &mut Option<Incoming>,
) -> Result<(), Error> {
    let place = required_path(request)?;
    let container = engine.containers.find(&request.name)?;
    let record = container.snapshot();
    let user = record.config_text("User");
    let wants_owner = request.query.boolean("copyUIDGID") && !user.is_empty();
    let operation = Operation::Write {
        path: place,
        keep_kinds: request.query.boolean("noOverwriteDirNonDir"),
        owner: wants_owner.then(|| user.to_owned()),
    };
    // Held for a container that does not run: two overlays over one writable layer must not both write.
    let changing = Arc::clone(&container.lifecycle).lock_owned().await;
    let (mut copier, changing) = change(engine, &container, operation, changing).await?;
    if let Some(body) = body {
        forward(&mut copier, body).await?;
    }
    // That it has ended already is said by its reply.
    let _ = copier.stream().shutdown().await;
    copier.reply(&missing(request)).await?;
    drop(changing);
    let record = container.snapshot();
    engine.events.container(&record, "extract-to-dir", &[]);
    Ok(())
}

fn required_path(request: &Request) -> Result<String, Error> {
    match request.query.get("path") {
        "" => Err(Error::invalid("bad parameter: pathcannot be empty")),
        given => {
            let place = path::inside(given);
            if place.contains('\0') {
                let text = format!("lstat {place}: invalid argument");
                return Err(Error::system(text));
            }
            Ok(place)
        }
    }
}

/// Docker's 404 for a path.
fn missing(request: &Request) -> Error {
    Error::NotFound(format!(
        "Could not find the file {} in container {}",
        request.query.get("path"),
        request.name
    ))
}

/// The header's value: a JSON document in base64.
fn header(stat: &Stat) -> Result<HeaderValue, Error> {
    let (seconds, nanoseconds) = stat.modified;
    let moment = u64::try_from(seconds).unwrap_or(0) * 1_000_000_000 + u64::from(nanoseconds);
    let modified = match moment {
        // `rfc3339` takes 0 for "never".
        0 => "1970-01-01T00:00:00Z".to_owned(),
        moment => drydock_api::time::rfc3339(moment),
    };
    let document = json!({
        "name": stat.name, "size": stat.size, "mode": stat.mode, "mtime": modified, "linkTarget": stat.link_target,
    });
    HeaderValue::from_str(&drydock_api::base64::encode(
        document.to_string().as_bytes(),
    ))
    .map_err(Error::system)
}

/// Starts a copier that changes nothing. With `mounted` it sees what is mounted in the container.
async fn look(
    engine: &Engine,
    container: &Container,
    operation: Operation,
    mounted: bool,
) -> Result<(Copier, Arc<Record>), Error> {
    let begin = std::time::Instant::now();
    loop {
        let record = container.snapshot();
        if let Some((root, mut files)) = root(engine, container, &record, false)? {
            let mounts = match mounted {
                true => mounts(container, &record, &mut files)?,
                false => Vec::new(),
            };
            let question = question(container, root, mounts, operation);
            return Ok((Copier::start(engine, &question, &files).await?, record));
        }
        wait_for_end(begin).await?;
    }
}

/// Starts a copier that may write. The lock is kept for a container that does not run and given back otherwise.
async fn change(
    engine: &Engine,
    container: &Container,
    operation: Operation,
    mut changing: OwnedMutexGuard<()>,
) -> Result<(Copier, Option<OwnedMutexGuard<()>>), Error> {
    let begin = std::time::Instant::now();
    loop {
        let record = container.snapshot();
        if record.state.status != Status::Running {
            container.wait_torn_down().await.map_err(Error::system)?;
        }
        if let Some((root, mut files)) = root(engine, container, &record, true)? {
            let runs = matches!(root, Root::Running);
            let mounts = mounts(container, &record, &mut files)?;
            let question = question(container, root, mounts, operation);
            let copier = Copier::start(engine, &question, &files).await?;
            return Ok((copier, (!runs).then_some(changing)));
        }
        // The end that is awaited takes the lock.
        drop(changing);
        wait_for_end(begin).await?;
        changing = Arc::clone(&container.lifecycle).lock_owned().await;
    }
}

async fn wait_for_end(begin: std::time::Instant) -> Result<(), Error> {
    if begin.elapsed() > PATIENCE {
        return Err(Error::system("the container's end is not settled yet"));
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    Ok(())
}

fn question(
    container: &Container,
    root: Root,
    mounts: Vec<MountPoint>,
    operation: Operation,
) -> protocol::Request {
    protocol::Request {
        place: container.directory.clone(),
        root,
        mounts,
        operation,
    }
}

/// Where a container's own files are, and the descriptor of its PID 1 if it runs. None when it has just ended, and
/// nobody knows yet.
fn root(
    engine: &Engine,
    container: &Container,
    record: &Record,
    writes: bool,
) -> Result<Option<(Root, Vec<OwnedFd>)>, Error> {
    if record.state.status == Status::Running {
        let process = blocking(|| first_process(record)).map_err(Error::system)?;
        return Ok(process.map(|process| (Root::Running, vec![process])));
    }
    let mut layers = vec![engine.skeleton()];
    let image = engine.images.by_id(&record.image);
    layers.extend(
        image
            .map(|image| engine.images.layers(&image))
            .unwrap_or_default(),
    );
    let root = Root::Stopped {
        layers,
        upper: container.upper(),
        work: writes.then(|| container.file("rw/work")),
        readonly: record.host().readonly_rootfs == Some(true),
    };
    Ok(Some((root, Vec::new())))
}

/// A descriptor of PID 1. That the number is still its own is seen by its cgroup, whose name is the container's id,
/// once the descriptor holds it.
fn first_process(record: &Record) -> std::io::Result<Option<OwnedFd>> {
    let ended = nix::libc::ESRCH;
    let process = match drydock_sys::process::open(record.state.pid) {
        Err(error) if error.raw_os_error() == Some(ended) => return Ok(None),
        other => other?,
    };
    let groups = match std::fs::read_to_string(format!("/proc/{}/cgroup", record.state.pid)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(ended) => return Ok(None),
        other => other?,
    };
    Ok(groups.contains(&record.id).then_some(process))
}

/// What is mounted in the container as Docker shows it to a copy: binds and the engine's files, not memory.
fn mounts(
    container: &Container,
    record: &Record,
    files: &mut Vec<OwnedFd>,
) -> Result<Vec<MountPoint>, Error> {
    let host = record.host();
    let mut wanted = mounts::read(&host)?;
    wanted.retain(|one| !matches!(one, Wanted::Tmpfs { .. }));
    let (specified, binds) = blocking(|| spec::open_mounts(&wanted))?;
    let mut points: Vec<MountPoint> = specified
        .into_iter()
        .filter_map(|mount| match mount {
            Mount::Descriptor { target, readonly } => Some(MountPoint { target, readonly }),
            Mount::EngineFile { .. } | Mount::Tmpfs { .. } => None,
        })
        .collect();
    files.extend(binds);
    let readonly = host.readonly_rootfs == Some(true);
    for name in ["resolv.conf", "hostname", "hosts"] {
        let target = Path::new("/etc").join(name);
        let taken = points.iter().any(|point| point.target == target);
        if let Some(file) = engine_file(&container.file(name)).filter(|_| !taken) {
            files.push(file.map_err(Error::system)?);
            points.push(MountPoint { target, readonly });
        }
    }
    Ok(points)
}

/// One of the engine's files for /etc, a mount of it; None before the first start.
fn engine_file(path: &Path) -> Option<std::io::Result<OwnedFd>> {
    path.exists()
        .then(|| drydock_sys::mounts::open_tree_clone(path))
}

/// Hands the body to the copier, up to its end or until the copier replies: before the end when something is wrong.
///
/// # Errors
/// 400 when the client broke off: the copier is ended then, not told that this was all.
async fn forward(copier: &mut Copier, body: &mut Incoming) -> Result<(), Error> {
    let (replies, mut archive) = copier.stream().split();
    while let Some(frame) = body.frame().await {
        let broken =
            |error: &dyn std::fmt::Display| Error::invalid(format!("read request body: {error}"));
        let frame = frame.map_err(|error| broken(&error))?;
        let piece = frame
            .into_data()
            .map_err(|_| broken(&"trailers in the archive"))?;
        tokio::select! {
            // A reply is there to be read, not taken from the stream.
            ready = replies.readable() => return ready.map_err(Error::system),
            // The copier has ended: its reply says why.
            written = archive.write_all(&piece) => if written.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Reads on behind an error, up to a limit.
async fn pass_over(body: &mut Incoming) {
    let mut left = PASSED_OVER;
    // It is no news that the client went, or that what it sends is broken.
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, |data| data.len());
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
