//! Streams, logs and exit records.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use drydock_shim::protocol::{Answer, Reply, RequestBody};
use libtest_mimic::Failed;

use crate::Test;
use crate::harness::{Bench, Shim, attach_all, cgroups_of, client, demultiplex};

pub const TESTS: &[Test] = &[
    (
        "output_reaches_log_and_client",
        output_reaches_log_and_client,
    ),
    ("exit_codes_and_signals", exit_codes_and_signals),
    (
        "a_hundred_megabytes_come_back_unchanged",
        a_hundred_megabytes_come_back_unchanged,
    ),
    (
        "a_stopped_client_loses_nothing_and_blocks_no_kill",
        a_stopped_client_loses_nothing_and_blocks_no_kill,
    ),
    (
        "a_terminal_echoes_resizes_and_detaches",
        a_terminal_echoes_resizes_and_detaches,
    ),
    (
        "the_next_daemon_finds_everything",
        the_next_daemon_finds_everything,
    ),
    (
        "nothing_is_left_of_a_container",
        nothing_is_left_of_a_container,
    ),
];

fn output_reaches_log_and_client(bench: &Bench) -> Result<(), Failed> {
    let mut start = bench.script("echo out; echo err >&2; exit 3");
    start.attach = vec![attach_all()];
    let (mut ours, theirs) = client()?;
    let container = bench.start(start, vec![theirs])?;
    let (record, log) = container.wait()?;
    let mut bytes = Vec::new();
    ours.read_to_end(&mut bytes)?;
    assert_eq!(demultiplex(&bytes), (b"out\n".to_vec(), b"err\n".to_vec()));
    assert_eq!(record.exit_code, 3);
    assert!(log == "out\nerr\n" || log == "err\nout\n", "{log:?}");
    Ok(())
}

fn exit_codes_and_signals(bench: &Bench) -> Result<(), Failed> {
    for (script, code) in [("exit 0", 0), ("exit 255", 255), ("exec sleep 1000", 137)] {
        let mut container = bench.start(bench.script(script), Vec::new())?;
        if code == 137 {
            let answer = container.shim.ask(
                RequestBody::Kill {
                    signal: nix::libc::SIGKILL,
                },
                &[],
            )?;
            assert!(matches!(answer, Answer::Done), "{answer:?}");
        }
        assert_eq!(container.wait()?.0.exit_code, code, "{script}");
    }
    // PID 1 has no default action for signals; with a handler it ends as the handler says.
    let mut container = bench.start(
        bench.script("trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"),
        Vec::new(),
    )?;
    while container.log()? != "ready\n" {
        std::thread::yield_now();
    }
    container.shim.ask(
        RequestBody::Kill {
            signal: nix::libc::SIGTERM,
        },
        &[],
    )?;
    assert_eq!(container.wait()?.0.exit_code, 7);
    Ok(())
}

fn a_hundred_megabytes_come_back_unchanged(bench: &Bench) -> Result<(), Failed> {
    const SIZE: usize = 100 << 20;
    let mut start = bench.script("exec cat");
    (start.open_stdin, start.stdin_once, start.log) = (true, true, None);
    start.attach = vec![attach_all()];
    let (ours, theirs) = client()?;
    let mut container = bench.start(start, vec![theirs])?;
    let mut writer = ours.try_clone()?;
    let sending = std::thread::spawn(move || -> std::io::Result<u64> {
        let (mut sum, mut state, mut sent) = (0u64, 1u64, 0);
        while sent < SIZE {
            let piece: Vec<u8> = (0..65_536)
                .map(|_| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    (state >> 56) as u8
                })
                .collect();
            sum = piece.iter().fold(sum, |sum, byte| {
                sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
            });
            writer.write_all(&piece)?;
            sent += piece.len();
        }
        writer.shutdown(Shutdown::Write)?;
        Ok(sum)
    });
    let mut bytes = Vec::new();
    { ours }.read_to_end(&mut bytes)?;
    let (stdout, stderr) = demultiplex(&bytes);
    let sum = stdout.iter().fold(0u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
    });
    assert_eq!(stdout.len(), SIZE);
    assert!(stderr.is_empty());
    assert_eq!(sum, sending.join().map_err(|_| "the sender panicked")??);
    loop {
        if let Reply::Exited(record) = container.shim.hear()? {
            assert_eq!(record.exit_code, 0);
            return Ok(());
        }
    }
}

fn a_stopped_client_loses_nothing_and_blocks_no_kill(bench: &Bench) -> Result<(), Failed> {
    let mut start = bench.script("yes 0123456789");
    start.attach = vec![attach_all()];
    // Held and never read.
    let (stopped, theirs) = client()?;
    let mut container = bench.start(start, vec![theirs])?;
    // It is held up when the log stops growing.
    let mut before = 0;
    loop {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let now = std::fs::metadata(container.home.join("json.log"))?.len();
        if now == before && now > 0 {
            break;
        }
        before = now;
    }
    let answer = container.shim.ask(
        RequestBody::Kill {
            signal: nix::libc::SIGKILL,
        },
        &[],
    )?;
    assert!(matches!(answer, Answer::Done), "{answer:?}");
    let (record, log) = container.wait()?;
    assert_eq!(record.exit_code, 137);
    assert!(
        log.lines().all(|line| "0123456789".starts_with(line)),
        "a damaged line in the log"
    );
    drop(stopped);
    Ok(())
}

