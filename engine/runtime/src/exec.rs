//! One more process in a running container (`docker exec`).
//!
//! A helper forked from the shim enters the container's cgroup and namespaces and forks once more: a process
//! enters a PID namespace only by being born in it. The grandchild is made a sibling of the helper
//! (CLONE_PARENT), so the shim is its parent and can reap it. All of them are undumpable until the exec, so
//! nothing in the container can trace them or reach the engine's files through their /proc entry
//! (CVE-2016-9962, CVE-2019-5736).

use std::os::fd::{AsFd, OwnedFd};

use drydock_sys::process;
use nix::fcntl::OFlag;
use nix::sched::CloneFlags;
use nix::sys::stat::Mode;

use crate::cgroup::Group;
use crate::container::{Streams, open_terminal, replace_all};
use crate::identity::{self, Directory, other};
use crate::report::{self, Report};
use crate::rootfs::{self, Context};
use crate::spec::{Process, StartError};

/// A process made by [`start`].
#[derive(Debug)]
pub struct Running {
    /// The process.
    pub process: process::Child,
    /// The engine's end of its terminal.
    pub terminal: Option<OwnedFd>,
}

/// Where to start: the container's PID 1 and its cgroup.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The container's id.
    pub id: &'a str,
    /// PID 1.
    pub init: &'a process::Child,
    /// The container's cgroup.
    pub group: &'a Group,
}

/// Whether the container knows a user and groups: Docker looks before it makes an exec instance. The answer
/// is of this moment; the process looks again when it starts.
pub fn check_user(init: &process::Child, user: &str, groups: &[String]) -> Result<(), StartError> {
    let path = format!("/proc/{}/root", init.pid);
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = nix::fcntl::open(path.as_str(), flags, Mode::empty())
        .map_err(|error| other(format!("failed to open the container's root: {error}")))?;
    identity::resolve(root.as_fd(), user, groups).map(drop)
}

/// Starts a process in the container of `target`.
pub fn start(
    target: Target<'_>,
    wanted: &Process,
    streams: Streams,
) -> Result<Running, StartError> {
    if !wanted.cwd.is_empty() && !wanted.cwd.starts_with('/') {
        return Err(other(
            "OCI runtime exec failed: exec failed: Cwd must be an absolute path",
        ));
    }
    let (ours, theirs) =
        report::pair().map_err(|error| other(format!("failed to make a socket pair: {error}")))?;
    let helper = match process::fork() {
        Ok(process::Side::Parent(child)) => child,
        Ok(process::Side::Child) => {
            drop(ours);
            run_helper(target, wanted, streams, &theirs)
        }
        Err(error) => return Err(other(format!("failed to fork: {error}"))),
    };
    drop((theirs, streams));
    let result = listen(&ours);
    reap(&helper);
    result
}

/// Collects the reports up to the exec.
fn listen(socket: &OwnedFd) -> Result<Running, StartError> {
    let (mut made, mut terminal) = (None, None);
    let failure = loop {
        match report::receive(socket) {
            // Helper and process have both closed their ends; the process did so by its exec.
            Ok(None) => match made {
                Some(process) => return Ok(Running { process, terminal }),
                None => break other("the helper of the exec ended without a word"),
            },
            Ok(Some((Report::Terminal, descriptor))) => terminal = descriptor,
            Ok(Some((Report::Process(pid), Some(descriptor)))) => {
                made = Some(process::Child { pid, descriptor })
            }
            Ok(Some((Report::Failed(error), _))) => break error,
            Ok(Some(_)) => {}
            Err(error) => {
                break other(format!(
                    "failed to hear from the helper of the exec: {error}"
                ));
            }
        }
    };
    if let Some(process) = made {
        reap(&process);
    }
    Err(failure)
}

/// Kills a process that did not get as far as its program, and reaps it.
fn reap(child: &process::Child) {
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    // ESRCH says that it has ended by itself.
    let _ = process::send_signal(child.descriptor.as_fd(), nix::libc::SIGKILL);
    let _ = waitid(Id::PIDFd(child.descriptor.as_fd()), WaitPidFlag::WEXITED);
}

/// The helper: enters, forks, tells the shim about its child, and ends.
fn run_helper(target: Target<'_>, wanted: &Process, streams: Streams, socket: &OwnedFd) -> ! {
    let entered = enter(target);
    let side = entered.and_then(|()| {
        process::fork_into(CloneFlags::empty(), None, true).context(|| "failed to fork".to_owned())
    });
    match side {
        Ok(process::Side::Child) => {
            let error = run_process(target.id, wanted, streams, socket);
            // As in `container`: the shim sees the end of the stream if this cannot be said.
            let _ = report::send(socket.as_fd(), &Report::Failed(error), None);
            process::exit_now(128)
        }
        Ok(process::Side::Parent(child)) => {
            let told = report::send(
                socket.as_fd(),
                &Report::Process(child.pid),
                Some(child.descriptor.as_fd()),
            );
            process::exit_now(i32::from(told.is_err()))
        }
        Err(message) => {
            let _ = report::send(socket.as_fd(), &Report::Failed(failed(&message)), None);
            process::exit_now(128)
        }
    }
}

fn failed(message: &str) -> StartError {
    other(format!("{EXEC_FAILED}{message}"))
}

/// What runc puts before the errors of an exec.
const EXEC_FAILED: &str = "exec failed: unable to start container process: ";

/// Enters the container's cgroup and namespaces (setns(2) on PID 1's pidfd: all of them or none).
fn enter(target: Target<'_>) -> Result<(), String> {
    nix::sys::prctl::set_dumpable(false).context(|| "failed to become undumpable".to_owned())?;
    // Before the namespaces: the cgroup's files are the host's.
    target
        .group
        .enter()
        .context(|| "failed to enter the container's cgroup".to_owned())?;
    let namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWCGROUP;
    nix::sched::setns(&target.init.descriptor, namespaces)
        .context(|| "failed to enter the container's namespaces".to_owned())
}

/// The process itself. Returns only its failure.
fn run_process(id: &str, wanted: &Process, streams: Streams, socket: &OwnedFd) -> StartError {
    let connected = (|| -> Result<(), String> {
        nix::unistd::setsid().context(|| "failed to make a session".to_owned())?;
        match streams {
            Streams::Separate {
                stdin,
                stdout,
                stderr,
            } => replace_all([&stdin, &stdout, &stderr]),
            Streams::Terminal => {
                let root = nix::fcntl::open(
                    "/",
                    OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
                    Mode::empty(),
                )
                .context(|| "failed to open the root".to_owned())?;
                let devpts = rootfs::open_terminals(root.as_fd())
                    .context(|| "failed to open /dev/pts".to_owned())?;
                open_terminal(devpts.as_fd(), wanted.console_size, socket).map(drop)
            }
        }
    })();
    if let Err(message) = connected {
        return failed(&message);
    }
    nix::sys::stat::umask(Mode::from_bits_truncate(0o022));
    let error = identity::become_program(id, wanted, Directory::Require);
    let Some(message) = error.message.strip_prefix(identity::INIT_FAILED) else {
        return error;
    };
    StartError {
        kind: error.kind,
        message: format!("OCI runtime exec failed: {EXEC_FAILED}{message}"),
    }
}
