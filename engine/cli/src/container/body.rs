//! The body of `POST /containers/create`, field for field what the stock client sends: `inspect` shows
//! whether a list was empty or absent, so the two clients must not differ there. `tests` compares it with
//! bodies that were captured from the stock client.

use serde_json::{Map, Value, json};

use super::{devices, environment, health, mounts, networks, ports, security};
use crate::flags::{Matches, values};

/// What `create` sends, and what it needs to know itself.
#[derive(Debug)]
pub struct Creation {
    /// The body.
    pub body: Value,
    /// `/containers/create?name=…&platform=…`.
    pub path: String,
    /// The image as the user wrote it.
    pub image: String,
}

/// Puts the body together. The error is what the user did wrong.
pub fn build(matches: &Matches) -> Result<Creation, String> {
    let image = matches.words.first().cloned().unwrap_or_default();
    let (volumes, binds) = volumes(matches)?;
    let ports = ports::parse(&matches.list("publish"), &matches.list("expose"))?;
    let security = security::parse(&matches.list("security-opt"))?;
    security::check_modes(
        matches.text("pid"),
        matches.text("uts"),
        matches.text("userns"),
        matches.text("cgroupns"),
    )?;
    let swappiness = matches.int("memory-swappiness");
    if !(-1..=100).contains(&swappiness) {
        return Err(format!(
            "invalid value: {swappiness}. Valid memory swappiness range is 0-100"
        ));
    }
    let networks = networks::parse(matches)?;
    let mut config = config(matches, &image, volumes)?;
    if !ports.exposed.is_empty() {
        config.insert("ExposedPorts".to_string(), Value::Object(ports.exposed));
    }
    let mut host = host_config(matches, &security)?;
    host.insert("Binds".to_string(), list_or_null(binds));
    host.insert("PortBindings".to_string(), Value::Object(ports.bindings));
    host.insert("NetworkMode".to_string(), json!(networks.mode));
    limits(matches, &mut host)?;
    config.insert("HostConfig".to_string(), Value::Object(host));
    config.insert(
        "NetworkingConfig".to_string(),
        json!({"EndpointsConfig": networks.endpoints}),
    );
    Ok(Creation {
        body: Value::Object(config),
        path: path(matches),
        image,
    })
}

fn path(matches: &Matches) -> String {
    let mut query = Vec::new();
    for flag in ["name", "platform"] {
        if !matches.text(flag).is_empty() {
            query.push(format!(
                "{flag}={}",
                crate::query::escape(matches.text(flag))
            ));
        }
    }
    let mark = if query.is_empty() { "" } else { "?" };
    format!("/containers/create{mark}{}", query.join("&"))
}

/// The fields of an object.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn list_or_null(list: Vec<String>) -> Value {
    if list.is_empty() {
        Value::Null
    } else {
        json!(list)
    }
}

/// The unnamed volumes and the binds.
fn volumes(matches: &Matches) -> Result<(Map<String, Value>, Vec<String>), String> {
    let (mut volumes, mut binds) = (Map::new(), Vec::new());
    for text in matches.list("volume") {
        match mounts::volume(&text)? {
            mounts::Volume::Bind(bind) => binds.push(bind),
            mounts::Volume::Anonymous(path) => drop(volumes.insert(path, json!({}))),
        }
    }
    Ok((volumes, binds))
}

