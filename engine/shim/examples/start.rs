//! The smallest user of the spawner: starts containers without a daemon and says how long each step took.
//!
//! `start ROOTFS ROUNDS [COMMAND…]` runs COMMAND (`/bin/true`) ROUNDS times in a container whose only layer
//! is ROOTFS, with an empty network namespace made anew each time, and prints the medians. It measures the
//! part of `drydock run` below the daemon. Needs root.

use std::error::Error;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use drydock_runtime::spec::{
    Cgroup, Namespace, Namespaces, NetworkNamespace, Process, Rootfs, SharedMemory, Spec,
};
use drydock_shim::frame::{Decoder, encode};
use drydock_shim::protocol::{Answer, Reply, Request, RequestBody, Start};
use drydock_shim::spawner::{Roots, launch};
use drydock_sys::{clock, descriptors};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|word| word == "spawner") {
        drydock_shim::spawner_main();
        return Ok(());
    }
    let (Some(layer), Some(rounds)) = (arguments.get(1), arguments.get(2)) else {
        return Err("usage: start ROOTFS ROUNDS [COMMAND…]".into());
    };
    let command = match &arguments[3..] {
        [] => vec!["/bin/true".to_owned()],
        given => given.to_vec(),
    };
    let directory = tempfile::tempdir()?;
    let roots = Roots {
        data_root: directory.path().join("data"),
        exec_root: directory.path().join("exec"),
    };
    std::fs::create_dir_all(&roots.data_root)?;
    std::fs::create_dir_all(roots.shims())?;
    let image = roots.data_root.join("layer");
    assert!(
        std::process::Command::new("cp")
            .arg("-a")
            .arg(layer)
            .arg(&image)
            .status()?
            .success()
    );
    let spawner = launch(&roots)?;
    let mut table: Vec<Vec<(String, f64)>> = Vec::new();
    for round in 0..rounds.parse::<u32>()? {
        let id = format!(
            "{:064x}",
            u64::from(std::process::id()) << 32 | u64::from(round)
        );
        let home = roots.data_root.join(&id);
        for part in ["upper", "work"] {
            std::fs::create_dir_all(home.join(part))?;
        }
        let start = Start {
            spec: spec(&id, &image, &home, &command),
            open_stdin: false,
            stdin_once: false,
            log: None,
            exit_record: home.join("exit.json"),
            durable: false,
            socket: roots.shims().join(format!("{id}.sock")),
            attach: Vec::new(),
        };
        table.push(one(&spawner, start)?);
        std::fs::remove_dir_all(home)?;
    }
    print(&table);
    Ok(())
}

/// One start, to the reply that it has ended.
fn one(
    spawner: &drydock_shim::spawner::Spawner,
    start: Start,
) -> Result<Vec<(String, f64)>, Box<dyn Error>> {
    let begin = clock::monotonic();
    let since = |at: u64| at.saturating_sub(begin) as f64 / 1e6;
    let network = network_namespace()?;
    let mut steps = vec![(
        "caller: network namespace made".to_owned(),
        since(clock::monotonic()),
    )];
    let mut shim = spawner.shim()?;
    let bytes = encode(&Request {
        number: 1,
        body: RequestBody::Start(Box::new(start)),
    })?;
    let sent = descriptors::send(shim.as_fd(), &bytes, &[network.as_fd()])?;
    shim.write_all(&bytes[sent..])?;
    let mut decoder = Decoder::default();
    loop {
        match next(&mut shim, &mut decoder)? {
            Reply::Answer {
                body: Answer::Started { trace, .. },
                ..
            } => {
                steps.extend(trace.into_iter().map(|stamp| (stamp.step, since(stamp.at))));
                steps.push((
                    "caller: heard that it runs".to_owned(),
                    since(clock::monotonic()),
                ));
            }
            Reply::Exited(record) => {
                steps.push((
                    "caller: heard that it ended".to_owned(),
                    since(clock::monotonic()),
                ));
                if record.exit_code != 0 {
                    return Err(format!("exit code {}", record.exit_code).into());
                }
                return Ok(steps);
            }
            other => return Err(format!("unexpected reply {other:?}").into()),
        }
    }
}

fn next(shim: &mut UnixStream, decoder: &mut Decoder) -> Result<Reply, Box<dyn Error>> {
    let mut buffer = [0; 4096];
    loop {
        if let Some(reply) = decoder.next()? {
            return Ok(reply);
        }
        match shim.read(&mut buffer)? {
            0 => return Err("the shim hung up".into()),
            count => decoder.push(&buffer[..count]),
        }
    }
}

/// A new network namespace, by way of this thread.
fn network_namespace() -> Result<std::fs::File, Box<dyn Error>> {
    use nix::sched::{CloneFlags, setns, unshare};
    let ours = std::fs::File::open("/proc/thread-self/ns/net")?;
    unshare(CloneFlags::CLONE_NEWNET)?;
    let new = std::fs::File::open("/proc/thread-self/ns/net")?;
    let borrowed: BorrowedFd<'_> = ours.as_fd();
    setns(borrowed, CloneFlags::CLONE_NEWNET)?;
    Ok(new)
}

fn spec(id: &str, layer: &std::path::Path, home: &std::path::Path, command: &[String]) -> Spec {
    let text = |texts: &[&str]| {
        texts
            .iter()
            .map(|text| (*text).to_owned())
            .collect::<Vec<String>>()
    };
    Spec {
        id: id.to_owned(),
        hostname: "example".to_owned(),
        domainname: String::new(),
        rootfs: Rootfs {
            layers: vec![PathBuf::from(layer)],
            upper: home.join("upper"),
            work: home.join("work"),
            readonly: false,
        },
        namespaces: Namespaces {
            network: NetworkNamespace::Descriptor,
            pid: Namespace::Own,
            ipc: Namespace::Own,
            uts: true,
            cgroup: true,
        },
        mounts: Vec::new(),
        shared_memory: SharedMemory::Own,
        shm_size: 64 << 20,
        masked_paths: text(&[
            "/proc/acpi",
            "/proc/kcore",
            "/proc/keys",
            "/proc/timer_list",
            "/sys/firmware",
        ]),
        readonly_paths: text(&[
            "/proc/bus",
            "/proc/fs",
            "/proc/irq",
            "/proc/sys",
            "/proc/sysrq-trigger",
        ]),
        privileged: false,
        devices: Vec::new(),
        sysctls: Vec::new(),
        cgroup: Cgroup {
            path: format!("drydock-example/{id}"),
            ..Default::default()
        },
        init: false,
        process: Process {
            args: command.to_vec(),
            env: text(&["PATH=/bin:/usr/bin"]),
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
        },
    }
}

/// The median of each step, and how long after the step before.
fn print(table: &[Vec<(String, f64)>]) {
    let Some(first) = table.first() else { return };
    let mut before = 0.0;
    for (index, (step, _)) in first.iter().enumerate() {
        let mut times: Vec<f64> = table
            .iter()
            .filter_map(|row| row.get(index))
            .map(|(_, at)| *at)
            .collect();
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        println!("{median:8.3} ms  {:+8.3}  {step}", median - before);
        before = median;
    }
}
