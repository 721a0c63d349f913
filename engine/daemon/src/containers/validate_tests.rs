//! Tests of `validate`: Docker's texts, and which of two is told first. In a file of their own, as the checks fill theirs.

use serde_json::json;

use super::*;

fn host(value: Value) -> String {
    let find = |name: &str| Err(Error::no_such_container(name));
    let checked = isolation(&value)
        .and_then(|()| check_words(&value))
        .and_then(|()| serde_json::from_value(value).map_err(Error::invalid))
        .and_then(|read| host_config(&read, &find).and_then(|()| with_image(&read)));
    checked.map_or_else(|error| error.to_string(), |()| "ok".to_owned())
}

#[test]
fn host_config_texts_are_dockers() {
    let cases = [
        (json!({}), "ok"),
        (
            json!({"RestartPolicy": {"Name": "foo"}}),
            "invalid restart policy: unknown policy 'foo'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
        ),
        (
            json!({"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}}),
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        ),
        (
            json!({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": -3}}),
            "invalid restart policy: maximum retry count cannot be negative",
        ),
        (
            json!({"RestartPolicy": {"Name": "always"}, "AutoRemove": true}),
            "can't create 'AutoRemove' container with restart policy",
        ),
        (
            json!({"NetworkMode": "container:x", "IpcMode": "none"}),
            "ok",
        ),
        (
            json!({"PidMode": "container:"}),
            "invalid PID mode: container:",
        ),
        (json!({"IpcMode": "container:"}), "ok"),
        (json!({"NetworkMode": "foo"}), "ok"),
        (json!({"PidMode": "foo"}), "invalid PID mode: foo"),
        (
            json!({"PidMode": "container:nope"}),
            "No such container: nope",
        ),
        (json!({"IpcMode": "foo"}), "invalid IPC mode: foo"),
        (json!({"UTSMode": "foo"}), "invalid UTS mode: foo"),
        (
            json!({"CgroupnsMode": "foo"}),
            "invalid cgroup namespace mode: foo",
        ),
        (
            json!({"Isolation": "hyperv"}),
            "invalid isolation (hyperv): linux only supports 'default'",
        ),
        (
            json!({"LogConfig": {"Type": "foo"}}),
            "error looking up logging plugin foo: plugin \"foo\" not found",
        ),
        (
            json!({"LogConfig": {"Type": "json-file", "Config": {"foo": "bar"}}}),
            "unknown log opt 'foo' for json-file log driver",
        ),
        (
            json!({"ExtraHosts": ["foo"]}),
            "bad format for add-host: \"foo\"",
        ),
        (
            json!({"ExtraHosts": ["foo:bar"]}),
            "invalid IP address in add-host: \"bar\"",
        ),
        (
            json!({"ExtraHosts": ["foo:1.2.3.4", "gw:host-gateway"]}),
            "ok",
        ),
        (
            json!({"Runtime": "foo"}),
            "unknown or invalid runtime name: foo",
        ),
        (
            json!({"PortBindings": {"80/tcp": [{"HostPort": "xx"}]}}),
            "invalid port specification: \"xx\"",
        ),
        (
            json!({"PortBindings": {"80/tcp": [{"HostPort": "80"}]}}),
            "published ports are not built yet in this engine",
        ),
        (json!({"VolumesFrom": ["nope"]}), "No such container: nope"),
        (
            json!({"Mounts": [{"Type": "foo", "Target": "/x"}]}),
            "invalid mount config for type \"foo\": mount type unknown",
        ),
    ];
    for (value, text) in cases {
        assert_eq!(host(value.clone()), text, "{value}");
    }
}

#[test]
fn of_two_defects_the_one_is_told_that_docker_tells() {
    let cases = [
        (
            json!({"AutoRemove": true, "RestartPolicy": {"Name": "always"}, "Memory": 1_000_000}),
            "can't create 'AutoRemove' container with restart policy",
        ),
        (
            json!({"CapAdd": ["NOPE"], "Memory": 1_000_000}),
            "invalid CapAdd: unknown capability: \"CAP_NOPE\"",
        ),
        (
            json!({"IpcMode": "x", "PidMode": "x", "ShmSize": -1}),
            "invalid IPC mode: x",
        ),
        (
            json!({"PidMode": "x", "ShmSize": -1, "OomScoreAdj": 5000}),
            "invalid PID mode: x",
        ),
        (
            json!({"UTSMode": "x", "ShmSize": -1, "OomScoreAdj": 5000}),
            "SHM size can not be less than 0",
        ),
        (
            json!({"UTSMode": "x", "OomScoreAdj": 5000}),
            "invalid UTS mode: x",
        ),
        (
            json!({"Runtime": "x", "SecurityOpt": ["x"]}),
            "unknown or invalid runtime name: x",
        ),
        (
            json!({"ExtraHosts": ["x"], "RestartPolicy": {"Name": "x"}}),
            "bad format for add-host: \"x\"",
        ),
        (
            json!({"Mounts": [{"Type": "x"}], "ExtraHosts": ["x"]}),
            "invalid mount config for type \"x\": field Target must not be empty",
        ),
        (
            json!({"Isolation": "x", "RestartPolicy": {"Name": "x"}}),
            "invalid isolation (x): linux only supports 'default'",
        ),
    ];
    for (value, text) in cases {
        assert_eq!(host(value.clone()), text, "{value}");
    }
}

#[test]
fn config_texts_are_dockers() {
    let text =
        |value: Value| config(&value).map_or_else(|error| error.to_string(), |()| "ok".to_owned());
    assert_eq!(
        text(json!({"Env": ["FOO", "=x"]})),
        "invalid environment variable: =x"
    );
    assert_eq!(text(json!({"Env": [""]})), "invalid environment variable: ");
    assert_eq!(
        text(json!({"WorkingDir": "rel"})),
        "the working directory 'rel' is invalid, it needs to be an absolute path"
    );
    assert_eq!(text(json!({"StopSignal": "FOO"})), "invalid signal: FOO");
    assert_eq!(
        text(json!({"MacAddress": "xx"})),
        "invalid config for network bridge: invalid MAC address xx"
    );
    assert_eq!(
        text(json!({"Healthcheck": {"Test": ["CMD", "x"], "Interval": 5}})),
        "Interval in Healthcheck cannot be less than 1ms"
    );
    assert_eq!(
        text(json!({"Healthcheck": {"StartInterval": -5}})),
        "StartInterval in Healthcheck cannot be less than 1ms"
    );
    assert_eq!(
        text(json!({"Healthcheck": {"Retries": -1, "StartPeriod": 5}})),
        "Retries in Healthcheck cannot be negative"
    );
    assert_eq!(text(json!({"Healthcheck": {"Test": ["NONE"]}})), "ok");
}
