//! Entering namespaces (namespaces(7)): those the init was not born in, and those of another container.
//!
//! What is another container's comes as descriptors, which the daemon opened and proved to be of the container that was
//! meant. A process enters a PID namespace only by being born in it, so the shim is in the other's for the moment of
//! the clone. The other's /dev/shm is no namespace but a mount in its mount namespace: the init goes there for the
//! moment it takes to clone the mount, undumpable as it is, and resolves the path as everywhere inside of a container.

use std::io;
use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;
use nix::sched::CloneFlags;
use nix::sys::stat::Mode;

use crate::cgroup::Group;
use crate::rootfs::Context;
use crate::shared_memory;
use crate::spec::{Namespace, NetworkNamespace, Spec};

/// An error with the object it is about.
type Result<T> = std::result::Result<T, String>;

/// The PID namespace of children that are made now.
#[derive(Debug)]
pub(crate) struct Pids {
    own: Option<OwnedFd>,
}

/// Has the next child be born in another container's PID namespace, where that is wanted.
pub(crate) fn choose_pids(wanted: Namespace, other: Option<OwnedFd>) -> io::Result<Pids> {
    let other = match (wanted, other) {
        (Namespace::Own | Namespace::Host, _) => return Ok(Pids { own: None }),
        (Namespace::Descriptor, Some(other)) => other,
        (Namespace::Descriptor, None) => {
            return Err(io::Error::other("no PID namespace came with the spec"));
        }
    };
    let own = open_own("pid")?;
    nix::sched::setns(other, CloneFlags::CLONE_NEWPID)?;
    Ok(Pids { own: Some(own) })
}

impl Pids {
    /// Children are born in our own again.
    pub(crate) fn restore(self) -> io::Result<()> {
        match self.own {
            Some(own) => Ok(nix::sched::setns(own, CloneFlags::CLONE_NEWPID)?),
            None => Ok(()),
        }
    }
}

fn open_own(kind: &str) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/ns/{kind}");
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    Ok(nix::fcntl::open(path.as_str(), flags, Mode::empty())?)
}

/// Enters the cgroup and the namespaces that the init was not born in.
pub(crate) fn enter(spec: &Spec, group: &Group, network: Option<OwnedFd>) -> Result<()> {
    // Not dumpable: until the exec, nothing in the namespaces that are entered may look into this process
    // or trace it (CVE-2016-9962).
    nix::sys::prctl::set_dumpable(false).context(|| "failed to become undumpable".to_owned())?;
    nix::unistd::setsid().context(|| "failed to make a session".to_owned())?;
    if group.birthplace().is_none() {
        group
            .enter()
            .context(|| format!("failed to enter the cgroup {}", spec.cgroup.path))?;
    }
    if spec.namespaces.cgroup {
        nix::sched::unshare(CloneFlags::CLONE_NEWCGROUP)
            .context(|| "failed to make a cgroup namespace".to_owned())?;
    }
    match (spec.namespaces.network, network) {
        (NetworkNamespace::Host, _) => Ok(()),
        (NetworkNamespace::Descriptor, Some(network)) => {
            nix::sched::setns(network, CloneFlags::CLONE_NEWNET)
                .context(|| "failed to enter the network namespace".to_owned())
        }
        (NetworkNamespace::Descriptor, None) => {
            Err("no network namespace came with the spec".to_owned())
        }
    }
}

/// Enters the IPC namespace of another container, where that is wanted; a clone of its /dev/shm then.
pub(crate) fn enter_ipc(wanted: Namespace, other: Option<[OwnedFd; 2]>) -> Result<Option<OwnedFd>> {
    let [ipc, mounts] = match (wanted, other) {
        (Namespace::Own | Namespace::Host, _) => return Ok(None),
        (Namespace::Descriptor, Some(other)) => other,
        (Namespace::Descriptor, None) => {
            return Err("no IPC namespace came with the spec".to_owned());
        }
    };
    nix::sched::setns(ipc, CloneFlags::CLONE_NEWIPC)
        .context(|| "failed to enter the IPC namespace".to_owned())?;
    let own = open_own("mnt").context(|| "failed to open the mount namespace".to_owned())?;
    nix::sched::setns(mounts, CloneFlags::CLONE_NEWNS)
        .context(|| "failed to enter the mount namespace of the other container".to_owned())?;
    let cloned = shared_memory::clone_here();
    nix::sched::setns(own, CloneFlags::CLONE_NEWNS)
        .context(|| "failed to come back to the mount namespace".to_owned())?;
    cloned
        .map(Some)
        .context(|| "failed to share /dev/shm of the other container".to_owned())
}
