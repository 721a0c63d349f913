//! From Docker's `Config` and `HostConfig` to what the shim starts.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use drydock_api::Error;
use drydock_api::models::HostConfig;
use drydock_defects::defect;
use drydock_runtime::pid_one;
use drydock_runtime::seccomp::{self, Architecture};
use drydock_runtime::spec::{
    Cgroup, Mount, Namespace, Namespaces, NetworkNamespace, Process, Rootfs, SharedMemory, Spec,
};
use drydock_sys::mounts::open_tree_clone;

use super::mounts::Wanted;
use super::security::{self, Seccomp};
use super::{Container, Record, devices, join, mounts};
use crate::engine::Engine;

/// Docker's PATH for an image that has none.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where the host keeps shared memory, and a container.
const SHARED_MEMORY: &str = "/dev/shm";

/// What the spec of a container takes from elsewhere.
pub struct Context<'a> {
    /// The directories of the image, the top layer first.
    pub layers: Vec<PathBuf>,
    /// Whose hosts, hostname and resolv.conf it has: its own, or those of the container whose network it shares.
    pub files: &'a Container,
    /// See [`super::links::environment`].
    pub link_variables: Vec<String>,
}

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
    let drop = if defect!("capability-kept") {
        Vec::new()
    } else {
        list(&host.cap_drop)
    };
    drydock_runtime::capabilities::resolve(
        &list(&host.cap_add),
        &drop,
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
    context: Context<'_>,
) -> Result<Prepared, Error> {
    let host = record.host();
    let privileged = host.privileged == Some(true);
    let (mut mounts, mut binds) = open_mounts(&mounts::read(&host)?)?;
    if host.ipc_mode.as_deref() == Some("host") {
        // Before the user's own, which may be below it.
        binds.insert(0, open_source(Path::new(SHARED_MEMORY), false)?);
        let target = PathBuf::from(SHARED_MEMORY);
        mounts.insert(
            0,
            Mount::Descriptor {
                target,
                readonly: false,
            },
        );
    }
    for name in ["resolv.conf", "hostname", "hosts"] {
        let target = PathBuf::from("/etc").join(name);
        // The user's own file stays.
        let taken = mounts.iter().any(|mount| mount_target(mount) == target);
        if !taken {
            mounts.push(Mount::EngineFile {
                source: context.files.file(name),
                target,
            });
        }
    }
    let spec = Spec {
        id: record.id.clone(),
        hostname: record.config_text("Hostname").to_owned(),
        domainname: record.config_text("Domainname").to_owned(),
        rootfs: Rootfs {
            layers: context.layers,
            upper: container.upper(),
            work: container.file("rw/work"),
            readonly: host.readonly_rootfs == Some(true) && !defect!("root-writable"),
        },
        namespaces: namespaces(record, &host),
        mounts,
        shared_memory: match host.ipc_mode.as_deref() {
            Some("host" | "none") => SharedMemory::Nothing,
            Some(mode) if join::named(mode).is_some() => SharedMemory::Shared,
            _ => SharedMemory::Own,
        },
        shm_size: host
            .shm_size
            .and_then(|size| u64::try_from(size).ok())
            .unwrap_or(64 << 20),
        masked_paths: host.masked_paths.clone().unwrap_or_default(),
        readonly_paths: host.readonly_paths.clone().unwrap_or_default(),
        privileged,
        devices: devices::of(&host)?,
        sysctls: sysctls(&host, &Hosts::of(engine, &host))?,
        cgroup: cgroup(engine, record, &host),
        init: has_init(engine, &host),
        process: process(
            record,
            &host,
            has_init(engine, &host),
            &context.link_variables,
        )?,
    };
    Ok(Prepared { spec, binds })
}

/// Whether the engine's init goes before the program. In another PID namespace there is one already.
fn has_init(engine: &Engine, host: &HostConfig) -> bool {
    host.pid_mode.as_deref().unwrap_or("").is_empty() && host.init.unwrap_or(engine.settings.init)
}

fn mount_target(mount: &Mount) -> &Path {
    match mount {
        Mount::EngineFile { target, .. }
        | Mount::Descriptor { target, .. }
        | Mount::Tmpfs { target, .. } => target,
    }
}

