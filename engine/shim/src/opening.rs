//! The beginning of a shim's life: what a container needs is opened, and it is started.
//!
//! Everything that can fail is opened before the container's processes exist, so a failure leaves nothing
//! to undo but what [`drydock_runtime::container::start`] undoes itself.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

use drydock_logs::Log;
use drydock_runtime::container::{self, Descriptors, Running, Streams};
use drydock_runtime::spec::{Mount, Namespace, NetworkNamespace, StartError, StartErrorKind};
use nix::fcntl::OFlag;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::pipe2;

use crate::connection::Connection;
use crate::protocol::{Stamp, Start};
use crate::session::{Ends, Session};
use crate::shim::{Shim, stamp};
use crate::spawner::Inheritance;

fn failed(message: impl std::fmt::Display) -> StartError {
    StartError {
        kind: StartErrorKind::Other,
        message: format!("failed to create task for container: {message}"),
    }
}

/// Opens what the container needs and starts it.
pub(crate) fn begin(
    start: Start,
    connection: &mut Connection,
    inheritance: &Inheritance,
    stamps: &mut Vec<Stamp>,
) -> Result<Shim, StartError> {
    let terminal = start.spec.process.terminal;
    let descriptors = take_descriptors(&start, connection)?;
    let folder = take_folder(&start, connection)?;
    let clients = (0..start.attach.len())
        .map(|_| {
            connection
                .take_descriptor()
                .ok_or_else(|| failed("a client's socket is missing"))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let shares_pids = start.spec.namespaces.pid != Namespace::Own;
    let signals = catch_children(shares_pids).map_err(failed)?;
    let log = open_log(&start, folder)
        .map_err(|error| failed(format!("failed to initialize logging driver: {error}")))?;
    let listener = listen(&start.socket).map_err(|error| {
        failed(format!(
            "failed to listen on {}: {error}",
            start.socket.display()
        ))
    })?;
    let (streams, ends) = open_streams(terminal, start.open_stdin, &inheritance.null)
        .map_err(|error| failed(format!("failed to make pipes: {error}")))?;
    stamps.push(stamp("shim: streams and log open"));
    let mut spec = start.spec;
    // The spawner's own score is not the container's.
    spec.process.oom_score_adj.get_or_insert(0);
    let running = container::start(&spec, &inheritance.hierarchies, descriptors, streams)
        .inspect_err(|_| drop(std::fs::remove_file(&start.socket)))?;
    let Running {
        init,
        group,
        terminal,
        mounts,
        stamps: more,
    } = running;
    let started_at = drydock_sys::clock::realtime();
    stamps.extend(more.into_iter().map(|(step, at)| Stamp { step, at }));
    let assembled = (|| {
        let ends = ends_of(ends, terminal)?;
        let mut session = Session::new(None, init, ends, start.stdin_once, log)?;
        for (socket, attach) in clients.into_iter().zip(&start.attach) {
            session.attach(socket, attach)?;
        }
        Ok(Shim {
            id: spec.id,
            group: Some(group),
            mounts,
            sessions: vec![session],
            signals,
            listener,
            socket: start.socket,
            exit_record: start.exit_record,
            durable: start.durable,
            shares_pids,
            started_at,
            exited: None,
            frozen: false,
            null: inheritance.null.try_clone()?,
        })
    })();
    assembled.map_err(|error: io::Error| failed(error))
}

/// The namespaces and the mounts that came with the spec, in the protocol's order.
fn take_descriptors(start: &Start, connection: &mut Connection) -> Result<Descriptors, StartError> {
    let mut take = |what: &str| {
        connection
            .take_descriptor()
            .ok_or_else(|| failed(format!("{what} is missing")))
    };
    let mut taken = Descriptors::default();
    let namespaces = &start.spec.namespaces;
    if namespaces.network == NetworkNamespace::Descriptor {
        taken.network = Some(take("the network namespace")?);
    }
    if namespaces.pid == Namespace::Descriptor {
        taken.pid = Some(take("the PID namespace")?);
    }
    if namespaces.ipc == Namespace::Descriptor {
        taken.ipc = Some([
            take("the IPC namespace")?,
            take("the mount namespace of the shared memory")?,
        ]);
    }
    for mount in &start.spec.mounts {
        if matches!(mount, Mount::Descriptor { .. }) {
            taken.mounts.push(take("a mount")?);
        }
    }
    Ok(taken)
}

/// SIGCHLD as a descriptor. Where the container shares the host's PIDs, orphans of it become our children.
fn catch_children(shares_pids: bool) -> io::Result<SignalFd> {
    if shares_pids {
        nix::sys::prctl::set_child_subreaper(true)?;
    }
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    mask.thread_block()?;
    Ok(SignalFd::with_flags(
        &mask,
        SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK,
    )?)
}

/// The folder of a socket that the log goes to, where it goes to one.
fn take_folder(start: &Start, connection: &mut Connection) -> Result<Option<OwnedFd>, StartError> {
    let remote = start.log.as_ref().and_then(|plan| plan.remote.as_ref());
    if !remote.is_some_and(|remote| remote.address.needs_folder()) {
        return Ok(None);
    }
    let folder = connection.take_descriptor();
    folder
        .map(Some)
        .ok_or_else(|| failed("the folder of the log's socket is missing"))
}

fn open_log(start: &Start, folder: Option<OwnedFd>) -> io::Result<Option<Log>> {
    let plan = start.log.as_ref();
    plan.map(|plan| Log::open(plan, folder)).transpose()
}

/// Listens for later daemons. Bound from inside its directory: a socket's path may have 107 bytes only.
fn listen(socket: &Path) -> io::Result<UnixListener> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let (directory, name) = (
        socket.parent().ok_or_else(invalid)?,
        socket.file_name().ok_or_else(invalid)?,
    );
    // Left over from a shim that was killed; the record says that this container was not running.
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    nix::unistd::chdir(directory)?;
    let listener = UnixListener::bind(name);
    nix::unistd::chdir("/")?;
    let listener = listener?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The process's streams, and our ends of them as far as they exist before the start.
pub(crate) fn open_streams(
    terminal: bool,
    open_stdin: bool,
    null: &OwnedFd,
) -> io::Result<(Streams, Option<Ends>)> {
    if terminal {
        return Ok((Streams::Terminal, None));
    }
    let (our_stdout, stdout) = pipe2(OFlag::O_CLOEXEC)?;
    let (our_stderr, stderr) = pipe2(OFlag::O_CLOEXEC)?;
    let (stdin, our_stdin) = if open_stdin {
        let (stdin, ours) = pipe2(OFlag::O_CLOEXEC)?;
        (stdin, Some(ours))
    } else {
        (null.try_clone()?, None)
    };
    let ends = Ends::Pipes {
        stdin: our_stdin,
        stdout: our_stdout,
        stderr: our_stderr,
    };
    Ok((
        Streams::Separate {
            stdin,
            stdout,
            stderr,
        },
        Some(ends),
    ))
}

pub(crate) fn ends_of(pipes: Option<Ends>, terminal: Option<OwnedFd>) -> io::Result<Ends> {
    match (pipes, terminal) {
        (Some(pipes), _) => Ok(pipes),
        (None, Some(controller)) => Ok(Ends::Terminal(controller)),
        (None, None) => Err(io::Error::other(
            "the process did not hand over its terminal",
        )),
    }
}
