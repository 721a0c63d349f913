//! What a daemon finds when it starts: running containers, ended ones, half-done work.

use std::fs;
use std::time::Duration;

use libtest_mimic::Failed;
use serde_json::{Value, json};

use crate::api::{Api, ensure, rest};

pub fn a_killed_daemon_loses_nothing() -> Result<(), Failed> {
    let api = Api::start(&[])?;
    let policy = |name: &str| json!({"HostConfig": {"RestartPolicy": {"Name": name}}});
    api.run(
        "ends",
        &["sh", "-c", "sleep 1; echo last; exit 42"],
        json!({}),
    )?;
    api.run("runs", &["sleep", "1000"], json!({}))?;
    api.run(
        "temporary",
        &["sleep", "1"],
        json!({"HostConfig": {"AutoRemove": true}}),
    )?;
    api.run("always", &["sleep", "1"], policy("always"))?;
    api.run("unless", &["sleep", "1000"], policy("unless-stopped"))?;
    api.post("/containers/unless/stop?t=0")?;
    let attached = api.hijack("/containers/ends/attach?stream=1&stdout=1", None)?;
    let before = api.get("/containers/runs/json")?;
    api.daemon.kill()?;
    // The client is not cut off, and what the container writes without a daemon reaches it.
    let got = rest(attached)?;
    ensure!(
        got == b"\x01\0\0\0\0\0\0\x05last\n",
        "{:?}",
        String::from_utf8_lossy(&got)
    );
    std::thread::sleep(Duration::from_millis(1500));
    api.daemon.launch()?;
    ensure!(
        api.state("ends")?["ExitCode"] == 42,
        "{}",
        api.state("ends")?
    );
    let after = api.get("/containers/runs/json")?;
    for pointer in [
        "/State/Pid",
        "/State/StartedAt",
        "/NetworkSettings/IPAddress",
        "/NetworkSettings/MacAddress",
    ] {
        ensure!(
            before.pointer(pointer) == after.pointer(pointer),
            "{pointer}: {before} {after}"
        );
    }
    ensure!(
        api.call("GET", "/containers/temporary/json", None)?.status == 404,
        "--rm was forgotten"
    );
    ensure!(
        api.state("always")?["Running"] == true,
        "{}",
        api.state("always")?
    );
    ensure!(
        api.state("unless")?["Running"] == false,
        "{}",
        api.state("unless")?
    );
    // A new container does not get the address of one that runs on.
    api.run("new", &["sleep", "1000"], json!({}))?;
    let new = api.get("/containers/new/json")?;
    let address = |value: &Value| value.pointer("/NetworkSettings/IPAddress").cloned();
    ensure!(address(&new) != address(&after), "{new}");
    api.post("/containers/runs/stop?t=0")?;
    ensure!(
        api.state("runs")?["ExitCode"] == 137,
        "{}",
        api.state("runs")?
    );
    api.daemon.remove_containers()?;
    api.finish()
}

pub fn half_done_work_is_settled() -> Result<(), Failed> {
    let api = Api::start(&[])?;
    let made = api.create("made", &["true"], json!({}))?;
    let ran = api.run("ran", &["sh", "-c", "exit 4"], json!({}))?;
    api.until("it has ended", |api| {
        Ok(api.state("ran")?["Running"] == false)
    })?;
    let newer = api.create("newer", &["true"], json!({}))?;
    api.daemon.stop()?;
    let containers = api.daemon.data_root().join("containers");
    let change = |id: &str, change: &dyn Fn(&mut Value)| -> Result<(), Failed> {
        let path = containers.join(id).join("container.json");
        let mut record: Value = serde_json::from_slice(&fs::read(&path)?)?;
        change(&mut record);
        Ok(fs::write(path, record.to_string())?)
    };
    // A daemon died in the middle of a create, …
    fs::create_dir_all(containers.join("f".repeat(64)).join("rw/upper"))?;
    // … in the middle of a start, …
    change(&made, &|record| {
        record["state"]["status"] = json!("starting")
    })?;
    // … the power went while this one ran, …
    change(&ran, &|record| {
        record["state"]["status"] = json!("running");
        record["state"]["boot_id"] = json!("another boot");
    })?;
    // … and this one was written by a newer engine.
    change(&newer, &|record| record["format"] = json!(99))?;
    api.daemon.launch()?;
    ensure!(
        api.state("made")?["Status"] == "created",
        "{}",
        api.state("made")?
    );
    let state = api.state("ran")?;
    ensure!(
        state["Status"] == "exited" && state["ExitCode"] == 255,
        "{state}"
    );
    ensure!(
        api.call("GET", "/containers/newer/json", None)?.status == 404,
        "a newer record was read"
    );
    ensure!(
        containers.join(&newer).join("container.json").exists(),
        "a newer record was removed"
    );
    ensure!(
        !containers.join("f".repeat(64)).exists(),
        "half a container is still there"
    );
    // What was settled can be started.
    api.post("/containers/made/start")?;
    ensure!(api.wait("made")? == 0, "it does not run");
    // An engine that knows the format finds everything as it was.
    api.daemon.stop()?;
    change(&newer, &|record| record["format"] = json!(1))?;
    api.daemon.launch()?;
    ensure!(
        api.state("newer")?["Status"] == "created",
        "{}",
        api.state("newer")?
    );
    api.daemon.remove_containers()?;
    api.finish()
}

