//! The processes that belong to one daemon.
//!
//! A daemon's spawner and shims outlive it on purpose, and containers run under names of their own, so a parent
//! id says little. A process is the daemon's when one of these holds:
//!
//! * its environment has the mark with which the daemon was started (forks keep it);
//! * it sits in a cgroup that is named after one of the daemon's containers, or after the daemon;
//! * a mount in its own mount namespace shows the daemon's directory.
//!
//! Nothing is ever found by a program's name.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The variable that marks a daemon's processes; its value is the daemon's directory.
pub const MARK: &str = "DRYDOCK_RIG";

/// The pids of a daemon's processes, without zombies.
pub fn owned(directory: &Path, containers: &BTreeSet<String>) -> Vec<i32> {
    let mark = format!("{MARK}={}", directory.display());
    let own_namespace = fs::read_link("/proc/self/ns/mnt").ok();
    let belongs = |pid: i32| {
        let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let marked = || {
            read("environ")
                .split(|byte| *byte == 0)
                .any(|variable| variable == mark.as_bytes())
        };
        let in_cgroup = || {
            let cgroups = String::from_utf8_lossy(&read("cgroup")).into_owned();
            containers
                .iter()
                .any(|container| cgroups.contains(container.as_str()))
        };
        let in_mounts = || {
            let namespace = fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
            namespace.is_some()
                && namespace != own_namespace
                && String::from_utf8_lossy(&read("mountinfo"))
                    .contains(&*directory.to_string_lossy())
        };
        marked() || in_cgroup() || in_mounts()
    };
    all()
        .into_iter()
        .filter(|pid| *pid != std::process::id() as i32 && belongs(*pid))
        .collect()
}

/// Every process that has not ended.
fn all() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
    pids.filter(|pid| !is_zombie(*pid)).collect()
}

/// Whether a process has ended and only waits for its parent (state `Z` in proc_pid_stat(5)), or is gone.
pub fn is_zombie(pid: i32) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat
            .rsplit_once(')')
            .is_some_and(|(_, rest)| rest.trim_start().starts_with(['Z', 'X'])),
        Err(_) => true,
    }
}

/// What a process is, for a person.
pub fn describe(pid: i32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<_> = line
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(String::from_utf8_lossy)
        .collect();
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    if words.is_empty() {
        format!("{} ({pid})", name.trim())
    } else {
        format!("{} ({pid})", words.join(" "))
    }
}

/// Ends every process that belongs to a daemon; see kill(2).
pub fn end_all(directory: &Path, containers: &BTreeSet<String>) {
    for _ in 0..100 {
        let pids = owned(directory, containers);
        if pids.is_empty() {
            return;
        }
        for pid in pids {
            // It may have ended in the meantime; whoever stays is seen in the next round.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_marked_process_is_found_and_ended_and_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let mut marked = Command::new("sleep")
            .arg("1000")
            .env(MARK, directory.path())
            .spawn()
            .unwrap();
        let mut other = Command::new("sleep")
            .arg("1000")
            .env(MARK, "/elsewhere")
            .spawn()
            .unwrap();
        let none = BTreeSet::new();
        assert_eq!(owned(directory.path(), &none), [marked.id() as i32]);
        end_all(directory.path(), &none);
        assert!(marked.wait().unwrap().code().is_none());
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