fn config(
    matches: &Matches,
    image: &str,
    volumes: Map<String, Value>,
) -> Result<Map<String, Value>, String> {
    let attach = |stream: &str| {
        matches
            .list("attach")
            .iter()
            .any(|name| name.eq_ignore_ascii_case(stream))
    };
    let all = !matches.given("attach");
    let interactive = matches.switch("interactive");
    let stdin = attach("stdin") || interactive;
    let entrypoint = matches
        .given("entrypoint")
        .then(|| vec![matches.text("entrypoint").to_string()]);
    let labels: Map<String, Value> =
        environment::labels(&matches.list("label-file"), &matches.list("label"))?
            .into_iter()
            .map(|(key, value)| (key, json!(value)))
            .collect();
    let detached = matches.has("detach") && matches.switch("detach");
    let mut config = object(json!({
        "Hostname": matches.text("hostname"),
        "Domainname": matches.text("domainname"),
        "User": matches.text("user"),
        "AttachStdin": stdin && !detached,
        "AttachStdout": (attach("stdout") || all) && !detached,
        "AttachStderr": (attach("stderr") || all) && !detached,
        "Tty": matches.switch("tty"),
        "OpenStdin": interactive,
        "StdinOnce": interactive && stdin && !detached,
        "Env": list_or_null(environment::variables(&matches.list("env-file"), &matches.list("env"))?),
        "Cmd": list_or_null(matches.words.get(1..).unwrap_or_default().to_vec()),
        "Image": image,
        "Volumes": volumes,
        "WorkingDir": matches.text("workdir"),
        "Entrypoint": entrypoint,
        "OnBuild": null,
        "Labels": labels,
    }));
    if let Some(check) = health::check(matches)? {
        config.insert("Healthcheck".to_string(), check);
    }
    if !matches.text("stop-signal").is_empty() {
        config.insert("StopSignal".to_string(), json!(matches.text("stop-signal")));
    }
    if matches.given("stop-timeout") {
        config.insert(
            "StopTimeout".to_string(),
            json!(matches.int("stop-timeout")),
        );
    }
    Ok(config)
}

fn host_config(
    matches: &Matches,
    security: &security::Security,
) -> Result<Map<String, Value>, String> {
    let restart = security::restart_policy(matches.text("restart"))?;
    let log_options = pairs(&matches.list("log-opt"));
    if matches.text("log-driver") == "none" && !log_options.is_empty() {
        return Err("invalid logging opts for driver none".to_string());
    }
    let mapped: Result<Vec<Value>, String> = matches
        .list("device")
        .iter()
        .map(|value| devices::device(value))
        .collect();
    if matches
        .list("storage-opt")
        .iter()
        .any(|option| !option.contains('='))
    {
        return Err("invalid storage option".to_string());
    }
    let mut requests = Vec::new();
    for value in matches.list("gpus") {
        requests.push(devices::gpu(&value)?);
    }
    let unconfined = |yes: bool| if yes { json!([]) } else { Value::Null };
    let mut host = object(json!({
        "ContainerIDFile": matches.text("cidfile"),
        "LogConfig": {"Type": matches.text("log-driver"), "Config": log_options},
        "RestartPolicy": restart,
        "AutoRemove": matches.switch("rm"),
        "VolumeDriver": matches.text("volume-driver"),
        "VolumesFrom": list_or_null(matches.list("volumes-from")),
        "ConsoleSize": [0, 0],
        "CapAdd": list_or_null(security::capabilities(&matches.list("cap-add"))),
        "CapDrop": list_or_null(security::capabilities(&matches.list("cap-drop"))),
        "CgroupnsMode": matches.text("cgroupns"),
        "Dns": matches.list("dns"),
        "DnsOptions": matches.list("dns-option"),
        "DnsSearch": matches.list("dns-search"),
        "ExtraHosts": list_or_null(matches.list("add-host").iter().map(|host| host.replacen('=', ":", 1)).collect()),
        "GroupAdd": list_or_null(matches.list("group-add")),
        "IpcMode": matches.text("ipc"),
        "Cgroup": "",
        "Links": list_or_null(matches.list("link")),
        "OomScoreAdj": matches.int("oom-score-adj"),
        "PidMode": matches.text("pid"),
        "Privileged": matches.switch("privileged"),
        "PublishAllPorts": matches.switch("publish-all"),
        "ReadonlyRootfs": matches.switch("read-only"),
        "SecurityOpt": list_or_null(security.options.clone()),
        "UTSMode": matches.text("uts"),
        "UsernsMode": matches.text("userns"),
        "ShmSize": matches.bytes("shm-size"),
        "Isolation": matches.text("isolation"),
        "CgroupParent": matches.text("cgroup-parent"),
        "Devices": mapped?,
        "DeviceCgroupRules": list_or_null(matches.list("device-cgroup-rule")),
        "DeviceRequests": if requests.is_empty() { Value::Null } else { json!(requests) },
        "MaskedPaths": unconfined(security.paths_unconfined),
        "ReadonlyPaths": unconfined(security.paths_unconfined),
    }));
    optional(matches, &mut host)?;
    Ok(host)
}

