//! A bench to start containers on: roots of its own in a temporary folder, one layer made of a static
//! busybox, a cgroup path of its own. What it made is gone when it is dropped, also after a panic.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use drydock_logs::plan::{FilePlan, Format, Plan};
use drydock_runtime::spec::{
    Cgroup, Namespace, Namespaces, NetworkNamespace, Process, Rootfs, SharedMemory, Spec,
};
use drydock_shim::frame::{Decoder, encode};
use drydock_shim::protocol::{
    Answer, Attach, Exec, ExitRecord, Reply, Request, RequestBody, Start,
};
use drydock_shim::spawner::{Roots, Spawner, launch};
use drydock_sys::descriptors;
use libtest_mimic::Failed;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why the tests cannot run here.
pub fn what_is_missing() -> Option<&'static str> {
    if !nix::unistd::geteuid().is_root() {
        return Some("needs root");
    }
    match busybox() {
        None => Some("needs a static busybox"),
        Some(_) => None,
    }
}

/// Debian's busybox-static and busybox packages share a path; only a static one runs in an empty root.
fn busybox() -> Option<PathBuf> {
    let path = PathBuf::from("/bin/busybox");
    let program = std::fs::read(&path).ok()?;
    // A dynamic program names its loader; a static one has no PT_INTERP.
    let dynamic = program
        .windows(12)
        .any(|window| window == b"/ld-linux-x8" || window == b"/ld-linux-aa");
    (!dynamic).then_some(path)
}

/// Where containers are started.
pub struct Bench {
    pub directory: tempfile::TempDir,
    roots: Roots,
    spawner: Spawner,
    cgroup: String,
    next: AtomicU32,
}

impl Bench {
    pub fn new() -> Result<Bench, Failed> {
        let directory = tempfile::tempdir()?;
        let roots = Roots {
            data_root: directory.path().join("data"),
            exec_root: directory.path().join("exec"),
        };
        std::fs::create_dir_all(roots.shims())?;
        let layer = roots.data_root.join("layer");
        std::fs::create_dir_all(layer.join("bin"))?;
        std::fs::create_dir_all(layer.join("etc"))?;
        std::fs::write(
            layer.join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n",
        )?;
        std::fs::write(
            layer.join("etc/group"),
            "root:x:0:\nann:x:1000:\nwheel:x:10:ann\n",
        )?;
        std::fs::copy(
            busybox().ok_or("no static busybox")?,
            layer.join("bin/busybox"),
        )?;
        let applets = [
            "sh", "cat", "id", "ls", "sleep", "mknod", "tty", "stty", "grep", "head", "readlink",
            "mount", "mkdir", "wc", "echo", "kill", "true", "yes", "env", "dd",
        ];
        for applet in applets {
            std::fs::hard_link(layer.join("bin/busybox"), layer.join("bin").join(applet))?;
        }
        let spawner = launch(&roots)?;
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let cgroup = format!(
            "drydock-test-{}-{}",
            std::process::id(),
            SERIAL.fetch_add(1, Ordering::Relaxed)
        );
        Ok(Bench {
            directory,
            roots,
            spawner,
            cgroup,
            next: AtomicU32::new(0),
        })
    }

    /// The image's only layer, to be changed before a start.
    pub fn layer(&self) -> PathBuf {
        self.roots.data_root.join("layer")
    }

