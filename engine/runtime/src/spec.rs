//! What one container is made of, as the shim and the init see it.
//!
//! The daemon turns Docker's `Config` and `HostConfig` into a [`Spec`]; nothing below the daemon knows the
//! Docker API. It is close to the OCI runtime specification's `config.json` in its words, and smaller: a
//! start carries one of these over a socket, so fields that follow from others are not in it.
//!
//! Paths named here lie either below the engine's own roots (those the init may open by name, in the
//! spawner's nearly empty mount namespace) or inside the container (those are resolved by the init in the
//! container's root, through `openat2(2)`). A file of the host that the user names, as in `-v /srv:/srv`,
//! is opened by the daemon and travels as a descriptor: see [`Mount::Descriptor`].

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One container, ready to start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// The container's id, 64 hexadecimal digits. It is in the name of every kernel object made for it.
    pub id: String,
    /// `uname -n` inside (sethostname(2)); ignored where [`Namespaces::uts`] is the host's.
    pub hostname: String,
    /// The NIS domain name (setdomainname(2)), usually empty.
    pub domainname: String,
    /// Where the root file system comes from.
    pub rootfs: Rootfs,
    /// Which namespaces are the container's own.
    pub namespaces: Namespaces,
    /// Mounts beyond the default ones, in order: binds, tmpfs, the three files of /etc.
    pub mounts: Vec<Mount>,
    /// What is at /dev/shm.
    pub shared_memory: SharedMemory,
    /// Size of /dev/shm in bytes.
    pub shm_size: u64,
    /// Paths hidden from the container; missing ones are skipped.
    pub masked_paths: Vec<String>,
    /// Paths made read-only; missing ones are skipped.
    pub readonly_paths: Vec<String>,
    /// Whether /sys and the cgroup file systems are writable (`--privileged`).
    pub privileged: bool,
    /// Devices beyond the default ones.
    pub devices: Vec<Device>,
    /// Kernel parameters of the container's own namespaces, as `net.ipv4.ip_forward` → `1`.
    pub sysctls: Vec<(String, String)>,
    /// Where it sits in the cgroup tree and what limits it.
    pub cgroup: Cgroup,
    /// Bind the engine's small init at [`crate::pid_one::PATH`]; the process's arguments begin with it then.
    pub init: bool,
    /// What PID 1 runs.
    pub process: Process,
}

/// The root file system: an overlay of an image's layers and one writable layer, mounted only inside the
/// container's own mount namespace.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rootfs {
    /// Lower directories, the top layer first, as overlayfs orders them.
    pub layers: Vec<PathBuf>,
    /// The writable layer (`upperdir`).
    pub upper: PathBuf,
    /// overlayfs' scratch directory on the same file system (`workdir`).
    pub work: PathBuf,
    /// `--read-only`: the root is mounted read-only once the mount points are made.
    pub readonly: bool,
}

/// Which network namespace the init enters. `Descriptor` is the first file descriptor sent with the spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkNamespace {
    /// `--network host`.
    Host,
    /// A wired sandbox (or an empty one for `--network none`), leased by the daemon.
    Descriptor,
}

/// Whose namespace of a kind the container is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Namespace {
    /// Its own.
    Own,
    /// The host's.
    Host,
    /// Another container's, sent as a descriptor after the network namespace: first that of the PIDs, then that of the
    /// IPC with the other's mount namespace.
    Descriptor,
}

/// What is at /dev/shm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SharedMemory {
    /// A tmpfs of its own, of [`Spec::shm_size`].
    Own,
    /// That of the container whose IPC namespace is shared.
    Shared,
    /// Nothing, unless one of the mounts is there.
    Nothing,
}

/// Own namespace or the host's, for the kinds where Docker lets the user choose. The mount namespace is
/// always the container's own.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Namespaces {
    /// Network namespace.
    pub network: NetworkNamespace,
    /// PID namespace.
    pub pid: Namespace,
    /// System V IPC and POSIX message queues.
    pub ipc: Namespace,
    /// Own host name; false is `--uts host`.
    pub uts: bool,
    /// Own cgroup root; false is `--cgroupns host`.
    pub cgroup: bool,
}

