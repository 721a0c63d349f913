//! The keys of daemon.json and their flags, as data, and how the values that are more than a text are read.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{SettingsError, invalid};
use crate::containers::log_options;

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Number,
    Truth,
    List,
    /// An object of texts; as a flag `key=value`, repeated.
    Map,
    /// A list of objects of texts; as a flag `key=value,key=value`, repeated.
    Objects,
}

/// One key that is built.
pub struct Key {
    pub key: &'static str,
    pub flag: &'static str,
    pub short: Option<char>,
    pub kind: Kind,
    pub help: &'static str,
}

const fn key(
    key: &'static str,
    flag: &'static str,
    short: Option<char>,
    kind: Kind,
    help: &'static str,
) -> Key {
    Key {
        key,
        flag,
        short,
        kind,
        help,
    }
}

/// The keys that are built.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("data-root", "data-root", None, Kind::Text, "Where images and containers are kept (default /var/lib/drydock)"),
    key("exec-root", "exec-root", None, Kind::Text, "Where sockets and run-time files are kept (default /run/drydock)"),
    key("hosts", "host", Some('H'), Kind::List, "Socket to listen on, unix:///path (default unix:///run/drydock/drydock.sock)"),
    key("pidfile", "pidfile", Some('p'), Kind::Text, "Where to write the process id (default EXEC-ROOT/drydock.pid)"),
    key("bip", "bip", None, Kind::Text, "Address of the default bridge, for example 10.207.0.1/16"),
    key("bridge", "bridge", Some('b'), Kind::Text, "Name of the default bridge, made if missing (default drydock0)"),
    key("mtu", "mtu", None, Kind::Number, "Largest packet on the default bridge (default 1500)"),
    key("live-restore", "live-restore", None, Kind::Truth, "Containers outlive the daemon (default true)"),
    key("init", "init", None, Kind::Truth, "Run containers that say nothing of it with an init, which passes signals on and reaps processes"),
    key("log-driver", "log-driver", None, Kind::Text, "Log driver of containers that name none (default json-file)"),
    key("log-opts", "log-opt", None, Kind::Map, "Option of the log driver, for example max-size=10m"),
    key("storage-driver", "storage-driver", Some('s'), Kind::Text, "Storage driver; there is overlay2"),
    key("insecure-registries", "insecure-registry", None, Kind::List, "Registry that may be used without TLS"),
    key("registry-mirrors", "registry-mirror", None, Kind::List, "Mirror of the default registry"),
    key("default-address-pools", "default-address-pool", None, Kind::Objects, "Pool for networks, base=10.207.0.0/16,size=16"),
    key("debug", "debug", Some('D'), Kind::Truth, "Write more to the log"),
];

/// Keys that Docker has and we do not yet.
#[rustfmt::skip]
pub const NOT_BUILT: &[&str] = &[
    "allow-direct-routing", "authorization-plugins", "bip6", "bridge-accept-fwmark", "builder", "cdi-spec-dirs", "cgroup-parent",
    "containerd", "containerd-namespace", "containerd-plugins-namespace", "cpu-rt-period", "cpu-rt-runtime", "data-root-mode",
    "default-cgroupns-mode", "default-gateway", "default-gateway-v6", "default-ipc-mode", "default-network-opts", "default-runtime",
    "default-shm-size", "default-ulimits", "dns", "dns-opts", "dns-search", "exec-opts", "experimental", "features", "fixed-cidr",
    "fixed-cidr-v6", "firewall-backend", "group", "host-gateway-ip", "host-gateway-ips", "http-proxy", "https-proxy", "icc",
    "init-path", "ip", "ip-forward", "ip-forward-no-drop", "ip-masq", "ip6tables", "iptables", "ipv6", "labels", "log-format",
    "log-level", "max-concurrent-downloads", "max-concurrent-uploads", "max-download-attempts", "metrics-addr", "min-api-version",
    "network-control-plane-mtu", "no-new-privileges", "no-proxy", "node-generic-resources", "oom-score-adjust", "proxies",
    "raw-logs", "rootless", "runtimes", "seccomp-profile", "selinux-enabled", "shutdown-timeout", "storage-opts", "swarm-default-advertise-addr",
    "tls", "tlscacert", "tlscert", "tlskey", "tlsverify", "userland-proxy", "userland-proxy-path", "userns-remap", "validate",
];

