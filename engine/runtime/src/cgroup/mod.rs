//! Control groups: where a container is counted and limited (cgroups(7)).
//!
//! Both versions are real. Version 2 has one tree; version 1 has one tree for each controller, and a
//! container then has as many directories. [`Hierarchies::detect`] finds out once, in the spawner; each
//! container gets a [`Group`] made from its [`spec::Cgroup`].
//!
//! Why not the `cgroups-rs` crate: its 0.5 brings the D-Bus client of systemd along, and the start-up path
//! needs control over which file is written when (a write to `cgroup.procs` can cost 10 ms, see
//! ARCHITECTURE.md).

mod control;
mod devices;
mod v1;
mod v2;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use drydock_sys::paths;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use crate::spec;

pub use control::Usage;

/// The cgroup trees of this host, held open.
#[derive(Debug)]
pub enum Hierarchies {
    /// One tree for each controller, or group of controllers that are mounted together.
    V1(Vec<Hierarchy>),
    /// The unified tree.
    V2(OwnedFd),
}

/// One tree of version 1.
#[derive(Debug)]
pub struct Hierarchy {
    /// Where it is mounted, below /sys/fs/cgroup, for example `memory` or `cpu,cpuacct`.
    pub name: String,
    /// What it controls, for example `["cpu", "cpuacct"]`; `name=systemd` has no controller.
    pub controllers: Vec<String>,
    /// Its root directory.
    pub root: OwnedFd,
}

impl Hierarchies {
    /// Reads /proc/self/mountinfo for what is mounted below /sys/fs/cgroup.
    ///
    /// Where version 1 trees are mounted beside a version 2 tree ("hybrid"), the controllers are in the
    /// version 1 trees, so those are used.
    pub fn detect() -> io::Result<Hierarchies> {
        let mountinfo = std::fs::read_to_string("/proc/self/mountinfo")?;
        let mut first = Vec::new();
        let mut second = None;
        for line in mountinfo.lines() {
            let Some((place, kind, options)) = parse_mount(line) else {
                continue;
            };
            if !place.starts_with("/sys/fs/cgroup") {
                continue;
            }
            match kind {
                "cgroup" => first.push(v1::hierarchy(place, options)?),
                "cgroup2" if second.is_none() => second = Some(open_directory(Path::new(place))?),
                _ => {}
            }
        }
        match (first.is_empty(), second) {
            (false, _) => Ok(Hierarchies::V1(first)),
            (true, Some(root)) => Ok(Hierarchies::V2(root)),
            (true, None) => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "no cgroup file system is mounted at /sys/fs/cgroup",
            )),
        }
    }
}

/// Mount point, file system type and super block options of a line of mountinfo (proc_pid_mountinfo(5)).
fn parse_mount(line: &str) -> Option<(&str, &str, &str)> {
    let (before, after) = line.split_once(" - ")?;
    let place = before.split(' ').nth(4)?;
    let mut after = after.split(' ');
    let kind = after.next()?;
    let _source = after.next()?;
    Some((place, kind, after.next()?))
}

/// The cgroup of one container.
#[derive(Debug)]
pub struct Group {
    path: PathBuf,
    /// One directory for each tree, in the order of [`Hierarchies`].
    directories: Vec<Directory>,
    version: Version,
}

/// One directory of a group.
#[derive(Debug)]
struct Directory {
    /// The tree's root, to remove the directory by its path below it.
    root: OwnedFd,
    directory: OwnedFd,
    controllers: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

impl Group {
    /// Makes the directories and writes the limits. On failure nothing is left.
    pub fn create(
        hierarchies: &Hierarchies,
        wanted: &spec::Cgroup,
        devices: &[spec::Device],
    ) -> io::Result<Group> {
        let path = PathBuf::from(&wanted.path);
        let group = match hierarchies {
            Hierarchies::V1(trees) => v1::create(trees, path),
            Hierarchies::V2(root) => v2::create(root, path),
        }?;
        let limited = match group.version {
            Version::V1 => v1::limit(&group, wanted, devices),
            Version::V2 => v2::limit(&group, wanted, devices),
        };
        match limited {
            Ok(()) => Ok(group),
            Err(error) => {
                group.remove();
                Err(error)
            }
        }
    }

