//! /sys/fs/cgroup as the container sees it: its own cgroups, read-only.
//!
//! In its own cgroup namespace a mount of a cgroup file system shows the container's cgroup as the root, so
//! no path of the host can be seen or reached (cgroup_namespaces(7)). With `--cgroupns host` the
//! container's mount shows the whole tree, as in Docker, still read-only.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

use drydock_sys::mounts::MountAttributes;
use nix::sys::stat::Mode;
use nix::unistd::symlinkat;

use crate::cgroup::Hierarchies;
use crate::rootfs::{Context, mount_new};

const PLACE: &str = "/sys/fs/cgroup";

/// Mounts what this host has.
pub fn mount_all(
    root: &OwnedFd,
    hierarchies: &Hierarchies,
    attributes: MountAttributes,
) -> Result<(), String> {
    let trees = match hierarchies {
        Hierarchies::V2(_) => return mount_new(root, PLACE, c"cgroup2", &[], attributes).map(drop),
        Hierarchies::V1(trees) => trees,
    };
    let place = mount_new(
        root,
        PLACE,
        c"tmpfs",
        &[(c"mode", c"755")],
        MountAttributes::NO_SET_ID | MountAttributes::NO_DEVICES | MountAttributes::NO_EXECUTE,
    )?;
    for tree in trees {
        let describe = || format!("failed to mount the cgroup tree {}", tree.name);
        nix::sys::stat::mkdirat(&place, tree.name.as_str(), Mode::from_bits_truncate(0o755))
            .context(describe)?;
        let options = options(&tree.controllers).context(describe)?;
        let borrowed: Vec<(&CStr, &CStr)> = options
            .iter()
            .map(|(key, value)| (key.as_c_str(), value.as_c_str()))
            .collect();
        mount_new(
            root,
            &format!("{PLACE}/{}", tree.name),
            c"cgroup",
            &borrowed,
            attributes,
        )?;
        // `cpu,cpuacct` is found as `cpu` and as `cpuacct`, too.
        for controller in tree
            .controllers
            .iter()
            .filter(|controller| tree.name.contains(',') && !controller.contains('='))
        {
            symlinkat(tree.name.as_str(), &place, controller.as_str()).context(describe)?;
        }
    }
    // The mount points are made; nothing else may be written there.
    let change = drydock_sys::mounts::Change {
        set: MountAttributes::READONLY,
        ..Default::default()
    };
    drydock_sys::mounts::change(place.as_fd(), change)
        .context(|| format!("failed to make {PLACE} read-only"))?;
    Ok(())
}

/// `cpu` is a flag, `name=systemd` a setting.
fn options(controllers: &[String]) -> Result<Vec<(CString, CString)>, std::ffi::NulError> {
    controllers
        .iter()
        .map(|controller| {
            let (key, value) = controller.split_once('=').unwrap_or((controller, ""));
            Ok((CString::new(key)?, CString::new(value)?))
        })
        .collect()
}
