//! What the sandboxed unpacker can still do: looked at from outside while it waits for its archive.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use support::*;

/// A running unpacker: the outer process, and the number of the one in the sandbox.
struct Running {
    outer: Child,
    inner: u32,
    folder: tempfile::TempDir,
}

impl Running {
    fn start() -> Running {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("files");
        fs::create_dir(&target).unwrap();
        fs::write(folder.path().join("sentinel"), "untouched").unwrap();
        let mut outer = Command::new(std::env::current_exe().unwrap())
            .arg("unpack")
            .arg(&target)
            .stdin(Stdio::piped())
            .stdout(fs::File::create(folder.path().join("skeleton")).unwrap())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A first member, whose appearance says that the sandbox is complete.
        let archive = tar(&[file("ready", b"")]);
        outer
            .stdin
            .as_mut()
            .unwrap()
            .write_all(&archive[..1024])
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while !target.join("ready").exists() {
            assert!(Instant::now() < deadline, "the unpacker did not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        let children =
            fs::read_to_string(format!("/proc/{0}/task/{0}/children", outer.id())).unwrap();
        let inner = children.trim().parse().unwrap();
        Running {
            outer,
            inner,
            folder,
        }
    }

    fn proc(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.inner)).unwrap()
    }

    fn status(&self, key: &str) -> String {
        let status = self.proc("status");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {key}")).trim().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.outer.stdin.take());
        let _ = self.outer.wait();
    }
}

fn privileges() {
    let running = Running::start();
    // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, MKNOD, SETFCAP; above all not SYS_ADMIN, SYS_PTRACE, SETUID.
    for set in ["CapEff", "CapPrm", "CapBnd"] {
        assert_eq!(running.status(set), "000000008800001b", "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(running.status(set), "0000000000000000", "{set}");
    }
    assert_eq!(running.status("NoNewPrivs"), "1");
    assert!(
        running
            .proc("limits")
            .lines()
            .any(|line| line.starts_with("Max address space") && line.contains("2147483648"))
    );
}

fn namespaces() {
    let running = Running::start();
    for kind in ["mnt", "pid", "net", "ipc"] {
        let link = |process: &str| fs::read_link(format!("/proc/{process}/ns/{kind}")).unwrap();
        assert_ne!(link(&running.inner.to_string()), link("self"), "{kind}");
    }
}

fn files() {
    let running = Running::start();
    // One mount, in which nothing can be executed or opened as a device.
    let mounts = running.proc("mountinfo");
    assert_eq!(mounts.lines().count(), 1, "{mounts}");
    let options = mounts.split(' ').nth(5).unwrap();
    for option in ["nosuid", "nodev", "noexec"] {
        assert!(
            options.split(',').any(|candidate| candidate == option),
            "{options}"
        );
    }
    // Its root is the target.
    let root = fs::metadata(format!("/proc/{}/root", running.inner)).unwrap();
    let target = fs::metadata(running.folder.path().join("files")).unwrap();
    assert_eq!((root.dev(), root.ino()), (target.dev(), target.ino()));
    assert_eq!(
        names(format!("/proc/{}/root", running.inner).as_ref()),
        ["ready"]
    );
    // And it holds nothing of the host but its three streams and its root.
    let descriptors = fs::read_dir(format!("/proc/{}/fd", running.inner)).unwrap();
    for descriptor in descriptors {
        let descriptor = descriptor.unwrap();
        let link = fs::read_link(descriptor.path()).unwrap();
        let number: u32 = descriptor.file_name().to_string_lossy().parse().unwrap();
        let metadata = fs::metadata(descriptor.path()).unwrap();
        let inside = metadata.dev() == target.dev() && metadata.ino() == target.ino();
        let skeleton = link.ends_with("skeleton");
        assert!(
            number <= 2 || inside || skeleton || link.to_string_lossy() == "/ready",
            "{number} -> {}",
            link.display()
        );
    }
}

fn ends_with_its_parent() {
    let mut running = Running::start();
    let inner = format!("/proc/{}/status", running.inner);
    running.outer.kill().unwrap();
    running.outer.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while fs::read_to_string(&inner).is_ok_and(|status| !status.contains("State:\tZ")) {
        assert!(
            Instant::now() < deadline,
            "the unpacker outlives the one that waits for it"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(
        fs::read_to_string(running.folder.path().join("sentinel")).unwrap(),
        "untouched"
    );
}

fn wrong_use() {
    let output = Command::new(std::env::current_exe().unwrap())
        .arg("unpack")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("usage: "));
}

fn main() -> ExitCode {
    let tests: [(&str, fn()); 5] = [
        ("privileges", privileges),
        ("namespaces", namespaces),
        ("files", files),
        ("ends with its parent", ends_with_its_parent),
        ("wrong use", wrong_use),
    ];
    let trial = |(name, test): (&str, fn())| {
        root_trial(name, move || {
            test();
            Ok(())
        })
    };
    support::main(tests.into_iter().map(trial).collect())
}
