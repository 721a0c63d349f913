//! A group whose processes run: it is frozen and thawed, its limits are changed, and its use is read.
//!
//! Freezing is asynchronous in the kernel: the order is given by one write, and a process that is on its way through
//! the kernel stops when it comes out. Whoever asked is answered when all of them stand still.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Group, Version, memory_and_swap, read_file, v1, v2, write_file};
use crate::spec;

/// How long all processes of a group may take to stand still. They mostly need a millisecond; one that hangs in the
/// kernel (a dead NFS server) may need for ever.
const FREEZE_PATIENCE: Duration = Duration::from_secs(2);

/// What a group has used so far, in the units of the kernel's files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Version 1 or 2: what `memory_stats` means differs.
    pub version: u32,
    /// Processor time, nanoseconds.
    pub cpu_total: u64,
    /// Of it in the kernel, nanoseconds.
    pub cpu_kernel: u64,
    /// Of it in programs, nanoseconds.
    pub cpu_user: u64,
    /// For each processor, nanoseconds; only version 1 has it.
    pub cpu_each: Vec<u64>,
    /// Periods of the quota that have passed, were throttled, and for how many nanoseconds.
    pub throttling: [u64; 3],
    /// Bytes of memory, page cache included.
    pub memory: u64,
    /// The most that it ever was; only version 1 has it.
    pub memory_peak: Option<u64>,
    /// How often the limit was met.
    pub memory_failures: u64,
    /// The limit in bytes; None is unlimited.
    pub memory_limit: Option<u64>,
    /// memory.stat.
    pub memory_details: BTreeMap<String, u64>,
    /// Processes and threads.
    pub processes: u64,
    /// Their limit; None is unlimited.
    pub processes_limit: Option<u64>,
    /// Device (major, minor), operation (`read`, `write`, …), bytes.
    pub block_bytes: Vec<(u64, u64, String, u64)>,
}

impl Group {
    /// Stops all processes, or lets them go on.
    ///
    /// # Errors
    /// The operating system's; no freezer on this host; not all processes stand still. Then none does.
    pub fn freeze(&self, frozen: bool) -> io::Result<()> {
        if let Err(error) = self.order_freeze(frozen) {
            if frozen {
                // Half frozen is worse than not frozen; the first error is the one to tell.
                let _ = self.order_freeze(false);
            }
            return Err(error);
        }
        Ok(())
    }

    fn order_freeze(&self, frozen: bool) -> io::Result<()> {
        let (directory, file, order, state, reached) = match self.version {
            Version::V1 => {
                let word = if frozen { "FROZEN" } else { "THAWED" };
                let none = || {
                    io::Error::new(
                        io::ErrorKind::Unsupported,
                        "this kernel has no freezer cgroup controller",
                    )
                };
                let directory = self.controller("freezer").ok_or_else(none)?;
                (
                    directory,
                    "freezer.state",
                    word,
                    "freezer.state",
                    word.to_owned(),
                )
            }
            Version::V2 => {
                let number = if frozen { "1" } else { "0" };
                let gone = || io::Error::from(io::ErrorKind::NotFound);
                let directory = &self.directories.first().ok_or_else(gone)?.directory;
                (
                    directory,
                    "cgroup.freeze",
                    number,
                    "cgroup.events",
                    format!("frozen {number}"),
                )
            }
        };
        let deadline = Instant::now() + FREEZE_PATIENCE;
        loop {
            // Again and again: version 1 stays at FREEZING when a process forks at the wrong moment.
            write_file(directory, file, order)?;
            if read_file(directory, state)?
                .lines()
                .any(|line| line == reached)
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "its processes do not stand still",
                ));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Writes limits anew. A value of 0 leaves a limit as it is.
    ///
    /// # Errors
    /// The operating system's, with the file and the value.
    pub fn update(&self, wanted: &spec::Cgroup) -> io::Result<()> {
        match self.version {
            Version::V1 => {
                self.make_room_for_memory(wanted)?;
                v1::resources(self, wanted)
            }
            Version::V2 => v2::resources(self, wanted),
        }
    }

    /// In version 1 the limit with swap may never be below the one without, so a larger one goes first. A smaller one
    /// goes last, which is the usual order.
    fn make_room_for_memory(&self, wanted: &spec::Cgroup) -> io::Result<()> {
        const FILE: &str = "memory.memsw.limit_in_bytes";
        let (Some(directory), Some(swap)) = (self.controller("memory"), memory_and_swap(wanted))
        else {
            return Ok(());
        };
        let Ok(now) = read_file(directory, FILE) else {
            return Ok(());
        };
        match (u64::try_from(swap), now.trim().parse::<u64>()) {
            (Ok(swap), Ok(now)) if swap <= now => Ok(()),
            _ => write_file(directory, FILE, &swap.to_string()),
        }
    }

    /// What it has used so far. A file that this kernel does not have counts as nothing.
    pub fn usage(&self) -> Usage {
        match self.version {
            Version::V1 => self.usage_of_version_1(),
            Version::V2 => self.usage_of_version_2(),
        }
    }

