//! Namespaces of another container, as `--pid container:` and `--ipc container:` ask for them.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use drydock_runtime::spec::{Namespace, SharedMemory};
use drydock_shim::protocol::{RequestBody, Start};
use libtest_mimic::Failed;

use crate::Test;
use crate::harness::{Bench, Container};

pub const TESTS: &[Test] = &[
    (
        "the_namespaces_of_another_are_joined",
        the_namespaces_of_another_are_joined,
    ),
    (
        "a_link_in_place_of_shared_memory_is_refused",
        a_link_in_place_of_shared_memory_is_refused,
    ),
    (
        "a_namespace_that_did_not_come_is_not_made_up_for",
        a_namespace_that_did_not_come_is_not_made_up_for,
    ),
];

/// A container that shares PIDs, IPC and memory.
fn guest(bench: &Bench, script: &str) -> Start {
    let mut start = bench.script(script);
    start.spec.namespaces.pid = Namespace::Descriptor;
    start.spec.namespaces.ipc = Namespace::Descriptor;
    start.spec.shared_memory = SharedMemory::Shared;
    start
}

/// The descriptors of a start that joins `owner`, in the protocol's order.
fn namespaces(owner: &Container) -> Result<Vec<OwnedFd>, Failed> {
    let open = |kind| Ok(File::open(format!("/proc/{}/ns/{kind}", owner.pid))?.into());
    ["pid", "ipc", "mnt"].into_iter().map(open).collect()
}

/// Waits until the script of `owner` has done what it does before its `exec sleep`.
fn wait_for_sleep(owner: &Container) -> Result<(), Failed> {
    let end = Instant::now() + Duration::from_secs(5);
    while std::fs::read_to_string(format!("/proc/{}/cmdline", owner.pid))?.starts_with("sh") {
        if Instant::now() > end {
            return Err("the other container is not ready".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn end(mut owner: Container) -> Result<(), Failed> {
    let signal = nix::libc::SIGKILL;
    owner.shim.ask(RequestBody::Kill { signal }, &[])?;
    owner.wait().map(drop)
}

fn the_namespaces_of_another_are_joined(bench: &Bench) -> Result<(), Failed> {
    let script =
        "echo hello >/dev/shm/file; mount -o remount,exec,suid,dev /dev/shm 2>&1; exec sleep 1000";
    let mut start = bench.script(script);
    // It may mount, and makes of its own memory a place for programs.
    start.spec.process.capabilities |= 1 << 21;
    let owner = bench.start(start, Vec::new())?;
    wait_for_sleep(&owner)?;
    let script = "cat /dev/shm/file; grep -c ' /dev/shm tmpfs rw,nosuid,nodev,noexec' /proc/mounts
        cat /proc/1/cmdline | tr '\\0' ' '; echo; readlink /proc/self/ns/pid; readlink /proc/self/ns/ipc";
    let guest = bench.start(guest(bench, script), namespaces(&owner)?)?;
    let (_, log) = guest.wait()?;
    let link = |kind| std::fs::read_link(format!("/proc/{}/ns/{kind}", owner.pid));
    let wanted = format!(
        "hello\n1\nsleep 1000 \n{}\n{}\n",
        link("pid")?.display(),
        link("ipc")?.display()
    );
    assert_eq!(log, wanted);
    end(owner)
}

/// A container may do with its /dev what it likes; who shares its memory is not led elsewhere by that.
fn a_link_in_place_of_shared_memory_is_refused(bench: &Bench) -> Result<(), Failed> {
    let mut start = bench.script("ln -s /etc /dev/shm; exec sleep 1000");
    start.spec.shared_memory = SharedMemory::Nothing;
    let owner = bench.start(start, Vec::new())?;
    wait_for_sleep(&owner)?;
    match bench.start(guest(bench, "true"), namespaces(&owner)?) {
        Ok(_) => return Err("it started".into()),
        Err(error) => {
            let text = error.message().unwrap_or_default();
            assert!(text.contains("failed to share /dev/shm"), "{text}");
        }
    }
    end(owner)
}

fn a_namespace_that_did_not_come_is_not_made_up_for(bench: &Bench) -> Result<(), Failed> {
    let text = bench.fail(guest(bench, "true"))?;
    assert!(text.contains("the PID namespace is missing"), "{text}");
    Ok(())
}