/// Checks that a value is of its key's kind.
pub fn check(key: &Key, value: &Value) -> Result<(), SettingsError> {
    let texts = |list: &Vec<Value>| list.iter().all(Value::is_string);
    let text_values = |map: &Map<String, Value>| map.values().all(Value::is_string);
    let right = match (key.kind, value) {
        (Kind::Text, Value::String(_))
        | (Kind::Number, Value::Number(_))
        | (Kind::Truth, Value::Bool(_)) => true,
        (Kind::List, Value::Array(list)) => texts(list),
        (Kind::Map, Value::Object(map)) => text_values(map),
        (Kind::Objects, Value::Array(list)) => list.iter().all(Value::is_object),
        _ => false,
    };
    if right {
        Ok(())
    } else {
        Err(invalid(format!(
            "{}: {value} is not of the right kind",
            key.key
        )))
    }
}

/// A list of texts, empty when the key is missing.
pub fn text_list(map: &Map<String, Value>, key: &str) -> Vec<String> {
    let list = map
        .get(key)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    list.iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// A map of texts, empty when the key is missing.
pub fn text_map(map: &Map<String, Value>, key: &str) -> BTreeMap<String, String> {
    let Some(object) = map.get(key).and_then(Value::as_object) else {
        return BTreeMap::new();
    };
    object
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// The unix sockets to listen on.
pub fn hosts(map: &Map<String, Value>, exec_root: &Path) -> Result<Vec<PathBuf>, SettingsError> {
    let given = text_list(map, "hosts");
    if given.is_empty() {
        return Ok(vec![exec_root.join("drydock.sock")]);
    }
    let socket = |host: &String| match host.strip_prefix("unix://") {
        Some(path) if path.starts_with('/') => Ok(PathBuf::from(path)),
        _ => Err(invalid(format!(
            "host {host:?}: only unix:///path is served\nhint: a TCP socket without TLS client certificates gives root to whoever reaches it"
        ))),
    };
    given.iter().map(socket).collect()
}

/// The log driver for containers that name none, and its options.
pub fn log(map: &Map<String, Value>) -> Result<(String, BTreeMap<String, String>), SettingsError> {
    let driver = match map.get("log-driver").and_then(Value::as_str) {
        None | Some("") => "json-file",
        Some(driver) => driver,
    };
    let options = text_map(map, "log-opts");
    log_options::check_options(driver, &options)
        .map_err(|error| invalid(format!("failed to set log opts: {error}")))?;
    Ok((driver.to_owned(), options))
}

/// The default bridge's address: `bip`, else the first address of the first pool, else our default.
pub fn bridge_address(map: &Map<String, Value>) -> Result<(Ipv4Addr, u8), SettingsError> {
    if let Some(text) = map.get("bip").and_then(Value::as_str) {
        return subnet(text).ok_or_else(|| {
            invalid(format!(
                "bip: {text:?} is not an address with a prefix length, like 10.207.0.1/16"
            ))
        });
    }
    let pools = map.get("default-address-pools").and_then(Value::as_array);
    let Some(pool) = pools.and_then(|list| list.first()) else {
        return Ok((Ipv4Addr::new(10, 207, 0, 1), 16));
    };
    let bad = || {
        invalid(format!(
            "default-address-pools: {pool} is not like {{\"base\": \"10.207.0.0/16\", \"size\": 24}}"
        ))
    };
    let (base, base_length) = pool
        .get("base")
        .and_then(Value::as_str)
        .and_then(subnet)
        .ok_or_else(bad)?;
    let size = match pool.get("size") {
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    let size = size
        .and_then(|size| u8::try_from(size).ok())
        .filter(|size| (base_length..=30).contains(size))
        .ok_or_else(bad)?;
    let mask = u32::MAX.checked_shl(32 - u32::from(size)).unwrap_or(0);
    Ok((Ipv4Addr::from((u32::from(base) & mask) + 1), size))
}

fn subnet(text: &str) -> Option<(Ipv4Addr, u8)> {
    let (address, length) = text.split_once('/')?;
    let length = length
        .parse()
        .ok()
        .filter(|length| (8..=30).contains(length))?;
    Some((address.parse().ok()?, length))
}
