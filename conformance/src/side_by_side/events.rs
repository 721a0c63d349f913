//! The events of each verb, in the order in which the engines tell them.

use rig::Rig;
use serde_json::{Value, json};

use super::probe::Probe;
use super::table;

/// A container that ends when it is asked to.
const POLITE: &str = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.02; done";

/// What is done with a container that was made, or runs already.
struct Story {
    name: &'static str,
    runs: bool,
    more: fn() -> Value,
    tell: fn(&Probe<'_>, &str) -> anyhow::Result<()>,
}

const STORIES: [Story; 12] = [
    Story {
        name: "create",
        runs: false,
        more: nothing,
        tell: |_, _| Ok(()),
    },
    Story {
        name: "start",
        runs: true,
        more: nothing,
        tell: |_, _| Ok(()),
    },
    Story {
        name: "stop",
        runs: true,
        more: nothing,
        tell: |probe, name| probe.verb(name, "stop"),
    },
    Story {
        name: "stop, in the end by force",
        runs: true,
        more: || json!({"Cmd": ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.02; done"]}),
        tell: |probe, name| probe.verb(name, "stop?t=1"),
    },
    Story {
        name: "kill",
        runs: true,
        more: nothing,
        tell: |probe, name| probe.verb(name, "kill"),
    },
    Story {
        name: "restart",
        runs: true,
        more: nothing,
        tell: |probe, name| probe.verb(name, "restart?t=1"),
    },
    Story {
        name: "pause, unpause",
        runs: true,
        more: nothing,
        tell: |probe, name| {
            probe.verb(name, "pause")?;
            probe.verb(name, "unpause")
        },
    },
    Story {
        name: "stop of a paused one",
        runs: true,
        more: nothing,
        tell: |probe, name| {
            probe.verb(name, "pause")?;
            probe.verb(name, "stop?t=1")
        },
    },
    Story {
        name: "rename",
        runs: true,
        more: nothing,
        tell: |probe, name| {
            probe.verb(name, "rename?name=conf-beside-other")?;
            probe.verb("other", &format!("rename?name=conf-beside-{name}"))
        },
    },
    Story {
        name: "update",
        runs: true,
        more: nothing,
        tell: |probe, name| {
            let path = format!("/containers/conf-beside-{name}/update");
            probe
                .ask("POST", &path, Some(&json!({"PidsLimit": 100})))
                .map(drop)
        },
    },
    Story {
        name: "exec",
        runs: true,
        more: nothing,
        tell: exec,
    },
    Story {
        name: "the end of one with --rm",
        runs: true,
        more: || json!({"HostConfig": {"AutoRemove": true}}),
        tell: |probe, name| {
            probe.verb(name, "kill?signal=TERM")?;
            let path = "/containers/json?all=1";
            probe.until("it is removed", || {
                Ok(!probe.ask("GET", path, None)?.text().contains(name))
            })
        },
    },
];

fn nothing() -> Value {
    json!({})
}

fn exec(probe: &Probe<'_>, name: &str) -> anyhow::Result<()> {
    let path = format!("/containers/conf-beside-{name}/exec");
    let wish = json!({"AttachStdout": true, "Cmd": ["true"]});
    let made = probe.ask("POST", &path, Some(&wish))?.json()?;
    let id = made["Id"].as_str().unwrap_or_default().to_owned();
    probe.ask("POST", &format!("/exec/{id}/start"), Some(&json!({})))?;
    probe.until("its end is told", || {
        Ok(probe
            .events(name)?
            .iter()
            .any(|(action, _)| action == "exec_die"))
    })
}

/// The orders of both engines, by verb.
pub struct Orders(Vec<(&'static str, [String; 2])>);

/// Tells every story on both.
pub fn compare(probes: &[Probe<'_>; 2]) -> anyhow::Result<Orders> {
    let mut orders = Vec::new();
    for (number, story) in STORIES.iter().enumerate() {
        let mut pair = [String::new(), String::new()];
        for (probe, order) in probes.iter().zip(&mut pair) {
            *order = order_of(probe, story, &format!("events-{number}-"))?;
        }
        orders.push((story.name, pair));
    }
    Ok(Orders(orders))
}

fn order_of(probe: &Probe<'_>, story: &Story, name: &str) -> anyhow::Result<String> {
    if story.runs {
        probe.run(name, POLITE, &(story.more)())?;
    } else {
        probe.create(name, POLITE, &(story.more)())?;
    }
    (story.tell)(probe, name)?;
    let is_there = probe
        .ask("GET", "/containers/json?all=1", None)?
        .text()
        .contains(name);
    if is_there {
        probe.remove(name)?;
    }
    probe.until("the removal is told", || {
        Ok(probe
            .events(name)?
            .iter()
            .any(|(action, _)| action == "destroy"))
    })?;
    let actions: Vec<String> = probe
        .events(name)?
        .into_iter()
        .map(|(action, _)| action)
        .collect();
    Ok(actions.join(" "))
}

impl Orders {
    /// Whether each verb has the same events in the same order.
    pub fn are_same(&self) -> bool {
        self.0.iter().all(|(_, [first, second])| first == second)
    }

    /// For people.
    pub fn text(&self, rigs: &[Rig]) -> String {
        let head = ["verb", "events"].map(str::to_owned);
        let rows: Vec<Vec<String>> = self
            .0
            .iter()
            .map(|(name, [first, second])| {
                let events = if first == second {
                    format!("both: {first}")
                } else {
                    format!("{}: {first}<br>{}: {second}", rigs[0], rigs[1])
                };
                vec![(*name).to_owned(), events]
            })
            .collect();
        table(&head, &rows)
    }
}
