//! The words between the daemon and a shim.
//!
//! A frame is a length (u32, little endian), then that many bytes of JSON; file descriptors travel with the
//! first byte of a frame (SCM_RIGHTS, unix(7)), at most [`MAX_DESCRIPTORS`] of them. JSON because frames are
//! few and small (one start is two frames) and a learner can read them with strace.
//!
//! The protocol is versioned because shims outlive daemons: a new daemon must serve the shims of the old
//! one. [`VERSION`] rises with a change that an old peer would misunderstand; new optional fields do not
//! raise it.
//!
//! The daemon speaks first. A shim that was just forked gets `Start` on the socket it was born with; the
//! same shim also listens on `<exec-root>/shims/<id>.sock` for the next daemon, which opens with `Hello`.
//! Each request carries a number, and the answer carries the same one; events have none.

use std::path::PathBuf;

use drydock_logs::plan::Plan;
use drydock_runtime::cgroup::Usage;
use drydock_runtime::spec::{Cgroup, Process, Spec, StartError};
use serde::{Deserialize, Serialize};

/// Version of this protocol.
pub const VERSION: u32 = 1;

/// The most file descriptors in one frame (the kernel's own limit is 253).
pub const MAX_DESCRIPTORS: usize = 64;

/// The largest frame either side accepts, bytes. An environment of 2 MB fits.
pub const MAX_FRAME: usize = 8 << 20;

/// From the daemon to the shim.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// Echoed in the answer.
    pub number: u64,
    /// What to do.
    pub body: RequestBody,
}

/// What the daemon asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestBody {
    /// Start the container. Descriptors: the namespaces of others as the spec says (network, PID, IPC with the mount
    /// namespace of its /dev/shm), one for each `Mount::Descriptor`, the folder of the log's socket if its address needs
    /// one, then one for each entry of `attach`. Answer: `Started` or `Failed`.
    /// After `Failed` the shim has undone everything and exits.
    Start(Box<Start>),
    /// First word of a daemon that connects to a running shim. Answer: `State`.
    Hello {
        /// The daemon's [`VERSION`].
        version: u32,
    },
    /// Connect a client to the container's streams. One descriptor: the client's socket, on which the HTTP
    /// head is already answered; the shim owns it from now on. Answer: `Done`.
    Attach(Attach),
    /// Run one more process in the container. Descriptor: the client's socket where `attach` is given.
    /// Answer: `ExecStarted` or `Failed`; later an `ExecExited` event.
    Exec(Box<Exec>),
    /// Whether the container knows a user, for an exec that is made now and started later. Answer: `Done`
    /// or `Failed`.
    CheckUser {
        /// As in [`Process::user`].
        user: String,
        /// As in [`Process::additional_groups`].
        groups: Vec<String>,
    },
    /// Send a signal to PID 1. Answer: `Done`, or `Error` when it has ended.
    Kill {
        /// Signal number.
        signal: i32,
    },
    /// Something about the container's control group. Answer: `Done`, `Processes`, `Use` or `Error`.
    Control(Control),
    /// Set the terminal's size, of an exec where given. Answer: `Done` or `Error`.
    Resize {
        /// The exec instance, or PID 1.
        exec_id: Option<String>,
        /// Rows.
        height: u16,
        /// Columns.
        width: u16,
    },
}

/// What can be asked of a control group.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// Stop all processes, or let them go on.
    Freeze {
        /// Stop them.
        frozen: bool,
    },
    /// Change limits; 0 leaves one as it is.
    Limit(Box<Cgroup>),
    /// Which processes are in it.
    Processes,
    /// What it uses.
    Use,
}

/// What a container uses.
#[derive(Debug, Serialize, Deserialize)]
pub struct Use {
    /// Its control group.
    pub group: Usage,
    /// Its network interfaces, without the loopback.
    pub interfaces: Vec<Interface>,
}

/// A network interface.
#[derive(Debug, Serialize, Deserialize)]
pub struct Interface {
    /// Its name inside the container.
    pub name: String,
    /// Bytes, packets, errors and drops received.
    pub received: [u64; 4],
    /// Bytes, packets, errors and drops sent.
    pub sent: [u64; 4],
}

