//! The bodies of `create` against those of the stock client.
//!
//! `captured.json` was made with docker 28.2: each command was run against a small server that keeps the
//! request and answers 400. Commands that read the environment or a file are tested where they are read.

use serde_json::Value;

use super::*;
use crate::flags;

#[derive(Debug)]
struct Case {
    command: String,
    path: String,
    body: Value,
}

/// The captured commands whose arguments were accepted.
fn captured() -> Vec<Case> {
    let list: Vec<Value> = serde_json::from_str(include_str!("captured.json")).unwrap();
    list.iter()
        .map(|case| Case {
            command: case["command"].as_str().unwrap().to_string(),
            path: case["path"].as_str().unwrap().to_string(),
            body: case["body"].clone(),
        })
        .collect()
}

/// The stock client orders binds at random.
fn sorted(mut body: Value) -> Value {
    if let Some(binds) = body["HostConfig"]["Binds"].as_array_mut() {
        binds.sort_by_key(Value::to_string);
    }
    body
}

#[test]
fn every_body_equals_the_stock_clients() {
    let cases = captured();
    assert!(cases.len() > 50, "only {} cases", cases.len());
    for case in cases {
        let words = split(&case.command);
        let groups: &[&[flags::Flag]] = if words[0] == "run" {
            RUN_FLAGS
        } else {
            CREATE_FLAGS
        };
        let matches = flags::parse(groups, false, &words[1..]).unwrap();
        let creation = build(&matches).unwrap();
        assert_eq!(sorted(creation.body), sorted(case.body), "{}", case.command);
        assert_eq!(
            format!("/v1.50{}", creation.path),
            case.path,
            "{}",
            case.command
        );
    }
}

const CREATE_FLAGS: &[&[flags::Flag]] = &[crate::container::flags::CREATE];
const RUN_FLAGS: &[&[flags::Flag]] = &[
    crate::container::flags::CREATE,
    crate::container::flags::RUN,
];

/// Words of a shell line with `'` quotes.
fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quoted, mut any) = (String::new(), false, false);
    for character in line.chars() {
        match character {
            '\'' => (quoted, any) = (!quoted, true),
            ' ' if !quoted => {
                if any || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            other => word.push(other),
        }
    }
    if any || !word.is_empty() {
        words.push(word);
    }
    words
}

#[test]
fn what_is_wrong_is_said_in_dockers_words() {
    for (line, fault) in [
        ("-p abc busybox", "invalid containerPort: abc"),
        ("-p x:80 busybox", "invalid hostPort: x"),
        ("-p 80:80/foo busybox", "invalid proto: foo"),
        (
            "-p 1-3:1-2 busybox",
            "invalid ranges specified for container and host Ports: 1-2 and 1-3",
        ),
        (
            "-p 300.1.1.1:80:80 busybox",
            "invalid IP address: 300.1.1.1",
        ),
        ("-v '' busybox", "invalid empty volume spec"),
        (
            "--restart on-failure:x busybox",
            "invalid restart policy format: maximum retry count must be an integer",
        ),
        ("--pid foo busybox", "--pid: invalid PID mode"),
        (
            "--memory-swappiness 200 busybox",
            "invalid value: 200. Valid memory swappiness range is 0-100",
        ),
        (
            "--no-healthcheck --health-cmd x busybox",
            "--no-healthcheck conflicts with --health-* options",
        ),
        (
            "--log-driver none --log-opt a=b busybox",
            "invalid logging opts for driver none",
        ),
        ("--network '' busybox", "no name set for network"),
        (
            "--mac-address foo busybox",
            "foo is not a valid mac address",
        ),
        (
            "--env-file /nonexist busybox",
            "open /nonexist: no such file or directory",
        ),
    ] {
        let matches = flags::parse(CREATE_FLAGS, false, &split(line)).unwrap();
        assert_eq!(build(&matches).unwrap_err(), fault, "{line}");
    }
}
