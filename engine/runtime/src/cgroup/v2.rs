//! cgroup version 2: one tree (Documentation/admin-guide/cgroup-v2.rst of the kernel).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::{
    Directory, Group, Version, cpu_quota, devices, make_group_directory, memory_and_swap,
    read_file, write_file,
};
use crate::spec;

/// The controllers that a container's limits can need.
const WANTED: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];

/// Makes the directory, with the controllers switched on for it all the way down.
pub(super) fn create(root: &OwnedFd, path: PathBuf) -> io::Result<Group> {
    let named = |error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("failed to make the cgroup {}: {error}", path.display()),
        )
    };
    let controllers = delegate(root, &path).map_err(named)?;
    let directory = make_group_directory(root, &path).map_err(named)?;
    let directory = Directory {
        root: root.try_clone()?,
        directory,
        controllers,
    };
    Ok(Group {
        path,
        directories: vec![directory],
        version: Version::V2,
    })
}

/// Switches controllers on for the children of every ancestor (`cgroup.subtree_control`); returns those that
/// are available.
fn delegate(root: &OwnedFd, path: &Path) -> io::Result<Vec<String>> {
    let available: Vec<String> = read_file(root, "cgroup.controllers")?
        .split_whitespace()
        .filter(|name| WANTED.contains(name))
        .map(str::to_owned)
        .collect();
    let enable = available
        .iter()
        .map(|name| format!("+{name}"))
        .collect::<Vec<_>>()
        .join(" ");
    let mut directory = root.try_clone()?;
    for part in path.parent().into_iter().flat_map(Path::components) {
        switch_on(&directory, &available, &enable)?;
        directory = drydock_sys::paths::make_directories(
            directory.as_fd(),
            Path::new(&part),
            nix::sys::stat::Mode::from_bits_truncate(0o755),
        )?;
    }
    switch_on(&directory, &available, &enable)?;
    Ok(available)
}

/// A write that changes nothing still takes the kernel's lock, so look first.
fn switch_on(directory: &OwnedFd, available: &[String], enable: &str) -> io::Result<()> {
    let on = read_file(directory, "cgroup.subtree_control")?;
    if enable.is_empty()
        || available
            .iter()
            .all(|name| on.split_whitespace().any(|other| other == name))
    {
        return Ok(());
    }
    write_file(directory, "cgroup.subtree_control", enable)
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
    let program = devices::program(&devices::rules(extra_devices));
    let Some(first) = group.directories.first() else {
        return Ok(());
    };
    drydock_sys::bpf::attach_device_program(first.directory.as_fd(), &program).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("failed to attach the device rules: {error}"),
        )
    })
}

/// Writes the limits of what can be used up.
pub(super) fn resources(group: &Group, wanted: &spec::Cgroup) -> io::Result<()> {
    let positive = |value: i64| (value > 0).then(|| value.to_string());
    group.write_limit("memory", "memory.max", positive(wanted.memory))?;
    group.write_limit("memory", "memory.low", positive(wanted.memory_reservation))?;
    if let Some(total) = memory_and_swap(wanted) {
        group.write_limit(
            "memory",
            "memory.swap.max",
            Some(swap_alone(total, wanted.memory)),
        )?;
    }
    group.write_limit(
        "cpu",
        "cpu.weight",
        (wanted.cpu_shares > 0).then(|| weight(wanted.cpu_shares).to_string()),
    )?;
    if let Some((quota, period)) = cpu_quota(wanted) {
        let quota = if quota < 0 {
            "max".to_owned()
        } else {
            quota.to_string()
        };
        group.write_limit("cpu", "cpu.max", Some(format!("{quota} {period}")))?;
    }
    let text = |value: &String| (!value.is_empty()).then(|| value.clone());
    group.write_limit("cpuset", "cpuset.cpus", text(&wanted.cpuset_cpus))?;
    group.write_limit("cpuset", "cpuset.mems", text(&wanted.cpuset_mems))?;
    group.write_limit("pids", "pids.max", positive(wanted.pids_limit))
}

/// Version 2 counts swap apart from memory.
fn swap_alone(total: i64, memory: i64) -> String {
    if total < 0 {
        "max".to_owned()
    } else {
        (total - memory).max(0).to_string()
    }
}

/// cpu.weight (1 to 10000) from version 1's shares (2 to 262144), by the formula that runc and crun use.
fn weight(shares: i64) -> i64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_a_weight() {
        assert_eq!((weight(2), weight(1024), weight(262_144)), (1, 39, 10_000));
    }

    #[test]
    fn swap_is_counted_apart() {
        assert_eq!(
            (swap_alone(-1, 5), swap_alone(10, 4), swap_alone(3, 4)),
            ("max".into(), "6".into(), "0".into())
        );
    }
}