/// What a start needs beyond the spec.
#[derive(Debug, Serialize, Deserialize)]
pub struct Start {
    /// The container.
    pub spec: Spec,
    /// Stdin is a pipe (or the terminal) that clients can write to; otherwise it is /dev/null.
    pub open_stdin: bool,
    /// Close stdin when the first client that brought it goes.
    pub stdin_once: bool,
    /// Where and how to log; None is the log driver `none`.
    pub log: Option<Plan>,
    /// Where the exit record goes (an [`ExitRecord`] as JSON, by temporary file and rename).
    pub exit_record: PathBuf,
    /// Sync the exit record to disk. False for `--rm`: after a power cut it would be removed anyway.
    pub durable: bool,
    /// The path on which the shim listens for later daemons.
    pub socket: PathBuf,
    /// Clients that attached before the start, in the order of their descriptors.
    pub attach: Vec<Attach>,
}

/// A client at the container's (or an exec's) streams.
#[derive(Debug, Serialize, Deserialize)]
pub struct Attach {
    /// The client writes to stdin.
    pub stdin: bool,
    /// The client reads stdout (the terminal's output, where there is one).
    pub stdout: bool,
    /// The client reads stderr.
    pub stderr: bool,
    /// The keys that detach, as bytes; empty is none. Only looked for on a terminal.
    pub detach_keys: Vec<u8>,
    /// Bytes of stdin that came with the HTTP head.
    pub received: Vec<u8>,
}

/// One more process.
#[derive(Debug, Serialize, Deserialize)]
pub struct Exec {
    /// The exec instance's id.
    pub exec_id: String,
    /// What to run.
    pub process: Process,
    /// How the client is connected; None is detached.
    pub attach: Option<Attach>,
    /// The process is killed when its client has gone: what it does is of use to nobody else.
    #[serde(default)]
    pub ends_with_client: bool,
}

/// From the shim to the daemon.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The answer to the request with this number.
    Answer {
        /// The request's number.
        number: u64,
        /// The answer.
        body: Answer,
    },
    /// The container has ended. The exit record is on disk and the log is complete.
    Exited(ExitRecord),
    /// The cgroup and the socket are gone: the container can be started again without meeting what is left
    /// of this run. Comes after `Exited`; nobody who waits for the exit has to wait for it.
    TornDown,
    /// An exec has ended.
    ExecExited {
        /// The exec instance's id.
        exec_id: String,
        /// Its exit code, 128 + n for a signal.
        exit_code: i32,
    },
}

/// An answer of the shim.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It was done.
    Done,
    /// It was not done.
    Error {
        /// Lower case, names the object.
        message: String,
    },
    /// The container runs.
    Started {
        /// PID 1's number in the host's PID namespace.
        pid: i32,
        /// The shim's own.
        shim_pid: i32,
        /// When, as nanoseconds since 1970 (CLOCK_REALTIME). By the shim, as [`ExitRecord::finished_at`]: a
        /// daemon that is late would have a container end before it began. 0 from a shim of an older build.
        #[serde(default)]
        started_at: u64,
        /// The way of the start, in order.
        trace: Vec<Stamp>,
    },
    /// An exec runs.
    ExecStarted {
        /// Its number in the host's PID namespace.
        pid: i32,
    },
    /// The processes of the container, in the host's PID namespace.
    Processes(Vec<i32>),
    /// What the container uses.
    Use(Box<Use>),
    /// It did not start, and nothing of it is left.
    Failed(StartError),
    /// What the shim knows, for a daemon that was away.
    State {
        /// The shim's [`VERSION`].
        version: u32,
        /// PID 1's number in the host's PID namespace.
        pid: i32,
        /// As in `Started`.
        #[serde(default)]
        started_at: u64,
        /// Set once PID 1 has ended.
        exit: Option<ExitRecord>,
        /// The execs that run.
        exec_ids: Vec<String>,
    },
}

/// How a container ended. The shim writes it to disk before it says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// The code of exit(3), or 128 + n for signal n.
    pub exit_code: i32,
    /// The kernel's out-of-memory killer ended a process of this container.
    pub oom_killed: bool,
    /// As in [`Answer::Started`]: a daemon that ended on the way of the start learns it here.
    #[serde(default)]
    pub started_at: u64,
    /// Nanoseconds since 1970 (CLOCK_REALTIME).
    pub finished_at: u64,
}

/// A moment on the way of a start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stamp {
    /// What was done by then, for example `shim: cgroup made`.
    pub step: String,
    /// Nanoseconds of CLOCK_MONOTONIC, the same clock in every process of the host.
    pub at: u64,
}
