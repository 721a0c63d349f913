//! Kernel objects and files that belong to no record: left by a daemon or a host that died on the way.
//!
//! Every one of them has the container's id in its name, so who it belongs to is a comparison of names.

use std::fs;
use std::path::{Path, PathBuf};

use drydock_shim::protocol::{RequestBody, VERSION};

use super::Status;
use super::kill::KILL;
use super::shim_link::ShimLink;
use crate::engine::Engine;

/// Sweeps sockets of shims and cgroups.
pub async fn run(engine: &Engine) {
    for (path, id) in named(&engine.settings.exec_root.join("shims"), ".sock") {
        if !runs(engine, &id) {
            end_shim(engine, &path).await;
        }
    }
    let parent = engine.settings.cgroup_parent();
    for root in cgroup_roots() {
        for (path, id) in named(&root.join(&parent), "") {
            if !runs(engine, &id) {
                remove_cgroup(&path);
            }
        }
    }
}

/// Removes this daemon's own directories in the cgroup tree, at its end. One that is not empty stays.
pub fn leave(engine: &Engine) {
    for root in cgroup_roots() {
        // Still used, or not there: both are as they should be.
        let _ = fs::remove_dir(root.join(engine.settings.cgroup_parent()));
    }
}

fn runs(engine: &Engine, id: &str) -> bool {
    engine
        .containers
        .by_id(id)
        .is_some_and(|container| container.snapshot().state.status == Status::Running)
}

/// The entries of a directory whose name is a container's id and a suffix.
fn named(directory: &Path, suffix: &str) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let id = name.strip_suffix(suffix)?.to_owned();
            let is_id = id.len() == 64 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
            is_id.then(|| (entry.path(), id))
        })
        .collect()
}

/// Kills a container that no record knows, through its shim, and removes the socket.
async fn end_shim(engine: &Engine, path: &Path) {
    if let Ok((link, mut events)) = ShimLink::connect(path, &engine.open_links) {
        tracing::warn!("{}: a container without a record is ended", path.display());
        let ended = async {
            link.ask(RequestBody::Hello { version: VERSION }, &[])
                .await?;
            link.order(RequestBody::Kill { signal: KILL }, &[]).await
        };
        if let Err(error) = ended.await {
            tracing::warn!("{}: {error}", path.display());
        }
        let patience = std::time::Duration::from_secs(5);
        // The event of its end, or the end of the connection: either will do.
        let _ = tokio::time::timeout(patience, events.recv()).await;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!("remove {}: {error}", path.display())
        }
        _ => {}
    }
}

/// The roots of the cgroup hierarchies of this host, version 1 and 2.
fn cgroup_roots() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let root = |line: &str| {
        let mut fields = line.split(' ');
        let (_, path, kind) = (fields.next()?, fields.next()?, fields.next()?);
        matches!(kind, "cgroup" | "cgroup2").then(|| PathBuf::from(path))
    };
    mounts.lines().filter_map(root).collect()
}

fn remove_cgroup(path: &Path) {
    // Only empty directories below can be removed, which is what a dead container's are.
    for (child, _) in fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| (entry.path(), ()))
    {
        if child.is_dir() {
            remove_cgroup(&child);
        }
    }
    if let Err(error) = fs::remove_dir(path) {
        tracing::warn!("remove cgroup {}: {error}", path.display());
    }
}
