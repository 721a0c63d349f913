//! `exec` in a running container.

use std::io::Read;

use drydock_runtime::spec::StartErrorKind;
use drydock_shim::protocol::{Answer, Control, Reply, RequestBody};
use libtest_mimic::Failed;

use crate::Test;
use crate::harness::{Bench, Container, client, demultiplex, process};

pub const TESTS: &[Test] = &[
    ("an_exec_is_in_the_container", an_exec_is_in_the_container),
    (
        "an_exec_has_its_own_user_environment_and_code",
        an_exec_has_its_own_user_environment_and_code,
    ),
    ("an_exec_on_a_terminal", an_exec_on_a_terminal),
    (
        "an_exec_that_cannot_start_says_why",
        an_exec_that_cannot_start_says_why,
    ),
    ("a_probe_ends_with_its_client", a_probe_ends_with_its_client),
    (
        "an_exec_in_a_frozen_container_is_refused",
        an_exec_in_a_frozen_container_is_refused,
    ),
];

fn sleeper(bench: &Bench) -> Result<Container, Failed> {
    bench.start(bench.script("echo $$ > /pid; exec sleep 1000"), Vec::new())
}

fn end(mut container: Container) -> Result<(), Failed> {
    container.shim.ask(
        RequestBody::Kill {
            signal: nix::libc::SIGKILL,
        },
        &[],
    )?;
    container.wait().map(drop)
}

/// Runs a script by exec: standard output and exit code.
fn output(
    container: &mut Container,
    exec_id: &str,
    change: impl FnOnce(&mut drydock_runtime::spec::Process),
    script: &str,
) -> Result<(String, i32), Failed> {
    let (mut ours, theirs) = client()?;
    let mut wanted = process(script);
    change(&mut wanted);
    let terminal = wanted.terminal;
    match container.exec(exec_id, wanted, Some(theirs))? {
        Answer::ExecStarted { .. } => {}
        other => return Err(format!("unexpected answer {other:?}").into()),
    }
    let mut bytes = Vec::new();
    ours.read_to_end(&mut bytes)?;
    let code = loop {
        match container.shim.hear()? {
            Reply::ExecExited {
                exec_id: ended,
                exit_code,
            } if ended == exec_id => break exit_code,
            _ => {}
        }
    };
    let stdout = if terminal {
        bytes
    } else {
        demultiplex(&bytes).0
    };
    Ok((String::from_utf8_lossy(&stdout).into_owned(), code))
}

fn an_exec_is_in_the_container(bench: &Bench) -> Result<(), Failed> {
    let mut container = sleeper(bench)?;
    let namespaces = ["mnt", "pid", "ipc", "uts", "cgroup", "net"];
    for name in namespaces {
        let (inside, code) = output(
            &mut container,
            name,
            |_| {},
            &format!("readlink /proc/self/ns/{name}"),
        )?;
        let outside = std::fs::read_link(format!("/proc/{}/ns/{name}", container.pid))?;
        assert_eq!(
            (inside.trim_end(), code),
            (outside.to_string_lossy().as_ref(), 0),
            "{name}"
        );
    }
    let (cgroup, _) = output(
        &mut container,
        "cgroup file",
        |_| {},
        "cat /proc/self/cgroup",
    )?;
    assert!(
        cgroup
            .lines()
            .filter(|line| !line.starts_with("0:"))
            .all(|line| line.ends_with(":/")),
        "{cgroup}"
    );
    let (files, _) = output(&mut container, "files", |_| {}, "ls /proc/self/fd | wc -l")?;
    // 0, 1, 2 and the directory that ls has open.
    assert_eq!(files, "4\n");
    end(container)
}

