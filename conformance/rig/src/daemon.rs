//! A Drydock daemon of a test's own.
//!
//! Everything of it lies in one temporary directory, and its bridge and subnet are used by nothing else. The
//! guard removes all of it when it is dropped, also on a panic, and also when the daemon was killed or its
//! containers run on without it: live-restore is the default, so ending the daemon ends no container.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::engine::Unavailable;
use crate::http::request;
use crate::leaks::{Footprint, Owner};
use crate::subnet::{self, Network};
use crate::{binary, netlink, processes};

/// How long a daemon may take to answer, and to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// How to start a daemon.
#[derive(Clone, Debug)]
pub struct DaemonOptions {
    /// The program; None for the usual one.
    pub program: Option<PathBuf>,
    /// Make busybox:latest first.
    pub busybox: bool,
    /// Further arguments of `drydock daemon`.
    pub arguments: Vec<String>,
    /// Further variables of its environment.
    pub variables: Vec<(String, String)>,
}

impl Default for DaemonOptions {
    fn default() -> DaemonOptions {
        DaemonOptions {
            program: None,
            busybox: true,
            arguments: Vec::new(),
            variables: Vec::new(),
        }
    }
}

/// A daemon that runs, or did. Dropping it removes everything.
#[derive(Debug)]
pub struct Daemon {
    directory: tempfile::TempDir,
    socket: PathBuf,
    network: Network,
    options: DaemonOptions,
    process: Mutex<Option<Child>>,
    /// Ids of containers that were seen, so that their cgroups can be found after they are gone.
    seen: Mutex<BTreeSet<String>>,
}

impl Daemon {
    /// Why this host cannot run a daemon.
    pub fn missing() -> Option<String> {
        (!geteuid().is_root()).then(|| "a drydock daemon needs root".to_owned())
    }

    /// Starts a daemon and waits until it answers.
    ///
    /// # Errors
    /// [`Unavailable::NotHere`] without root; otherwise when it does not start, with the end of its log.
    pub fn start(options: DaemonOptions) -> Result<Daemon, Unavailable> {
        if let Some(reason) = Daemon::missing() {
            return Err(Unavailable::NotHere(reason));
        }
        let directory = tempfile::Builder::new()
            .prefix("rig-")
            .tempdir()
            .context("making a directory for the daemon")?;
        let daemon = Daemon {
            socket: directory.path().join("drydock.sock"),
            directory,
            network: subnet::next()?,
            options,
            process: Mutex::new(None),
            seen: Mutex::new(BTreeSet::new()),
        };
        daemon.launch()?;
        if daemon.options.busybox {
            binary::bootstrap_busybox(&daemon.program()?, &daemon.socket)?;
        }
        Ok(daemon)
    }

