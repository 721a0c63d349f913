//! Starts one process, waits for it, and says how long that took.
//!
//! Every engine and the plain-exec floor go through this one function, so that they pay the same for
//! being measured. The clock runs from just before the process is made to just after it was reaped.
//! `std::process::Command` uses posix_spawn(3), which is vfork + exec in glibc; each launch happens on a
//! thread of its own kind (see [`Launcher`]), never in a large forked copy.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::Serialize;

/// Where the second cgroup hierarchy is mounted on a host in hybrid mode.
pub const UNIFIED: &str = "/sys/fs/cgroup/unified";

/// In which mount namespace a command is launched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountNamespace {
    /// The one of this program.
    Host,
    /// A private one without `/sys/fs/cgroup/unified`. crun refuses to run in hybrid cgroup mode when a
    /// controller sits in the second hierarchy; where it is not mounted, crun takes the host for plain v1.
    WithoutUnified,
}

/// A command to launch once.
#[derive(Clone, Debug)]
pub struct Job {
    /// Program (absolute path) and arguments.
    pub argv: Vec<String>,
    /// The whole environment of the process.
    pub environment: Vec<(String, String)>,
    /// After this long the process is killed and counted as failed.
    pub timeout: Duration,
}

/// What one launch did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// From before the spawn to after the reaping.
    pub elapsed: Duration,
    /// Why the run does not count, if it does not.
    pub failure: Option<String>,
    /// What it printed.
    pub stdout: String,
}

/// A thread that launches jobs one after the other in one mount namespace.
///
/// A mount namespace belongs to a thread that called unshare(2), so the crun work-around needs a thread;
/// all other engines get one too, for equal conditions.
pub struct Launcher {
    jobs: Sender<Job>,
    outcomes: Receiver<Result<Outcome>>,
}

impl Launcher {
    /// Starts the thread. Fails if the mount namespace cannot be made (it needs root).
    pub fn new(namespace: MountNamespace) -> Result<Launcher> {
        let (jobs, job_queue) = channel::<Job>();
        let (outcome_queue, outcomes) = channel();
        thread::Builder::new()
            .name("launcher".into())
            .spawn(move || {
                let ready = enter(namespace);
                let failed = ready.is_err();
                if outcome_queue.send(ready.map(|()| nothing())).is_err() || failed {
                    return;
                }
                for job in job_queue {
                    if outcome_queue.send(launch(&job)).is_err() {
                        return;
                    }
                }
            })?;
        outcomes.recv().context("the launcher thread ended")??;
        Ok(Launcher { jobs, outcomes })
    }

    /// Launches `job` and waits for its end. An error means that the harness failed, not the process.
    pub fn run(&self, job: Job) -> Result<Outcome> {
        self.jobs
            .send(job)
            .map_err(|_| anyhow!("the launcher thread ended"))?;
        self.outcomes.recv().context("the launcher thread ended")?
    }
}

fn nothing() -> Outcome {
    Outcome {
        elapsed: Duration::ZERO,
        failure: None,
        stdout: String::new(),
    }
}

fn enter(namespace: MountNamespace) -> Result<()> {
    if namespace == MountNamespace::Host {
        return Ok(());
    }
    unshare(CloneFlags::CLONE_NEWNS).context("unshare the mount namespace (needs root)")?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .context("make / private")?;
    umount2(UNIFIED, MntFlags::MNT_DETACH).with_context(|| format!("unmount {UNIFIED}"))
}

fn launch(job: &Job) -> Result<Outcome> {
    let (program, arguments) = job.argv.split_first().context("an empty command")?;
    // Files, not pipes: nobody has to read while the clock runs, and no full pipe can block the process.
    let mut stdout = tempfile::tempfile()?;
    let mut stderr = tempfile::tempfile()?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(job.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(stdout.try_clone()?)
        .stderr(stderr.try_clone()?)
        .process_group(0);

    let start = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("start {program}"))?;
    let in_time = wait_for_exit(&child, job.timeout)?;
    if !in_time {
        child.kill()?;
    }
    let status = child.wait()?;
    let elapsed = start.elapsed();

    let failure = match (in_time, status.success()) {
        (false, _) => Some(format!("no end within {} s, killed", job.timeout.as_secs())),
        (true, false) => Some(describe(status, &contents(&mut stderr)?)),
        (true, true) => None,
    };
    Ok(Outcome {
        elapsed,
        failure,
        stdout: contents(&mut stdout)?,
    })
}

/// True if the child ended in time. It is not reaped. poll(2) on a pidfd waits without a busy loop and
/// without a second thread; the two system calls cost some microseconds, the same for every engine.
fn wait_for_exit(child: &Child, timeout: Duration) -> Result<bool> {
    let pid = Pid::from_child(child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).context("pidfd_open")?;
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let mut descriptors = [PollFd::new(&pidfd, PollFlags::IN)];
        match poll(&mut descriptors, Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error).context("poll a pidfd"),
        }
    }
}

fn describe(status: ExitStatus, stderr: &str) -> String {
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    };
    // The last lines say what went wrong; Docker adds a "Run 'docker run --help'" line that does not.
    let said: Vec<&str> = stderr
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("Run '"))
        .collect();
    match said.last() {
        Some(line) => format!("{how}: {line}"),
        None => how,
    }
}

fn contents(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, timeout: Duration) -> Outcome {
        let job = Job {
            argv: vec!["/bin/sh".into(), "-c".into(), script.into()],
            environment: vec![("GREETING".into(), "hello".into())],
            timeout,
        };
        Launcher::new(MountNamespace::Host)
            .and_then(|launcher| launcher.run(job))
            .expect("launch")
    }

    #[test]
    fn a_good_run_has_output_a_time_and_the_given_environment() {
        let outcome = shell("echo $GREETING", Duration::from_secs(20));
        assert_eq!(outcome.failure, None);
        assert_eq!(outcome.stdout, "hello\n");
        assert!(outcome.elapsed > Duration::ZERO);
    }

    #[test]
    fn a_failed_run_says_how_and_why() {
        let outcome = shell(
            "echo first >&2; echo cause >&2; exit 3",
            Duration::from_secs(20),
        );
        assert_eq!(outcome.failure.as_deref(), Some("exit status 3: cause"));
        let outcome = shell("kill -KILL $$", Duration::from_secs(20));
        assert_eq!(outcome.failure.as_deref(), Some("killed by signal 9"));
    }

    #[test]
    fn a_run_without_end_is_killed() {
        let outcome = shell("exec sleep 600", Duration::from_millis(200));
        assert_eq!(
            outcome.failure.as_deref(),
            Some("no end within 0 s, killed")
        );
        assert!(outcome.elapsed < Duration::from_secs(300));
    }
}
