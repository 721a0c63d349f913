//! What can be seen of a sequence's containers: inspect, list, events, and the bodies of answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rig::Response;
use serde_json::{Map, Value, json};

use crate::engine::{Engine, json_of};
use crate::normal::{self, Known};
use crate::operation::Operation;
use crate::track::is_never;
use crate::wire::{self, API};

/// How long containers may take to come to rest. Long, because a host with much to do is no finding.
const REST: Duration = Duration::from_secs(60);

/// How far back events are asked for again: an engine stamps an event before it can be asked for it.
const OVERLAP: Duration = Duration::from_secs(2);

/// What an answer tells, apart from ids and times.
pub fn answer(operation: &Operation, response: &Response) -> Value {
    let body = json_of(response);
    let body = match operation {
        Operation::Logs(_, tail) if response.status < 300 => {
            let (out, err) = wire::streams(&response.body);
            logged(&out, &err, tail.is_some())
        }
        Operation::Inspect(_) if response.status < 300 => inspected(&body),
        Operation::List(_) if response.status < 300 => listed(&body),
        Operation::Top(_) if response.status < 300 => processes(&body),
        // How much room that gave is not the same on two engines that store differently.
        Operation::Prune if response.status < 300 => deleted(&body["ContainersDeleted"]),
        // Its id names an exec, which is different each time.
        Operation::Exec(..) if response.status < 300 => Value::Null,
        _ => body,
    };
    let mut answer = json!({ "status": response.status, "body": body });
    if matches!(operation, Operation::Exec(..)) && response.status < 300 {
        answer["message"] = Value::Null;
    }
    answer
}

/// What logs gave. An engine reads two pipes, and which of two lines it reads first is chance where a program writes to
/// both: of the last lines of such a log only the number is certain.
fn logged(out: &str, err: &str, is_tail: bool) -> Value {
    let writes_to_both = |line: &str| matches!(line, "out" | "err");
    if is_tail && out.lines().chain(err.lines()).any(writes_to_both) {
        return json!({ "lines": out.lines().count() + err.lines().count() });
    }
    json!({ "stdout": out, "stderr": err })
}

/// Everything that is compared after a step.
///
/// # Errors
/// When the engine does not answer.
pub fn observe(engine: &mut Engine) -> anyhow::Result<Value> {
    let inspected = rest(engine)?;
    let list = engine.send("GET", &wire::list_path(&engine.tag, None), None)?;
    let known = engine.known();
    let events = fetch_events(engine, &known)?;
    let seen =
        json!({ "containers": inspected, "list": listed(&json_of(&list)), "events": events });
    Ok(normal::value(&seen, &engine.tag, &known))
}

/// Looks at all containers until none of them moves.
fn rest(engine: &mut Engine) -> anyhow::Result<Map<String, Value>> {
    let deadline = Instant::now() + REST;
    loop {
        let (seen, moves) = look(engine)?;
        if !moves {
            return Ok(seen);
        }
        if Instant::now() > deadline {
            let mut seen = seen;
            seen.insert("rest".to_owned(), json!("has not come to rest"));
            return Ok(seen);
        }
        std::thread::sleep(Duration::from_millis(15));
    }
}

fn look(engine: &mut Engine) -> anyhow::Result<(Map<String, Value>, bool)> {
    let mut seen = Map::new();
    let mut moves = false;
    let mut containers = std::mem::take(&mut engine.containers);
    for container in &mut containers {
        if container.gone {
            seen.insert(container.known.label.clone(), json!("gone"));
            continue;
        }
        let id = container.known.id.clone();
        let response = engine.send("GET", &format!("{API}/containers/{id}/json"), None);
        let Ok(response) = response else {
            engine.containers = containers;
            return response.map(|_| (seen, false));
        };
        if response.status == 404 {
            container.gone = true;
            seen.insert(container.known.label.clone(), json!("gone"));
            continue;
        }
        let inspect = json_of(&response);
        moves |= container.moves(&inspect, &mut || ready_lines(engine, &id));
        seen.insert(container.known.label.clone(), inspected(&inspect));
    }
    engine.containers = containers;
    Ok((seen, moves))
}

