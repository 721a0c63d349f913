//! Starting a container: from a [`Spec`] to a running PID 1.
//!
//! The shim calls [`start`]; it makes the cgroup, clones the init into the new namespaces and listens to its
//! reports until the exec. Nothing execs in between: the init is a fork of the shim, which is a fork of the
//! spawner, so a start loads one program, the user's.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use drydock_defects::defect;
use drydock_sys::{clock, descriptors, mounts, process, terminal};
use nix::sched::CloneFlags;

use crate::cgroup::{Group, Hierarchies};
use crate::identity::{self, Directory, other};
use crate::namespaces;
use crate::report::{self, Report, Stamp};
use crate::rootfs::{self, Context};
use crate::spec::{Namespace, Spec, StartError};

/// Descriptors that came with a spec.
#[derive(Debug, Default)]
pub struct Descriptors {
    /// The network namespace to enter.
    pub network: Option<OwnedFd>,
    /// The PID namespace to be born in.
    pub pid: Option<OwnedFd>,
    /// The IPC namespace to enter, and the mount namespace in which its /dev/shm is.
    pub ipc: Option<[OwnedFd; 2]>,
    /// Detached mounts, one for each `Mount::Descriptor`.
    pub mounts: Vec<OwnedFd>,
}

/// The program's standard streams.
#[derive(Debug)]
pub enum Streams {
    /// Three descriptors.
    Separate {
        /// Standard input.
        stdin: OwnedFd,
        /// Standard output.
        stdout: OwnedFd,
        /// Standard error.
        stderr: OwnedFd,
    },
    /// A terminal of the container's devpts, made by the init.
    Terminal,
}

/// A container that runs.
#[derive(Debug)]
pub struct Running {
    /// PID 1.
    pub init: process::Child,
    /// Its cgroup.
    pub group: Group,
    /// The engine's end of the terminal, with [`Streams::Terminal`].
    pub terminal: Option<OwnedFd>,
    /// The container's mount namespace. As long as somebody holds it, the kernel does not take the mounts
    /// apart: without it that happens inside PID 1's exit (0.4 ms), and everybody who waits for the exit
    /// waits for it too. To be dropped once the exit is known.
    pub mounts: Option<OwnedFd>,
    /// The way of the start.
    pub stamps: Vec<Stamp>,
}

/// Starts a container. On failure nothing is left of it.
pub fn start(
    spec: &Spec,
    hierarchies: &Hierarchies,
    descriptors: Descriptors,
    streams: Streams,
) -> Result<Running, StartError> {
    let mut stamps = Vec::new();
    let group = Group::create(hierarchies, &spec.cgroup, &spec.devices)
        .map_err(|error| other(format!("failed to create task for container: {error}")))?;
    stamps.push(("cgroup made".to_owned(), clock::monotonic()));
    let started = clone_init(spec, hierarchies, &group, descriptors, streams);
    let (init, socket) = match started {
        Ok(started) => started,
        Err(error) => {
            group.remove();
            return Err(other(format!(
                "failed to create task for container: failed to clone the init: {error}"
            )));
        }
    };
    stamps.push(("init cloned".to_owned(), clock::monotonic()));
    match listen(&socket, &mut stamps) {
        Ok(terminal) => {
            stamps.push(("program running".to_owned(), clock::monotonic()));
            let mounts = mount_namespace(&init);
            Ok(Running {
                init,
                group,
                terminal,
                mounts,
                stamps,
            })
        }
        Err(error) => {
            end(&init);
            group.remove();
            Err(error)
        }
    }
}

/// None for a program that has ended already; its mounts are gone then, and nothing is lost.
fn mount_namespace(init: &process::Child) -> Option<OwnedFd> {
    let path = format!("/proc/{}/ns/mnt", init.pid);
    let flags = nix::fcntl::OFlag::O_RDONLY | nix::fcntl::OFlag::O_CLOEXEC;
    nix::fcntl::open(path.as_str(), flags, nix::sys::stat::Mode::empty()).ok()
}

/// Which namespaces the init is born in. The cgroup namespace is not among them: its root is the cgroup of
/// the process that makes it, so the init makes it once it is in its cgroup.
fn new_namespaces(spec: &Spec) -> CloneFlags {
    let wanted = &spec.namespaces;
    let mut flags = CloneFlags::CLONE_NEWNS;
    flags.set(CloneFlags::CLONE_NEWPID, wanted.pid == Namespace::Own);
    flags.set(CloneFlags::CLONE_NEWIPC, wanted.ipc == Namespace::Own);
    flags.set(CloneFlags::CLONE_NEWUTS, wanted.uts);
    flags
}

fn clone_init(
    spec: &Spec,
    hierarchies: &Hierarchies,
    group: &Group,
    mut descriptors: Descriptors,
    streams: Streams,
) -> io::Result<(process::Child, OwnedFd)> {
    let (ours, theirs) = report::pair()?;
    let pids = namespaces::choose_pids(spec.namespaces.pid, descriptors.pid.take())?;
    let side = process::fork_into(new_namespaces(spec), group.birthplace(), false);
    if !matches!(side, Ok(process::Side::Child)) {
        pids.restore()?;
    }
    match side? {
        process::Side::Parent(child) => Ok((child, ours)),
        process::Side::Child => {
            drop(ours);
            let error = run_init(spec, hierarchies, group, descriptors, streams, &theirs);
            // Nobody left to tell if this fails: the shim then sees the end of the stream and a process
            // that has exited with 128.
            let _ = report::send(theirs.as_fd(), &Report::Failed(error), None);
            process::exit_now(128)
        }
    }
}