fn a_terminal_echoes_resizes_and_detaches(bench: &Bench) -> Result<(), Failed> {
    let mut start = bench.script(
        "trap 'stty size' WINCH; tty; stty size; while [ -z \"$line\" ]; do read line; done; echo got $line; sleep 1000",
    );
    start.spec.process.terminal = true;
    start.spec.process.console_size = Some((11, 22));
    start.open_stdin = true;
    let mut attach = attach_all();
    attach.detach_keys = vec![16, 17];
    start.attach = vec![attach];
    let (mut ours, theirs) = client()?;
    let mut container = bench.start(start, vec![theirs])?;
    let mut seen = String::new();
    read_until(&mut ours, &mut seen, "11 22")?;
    assert!(
        seen.starts_with("/dev/console\r\n") || seen.starts_with("/dev/pts/0\r\n"),
        "{seen:?}"
    );
    let answer = container.shim.ask(
        RequestBody::Resize {
            exec_id: None,
            height: 33,
            width: 44,
        },
        &[],
    )?;
    assert!(matches!(answer, Answer::Done), "{answer:?}");
    read_until(&mut ours, &mut seen, "33 44")?;
    ours.write_all(b"hello\r")?;
    read_until(&mut ours, &mut seen, "got hello")?;
    ours.write_all(&[16, 17])?;
    // Detached: the stream ends, the container does not.
    let mut rest = Vec::new();
    ours.read_to_end(&mut rest)?;
    let answer = container.shim.ask(RequestBody::Hello { version: 1 }, &[])?;
    assert!(
        matches!(answer, Answer::State { exit: None, .. }),
        "{answer:?}"
    );
    container.shim.ask(
        RequestBody::Kill {
            signal: nix::libc::SIGKILL,
        },
        &[],
    )?;
    container.wait().map(drop)
}

fn read_until(stream: &mut UnixStream, seen: &mut String, wanted: &str) -> Result<(), Failed> {
    let mut buffer = [0; 1024];
    while !seen.contains(wanted) {
        match stream
            .read(&mut buffer)
            .map_err(|error| format!("{error} after {seen:?}"))?
        {
            0 => return Err(format!("the stream ended before {wanted:?}: {seen:?}").into()),
            count => seen.push_str(&String::from_utf8_lossy(&buffer[..count])),
        }
    }
    Ok(())
}

fn the_next_daemon_finds_everything(bench: &Bench) -> Result<(), Failed> {
    let container = bench.start(bench.script("read line; echo $line"), Vec::new())?;
    drop(container.shim);
    assert_eq!(
        std::fs::read_to_string(container.home.join("exit.json")).is_ok(),
        container.home.join("exit.json").exists()
    );

    let mut start = bench.script("sleep 0.2; echo late; exit 9");
    start.open_stdin = true;
    let container = bench.start(start, Vec::new())?;
    let (home, socket, pid, started_at) = (
        container.home.clone(),
        container.socket.clone(),
        container.pid,
        container.started_at,
    );
    drop(container.shim);
    let mut next = Shim::new(UnixStream::connect(&socket)?)?;
    match next.ask(RequestBody::Hello { version: 1 }, &[])? {
        Answer::State {
            version: 1,
            pid: same,
            started_at: same_moment,
            exit: None,
            exec_ids,
        } => assert!(same == pid && same_moment == started_at && exec_ids.is_empty()),
        other => return Err(format!("unexpected answer {other:?}").into()),
    }
    drop(next);
    // Nobody is listening now; the record must come all the same.
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !home.join("exit.json").exists() {
        assert!(std::time::Instant::now() < end, "no exit record");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let record: drydock_shim::protocol::ExitRecord =
        serde_json::from_slice(&std::fs::read(home.join("exit.json"))?)?;
    assert_eq!(record.exit_code, 9);
    assert!(std::fs::read_to_string(home.join("json.log"))?.contains("late"));
    Ok(())
}

fn nothing_is_left_of_a_container(bench: &Bench) -> Result<(), Failed> {
    let mounts =
        || std::fs::read_to_string("/proc/self/mountinfo").map(|text| text.lines().count());
    let before = mounts()?;
    let start = bench.script("sleep 1000");
    let (path, socket) = (start.spec.cgroup.path.clone(), start.socket.clone());
    let mut container = bench.start(start, Vec::new())?;
    assert!(
        !cgroups_of(&path).is_empty(),
        "the container is in no cgroup"
    );
    assert_eq!(
        mounts()?,
        before,
        "a mount of the container is in the host's namespace"
    );
    container.shim.ask(
        RequestBody::Kill {
            signal: nix::libc::SIGKILL,
        },
        &[],
    )?;
    container.wait()?;
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !cgroups_of(&path).is_empty() || socket.exists() {
        assert!(
            std::time::Instant::now() < end,
            "cgroups {:?}, socket {}",
            cgroups_of(&path),
            socket.exists()
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    Ok(())
}
