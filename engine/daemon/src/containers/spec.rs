//! From Docker's `Config` and `HostConfig` to what the shim starts.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use drydock_api::Error;
use drydock_api::models::HostConfig;
use drydock_runtime::seccomp::{self, Architecture};
use drydock_runtime::spec::{
    Cgroup, Device, Mount, Namespaces, NetworkNamespace, Process, Rootfs, Spec,
};
use drydock_sys::mounts::open_tree_clone;

use super::mounts::Wanted;
use super::security::{self, Seccomp};
use super::{Container, Record, mounts};
use crate::engine::Engine;

/// Docker's PATH for an image that has none.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What goes into the frame of a start, apart from the network.
pub struct Prepared {
    /// The container.
    pub spec: Spec,
    /// The descriptors of its binds, in the order of the spec's mounts.
    pub binds: Vec<OwnedFd>,
}

/// The capabilities of a container.
///
/// # Errors
/// 400 with Docker's text for an unknown name.
pub fn capabilities(host: &HostConfig) -> Result<u64, Error> {
    let list = |names: &Option<Vec<String>>| names.clone().unwrap_or_default();
    drydock_runtime::capabilities::resolve(
        &list(&host.cap_add),
        &list(&host.cap_drop),
        host.privileged == Some(true),
    )
    .map_err(Error::invalid)
}

/// Builds the spec. Makes missing sources of binds, as Docker.
///
/// # Errors
/// Docker's statuses and texts for what only shows at the start.
pub fn prepare(
    engine: &Engine,
    container: &Container,
    record: &Record,
    layers: Vec<PathBuf>,
) -> Result<Prepared, Error> {
    let host = record.host();
    let privileged = host.privileged == Some(true);
    let (mut mounts, binds) = open_mounts(&mounts::read(&host)?)?;
    for name in ["resolv.conf", "hostname", "hosts"] {
        let target = PathBuf::from("/etc").join(name);
        // The user's own file stays.
        let taken = mounts.iter().any(|mount| mount_target(mount) == target);
        if !taken {
            mounts.push(Mount::EngineFile {
                source: container.file(name),
                target,
            });
        }
    }
    let spec = Spec {
        id: record.id.clone(),
        hostname: record.config_text("Hostname").to_owned(),
        domainname: record.config_text("Domainname").to_owned(),
        rootfs: Rootfs {
            layers,
            upper: container.upper(),
            work: container.file("rw/work"),
            readonly: host.readonly_rootfs == Some(true),
        },
        namespaces: namespaces(record, &host),
        mounts,
        shm_size: host
            .shm_size
            .and_then(|size| u64::try_from(size).ok())
            .unwrap_or(64 << 20),
        masked_paths: host.masked_paths.clone().unwrap_or_default(),
        readonly_paths: host.readonly_paths.clone().unwrap_or_default(),
        privileged,
        devices: devices(&host)?,
        sysctls: sysctls(record, &host)?,
        cgroup: cgroup(engine, record, &host),
        process: process(record, &host)?,
    };
    Ok(Prepared { spec, binds })
}

fn mount_target(mount: &Mount) -> &Path {
    match mount {
        Mount::EngineFile { target, .. }
        | Mount::Descriptor { target, .. }
        | Mount::Tmpfs { target, .. } => target,
    }
}

fn open_mounts(wanted: &[Wanted]) -> Result<(Vec<Mount>, Vec<OwnedFd>), Error> {
    let mut mounts = Vec::new();
    let mut descriptors = Vec::new();
    for one in wanted {
        match one {
            Wanted::Tmpfs {
                target, options, ..
            } => mounts.push(Mount::Tmpfs {
                target: target.clone(),
                options: options.clone(),
            }),
            Wanted::Bind {
                source,
                target,
                readonly,
                create_source,
                ..
            } => {
                descriptors.push(open_source(source, *create_source)?);
                mounts.push(Mount::Descriptor {
                    target: target.clone(),
                    readonly: *readonly,
                });
            }
        }
    }
    Ok((mounts, descriptors))
}

