//! What the daemon is told: flags and daemon.json, with Docker's names.
//!
//! Both are read into one map by daemon.json's keys ([`keys`]), so a key that is given twice is found by
//! comparing two maps, and Docker's rule holds: it is an error, whichever the values.

mod file;
mod flags;
mod keys;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde_json::{Map, Value};

/// Where daemon.json is looked for when `--config-file` is not given; there it need not exist.
const DEFAULT_FILE: &str = "/etc/drydock/daemon.json";

/// Everything the daemon is told, with its defaults filled in.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Images, containers and all that must outlive a reboot.
    pub data_root: PathBuf,
    /// Sockets of shims and what must not outlive a reboot.
    pub exec_root: PathBuf,
    /// The unix sockets to listen on.
    pub hosts: Vec<PathBuf>,
    /// Where the daemon writes its process id.
    pub pidfile: PathBuf,
    /// The name of the default bridge.
    pub bridge: String,
    /// The default bridge's address.
    pub gateway: Ipv4Addr,
    /// The length of its network part.
    pub prefix_length: u8,
    /// The largest packet on the default bridge, bytes.
    pub mtu: u32,
    /// Containers outlive the daemon.
    pub live_restore: bool,
    /// Containers that do not say whether they want an init have one.
    pub init: bool,
    /// Log driver of a container that names none.
    pub log_driver: String,
    /// Its options.
    pub log_opts: BTreeMap<String, String>,
    /// Registries that may be spoken to without TLS.
    pub insecure_registries: Vec<String>,
    /// Mirrors of the default registry.
    pub registry_mirrors: Vec<String>,
    /// Write more to the daemon's log.
    pub debug: bool,
}

/// Why the daemon cannot start with what it was told, or what it prints instead of starting.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Flags that do not parse, or `--help`.
    #[error(transparent)]
    Flags(#[from] clap::Error),
    /// Everything else; the text names the flag, key or file.
    #[error("{0}")]
    Invalid(String),
}

impl Settings {
    /// Reads flags (without the program's name) and daemon.json.
    ///
    /// # Errors
    /// Unknown flags and keys, values of the wrong kind, keys given in both places, and what is not built.
    pub fn read(arguments: impl Iterator<Item = OsString>) -> Result<Settings, SettingsError> {
        let (config_file, flags) = flags::parse(arguments)?;
        let must_exist = config_file.is_some();
        let path = config_file.unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        let file = file::read(&path, must_exist)?;
        let merged = file::merge(flags, file, &path)?;
        Settings::from_map(&merged)
    }

    fn from_map(map: &Map<String, Value>) -> Result<Settings, SettingsError> {
        let text = |key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
        let path = |key: &str, default: &str| {
            PathBuf::from(text(key).unwrap_or_else(|| default.to_owned()))
        };
        let truth =
            |key: &str, default: bool| map.get(key).and_then(Value::as_bool).unwrap_or(default);
        let exec_root = path("exec-root", "/run/drydock");
        let (gateway, prefix_length) = keys::bridge_address(map)?;
        let (log_driver, log_opts) = keys::log(map)?;
        let driver = text("storage-driver").unwrap_or_default();
        if !matches!(driver.as_str(), "" | "overlay2") {
            return Err(invalid(format!(
                "storage driver {driver:?} is not built; there is overlay2"
            )));
        }
        Ok(Settings {
            data_root: absolute(path("data-root", "/var/lib/drydock"), "data-root")?,
            hosts: keys::hosts(map, &exec_root)?,
            pidfile: text("pidfile").map_or_else(|| exec_root.join("drydock.pid"), PathBuf::from),
            exec_root: absolute(exec_root, "exec-root")?,
            bridge: text("bridge").unwrap_or_else(|| "drydock0".to_owned()),
            gateway,
            prefix_length,
            mtu: map
                .get("mtu")
                .and_then(Value::as_u64)
                .and_then(|mtu| u32::try_from(mtu).ok())
                .unwrap_or(1500),
            live_restore: truth("live-restore", true),
            init: truth("init", false),
            log_driver,
            log_opts,
            insecure_registries: keys::text_list(map, "insecure-registries"),
            registry_mirrors: keys::text_list(map, "registry-mirrors"),
            debug: truth("debug", false),
        })
    }

