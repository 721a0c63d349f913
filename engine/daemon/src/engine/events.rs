//! The news: what happened to which object, for GET /events.
//!
//! The last thousand are kept for `since`. A client that reads too slowly is cut off, so that it can never
//! hold the engine up.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use drydock_api::filters::Filters;
use drydock_api::time::Moment;
use drydock_defects::defect;
use serde_json::{Map, Value, json};
use tokio::sync::broadcast;

use crate::containers::Record;
use crate::containers::container::lock;

/// How many events are kept for `since`.
const KEPT: usize = 1000;

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    /// `container`, `image`, `network`, …
    pub kind: &'static str,
    /// `start`, `die`, `exec_start: sh`, …
    pub action: String,
    /// The object's id.
    pub id: String,
    /// What else is known; sorted, as Go sends maps.
    pub attributes: std::collections::BTreeMap<String, String>,
    /// When, nanoseconds since 1970.
    pub time: Moment,
}

impl Event {
    /// The event as Docker sends it. Containers and images also have the keys of before API 1.22.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        if matches!(self.kind, "container" | "image") {
            object.insert("status".into(), json!(self.action));
            object.insert("id".into(), json!(self.id));
        }
        if self.kind == "container" {
            object.insert(
                "from".into(),
                json!(self.attributes.get("image").map_or("", String::as_str)),
            );
        }
        object.insert("Type".into(), json!(self.kind));
        object.insert("Action".into(), json!(self.action));
        object.insert(
            "Actor".into(),
            json!({"ID": self.id, "Attributes": self.attributes}),
        );
        object.insert("scope".into(), json!("local"));
        object.insert("time".into(), json!(self.time / 1_000_000_000));
        object.insert("timeNano".into(), json!(self.time));
        Value::Object(object)
    }

    /// Whether it passes the filters of GET /events.
    pub fn passes(&self, filters: &Filters) -> bool {
        let action = self.action.split(':').next().unwrap_or("");
        let event = filters.get("event").is_empty()
            || filters
                .get("event")
                .iter()
                .any(|wanted| wanted == action || *wanted == self.action);
        event
            && filters.allows("type", self.kind)
            && filters.allows("scope", "local")
            && self.object_passes(filters, "container")
            && self.object_passes(filters, "network")
            && self.image_passes(filters)
            && [
                "daemon", "volume", "plugin", "service", "node", "secret", "config",
            ]
            .iter()
            .all(|kind| self.object_passes(filters, kind))
            && filters.labels_match(|key| self.attributes.get(key).map(String::as_str))
    }

    /// By the beginning of the id or of the name. As in Docker, whatever kind of object the event is of: the
    /// image `web:1` is found by the filter `container=web`.
    fn object_passes(&self, filters: &Filters, kind: &str) -> bool {
        let wanted = filters.get(kind);
        let name = self.attributes.get("name").map_or("", String::as_str);
        let is = |wanted: &String| self.id.starts_with(wanted) || name.starts_with(wanted);
        wanted.is_empty() || wanted.iter().any(is)
    }

    /// By an image's id or name, with or without its tag; also the events of its containers.
    fn image_passes(&self, filters: &Filters) -> bool {
        let wanted = filters.get("image");
        let name = match self.kind {
            "image" => self.attributes.get("name"),
            "container" => self.attributes.get("image"),
            _ => None,
        };
        let without_tag = |name: &str| {
            name.rsplit_once(':')
                .map_or(name.to_owned(), |(stem, _)| stem.to_owned())
        };
        wanted.is_empty()
            || wanted.iter().any(|wanted| {
                self.kind == "image" && self.id == *wanted
                    || name.is_some_and(|name| name == wanted || without_tag(name) == *wanted)
            })
    }
}

/// The news and who listens.
pub struct Events {
    sender: broadcast::Sender<Arc<Event>>,
    kept: Mutex<VecDeque<Arc<Event>>>,
}

impl Default for Events {
    fn default() -> Events {
        Events {
            sender: broadcast::Sender::new(KEPT),
            kept: Mutex::default(),
        }
    }
}

