//! GET /containers/json, from the published snapshots.

use drydock_api::{Error, shape, time};
use serde_json::{Value, json};

use super::container::blocking;
use super::list_filter::Filter;
use super::{Container, Record, Status, inspect, links};
use crate::engine::Engine;
use crate::http::{Answer, Request};

/// GET /containers/json.
///
/// # Errors
/// 400 for bad filters, 404 for `before` and `since` with an unknown container, 500 for a bad number.
pub fn handle(engine: &Engine, request: &Request) -> Result<Answer, Error> {
    let limit = request.query.integer("limit")?.filter(|limit| *limit > 0);
    let with_size = request.query.boolean("size");
    let filter = Filter::read(engine, request.query.get("filters"))?;
    let everything = request.query.boolean("all") || limit.is_some() || filter.names_a_state();
    let mut linked = links::names(engine);
    let mut chosen = Vec::new();
    for container in engine.containers.all() {
        let record = container.snapshot();
        if (everything || record.is_running()) && filter.passes(&record) {
            let names = linked.remove(&record.id).unwrap_or_default();
            chosen.push((container, record, names));
        }
    }
    let count = limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(usize::MAX);
    let entries: Vec<Value> = chosen
        .iter()
        .take(count)
        .map(|(container, record, names)| entry(engine, container, record, names, with_size))
        .collect();
    Ok(Answer::json(&Value::from(entries)))
}

/// All containers with their sizes, for GET /system/df.
pub fn with_sizes(engine: &Engine) -> Vec<Value> {
    let mut linked = links::names(engine);
    let containers = engine.containers.all();
    let entries = containers.iter().map(|container| {
        let names = linked.remove(&container.id).unwrap_or_default();
        entry(engine, container, &container.snapshot(), &names, true)
    });
    entries.collect()
}

fn entry(
    engine: &Engine,
    container: &Container,
    record: &Record,
    linked: &[String],
    with_size: bool,
) -> Value {
    let names = std::iter::once(&record.name).chain(linked);
    let names: Vec<String> = names.map(|name| format!("/{name}")).collect();
    let (written, whole) = if with_size {
        let written = blocking(|| inspect::writable_size(container));
        (
            json!(written),
            json!(written + inspect::image_size(engine, record)),
        )
    } else {
        (Value::Null, Value::Null)
    };
    shape::CONTAINER_LIST.with(json!({
        "Id": record.id,
        "Names": names,
        "Image": shown_image(engine, record),
        "ImageID": record.image,
        "Command": command(record),
        "Created": record.created / 1_000_000_000,
        "SizeRw": written,
        "SizeRootFs": whole,
        "Ports": ports(record),
        "Labels": record.config.get("Labels"),
        "State": record.status_word(),
        "Status": status(record, drydock_sys::clock::realtime()),
        "HostConfig": {"NetworkMode": record.network_mode(), "Annotations": record.host_config.get("Annotations")},
        "NetworkSettings": {"Networks": inspect::networks(engine, record)},
        "Mounts": record.mounts,
    }))
}

/// The ports of a running container that has a network of its own: those that it exposes, by number. None is published
/// yet in this engine.
fn ports(record: &Record) -> Vec<Value> {
    if record.endpoint.is_none() || !record.is_running() {
        return Vec::new();
    }
    let exposed = record.config.get("ExposedPorts").and_then(Value::as_object);
    let read = |port: &String| {
        let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        Some((number.parse::<u16>().ok()?, protocol.to_owned()))
    };
    let mut ports: Vec<(u16, String)> = exposed
        .into_iter()
        .flat_map(|exposed| exposed.keys().filter_map(read))
        .collect();
    ports.sort();
    ports
        .into_iter()
        .map(|(number, protocol)| json!({"PrivatePort": number, "Type": protocol}))
        .collect()
}

/// The image by the name that was used, or by its id when that name means another image now.
fn shown_image(engine: &Engine, record: &Record) -> String {
    let name = record.config_text("Image");
    match engine.images.resolve(name) {
        Ok(image) if image.id.to_string() == record.image => name.to_owned(),
        _ => record.image.clone(),
    }
}

/// Program and arguments in one line; arguments with spaces are quoted.
fn command(record: &Record) -> String {
    let quoted = |argument: &String| {
        if argument.contains(' ') {
            format!("'{argument}'")
        } else {
            argument.clone()
        }
    };
    let arguments: Vec<String> = record.args.iter().map(quoted).collect();
    if arguments.is_empty() {
        record.path.clone()
    } else {
        format!("{} {}", record.path, arguments.join(" "))
    }
}

/// `Up 3 minutes`, `Exited (0) 2 hours ago`.
pub fn status(record: &Record, now: u64) -> String {
    let since = |moment: u64| time::human_duration(now.saturating_sub(moment));
    let state = &record.state;
    match state.status {
        Status::Running if state.paused => format!("Up {} (Paused)", since(state.started_at)),
        Status::Running => match &state.health {
            Some(health) => format!("Up {} ({})", since(state.started_at), health.shown()),
            None => format!("Up {}", since(state.started_at)),
        },
        Status::Restarting => format!(
            "Restarting ({}) {} ago",
            state.exit_code,
            since(state.finished_at)
        ),
        Status::Removing => "Removal In Progress".to_owned(),
        Status::Dead => "Dead".to_owned(),
        Status::Created | Status::Starting | Status::Exited if state.finished_at == 0 => {
            "Created".to_owned()
        }
        Status::Created | Status::Starting | Status::Exited => {
            format!(
                "Exited ({}) {} ago",
                state.exit_code,
                since(state.finished_at)
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containers::record::tests::example;

    #[test]
    fn status_texts() {
        let second = 1_000_000_000;
        let mut record = example();
        assert_eq!(status(&record, 0), "Created");
        record.state.status = Status::Running;
        record.state.started_at = second;
        assert_eq!(status(&record, 4 * second), "Up 3 seconds");
        record.state.status = Status::Exited;
        record.state.finished_at = 2 * second;
        record.state.exit_code = 3;
        assert_eq!(
            status(&record, 62 * second),
            "Exited (3) About a minute ago"
        );
        record.state.status = Status::Restarting;
        assert_eq!(
            status(&record, 2 * second),
            "Restarting (3) Less than a second ago"
        );
    }

    #[test]
    fn commands_with_spaces_are_quoted() {
        let mut record = example();
        record.args = vec!["-c".into(), "echo a b".into()];
        record.path = "sh".into();
        assert_eq!(command(&record), "sh -c 'echo a b'");
        record.args.clear();
        assert_eq!(command(&record), "sh");
    }
}