    /// A start of `sh -c SCRIPT`, to be changed by the test.
    pub fn script(&self, script: &str) -> Start {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:032x}{:032x}", std::process::id(), number);
        let home = self.home(&id);
        for part in ["upper", "work"] {
            assert!(std::fs::create_dir_all(home.join(part)).is_ok());
        }
        Start {
            spec: self.spec(&id, &home, script),
            open_stdin: false,
            stdin_once: false,
            log: Some(Plan::of_file(FilePlan::plain(
                home.join("json.log"),
                Format::Json,
                0,
                1,
            ))),
            exit_record: home.join("exit.json"),
            durable: true,
            socket: self.roots.shims().join(format!("{id}.sock")),
            attach: Vec::new(),
        }
    }

    pub fn home(&self, id: &str) -> PathBuf {
        self.roots.data_root.join("containers").join(id)
    }

    fn spec(&self, id: &str, home: &Path, script: &str) -> Spec {
        Spec {
            id: id.to_owned(),
            hostname: "bench".to_owned(),
            domainname: String::new(),
            rootfs: Rootfs {
                layers: vec![self.layer()],
                upper: home.join("upper"),
                work: home.join("work"),
                readonly: false,
            },
            namespaces: Namespaces {
                network: NetworkNamespace::Host,
                pid: Namespace::Own,
                ipc: Namespace::Own,
                uts: true,
                cgroup: true,
            },
            mounts: Vec::new(),
            shared_memory: SharedMemory::Own,
            shm_size: 64 << 20,
            masked_paths: vec![
                "/proc/kcore".to_owned(),
                "/proc/acpi".to_owned(),
                "/sys/firmware".to_owned(),
            ],
            readonly_paths: vec!["/proc/sys".to_owned(), "/proc/irq".to_owned()],
            privileged: false,
            devices: Vec::new(),
            sysctls: Vec::new(),
            cgroup: Cgroup {
                path: format!("{}/{id}", self.cgroup),
                ..Default::default()
            },
            init: false,
            process: process(script),
        }
    }

    /// Starts a container. `clients` are as many sockets as `start.attach` has entries.
    pub fn start(&self, start: Start, clients: Vec<OwnedFd>) -> Result<Container, Failed> {
        let (id, home, socket) = (
            start.spec.id.clone(),
            self.home(&start.spec.id),
            start.socket.clone(),
        );
        let mut shim = Shim::new(self.spawner.shim()?)?;
        let answer = shim.ask(RequestBody::Start(Box::new(start)), &clients)?;
        match answer {
            Answer::Started {
                pid, started_at, ..
            } => Ok(Container {
                id,
                home,
                socket,
                pid,
                started_at,
                shim,
            }),
            Answer::Failed(error) => Err(format!("failed to start: {error}").into()),
            other => Err(format!("unexpected answer {other:?}").into()),
        }
    }

    /// Runs a start to its end: exit record, and the log's text.
    pub fn run(&self, start: Start) -> Result<(ExitRecord, String), Failed> {
        self.start(start, Vec::new())?.wait()
    }

    /// The error of a start that must fail, with the proof that nothing of it is left.
    pub fn fail(&self, start: Start) -> Result<String, Failed> {
        let (socket, path) = (start.socket.clone(), start.spec.cgroup.path.clone());
        match self.start(start, Vec::new()) {
            Ok(_) => Err("it started".into()),
            Err(error) => {
                assert!(!socket.exists(), "the socket is left");
                assert_eq!(cgroups_of(&path), Vec::<PathBuf>::new(), "cgroups are left");
                Ok(error.message().unwrap_or_default().to_owned())
            }
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for directory in cgroups_of(&self.cgroup) {
            let children = std::fs::read_dir(&directory)
                .into_iter()
                .flatten()
                .flatten();
            children
                .map(|child| child.path())
                .filter(|path| path.is_dir())
                .for_each(|path| kill_all(&path));
            let _ = std::fs::remove_dir(directory);
        }
    }
}

/// Ends what a failed test has left in a cgroup of its own.
fn kill_all(cgroup: &Path) {
    let processes = std::fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    for pid in processes.lines().filter_map(|line| line.parse().ok()) {
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(pid),
            nix::sys::signal::Signal::SIGKILL,
        );
    }
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end && std::fs::remove_dir(cgroup).is_err() && cgroup.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The directories of a cgroup in all trees of the host.
pub fn cgroups_of(path: &str) -> Vec<PathBuf> {
    let trees = std::fs::read_dir("/sys/fs/cgroup")
        .into_iter()
        .flatten()
        .flatten()
        .map(|tree| tree.path());
    trees
        .chain([PathBuf::from("/sys/fs/cgroup")])
        .map(|tree| tree.join(path))
        .filter(|place| place.is_dir())
        .collect()
}

pub fn process(script: &str) -> Process {
    Process {
        args: ["sh", "-c", script].map(str::to_owned).to_vec(),
        env: vec!["PATH=/bin".to_owned()],
        cwd: String::new(),
        user: String::new(),
        additional_groups: Vec::new(),
        capabilities: 0xa804_25fb,
        ambient: false,
        no_new_privileges: false,
        seccomp: None,
        rlimits: Vec::new(),
        oom_score_adj: None,
        terminal: false,
        console_size: None,
    }
}

