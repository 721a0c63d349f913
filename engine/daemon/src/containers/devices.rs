//! The devices of a container beyond the default ones.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use drydock_api::Error;
use drydock_api::models::HostConfig;
use drydock_runtime::spec::Device;

/// `--device`, `--device-cgroup-rule`, and all of the host's with `--privileged`.
///
/// # Errors
/// 500 with Docker's texts for what is no device.
pub fn of(host: &HostConfig) -> Result<Vec<Device>, Error> {
    let mut devices = Vec::new();
    if host.privileged == Some(true) {
        host_devices(Path::new("/dev"), &mut devices);
    }
    for mapping in host.devices.iter().flatten() {
        let source = mapping.path_on_host.clone().unwrap_or_default();
        let target = mapping
            .path_in_container
            .clone()
            .filter(|path| !path.is_empty())
            .unwrap_or_else(|| source.clone());
        let access = mapping
            .cgroup_permissions
            .clone()
            .filter(|access| !access.is_empty())
            .unwrap_or_else(|| "rwm".to_owned());
        let failed = |why: &dyn std::fmt::Display| {
            Error::system(format!(
                "error gathering device information while adding custom device \"{source}\": {why}"
            ))
        };
        let device =
            device(Path::new(&source), PathBuf::from(target), access).map_err(|error| {
                if error.kind() == std::io::ErrorKind::NotFound {
                    failed(&"no such file or directory")
                } else {
                    failed(&error)
                }
            })?;
        devices.push(device.ok_or_else(|| failed(&"not a device node"))?);
    }
    for rule in host.device_cgroup_rules.iter().flatten() {
        devices.push(device_rule(rule).ok_or_else(|| {
            Error::system(format!("invalid device cgroup rule format: '{rule}'"))
        })?);
    }
    Ok(devices)
}

fn device(source: &Path, target: PathBuf, access: String) -> std::io::Result<Option<Device>> {
    let metadata = fs::metadata(source)?;
    let kind = match metadata.file_type() {
        kind if kind.is_char_device() => 'c',
        kind if kind.is_block_device() => 'b',
        _ => return Ok(None),
    };
    let number = metadata.rdev();
    Ok(Some(Device {
        path: Some(target),
        kind,
        major: Some(nix::sys::stat::major(number)),
        minor: Some(nix::sys::stat::minor(number)),
        access,
        mode: metadata.mode() & 0o777,
    }))
}

/// All device nodes of the host, but for those that a container has of its own.
fn host_devices(directory: &Path, devices: &mut Vec<Device>) {
    const OWN: [&str; 14] = [
        "pts", "shm", "mqueue", "fd", "console", "ptmx", "null", "zero", "full", "random",
        "urandom", "tty", ".lxc", ".udev",
    ];
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if OWN.iter().any(|own| name == *own) {
            continue;
        }
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => host_devices(&path, devices),
            Ok(kind) if !kind.is_symlink() => {
                devices.extend(device(&path, path.clone(), "rwm".to_owned()).ok().flatten())
            }
            _ => {}
        }
    }
}

/// `c 42:* rmw`.
fn device_rule(rule: &str) -> Option<Device> {
    let mut parts = rule.split_whitespace();
    let (kind, numbers, access) = (parts.next()?, parts.next()?, parts.next()?);
    let (major, minor) = numbers.split_once(':')?;
    let number = |text: &str| {
        if text == "*" {
            Some(None)
        } else {
            text.parse().ok().map(Some)
        }
    };
    let known = matches!(kind, "a" | "b" | "c")
        && access.chars().all(|letter| "rwm".contains(letter))
        && parts.next().is_none();
    known.then_some(())?;
    Some(Device {
        path: None,
        kind: kind.chars().next()?,
        major: number(major)?,
        minor: number(minor)?,
        access: access.to_owned(),
        mode: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_rules() {
        let rule = device_rule("c 42:* rmw").unwrap();
        assert_eq!(
            (rule.kind, rule.major, rule.minor, rule.path),
            ('c', Some(42), None, None)
        );
        for bad in ["foo", "x 1:2 r", "c 1 r", "c 1:2 q", "c 1:2 r extra"] {
            assert!(device_rule(bad).is_none(), "{bad}");
        }
    }
}