fn open_source(source: &Path, create: bool) -> Result<OwnedFd, Error> {
    let failed = |what: &str, error: std::io::Error| {
        Error::system(format!("{what} '{}': {error}", source.display()))
    };
    if create && !source.exists() {
        fs::create_dir_all(source)
            .map_err(|error| failed("error while creating mount source path", error))?;
    }
    if !source.exists() {
        return Err(Error::invalid(format!(
            "invalid mount config for type \"bind\": bind source path does not exist: {}",
            source.display()
        )));
    }
    open_tree_clone(source).map_err(|error| failed("error opening mount source path", error))
}

fn namespaces(record: &Record, host: &HostConfig) -> Namespaces {
    let is_host = |mode: &Option<String>| mode.as_deref() == Some("host");
    let cgroup = host
        .cgroupns_mode
        .map(|mode| mode.to_string())
        .unwrap_or_default();
    Namespaces {
        network: if record.network_mode() == "host" {
            NetworkNamespace::Host
        } else {
            NetworkNamespace::Descriptor
        },
        pid: !is_host(&host.pid_mode),
        ipc: !is_host(&host.ipc_mode),
        uts: !is_host(&host.uts_mode),
        cgroup: cgroup != "host",
    }
}

fn cgroup(engine: &Engine, record: &Record, host: &HostConfig) -> Cgroup {
    Cgroup {
        path: format!("{}/{}", engine.settings.cgroup_parent(), record.id),
        memory: host.memory.unwrap_or(0),
        memory_swap: host.memory_swap.unwrap_or(0),
        memory_reservation: host.memory_reservation.unwrap_or(0),
        nano_cpus: host.nano_cpus.unwrap_or(0),
        cpu_shares: host.cpu_shares.unwrap_or(0),
        cpu_quota: host.cpu_quota.unwrap_or(0),
        cpu_period: host.cpu_period.unwrap_or(0),
        cpuset_cpus: host.cpuset_cpus.clone().unwrap_or_default(),
        cpuset_mems: host.cpuset_mems.clone().unwrap_or_default(),
        pids_limit: host.pids_limit.unwrap_or(0),
        all_devices: host.privileged == Some(true),
    }
}

fn process(record: &Record, host: &HostConfig) -> Result<Process, Error> {
    let terminal = record.config_truth("Tty");
    let console = host.console_size.as_deref().unwrap_or_default();
    let size = |index: usize| {
        console
            .get(index)
            .and_then(|size| u16::try_from(*size).ok())
            .filter(|size| *size > 0)
    };
    let security = security::read(host.security_opt.as_deref().unwrap_or_default())?;
    let capabilities = capabilities(host)?;
    Ok(Process {
        args: std::iter::once(record.path.clone())
            .chain(record.args.iter().cloned())
            .collect(),
        env: environment(record, terminal),
        cwd: record.config_text("WorkingDir").to_owned(),
        user: record.config_text("User").to_owned(),
        additional_groups: host.group_add.clone().unwrap_or_default(),
        capabilities,
        ambient: false,
        no_new_privileges: security.no_new_privileges,
        seccomp: filter(
            &security.seccomp,
            capabilities,
            host.privileged == Some(true),
        )?,
        rlimits: limits(host),
        oom_score_adj: host
            .oom_score_adj
            .and_then(|score| i32::try_from(score).ok())
            .filter(|score| *score != 0),
        terminal,
        console_size: size(0).zip(size(1)),
    })
}

/// The environment in Docker's order: PATH, HOSTNAME, TERM, then the container's own, which replace them.
pub fn environment(record: &Record, terminal: bool) -> Vec<String> {
    let mut environment = vec![
        PATH.to_owned(),
        format!("HOSTNAME={}", record.config_text("Hostname")),
    ];
    if terminal {
        environment.push("TERM=xterm".to_owned());
    }
    replace(&mut environment, record.config_list("Env"));
    environment
}

/// Sets variables: one that is there is replaced in its place, `NAME` without a value removes it.
pub fn replace(environment: &mut Vec<String>, more: Vec<String>) {
    for variable in more {
        let name = variable.split('=').next().unwrap_or("").to_owned();
        let at = environment
            .iter()
            .position(|known| known.split('=').next() == Some(&name));
        match (at, variable.contains('=')) {
            (Some(at), true) => environment[at] = variable,
            (Some(at), false) => {
                environment.remove(at);
            }
            (None, true) => environment.push(variable),
            (None, false) => {}
        }
    }
}