/// Everything that a client can want.
pub fn attach_all() -> Attach {
    Attach {
        stdin: true,
        stdout: true,
        stderr: true,
        detach_keys: Vec::new(),
        received: Vec::new(),
    }
}

/// A connection to a shim.
pub struct Shim {
    socket: UnixStream,
    decoder: Decoder,
    number: u64,
}

impl Shim {
    pub fn new(socket: UnixStream) -> Result<Shim, Failed> {
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Shim {
            socket,
            decoder: Decoder::default(),
            number: 0,
        })
    }

    pub fn ask(&mut self, body: RequestBody, clients: &[OwnedFd]) -> Result<Answer, Failed> {
        self.number += 1;
        let bytes = encode(&Request {
            number: self.number,
            body,
        })?;
        let borrowed: Vec<_> = clients.iter().map(AsFd::as_fd).collect();
        let sent = descriptors::send(self.socket.as_fd(), &bytes, &borrowed)?;
        self.socket.write_all(&bytes[sent..])?;
        loop {
            match self.hear()? {
                Reply::Answer { number, body } if number == self.number => return Ok(body),
                _ => {}
            }
        }
    }

    pub fn hear(&mut self) -> Result<Reply, Failed> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(reply) = self.decoder.next()? {
                return Ok(reply);
            }
            match self.socket.read(&mut buffer)? {
                0 => return Err("the shim hung up".into()),
                count => self.decoder.push(&buffer[..count]),
            }
        }
    }
}

/// A container that was started.
pub struct Container {
    pub id: String,
    pub home: PathBuf,
    pub socket: PathBuf,
    pub pid: i32,
    pub started_at: u64,
    pub shim: Shim,
}

impl Container {
    /// Waits for the end: exit record (as said, and as on disk, which must be the same) and the log's text.
    pub fn wait(mut self) -> Result<(ExitRecord, String), Failed> {
        let record = loop {
            if let Reply::Exited(record) = self.shim.hear()? {
                break record;
            }
        };
        let on_disk: ExitRecord =
            serde_json::from_slice(&std::fs::read(self.home.join("exit.json"))?)?;
        assert_eq!(record, on_disk);
        assert!(0 < self.started_at && self.started_at < record.finished_at);
        Ok((record, self.log()?))
    }

    /// The log's text without its envelope.
    pub fn log(&self) -> Result<String, Failed> {
        let bytes = std::fs::read(self.home.join("json.log"))?;
        let mut text = String::new();
        for line in serde_json::Deserializer::from_slice(&bytes).into_iter::<serde_json::Value>() {
            text.push_str(line?["log"].as_str().ok_or("a log record without text")?);
        }
        Ok(text)
    }

    pub fn exec(
        &mut self,
        exec_id: &str,
        process: Process,
        client: Option<OwnedFd>,
    ) -> Result<Answer, Failed> {
        let attach = client.as_ref().map(|_| attach_all());
        let exec = Exec {
            exec_id: exec_id.to_owned(),
            process,
            attach,
            ends_with_client: false,
        };
        self.shim
            .ask(RequestBody::Exec(Box::new(exec)), client.as_slice())
    }

    /// An exec that is of use to its client only.
    pub fn probe(
        &mut self,
        exec_id: &str,
        process: Process,
        client: OwnedFd,
    ) -> Result<Answer, Failed> {
        let exec = Exec {
            exec_id: exec_id.to_owned(),
            process,
            attach: Some(attach_all()),
            ends_with_client: true,
        };
        self.shim.ask(RequestBody::Exec(Box::new(exec)), &[client])
    }
}

/// A new pair of sockets: the test's end, with a time limit, and the one to hand over.
pub fn client() -> Result<(UnixStream, OwnedFd), Failed> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_read_timeout(Some(PATIENCE))?;
    Ok((ours, theirs.into()))
}

/// Takes the frames of stdout and stderr apart.
pub fn demultiplex(bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut stdout, mut stderr, mut rest) = (Vec::new(), Vec::new(), bytes);
    while let Some((header, body)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let (body, after) = body.split_at(length);
        if header[0] == 1 {
            stdout.extend_from_slice(body)
        } else {
            stderr.extend_from_slice(body)
        }
        rest = after;
    }
    (stdout, stderr)
}
