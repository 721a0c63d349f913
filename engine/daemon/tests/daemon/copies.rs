//! Files in and out: the process that does it, what it can reach, and when it ends.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use drydock_image::tree::pack::Packer;
use libtest_mimic::Failed;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::api::{Api, ensure};

/// A container with a large file, and a client that began to fetch it and does not go on reading.
struct Stalled {
    api: Api,
    client: UnixStream,
    /// The copier, and its fork that looks into the container.
    copier: (i32, i32),
}

impl Stalled {
    fn start(running: bool) -> Result<Stalled, Failed> {
        let api = Api::start(&[])?;
        let large =
            "dd if=/dev/zero of=/large bs=1 count=1 seek=1073741823 2>/dev/null; touch /ready";
        let script = format!(
            "{large}; {}",
            if running { "exec sleep 1000" } else { "true" }
        );
        api.run("web", &["sh", "-c", &script], json!({}))?;
        if running {
            api.until("the file is there", |api| {
                let found = api.call("HEAD", "/containers/web/archive?path=/ready", None)?;
                Ok(found.status == 200)
            })?;
        } else {
            api.wait("web")?;
        }
        let mut client = UnixStream::connect(api.socket())?;
        client.write_all(
            b"GET /containers/web/archive?path=/large HTTP/1.1\r\nHost: engine\r\n\r\n",
        )?;
        let mut begin = [0; 100];
        client.read_exact(&mut begin)?;
        ensure!(
            begin.starts_with(b"HTTP/1.1 200 OK\r\n"),
            "{:?}",
            String::from_utf8_lossy(&begin)
        );
        let daemon = api.daemon.pid().unwrap_or_default();
        let copiers = copiers(daemon);
        let [outer] = copiers[..] else {
            return Err(format!("one client, and the copiers {copiers:?}").into());
        };
        let inner = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children"))?;
        let copier = (outer, inner.trim().parse()?);
        Ok(Stalled {
            api,
            client,
            copier,
        })
    }

    /// Waits until both processes are gone.
    fn until_gone(&self) -> Result<(), Failed> {
        let begin = Instant::now();
        let (outer, inner) = self.copier;
        while is_alive(outer) || is_alive(inner) {
            ensure!(
                begin.elapsed() < Duration::from_secs(20),
                "the copier goes on"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// The copiers of a daemon.
fn copiers(daemon: u32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{daemon}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let children = threads
        .map(|thread| fs::read_to_string(thread.path().join("children")).unwrap_or_default())
        .collect::<String>();
    let mut found: Vec<i32> = children
        .split(' ')
        .filter_map(|pid| pid.trim().parse().ok())
        .collect();
    found.retain(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line == b"drydock\0copier\0"
    });
    found
}

fn is_alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/status"))
        .is_ok_and(|status| !status.contains("State:\tZ"))
}

pub fn a_copier_sees_the_container_alone() -> Result<(), Failed> {
    for running in [false, true] {
        let stalled = Stalled::start(running)?;
        let inner = stalled.copier.1;
        let read = |name: &str| fs::read_to_string(format!("/proc/{inner}/{name}"));
        let status = read("status")?;
        let value = |key: &str| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(":\t"));
            line.unwrap_or_default().to_owned()
        };
        // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, MKNOD, SETFCAP; above all not SYS_ADMIN, SYS_PTRACE, SETUID.
        for set in ["CapEff", "CapPrm", "CapBnd"] {
            ensure!(value(set) == "000000008800001b", "{set}: {}", value(set));
        }
        ensure!(value("NoNewPrivs") == "1", "{status}");
        for kind in ["mnt", "pid", "net", "ipc"] {
            let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}"));
            ensure!(
                namespace(&inner.to_string())? != namespace("self")?,
                "{kind}"
            );
        }
        // The container's own files and the engine's three in /etc; nothing that could be used against the host.
        let mounts = read("mountinfo")?;
        let places: BTreeSet<&str> = mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(4))
            .collect();
        let expected = ["/", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];
        ensure!(
            places == BTreeSet::from(expected),
            "running: {running}\n{mounts}"
        );
        for line in mounts.lines() {
            let options: Vec<&str> = line
                .split(' ')
                .nth(5)
                .unwrap_or_default()
                .split(',')
                .collect();
            for option in ["nosuid", "nodev", "noexec"] {
                ensure!(options.contains(&option), "{line}");
            }
        }
        let root = PathBuf::from(format!("/proc/{inner}/root"));
        ensure!(
            root.join("large").exists() && root.join(".dockerenv").exists(),
            "another root"
        );
        ensure!(
            fs::read_dir(root.join("proc"))?.next().is_none(),
            "a /proc is mounted"
        );
        // What a container could reach through its /proc entry is never the file on disk.
        let program = fs::read_link(format!("/proc/{inner}/exe"))?;
        let program = program.to_string_lossy();
        ensure!(program.starts_with("/memfd:drydock"), "{program}");
        // The client goes away, and so does the copier.
        stalled.client.shutdown(std::net::Shutdown::Both)?;
        stalled.until_gone()?;
        stalled.api.delete("web")?;
        stalled.api.finish()?;
    }
    Ok(())
}

