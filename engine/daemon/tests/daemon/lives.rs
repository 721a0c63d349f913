//! Containers from their start to their end.

use std::io::Write;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use serde_json::{Value, json};

use crate::api::{Api, call, ensure, rest, split};

pub fn the_end_is_told_to_all_who_wait() -> Result<(), Failed> {
    let api = Api::start(&[])?;
    api.create(
        "web",
        &["sh", "-c", "sleep 0.3; exit 3"],
        json!({"HostConfig": {"AutoRemove": true}}),
    )?;
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let waits: Vec<_> = ["next-exit", "removed"]
            .into_iter()
            .map(|condition| {
                let path = format!("/containers/web/wait?condition={condition}");
                let socket = api.socket();
                scope.spawn(move || call(socket, "POST", &path, None))
            })
            .collect();
        // The waits must be there first: `next-exit` means the next.
        std::thread::sleep(Duration::from_millis(200));
        let started = api.post("/containers/web/start");
        let answers = waits
            .into_iter()
            .filter_map(|wait| wait.join().ok()?.ok()?.json().ok())
            .collect();
        started.map(|_| answers)
    })?;
    ensure!(
        answers == [json!({"StatusCode": 3}), json!({"StatusCode": 3})],
        "{answers:?}"
    );
    ensure!(
        api.call("GET", "/containers/web/json", None)?.status == 404,
        "it is still there"
    );
    api.finish()
}

pub fn attached_clients_miss_nothing() -> Result<(), Failed> {
    let api = Api::start(&[])?;
    for round in 0..14 {
        let more = json!({"OpenStdin": true, "StdinOnce": true, "AttachStdin": true, "HostConfig": {"AutoRemove": true}});
        api.create("cat", &["sh", "-c", "echo first; cat; echo last >&2"], more)?;
        let mut stream = api.hijack(
            "/containers/cat/attach?stream=1&stdin=1&stdout=1&stderr=1",
            None,
        )?;
        api.post("/containers/cat/start")?;
        stream.write_all(b"typed\n")?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let (out, err) = split(&rest(stream)?)?;
        ensure!(
            out == b"first\ntyped\n" && err == b"last\n",
            "round {round}: {:?} {:?}",
            String::from_utf8_lossy(&out),
            String::from_utf8_lossy(&err)
        );
        api.until("the container is gone", |api| {
            Ok(api.call("GET", "/containers/cat/json", None)?.status == 404)
        })?;
    }
    api.finish()
}

pub fn an_exec_code_is_there_when_its_streams_end() -> Result<(), Failed> {
    let api = Api::start(&[])?;
    api.run("web", &["sleep", "1000"], json!({}))?;
    for round in 0..30 {
        let body = json!({"Cmd": ["sh", "-c", "echo out; exit 5"], "AttachStdout": true, "AttachStderr": true});
        let made = api
            .call("POST", "/containers/web/exec", Some(body))?
            .success()?
            .json()?;
        let id = made["Id"].as_str().unwrap_or_default();
        let stream = api.hijack(
            &format!("/exec/{id}/start"),
            Some(&json!({"Detach": false})),
        )?;
        let got = rest(stream)?;
        ensure!(
            got == b"\x01\0\0\0\0\0\0\x04out\n",
            "{:?}",
            String::from_utf8_lossy(&got)
        );
        let instance = api.get(&format!("/exec/{id}/json"))?;
        ensure!(
            instance["ExitCode"] == 5 && instance["Running"] == false,
            "round {round}: {instance}"
        );
    }
    let missing = json!({"Cmd": ["nosuch"], "AttachStdout": true});
    let made = api
        .call("POST", "/containers/web/exec", Some(missing))?
        .success()?
        .json()?;
    let id = made["Id"].as_str().unwrap_or_default();
    let got = rest(api.hijack(&format!("/exec/{id}/start"), Some(&json!({})))?)?;
    let text = "OCI runtime exec failed: exec failed: unable to start container process: exec: \"nosuch\": executable file not found in $PATH\r\n";
    ensure!(
        got.get(8..) == Some(text.as_bytes()),
        "{:?}",
        String::from_utf8_lossy(&got)
    );
    ensure!(
        api.get(&format!("/exec/{id}/json"))?["ExitCode"] == 127,
        "the code of a missing program"
    );
    api.delete("web")?;
    api.finish()
}

pub fn readers_do_not_wait_for_a_stop() -> Result<(), Failed> {
    let api = Api::start(&[])?;
    // PID 1 without a handler ignores SIGTERM, so this stop takes its three seconds.
    api.run("web", &["sleep", "1000"], json!({}))?;
    let slowest = std::thread::scope(|scope| {
        let stop = scope.spawn(|| call(api.socket(), "POST", "/containers/web/stop?t=3", None));
        let mut slowest = Duration::ZERO;
        let mut asked = 0;
        while !stop.is_finished() {
            let begin = Instant::now();
            api.get("/containers/web/json")?;
            api.get("/containers/json?all=1")?;
            slowest = slowest.max(begin.elapsed());
            asked += 1;
        }
        ensure!(asked > 10, "the stop was over after {asked} questions");
        Ok::<_, Failed>(slowest)
    })?;
    // Not a measurement: a reader that waited for the stop would have taken three seconds.
    ensure!(
        slowest < Duration::from_secs(2),
        "a reader waited {slowest:?}"
    );
    ensure!(
        api.state("web")?["ExitCode"] == 137,
        "{}",
        api.state("web")?
    );
    api.delete("web")?;
    api.finish()
}

