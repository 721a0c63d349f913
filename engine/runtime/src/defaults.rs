//! Docker's default masked and read-only paths, for containers that are neither privileged nor given lists of
//! their own (`HostConfig.MaskedPaths` and `ReadonlyPaths`).
//!
//! The other defaults live where they are used: the mounts in `rootfs`, the device nodes in `devices`, the
//! device rules in [`crate::cgroup`], the capabilities in [`crate::capabilities`], the system calls in
//! [`crate::seccomp`].

use std::{fs, path::Path};

/// Hidden from the container, in the order of Docker's `inspect`. They tell about the host, or act on it.
pub const MASKED_PATHS: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Not writable in the container.
pub const READONLY_PATHS: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// [`MASKED_PATHS`], and for each processor of this host the counters of its thermal interrupts, where the
/// processor has them: like /proc/interrupts they are a clock that is fine enough to spy on others
/// (GHSA-6fw5-f8r9-fgfm).
pub fn masked_paths() -> Vec<String> {
    let mut paths: Vec<String> = MASKED_PATHS.map(str::to_owned).into();
    paths.extend(
        thermal_paths(Path::new("/sys"))
            .into_iter()
            .map(|path| format!("/sys/{path}")),
    );
    paths
}

/// Relative to where sysfs is. A host without the list of processors has no such counters either.
fn thermal_paths(sysfs: &Path) -> Vec<String> {
    let possible =
        fs::read_to_string(sysfs.join("devices/system/cpu/possible")).unwrap_or_default();
    processors(&possible)
        .map(|number| format!("devices/system/cpu/cpu{number}/thermal_throttle"))
        .filter(|path| sysfs.join(path).exists())
        .collect()
}

/// The numbers in a list like `0-3,8,10-11` (cpuset(7), "List format").
fn processors(list: &str) -> impl Iterator<Item = u32> {
    list.trim()
        .split(',')
        .filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.parse().ok()?..=last.parse().ok()?)
        })
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lists_of_processors() {
        let numbers = |list: &str| processors(list).collect::<Vec<u32>>();
        assert_eq!(numbers("0-1\n"), [0, 1]);
        assert_eq!(numbers("0-3,8,10-11"), [0, 1, 2, 3, 8, 10, 11]);
        assert_eq!(numbers("0"), [0]);
        assert_eq!(numbers(""), [0u32; 0]);
    }

    #[test]
    fn masks_the_counters_of_the_processors_that_have_them() {
        let sysfs = tempfile::tempdir().expect("a temporary folder");
        let cpu = sysfs.path().join("devices/system/cpu");
        fs::create_dir_all(cpu.join("cpu0/thermal_throttle")).expect("a folder");
        fs::create_dir_all(cpu.join("cpu1")).expect("a folder");
        fs::create_dir_all(cpu.join("cpu2/thermal_throttle")).expect("a folder");
        fs::write(cpu.join("possible"), "0-2\n").expect("a file");
        let found = thermal_paths(sysfs.path());
        assert_eq!(
            found,
            [
                "devices/system/cpu/cpu0/thermal_throttle",
                "devices/system/cpu/cpu2/thermal_throttle"
            ]
        );
        assert!(masked_paths().starts_with(&MASKED_PATHS.map(str::to_owned)));
    }
}
