//! Where and when a run took place: what a reader needs to judge a difference.
//!
//! Read from /proc and /etc/os-release (proc(5), os-release(5)). What cannot be read is "unknown", not an error: the
//! report of an hour's run must not fail for a line of its head.

use chrono::{DateTime, SubsecRound, Utc};
use serde::Serialize;

/// A machine and a time.
#[derive(Clone, Debug, Serialize)]
pub struct Setting {
    /// When, in UTC.
    pub date: DateTime<Utc>,
    /// The distribution.
    pub system: String,
    /// The kernel's release and the architecture.
    pub kernel: String,
    /// How many processors, and which.
    pub processors: String,
    /// The memory in GiB.
    pub memory: String,
    /// Which versions of control groups are mounted.
    pub cgroups: String,
}

impl Setting {
    /// This host, now.
    pub fn here() -> Setting {
        Setting {
            date: DateTime::<Utc>::from(std::time::SystemTime::now()).trunc_subsecs(0),
            system: value_of("/etc/os-release", "PRETTY_NAME", '=')
                .map_or_else(unknown, |name| name.trim_matches('"').to_owned()),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease").map_or_else(
                |_| unknown(),
                |release| format!("{} ({})", release.trim(), std::env::consts::ARCH),
            ),
            processors: processors(),
            memory: value_of("/proc/meminfo", "MemTotal", ':')
                .and_then(|value| value.trim_end_matches("kB").trim().parse::<f64>().ok())
                .map_or_else(unknown, |kib| format!("{:.1} GiB", kib / 1024.0 / 1024.0)),
            cgroups: cgroups().to_owned(),
        }
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// The value of the first line `KEY<separator>VALUE` of a file.
fn value_of(path: &str, key: &str, separator: char) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let mut pairs = text.lines().filter_map(|line| line.split_once(separator));
    let (_, value) = pairs.find(|(name, _)| name.trim() == key)?;
    Some(value.trim().to_owned())
}

fn processors() -> String {
    let number = std::thread::available_parallelism().map_or(1, usize::from);
    match value_of("/proc/cpuinfo", "model name", ':') {
        Some(model) => format!("{number} × {model}"),
        None => number.to_string(),
    }
}

/// Which version of control groups (cgroups(7)): version 2 alone has this file in its root; version 1 beside an empty
/// version 2 has it one directory deeper, where systemd's hybrid layout mounts it.
fn cgroups() -> &'static str {
    let exists = |path: &str| std::path::Path::new(path).exists();
    if exists("/sys/fs/cgroup/cgroup.controllers") {
        "version 2"
    } else if exists("/sys/fs/cgroup/unified/cgroup.controllers") {
        "version 1, with version 2 beside it"
    } else if exists("/sys/fs/cgroup") {
        "version 1"
    } else {
        "none"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_says_what_it_is() {
        let setting = Setting::here();
        assert!(setting.kernel.contains(std::env::consts::ARCH));
        assert!(
            setting
                .processors
                .starts_with(|first: char| first.is_ascii_digit())
        );
        assert_eq!(setting.date.timestamp_subsec_nanos(), 0);
    }

    #[test]
    fn values_are_found_by_their_whole_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        std::fs::write(&path, "NAME2=x\nNAME=\"y\"\n").unwrap();
        let path = path.to_str().unwrap();
        assert_eq!(value_of(path, "NAME", '=').as_deref(), Some("\"y\""));
        assert_eq!(value_of(path, "AME", '='), None);
        assert_eq!(value_of("/no/such/file", "NAME", '='), None);
    }
}
