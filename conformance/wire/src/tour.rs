//! A tour of the API: requests that no client makes, or not in this form, so that more of an engine's answers are seen.
//!
//! It asks and does not judge: an engine may refuse anything, and what it answers is compared afterwards like every
//! other answer. Everything it makes is called `conf-wire` and goes at its end; the engine may be someone's own.

use std::path::Path;

use rig::request;

/// What the tour makes is called so, and found by this label where a route removes by filter.
const NAME: &str = "conf-wire";

/// Only what carries the tour's label: `{"label":["conf-wire"]}`.
const OURS: &str = "%7B%22label%22%3A%5B%22conf-wire%22%5D%7D";

/// A container with something in many of its fields.
const CONTAINER: &str = r#"{"Image":"busybox","Cmd":["sh","-c","echo out; echo err >&2; exec sleep 600"],
"Env":["A=b"],"Labels":{"conf-wire":"1"},"User":"0","WorkingDir":"/tmp","Hostname":"wire","StopTimeout":1,
"Healthcheck":{"Test":["CMD","true"],"Interval":1000000000},
"HostConfig":{"Memory":67108864,"PidsLimit":64,"CapDrop":["NET_RAW"],"RestartPolicy":{"Name":"on-failure",
"MaximumRetryCount":1},"Tmpfs":{"/scratch":"size=1m"},"ExtraHosts":["other:10.0.0.1"],"Dns":["10.0.0.2"],
"Ulimits":[{"Name":"nofile","Soft":64,"Hard":128}],"LogConfig":{"Type":"json-file","Config":{"max-size":"1m"}}}}"#;

/// A container with as little as there can be.
const PLAIN: &str = r#"{"Image":"busybox","Cmd":["sleep","600"],"Labels":{"conf-wire":"1"}}"#;

/// What can be asked of an engine that has nothing.
const ENGINE: &[(&str, &str)] = &[
    ("GET", "/_ping"),
    ("HEAD", "/_ping"),
    ("GET", "/version"),
    ("GET", "/info"),
    ("GET", "/system/df"),
    ("GET", "/containers/json?all=1&size=1"),
    ("GET", "/images/json?all=1&digests=1&shared-size=1"),
    ("GET", "/images/busybox/json"),
    ("GET", "/images/busybox/json?manifests=1"),
    ("GET", "/images/busybox/history"),
    ("GET", "/networks"),
    ("GET", "/networks/bridge"),
    ("GET", "/networks/bridge?verbose=1"),
    ("GET", "/networks/host"),
    ("GET", "/networks/none"),
    ("GET", "/volumes"),
    ("GET", "/plugins"),
    ("GET", "/swarm"),
    ("GET", "/nodes"),
    ("GET", "/services"),
    ("GET", "/tasks"),
    ("GET", "/secrets"),
    ("GET", "/configs"),
];

/// What is not there, and requests that cannot be right.
const ERRORS: &[(&str, &str)] = &[
    ("GET", "/containers/conf-wire-no/json"),
    ("GET", "/containers/conf-wire-no/top"),
    ("GET", "/containers/conf-wire-no/logs?stdout=1"),
    ("GET", "/containers/conf-wire-no/changes"),
    ("GET", "/containers/conf-wire-no/export"),
    ("GET", "/containers/conf-wire-no/stats?stream=0"),
    ("GET", "/containers/conf-wire-no/archive?path=/"),
    ("HEAD", "/containers/conf-wire-no/archive?path=/"),
    ("POST", "/containers/conf-wire-no/start"),
    ("POST", "/containers/conf-wire-no/stop"),
    ("POST", "/containers/conf-wire-no/restart"),
    ("POST", "/containers/conf-wire-no/kill"),
    ("POST", "/containers/conf-wire-no/pause"),
    ("POST", "/containers/conf-wire-no/unpause"),
    ("POST", "/containers/conf-wire-no/wait"),
    ("POST", "/containers/conf-wire-no/rename?name=conf-wire-x"),
    ("POST", "/containers/conf-wire-no/resize?h=1&w=1"),
    ("POST", "/containers/conf-wire-no/attach?stdout=1"),
    ("DELETE", "/containers/conf-wire-no"),
    ("GET", "/exec/conf-wire-no/json"),
    ("POST", "/exec/conf-wire-no/resize?h=1&w=1"),
    ("GET", "/images/conf-wire-no/json"),
    ("GET", "/images/conf-wire-no/history"),
    ("GET", "/images/conf-wire-no/get"),
    ("DELETE", "/images/conf-wire-no"),
    ("POST", "/images/conf-wire-no/tag?repo=conf-wire-x"),
    ("GET", "/images/x@/json"),
    ("GET", "/images/x@/history"),
    ("DELETE", "/images/x@"),
    ("POST", "/images/create?fromImage=x@"),
    ("POST", "/images/x@/push"),
    ("POST", "/commit?container=conf-wire-no"),
    ("GET", "/networks/conf-wire-no"),
    ("DELETE", "/networks/conf-wire-no"),
    ("GET", "/volumes/conf-wire-no"),
    ("DELETE", "/volumes/conf-wire-no"),
    ("GET", "/plugins/conf-wire-no/json"),
    ("GET", "/containers/json?filters=x"),
    ("GET", "/events?since=1&until=2&filters=x"),
    ("DELETE", "/networks/bridge"),
];

