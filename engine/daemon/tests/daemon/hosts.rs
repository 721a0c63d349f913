//! What the daemon leaves on its host, and what it puts in place there again.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::api::{Api, call, ensure};

/// Why the test of the firewall cannot run; None when it can.
pub fn missing_nft() -> Option<&'static str> {
    let found = Command::new("nft")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    found.is_err().then_some("needs nft")
}

pub fn the_firewall_is_put_in_place_again() -> Result<(), Failed> {
    let api = Api::start(&[])?;
    let table = |verb: &str| {
        Command::new("nft")
            .args([verb, "table", "inet", api.daemon.bridge()])
            .output()
    };
    let before = table("list")?;
    ensure!(before.status.success(), "no table: {before:?}");
    // The second time shows that it is still watched after a repair.
    for _ in 0..2 {
        let deleted = table("delete")?;
        ensure!(deleted.status.success(), "{deleted:?}");
        api.until("the table is there again", |_| {
            Ok(table("list")?.stdout == before.stdout)
        })?;
    }
    api.until("it is said", |api| {
        Ok(api
            .daemon
            .log()
            .contains("were changed by somebody else; they are in place again"))
    })?;
    api.finish()
}

pub fn modes_do_not_depend_on_the_umask() -> Result<(), Failed> {
    for mask in ["000", "077"] {
        let daemon = Masked::start(mask)?;
        let socket = daemon.folder.path().join("exec/d.sock");
        // An empty archive is an image without files.
        let image = rig::request(
            &socket,
            "POST",
            "/images/create?fromSrc=-&repo=empty",
            Some(&[0; 1024]),
        )?;
        ensure!(image.status == 200, "import: {}", image.text());
        let made = call(
            &socket,
            "POST",
            "/containers/create",
            Some(json!({"Image": "empty", "Cmd": ["x"]})),
        )?;
        let id = made.success()?.json()?["Id"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let data = daemon.folder.path().join("data");
        let upper = data.join("containers").join(&id).join("rw/upper");
        let wanted = [
            (data.clone(), 0o700),
            (data.join("containers"), 0o700),
            (data.join("image"), 0o700),
            (data.join("trash"), 0o700),
            // A container's root directory: whoever it runs as can enter it.
            (upper, 0o755),
            (data.join("skeleton"), 0o755),
            (daemon.folder.path().join("exec"), 0o711),
            (daemon.folder.path().join("exec/shims"), 0o700),
            (socket.clone(), 0o660),
        ];
        for (path, wanted) in wanted {
            let mode = mode(&path)?;
            ensure!(
                mode == wanted,
                "umask {mask}: {} has {mode:o}, not {wanted:o}",
                path.display()
            );
        }
        let writable = writable_by_all(daemon.folder.path())?;
        ensure!(
            writable.is_empty(),
            "umask {mask}: everybody can write {writable:?}"
        );
        daemon.end()?;
    }
    Ok(())
}

fn mode(path: &Path) -> Result<u32, Failed> {
    let metadata =
        std::fs::symlink_metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(metadata.permissions().mode() & 0o7777)
}

fn writable_by_all(directory: &Path) -> Result<Vec<PathBuf>, Failed> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_symlink() {
            continue;
        }
        if mode(&path)? & 0o002 != 0 {
            found.push(path.clone());
        }
        if path.is_dir() {
            found.extend(writable_by_all(&path)?);
        }
    }
    Ok(found)
}

/// A daemon that a process with another umask started; ended when dropped.
struct Masked {
    folder: tempfile::TempDir,
    process: Child,
}

impl Masked {
    fn start(mask: &str) -> Result<Masked, Failed> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name).into_os_string();
        let process = Command::new("sh")
            .args(["-c", "umask $0; exec \"$@\"", mask])
            .arg(rig::drydock_binary()?)
            .args(["daemon", "--config-file=/dev/null", "--bridge=dmnmasked"])
            .args(["--bip=10.231.10.1/24", "--data-root"])
            .arg(path("data"))
            .arg("--exec-root")
            .arg(path("exec"))
            .arg("--host")
            .arg(format!(
                "unix://{}",
                folder.path().join("exec/d.sock").display()
            ))
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(path("log"))?)
            .spawn()?;
        let mut daemon = Masked { folder, process };
        let begin = Instant::now();
        let socket = daemon.folder.path().join("exec/d.sock");
        while call(&socket, "GET", "/_ping", None).is_err() {
            ensure!(
                daemon.process.try_wait()?.is_none() && begin.elapsed() < Duration::from_secs(20),
                "no daemon: {}",
                std::fs::read_to_string(daemon.folder.path().join("log"))?
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(daemon)
    }

    fn end(mut self) -> Result<(), Failed> {
        self.terminate()?;
        let status = self.process.wait()?;
        ensure!(status.success(), "{status}");
        Ok(())
    }

    fn terminate(&self) -> Result<(), Failed> {
        let pid = Pid::from_raw(self.process.id().try_into()?);
        Ok(kill(pid, Signal::SIGTERM)?)
    }
}

impl Drop for Masked {
    fn drop(&mut self) {
        // Only after a failure is it still there; asked to end, it removes its bridge.
        if matches!(self.process.try_wait(), Ok(None)) && self.terminate().is_ok() {
            let _ = self.process.wait();
        }
    }
}