/// The system call filter. Where the kernel or the profile does not allow one, nothing is started.
///
/// # Errors
/// 500 with Docker's text for a bad profile.
pub fn filter(
    wanted: &Seccomp,
    capabilities: u64,
    privileged: bool,
) -> Result<Option<Vec<u8>>, Error> {
    match wanted {
        Seccomp::Unconfined => Ok(None),
        Seccomp::Default if privileged => Ok(None),
        Seccomp::Default => seccomp::default_program(capabilities, Architecture::native())
            .map(Some)
            .map_err(Error::system),
        Seccomp::Profile(profile) => seccomp::compile(profile, capabilities)
            .map(Some)
            .map_err(|error| Error::system(format!("Decoding seccomp profile failed: {error}"))),
    }
}

/// Resource limits, by name in lower case.
pub fn limits(host: &HostConfig) -> Vec<(String, u64, u64)> {
    let number =
        |value: Option<i64>| value.map_or(0, |value| u64::try_from(value).unwrap_or(u64::MAX));
    let limits = host.ulimits.iter().flatten();
    limits
        .map(|limit| {
            (
                limit.name.clone().unwrap_or_default().to_lowercase(),
                number(limit.soft),
                number(limit.hard),
            )
        })
        .collect()
}

/// Kernel parameters: only those that belong to one of the container's own namespaces (CVE-2022-0811 is what
/// happens without this list).
fn sysctls(record: &Record, host: &HostConfig) -> Result<Vec<(String, String)>, Error> {
    const IPC: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    let refused = |why: String| Error::invalid(format!("{CREATE_FAILED}{why}"));
    let mut sysctls: Vec<(String, String)> = host
        .sysctls
        .clone()
        .unwrap_or_default()
        .into_iter()
        .collect();
    sysctls.sort();
    for (name, value) in &sysctls {
        let bad_name =
            name.split('.').any(|part| part.is_empty()) || name.contains(['/', '\n', '+']);
        if name.starts_with("net.") && !bad_name {
            if record.network_mode() == "host" {
                return Err(refused(format!(
                    "sysctl \"{name}\" not allowed in host network namespace"
                )));
            }
        } else if IPC.contains(&name.as_str()) || (name.starts_with("fs.mqueue.") && !bad_name) {
            if host.ipc_mode.as_deref() == Some("host") {
                return Err(refused(format!(
                    "sysctl \"{name}\" is not allowed in the hosts ipc namespace"
                )));
            }
        } else {
            return Err(refused(format!(
                "sysctl \"{name}\" is not in a separate kernel namespace"
            )));
        }
        if value.contains('\n') {
            return Err(refused(format!(
                "sysctl \"{name}\" has a value of more than one line"
            )));
        }
    }
    Ok(sysctls)
}

/// What Docker's errors of a start begin with.
pub const CREATE_FAILED: &str = "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: ";

/// `--device`, `--device-cgroup-rule`, and all of the host's with `--privileged`.
fn devices(host: &HostConfig) -> Result<Vec<Device>, Error> {
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
    use crate::containers::record::tests::example;

    #[test]
    fn the_environment_is_in_dockers_order() {
        let mut record = example();
        record.config["Hostname"] = "web".into();
        record.config["Env"] = serde_json::json!(["FOO=1", "PATH=/bin", "BAR", "HOSTNAME"]);
        assert_eq!(
            environment(&record, true),
            ["PATH=/bin", "TERM=xterm", "FOO=1"]
        );
        record.config["Env"] = serde_json::Value::Null;
        assert_eq!(environment(&record, false), [PATH, "HOSTNAME=web"]);
    }

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

    #[test]
    fn sysctls_outside_the_namespaces_are_refused() {
        let check = |name: &str, value: &str| {
            let host = HostConfig {
                sysctls: Some([(name.to_owned(), value.to_owned())].into()),
                ..HostConfig::default()
            };
            sysctls(&example(), &host).is_ok()
        };
        assert!(
            check("net.ipv4.ip_forward", "1")
                && check("kernel.msgmax", "1")
                && check("fs.mqueue.msg_max", "1")
        );
        for (name, value) in [
            ("kernel.core_pattern", "x"),
            ("net./../kernel.core_pattern", "x"),
            ("net.ipv4.x+kernel.y", "1"),
            ("net..x", "1"),
            ("net.ipv4.x", "1\nkernel.y=2"),
        ] {
            assert!(!check(name, value), "{name}");
        }
    }
}
