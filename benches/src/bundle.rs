//! OCI bundles for the bare runtimes, with the configuration that Docker gives a container.
//!
//! crun and runc are measured alone: `<runtime> run --bundle DIR ID`. What they have to set up must be
//! comparable with what an engine sets up, so this `config.json` (OCI runtime specification 1.0.2) follows
//! the one that Docker 28 writes for `docker run busybox true`: namespaces, mounts, device rules, the 14
//! capabilities, masked and read-only paths, and the default seccomp profile. It differs in three points,
//! each in favour of the bare runtime: the root is a plain directory, not an overlay; the network
//! namespace is empty, not wired to a bridge; and the three files of /etc are not bound over.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::seccomp;

/// The 14 capabilities of a Docker container.
pub const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

const MASKED_PATHS: [&str; 12] = [
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

const READONLY_PATHS: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Writes the bundle folder `name` below `folder`, for a container that runs `arguments` in `rootfs`.
pub fn write(folder: &Path, name: &str, rootfs: &Path, arguments: &[&str]) -> Result<PathBuf> {
    let bundle = folder.join(name);
    fs::create_dir_all(&bundle)?;
    let cgroup_v2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let config = config(rootfs, arguments, cgroup_v2)?;
    let file = bundle.join("config.json");
    fs::write(&file, serde_json::to_vec_pretty(&config)?)
        .with_context(|| format!("write {}", file.display()))?;
    Ok(bundle)
}

/// The configuration. Docker gives a container its own cgroup namespace on cgroup v2 and the host's on v1.
fn config(rootfs: &Path, arguments: &[&str], cgroup_v2: bool) -> Result<Value> {
    let mut namespaces = vec!["mount", "network", "uts", "pid", "ipc"];
    if cgroup_v2 {
        namespaces.push("cgroup");
    }
    let namespaces: Vec<Value> = namespaces
        .iter()
        .map(|kind| json!({"type": kind}))
        .collect();
    Ok(json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": arguments,
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=bench"],
            "cwd": "/",
            "capabilities": {
                "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES,
            },
            "oomScoreAdj": 0,
        },
        "root": {"path": rootfs},
        "hostname": "bench",
        "mounts": mounts(),
        "linux": {
            "sysctl": {
                "net.ipv4.ip_unprivileged_port_start": "0",
                "net.ipv4.ping_group_range": "0 2147483647",
            },
            "resources": {"devices": device_rules()},
            "namespaces": namespaces,
            "maskedPaths": MASKED_PATHS,
            "readonlyPaths": READONLY_PATHS,
            "seccomp": seccomp::docker_default(&CAPABILITIES)?,
        },
    }))
}

fn mounts() -> Value {
    let mount = |destination: &str, kind: &str, options: &[&str]| json!({"destination": destination, "type": kind, "source": kind, "options": options});
    json!([
        mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount(
            "/dev",
            "tmpfs",
            &["nosuid", "strictatime", "mode=755", "size=65536k"]
        ),
        mount(
            "/dev/pts",
            "devpts",
            &[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                "gid=5"
            ]
        ),
        mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        mount(
            "/sys/fs/cgroup",
            "cgroup",
            &["ro", "nosuid", "noexec", "nodev"]
        ),
        mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount(
            "/dev/shm",
            "tmpfs",
            &["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"]
        ),
    ])
}

/// Everything is denied, then null, zero, full, random, urandom, tty and console are allowed, as Docker
/// does it.
fn device_rules() -> Value {
    let allow = |(major, minor): (u32, u32)| json!({"allow": true, "type": "c", "major": major, "minor": minor, "access": "rwm"});
    let mut rules = vec![json!({"allow": false, "access": "rwm"})];
    rules.extend([(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1)].map(allow));
    Value::from(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_names_its_root_and_its_program() {
        let folder = tempfile::tempdir().expect("a folder");
        let bundle = write(
            folder.path(),
            "measured",
            Path::new("/srv/rootfs"),
            &["true"],
        )
        .expect("a bundle");
        let text = fs::read_to_string(bundle.join("config.json")).expect("config.json");
        let config: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(config["root"]["path"], "/srv/rootfs");
        assert_eq!(config["process"]["args"], json!(["true"]));
    }

    #[test]
    fn the_cgroup_namespace_follows_docker() {
        let kinds = |cgroup_v2| {
            let config = config(Path::new("/r"), &["true"], cgroup_v2).expect("config");
            config["linux"]["namespaces"]
                .as_array()
                .expect("a list")
                .len()
        };
        assert_eq!(kinds(false), 5);
        assert_eq!(kinds(true), 6);
    }
}
