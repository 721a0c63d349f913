//! `down`: ends the engine that `up` started.
//!
//! Containers keep running (the shims hold them), and the next `up` takes them back; `--all` stops them first.
//! The pid file holds a process id, `FILE.identity` beside it the process's start time and the boot's id. They
//! are compared while a pidfd (pidfd_open(2)) is held, and the signal goes through that: a number that was used
//! again for another process is left alone.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use drydock_client::Client;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;

use super::up;
use crate::failure::{Failure, Outcome};
use crate::flags::{Flag, Matches};
use crate::{Context, output};

/// The flags of `down`.
pub const FLAGS: &[Flag] = &[
    Flag::switch("all", "Stop the running containers too"),
    Flag::text("exec-root", "Where the running engine's files are").default("/run/drydock"),
    Flag::text(
        "pidfile",
        "The engine's pid file (default EXEC-ROOT/drydock.pid)",
    ),
];

/// How long the daemon may take to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Ends the daemon.
pub fn run(context: &Context, matches: &Matches) -> Outcome {
    up::need_root("down")?;
    let Some((pid, process)) = find(matches)? else {
        return not_found(context, matches);
    };
    let client = Client::new(up::endpoint(context, matches)?);
    let mut running = running(&client)?;
    if matches.switch("all") {
        for (id, name) in &running {
            client.post(&format!("/containers/{id}/stop"))?;
            output::line(&format!("container: {name} stopped"))?;
        }
        running.clear();
    }
    pidfd_send_signal(&process, Signal::TERM)
        .map_err(|error| Failure::new(format!("cannot end process {pid}: {error}")))?;
    let patience = Timespec {
        tv_sec: i64::try_from(PATIENCE.as_secs()).unwrap_or(30),
        tv_nsec: 0,
    };
    let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&patience))
        .map_err(std::io::Error::from)?;
    if ended == 0 {
        return Err(Failure::new(format!(
            "the engine (process {pid}) did not end within {} s",
            PATIENCE.as_secs()
        )));
    }
    output::line(&format!("engine: process {pid} has ended"))?;
    if !running.is_empty() {
        let names: Vec<&str> = running.iter().map(|(_, name)| name.as_str()).collect();
        output::line(&format!(
            "containers that keep running: {}",
            names.join(", ")
        ))?;
        output::line(
            "hint: `drydock up` takes them back; `drydock down --all` would have stopped them",
        )?;
    }
    Ok(0)
}

/// No pid file names a running engine. That is the end of it unless an engine answers: then it is another one
/// than the flags say, and "does not run" would be wrong.
fn not_found(context: &Context, matches: &Matches) -> Outcome {
    let client = Client::new(up::endpoint(context, matches)?);
    if client.get_json::<Value>("/version").is_ok() {
        return Err(Failure::new(format!(
            "an engine answers, but {} does not name it\nhint: say where its files are with --exec-root or --pidfile",
            pid_file(matches).display()
        )));
    }
    output::line("engine: does not run")?;
    Ok(0)
}

fn pid_file(matches: &Matches) -> PathBuf {
    match matches.text("pidfile") {
        "" => PathBuf::from(matches.text("exec-root")).join("drydock.pid"),
        path => PathBuf::from(path),
    }
}

/// The daemon of the pid file, if it is one and runs.
fn find(matches: &Matches) -> Result<Option<(i32, OwnedFd)>, Failure> {
    let path = pid_file(matches);
    let Ok(text) = fs::read_to_string(&path) else {
        return Ok(None);
    };
    let first = text.trim();
    let number: i32 = first.parse().map_err(|_| {
        Failure::new(format!(
            "{} does not hold a process id: {first:?}",
            path.display()
        ))
    })?;
    let mut identity = path.into_os_string();
    identity.push(".identity");
    // An engine that was started by other means may have none; then the program's own words must do.
    let identity = fs::read_to_string(identity).unwrap_or_default();
    let mut lines = identity.lines().map(str::trim);
    let (start, boot) = (lines.next(), lines.next());
    let Some(pid) = Pid::from_raw(number) else {
        return Ok(None);
    };
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else {
        return Ok(None);
    };
    // Read after the pidfd is held: from here on the number cannot come to mean another process.
    let is_same = start.is_none_or(|start| start_time(number).as_deref() == Some(start))
        && boot.is_none_or(|boot| boot_id().is_none_or(|id| id == boot));
    let words = fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
    let is_daemon = words.split(|byte| *byte == 0).nth(1) == Some(b"daemon");
    Ok((is_same && is_daemon).then_some((number, process)))
}

/// When the process started, in clock ticks since the boot: field 22 of proc_pid_stat(5). The second field,
/// the name, may hold anything, so the count begins behind its closing bracket.
fn start_time(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let behind_name = stat.rsplit_once(')')?.1;
    behind_name.split_whitespace().nth(19).map(str::to_string)
}

/// Which boot this is.
fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_string())
}

/// Id and name of each running container.
fn running(client: &Client) -> Result<Vec<(String, String)>, Failure> {
    let list: Value = client.get_json("/containers/json")?;
    let text = |value: &Value| {
        value
            .as_str()
            .unwrap_or_default()
            .trim_start_matches('/')
            .to_string()
    };
    Ok(list
        .as_array()
        .into_iter()
        .flatten()
        .map(|item| (text(&item["Id"]), text(&item["Names"][0])))
        .collect())
}