/// Collects the reports up to the exec.
fn listen(socket: &OwnedFd, stamps: &mut Vec<Stamp>) -> Result<Option<OwnedFd>, StartError> {
    let mut terminal = None;
    loop {
        match report::receive(socket) {
            Ok(None) => return Ok(terminal),
            Ok(Some((Report::Terminal, descriptor))) => terminal = descriptor,
            Ok(Some((Report::Stamps(more), _))) => stamps.extend(more),
            Ok(Some((Report::Failed(error), _))) => return Err(error),
            Ok(Some((Report::Process(_), _))) => {}
            Err(error) => {
                return Err(other(format!(
                    "failed to hear from the container's init: {error}"
                )));
            }
        }
    }
}

/// Kills and reaps an init that has not become a program.
fn end(init: &process::Child) {
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    // It may have ended by itself (ESRCH); that is what is wanted.
    let _ = process::send_signal(init.descriptor.as_fd(), nix::libc::SIGKILL);
    let _ = waitid(Id::PIDFd(init.descriptor.as_fd()), WaitPidFlag::WEXITED);
}

/// The init: everything between the clone and the exec. Returns only its failure.
fn run_init(
    spec: &Spec,
    hierarchies: &Hierarchies,
    group: &Group,
    descriptors: Descriptors,
    streams: Streams,
    socket: &OwnedFd,
) -> StartError {
    let mut stamps: Vec<Stamp> = Vec::with_capacity(8);
    let mut stamp = |step: &str| stamps.push((step.to_owned(), clock::monotonic()));
    let failed = |message: String| other(format!("{}{message}", identity::INIT_FAILED));
    let prepared = (|| -> Result<(), String> {
        namespaces::enter(spec, group, descriptors.network)?;
        let shared_memory = namespaces::enter_ipc(spec.namespaces.ipc, descriptors.ipc)?;
        stamp("init: in its cgroup and network");
        // Modes below are meant as they are written.
        nix::sys::stat::umask(nix::sys::stat::Mode::empty());
        let tree = rootfs::build(spec, hierarchies, descriptors.mounts, shared_memory)?;
        stamp("init: file systems mounted");
        tree.write_sysctls(&spec.sysctls)?;
        set_names(spec)?;
        connect_streams(&tree, spec, streams, socket)?;
        tree.protect(spec)?;
        tree.become_root(spec.rootfs.readonly)?;
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
        stamp("init: root entered");
        Ok(())
    })();
    if let Err(message) = prepared {
        return failed(message);
    }
    // The stamps are a courtesy; a start does not fail for them.
    let _ = report::send(socket.as_fd(), &Report::Stamps(stamps), None);
    identity::become_program(&spec.id, &spec.process, Directory::Make)
}

fn set_names(spec: &Spec) -> Result<(), String> {
    if !spec.namespaces.uts || defect!("host-name-not-set") {
        return Ok(());
    }
    nix::unistd::sethostname(&spec.hostname)
        .context(|| format!("failed to set the host name {}", spec.hostname))?;
    if !spec.domainname.is_empty() {
        process::set_domain_name(&spec.domainname)
            .context(|| format!("failed to set the domain name {}", spec.domainname))?;
    }
    Ok(())
}

fn connect_streams(
    tree: &rootfs::Tree,
    spec: &Spec,
    streams: Streams,
    socket: &OwnedFd,
) -> Result<(), String> {
    match streams {
        Streams::Separate {
            stdin,
            stdout,
            stderr,
        } => replace_all([&stdin, &stdout, &stderr]),
        Streams::Terminal => {
            let pair = open_terminal(tree.terminals.as_fd(), spec.process.console_size, socket)?;
            let console = drydock_sys::paths::open_without_links(
                tree.devices.as_fd(),
                std::path::Path::new("console"),
                nix::fcntl::OFlag::O_PATH,
                nix::sys::stat::Mode::empty(),
            )
            .context(|| "failed to open /dev/console".to_owned())?;
            let bind = mounts::clone_of(pair.terminal.as_fd(), false)
                .context(|| "failed to clone the terminal".to_owned())?;
            mounts::attach(bind.as_fd(), console.as_fd())
                .context(|| "failed to mount /dev/console".to_owned())
        }
    }
}

/// Makes a terminal, takes control of it, and hands its other end to the shim. Also for exec.
pub(crate) fn open_terminal(
    devpts: std::os::fd::BorrowedFd<'_>,
    size: Option<(u16, u16)>,
    socket: &OwnedFd,
) -> Result<terminal::Pair, String> {
    let pair = terminal::open_pair(devpts).context(|| "failed to open a terminal".to_owned())?;
    if let Some((rows, columns)) = size {
        terminal::set_size(pair.controller.as_fd(), rows, columns)
            .context(|| "failed to size the terminal".to_owned())?;
    }
    report::send(
        socket.as_fd(),
        &Report::Terminal,
        Some(pair.controller.as_fd()),
    )
    .context(|| "failed to hand over the terminal".to_owned())?;
    terminal::take_control(pair.terminal.as_fd())
        .context(|| "failed to take control of the terminal".to_owned())?;
    replace_all([&pair.terminal, &pair.terminal, &pair.terminal])?;
    Ok(pair)
}

/// Descriptors 0, 1 and 2.
pub(crate) fn replace_all(streams: [&OwnedFd; 3]) -> Result<(), String> {
    for (number, stream) in streams.into_iter().enumerate() {
        descriptors::replace_standard(stream.as_fd(), number as i32)
            .context(|| format!("failed to connect stream {number}"))?;
    }
    Ok(())
}