/// A daemon that is killed in the middle of a commit leaves a container that stands still, and a copy.
pub fn a_commit_that_was_cut_off_leaves_nothing() -> Result<(), Failed> {
    let api = Api::start(&[])?;
    let held = api.run("held", &["sleep", "1000"], json!({}))?;
    api.run("paused", &["sleep", "1000"], json!({}))?;
    api.post("/containers/held/pause")?;
    api.post("/containers/paused/pause")?;
    api.daemon.kill()?;
    let root = api.daemon.data_root();
    let path = root.join("containers").join(&held).join("container.json");
    let mut record: Value = serde_json::from_slice(&fs::read(&path)?)?;
    record["state"]["held"] = json!(true);
    fs::write(&path, record.to_string())?;
    let copy = root.join("image/tmp/77");
    fs::create_dir_all(copy.join("files"))?;
    api.daemon.launch()?;
    let state = api.state("held")?;
    ensure!(
        state["Running"] == true && state["Paused"] == false,
        "{state}"
    );
    let state = api.state("paused")?;
    ensure!(state["Paused"] == true, "a user's pause was ended: {state}");
    ensure!(!copy.exists(), "the copy is still there");
    let record: Value = serde_json::from_slice(&fs::read(&path)?)?;
    ensure!(record["state"]["held"] == false, "it is still marked");
    api.daemon.remove_containers()?;
    api.finish()
}

pub fn without_live_restore_all_is_stopped() -> Result<(), Failed> {
    let api = Api::start(&["--live-restore=false"])?;
    api.run(
        "web",
        &[
            "sh",
            "-c",
            "trap 'exit 9' TERM; while true; do sleep 0.1; done",
        ],
        json!({}),
    )?;
    api.run(
        "again",
        &["sleep", "1000"],
        json!({"StopTimeout": 0, "HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}}}),
    )?;
    api.daemon.stop()?;
    ensure!(!api.socket().exists(), "the socket is still there");
    api.daemon.launch()?;
    let state = api.state("web")?;
    ensure!(
        state["Status"] == "exited" && state["ExitCode"] == 9,
        "{state}"
    );
    ensure!(
        api.state("again")?["Running"] == true,
        "the daemon's end counted as a user's stop"
    );
    api.daemon.remove_containers()?;
    api.finish()
}

pub fn restart_policies_count_and_stop() -> Result<(), Failed> {
    let api = Api::start(&[])?;
    let policy = |name: &str, count: u32| json!({"HostConfig": {"RestartPolicy": {"Name": name, "MaximumRetryCount": count}}});
    api.run("fails", &["false"], policy("on-failure", 2))?;
    api.until("two restarts", |api| {
        let container = api.get("/containers/fails/json")?;
        Ok(container["RestartCount"] == 2 && container["State"]["Status"] == "exited")
    })?;
    api.run("again", &["false"], policy("always", 0))?;
    api.until("it waits for its restart", |api| {
        Ok(api.state("again")?["Status"] == "restarting")
    })?;
    let state = api.state("again")?;
    ensure!(
        state["Running"] == true && state["Restarting"] == true,
        "{state}"
    );
    let refused = api.call("DELETE", "/containers/again", None)?;
    ensure!(refused.status == 409, "{}", refused.text());
    api.post("/containers/again/stop")?;
    let count = api.get("/containers/again/json")?["RestartCount"].clone();
    std::thread::sleep(Duration::from_millis(1500));
    let container = api.get("/containers/again/json")?;
    ensure!(
        container["RestartCount"] == count && container["State"]["Status"] == "exited",
        "{container}"
    );
    api.daemon.remove_containers()?;
    api.finish()
}