    fn text(&self, controller: &str, file: &str) -> String {
        let directory = self.controller(controller);
        directory
            .and_then(|directory| read_file(directory, file).ok())
            .unwrap_or_default()
    }

    fn number(&self, controller: &str, file: &str) -> Option<u64> {
        self.text(controller, file).trim().parse().ok()
    }

    fn usage_of_version_1(&self) -> Usage {
        // Clock ticks of 10 ms on every architecture that matters (USER_HZ).
        const TICK: u64 = 10_000_000;
        let accounting = pairs(&self.text("cpuacct", "cpuacct.stat"));
        let throttling = pairs(&self.text("cpu", "cpu.stat"));
        let get = |map: &BTreeMap<String, u64>, key: &str| map.get(key).copied().unwrap_or(0);
        let each = self.text("cpuacct", "cpuacct.usage_percpu");
        // The kernel's "unlimited" is the largest number of pages that it can hold.
        let limit = self.number("memory", "memory.limit_in_bytes");
        Usage {
            version: 1,
            cpu_total: self.number("cpuacct", "cpuacct.usage").unwrap_or(0),
            cpu_kernel: get(&accounting, "system") * TICK,
            cpu_user: get(&accounting, "user") * TICK,
            cpu_each: each
                .split_whitespace()
                .filter_map(|number| number.parse().ok())
                .collect(),
            throttling: ["nr_periods", "nr_throttled", "throttled_time"]
                .map(|key| get(&throttling, key)),
            memory: self.number("memory", "memory.usage_in_bytes").unwrap_or(0),
            memory_peak: self.number("memory", "memory.max_usage_in_bytes"),
            memory_failures: self.number("memory", "memory.failcnt").unwrap_or(0),
            memory_limit: limit.filter(|limit| *limit < 1 << 62),
            memory_details: pairs(&self.text("memory", "memory.stat")),
            processes: self.number("pids", "pids.current").unwrap_or(0),
            processes_limit: self.number("pids", "pids.max"),
            block_bytes: operations(
                &self.text("blkio", "blkio.throttle.io_service_bytes_recursive"),
            ),
        }
    }

    fn usage_of_version_2(&self) -> Usage {
        let cpu = pairs(&self.text("cpu", "cpu.stat"));
        let get = |key: &str| cpu.get(key).copied().unwrap_or(0);
        let events = pairs(&self.text("memory", "memory.events"));
        Usage {
            version: 2,
            cpu_total: get("usage_usec") * 1000,
            cpu_kernel: get("system_usec") * 1000,
            cpu_user: get("user_usec") * 1000,
            cpu_each: Vec::new(),
            throttling: [
                get("nr_periods"),
                get("nr_throttled"),
                get("throttled_usec") * 1000,
            ],
            memory: self.number("memory", "memory.current").unwrap_or(0),
            memory_peak: None,
            memory_failures: events.get("oom").copied().unwrap_or(0),
            memory_limit: self.number("memory", "memory.max"),
            memory_details: pairs(&self.text("memory", "memory.stat")),
            processes: self.number("pids", "pids.current").unwrap_or(0),
            processes_limit: self.number("pids", "pids.max"),
            block_bytes: keyed_operations(&self.text("io", "io.stat")),
        }
    }
}

/// Lines of a word and a number.
fn pairs(text: &str) -> BTreeMap<String, u64> {
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

/// `8:0`.
fn device(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Version 1's `8:0 Read 4096`; the sum of all devices at its end is left out.
fn operations(text: &str) -> Vec<(u64, u64, String, u64)> {
    let operation = |line: &str| {
        let mut words = line.split_whitespace();
        let (major, minor) = device(words.next()?)?;
        let word = words.next()?.to_owned();
        Some((major, minor, word, words.next()?.parse().ok()?))
    };
    text.lines().filter_map(operation).collect()
}

/// Version 2's `8:0 rbytes=4096 wbytes=0 …`.
fn keyed_operations(text: &str) -> Vec<(u64, u64, String, u64)> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some((major, minor)) = words.next().and_then(device) else {
            continue;
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let operation = match key {
                "rbytes" => "read",
                "wbytes" => "write",
                _ => continue,
            };
            if let Ok(bytes) = value.parse() {
                found.push((major, minor, operation.to_owned(), bytes));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read() {
        assert_eq!(pairs("user 3\nsystem 4\nbad\n").get("system"), Some(&4));
        assert_eq!(
            operations("8:0 Read 4096\n8:0 Write 0\n8:0 Total 4096\nTotal 4096\n"),
            [
                (8, 0, "Read".into(), 4096),
                (8, 0, "Write".into(), 0),
                (8, 0, "Total".into(), 4096)
            ]
        );
        assert_eq!(
            keyed_operations("254:0 rbytes=1 wbytes=2 rios=3\n"),
            [(254, 0, "read".into(), 1), (254, 0, "write".into(), 2)]
        );
    }
}