fn an_exec_has_its_own_user_environment_and_code(bench: &Bench) -> Result<(), Failed> {
    let mut container = sleeper(bench)?;
    let change = |process: &mut drydock_runtime::spec::Process| {
        process.user = "ann".to_owned();
        process.env.push("GREETING=hello".to_owned());
        process.cwd = "/etc".to_owned();
    };
    let (text, code) = output(
        &mut container,
        "one",
        change,
        "id; echo $GREETING $HOME $PWD; grep CapEff /proc/self/status; exit 42",
    )?;
    let wanted = "uid=1000(ann) gid=1000(ann) groups=10(wheel),1000(ann)\nhello /home/ann /etc\nCapEff:\t0000000000000000\n";
    assert_eq!((text.as_str(), code), (wanted, 42));
    let (_, code) = output(&mut container, "two", |_| {}, "kill -9 $$")?;
    assert_eq!(code, 137);
    end(container)
}

fn an_exec_on_a_terminal(bench: &Bench) -> Result<(), Failed> {
    let mut container = sleeper(bench)?;
    let change = |process: &mut drydock_runtime::spec::Process| {
        process.terminal = true;
        process.console_size = Some((5, 6));
    };
    let (text, code) = output(&mut container, "tty", change, "tty; stty size")?;
    assert_eq!((text.as_str(), code), ("/dev/pts/0\r\n5 6\r\n", 0));
    end(container)
}

fn an_exec_that_cannot_start_says_why(bench: &Bench) -> Result<(), Failed> {
    let mut container = sleeper(bench)?;
    for (program, kind) in [
        ("nope", StartErrorKind::NotFound),
        ("/etc/passwd", StartErrorKind::NotExecutable),
    ] {
        let mut wanted = process("");
        wanted.args = vec![program.to_owned()];
        match container.exec(program, wanted, None)? {
            Answer::Failed(error) => {
                assert_eq!(error.kind, kind, "{error}");
                assert!(error.message.starts_with("OCI runtime exec failed: exec failed: unable to start container process: exec: "), "{error}");
            }
            other => return Err(format!("unexpected answer {other:?}").into()),
        }
    }
    for (directory, wanted) in [
        (
            "/no/such",
            "chdir to cwd (\"/no/such\") set in config.json failed: no such file or directory",
        ),
        ("relative", "exec failed: Cwd must be an absolute path"),
        (
            "/proc/self/fd/0",
            "chdir to cwd (\"/proc/self/fd/0\") set in config.json failed: ",
        ),
    ] {
        let mut process = process("true");
        process.cwd = directory.to_owned();
        match container.exec(directory, process, None)? {
            Answer::Failed(error) => assert!(error.message.contains(wanted), "{error}"),
            other => return Err(format!("unexpected answer {other:?}").into()),
        }
    }
    end(container)
}

/// A health check of a daemon that has gone, or gave it up, does not go on; another exec does.
fn a_probe_ends_with_its_client(bench: &Bench) -> Result<(), Failed> {
    let mut container = sleeper(bench)?;
    let (stays, theirs) = client()?;
    container.exec("exec", process("exec sleep 1000"), Some(theirs))?;
    drop(stays);
    let (goes, theirs) = client()?;
    container.probe("probe", process("exec sleep 1000"), theirs)?;
    drop(goes);
    match container.shim.hear()? {
        Reply::ExecExited { exec_id, exit_code } => {
            assert_eq!((exec_id.as_str(), exit_code), ("probe", 137))
        }
        other => return Err(format!("unexpected event {other:?}").into()),
    }
    end(container)
}

/// The shim starts one process at a time: one that stands still before it has begun would make it deaf for ever.
fn an_exec_in_a_frozen_container_is_refused(bench: &Bench) -> Result<(), Failed> {
    let mut container = sleeper(bench)?;
    let freeze = |frozen| RequestBody::Control(Control::Freeze { frozen });
    let answer = container.shim.ask(freeze(true), &[])?;
    assert!(matches!(answer, Answer::Done), "{answer:?}");
    match container.exec("early", process("true"), None)? {
        Answer::Failed(error) => assert!(error.message.contains("is paused"), "{error}"),
        other => return Err(format!("unexpected answer {other:?}").into()),
    }
    let answer = container.shim.ask(freeze(false), &[])?;
    assert!(matches!(answer, Answer::Done), "{answer:?}");
    assert_eq!(
        output(&mut container, "late", |_| {}, "echo on")?,
        ("on\n".to_owned(), 0)
    );
    end(container)
}