/// Opens the sources of binds, in order, and gives every mount the form in which a shim gets it.
///
/// # Errors
/// Docker's statuses and texts.
pub fn open_mounts(wanted: &[Wanted]) -> Result<(Vec<Mount>, Vec<OwnedFd>), Error> {
    let mut mounts = Vec::new();
    let mut descriptors = Vec::new();
    for one in wanted {
        match one {
            Wanted::Tmpfs {
                target, options, ..
            } => {
                mounts::check_tmpfs_options(options)?;
                mounts.push(Mount::Tmpfs {
                    target: target.clone(),
                    options: options.clone(),
                });
            }
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

fn namespace(mode: &Option<String>) -> Namespace {
    match mode.as_deref() {
        Some("host") => Namespace::Host,
        Some(mode) if join::named(mode).is_some() => Namespace::Descriptor,
        _ => Namespace::Own,
    }
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
        pid: namespace(&host.pid_mode),
        ipc: namespace(&host.ipc_mode),
        uts: !is_host(&host.uts_mode),
        cgroup: cgroup != "host",
    }
}

/// The control group of a container, with its limits.
pub fn cgroup(engine: &Engine, record: &Record, host: &HostConfig) -> Cgroup {
    Cgroup {
        path: format!("{}/{}", engine.settings.cgroup_parent(), record.id),
        memory: host
            .memory
            .filter(|_| !defect!("memory-unlimited"))
            .unwrap_or(0),
        memory_swap: host.memory_swap.unwrap_or(0),
        memory_reservation: host.memory_reservation.unwrap_or(0),
        nano_cpus: host.nano_cpus.unwrap_or(0),
        cpu_shares: host.cpu_shares.unwrap_or(0),
        cpu_quota: host.cpu_quota.unwrap_or(0),
        cpu_period: host.cpu_period.unwrap_or(0),
        cpuset_cpus: host.cpuset_cpus.clone().unwrap_or_default(),
        cpuset_mems: host.cpuset_mems.clone().unwrap_or_default(),
        pids_limit: host
            .pids_limit
            .filter(|_| !defect!("processes-unlimited"))
            .unwrap_or(0),
        all_devices: host.privileged == Some(true) || defect!("all-devices-allowed"),
    }
}

fn process(
    record: &Record,
    host: &HostConfig,
    init: bool,
    link_variables: &[String],
) -> Result<Process, Error> {
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
        args: [pid_one::PATH, "--"]
            .into_iter()
            .filter(|_| init)
            .map(str::to_owned)
            .chain([record.path.clone()])
            .chain(record.args.iter().cloned())
            .collect(),
        env: environment(record, terminal, link_variables),
        cwd: record.config_text("WorkingDir").to_owned(),
        user: if defect!("user-ignored") {
            String::new()
        } else {
            record.config_text("User").to_owned()
        },
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

/// The environment in Docker's order: PATH, HOSTNAME, TERM, what links give, then the container's own, which replace
/// them.
pub fn environment(record: &Record, terminal: bool, link_variables: &[String]) -> Vec<String> {
    let mut environment = vec![
        PATH.to_owned(),
        format!("HOSTNAME={}", record.config_text("Hostname")),
    ];
    if terminal {
        environment.push("TERM=xterm".to_owned());
    }
    environment.extend_from_slice(link_variables);
    replace(&mut environment, record.config_list("Env"));
    if defect!("environment-reversed") {
        environment.reverse();
    }
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
        Seccomp::Profile(profile) => {
            seccomp::compile(profile, capabilities)
                .map(Some)
                .map_err(|error| {
                    let why = error.to_string();
                    let why = why
                        .strip_prefix("decoding seccomp profile failed: ")
                        .unwrap_or(&why);
                    Error::system(format!("Decoding seccomp profile failed: {why}"))
                })
        }
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

/// Which namespaces are the host's, also where they come by way of another container.
#[derive(Default)]
struct Hosts {
    network: bool,
    ipc: bool,
}

impl Hosts {
    fn of(engine: &Engine, host: &HostConfig) -> Hosts {
        let is_hosts = |mode_of: fn(&HostConfig) -> Option<&String>| {
            join::is_hosts(engine, mode_of(host).map(String::as_str), mode_of)
        };
        Hosts {
            network: is_hosts(|host| host.network_mode.as_ref()),
            ipc: is_hosts(|host| host.ipc_mode.as_ref()),
        }
    }
}

/// Kernel parameters: only those that belong to one of the container's own namespaces (CVE-2022-0811 is what
/// happens without this list).
fn sysctls(host: &HostConfig, hosts: &Hosts) -> Result<Vec<(String, String)>, Error> {
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
            if hosts.network {
                return Err(refused(format!(
                    "sysctl \"{name}\" not allowed in host network namespace"
                )));
            }
        } else if IPC.contains(&name.as_str()) || (name.starts_with("fs.mqueue.") && !bad_name) {
            if hosts.ipc {
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
            environment(&record, true, &["DB_PORT=1".to_owned(), "FOO=0".to_owned()]),
            ["PATH=/bin", "TERM=xterm", "DB_PORT=1", "FOO=1"]
        );
        record.config["Env"] = serde_json::Value::Null;
        assert_eq!(environment(&record, false, &[]), [PATH, "HOSTNAME=web"]);
    }

    #[test]
    fn sysctls_outside_the_namespaces_are_refused() {
        let check = |name: &str, value: &str| {
            let host = HostConfig {
                sysctls: Some([(name.to_owned(), value.to_owned())].into()),
                ..HostConfig::default()
            };
            sysctls(&host, &Hosts::default()).is_ok()
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