pub fn a_followed_log_ends_with_its_container() -> Result<(), Failed> {
    let api = Api::start(&[])?;
    api.run(
        "web",
        &[
            "sh",
            "-c",
            "for i in 1 2 3 4 5; do echo line $i; sleep 0.1; done",
        ],
        json!({"Tty": false}),
    )?;
    let followed = api
        .call("GET", "/containers/web/logs?stdout=1&follow=1", None)?
        .success()?;
    let framed: Vec<u8> = (1..=5)
        .flat_map(|line| format!("\x01\0\0\0\0\0\0\x07line {line}\n").into_bytes())
        .collect();
    ensure!(followed.body == framed, "{:?}", followed.text());
    let tail = api
        .call(
            "GET",
            "/containers/web/logs?stdout=1&tail=1&timestamps=1",
            None,
        )?
        .success()?;
    ensure!(
        tail.body.get(8 + 30..) == Some(b" line 5\n"),
        "{:?}",
        tail.text()
    );
    let none = api.call("GET", "/containers/web/logs", None)?;
    ensure!(none.status == 400, "{}", none.text());
    api.delete("web")?;
    api.finish()
}

/// A stop or a kill may meet an end, the wait for the next start, or the start itself. Whichever it is: once it is
/// answered, the container is stopped and stays so.
pub fn stop_and_kill_hold_against_the_restart_policy() -> Result<(), Failed> {
    let api = Api::start(&[])?;
    let policy = json!({"HostConfig": {"RestartPolicy": {"Name": "always"}}});
    for round in 0..28 {
        // A kill that comes after the end but before its record says that nothing runs.
        let (path, answers) = match round % 2 {
            0 => ("/containers/web/stop?t=0", [204, 204]),
            _ => ("/containers/web/kill", [204, 409]),
        };
        api.run("web", &["true"], policy.clone())?;
        std::thread::sleep(Duration::from_millis(round / 2 * 20));
        let answer = api.call("POST", path, None)?;
        ensure!(
            answers.contains(&answer.status),
            "{path}: {} {}",
            answer.status,
            answer.text()
        );
        if answer.status == 409 {
            api.until("the end", |api| Ok(api.state("web")?["Status"] == "exited"))?;
        }
        for moment in ["at once", "later"] {
            let state = api.state("web")?;
            ensure!(
                state["Status"] == "exited",
                "round {round}, {moment}: {state}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        api.delete("web")?;
    }
    api.finish()
}

pub fn a_failed_start_leaves_nothing() -> Result<(), Failed> {
    let api = Api::start(&[])?;
    let cases = [("nosuch", 400, 127), ("/etc", 400, 126)];
    for (program, status, code) in cases {
        for _ in 0..5 {
            api.create("web", &[program], json!({}))?;
            let answer = api.call("POST", "/containers/web/start", None)?;
            ensure!(
                answer.status == status,
                "{program}: {} {}",
                answer.status,
                answer.text()
            );
            let state = api.state("web")?;
            ensure!(
                state["ExitCode"] == code && state["Status"] == "created" && state["Pid"] == 0,
                "{state}"
            );
            ensure!(state["Error"] == answer.json()?["message"], "{state}");
            api.delete("web")?;
        }
    }
    // What is found only at the start, and must be found before there is a shim that waits for it.
    let host = json!({"LogConfig": {"Type": "json-file", "Config": {"max-size": "many"}}});
    api.create("web", &["true"], json!({"HostConfig": host}))?;
    let answer = api.call("POST", "/containers/web/start", None)?;
    ensure!(answer.status == 500, "{} {}", answer.status, answer.text());
    api.delete("web")?;
    // No address was lost on the way: the first container still gets the lowest.
    api.run("web", &["sleep", "1000"], json!({}))?;
    let address = api.get("/containers/web/json")?["NetworkSettings"]["IPAddress"].clone();
    ensure!(
        address
            .as_str()
            .is_some_and(|address| address.ends_with(".2")),
        "{address}"
    );
    api.delete("web")?;
    api.finish()
}

pub fn events_come_in_dockers_order() -> Result<(), Failed> {
    let api = Api::start(&[])?;
    api.run(
        "web",
        &["sleep", "1000"],
        json!({"HostConfig": {"AutoRemove": true}}),
    )?;
    api.post("/containers/web/stop?t=0")?;
    api.until("the container is gone", |api| {
        Ok(api.call("GET", "/containers/web/json", None)?.status == 404)
    })?;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)?
        .as_secs();
    let answer = api.call("GET", &format!("/events?since=1&until={now}.999999999&filters=%7B%22type%22%3A%5B%22container%22%2C%22network%22%5D%7D"), None)?;
    let events: Vec<Value> = answer
        .text()
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let mut actions: Vec<&str> = events
        .iter()
        .filter_map(|event| event["Action"].as_str())
        .collect();
    // A stop and the removal that follows from it are told by two who do not wait for each other.
    actions.retain(|action| *action != "stop");
    ensure!(
        actions
            == [
                "create",
                "connect",
                "start",
                "kill",
                "kill",
                "disconnect",
                "die",
                "destroy"
            ],
        "{actions:?}"
    );
    let die = events
        .iter()
        .find(|event| event["Action"] == "die")
        .map(|event| event["Actor"]["Attributes"].clone());
    let die = die.unwrap_or_default();
    ensure!(
        die["exitCode"] == "137" && die["name"] == "web" && die["image"] == "busybox",
        "{die}"
    );
    api.finish()
}
