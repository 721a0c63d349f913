//! GET /info: the engine and its host.

use std::fs;

use drydock_api::{shape, time};
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::http::Answer;

/// GET /info.
pub fn info(engine: &Engine) -> Answer {
    let settings = &engine.settings;
    let (running, paused, stopped) = counts(engine);
    let v2 = fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap_or(false);
    let mut security = vec!["name=seccomp,profile=builtin"];
    if v2 {
        security.push("name=cgroupns");
    }
    let mut value = shape::INFO.with(json!({
        "ID": engine.identity.engine_id,
        "Containers": running + paused + stopped,
        "ContainersRunning": running,
        "ContainersStopped": stopped,
        "Images": engine.images.list().len(),
        "Driver": "overlay2",
        "DriverStatus": [["Supports d_type", "true"]],
        "Plugins": {
            "Volume": [],
            "Network": ["bridge", "host", "null"],
            "Log": crate::containers::log_options::DRIVERS,
        },
        "MemoryLimit": true,
        "SwapLimit": swap_is_counted(v2),
        "CpuCfsPeriod": true,
        "CpuCfsQuota": true,
        "CPUShares": true,
        "CPUSet": true,
        "PidsLimit": true,
        "IPv4Forwarding": read("/proc/sys/net/ipv4/ip_forward") == "1",
        "Debug": settings.debug,
        "NFd": entries("/proc/self/fd"),
        "NGoroutines": entries("/proc/self/task"),
        "SystemTime": time::rfc3339(drydock_sys::clock::realtime()),
        "LoggingDriver": settings.log_driver,
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": if v2 { "2" } else { "1" },
        "NEventsListener": engine.events.listeners(),
        "KernelVersion": super::system::kernel_release(),
        "OperatingSystem": os_release("PRETTY_NAME"),
        "OSVersion": os_release("VERSION_ID"),
        "OSType": "linux",
        "Architecture": std::env::consts::ARCH,
        "RegistryConfig": registries(engine),
        "NCPU": processors(),
        "MemTotal": memory_total(),
        "DockerRootDir": settings.data_root,
        "Name": hostname(),
        "ServerVersion": env!("CARGO_PKG_VERSION"),
        "Runtimes": {"drydock": {"path": "drydock"}},
        "DefaultRuntime": "drydock",
        "LiveRestoreEnabled": settings.live_restore,
        "SecurityOptions": security,
        "FirewallBackend": {"Driver": "nftables"},
        "CDISpecDirs": [],
    }));
    value["ContainersPaused"] = json!(paused);
    value["InitBinary"] = json!(drydock_runtime::pid_one::NAME);
    Answer::json(&value)
}

/// The host's name.
pub fn hostname() -> String {
    nix::unistd::gethostname()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// How many containers run, stand still, and do neither.
fn counts(engine: &Engine) -> (usize, usize, usize) {
    let all = engine.containers.all();
    let count = |wanted: &str| {
        let words = all
            .iter()
            .map(|container| container.snapshot().status_word());
        words.filter(|word| *word == wanted).count()
    };
    let (running, paused) = (count("running"), count("paused"));
    (running, paused, all.len() - running - paused)
}

fn registries(engine: &Engine) -> Value {
    let given = &engine.settings.insecure_registries;
    let mut networks = vec!["::1/128".to_owned(), "127.0.0.0/8".to_owned()];
    networks.extend(given.iter().filter(|name| name.contains('/')).cloned());
    let mirrors = &engine.settings.registry_mirrors;
    let mirrors = (!mirrors.is_empty()).then_some(mirrors);
    let mut hosts = serde_json::Map::new();
    let index = |name: &str, mirrors: &[String], official: bool, secure: bool| json!({"Name": name, "Mirrors": mirrors, "Official": official, "Secure": secure});
    hosts.insert(
        "docker.io".into(),
        index("docker.io", &engine.settings.registry_mirrors, true, true),
    );
    for name in given.iter().filter(|name| !name.contains('/')) {
        hosts.insert(name.clone(), index(name, &[], false, false));
    }
    json!({"IndexConfigs": hosts, "InsecureRegistryCIDRs": networks, "Mirrors": mirrors})
}

fn read(path: &str) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn entries(path: &str) -> usize {
    fs::read_dir(path).map(Iterator::count).unwrap_or(0)
}

/// How many processors this process may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The host's memory, bytes.
pub fn memory_total() -> u64 {
    let text = read("/proc/meminfo");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .unwrap_or("");
    line.split_whitespace()
        .next()
        .and_then(|kilobytes| kilobytes.parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

fn swap_is_counted(v2: bool) -> bool {
    v2 || fs::exists("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes").unwrap_or(false)
}

fn os_release(key: &str) -> String {
    let text = read("/etc/os-release");
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value.unwrap_or("").trim_matches('"').to_owned()
}
