//! Judging a "use it" lab: what the engine says about its containers.
//!
//! What somebody typed is not looked at; any way to the state is a good one. Where the state alone cannot
//! tell (`exit 137` by a program is not a program that was killed), the engine's events can.
//!
//! Two things must be seen while they are there, and [`Seen`] remembers them: a container that will be gone
//! (that something is absent is worth nothing if it never was), and an event, because engines forget. Docker
//! keeps the last 256 of the whole engine, and one container that restarts all the time makes many.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::{Engine, Event};
use crate::lab::{Assert, Condition, Lab, Task};
use crate::verdict::Finding;

/// How often a state that is not there yet is looked at.
const PAUSE: Duration = Duration::from_millis(100);

/// What was seen so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// Containers: name to id.
    #[serde(default)]
    pub containers: BTreeMap<String, String>,
    /// Events that a task asks for, as `ID kill signal=9`.
    #[serde(default)]
    pub events: BTreeSet<String>,
}

/// Adds what there is now of a lab's containers and their events.
pub fn look(engine: &Engine, lab: &Lab, seen: &mut Seen) -> Result<()> {
    let now = engine.containers()?;
    for assert in lab.tasks.iter().flat_map(|task| &task.assert) {
        let Some(id) = now.get(&assert.container) else {
            continue;
        };
        seen.containers.insert(assert.container.clone(), id.clone());
        if let Condition::Event { action, attributes } = &assert.condition
            && !seen.events.contains(&key(id, action, attributes))
        {
            remember(id, action, attributes, &engine.events(id)?, seen);
        }
    }
    Ok(())
}

/// How an event is written down.
fn key(id: &str, action: &str, attributes: &BTreeMap<String, String>) -> String {
    format!("{id} {}", describe(action, attributes))
}

fn describe(action: &str, attributes: &BTreeMap<String, String>) -> String {
    let attributes: String = attributes
        .iter()
        .map(|(name, value)| format!(" {name}={value}"))
        .collect();
    format!("{action}{attributes}")
}

fn remember(
    id: &str,
    action: &str,
    attributes: &BTreeMap<String, String>,
    events: &[Event],
    seen: &mut Seen,
) {
    let is_wanted = |event: &Event| {
        event.action == action
            && attributes
                .iter()
                .all(|(name, value)| event.actor.attributes.get(name) == Some(value))
    };
    if events.iter().any(is_wanted) {
        seen.events.insert(key(id, action, attributes));
    }
}

/// Tries a task: all its conditions, again until its timeout while one does not hold.
pub fn try_task(engine: &Engine, task: &Task, seen: &mut Seen) -> Result<Finding> {
    let deadline = Instant::now() + Duration::from_secs(task.timeout);
    loop {
        let Some((finding, may_change)) = first_failure(engine, task, seen)? else {
            return Ok(Finding::pass());
        };
        if !may_change || Instant::now() >= deadline {
            return Ok(finding);
        }
        std::thread::sleep(PAUSE);
    }
}

/// The first condition that does not hold, and whether waiting can help.
fn first_failure(engine: &Engine, task: &Task, seen: &mut Seen) -> Result<Option<(Finding, bool)>> {
    // One look at each container: two looks could see two states of which no moment had both.
    let mut containers: BTreeMap<&str, Option<Value>> = BTreeMap::new();
    for assert in &task.assert {
        let name = assert.container.as_str();
        if !containers.contains_key(name) {
            containers.insert(name, engine.inspect(name)?);
        }
        let container = containers.get(name).and_then(Option::as_ref);
        let failure = match (&assert.condition, container) {
            (Condition::Gone, container) => gone(assert, container.is_some(), seen),
            (_, None) => Some(Finding::fail(format!(
                "there is no container `{}`",
                assert.container
            ))),
            (Condition::Event { action, attributes }, Some(container)) => {
                let id = container["Id"].as_str().unwrap_or_default();
                event(assert, id, action, attributes, seen, || engine.events(id))?
            }
            (Condition::OneOf { field, values }, Some(container)) => {
                one_of(assert, field, values, container)
            }
            (Condition::AtLeast { field, minimum }, Some(container)) => {
                at_least(assert, field, *minimum, container)
            }
        };
        if let Some(finding) = failure {
            return Ok(Some((finding, container.is_some() && may_change(assert))));
        }
    }
    Ok(None)
}

/// What a container was created with stays as it is.
fn may_change(assert: &Assert) -> bool {
    match &assert.condition {
        Condition::OneOf { field, .. } | Condition::AtLeast { field, .. } => {
            !field.starts_with("HostConfig.") && !field.starts_with("Config.")
        }
        Condition::Event { .. } | Condition::Gone => true,
    }
}

fn gone(assert: &Assert, is_there: bool, seen: &Seen) -> Option<Finding> {
    let name = &assert.container;
    if is_there {
        return Some(
            Finding::fail(assert.message.clone())
                .with_difference(format!("no container `{name}`"), "it is there"),
        );
    }
    if !seen.containers.contains_key(name) {
        return Some(Finding::fail(format!(
            "nobody has seen a container `{name}` yet, so it cannot have gone\nhint: run `labs check` while it is there"
        )));
    }
    None
}