/// A mount beyond the default ones.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mount {
    /// A file below the engine's own data root, bound by path: /etc/hosts and its like.
    EngineFile {
        /// Absolute, below the data root.
        source: PathBuf,
        /// Absolute, inside the container.
        target: PathBuf,
    },
    /// A detached mount (open_tree(2) with OPEN_TREE_CLONE) sent as a file descriptor, in the order of
    /// these entries, after the network namespace.
    Descriptor {
        /// Absolute, inside the container; made if missing, as a directory or a file like the source.
        target: PathBuf,
        /// Mount read-only (recursively).
        readonly: bool,
    },
    /// `--tmpfs`.
    Tmpfs {
        /// Absolute, inside the container; made if missing.
        target: PathBuf,
        /// Mount options in mount(8) form, for example `rw,noexec,nosuid,nodev,size=65536k`.
        options: String,
    },
}

/// A device node and who may do what with it in the device cgroup.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Device {
    /// Path inside the container; None for a rule without a node.
    pub path: Option<PathBuf>,
    /// `c` or `b`, or `a` for all.
    pub kind: char,
    /// Device number; None is `*`.
    pub major: Option<u64>,
    /// Device number; None is `*`.
    pub minor: Option<u64>,
    /// Some of `r`, `w`, `m`.
    pub access: String,
    /// Permission bits of the node.
    pub mode: u32,
}

/// Place and limits in the cgroup tree. Values are Docker's; the driver turns them into v1 or v2 files.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Cgroup {
    /// Relative to each hierarchy's root, for example `drydock/<id>`; the first part tells one daemon's
    /// cgroups from another's.
    pub path: String,
    /// `-m`, bytes; 0 is unlimited.
    pub memory: i64,
    /// `--memory-swap`, bytes of memory and swap together; 0 is twice the memory, -1 unlimited.
    pub memory_swap: i64,
    /// `--memory-reservation`, bytes; 0 is none.
    pub memory_reservation: i64,
    /// `--cpus` × 1e9; 0 is unlimited.
    pub nano_cpus: i64,
    /// `--cpu-shares`; 0 is the kernel's default.
    pub cpu_shares: i64,
    /// `--cpu-quota`, microseconds in each period; 0 is unlimited.
    pub cpu_quota: i64,
    /// `--cpu-period`, microseconds; 0 is 100000.
    pub cpu_period: i64,
    /// `--cpuset-cpus`; empty is all.
    pub cpuset_cpus: String,
    /// `--cpuset-mems`; empty is all.
    pub cpuset_mems: String,
    /// `--pids-limit`; 0 or less is unlimited.
    pub pids_limit: i64,
    /// Allow every device (`--privileged`).
    pub all_devices: bool,
}

/// A process in the container: PID 1, or one more for `exec`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Process {
    /// Program and arguments; the program is looked up in the container's PATH when it has no slash.
    pub args: Vec<String>,
    /// `NAME=value`, in the order the user sees in `env`.
    pub env: Vec<String>,
    /// Working directory inside the container, made if missing; empty is `/`.
    pub cwd: String,
    /// Docker's `--user`: `name|uid[:group|gid]`, resolved in the container's passwd and group files by the
    /// init; empty is root.
    pub user: String,
    /// `--group-add`: names or numbers.
    pub additional_groups: Vec<String>,
    /// Bounding, permitted and effective set, as bits of capabilities(7).
    pub capabilities: u64,
    /// Add the capabilities to the inheritable and ambient sets too. False for Docker's behaviour.
    pub ambient: bool,
    /// prctl(PR_SET_NO_NEW_PRIVS).
    pub no_new_privileges: bool,
    /// A classic BPF program, eight bytes an instruction in native order; None is unconfined.
    pub seccomp: Option<Vec<u8>>,
    /// Resource limits by setrlimit(2) name without `RLIMIT_`, lower case: (name, soft, hard).
    pub rlimits: Vec<(String, u64, u64)>,
    /// /proc/self/oom_score_adj; None leaves it.
    pub oom_score_adj: Option<i32>,
    /// Has a pseudo terminal as controlling terminal.
    pub terminal: bool,
    /// Rows and columns of the terminal at its start; None is 0 × 0 as Docker.
    pub console_size: Option<(u16, u16)>,
}

/// Why a container or an exec did not start: the one failure that becomes exit code 125, 126 or 127.
///
/// The texts are those Docker users know from runc, so that scripts that match on them go on working.
#[derive(Clone, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct StartError {
    /// Which code `docker run` ends with.
    pub kind: StartErrorKind,
    /// Lower case, names the object.
    pub message: String,
}

/// The class of a [`StartError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartErrorKind {
    /// The program was not found: 127.
    NotFound,
    /// The program cannot be executed: 126.
    NotExecutable,
    /// A user or group does not exist, a mount cannot be made …: 125 (state code 128).
    Other,
}
