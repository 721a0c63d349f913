//! The flags of `create` and `run`. A flag whose feature the engine lacks is sent all the same: the engine
//! answers for itself, and the same client then shows it on another engine.

use super::{devices, environment, mounts, networks};
use crate::flags::{Check, Flag, Kind};

/// Flags that `create` and `run` share.
pub const CREATE: &[Flag] = &[
    Flag::of(
        Kind::List(Check(environment::check_host)),
        "add-host",
        "Add a line to /etc/hosts, as NAME:ADDRESS",
    ),
    Flag::of(
        Kind::Map(Check::ANY),
        "annotation",
        "Add an annotation for the runtime, as NAME=VALUE",
    ),
    Flag::of(
        Kind::List(Check(attach_stream)),
        "attach",
        "Connect stdin, stdout or stderr",
    )
    .short('a'),
    Flag::of(
        Kind::Uint16,
        "blkio-weight",
        "Share of disk time, 10 to 1000; 0 sets none",
    ),
    Flag::of(
        Kind::List(Check(devices::check_weight)),
        "blkio-weight-device",
        "Share of one disk's time, as DEVICE:WEIGHT",
    ),
    Flag::list("cap-add", "Add a Linux capability"),
    Flag::list("cap-drop", "Drop a Linux capability"),
    Flag::text(
        "cgroup-parent",
        "Cgroup under which the container's own is made",
    ),
    Flag::text("cgroupns", "Cgroup namespace: host or private"),
    Flag::text("cidfile", "Write the container's ID to this file"),
    Flag::int("cpu-count", "Number of CPUs (Windows only)").hidden(),
    Flag::int("cpu-percent", "Percent of CPU (Windows only)").hidden(),
    Flag::int(
        "cpu-period",
        "Length of one CPU quota period in microseconds",
    ),
    Flag::int("cpu-quota", "CPU time in each period in microseconds"),
    Flag::int(
        "cpu-rt-period",
        "Length of one real-time period in microseconds",
    ),
    Flag::int(
        "cpu-rt-runtime",
        "Real-time CPU time in each period in microseconds",
    ),
    Flag::int("cpu-shares", "CPU weight relative to other containers").short('c'),
    Flag::of(Kind::Cpus, "cpus", "Number of CPUs, such as 1.5"),
    Flag::text("cpuset-cpus", "CPUs to run on, such as 0-3 or 0,1"),
    Flag::text("cpuset-mems", "Memory nodes to use, such as 0-3 or 0,1"),
    Flag::list(
        "device",
        "Add a device of the host, as HOST[:CONTAINER[:rwm]]",
    ),
    Flag::of(
        Kind::List(Check(devices::check_rule)),
        "device-cgroup-rule",
        "Allow devices by rule, such as 'c 1:3 rwm'",
    ),
    Flag::of(
        Kind::List(Check(devices::check_rate_bytes)),
        "device-read-bps",
        "Limit bytes read a second, as DEVICE:RATE",
    ),
    Flag::of(
        Kind::List(Check(devices::check_rate_count)),
        "device-read-iops",
        "Limit reads a second, as DEVICE:RATE",
    ),
    Flag::of(
        Kind::List(Check(devices::check_rate_bytes)),
        "device-write-bps",
        "Limit bytes written a second, as DEVICE:RATE",
    ),
    Flag::of(
        Kind::List(Check(devices::check_rate_count)),
        "device-write-iops",
        "Limit writes a second, as DEVICE:RATE",
    ),
    Flag::switch(
        "disable-content-trust",
        "Do not verify the image's signature",
    )
    .default("true"),
    Flag::of(
        Kind::List(Check(environment::check_address)),
        "dns",
        "Use this DNS server",
    ),
    Flag::list("dns-option", "Add an option of resolv.conf"),
    Flag::list("dns-search", "Search this DNS domain"),
    Flag::text("domainname", "NIS domain name"),
    Flag::text("entrypoint", "Run this instead of the image's entrypoint"),
    Flag::of(
        Kind::List(Check(environment::check_variable)),
        "env",
        "Set a variable, as NAME=VALUE or NAME to pass our own",
    )
    .short('e'),
    Flag::list("env-file", "Read variables from a file"),
    Flag::list("expose", "Declare a port, or a range of them"),
    Flag::of(
        Kind::Named("gpu-request", Check(devices::check_gpu)),
        "gpus",
        "Add GPUs; 'all' adds every one",
    ),
    Flag::list("group-add", "Join one more group"),
    Flag::text("health-cmd", "Command that checks the container's health"),
    Flag::of(Kind::Duration, "health-interval", "Time between two checks").default("0s"),
    Flag::int("health-retries", "Failures in a row that make it unhealthy"),
    Flag::of(
        Kind::Duration,
        "health-start-interval",
        "Time between two checks while it starts",
    )
    .default("0s"),
    Flag::of(
        Kind::Duration,
        "health-start-period",
        "Time to start before failures count",
    )
    .default("0s"),
    Flag::of(
        Kind::Duration,
        "health-timeout",
        "Longest time of one check",
    )
    .default("0s"),
    Flag::switch("help", "Print this page"),
    Flag::text("hostname", "Host name").short('h'),
    Flag::switch(
        "init",
        "Run a small init that passes on signals and reaps processes",
    ),
    Flag::switch("interactive", "Keep stdin open").short('i'),
    Flag::of(
        Kind::Bytes,
        "io-maxbandwidth",
        "Limit of disk bandwidth (Windows only)",
    )
    .hidden(),
    Flag::of(
        Kind::Uint,
        "io-maxiops",
        "Limit of disk operations (Windows only)",
    )
    .hidden(),
    Flag::text("ip", "IPv4 address"),
    Flag::text("ip6", "IPv6 address"),
    Flag::text("ipc", "IPC namespace"),
    Flag::text("isolation", "Isolation technology (Windows only)"),
    Flag::of(
        Kind::Bytes,
        "kernel-memory",
        "Limit of kernel memory (no longer used)",
    ),
    Flag::of(
        Kind::List(Check(environment::check_label)),
        "label",
        "Set a label, as NAME=VALUE",
    )
    .short('l'),
    Flag::list("label-file", "Read labels from a file"),
    Flag::of(
        Kind::List(Check(environment::check_link)),
        "link",
        "Link to another container",
    ),
    Flag::list("link-local-ip", "Link-local address"),
    Flag::text("log-driver", "Where the output is logged"),
    Flag::list("log-opt", "Option of the log driver, as NAME=VALUE"),
    Flag::text("mac-address", "MAC address, such as 92:d0:c6:0a:29:33"),
    Flag::of(Kind::Bytes, "memory", "Limit of memory").short('m'),
    Flag::of(
        Kind::Bytes,
        "memory-reservation",
        "Limit of memory that holds when the host is short of it",
    ),
    Flag::of(
        Kind::SwapBytes,
        "memory-swap",
        "Limit of memory and swap together; -1 is no limit",
    ),
    Flag::int(
        "memory-swappiness",
        "How readily memory is swapped out, 0 to 100",
    )
    .default("-1"),
    Flag::of(
        Kind::Named("mount", Check(mounts::check)),
        "mount",
        "Mount a file system, as type=…,source=…,target=…",
    ),
    Flag::text("name", "Name of the container"),
    Flag::of(
        Kind::Named("network", Check(networks::check)),
        "network",
        "Connect to this network",
    ),
    Flag::list(
        "network-alias",
        "Add a name for the container on its network",
    ),
    Flag::switch("no-healthcheck", "Do not run the image's health check"),
    Flag::switch(
        "oom-kill-disable",
        "Do not kill processes when memory is used up",
    ),
    Flag::int(
        "oom-score-adj",
        "How early to be killed when memory is short, -1000 to 1000",
    ),
    Flag::text("pid", "PID namespace"),
    Flag::int("pids-limit", "Limit of processes; -1 is no limit"),
    Flag::text("platform", "Platform of the image, such as linux/amd64"),
    Flag::switch(
        "privileged",
        "Give the container nearly all rights of the host's root",
    ),
    Flag::list(
        "publish",
        "Publish a port, as [ADDRESS:][HOST:]CONTAINER[/tcp|udp|sctp]",
    )
    .short('p'),
    Flag::switch("publish-all", "Publish every declared port on a free one").short('P'),
    Flag::text("pull", "When to pull the image: always, missing or never").default("missing"),
    Flag::switch("quiet", "Do not show the progress of a pull").short('q'),
    Flag::switch("read-only", "Mount the root file system read-only"),
    Flag::text(
        "restart",
        "Restart policy: no, on-failure[:MAX], always or unless-stopped",
    )
    .default("no"),
    Flag::switch(
        "rm",
        "Remove the container and its unnamed volumes when it ends",
    ),
    Flag::text("runtime", "Runtime to use"),
    Flag::list("security-opt", "Security option"),
    Flag::of(Kind::Bytes, "shm-size", "Size of /dev/shm"),
    Flag::text("stop-signal", "Signal that stops the container"),
    Flag::int("stop-timeout", "Seconds from the stop signal to SIGKILL"),
    Flag::list("storage-opt", "Option of the storage driver"),
    Flag::of(
        Kind::Map(Check(environment::check_sysctl)),
        "sysctl",
        "Set a kernel parameter, as NAME=VALUE",
    ),
    Flag::list("tmpfs", "Mount a tmpfs, as PATH[:OPTIONS]"),
    Flag::switch("tty", "Give it a terminal").short('t'),
    Flag::of(
        Kind::Named("ulimit", Check(devices::check_ulimit)),
        "ulimit",
        "Set a resource limit, as NAME=SOFT[:HARD]",
    ),
    Flag::switch(
        "use-api-socket",
        "Mount the engine's own API socket in the container",
    ),
    Flag::text("user", "User, as NAME|UID[:GROUP|GID]").short('u'),
    Flag::text("userns", "User namespace"),
    Flag::text("uts", "UTS namespace"),
    Flag::list(
        "volume",
        "Mount a directory or a volume, as SOURCE:TARGET[:OPTIONS]",
    )
    .short('v'),
    Flag::text("volume-driver", "Volume driver"),
    Flag::list("volumes-from", "Mount the volumes of another container"),
    Flag::text("workdir", "Working directory").short('w'),
];

/// Flags of `run` alone.
pub const RUN: &[Flag] = &[
    Flag::switch(
        "detach",
        "Run in the background and print the container's ID",
    )
    .short('d'),
    Flag::text("detach-keys", "Keys that detach from the container"),
    Flag::switch("sig-proxy", "Pass signals on to the container").default("true"),
    Flag::switch(
        "trace",
        "Show where the time of the start went (drydock only)",
    ),
];

fn attach_stream(value: &str) -> Result<(), String> {
    match value.to_lowercase().as_str() {
        "stdin" | "stdout" | "stderr" => Ok(()),
        _ => Err("valid streams are STDIN, STDOUT and STDERR".to_string()),
    }
}
