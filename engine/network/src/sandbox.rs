//! A sandbox: a container's network namespace (network_namespaces(7)) and its kernel parameters.
//!
//! The namespace has no name and no file that holds it: it lives as long as a descriptor of it or a process
//! in it, and the kernel removes its interfaces when the last one goes. So nothing can leak, and to drop a
//! descriptor costs microseconds where deleting an interface costs 15 ms.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns, unshare};

use crate::Error;
use crate::link;
use crate::netlink::{Batch, Socket};

/// The calling thread's own network namespace. Not /proc/self: that is the main thread's.
const OWN_NAMESPACE: &str = "/proc/thread-self/ns/net";

/// What Docker sets in each private network namespace: a process without privileges may listen on port 80
/// and may ping.
const DOCKER_PARAMETERS: [(&str, &str); 2] = [
    ("net/ipv4/ip_unprivileged_port_start", "0"),
    ("net/ipv4/ping_group_range", "0 2147483647"),
];

/// Interfaces that come later listen to no IPv6 router advertisement: a neighbour on the bridge could send
/// one and become everybody's gateway (CVE-2020-13401).
const ACCEPT_RA_DEFAULT: (&str, &str) = ("net/ipv6/conf/default/accept_ra", "0");

/// The sandbox of `--network none`: loopback up, nothing else.
pub fn isolated_sandbox() -> Result<OwnedFd, Error> {
    create(|_| {
        let mut batch = Batch::default();
        link::set_up(&mut batch, "lo");
        Socket::route()?.request(batch).map(drop)
    })
}

/// Makes a namespace with Docker's kernel parameters, calls `wire` inside it, and comes back.
pub(crate) fn create(
    wire: impl FnOnce(BorrowedFd<'_>) -> Result<(), Error>,
) -> Result<OwnedFd, Error> {
    let own = open_namespace()?;
    unshare(CloneFlags::CLONE_NEWNET)
        .map_err(|errno| Error::system("make a network namespace", errno))?;
    let result = set_up_inside(wire);
    // A thread that stays behind in the sandbox would do the daemon's later work in there.
    match setns(&own, CloneFlags::CLONE_NEWNET) {
        Ok(()) => result,
        Err(errno) => Err(Error::NamespaceLost {
            source: errno.into(),
        }),
    }
}

fn set_up_inside(wire: impl FnOnce(BorrowedFd<'_>) -> Result<(), Error>) -> Result<OwnedFd, Error> {
    let namespace = open_namespace()?;
    for (name, value) in DOCKER_PARAMETERS {
        write_parameter(name, value)?;
    }
    write_ipv6_parameter(ACCEPT_RA_DEFAULT.0, ACCEPT_RA_DEFAULT.1)?;
    wire(namespace.as_fd())?;
    Ok(namespace)
}

fn open_namespace() -> Result<OwnedFd, Error> {
    File::open(OWN_NAMESPACE)
        .map(OwnedFd::from)
        .map_err(|source| Error::System {
            action: format!("open {OWN_NAMESPACE}"),
            source,
        })
}

/// Sets a kernel parameter of the calling thread's network namespace, by its path below /proc/sys.
pub(crate) fn write_parameter(name: &str, value: &str) -> Result<(), Error> {
    let path = Path::new("/proc/sys").join(name);
    write(&path, value).map_err(|source| Error::Sysctl {
        path,
        value: value.to_owned(),
        source,
    })
}

/// As [`write_parameter`]; a kernel without IPv6 has no such parameter and nothing to forbid.
pub(crate) fn write_ipv6_parameter(name: &str, value: &str) -> Result<(), Error> {
    match write_parameter(name, value) {
        Err(Error::Sysctl { source, .. })
            if source.kind() == ErrorKind::NotFound
                && !PathBuf::from("/proc/sys/net/ipv6").exists() =>
        {
            Ok(())
        }
        result => result,
    }
}

fn write(path: &Path, value: &str) -> std::io::Result<()> {
    OpenOptions::new()
        .write(true)
        .open(path)?
        .write_all(value.as_bytes())
}
