//! Options against the texts of a Docker 28.5.

use serde_json::json;

use super::super::record::{FORMAT, Record, State};
use super::values;
use super::*;

fn options(pairs: &[(&str, &str)]) -> Options {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn checked(driver: &str, pairs: &[(&str, &str)]) -> String {
    match check_options(driver, &options(pairs)) {
        Ok(()) => "ok".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn record(options: &[(&str, &str)]) -> Record {
    Record {
        format: FORMAT,
        id: "1234567890abcdef".repeat(4),
        name: "web".to_owned(),
        created: 0,
        path: "echo".to_owned(),
        args: vec!["hello".to_owned()],
        image: format!("sha256:{}", "ab".repeat(32)),
        config: json!({"Image": "busybox", "Env": ["CITY=oslo", "SIZE=<1>"], "Labels": {"tier": "web", "other": "1"}}),
        host_config: json!({"LogConfig": {"Type": "json-file", "Config": super::tests::options(options)}}),
        mounts: Vec::new(),
        state: State::default(),
        restart_count: 0,
        manually_stopped: false,
        endpoint: None,
        links: Vec::new(),
    }
}

#[test]
fn what_is_checked_when_a_container_is_made() {
    for (driver, pairs, text) in [
        ("none", &[("a", "b")][..], "ok"),
        ("json-file", &[("max-size", "many")], "ok"),
        (
            "json-file",
            &[("mode", "x")],
            "logger: logging mode not supported: x",
        ),
        (
            "json-file",
            &[("mode", "non-blocking"), ("max-buffer-size", "abc")],
            "error parsing option max-buffer-size: invalid size: 'abc'",
        ),
        (
            "json-file",
            &[("cache-disabled", "maybe")],
            "invalid value for option cache-disabled: maybe",
        ),
        ("json-file", &[("cache-max-size", "abc")], "ok"),
        (
            "json-file",
            &[("cache-foo", "1")],
            "unknown log opt 'cache-foo' for json-file log driver",
        ),
        (
            "local",
            &[("tag", "x")],
            "unknown log opt 'tag' for log driver local",
        ),
        (
            "journald",
            &[("foo", "1")],
            "unknown log opt 'foo' for journald log driver",
        ),
        (
            "syslog",
            &[("syslog-address", "foo")],
            "unsupported scheme: ''",
        ),
        (
            "syslog",
            &[("syslog-address", "unixgram:///nonexist")],
            "stat /nonexist: no such file or directory",
        ),
        (
            "syslog",
            &[("syslog-address", "udp://127.0.0.1:x")],
            "parse \"udp://127.0.0.1:x\": invalid port \":x\" after host",
        ),
        ("syslog", &[("syslog-address", "udp://[::1]:5")], "ok"),
        (
            "syslog",
            &[("syslog-facility", "foo")],
            "invalid syslog facility",
        ),
        (
            "syslog",
            &[("syslog-facility", "24")],
            "invalid syslog facility",
        ),
        (
            "syslog",
            &[("syslog-format", "foo")],
            "Invalid syslog format",
        ),
        ("gelf", &[], "gelf-address is a required parameter"),
        (
            "gelf",
            &[("gelf-address", "unix:///a")],
            "gelf: endpoint needs to be TCP or UDP",
        ),
        (
            "gelf",
            &[("gelf-address", "udp://127.0.0.1")],
            "gelf: please provide gelf-address as proto://host:port",
        ),
        (
            "gelf",
            &[
                ("gelf-address", "udp://h:1"),
                ("gelf-compression-level", "10"),
            ],
            "unknown value \"10\" for log opt \"gelf-compression-level\" for gelf log driver",
        ),
        (
            "gelf",
            &[
                ("gelf-address", "tcp://h:1"),
                ("gelf-compression-type", "gzip"),
            ],
            "compression is only supported on UDP",
        ),
        (
            "gelf",
            &[
                ("gelf-address", "udp://h:1"),
                ("gelf-tcp-max-reconnect", "1"),
            ],
            "\"gelf-tcp-max-reconnect\" is only valid for TCP",
        ),
        (
            "gelf",
            &[
                ("gelf-address", "tcp://h:1"),
                ("gelf-tcp-reconnect-delay", "x"),
            ],
            "\"gelf-tcp-reconnect-delay\" must be a positive integer",
        ),
        (
            "fluentd",
            &[("fluentd-address", "unix://")],
            "invalid fluentd-address (unix://): path is empty",
        ),
        (
            "fluentd",
            &[("fluentd-address", "a:b")],
            "invalid fluentd-address (a:b): parse \"tcp://a:b\": invalid port \":b\" after host",
        ),
        (
            "fluentd",
            &[("fluentd-address", "tcp://127.0.0.1:1/path")],
            "invalid fluentd-address (tcp://127.0.0.1:1/path): should not contain a path element",
        ),
        (
            "fluentd",
            &[("fluentd-retry-wait", "x")],
            "time: invalid duration \"x\"",
        ),
        (
            "fluentd",
            &[("fluentd-async-reconnect-interval", "1ms")],
            "invalid value for fluentd-async-reconnect-interval: value (\"1ms\") must be between 100ms and 10s",
        ),
        (
            "fluentd",
            &[("fluentd-write-timeout", "-1s")],
            "invalid value for fluentd-write-timeout: value must be a duration that is non-negative",
        ),
        (
            "splunk",
            &[],
            "log driver splunk is not built yet in this engine",
        ),
        (
            "foo",
            &[],
            "error looking up logging plugin foo: plugin \"foo\" not found",
        ),
    ] {
        assert_eq!(checked(driver, pairs), text, "{driver} {pairs:?}");
    }
}

#[test]
fn facilities_have_their_numbers() {
    for (text, number) in [
        ("", 3),
        ("kern", 0),
        ("ftp", 11),
        ("local0", 16),
        ("local7", 23),
        ("5", 5),
    ] {
        assert_eq!(check::facility(text), Ok(number), "{text}");
    }
}

#[test]
fn sizes_and_durations_are_gos() {
    assert_eq!(values::decimal_size("10m"), Ok(10_000_000));
    assert_eq!(values::decimal_size("1.5 KB"), Ok(1500));
    assert_eq!(values::binary_size("64KiB"), Ok(65536));
    for (text, why) in [
        ("many", "invalid size: 'many'"),
        ("", "invalid size: ''"),
        ("-1", "invalid size: '-1'"),
        ("10x", "invalid suffix: 'x'"),
        ("1ib", "invalid suffix: 'ib'"),
    ] {
        assert_eq!(values::decimal_size(text), Err(why.to_owned()), "{text}");
    }
    let millis =
        |text: &str| values::duration(text).map(|(negative, time)| (negative, time.as_millis()));
    assert_eq!(millis("1m1.5s"), Ok((false, 61_500)));
    assert_eq!(millis("-2ms"), Ok((true, 2)));
    assert_eq!(millis("0"), Ok((false, 0)));
    assert!(millis("5").is_err() && millis("s").is_err() && millis("1y").is_err());
}

#[test]
fn tags_are_templates() {
    let tag = |source: &str| {
        let pairs = [("tag", source)];
        attributes::tag(&record(&pairs), &options(&pairs), "{{.ID}}")
    };
    for (source, text) in [
        ("", "1234567890ab"),
        ("{{.Name}}/{{.ImageName}}", "web/busybox"),
        (
            "{{.ImageID}} {{.DaemonName}} {{.Command}}",
            "sha256:ababa docker echo hello",
        ),
        ("{{.ContainerName}} {{.ContainerArgs}}", "/web [hello]"),
        (
            "{{index .ContainerLabels \"tier\"}} {{upper .Name}}",
            "web WEB",
        ),
    ] {
        assert_eq!(tag(source).as_deref(), Ok(text), "{source}");
    }
    assert_eq!(
        tag("{{.Foo}}"),
        Err("template: log-tag:1:2: executing \"log-tag\" at <.Foo>: can't evaluate field Foo in type *logger.Info".to_owned())
    );
    assert_eq!(
        tag("{{.ID"),
        Err("template: log-tag:1: unclosed action".to_owned())
    );
}

#[test]
fn labels_and_variables_are_chosen() {
    let chosen = |pairs: &[(&str, &str)]| {
        attributes::chosen(&record(pairs), &options(pairs), str::to_owned)
            .map(|found| found.into_keys().collect::<Vec<_>>().join(" "))
    };
    assert_eq!(chosen(&[]), Ok(String::new()));
    assert_eq!(
        chosen(&[("labels", "tier,absent"), ("env", "CITY")]),
        Ok("CITY tier".to_owned())
    );
    assert_eq!(
        chosen(&[("labels-regex", "^(t|o)"), ("env-regex", "IZ")]),
        Ok("SIZE other tier".to_owned())
    );
    assert_eq!(
        chosen(&[("labels-regex", "(")]),
        Err("error parsing regexp: missing closing ): `(`".to_owned())
    );
}

#[test]
fn defaults_fill_what_is_not_named() {
    let defaults = options(&[("max-size", "1m"), ("cache-disabled", "true")]);
    let filled = |config: Value| {
        let mut config = config;
        fill(&mut config, "json-file", &defaults);
        config
    };
    assert_eq!(
        filled(Value::Null),
        json!({"Type": "json-file", "Config": {"max-size": "1m", "cache-disabled": "true"}})
    );
    assert_eq!(
        filled(json!({"Type": "", "Config": {"max-size": "2m"}})),
        json!({"Type": "json-file", "Config": {"max-size": "2m", "cache-disabled": "true"}})
    );
    assert_eq!(
        filled(json!({"Type": "syslog", "Config": {}})),
        json!({"Type": "syslog", "Config": {"cache-disabled": "true"}})
    );
}
