//! What is known about one container, and how it is kept: `containers/<id>/container.json`.
//!
//! A learner can open the file. It is replaced as a whole (temporary file, fsync, rename, fsync of the
//! directory), so it is always a complete record of some moment. A `--rm` container's record is not synced:
//! after a power cut it would be removed anyway.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use drydock_api::models::HostConfig;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::health::Health;
use super::links::Link;

/// The record's file in the container's directory.
pub const FILE: &str = "container.json";

/// The record's format. A newer one is refused, an older one is read.
pub const FORMAT: u32 = 1;

/// One container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// [`FORMAT`].
    pub format: u32,
    /// 64 hexadecimal digits.
    pub id: String,
    /// Without the slash that the API puts before it.
    pub name: String,
    /// Nanoseconds since 1970.
    pub created: u64,
    /// What PID 1 runs: entrypoint and command, joined.
    pub path: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// The image's id, `sha256:…`.
    pub image: String,
    /// Docker's `Config`, in the shape of `inspect`.
    pub config: Value,
    /// Docker's `HostConfig`, in the shape of `inspect`.
    pub host_config: Value,
    /// Mounts that were asked for, in the shape of `inspect`.
    pub mounts: Vec<Value>,
    /// The state.
    pub state: State,
    /// How often the restart policy started it again.
    pub restart_count: u32,
    /// It was stopped or killed by a user, so that `unless-stopped` leaves it.
    pub manually_stopped: bool,
    /// Its place in the default bridge, while it runs.
    pub endpoint: Option<EndpointRecord>,
    /// `--link`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
}

/// The state of a container.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// Where in its life it is.
    pub status: Status,
    /// PID 1 in the host's PID namespace; 0 when it does not run.
    pub pid: i32,
    /// The code of its last end.
    pub exit_code: i32,
    /// Why it did not start.
    pub error: String,
    /// The kernel's out-of-memory killer ended a process of it.
    pub oom_killed: bool,
    /// Its processes stand still; see [`Record::is_paused`].
    #[serde(default)]
    pub paused: bool,
    /// They stand still only because a commit copies their files; a daemon that finds this lets them go on.
    #[serde(default)]
    pub held: bool,
    /// What its health checks have found, once it has been started; see [`super::health`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Nanoseconds since 1970; 0 is never.
    pub started_at: u64,
    /// Nanoseconds since 1970; 0 is never.
    pub finished_at: u64,
    /// The boot in which it was started (/proc/sys/kernel/random/boot_id): in another one it cannot run.
    pub boot_id: String,
}

/// Where in its life a container is. `Starting` and `Removing` are intents: they are on disk before the
/// first effect, so that a daemon that died on the way leaves a trace of what it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Made, never started.
    #[default]
    Created,
    /// Being started.
    Starting,
    /// PID 1 runs.
    Running,
    /// Waits for its restart policy's delay.
    Restarting,
    /// PID 1 has ended.
    Exited,
    /// A removal failed half way.
    Dead,
    /// Being removed.
    Removing,
}

/// A container's place in the default bridge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointRecord {
    /// IPv4 address.
    pub address: std::net::Ipv4Addr,
    /// `02:42:…`
    pub mac_address: String,
    /// 64 hexadecimal digits, new for each start.
    pub endpoint_id: String,
    /// 64 hexadecimal digits, new for each start.
    pub sandbox_id: String,
}

impl State {
    /// The health where it is another one now.
    pub fn set_health(&mut self, status: Option<super::health::Status>) {
        if let (Some(health), Some(status)) = (&mut self.health, status) {
            health.status = status;
        }
    }
}

impl Record {
    /// PID 1 runs, or the restart policy will start it: what the API calls `Running`.
    pub fn is_running(&self) -> bool {
        matches!(self.state.status, Status::Running | Status::Restarting)
            || self.is_starting_again()
    }

    /// It runs, and its processes stand still.
    pub fn is_paused(&self) -> bool {
        self.state.status == Status::Running && self.state.paused
    }

