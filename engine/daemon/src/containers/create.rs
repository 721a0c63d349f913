//! POST /containers/create.
//!
//! Everything is checked first; the name is taken, then the directory is filled, and the record is written
//! last. A directory without a record is what a daemon left that died on the way, and is swept.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use drydock_api::models::{ContainerCreateBody, HostConfig};
use drydock_api::{Error, request, shape};
use drydock_defects::defect;
use drydock_image::Image;
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::record::{FORMAT, Record, State};
use super::{
    Container, health, join, links, log_options, mounts, names, record, validate, validate_network,
};
use crate::engine::Engine;
use crate::handlers::system::architecture;
use crate::http::{Answer, Request};

/// POST /containers/create.
///
/// # Errors
/// Docker's, see [`validate`]; nothing was changed then.
pub async fn handle(engine: &Arc<Engine>, mut request: Request) -> Result<Answer, Error> {
    let body = request.json("container.CreateRequest").await?;
    if !shape::CONFIG.names_any(&body) {
        return Err(Error::invalid(
            "config cannot be empty in order to create a container",
        ));
    }
    // The order is Docker's: what the request says, the image, what depends on either, and the name.
    let mut wanted = Wanted::read(body)?;
    let find = |name: &str| engine.containers.find(name).map(drop);
    validate::host_config(&wanted.host()?, &find)?;
    let image = find_image(engine, &wanted, request.query.get("platform"))?;
    join::resolve_names(engine, &mut wanted.host_config);
    let record = make_record(engine, wanted, &image)?;
    let name = given_name(request.query.get("name"))?;
    let id = record.id.clone();
    let container = super::container::blocking(|| keep(engine, record, name))?;
    engine
        .events
        .container(&container.snapshot(), "create", &[]);
    Ok(Answer::json_with(
        StatusCode::CREATED,
        &json!({"Id": id, "Warnings": []}),
    ))
}

/// What a request asks for, in the shape of `inspect`.
struct Wanted {
    config: Value,
    host_config: Value,
}

impl Wanted {
    fn read(mut body: Value) -> Result<Wanted, Error> {
        let part = |body: &mut Value, key: &str| {
            let map = body.as_object_mut()?;
            map.iter_mut()
                .find(|(name, _)| name.eq_ignore_ascii_case(key))
                .map(|(_, value)| value.take())
        };
        let host = part(&mut body, "HostConfig")
            .filter(|host| !host.is_null())
            .unwrap_or_else(|| json!({}));
        let networking = part(&mut body, "NetworkingConfig").unwrap_or(Value::Null);
        let mut config = shape::CONFIG.with(body);
        validate_network::mode(&config, &host)?;
        validate::isolation(&host)?;
        for key in ["Cmd", "Entrypoint", "Shell"] {
            request::string_as_list(&mut config, key);
        }
        let mut host_config = shape::HOST_CONFIG.with(host);
        for key in ["CapAdd", "CapDrop"] {
            request::string_as_list(&mut host_config, key);
        }
        serde_json::from_value::<ContainerCreateBody>(config.clone())
            .map_err(|error| request::type_error(&error))?;
        validate::config(&config)?;
        validate::check_words(&host_config)?;
        serde_json::from_value::<HostConfig>(host_config.clone())
            .map_err(|error| request::type_error(&error))?;
        let mode = match host_config.get("NetworkMode").and_then(Value::as_str) {
            None | Some("" | "default") => "bridge",
            Some(mode) => mode,
        };
        validate_network::networking(&networking, mode)?;
        host_config["NetworkMode"] = json!(mode);
        Ok(Wanted {
            config,
            host_config,
        })
    }

    fn host(&self) -> Result<HostConfig, Error> {
        serde_json::from_value(self.host_config.clone())
            .map_err(|error| request::type_error(&error))
    }
}

fn given_name(given: &str) -> Result<Option<String>, Error> {
    if given.is_empty() {
        return Ok(None);
    }
    let name = given.strip_prefix('/').unwrap_or(given);
    names::check(name, given)?;
    Ok(Some(name.to_owned()))
}

fn find_image(engine: &Engine, wanted: &Wanted, platform: &str) -> Result<Arc<Image>, Error> {
    let name = wanted
        .config
        .get("Image")
        .and_then(Value::as_str)
        .unwrap_or("");
    if name.is_empty() {
        command(&mut wanted.config.clone())?;
        // Docker makes a container without an image here, which can never start.
        return Err(Error::invalid("no image specified"));
    }
    let image = engine.images.resolve(name)?;
    if !platform.is_empty() && !same_platform(platform, &image) {
        let mut parts = platform.split('/');
        let system = parts.next().unwrap_or("");
        let processor = parts.next().unwrap_or_else(|| architecture());
        return Err(Error::NotFound(format!(
            "image with reference {name} was found but its platform ({}/{}) does not match the specified platform ({system}/{processor})",
            image.os, image.architecture
        )));
    }
    Ok(image)
}

