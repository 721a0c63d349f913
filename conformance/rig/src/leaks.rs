//! What a daemon holds of the kernel and the disk, so that a test can prove that nothing stays behind.
//!
//! Take a [`Footprint`] when the daemon is warm and idle, run the test, then ask
//! [`Daemon::leaks_since`](crate::Daemon::leaks_since): it looks again, patiently, because an engine answers
//! first and tears down afterwards. Only what belongs to this one daemon is looked at; several daemons and a
//! Docker share a host.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::{netlink, processes};

/// What belongs to a daemon at one moment. Each entry is described as a person would want to read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Lines of /proc/PID/mountinfo that show the daemon's directory: of this process and of the daemon's.
    pub mounts: BTreeSet<String>,
    /// Interfaces that are ports of the daemon's bridge.
    pub links: BTreeSet<String>,
    /// Network namespaces that the daemon's processes live in or hold open, apart from the host's.
    pub network_namespaces: usize,
    /// cgroups named after containers, or below the daemon's own.
    pub cgroups: BTreeSet<String>,
    /// nftables tables and rules that carry the bridge's name.
    pub firewall: BTreeSet<String>,
    /// Processes, by what they run.
    pub processes: BTreeMap<i32, String>,
    /// Open descriptors of each process.
    pub descriptors: BTreeMap<i32, usize>,
    /// Unix sockets below the exec root.
    pub sockets: BTreeSet<PathBuf>,
    /// Directories of containers below the data root.
    pub containers: BTreeSet<PathBuf>,
}

/// What tells one daemon's things from another's.
pub(crate) struct Owner<'a> {
    pub directory: &'a Path,
    pub data_root: &'a Path,
    pub exec_root: &'a Path,
    pub bridge: &'a str,
    /// Ids of all containers that were ever seen, and the name of the cgroup above them.
    pub containers: &'a BTreeSet<String>,
}

impl Footprint {
    /// Looks at everything that belongs to `owner`.
    pub(crate) fn take(owner: &Owner) -> Footprint {
        let pids = processes::owned(owner.directory, owner.containers);
        let host_mounts = mounts_of("self", owner.directory);
        Footprint {
            mounts: pids
                .iter()
                .flat_map(|pid| mounts_of(&pid.to_string(), owner.directory))
                .chain(host_mounts)
                .collect(),
            links: names_in(&format!("/sys/class/net/{}/brif", owner.bridge)),
            network_namespaces: network_namespaces(&pids, owner.directory),
            cgroups: cgroups(owner),
            firewall: firewall(owner.bridge),
            descriptors: pids
                .iter()
                .map(|pid| {
                    (
                        *pid,
                        fs::read_dir(format!("/proc/{pid}/fd"))
                            .into_iter()
                            .flatten()
                            .count(),
                    )
                })
                .collect(),
            processes: pids
                .iter()
                .map(|pid| (*pid, processes::describe(*pid)))
                .collect(),
            sockets: sockets(owner.exec_root),
            containers: fs::read_dir(owner.data_root.join("containers"))
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
                .collect(),
        }
    }

    /// What is in `self` and not in `before`, a sentence each. Empty: nothing leaked.
    pub fn beyond(&self, before: &Footprint) -> Vec<String> {
        let mut leaks = Vec::new();
        let mut added = |what: &str, now: &BTreeSet<String>, then: &BTreeSet<String>| {
            leaks.extend(now.difference(then).map(|entry| format!("{what}: {entry}")));
        };
        added("mount", &self.mounts, &before.mounts);
        added("network interface", &self.links, &before.links);
        added("cgroup", &self.cgroups, &before.cgroups);
        added("firewall", &self.firewall, &before.firewall);
        let paths =
            |set: &BTreeSet<PathBuf>| set.iter().map(|path| path.display().to_string()).collect();
        added("socket", &paths(&self.sockets), &paths(&before.sockets));
        added(
            "container directory",
            &paths(&self.containers),
            &paths(&before.containers),
        );
        if self.network_namespaces > before.network_namespaces {
            leaks.push(format!(
                "network namespaces: {} instead of {}",
                self.network_namespaces, before.network_namespaces
            ));
        }
        for (pid, what) in &self.processes {
            if !before.processes.contains_key(pid) {
                leaks.push(format!("process: {what}"));
            }
            let (now, then) = (self.descriptors.get(pid), before.descriptors.get(pid));
            if let (Some(now), Some(then)) = (now, then)
                && now > then
            {
                leaks.push(format!("open files of {what}: {now} instead of {then}"));
            }
        }
        leaks
    }
}