    /// The word of the API for the state. The intents do not show.
    pub fn status_word(&self) -> &'static str {
        match self.state.status {
            Status::Created => "created",
            Status::Starting if self.is_starting_again() => "restarting",
            Status::Starting if self.state.started_at == 0 => "created",
            Status::Starting | Status::Exited => "exited",
            Status::Running if self.state.paused => "paused",
            Status::Running => "running",
            Status::Restarting => "restarting",
            Status::Dead => "dead",
            Status::Removing => "removing",
        }
    }

    /// The restart policy is starting it: for the API it is still waiting for that.
    fn is_starting_again(&self) -> bool {
        self.state.status == Status::Starting && self.restart_count > 0
    }

    /// The names of the container whose network it shares are its own.
    pub fn take_names(&mut self, other: &Record) {
        for key in ["Hostname", "Domainname"] {
            self.config[key] = other.config[key].clone();
        }
    }

    /// A text of the `Config`.
    pub fn config_text(&self, key: &str) -> &str {
        self.config.get(key).and_then(Value::as_str).unwrap_or("")
    }

    /// A truth value of the `Config`.
    pub fn config_truth(&self, key: &str) -> bool {
        self.config
            .get(key)
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    /// A list of texts of the `Config`.
    pub fn config_list(&self, key: &str) -> Vec<String> {
        let list = self
            .config
            .get(key)
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        list.iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    }

    /// A label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.config.get("Labels")?.get(key)?.as_str()
    }

    /// The `HostConfig` as the wire type. It was read through that type when the container was made, so this
    /// does not fail; a record that was edited by hand into something else counts as one with defaults.
    pub fn host(&self) -> HostConfig {
        serde_json::from_value(self.host_config.clone()).unwrap_or_default()
    }

    /// `--rm`.
    pub fn auto_remove(&self) -> bool {
        self.host_config
            .get("AutoRemove")
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    /// `--network`, `bridge` for the default.
    pub fn network_mode(&self) -> &str {
        self.host_config
            .get("NetworkMode")
            .and_then(Value::as_str)
            .unwrap_or("bridge")
    }

    /// The driver of its log.
    pub fn log_driver(&self) -> &str {
        self.host_config
            .pointer("/LogConfig/Type")
            .and_then(Value::as_str)
            .unwrap_or("json-file")
    }
}

/// Reads a record; None where there is no file.
///
/// # Errors
/// The operating system's, and a file that is not a record of ours.
pub fn read(directory: &Path) -> io::Result<Option<Record>> {
    let path = directory.join(FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let damaged =
        |why: &dyn std::fmt::Display| io::Error::other(format!("{}: {why}", path.display()));
    let record: Record = serde_json::from_slice(&text).map_err(|error| damaged(&error))?;
    if record.format > FORMAT {
        return Err(damaged(&format!(
            "format {} is newer than this engine's {FORMAT}",
            record.format
        )));
    }
    Ok(Some(record))
}

/// Replaces the record on disk. `durable` syncs it, so that it is there after a power cut.
///
/// # Errors
/// The operating system's, with the path.
pub fn write(directory: &Path, record: &Record, durable: bool) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(record)?;
    let temporary = directory.join(".container.json.new");
    let replace = || -> io::Result<()> {
        // For root only: an environment may hold secrets.
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&text)?;
        if durable {
            file.sync_all()?;
        }
        fs::rename(&temporary, directory.join(FILE))?;
        if durable {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    };
    replace().map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("write {}: {error}", directory.join(FILE).display()),
        )
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// A record for tests of other files.
    pub fn example() -> Record {
        Record {
            format: FORMAT,
            id: "0123456789ab".repeat(6)[..64].to_owned(),
            name: "web".into(),
            created: 1_000_000_000,
            path: "sleep".into(),
            args: vec!["100".into()],
            image: format!("sha256:{}", "0".repeat(64)),
            config: drydock_api::shape::CONFIG
                .with(json!({"Image": "busybox", "Labels": {"a": "b"}, "Cmd": ["sleep", "100"]})),
            host_config: drydock_api::shape::HOST_CONFIG
                .with(json!({"NetworkMode": "bridge", "AutoRemove": true})),
            mounts: Vec::new(),
            state: State::default(),
            restart_count: 0,
            manually_stopped: false,
            endpoint: None,
            links: Vec::new(),
        }
    }

    #[test]
    fn a_record_comes_back_from_disk() {
        let directory = tempfile::tempdir().unwrap();
        assert!(read(directory.path()).unwrap().is_none());
        for durable in [true, false] {
            write(directory.path(), &example(), durable).unwrap();
            let record = read(directory.path()).unwrap().unwrap();
            assert_eq!(record.name, "web");
            assert_eq!(record.host_config, example().host_config);
            assert!(record.auto_remove());
            assert_eq!(record.label("a"), Some("b"));
            let mode = fs::metadata(directory.path().join(FILE))
                .unwrap()
                .permissions();
            assert_eq!(
                std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777,
                0o600
            );
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_newer_format_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let newer = Record {
            format: FORMAT + 1,
            ..example()
        };
        write(directory.path(), &newer, false).unwrap();
        assert!(
            read(directory.path())
                .unwrap_err()
                .to_string()
                .contains("newer")
        );
    }

    #[test]
    fn intents_do_not_show() {
        let mut record = example();
        record.state.status = Status::Starting;
        assert_eq!(record.status_word(), "created");
        record.state.started_at = 1;
        assert_eq!(record.status_word(), "exited");
        record.restart_count = 1;
        assert_eq!(record.status_word(), "restarting");
        assert!(record.is_running());
    }
}