    /// The directory to be born in (CLONE_INTO_CGROUP), on version 2.
    pub fn birthplace(&self) -> Option<BorrowedFd<'_>> {
        match (self.version, self.directories.first()) {
            (Version::V2, Some(first)) => Some(first.directory.as_fd()),
            _ => None,
        }
    }

    /// Moves the calling process in. Not needed by a process that was born in [`Group::birthplace`].
    pub fn enter(&self) -> io::Result<()> {
        for directory in &self.directories {
            // "0" is the writer itself, in whichever PID namespace it is.
            write_file(&directory.directory, "cgroup.procs", "0")?;
        }
        Ok(())
    }

    /// How many processes the out-of-memory killer has ended in this group.
    pub fn out_of_memory_kills(&self) -> io::Result<u64> {
        let (file, key) = match self.version {
            Version::V1 => ("memory.oom_control", "oom_kill "),
            Version::V2 => ("memory.events", "oom_kill "),
        };
        let Some(directory) = self.controller("memory") else {
            return Ok(0);
        };
        let text = read_file(directory, file)?;
        let count = text.lines().find_map(|line| line.strip_prefix(key));
        Ok(count
            .and_then(|number| number.trim().parse().ok())
            .unwrap_or(0))
    }

    /// The processes in the group, as numbers of this process's PID namespace.
    pub fn processes(&self) -> io::Result<Vec<i32>> {
        let Some(first) = self.directories.first() else {
            return Ok(Vec::new());
        };
        let text = read_file(&first.directory, "cgroup.procs")?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Removes the directories. A directory that still has a process (a dying one, usually) is tried again
    /// for a while; what cannot be removed then is left for the next reconcile, which finds it by its name.
    pub fn remove(&self) {
        const ATTEMPTS: u32 = 50;
        for directory in self.directories.iter().rev() {
            for attempt in 0..ATTEMPTS {
                match nix::unistd::unlinkat(
                    &directory.root,
                    &self.path,
                    nix::unistd::UnlinkatFlags::RemoveDir,
                ) {
                    Err(nix::errno::Errno::EBUSY) => {
                        std::thread::sleep(std::time::Duration::from_millis(u64::from(
                            attempt.min(20),
                        )));
                    }
                    _ => break,
                }
            }
        }
    }

    /// The directory of the tree that has this controller.
    fn controller(&self, name: &str) -> Option<&OwnedFd> {
        let has = |directory: &&Directory| {
            directory
                .controllers
                .iter()
                .any(|controller| controller == name)
        };
        self.directories
            .iter()
            .find(has)
            .map(|directory| &directory.directory)
    }

    /// Writes one limit, where there is one; a limit that this kernel cannot hold is an error, never
    /// dropped silently.
    fn write_limit(&self, controller: &str, file: &str, value: Option<String>) -> io::Result<()> {
        let Some(value) = value else { return Ok(()) };
        let Some(directory) = self.controller(controller) else {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("this kernel has no {controller} cgroup controller, which {file} needs"),
            ));
        };
        write_file(directory, file, &value).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("failed to write {value:?} to {file}: {error}"),
            )
        })
    }
}

/// CPU time in each period, microseconds, from `--cpus` or `--cpu-quota`; None is unlimited.
fn cpu_quota(wanted: &spec::Cgroup) -> Option<(i64, i64)> {
    const DEFAULT_PERIOD: i64 = 100_000;
    if wanted.nano_cpus > 0 {
        return Some((
            wanted.nano_cpus / (1_000_000_000 / DEFAULT_PERIOD),
            DEFAULT_PERIOD,
        ));
    }
    if wanted.cpu_quota == 0 && wanted.cpu_period == 0 {
        return None;
    }
    let period = if wanted.cpu_period > 0 {
        wanted.cpu_period
    } else {
        DEFAULT_PERIOD
    };
    Some((
        if wanted.cpu_quota == 0 {
            -1
        } else {
            wanted.cpu_quota
        },
        period,
    ))
}