fn event(
    assert: &Assert,
    id: &str,
    action: &str,
    attributes: &BTreeMap<String, String>,
    seen: &mut Seen,
    events: impl FnOnce() -> Result<Vec<Event>>,
) -> Result<Option<Finding>> {
    let key = key(id, action, attributes);
    if seen.events.contains(&key) {
        return Ok(None);
    }
    let events = events()?;
    remember(id, action, attributes, &events, seen);
    if seen.events.contains(&key) {
        return Ok(None);
    }
    if !events.iter().any(|event| event.action == "create") {
        return Ok(Some(Finding::fail(format!(
            "the engine no longer knows what happened to `{}`\nhint: make it again, and check soon",
            assert.container
        ))));
    }
    let happened: Vec<&str> = events.iter().map(|event| event.action.as_str()).collect();
    Ok(Some(Finding::fail(assert.message.clone()).with_difference(
        format!("an event {}", describe(action, attributes)),
        format!("events: {}", happened.join(", ")),
    )))
}

fn one_of(assert: &Assert, field: &str, values: &[Value], container: &Value) -> Option<Finding> {
    let actual = field_of(container, field);
    if values.contains(actual) {
        return None;
    }
    let expected: Vec<String> = values.iter().map(Value::to_string).collect();
    Some(Finding::fail(assert.message.clone()).with_difference(
        format!("{field} = {}", expected.join(" or ")),
        format!("{field} = {actual}"),
    ))
}

fn at_least(assert: &Assert, field: &str, minimum: i64, container: &Value) -> Option<Finding> {
    let actual = field_of(container, field);
    if actual.as_i64().is_some_and(|number| number >= minimum) {
        return None;
    }
    Some(Finding::fail(assert.message.clone()).with_difference(
        format!("{field} of {minimum} or more"),
        format!("{field} = {actual}"),
    ))
}

/// `State.ExitCode` of an inspect document; null where there is no such field.
fn field_of<'a>(container: &'a Value, field: &str) -> &'a Value {
    field.split('.').fold(container, |value, name| &value[name])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn assert(condition: Condition) -> Assert {
        Assert {
            container: "c".to_string(),
            condition,
            message: "m".to_string(),
        }
    }

    #[test]
    fn fields_are_compared_by_type_and_value() {
        let about = assert(Condition::Gone);
        let container = json!({ "State": { "ExitCode": 3 }, "RestartCount": 2 });
        let one = |field: &str, value: Value| one_of(&about, field, &[value], &container);
        assert_eq!(one("State.ExitCode", json!(3)), None);
        assert!(one("State.ExitCode", json!("3")).is_some());
        let finding = one("State.Exitcode", json!(3)).unwrap();
        assert_eq!(finding.difference.unwrap().actual, "State.Exitcode = null");
        assert_eq!(at_least(&about, "RestartCount", 2, &container), None);
        assert!(at_least(&about, "RestartCount", 3, &container).is_some());
        assert!(at_least(&about, "State", 0, &container).is_some());
    }

    #[test]
    fn gone_needs_to_have_been_seen() {
        let about = assert(Condition::Gone);
        let nobody = Seen::default();
        let seen = Seen {
            containers: BTreeMap::from([("c".to_string(), "id".to_string())]),
            ..Seen::default()
        };
        assert!(
            gone(&about, false, &nobody)
                .unwrap()
                .message
                .contains("nobody has seen")
        );
        assert_eq!(gone(&about, true, &seen).unwrap().message, "m");
        assert_eq!(gone(&about, false, &seen), None);
    }

    #[test]
    fn an_event_needs_all_its_attributes_and_is_remembered() {
        let events = |actions: &[&str]| -> Result<Vec<Event>> {
            let events = actions.iter().map(
                |action| json!({ "Action": action, "Actor": { "ID": "x", "Attributes": { "signal": "15" } } }),
            );
            Ok(serde_json::from_value(events.collect())?)
        };
        let about = assert(Condition::Gone);
        let mut seen = Seen::default();
        let mut ask = |signal: &str, actions: &[&str]| {
            let attributes = BTreeMap::from([("signal".to_string(), signal.to_string())]);
            event(&about, "x", "kill", &attributes, &mut seen, || {
                events(actions)
            })
            .unwrap()
        };
        let finding = ask("9", &["create", "kill", "die"]).unwrap();
        let difference = finding.difference.unwrap();
        assert_eq!(difference.expected, "an event kill signal=9");
        assert_eq!(difference.actual, "events: create, kill, die");
        assert_eq!(ask("15", &["create", "kill"]), None);
        assert_eq!(ask("15", &[]), None, "seen before");
        // An engine that forgot is not an engine that says no.
        assert!(
            ask("9", &["die"])
                .unwrap()
                .message
                .contains("no longer knows")
        );
    }
}
