//! An operation as a request of Docker's Engine API 1.51, and what of the answer is compared.

use serde_json::{Value, json};

use crate::operation::{Change, Creation, Exec, Flaw, Listing, Name, NewName, Operation};

/// The version that is spoken.
pub const API: &str = "/v1.51";

/// The label on every container of a sequence, with the sequence's tag as its value.
pub const LABEL: &str = "conf.fuzz";

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: &'static str,
    /// The path with version and query.
    pub path: String,
    /// The JSON body.
    pub body: Option<Value>,
}

/// A container's whole name. The tag keeps sequences apart that run at once.
pub fn full_name(tag: &str, name: Name) -> String {
    format!("conf-fuzz-{tag}-{name}")
}

/// The request for an operation; for an exec the one that creates it.
pub fn request(tag: &str, operation: &Operation) -> Request {
    use Operation::*;
    let at = |name: &Name| format!("{API}/containers/{}", full_name(tag, *name));
    let time = |seconds: &Option<i8>| seconds.map(|t| format!("?t={t}")).unwrap_or_default();
    let (method, path, body) = match operation {
        Create(name, creation) => (
            "POST",
            format!("{API}/containers/create?name={}", full_name(tag, *name)),
            Some(create_body(tag, creation)),
        ),
        Start(name) => ("POST", at(name) + "/start", None),
        Stop(name, seconds) => ("POST", at(name) + "/stop" + &time(seconds), None),
        Restart(name, seconds) => ("POST", at(name) + "/restart" + &time(seconds), None),
        Kill(name, "") => ("POST", at(name) + "/kill", None),
        Kill(name, signal) => ("POST", at(name) + "/kill?signal=" + &escape(signal), None),
        Pause(name) => ("POST", at(name) + "/pause", None),
        Unpause(name) => ("POST", at(name) + "/unpause", None),
        Rename(name, new) => {
            let new = match new {
                NewName::Name(new) => full_name(tag, *new),
                NewName::Same => full_name(tag, *name),
                NewName::Malformed => format!("{}%20%2F", full_name(tag, *name)),
                NewName::Empty => String::new(),
            };
            ("POST", at(name) + "/rename?name=" + &new, None)
        }
        Remove(name, force) => (
            "DELETE",
            format!("{}?force={}", at(name), u8::from(*force)),
            None,
        ),
        Exec(name, exec) => ("POST", at(name) + "/exec", Some(exec_body(*exec))),
        Wait(name, "") => ("POST", at(name) + "/wait", None),
        Wait(name, condition) => ("POST", at(name) + "/wait?condition=" + condition, None),
        Inspect(name) => ("GET", at(name) + "/json", None),
        List(listing) => ("GET", list_path(tag, Some(listing)), None),
        Update(name, change) => ("POST", at(name) + "/update", Some(update_body(*change))),
        Top(name) => ("GET", at(name) + "/top", None),
        Logs(name, tail) => {
            let tail = tail.map(|tail| format!("&tail={tail}")).unwrap_or_default();
            ("GET", at(name) + "/logs?stdout=1&stderr=1" + &tail, None)
        }
        Prune => (
            "POST",
            format!("{API}/containers/prune?filters={}", filters(tag, &[])),
            None,
        ),
    };
    Request { method, path, body }
}

/// The list of the sequence's containers; all of them without a listing.
pub fn list_path(tag: &str, listing: Option<&Listing>) -> String {
    let (all, filter) = match listing {
        None => (1, None),
        Some(Listing::Running) => (0, None),
        Some(Listing::Status(status)) => (1, Some(("status", (*status).to_owned()))),
        Some(Listing::Exited(code)) => (1, Some(("exited", code.to_string()))),
        Some(Listing::Named(name)) => (1, Some(("name", full_name(tag, *name)))),
    };
    let filter: Vec<(&str, String)> = filter.into_iter().collect();
    format!(
        "{API}/containers/json?all={all}&filters={}",
        filters(tag, &filter)
    )
}

/// The sequence's container events in a span of time, both ends as `seconds.nanoseconds`.
pub fn events_path(tag: &str, since: &str, until: &str) -> String {
    let filters = filters(tag, &[("type", "container".to_owned())]);
    format!("{API}/events?since={since}&until={until}&filters={filters}")
}

/// Filters that always hold the sequence's label, so that nobody else's containers are met.
fn filters(tag: &str, more: &[(&str, String)]) -> String {
    let mut filters = json!({ "label": [format!("{LABEL}={tag}")] });
    for (name, value) in more {
        filters[*name] = json!([value]);
    }
    escape(&filters.to_string())
}