fn same_platform(platform: &str, image: &Image) -> bool {
    let mut parts = platform.split('/');
    let system = parts.next().unwrap_or("");
    let processor = match parts.next() {
        None => architecture(),
        Some("x86_64") => "amd64",
        Some("aarch64") => "arm64",
        Some(other) => other,
    };
    system == image.os && processor == image.architecture
}

fn make_record(engine: &Engine, mut wanted: Wanted, image: &Image) -> Result<Record, Error> {
    let id = names::random_id().map_err(Error::system)?;
    merge_image(&mut wanted.config, image);
    validate::volumes(&wanted.config)?;
    let (path, args) = command(&mut wanted.config)?;
    let settings = &engine.settings;
    log_options::fill(
        &mut wanted.host_config["LogConfig"],
        &settings.log_driver,
        &settings.log_opts,
    );
    let host = wanted.host()?;
    validate::with_image(&host)?;
    fill_host_config(&mut wanted.host_config, &host);
    fill_hostname(&mut wanted.config, &host, &id)?;
    let links = links::read(engine, host.links.as_deref().unwrap_or_default())?;
    wanted.host_config["Links"] = Value::Null;
    // Read again: with the defaults of the engine in it.
    let host = wanted.host()?;
    let mounts = mounts::read(&host)?
        .iter()
        .filter_map(mounts::Wanted::shown)
        .collect();
    Ok(Record {
        format: FORMAT,
        id,
        name: String::new(),
        created: drydock_sys::clock::realtime(),
        path,
        args,
        image: image.id.to_string(),
        config: shape::CONFIG.with(wanted.config),
        host_config: shape::HOST_CONFIG.with(wanted.host_config),
        mounts,
        state: State::default(),
        restart_count: 0,
        manually_stopped: false,
        endpoint: None,
        links,
    })
}

/// Fills what the user left open from the image's configuration, by Docker's rules.
fn merge_image(config: &mut Value, image: &Image) {
    let empty = Map::new();
    let defaults = image
        .config
        .get("config")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    merge_defaults(config, defaults);
}

/// Fills what a configuration leaves open from another one, by the same rules.
pub fn merge_defaults(config: &mut Value, defaults: &Map<String, Value>) {
    let get = |key: &str| defaults.get(key).cloned().unwrap_or(Value::Null);
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    if is_empty(&config["Entrypoint"]) {
        if is_empty(&config["Cmd"]) {
            config["Cmd"] = get("Cmd");
        }
        if config["Entrypoint"].is_null() {
            config["Entrypoint"] = get("Entrypoint");
        }
    }
    config["Env"] = merge_environment(&config["Env"], &get("Env"));
    for key in ["User", "WorkingDir", "StopSignal", "Shell", "OnBuild"] {
        if config.get(key).is_none_or(is_empty) {
            let value = get(key);
            if !value.is_null() {
                config[key] = value;
            }
        }
    }
    config["Healthcheck"] = health::merge(&config["Healthcheck"], &get("Healthcheck"));
    if defect!("label-lost") {
        config["Labels"] = Value::Null;
    }
    for key in ["Labels", "ExposedPorts", "Volumes"] {
        let mut merged = get(key).as_object().cloned().unwrap_or_default();
        merged.extend(
            config
                .get(key)
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default(),
        );
        if !merged.is_empty() {
            config[key] = Value::Object(merged);
        }
    }
}

/// The user's variables, then those of the image that the user did not set.
fn merge_environment(user: &Value, image: &Value) -> Value {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let key = |variable: &Value| {
        variable
            .as_str()
            .unwrap_or("")
            .split('=')
            .next()
            .unwrap_or("")
            .to_owned()
    };
    let mut merged = list(user);
    let set: HashSet<String> = merged.iter().map(key).collect();
    merged.extend(
        list(image)
            .into_iter()
            .filter(|variable| !set.contains(&key(variable))),
    );
    if merged.is_empty() {
        Value::Null
    } else {
        Value::Array(merged)
    }
}

/// What PID 1 runs, from entrypoint and command.
fn command(config: &mut Value) -> Result<(String, Vec<String>), Error> {
    let list = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let mut entrypoint = list(&config["Entrypoint"]);
    if entrypoint == [""] {
        config["Entrypoint"] = Value::Null;
        entrypoint.clear();
    }
    let mut words = entrypoint.into_iter().chain(list(&config["Cmd"]));
    let Some(path) = words.next() else {
        return Err(Error::invalid("no command specified"));
    };
    Ok((path, words.collect()))
}

