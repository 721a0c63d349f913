//! The binary as a user calls it, without an engine: help, wrong words, exit codes.
//!
//! These need neither root nor a daemon; what the commands do is in the conformance scenarios. The texts are
//! those of docker 28.2 with the program's name exchanged.

#![allow(clippy::expect_used, reason = "helpers of tests may stop the test")]

use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

fn drydock() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drydock"));
    command
        .env_remove("DOCKER_HOST")
        .env("DRYDOCK_HOST", "unix:///nonexistent/drydock.sock");
    command
}

fn run(words: &[&str]) -> Output {
    drydock().args(words).output().expect("the binary runs")
}

fn texts(output: &Output) -> (i32, String, String) {
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn help_lists_every_command() {
    let (code, out, err) = texts(&run(&["--help"]));
    assert_eq!((code, err.as_str()), (0, ""));
    let commands = "up down run create start stop kill restart rm ps logs exec attach inspect images load import tag \
                    rmi rename wait events version info daemon";
    for command in commands.split_whitespace() {
        assert!(
            out.contains(&format!("\n  {command} ")),
            "{command} is not in:\n{out}"
        );
    }
    let (code, out, _) = texts(&run(&["ps", "--help"]));
    assert_eq!(code, 0);
    assert!(
        out.starts_with(
            "Usage:  drydock ps [OPTIONS]\n\nList containers\n\nAliases:\n  drydock container ls"
        ),
        "{out}"
    );
    assert!(
        out.contains("\n  -q, --quiet           Show IDs only\n"),
        "{out}"
    );
}

#[test]
fn wrong_words_get_dockers_texts_and_codes() {
    for (words, code, text) in [
        (
            &["nosuch"][..],
            1,
            "drydock: unknown command: drydock nosuch\n\nRun 'drydock --help' for more information\n",
        ),
        (
            &["run", "--foo", "busybox"],
            125,
            "unknown flag: --foo\n\nUsage:  drydock run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nRun 'drydock run --help' for more information\n",
        ),
        (
            &["run"],
            1,
            "drydock: 'drydock run' requires at least 1 argument\n\nUsage:  drydock run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nSee 'drydock run --help' for more information\n",
        ),
        (
            &["run", "-p", "abc", "busybox"],
            125,
            "drydock: invalid containerPort: abc\n\nRun 'drydock run --help' for more information\n",
        ),
        (
            &["container", "nosuch"],
            1,
            "drydock: unknown command: drydock container nosuch\n\nUsage:  drydock container\n\nRun 'drydock container --help' for more information\n",
        ),
    ] {
        assert_eq!(
            texts(&run(words)),
            (code, String::new(), text.to_string()),
            "{words:?}"
        );
    }
}

#[test]
fn without_a_daemon_the_user_learns_what_to_do() {
    let lost = "Cannot connect to the Docker daemon at unix:///nonexistent/drydock.sock. Is the docker daemon running?\n";
    let (code, out, err) = texts(&run(&["version"]));
    assert_eq!(code, 1);
    assert!(out.starts_with("Client: Drydock\n Version: "), "{out}");
    assert!(
        err.starts_with(lost) && err.contains("hint: `drydock up`"),
        "{err}"
    );
    let (code, out, err) = texts(&run(&["run", "busybox"]));
    assert_eq!((code, out.as_str()), (125, ""));
    assert!(err.starts_with(&format!("drydock: {lost}")), "{err}");
}

#[test]
fn called_as_docker_it_speaks_as_docker() {
    let output = drydock()
        .arg0("docker")
        .args(["ps", "x"])
        .output()
        .expect("the binary runs");
    let (code, _, err) = texts(&output);
    assert_eq!(code, 1);
    assert!(
        err.starts_with("docker: 'docker ps' accepts no arguments\n"),
        "{err}"
    );
}

#[test]
fn up_as_an_ordinary_user_says_what_it_needs() {
    let mut command = drydock();
    if is_root() {
        // Nobody. The binary must be readable for it, so it is copied to where everybody may go.
        let copy = std::env::temp_dir().join(format!("drydock-up-test-{}", std::process::id()));
        std::fs::copy(env!("CARGO_BIN_EXE_drydock"), &copy).expect("a copy of the binary");
        command = Command::new(&copy);
        // A home that is not root's, which it could not read.
        command.arg("up").uid(65534).gid(65534).env("HOME", "/");
        let output = command.output();
        std::fs::remove_file(&copy).expect("the copy is removed");
        check_refusal(&output.expect("the binary runs"));
        return;
    }
    check_refusal(&command.arg("up").output().expect("the binary runs"));
}

fn check_refusal(output: &Output) {
    let (code, out, err) = texts(output);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.starts_with("drydock up needs root: "), "{err}");
    assert!(err.contains("hint: sudo drydock up"), "{err}");
}

/// Whether this test runs as root: the owner of our own /proc entry is the effective user.
fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").expect("/proc is mounted"))
        == 0
}