pub fn a_copier_ends_with_its_daemon() -> Result<(), Failed> {
    let stalled = Stalled::start(false)?;
    stalled.api.daemon.kill()?;
    stalled.until_gone()?;
    stalled.api.daemon.launch()?;
    let found = stalled
        .api
        .call("GET", "/containers/web/archive?path=/ready", None)?;
    ensure!(found.status == 200, "{}", found.text());
    stalled.api.delete("web")?;
    stalled.api.finish()
}

/// A client must be able to tell that an archive is not whole.
pub fn an_archive_that_breaks_off_has_no_end() -> Result<(), Failed> {
    let mut stalled = Stalled::start(false)?;
    kill(Pid::from_raw(stalled.copier.1), Signal::SIGKILL)?;
    let mut rest = Vec::new();
    // An error is as good: the connection was closed.
    let _ = stalled.client.read_to_end(&mut rest);
    ensure!(
        !rest.ends_with(b"\r\n0\r\n\r\n"),
        "the answer ended as if it were whole"
    );
    ensure!(rest.len() < 1 << 29, "{} bytes came", rest.len());
    stalled.until_gone()?;
    stalled.api.delete("web")?;
    stalled.api.finish()
}

/// An archive of one file.
fn archive_of(name: &str, contents: &str) -> Result<Vec<u8>, Failed> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
    fs::write(&path, contents)?;
    let mut packer = Packer::new(Vec::new());
    packer.contents(fs::File::open(folder.path())?.into())?;
    Ok(packer.finish()?)
}

/// CVE-2018-15664 in a real container: a directory is swapped for a link to a place of the host while files are copied
/// through it, in both directions.
pub fn a_link_swapped_meanwhile_leads_nowhere() -> Result<(), Failed> {
    let sentinel = tempfile::tempdir()?;
    fs::write(sentinel.path().join("file"), "a secret of the host")?;
    let api = Api::start(&[])?;
    let outside = sentinel.path().display();
    let script = format!(
        "touch /ready; while :; do rm -rf /s; ln -s {outside} /s; rm /s; mkdir /s; echo inside >/s/file; done"
    );
    api.run("racer", &["sh", "-c", &script], json!({}))?;
    api.until("the racer races", |api| {
        let found = api.call("HEAD", "/containers/racer/archive?path=/ready", None)?;
        Ok(found.status == 200)
    })?;
    let (into, through) = (archive_of("new", "x")?, archive_of("s/new", "x")?);
    let mut written = 0;
    for _ in 0..40 {
        for (place, archive) in [("/s", &into), ("/", &through)] {
            let path = format!("/containers/racer/archive?path={place}");
            let answer = rig::request(api.socket(), "PUT", &path, Some(archive))?;
            written += u32::from(answer.status == 200);
        }
        for place in ["/s", "/s/file", "/s/"] {
            let path = format!("/containers/racer/archive?path={place}");
            let answer = api.call("GET", &path, None)?;
            let secret = b"a secret of the host";
            let leaked = answer.body.windows(secret.len()).any(|part| part == secret);
            ensure!(!leaked, "a file of the host came out");
        }
    }
    ensure!(
        written > 0,
        "nothing was ever written, so nothing was tried"
    );
    let left: Vec<_> = fs::read_dir(sentinel.path())?
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    ensure!(left == ["file"], "{left:?}");
    ensure!(
        fs::read(sentinel.path().join("file"))? == b"a secret of the host",
        "it was changed"
    );
    api.delete("racer")?;
    api.finish()
}