/// Docker's default masked paths, in the order of its `inspect`.
const MASKED: [&str; 12] = [
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

/// Docker's default read-only paths.
const READONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Writes the engine's defaults into a `HostConfig`, so that `inspect` shows what is true.
fn fill_host_config(config: &mut Value, host: &HostConfig) {
    let privileged = host.privileged == Some(true);
    let mut default = |key: &str, value: Value| {
        let unset = match &config[key] {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Number(number) => number.as_i64() == Some(0),
            _ => false,
        };
        if unset {
            config[key] = value;
        }
    };
    default("IpcMode", json!("private"));
    default("CgroupnsMode", json!("private"));
    default("ShmSize", json!(64 << 20));
    default("Runtime", json!("drydock"));
    if !privileged {
        default("MaskedPaths", json!(MASKED));
        default("ReadonlyPaths", json!(READONLY));
    } else {
        config["MaskedPaths"] = Value::Null;
        config["ReadonlyPaths"] = Value::Null;
    }
    if config["RestartPolicy"]["Name"] == "" {
        config["RestartPolicy"]["Name"] = json!("no");
    }
    let memory = host.memory.unwrap_or(0);
    if memory > 0 && host.memory_swap.unwrap_or(0) == 0 {
        config["MemorySwap"] = json!(memory * 2);
    }
    if host.memory_swappiness == Some(-1) {
        config["MemorySwappiness"] = Value::Null;
    }
    if host.pids_limit.is_some_and(|limit| limit <= 0) {
        config["PidsLimit"] = Value::Null;
    }
}

fn fill_hostname(config: &mut Value, host: &HostConfig, id: &str) -> Result<(), Error> {
    let host_uts = host.uts_mode.as_deref() == Some("host");
    let given = config
        .get("Hostname")
        .and_then(Value::as_str)
        .is_some_and(|name| !name.is_empty());
    if host_uts && given {
        return Err(Error::invalid(
            "conflicting options: hostname and the UTS mode",
        ));
    }
    if !given {
        let name = if host_uts || host.network_mode.as_deref() == Some("host") {
            nix::unistd::gethostname()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default()
        } else {
            id[..12].to_owned()
        };
        config["Hostname"] = json!(name);
    }
    Ok(())
}

/// Takes the name, makes the directory, writes the record.
fn keep(
    engine: &Engine,
    mut record: Record,
    name: Option<String>,
) -> Result<Arc<Container>, Error> {
    record.name = reserve(engine, name, &record.id)?;
    let directory = engine.container_directory(&record.id);
    if let Err(error) = make_directory(&directory, &record) {
        engine.containers.release_name(&record.name);
        return Err(Error::system(format!(
            "create container {}: {error}",
            record.name
        )));
    }
    let container = Arc::new(Container::new(record, directory));
    engine.containers.insert(Arc::clone(&container));
    Ok(container)
}

fn reserve(engine: &Engine, name: Option<String>, id: &str) -> Result<String, Error> {
    if let Some(name) = name {
        engine.containers.reserve(&name, id)?;
        return Ok(name);
    }
    let random = |range: std::ops::Range<usize>| u64::from_str_radix(&id[range], 16).unwrap_or(0);
    let free = (0..48)
        .step_by(8)
        .map(|start| names::generate(random(start..start + 8)));
    for name in free {
        if engine.containers.reserve(&name, id).is_ok() {
            return Ok(name);
        }
    }
    // Six taken in a row: thousands of containers. The id is unique.
    let name = format!("{}_{}", names::generate(random(48..56)), &id[..8]);
    engine.containers.reserve(&name, id)?;
    Ok(name)
}

fn make_directory(directory: &Path, record: &Record) -> io::Result<()> {
    let durable = !record.auto_remove();
    let fill = || -> io::Result<()> {
        crate::engine::make_private(&directory.join("rw"))?;
        // The container's root directory: entered by whoever the container runs as.
        fs::create_dir(directory.join("rw/upper"))?;
        fs::create_dir(directory.join("rw/work"))?;
        record::write(directory, record, durable)?;
        if durable && let Some(parent) = directory.parent() {
            File::open(parent)?.sync_all()?;
        }
        Ok(())
    };
    fill().inspect_err(|_| {
        // What could not be made completely goes; what cannot be removed now, the next start sweeps.
        let _ = fs::remove_dir_all(directory);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environments_are_merged() {
        let merged = merge_environment(&json!(["A=1", "B"]), &json!(["A=2", "PATH=/bin"]));
        assert_eq!(merged, json!(["A=1", "B", "PATH=/bin"]));
        assert_eq!(merge_environment(&Value::Null, &Value::Null), Value::Null);
    }

    #[test]
    fn commands_are_joined() {
        let run = |entrypoint: Value, cmd: Value| {
            command(&mut json!({"Entrypoint": entrypoint, "Cmd": cmd}))
                .map_err(|error| error.to_string())
        };
        assert_eq!(
            run(Value::Null, json!(["sh", "-c", "x"])),
            Ok(("sh".into(), vec!["-c".into(), "x".into()]))
        );
        assert_eq!(
            run(json!(["/init"]), json!(["a"])),
            Ok(("/init".into(), vec!["a".into()]))
        );
        assert_eq!(run(json!([""]), json!(["a"])), Ok(("a".into(), vec![])));
        assert_eq!(
            run(json!([""]), Value::Null),
            Err("no command specified".into())
        );
    }

    #[test]
    fn names_may_have_a_slash_before_them() {
        assert_eq!(given_name("/web"), Ok(Some("web".into())));
        assert_eq!(given_name(""), Ok(None));
        assert_eq!(
            given_name("-x").unwrap_err().to_string(),
            "Invalid container name (-x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        );
    }
}