fn create_body(tag: &str, creation: &Creation) -> Value {
    let (policy, retries) = creation.policy.words();
    let mut body = json!({
        "Image": "busybox",
        "Cmd": creation.program.command(),
        "Tty": creation.tty,
        "Labels": { LABEL: tag },
        // One second, so that a program which does not hear SIGTERM does not cost ten.
        "StopTimeout": 1,
        "HostConfig": {
            "RestartPolicy": { "Name": policy, "MaximumRetryCount": retries },
            "AutoRemove": creation.auto_remove,
        },
    });
    if let Some(signal) = creation.stop_signal {
        body["StopSignal"] = json!(signal);
    }
    if creation.no_network {
        body["HostConfig"]["NetworkMode"] = json!("none");
    }
    match creation.flaw {
        None => {}
        Some(Flaw::Image) => body["Image"] = json!("conf-fuzz-no-such-image"),
        Some(Flaw::Policy) => body["HostConfig"]["RestartPolicy"]["Name"] = json!("sometimes"),
        Some(Flaw::Retries) => {
            body["HostConfig"]["RestartPolicy"] =
                json!({ "Name": "always", "MaximumRetryCount": 3 });
        }
        Some(Flaw::Memory) => body["HostConfig"]["Memory"] = json!(1_000_000),
        Some(Flaw::Signal) => body["StopSignal"] = json!("NOSUCH"),
        Some(Flaw::Directory) => body["WorkingDir"] = json!("relative"),
        Some(Flaw::User) => body["User"] = json!("nosuchuser"),
        Some(Flaw::Network) => {
            body["HostConfig"]["NetworkMode"] = json!("conf-fuzz-no-such-network")
        }
    }
    body
}

fn exec_body(exec: Exec) -> Value {
    let attached = !matches!(exec, Exec::Detached(_));
    json!({
        "Cmd": exec.command(),
        "AttachStdout": attached,
        "AttachStderr": attached,
        "Tty": exec == Exec::Tty,
        "User": exec.user(),
        "WorkingDir": exec.directory(),
    })
}

fn update_body(change: Change) -> Value {
    match change {
        Change::Policy(policy) => {
            let (name, retries) = policy.words();
            json!({ "RestartPolicy": { "Name": name, "MaximumRetryCount": retries } })
        }
        Change::Shares(shares) => json!({ "CpuShares": shares }),
        Change::LittleMemory => json!({ "Memory": 1_000_000 }),
    }
}

/// What stands in a query as it is, and everything else as `%XX` (RFC 3986, section 2.1).
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// The two streams in Docker's framing: a byte for the stream, three of nothing, a length in big endian, the bytes.
/// What is not framed, as from a terminal, is all standard output.
pub fn streams(bytes: &[u8]) -> (String, String) {
    let mut output = [Vec::new(), Vec::new()];
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some((stream, chunk, next)) = frame(rest) else {
            return (text(bytes), String::new());
        };
        output[usize::from(stream == 2)].extend_from_slice(chunk);
        rest = next;
    }
    (text(&output[0]), text(&output[1]))
}

fn frame(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(8)?;
    if head[0] > 2 || head[1..4] != [0; 3] {
        return None;
    }
    let length = u32::from_be_bytes(*head[4..].first_chunk()?) as usize;
    let (chunk, next) = rest.split_at_checked(length)?;
    Some((head[0], chunk, next))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::{Policy, Program};

    #[test]
    fn operations_become_requests() {
        let stop = request("1", &Operation::Stop(Name(0), Some(0)));
        assert_eq!(
            (stop.method, stop.path.as_str(), stop.body),
            ("POST", "/v1.51/containers/conf-fuzz-1-a/stop?t=0", None)
        );
        let creation = Creation {
            program: Program::Sleep,
            policy: Policy::OnFailure(2),
            auto_remove: false,
            tty: false,
            stop_signal: None,
            no_network: false,
            flaw: None,
        };
        let body = request("1", &Operation::Create(Name(1), creation))
            .body
            .unwrap();
        assert_eq!(body["HostConfig"]["RestartPolicy"]["MaximumRetryCount"], 2);
        assert_eq!(body["Labels"]["conf.fuzz"], "1");
    }

    #[test]
    fn every_filter_holds_the_label() {
        let label = "%22label%22%3A%5B%22conf.fuzz%3D1%22%5D";
        assert!(request("1", &Operation::Prune).path.contains(label));
        assert!(list_path("1", Some(&Listing::Exited(0))).contains(label));
        assert!(events_path("1", "0", "1").contains(label));
    }

    #[test]
    fn framed_streams_are_taken_apart() {
        let framed = b"\x01\0\0\0\0\0\0\x02hi\x02\0\0\0\0\0\0\x01!\x01\0\0\0\0\0\0\x01.";
        assert_eq!(streams(framed), ("hi.".to_owned(), "!".to_owned()));
        assert_eq!(
            streams(b"tty 0\r\n"),
            ("tty 0\r\n".to_owned(), String::new())
        );
        assert_eq!(streams(b""), (String::new(), String::new()));
    }
}