fn ready_lines(engine: &Engine, id: &str) -> usize {
    let logs = engine.send("GET", &format!("{API}/containers/{id}/logs?stdout=1"), None);
    logs.map_or(0, |logs| logs.text().matches("ready").count())
}

/// The fields of an inspect that do not depend on the host.
pub fn inspected(body: &Value) -> Value {
    let mut seen = Map::new();
    for field in [
        "Name",
        "Path",
        "Args",
        "RestartCount",
        "Platform",
        "MountLabel",
        "ProcessLabel",
        "Mounts",
        "Config",
        "HostConfig",
    ] {
        seen.insert(field.to_owned(), body[field].clone());
    }
    let mut state = body["State"].clone();
    for field in ["StartedAt", "FinishedAt"] {
        state[field] = json!(if is_never(&state[field]) {
            "never"
        } else {
            "once"
        });
    }
    state["Pid"] = json!(state["Pid"].as_i64().unwrap_or_default() > 0);
    seen.insert("State".to_owned(), state);
    let networks = body["NetworkSettings"]["Networks"].as_object();
    let networks: BTreeMap<&String, bool> = networks
        .into_iter()
        .flatten()
        .map(|(name, endpoint)| {
            (
                name,
                endpoint["IPAddress"]
                    .as_str()
                    .is_some_and(|address| !address.is_empty()),
            )
        })
        .collect();
    seen.insert("Networks".to_owned(), json!(networks));
    Value::Object(seen)
}

/// The entries of a list by name: containers that were created at the same moment come in either order.
fn listed(body: &Value) -> Value {
    let Some(entries) = body.as_array() else {
        return body.clone();
    };
    let mut seen = Map::new();
    for entry in entries {
        let mut shown =
            json!({ "Status": normal::status(entry["Status"].as_str().unwrap_or_default()) });
        for field in [
            "Image",
            "Command",
            "State",
            "Labels",
            "Ports",
            "HostConfig",
            "Mounts",
            "Names",
        ] {
            shown[field] = entry[field].clone();
        }
        seen.insert(
            entry["Names"][0].as_str().unwrap_or_default().to_owned(),
            shown,
        );
    }
    Value::Object(seen)
}