    /// The first part of this daemon's cgroup paths: `drydock` for the usual data root, else with a tag that
    /// follows from the data root, so that daemons beside each other never touch each other's cgroups.
    pub fn cgroup_parent(&self) -> String {
        if self.data_root == std::path::Path::new("/var/lib/drydock") {
            return "drydock".to_owned();
        }
        // FNV-1a: the same in every build of every version, which std's hashers do not promise.
        let tag = self
            .data_root
            .as_os_str()
            .as_encoded_bytes()
            .iter()
            .fold(0x811c_9dc5_u32, |hash, byte| {
                (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
            });
        format!("drydock-{tag:08x}")
    }
}

fn invalid(text: impl Into<String>) -> SettingsError {
    SettingsError::Invalid(text.into())
}

fn absolute(path: PathBuf, key: &str) -> Result<PathBuf, SettingsError> {
    if path.is_absolute() {
        return Ok(path);
    }
    Err(invalid(format!(
        "{key}: {} is not an absolute path",
        path.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Settings, SettingsError> {
        Settings::read(arguments.iter().map(OsString::from))
    }

    fn with_file(content: &str, arguments: &[&str]) -> Result<Settings, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let mut all = vec!["--config-file", file.path().to_str().unwrap()];
        all.extend(arguments);
        read(&all).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_are_read() {
        let settings = read(&[
            "--config-file=/dev/null",
            "--data-root",
            "/x",
            "--exec-root=/y",
            "-H",
            "unix:///z.sock",
            "--bip",
            "10.9.0.1/24",
            "--live-restore=false",
            "-D",
            "--bridge",
            "br9",
            "--log-opt",
            "max-size=1m",
        ])
        .unwrap();
        assert_eq!(settings.data_root, PathBuf::from("/x"));
        assert_eq!(settings.hosts, [PathBuf::from("/z.sock")]);
        assert_eq!(
            (settings.gateway, settings.prefix_length),
            (Ipv4Addr::new(10, 9, 0, 1), 24)
        );
        assert!(!settings.live_restore && settings.debug);
        assert_eq!(settings.pidfile, PathBuf::from("/y/drydock.pid"));
        assert_eq!(settings.log_opts["max-size"], "1m");
        assert_ne!(settings.cgroup_parent(), "drydock");
    }

    #[test]
    fn the_file_is_read() {
        let settings = with_file(
            r#"{"data-root": "/x", "live-restore": false, "registry-mirrors": ["http://m"]}"#,
            &[],
        )
        .unwrap();
        assert_eq!(settings.data_root, PathBuf::from("/x"));
        assert_eq!(settings.registry_mirrors, ["http://m"]);
    }

    #[test]
    fn unknown_keys_and_conflicts_are_errors() {
        let unknown = with_file(r#"{"foo": 1}"#, &[]).unwrap_err();
        assert!(
            unknown.contains("the following directives don't match any configuration option: foo"),
            "{unknown}"
        );
        let conflict = with_file(r#"{"debug": true}"#, &["--debug"]).unwrap_err();
        assert!(conflict.contains("specified both as a flag and in the configuration file: debug: (from flag: true, from file: true)"), "{conflict}");
        let kind = with_file(r#"{"debug": "yes"}"#, &[]).unwrap_err();
        assert!(kind.contains("debug"), "{kind}");
        let missing = read(&["--config-file", "/nonexistent.json"])
            .unwrap_err()
            .to_string();
        assert!(missing.contains("/nonexistent.json"), "{missing}");
        let later = with_file(r#"{"userns-remap": "default"}"#, &[]).unwrap_err();
        assert!(later.contains("not built yet"), "{later}");
    }

    #[test]
    fn bad_values_are_errors() {
        for arguments in [
            ["--bip", "10.0.0.1"],
            ["-H", "tcp://0.0.0.0:2375"],
            ["--storage-driver", "zfs"],
            ["--log-driver", "foo"],
            ["--data-root", "rel"],
        ] {
            assert!(
                read(&["--config-file=/dev/null", arguments[0], arguments[1]]).is_err(),
                "{arguments:?}"
            );
        }
    }
}