/// A running container.
const RUNNING: &[(&str, &str)] = &[
    ("POST", "/containers/conf-wire/start"),
    ("POST", "/containers/conf-wire/start"),
    ("GET", "/containers/conf-wire/json?size=1"),
    ("GET", "/containers/conf-wire/top"),
    ("GET", "/containers/conf-wire/top?ps_args=-o+pid"),
    ("GET", "/containers/conf-wire/stats?stream=0&one-shot=1"),
    ("GET", "/containers/conf-wire/stats?stream=0"),
    (
        "GET",
        "/containers/conf-wire/logs?stdout=1&stderr=1&timestamps=1",
    ),
    ("GET", "/containers/conf-wire/changes"),
    ("GET", "/containers/conf-wire/archive?path=/etc/passwd"),
    ("HEAD", "/containers/conf-wire/archive?path=/etc/passwd"),
    ("GET", "/containers/conf-wire/archive?path=/no/such"),
    ("PUT", "/containers/conf-wire/archive?path=/no/such"),
    (
        "GET",
        "/containers/json?filters=%7B%22label%22%3A%5B%22conf-wire%22%5D%7D",
    ),
    ("POST", "/containers/conf-wire/resize?h=24&w=80"),
    ("POST", "/containers/conf-wire/pause"),
    ("POST", "/containers/conf-wire/pause"),
    ("GET", "/containers/conf-wire/json"),
    ("POST", "/containers/conf-wire/unpause"),
    ("POST", "/containers/conf-wire/unpause"),
    (
        "POST",
        "/containers/conf-wire/rename?name=conf-wire-renamed",
    ),
    (
        "POST",
        "/containers/conf-wire-renamed/rename?name=conf-wire",
    ),
    ("POST", "/containers/conf-wire/restart?t=0"),
    ("DELETE", "/containers/conf-wire"),
    (
        "POST",
        "/commit?container=conf-wire&repo=conf-wire&tag=1&pause=0",
    ),
    ("GET", "/images/conf-wire:1/json"),
    ("GET", "/images/conf-wire:1/history"),
    ("GET", "/images/conf-wire:1/get"),
    ("POST", "/images/conf-wire:1/tag?repo=conf-wire&tag=2"),
    (
        "GET",
        "/images/json?filters=%7B%22reference%22%3A%5B%22conf-wire%22%5D%7D",
    ),
    ("DELETE", "/images/conf-wire:2"),
    ("DELETE", "/images/conf-wire:1"),
];

/// A container that has ended.
const ENDED: &[(&str, &str)] = &[
    ("POST", "/containers/conf-wire/kill?signal=KILL"),
    ("POST", "/containers/conf-wire/stop"),
    ("POST", "/containers/conf-wire/kill"),
    ("POST", "/containers/conf-wire/wait"),
    ("POST", "/containers/conf-wire/pause"),
    ("GET", "/containers/conf-wire/top"),
    ("GET", "/containers/conf-wire/stats?stream=0"),
    ("GET", "/containers/conf-wire/export"),
    ("GET", "/containers/conf-wire/json"),
    ("GET", "/system/df"),
    (
        "POST",
        concat!(
            "/containers/prune?filters=",
            "%7B%22label%22%3A%5B%22conf-wire%22%5D%7D"
        ),
    ),
    (
        "POST",
        concat!(
            "/images/prune?filters=",
            "%7B%22label%22%3A%5B%22conf-wire%22%5D%7D"
        ),
    ),
    (
        "POST",
        concat!(
            "/networks/prune?filters=",
            "%7B%22label%22%3A%5B%22conf-wire%22%5D%7D"
        ),
    ),
    (
        "POST",
        concat!(
            "/volumes/prune?filters=",
            "%7B%22label%22%3A%5B%22conf-wire%22%5D%7D"
        ),
    ),
];

/// Makes the tour on the engine at `socket`, which has the image busybox.
///
/// # Errors
/// When the engine does not answer. A status that refuses is an answer.
pub fn tour(socket: &Path) -> anyhow::Result<()> {
    let guide = Guide { socket };
    guide.clean()?;
    let made = guide.all();
    guide.clean()?;
    made
}

struct Guide<'a> {
    socket: &'a Path,
}