/// Mounts of a process that show the directory. The mount's own numbers differ between namespaces and are cut.
fn mounts_of(pid: &str, directory: &Path) -> Vec<String> {
    let table = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    let directory = directory.to_string_lossy();
    let shown = table.lines().filter(|line| line.contains(&*directory));
    shown
        .map(|line| line.splitn(4, ' ').nth(3).unwrap_or(line).to_owned())
        .collect()
}

/// Network namespaces of processes, of their descriptors, and of mounts below the directory.
fn network_namespaces(pids: &[i32], directory: &Path) -> usize {
    let host = fs::read_link("/proc/self/ns/net").unwrap_or_default();
    let mut found = BTreeSet::new();
    for pid in pids {
        found.extend(fs::read_link(format!("/proc/{pid}/ns/net")));
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten()
            .flatten();
        let targets = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
        found.extend(targets.filter(|target| target.to_string_lossy().starts_with("net:[")));
    }
    found.remove(&host);
    let mounted = mounts_of("self", directory)
        .iter()
        .filter(|line| line.contains(" nsfs "))
        .count();
    found.len() + mounted
}

/// cgroup directories that are named after a container or lie below the daemon's own, in every hierarchy.
fn cgroups(owner: &Owner) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut pending = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(directory) = pending.pop() {
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        for path in entries
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path())
        {
            let text = path.display().to_string();
            if owner.containers.iter().any(|id| text.contains(id.as_str())) {
                found.insert(text);
            }
            pending.push(path);
        }
    }
    found
}

/// nftables tables and rules that carry the bridge's name.
fn firewall(bridge: &str) -> BTreeSet<String> {
    let tables = match netlink::tables() {
        Ok(tables) => tables,
        Err(error) => return BTreeSet::from([format!("the tables cannot be listed: {error}")]),
    };
    let tables = tables
        .into_iter()
        .filter(|table| table.name.contains(bridge))
        .map(|table| format!("table {}", table.name));
    let rules = match netlink::rules_naming(bridge) {
        Ok(rules) => rules,
        Err(error) => return BTreeSet::from([format!("the rules cannot be listed: {error}")]),
    };
    tables
        .chain(
            rules
                .into_iter()
                .map(|rule| format!("a rule in {} {}", rule.table, rule.chain)),
        )
        .collect()
}

fn sockets(directory: &Path) -> BTreeSet<PathBuf> {
    use std::os::unix::fs::FileTypeExt;
    let mut found = BTreeSet::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_socket() => drop(found.insert(entry.path())),
                Ok(kind) if kind.is_dir() => pending.push(entry.path()),
                _ => {}
            }
        }
    }
    found
}

fn names_in(directory: &str) -> BTreeSet<String> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_named() {
        let before = Footprint {
            processes: [(1, "daemon (1)".into())].into(),
            descriptors: [(1, 9)].into(),
            ..Footprint::default()
        };
        let mut after = before.clone();
        assert!(after.beyond(&before).is_empty());
        after.links.insert("veth0".into());
        after.network_namespaces = 1;
        after.processes.insert(2, "shim (2)".into());
        after.descriptors.insert(1, 10);
        let leaks = after.beyond(&before);
        assert_eq!(leaks.len(), 4, "{leaks:?}");
        assert!(before.beyond(&after).is_empty());
    }
}
