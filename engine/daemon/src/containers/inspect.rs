//! GET /containers/{id}/json, from the published snapshot.

use drydock_api::{Error, shape, time};
use drydock_defects::defect;
use serde_json::{Map, Value, json};

use super::container::blocking;
use super::start::network_of;
use super::{Container, Record, Status, join, links};
use crate::engine::Engine;
use crate::http::{Answer, Request};

/// GET /containers/{id}/json.
///
/// # Errors
/// 404, and 400 for an ambiguous prefix.
pub fn handle(engine: &Engine, request: &Request) -> Result<Answer, Error> {
    let container = engine.containers.find(&request.name)?;
    let written = request
        .query
        .boolean("size")
        .then(|| blocking(|| writable_size(&container)));
    let value = inspect(engine, &container, written);
    Ok(Answer::json(&value))
}

/// `written` is the size of the writable layer, where it was asked for.
fn inspect(engine: &Engine, container: &Container, written: Option<u64>) -> Value {
    let record = container.snapshot();
    let started = record.state.started_at != 0;
    // The files of who has the network.
    let folder = match join::named(record.network_mode()) {
        Some(other) => engine.container_directory(other),
        None => container.directory.clone(),
    };
    let file = |name: &str| {
        if started {
            folder.join(name).display().to_string()
        } else {
            String::new()
        }
    };
    let log = if started && record.log_driver() == "json-file" {
        container.log_path().display().to_string()
    } else {
        String::new()
    };
    let running: Vec<String> = container
        .live()
        .execs
        .values()
        .filter(|exec| exec.is_running())
        .map(|exec| exec.id.clone())
        .collect();
    let mut value = shape::CONTAINER_INSPECT.with(json!({
        "Id": record.id,
        "Created": time::rfc3339(record.created),
        "Path": record.path,
        "Args": record.args,
        "State": state(&record),
        "Image": record.image,
        "ResolvConfPath": file("resolv.conf"),
        "HostnamePath": file("hostname"),
        "HostsPath": file("hosts"),
        "LogPath": log,
        "Name": format!("/{}", record.name),
        "RestartCount": record.restart_count,
        "Driver": "overlay2",
        "Platform": "linux",
        "ExecIDs": if running.is_empty() { Value::Null } else { json!(running) },
        "HostConfig": record.host_config,
        "SizeRw": written,
        "SizeRootFs": written.map(|written| written + image_size(engine, &record)),
        "Mounts": record.mounts,
        "Config": record.config,
        "NetworkSettings": network_settings(engine, &record),
    }));
    value["HostConfig"]["Links"] = links::shown(engine, &record);
    value["GraphDriver"] = json!({"Data": layers(engine, container, &record), "Name": "overlay2"});
    value
}

fn state(record: &Record) -> Value {
    let state = &record.state;
    let started_at = if defect!("started-at-zero") {
        0
    } else {
        state.started_at
    };
    let mut shown = json!({
        "Status": record.status_word(),
        "Running": record.is_running(),
        "Paused": record.is_paused(),
        "Restarting": state.status == Status::Restarting,
        "OOMKilled": state.oom_killed,
        "Dead": state.status == Status::Dead,
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": time::rfc3339(started_at),
        "FinishedAt": time::rfc3339(state.finished_at),
    });
    if let Some(health) = &state.health {
        shown["Health"] = health.inspect();
    }
    shown
}

/// `NetworkSettings`. The keys of the default bridge are there twice, as in Docker: at the top, from before
/// there were networks, and below the network's name.
fn network_settings(engine: &Engine, record: &Record) -> Value {
    let mut top = Map::new();
    if let Some(endpoint) = &record.endpoint {
        for (key, value) in endpoint_fields(engine, record) {
            top.insert(key, value);
        }
        top.insert("SandboxID".into(), json!(endpoint.sandbox_id));
        // Docker has a file there; our namespaces have no name but that of their processes.
        top.insert(
            "SandboxKey".into(),
            json!(format!("/proc/{}/ns/net", record.state.pid)),
        );
        if let Some(exposed) = record.config.get("ExposedPorts").and_then(Value::as_object) {
            let ports: Map<String, Value> = exposed
                .keys()
                .map(|port| (port.clone(), Value::Null))
                .collect();
            top.insert("Ports".into(), Value::Object(ports));
        }
    }
    top.insert("Networks".into(), networks(engine, record));
    shape::NETWORK_SETTINGS.with(Value::Object(top))
}

/// The container's networks by name, as `inspect` and the list show them.
pub fn networks(engine: &Engine, record: &Record) -> Value {
    if join::named(record.network_mode()).is_some() {
        return json!({});
    }
    let mut fields = endpoint_fields(engine, record);
    let known = matches!(record.network_mode(), "bridge" | "host" | "none");
    if record.state.started_at != 0 && known {
        fields.insert("NetworkID".into(), json!(network_of(engine, record).0));
    }
    let mut networks = Map::new();
    networks.insert(
        record.network_mode().to_owned(),
        shape::ENDPOINT.with(Value::Object(fields)),
    );
    Value::Object(networks)
}

fn endpoint_fields(engine: &Engine, record: &Record) -> Map<String, Value> {
    let mut fields = Map::new();
    if let Some(endpoint) = &record.endpoint {
        let config = engine.network.config();
        let mut set = |key: &str, value: Value| fields.insert(key.to_owned(), value);
        set("MacAddress", json!(endpoint.mac_address));
        set("EndpointID", json!(endpoint.endpoint_id));
        set("Gateway", json!(config.gateway.to_string()));
        set("IPAddress", json!(endpoint.address.to_string()));
        set("IPPrefixLen", json!(config.prefix_length));
    }
    fields
}

/// Where the layers are. There is no merged directory on the host: the overlay is mounted only in the
/// container's own mount namespace. The key is there, since clients expect it, with the path through which
/// root reaches it while PID 1 runs.
fn layers(engine: &Engine, container: &Container, record: &Record) -> Value {
    let mut lower = vec![engine.skeleton()];
    if let Some(image) = engine.images.by_id(&record.image) {
        lower.extend(engine.images.layers(&image));
    }
    let lower: Vec<String> = lower
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let merged = if record.state.pid > 0 {
        format!("/proc/{}/root", record.state.pid)
    } else {
        String::new()
    };
    json!({
        "ID": record.id,
        "LowerDir": lower.join(":"),
        "MergedDir": merged,
        "UpperDir": container.upper(),
        "WorkDir": container.file("rw/work"),
    })
}

/// The bytes of the files in the writable layer. A container that is just being removed has none.
pub fn writable_size(container: &Container) -> u64 {
    drydock_image::usage::written(&container.upper()).unwrap_or_else(|error| {
        tracing::debug!("size of container {}: {error}", container.id);
        0
    })
}

/// The bytes of the image.
pub fn image_size(engine: &Engine, record: &Record) -> u64 {
    engine
        .images
        .by_id(&record.image)
        .map_or(0, |image| image.size)
}