impl Guide<'_> {
    fn ask(&self, method: &str, path: &str, body: Option<&str>) -> anyhow::Result<rig::Response> {
        request(self.socket, method, path, body.map(str::as_bytes))
    }

    fn each(&self, stops: &[(&str, &str)]) -> anyhow::Result<()> {
        for (method, path) in stops {
            self.ask(method, path, None)?;
        }
        Ok(())
    }

    fn all(&self) -> anyhow::Result<()> {
        let start = now();
        self.each(ENGINE)?;
        self.each(ERRORS)?;
        self.volume()?;
        self.container()?;
        self.ask(
            "POST",
            "/containers/create",
            Some(r#"{"Image":"conf-wire-no"}"#),
        )?;
        self.ask("POST", "/containers/create", Some("{"))?;
        self.each(RUNNING)?;
        self.exec()?;
        self.network()?;
        let limits = r#"{"Memory":134217728,"MemorySwap":268435456}"#;
        self.ask("POST", &format!("/containers/{NAME}/update"), Some(limits))?;
        self.each(ENDED)?;
        // There is nothing left to remove.
        self.ask("POST", &format!("/containers/prune?filters={OURS}"), None)?;
        // A second later: an event of this second would be cut off.
        self.ask(
            "GET",
            &format!("/events?since={start}&until={}", now()),
            None,
        )?;
        Ok(())
    }

    fn container(&self) -> anyhow::Result<()> {
        let path = format!("/containers/create?name={NAME}");
        let made = self.ask("POST", &path, Some(CONTAINER))?;
        if made.status == 501 {
            // An engine without one of the fields has containers all the same.
            self.ask("POST", &path, Some(PLAIN))?;
        }
        // What an engine fills in where nothing is said.
        let plain = format!("/containers/{NAME}-plain");
        self.ask(
            "POST",
            &format!("/containers/create?name={NAME}-plain"),
            Some(PLAIN),
        )?;
        self.ask("GET", &format!("{plain}/json"), None)?;
        // Nothing has changed in it.
        self.ask("GET", &format!("{plain}/changes"), None)?;
        self.ask("DELETE", &plain, None)?;
        // The name is taken.
        self.ask("POST", &path, Some(PLAIN))?;
        Ok(())
    }

    fn volume(&self) -> anyhow::Result<()> {
        let body = format!(r#"{{"Name":"{NAME}","Labels":{{"{NAME}":"1"}}}}"#);
        self.ask("POST", "/volumes/create", Some(&body))?;
        self.ask("GET", &format!("/volumes/{NAME}"), None)?;
        self.ask("GET", &format!("/volumes?filters={OURS}"), None)?;
        self.ask("DELETE", &format!("/volumes/{NAME}"), None)?;
        Ok(())
    }

    fn exec(&self) -> anyhow::Result<()> {
        let path = format!("/containers/{NAME}/exec");
        self.ask("POST", &path, Some(r#"{"Cmd":[]}"#))?;
        let body = r#"{"AttachStdout":true,"Cmd":["sh","-c","exit 3"],"Env":["C=d"]}"#;
        let made = self.ask("POST", &path, Some(body))?;
        let Some(id) = made
            .json()
            .ok()
            .and_then(|made| Some(made["Id"].as_str()?.to_owned()))
        else {
            return Ok(());
        };
        let exec = format!("/exec/{id}");
        self.ask("GET", &format!("{exec}/json"), None)?;
        self.ask(
            "POST",
            &format!("{exec}/start"),
            Some(r#"{"Detach":false}"#),
        )?;
        self.ask("GET", &format!("{exec}/json"), None)?;
        self.ask("POST", &format!("{exec}/start"), Some(r#"{"Detach":true}"#))?;
        self.ask("POST", &format!("{exec}/resize?h=24&w=80"), None)?;
        self.ask("GET", &format!("/containers/{NAME}/json"), None)?;
        Ok(())
    }

    fn network(&self) -> anyhow::Result<()> {
        let body = format!(r#"{{"Name":"{NAME}","Labels":{{"{NAME}":"1"}}}}"#);
        let container = format!(r#"{{"Container":"{NAME}"}}"#);
        self.ask("POST", "/networks/create", Some(&body))?;
        self.ask(
            "POST",
            &format!("/networks/{NAME}/connect"),
            Some(&container),
        )?;
        self.ask("GET", &format!("/networks/{NAME}"), None)?;
        self.ask("GET", &format!("/containers/{NAME}/json"), None)?;
        self.ask("DELETE", &format!("/networks/{NAME}"), None)?;
        self.ask(
            "POST",
            &format!("/networks/{NAME}/disconnect"),
            Some(&container),
        )?;
        self.ask("DELETE", &format!("/networks/{NAME}"), None)?;
        self.ask("POST", "/networks/conf-wire-no/connect", Some(&container))?;
        Ok(())
    }

    /// Removes what a tour makes, also one that was broken off.
    fn clean(&self) -> anyhow::Result<()> {
        for name in ["conf-wire", "conf-wire-renamed", "conf-wire-plain"] {
            self.ask("DELETE", &format!("/containers/{name}?force=1&v=1"), None)?;
        }
        for path in [
            "images/conf-wire:1",
            "images/conf-wire:2",
            "networks/conf-wire",
            "volumes/conf-wire",
        ] {
            self.ask("DELETE", &format!("/{path}"), None)?;
        }
        Ok(())
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}