/// The command lines of a `top`, in alphabetic order: children of a shell come and go with new ids.
fn processes(body: &Value) -> Value {
    let mut commands: Vec<&Value> = body["Processes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|process| process.as_array()?.last())
        .collect();
    commands.sort_by_key(|command| command.to_string());
    json!({ "Titles": body["Titles"], "Commands": commands })
}

/// What a prune has removed, as keys: ids have no order that two engines share.
fn deleted(list: &Value) -> Value {
    match list.as_array() {
        None => list.clone(),
        Some(ids) => ids
            .iter()
            .map(|id| (id.as_str().unwrap_or_default().to_owned(), json!("deleted")))
            .collect::<Map<String, Value>>()
            .into(),
    }
}

/// Events that were told of the sequence's containers, since its beginning.
#[derive(Debug)]
pub struct Events {
    since: Duration,
    seen: BTreeSet<String>,
    told: Vec<Value>,
}

impl Default for Events {
    fn default() -> Events {
        Events {
            since: now(),
            seen: BTreeSet::new(),
            told: Vec::new(),
        }
    }
}

fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

fn stamp(time: Duration) -> String {
    format!("{}.{:09}", time.as_secs(), time.subsec_nanos())
}

/// Asks for events after each step, because Docker keeps the last 256 only, of everybody together.
fn fetch_events(engine: &mut Engine, known: &[Known]) -> anyhow::Result<Value> {
    let until = now();
    let path = wire::events_path(&engine.tag, &stamp(engine.events.since), &stamp(until));
    let response = engine.send("GET", &path, None)?.success()?;
    for line in response.text().lines() {
        if engine.events.seen.insert(line.to_owned()) {
            engine.events.told.push(serde_json::from_str(line)?);
        }
    }
    engine.events.since = until.saturating_sub(OVERLAP).max(engine.events.since);
    Ok(by_container(&engine.events.told, known))
}

/// Each container's events in their order, those of execs apart and in alphabetic order.
///
/// Two containers' events come in either order when two clients act at once. So do those of an exec and of its
/// container, and those of two execs: Docker tells them from different threads. The end of the program is told by one
/// thread of Docker's and the success of `stop` by another, so `die` is put first there. And whether a paused container
/// that is killed is told to go on first is luck on Docker, so an `unpause` that a signal causes is left out.
fn by_container(told: &[Value], known: &[Known]) -> Value {
    let mut lives: BTreeMap<String, (Vec<Value>, Vec<String>)> = BTreeMap::new();
    for event in told {
        let id = event["Actor"]["ID"].as_str().unwrap_or_default();
        let label = known.iter().find(|container| container.id == id);
        let label = label.map_or("unknown", |container| &container.label);
        let (life, execs) = lives.entry(label.to_owned()).or_default();
        let shown = event_text(event);
        if shown.starts_with("exec_") {
            execs.push(shown);
        } else {
            if shown.starts_with("unpause ")
                && life.last().is_some_and(|last| begins(last, "kill "))
            {
                continue;
            }
            let overtaken =
                shown.starts_with("die ") && life.last().is_some_and(|last| begins(last, "stop "));
            life.insert(life.len() - usize::from(overtaken), json!(shown));
        }
    }
    lives
        .into_iter()
        .map(|(label, (life, mut execs))| {
            execs.sort();
            (label, json!({ "life": life, "execs": execs }))
        })
        .collect::<Map<String, Value>>()
        .into()
}

fn begins(event: &Value, word: &str) -> bool {
    event.as_str().is_some_and(|text| text.starts_with(word))
}

/// The action and the attributes, without an exec's id and without how long it ran.
fn event_text(event: &Value) -> String {
    let mut text = event["Action"].as_str().unwrap_or_default().to_owned();
    for (name, value) in event["Actor"]["Attributes"]
        .as_object()
        .into_iter()
        .flatten()
    {
        if !matches!(name.as_str(), "execID" | "execDuration" | wire::LABEL) {
            text.push_str(&format!(" {name}={}", value.as_str().unwrap_or_default()));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, action: &str, attributes: Value) -> Value {
        json!({"Action": action, "Actor": {"ID": id, "Attributes": attributes}})
    }

    #[test]
    fn events_go_to_their_container_and_execs_apart() {
        let known = [Known {
            label: "a#1".into(),
            id: "1".into(),
        }];
        let told = [
            event("1", "exec_die", json!({"execID": "9", "exitCode": "0"})),
            event("2", "start", json!({})),
            event("1", "kill", json!({"signal": "9", "conf.fuzz": "t"})),
            event("1", "stop", json!({"name": "x"})),
            event("1", "die", json!({"exitCode": "137", "execDuration": "3"})),
        ];
        assert_eq!(
            by_container(&told, &known),
            json!({
                "a#1": {"life": ["kill signal=9", "die exitCode=137", "stop name=x"], "execs": ["exec_die exitCode=0"]},
                "unknown": {"life": ["start"], "execs": []}
            })
        );
    }

    #[test]
    fn the_last_lines_of_two_streams_are_counted() {
        assert_eq!(logged("", "err\n", true), logged("out\n", "", true));
        assert_ne!(logged("out\n", "err\n", true), logged("out\n", "", true));
        assert_ne!(logged("", "err\n", false), logged("out\n", "", false));
        assert_ne!(logged("ready\n", "", true), logged("", "", true));
    }

    #[test]
    fn lists_do_not_depend_on_order() {
        let a = json!({"Names": ["/a"], "Status": "Up 2 seconds"});
        let b = json!({"Names": ["/b"], "Status": "Created"});
        assert_eq!(listed(&json!([a, b])), listed(&json!([b, a])));
        assert_eq!(listed(&json!([a]))["/a"]["Status"], "Up …");
    }
}