    /// Starts the process, after [`Daemon::start`], [`Daemon::stop`] or [`Daemon::kill`], and waits until it answers.
    ///
    /// # Errors
    /// When it runs already, ends, or does not answer within 20 s.
    pub fn launch(&self) -> anyhow::Result<()> {
        let mut process = self.process();
        if process.is_some() {
            bail!("the daemon runs already");
        }
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())?;
        let child = Command::new(self.program()?)
            .arg("daemon")
            .arg("--data-root")
            .arg(self.data_root())
            .arg("--exec-root")
            .arg(self.exec_root())
            .args(["-H", &format!("unix://{}", self.socket.display())])
            .args([
                "--bridge",
                &self.network.bridge,
                "--bip",
                &self.network.bip(),
            ])
            .arg("--pidfile")
            .arg(self.directory.path().join("drydock.pid"))
            .args(&self.options.arguments)
            .env(processes::MARK, self.directory.path())
            .envs(
                self.options
                    .variables
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting drydock daemon")?;
        let child = process.insert(child);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if matches!(request(&self.socket, "GET", "/_ping", None), Ok(response) if response.status == 200)
            {
                return Ok(());
            }
            if let Some(status) = child.try_wait()? {
                *process = None;
                bail!(
                    "drydock daemon ended at once ({status}):\n{}",
                    self.log_end()
                );
            }
            if Instant::now() > deadline {
                bail!(
                    "drydock daemon does not answer after {PATIENCE:?}:\n{}",
                    self.log_end()
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the daemon as a service manager would, with SIGTERM. Containers run on.
    ///
    /// # Errors
    /// When it does not end within 20 s.
    pub fn stop(&self) -> anyhow::Result<()> {
        let mut process = self.process();
        let Some(child) = process.as_mut() else {
            return Ok(());
        };
        kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM)?;
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!(
                    "drydock daemon does not end after {PATIENCE:?}:\n{}",
                    self.log_end()
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        *process = None;
        Ok(())
    }

    /// Kills the daemon with SIGKILL. Containers run on.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(&self) -> anyhow::Result<()> {
        if let Some(mut child) = self.process().take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// The program that runs as the daemon.
    ///
    /// # Errors
    /// As [`binary::drydock_binary`].
    pub fn program(&self) -> anyhow::Result<PathBuf> {
        match &self.options.program {
            Some(program) => Ok(program.clone()),
            None => binary::drydock_binary(),
        }
    }

    /// The daemon's process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process().as_ref().map(Child::id)
    }

    /// Where its threads are, a line each: name, state, and the function of the kernel that it waits in (proc(5)). For
    /// a daemon that does not answer: it tells one that waits from one that is stuck.
    pub fn threads(&self) -> String {
        let Some(pid) = self.pid() else {
            return "\nthe daemon does not run".to_owned();
        };
        let tasks = fs::read_dir(format!("/proc/{pid}/task"));
        let mut text = String::new();
        for task in tasks.into_iter().flatten().flatten() {
            let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
            let stat = read("stat");
            let state = stat.rsplit(')').next().unwrap_or_default();
            text.push_str(&format!(
                "\n{} {} {}",
                read("comm").trim_end(),
                state.split_whitespace().next().unwrap_or("?"),
                read("wchan").trim_end()
            ));
        }
        text
    }

    /// The daemon's unix socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// `--data-root`.
    pub fn data_root(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// `--exec-root`.
    pub fn exec_root(&self) -> PathBuf {
        self.directory.path().join("exec")
    }

    /// The name of the bridge.
    pub fn bridge(&self) -> &str {
        &self.network.bridge
    }

    /// What the daemon wrote to its standard output and error.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// What belongs to the daemon now.
    pub fn footprint(&self) -> Footprint {
        let containers = self.containers();
        Footprint::take(&Owner {
            directory: self.directory.path(),
            data_root: &self.data_root(),
            exec_root: &self.exec_root(),
            bridge: &self.network.bridge,
            containers: &containers,
        })
    }

    /// What belongs to the daemon and did not before. Looks until nothing is left or `patience` is over.
    pub fn leaks_since(&self, before: &Footprint, patience: Duration) -> Vec<String> {
        let deadline = Instant::now() + patience;
        loop {
            let leaks = self.footprint().beyond(before);
            if leaks.is_empty() || Instant::now() > deadline {
                return leaks;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Removes all containers through the API.
    ///
    /// # Errors
    /// When the daemon does not answer or refuses.
    pub fn remove_containers(&self) -> anyhow::Result<()> {
        let list = request(&self.socket, "GET", "/containers/json?all=1", None)?
            .success()?
            .json()?;
        for container in list
            .as_array()
            .context("the list of containers is no list")?
        {
            let id = container["Id"].as_str().unwrap_or_default();
            self.seen().insert(id.to_owned());
            let response = request(
                &self.socket,
                "DELETE",
                &format!("/containers/{id}?force=1&v=1"),
                None,
            )?;
            if response.status != 404 {
                response
                    .success()
                    .with_context(|| format!("removing container {id}"))?;
            }
        }
        Ok(())
    }

    /// Ends the daemon and proves that nothing of it is left. This is [`Drop`] with an answer.
    ///
    /// # Errors
    /// When the daemon does not end as it should, or when something had to be cleaned up after it.
    pub fn finish(self) -> anyhow::Result<()> {
        self.remove_containers()?;
        self.stop()?;
        let left = self.footprint();
        let mut leaks = left.beyond(&Footprint::default());
        // The bridge, its table and the cgroup above the containers outlive a daemon, as Docker's do: containers may
        // run on in them.
        leaks
            .retain(|leak| !leak.starts_with("firewall") && !leak.ends_with(&self.cgroup_parent()));
        if leaks.is_empty() {
            Ok(())
        } else {
            bail!(
                "after the daemon had ended, this was left:\n  {}",
                leaks.join("\n  ")
            )
        }
    }

    /// The first part of this daemon's cgroup paths: `drydock-` and a tag that follows from the data root (FNV-1a).
    /// The daemon's `Settings::cgroup_parent` says the same; a test of this crate compares them on a running
    /// container.
    pub fn cgroup_parent(&self) -> String {
        let bytes = self.data_root().into_os_string().into_encoded_bytes();
        let tag = bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        });
        format!("drydock-{tag:08x}")
    }

    /// Ids of all containers that can be seen now or were before, and the name that all their cgroups share.
    fn containers(&self) -> BTreeSet<String> {
        let mut seen = self.seen();
        let directories = fs::read_dir(self.data_root().join("containers"))
            .into_iter()
            .flatten()
            .flatten();
        let names = directories.map(|entry| entry.file_name().to_string_lossy().into_owned());
        seen.extend(
            names.filter(|name| {
                name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
            }),
        );
        seen.insert(self.cgroup_parent());
        seen.clone()
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("daemon.log")
    }

    fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.process
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.seen
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Removes what the kernel holds, without the daemon's help. Each step is tried whatever the others did.
    fn clean_up(&self) {
        let containers = self.containers();
        processes::end_all(self.directory.path(), &containers);
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
        let directory = self.directory.path();
        for point in points
            .filter(|point| Path::new(point).starts_with(directory))
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
        {
            report(
                &format!("unmounting {point}"),
                umount2(point, MntFlags::MNT_DETACH).map_err(Into::into),
            );
        }
        for table in netlink::tables()
            .unwrap_or_default()
            .iter()
            .filter(|table| table.name.contains(self.bridge()))
        {
            report(
                &format!("deleting the table {}", table.name),
                netlink::delete_table(table),
            );
        }
        for rule in netlink::rules_naming(self.bridge()).unwrap_or_default() {
            report(
                &format!("deleting a rule in {}", rule.chain),
                netlink::delete_rule(&rule),
            );
        }
        if Path::new("/sys/class/net").join(self.bridge()).exists() {
            report(
                &format!("deleting the bridge {}", self.bridge()),
                netlink::delete_link(self.bridge()),
            );
        }
        for cgroup in self.footprint().cgroups.iter().rev() {
            report(
                &format!("removing the cgroup {cgroup}"),
                fs::remove_dir(cgroup),
            );
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.remove_containers();
        let _ = self.stop();
        let _ = self.kill();
        self.clean_up();
    }
}

/// A clean-up cannot fail a test that is over, but it must not be silent either.
fn report(what: &str, result: std::io::Result<()>) {
    if let Err(error) = result {
        eprintln!("rig: {what}: {error}");
    }
}
