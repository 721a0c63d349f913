//! A daemon of one's own, and that nothing of it stays: after an orderly end, after SIGKILL, after a panic, with
//! containers that run on.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use rig::{Daemon, DaemonOptions, Engine, Rig};

/// One test.
type Test = fn() -> Result<(), Failed>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let missing = if arguments.list {
        None
    } else {
        Rig::Drydock.missing()
    };
    let tests: [(&str, Test); 5] = [
        (
            "an_idle_daemon_leaves_nothing",
            an_idle_daemon_leaves_nothing,
        ),
        ("a_container_leaves_nothing", a_container_leaves_nothing),
        ("a_running_container_is_seen", a_running_container_is_seen),
        (
            "a_killed_daemon_is_cleaned_up",
            a_killed_daemon_is_cleaned_up,
        ),
        ("a_panic_cleans_up", a_panic_cleans_up),
    ];
    let trials = tests.into_iter().map(|(name, test)| {
        let trial = Trial::test(name, test);
        match &missing {
            Some(reason) => trial.with_kind(reason).with_ignored_flag(true),
            None => trial,
        }
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn start() -> Result<(Arc<Daemon>, Engine), Failed> {
    let daemon = Arc::new(Daemon::start(DaemonOptions::default())?);
    let engine = Engine::on_daemon(Rig::Drydock, Arc::clone(&daemon))?;
    Ok((daemon, engine))
}

fn run(engine: &Engine, arguments: &[&str]) -> Result<String, Failed> {
    let output = engine.client().args(arguments).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// What a daemon had that a test can look for afterwards.
fn traces(daemon: &Daemon) -> (Vec<PathBuf>, Vec<i32>) {
    let directory = daemon
        .data_root()
        .parent()
        .map(PathBuf::from)
        .unwrap_or_default();
    let bridge = PathBuf::from("/sys/class/net").join(daemon.bridge());
    (
        vec![directory, bridge],
        daemon.footprint().processes.into_keys().collect(),
    )
}

fn nothing_is_left((paths, processes): (Vec<PathBuf>, Vec<i32>)) -> Result<(), Failed> {
    if let Some(path) = paths.iter().find(|path| path.exists()) {
        return Err(format!("{} is still there", path.display()).into());
    }
    let alive = processes.iter().find(|pid| {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.contains(") Z "))
    });
    alive.map_or(
        Ok(()),
        |pid| Err(format!("process {pid} still runs").into()),
    )
}

fn an_idle_daemon_leaves_nothing() -> Result<(), Failed> {
    let daemon = Daemon::start(DaemonOptions {
        busybox: false,
        ..DaemonOptions::default()
    })?;
    let traces = traces(&daemon);
    daemon.finish()?;
    nothing_is_left(traces)
}

fn a_container_leaves_nothing() -> Result<(), Failed> {
    let (daemon, engine) = start()?;
    run(&engine, &["run", "--rm", "busybox", "true"])?;
    daemon.leaks_since(
        &rig::leaks::Footprint::default(),
        Duration::from_millis(500),
    );
    let idle = daemon.footprint();
    for _ in 0..5 {
        run(&engine, &["run", "--rm", "busybox", "true"])?;
    }
    let leaks = daemon.leaks_since(&idle, Duration::from_secs(10));
    if leaks.is_empty() {
        Ok(())
    } else {
        Err(leaks.join("\n").into())
    }
}

/// A leak check that never sees anything proves nothing: a running container must show up in every list.
fn a_running_container_is_seen() -> Result<(), Failed> {
    let (daemon, engine) = start()?;
    run(&engine, &["run", "--rm", "busybox", "true"])?;
    daemon.leaks_since(
        &rig::leaks::Footprint::default(),
        Duration::from_millis(500),
    );
    let idle = daemon.footprint();
    run(
        &engine,
        &["run", "-d", "--name", "runs", "busybox", "sleep", "1000"],
    )?;
    let leaks = daemon.leaks_since(&idle, Duration::ZERO).join("\n");
    for expected in [
        "mount",
        "network interface",
        "cgroup",
        "process",
        "container directory",
        "network namespaces",
    ] {
        if !leaks.contains(&format!("{expected}: ")) {
            return Err(format!("a running container shows no {expected}:\n{leaks}").into());
        }
    }
    if !leaks.contains(&format!("{}/", daemon.cgroup_parent())) {
        return Err(format!("no cgroup lies below {}:\n{leaks}", daemon.cgroup_parent()).into());
    }
    run(&engine, &["rm", "-f", "runs"])?;
    let leaks = daemon.leaks_since(&idle, Duration::from_secs(10));
    if leaks.is_empty() {
        Ok(())
    } else {
        Err(leaks.join("\n").into())
    }
}

fn a_killed_daemon_is_cleaned_up() -> Result<(), Failed> {
    let (daemon, engine) = start()?;
    run(&engine, &["run", "-d", "busybox", "sleep", "1000"])?;
    let traces = traces(&daemon);
    daemon.kill()?;
    drop(engine);
    drop(daemon);
    nothing_is_left(traces)
}

fn a_panic_cleans_up() -> Result<(), Failed> {
    let (daemon, engine) = start()?;
    run(&engine, &["run", "-d", "busybox", "sleep", "1000"])?;
    let traces = traces(&daemon);
    let test = std::thread::spawn(move || {
        let (_daemon, _engine) = (daemon, engine);
        panic!("a test that fails");
    });
    if test.join().is_ok() {
        return Err("the thread should have panicked".into());
    }
    nothing_is_left(traces)
}