/// Memory and swap together, bytes: Docker's default is twice the memory; -1 is unlimited.
fn memory_and_swap(wanted: &spec::Cgroup) -> Option<i64> {
    match (wanted.memory, wanted.memory_swap) {
        (0, 0) => None,
        (memory, 0) => Some(memory.saturating_mul(2)),
        (_, swap) => Some(swap),
    }
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    Ok(nix::fcntl::open(
        path,
        OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )?)
}

fn write_file(directory: &OwnedFd, name: &str, value: &str) -> io::Result<()> {
    let file = paths::open_without_links(
        directory.as_fd(),
        Path::new(name),
        OFlag::O_WRONLY,
        Mode::empty(),
    )?;
    // One write for the whole value: the kernel parses each write on its own.
    File::from(file).write_all(value.as_bytes())
}

fn read_file(directory: &OwnedFd, name: &str) -> io::Result<String> {
    let file = paths::open_without_links(
        directory.as_fd(),
        Path::new(name),
        OFlag::O_RDONLY,
        Mode::empty(),
    )?;
    io::read_to_string(File::from(file))
}

/// Makes the parents and the directory itself, which must be new.
fn make_group_directory(root: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    let mode = Mode::from_bits_truncate(0o755);
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let (parent, name) = (
        path.parent().ok_or_else(invalid)?,
        path.file_name().ok_or_else(invalid)?,
    );
    let parent = paths::make_directories(root.as_fd(), parent, mode)?;
    // A directory that is left over from a start that was cut off by a power cut or a kill is empty of
    // processes; its limits are written anew.
    match nix::sys::stat::mkdirat(&parent, name, mode) {
        Ok(()) | Err(nix::errno::Errno::EEXIST) => {}
        Err(error) => return Err(error.into()),
    }
    paths::open_without_links(
        parent.as_fd(),
        Path::new(name),
        OFlag::O_PATH | OFlag::O_DIRECTORY,
        Mode::empty(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_lines() {
        let line = "37 28 0:33 / /sys/fs/cgroup/cpu rw,relatime shared:5 - cgroup cgroup rw,cpu";
        assert_eq!(
            parse_mount(line),
            Some(("/sys/fs/cgroup/cpu", "cgroup", "rw,cpu"))
        );
        assert_eq!(parse_mount("nonsense"), None);
    }

    #[test]
    fn cpus_become_a_quota() {
        let cgroup = |nano_cpus, cpu_quota, cpu_period| spec::Cgroup {
            nano_cpus,
            cpu_quota,
            cpu_period,
            ..Default::default()
        };
        assert_eq!(
            cpu_quota(&cgroup(1_500_000_000, 0, 0)),
            Some((150_000, 100_000))
        );
        assert_eq!(cpu_quota(&cgroup(0, 50_000, 0)), Some((50_000, 100_000)));
        assert_eq!(cpu_quota(&cgroup(0, 0, 20_000)), Some((-1, 20_000)));
        assert_eq!(cpu_quota(&cgroup(0, 0, 0)), None);
    }

    #[test]
    fn swap_is_twice_the_memory_unless_said() {
        let cgroup = |memory, memory_swap| spec::Cgroup {
            memory,
            memory_swap,
            ..Default::default()
        };
        assert_eq!(memory_and_swap(&cgroup(0, 0)), None);
        assert_eq!(memory_and_swap(&cgroup(64, 0)), Some(128));
        assert_eq!(memory_and_swap(&cgroup(64, -1)), Some(-1));
    }
}
