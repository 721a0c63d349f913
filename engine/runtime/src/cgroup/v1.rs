//! cgroup version 1: a tree for each controller (Documentation/admin-guide/cgroup-v1 of the kernel).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::{
    Directory, Group, Hierarchy, Version, cpu_quota, devices, make_group_directory,
    memory_and_swap, write_file,
};
use crate::spec;

/// Mount options that are not controllers.
const NOT_CONTROLLERS: [&str; 6] = [
    "rw",
    "ro",
    "xattr",
    "noprefix",
    "clone_children",
    "cpuset_v2_mode",
];

/// A tree, from its mount point and super block options.
pub(super) fn hierarchy(place: &str, options: &str) -> io::Result<Hierarchy> {
    let controllers = options
        .split(',')
        .filter(|option| !NOT_CONTROLLERS.contains(option) && !option.starts_with("release_agent="))
        .map(str::to_owned)
        .collect();
    let name = Path::new(place)
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    Ok(Hierarchy {
        name,
        controllers,
        root: super::open_directory(Path::new(place))?,
    })
}

/// Makes the directories, one for each tree.
pub(super) fn create(trees: &[Hierarchy], path: PathBuf) -> io::Result<Group> {
    let mut group = Group {
        path,
        directories: Vec::new(),
        version: Version::V1,
    };
    for tree in trees {
        match directory(tree, &group.path) {
            Ok(directory) => group.directories.push(directory),
            Err(error) => {
                group.remove();
                let message = format!(
                    "failed to make the cgroup {} in {}: {error}",
                    group.path.display(),
                    tree.name
                );
                return Err(io::Error::new(error.kind(), message));
            }
        }
    }
    Ok(group)
}

fn directory(tree: &Hierarchy, path: &Path) -> io::Result<Directory> {
    let root = tree.root.try_clone()?;
    if tree
        .controllers
        .iter()
        .any(|controller| controller == "cpuset")
    {
        inherit_cpuset(&root, path)?;
    }
    let directory = make_group_directory(&root, path)?;
    Ok(Directory {
        root,
        directory,
        controllers: tree.controllers.clone(),
    })
}

/// A new cpuset is empty, and a process cannot enter an empty one. With `clone_children` on the parents a
/// child starts with its parent's processors and memory nodes; the parents themselves are filled here, once.
fn inherit_cpuset(root: &OwnedFd, path: &Path) -> io::Result<()> {
    let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    else {
        return Ok(());
    };
    let flags = nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_DIRECTORY;
    let none = nix::sys::stat::Mode::empty();
    if drydock_sys::paths::open_without_links(root.as_fd(), parent, flags, none).is_ok() {
        return Ok(());
    }
    let (processors, nodes) = (
        super::read_file(root, "cpuset.cpus")?,
        super::read_file(root, "cpuset.mems")?,
    );
    for ancestor in ancestors_from_top(parent) {
        let directory = make_group_directory(root, &ancestor)?;
        write_file(&directory, "cgroup.clone_children", "1")?;
        write_file(&directory, "cpuset.cpus", processors.trim())?;
        write_file(&directory, "cpuset.mems", nodes.trim())?;
    }
    Ok(())
}

/// `a/b` as `a`, `a/b`.
fn ancestors_from_top(path: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = path
        .ancestors()
        .filter(|part| !part.as_os_str().is_empty())
        .map(Path::to_path_buf)
        .collect();
    all.reverse();
    all
}

/// Writes the limits, and which devices may be used.
pub(super) fn limit(
    group: &Group,
    wanted: &spec::Cgroup,
    extra_devices: &[spec::Device],
) -> io::Result<()> {
    resources(group, wanted)?;
    if wanted.all_devices {
        return Ok(());
    }
    // A container with every device of the host is no container: without the controller there is no start.
    group.write_limit("devices", "devices.deny", Some("a".to_owned()))?;
    for rule in devices::rules(extra_devices) {
        group.write_limit(
            "devices",
            if rule.allow {
                "devices.allow"
            } else {
                "devices.deny"
            },
            Some(rule.to_string()),
        )?;
    }
    Ok(())
}

/// Writes the limits of what can be used up.
pub(super) fn resources(group: &Group, wanted: &spec::Cgroup) -> io::Result<()> {
    let positive = |value: i64| (value > 0).then(|| value.to_string());
    group.write_limit("memory", "memory.limit_in_bytes", positive(wanted.memory))?;
    group.write_limit(
        "memory",
        "memory.soft_limit_in_bytes",
        positive(wanted.memory_reservation),
    )?;
    limit_swap(group, wanted)?;
    group.write_limit("cpu", "cpu.shares", positive(wanted.cpu_shares))?;
    if let Some((quota, period)) = cpu_quota(wanted) {
        group.write_limit("cpu", "cpu.cfs_period_us", Some(period.to_string()))?;
        group.write_limit("cpu", "cpu.cfs_quota_us", Some(quota.to_string()))?;
    }
    let text = |value: &String| (!value.is_empty()).then(|| value.clone());
    group.write_limit("cpuset", "cpuset.cpus", text(&wanted.cpuset_cpus))?;
    group.write_limit("cpuset", "cpuset.mems", text(&wanted.cpuset_mems))?;
    group.write_limit("pids", "pids.max", positive(wanted.pids_limit))
}

/// The combined limit, where the kernel accounts for swap at all; Docker ignores it elsewhere, too, when the
/// user did not ask for it.
fn limit_swap(group: &Group, wanted: &spec::Cgroup) -> io::Result<()> {
    let Some(value) = memory_and_swap(wanted) else {
        return Ok(());
    };
    match group.write_limit(
        "memory",
        "memory.memsw.limit_in_bytes",
        Some(value.to_string()),
    ) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && wanted.memory_swap == 0 => Ok(()),
        other => other,
    }
}