/// Fields that are left out where the user says nothing.
fn optional(matches: &Matches, host: &mut Map<String, Value>) -> Result<(), String> {
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            host.insert(name.to_string(), value);
        }
    };
    let map = |flag: &str| {
        Some(pairs(&matches.list(flag)))
            .filter(|map| !map.is_empty())
            .map(Value::Object)
    };
    let tmpfs: Map<String, Value> = matches
        .list("tmpfs")
        .iter()
        .map(|text| text.split_once(':').unwrap_or((text, "")))
        .map(|(path, options)| (path.to_string(), json!(options)))
        .collect();
    let mut mounted = Vec::new();
    for text in matches.list("mount") {
        mounted.push(mounts::mount(&text)?);
    }
    set("Annotations", map("annotation"));
    set("StorageOpt", map("storage-opt"));
    set("Sysctls", map("sysctl"));
    set("Tmpfs", (!tmpfs.is_empty()).then_some(Value::Object(tmpfs)));
    set(
        "Mounts",
        (!mounted.is_empty()).then_some(Value::Array(mounted)),
    );
    set(
        "Init",
        matches.given("init").then(|| json!(matches.switch("init"))),
    );
    set(
        "Runtime",
        Some(matches.text("runtime"))
            .filter(|name| !name.is_empty())
            .map(|name| json!(name)),
    );
    Ok(())
}

/// CPU, memory, disk and the rest of the API's `Resources`.
fn limits(matches: &Matches, host: &mut Map<String, Value>) -> Result<(), String> {
    let rates = |flag: &str, is_bytes: bool| -> Result<Vec<Value>, String> {
        matches
            .list(flag)
            .iter()
            .map(|value| devices::rate(value, is_bytes))
            .collect()
    };
    let weights: Result<Vec<Value>, String> = matches
        .list("blkio-weight-device")
        .iter()
        .map(|value| devices::weight(value))
        .collect();
    // A repeated name replaces the one before; the stock client sends them sorted.
    let mut ulimits = std::collections::BTreeMap::new();
    for text in matches.list("ulimit") {
        let name = text.split('=').next().unwrap_or_default().to_string();
        ulimits.insert(name, devices::ulimit(&text)?);
    }
    let nano_cpus = match matches.text("cpus") {
        "" => 0,
        text => values::nano_cpus(text)?,
    };
    host.extend(object(json!({
        "CpuShares": matches.int("cpu-shares"),
        "Memory": matches.bytes("memory"),
        "NanoCpus": nano_cpus,
        "BlkioWeight": matches.int("blkio-weight"),
        "BlkioWeightDevice": weights?,
        "BlkioDeviceReadBps": rates("device-read-bps", true)?,
        "BlkioDeviceWriteBps": rates("device-write-bps", true)?,
        "BlkioDeviceReadIOps": rates("device-read-iops", false)?,
        "BlkioDeviceWriteIOps": rates("device-write-iops", false)?,
        "CpuPeriod": matches.int("cpu-period"),
        "CpuQuota": matches.int("cpu-quota"),
        "CpuRealtimePeriod": matches.int("cpu-rt-period"),
        "CpuRealtimeRuntime": matches.int("cpu-rt-runtime"),
        "CpusetCpus": matches.text("cpuset-cpus"),
        "CpusetMems": matches.text("cpuset-mems"),
        "MemoryReservation": matches.bytes("memory-reservation"),
        "MemorySwap": matches.bytes("memory-swap"),
        "MemorySwappiness": matches.int("memory-swappiness"),
        "OomKillDisable": matches.switch("oom-kill-disable"),
        "PidsLimit": matches.int("pids-limit"),
        "Ulimits": ulimits.into_values().collect::<Vec<_>>(),
        "CpuCount": matches.int("cpu-count"),
        "CpuPercent": matches.int("cpu-percent"),
        "IOMaximumIOps": matches.int("io-maxiops"),
        "IOMaximumBandwidth": matches.bytes("io-maxbandwidth"),
    })));
    Ok(())
}

fn pairs(list: &[String]) -> Map<String, Value> {
    list.iter()
        .map(|line| environment::key_value(line))
        .map(|(key, value)| (key, json!(value)))
        .collect()
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