impl Events {
    /// Publishes an event of now.
    pub fn publish(
        &self,
        kind: &'static str,
        action: impl Into<String>,
        id: &str,
        attributes: &[(&str, &str)],
    ) {
        let attributes = attributes
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let event = Event {
            kind,
            action: action.into(),
            id: id.to_owned(),
            attributes,
            time: drydock_sys::clock::realtime(),
        };
        let event = Arc::new(event);
        let mut kept = lock(&self.kept);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&event));
        if defect!("events-in-wrong-order") {
            kept.rotate_right(1);
        }
        // Under the lock, so that a listener sees each event once. Nobody listening is no error.
        let _ = self.sender.send(event);
    }

    /// Publishes an event of a container: its labels, its image and its name are always with it.
    pub fn container(&self, record: &Record, action: impl Into<String>, more: &[(&str, &str)]) {
        let labels = record.config.get("Labels").and_then(Value::as_object);
        let labels = labels
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)));
        let mut attributes: Vec<(&str, &str)> = labels.collect();
        attributes.push(("image", record.config_text("Image")));
        attributes.push(("name", &record.name));
        attributes.extend_from_slice(more);
        self.publish("container", action, &record.id, &attributes);
    }

    /// How many listen.
    pub fn listeners(&self) -> usize {
        self.sender.receiver_count()
    }

    /// The kept events, and what comes from now on.
    pub fn subscribe(&self) -> (Vec<Arc<Event>>, broadcast::Receiver<Arc<Event>>) {
        let kept = lock(&self.kept);
        (kept.iter().cloned().collect(), self.sender.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &'static str, action: &str, attributes: &[(&str, &str)]) -> Event {
        let events = Events::default();
        events.publish(kind, action, "abc123", attributes);
        Event::clone(&events.subscribe().0[0])
    }

    fn passes(event: &Event, filters: &str) -> bool {
        event.passes(&Filters::parse(filters).unwrap())
    }

    #[test]
    fn filters_of_a_container_event() {
        let event = event(
            "container",
            "exec_start: sh",
            &[
                ("image", "busybox:latest"),
                ("name", "web"),
                ("tier", "front"),
            ],
        );
        for yes in [
            r#"{}"#,
            r#"{"type":["container"]}"#,
            r#"{"container":["web"]}"#,
            r#"{"container":["abc"]}"#,
            r#"{"event":["exec_start"]}"#,
            r#"{"image":["busybox"]}"#,
            r#"{"image":["busybox:latest"]}"#,
            r#"{"label":["tier=front"]}"#,
            r#"{"event":["die","exec_start"]}"#,
        ] {
            assert!(passes(&event, yes), "{yes}");
        }
        for no in [
            r#"{"type":["image"]}"#,
            r#"{"container":["db"]}"#,
            r#"{"event":["die"]}"#,
            r#"{"image":["alpine"]}"#,
            r#"{"label":["tier=back"]}"#,
            r#"{"network":["bridge"]}"#,
            r#"{"scope":["swarm"]}"#,
        ] {
            assert!(!passes(&event, no), "{no}");
        }
    }

    /// As in Docker, which looks at the beginning of any object's name.
    #[test]
    fn a_container_is_meant_by_the_beginning_of_a_name() {
        let event = event("image", "tag", &[("name", "web:1")]);
        assert!(passes(&event, r#"{"container":["web"]}"#));
        assert!(passes(&event, r#"{"volume":["abc"]}"#));
        assert!(!passes(&event, r#"{"container":["eb"]}"#));
    }

    #[test]
    fn the_wire_form_is_dockers() {
        let text = event(
            "container",
            "start",
            &[("image", "busybox"), ("name", "web")],
        )
        .to_json()
        .to_string();
        assert!(text.starts_with(r#"{"status":"start","id":"abc123","from":"busybox","Type":"container","Action":"start","Actor":{"ID":"abc123","Attributes":{"image":"busybox","name":"web"}},"scope":"local","time":"#), "{text}");
        let text = event("network", "connect", &[]).to_json().to_string();
        assert!(
            text.starts_with(r#"{"Type":"network","Action":"connect","#),
            "{text}"
        );
    }

    #[test]
    fn the_last_thousand_are_kept() {
        let events = Events::default();
        for number in 0..1200 {
            events.publish("image", "tag", &number.to_string(), &[]);
        }
        let (kept, _) = events.subscribe();
        assert_eq!(kept.len(), KEPT);
        assert_eq!(kept[0].id, "200");
    }
}
