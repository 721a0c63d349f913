//! Engines that import the image and then run it: Docker and Podman, and what they share with Drydock.

use anyhow::{Context, Result, ensure};

use super::{Engine, MARKER, command, crun_namespace, environment, output};
use crate::launch::MountNamespace;
use crate::workshop::{Workshop, find_program};

/// Asks an engine with Docker's API for what matters to its times.
const DOCKER_INFO: &str = "{{.ServerVersion}}, storage {{.Driver}}, runtime {{.DefaultRuntime}}, cgroup v{{.CgroupVersion}}";

/// Docker with its own client, on `CONFORMANCE_DOCKER_HOST`, `DOCKER_HOST` or the usual socket.
pub fn docker(workshop: &Workshop) -> Result<Engine> {
    let host = ["CONFORMANCE_DOCKER_HOST", "DOCKER_HOST"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned());
    let client = program("docker")?;
    let environment = environment(&[("DOCKER_HOST", &host)]);
    // Anything may listen there, also an engine that imitates Docker: the table must not call it Docker.
    let listening = output(
        &command(&client, &["version", "--format", "{{json .Server}}"]),
        &environment,
    )
    .with_context(|| format!("no Docker on {host}"))?;
    ensure!(
        !listening.contains("Podman") && !listening.contains("Drydock"),
        "the engine on {host} is not Docker"
    );
    let client_version = output(
        &command(&client, &["version", "--format", "{{.Client.Version}}"]),
        &environment,
    )?;
    let info = output(
        &command(&client, &["info", "--format", DOCKER_INFO]),
        &environment,
    )?;
    import(Imported {
        name: super::DOCKER,
        what: "docker run --rm on the default bridge network",
        version: format!("dockerd {info}, client {client_version}"),
        client,
        environment,
        options: &[],
        repository: "busybox",
        mount_namespace: MountNamespace::Host,
        keep: None,
        workshop,
    })
}

/// Podman on its default network.
pub fn podman(workshop: &Workshop) -> Result<Engine> {
    let client = program("podman")?;
    let environment = environment(&[]);
    let version = output(&command(&client, &["--version"]), &environment)?;
    const INFO: &str = "storage {{.Store.GraphDriverName}}, runtime {{.Host.OCIRuntime.Name}}, network {{.Host.NetworkBackend}}";
    let info = output(&command(&client, &["info", "--format", INFO]), &environment)?;
    import(Imported {
        name: "podman",
        what: "podman run --rm on the default bridge network",
        version: format!("{version}, {info}"),
        client,
        environment,
        // Podman raises two limits by itself, which fails where root lacks CAP_SYS_RESOURCE, as in many
        // sandboxes. Docker leaves them alone. Low values can always be set, and cost no time.
        options: &[
            "--ulimit",
            "nofile=1024:1024",
            "--ulimit",
            "nproc=1024:1024",
        ],
        // Without "localhost/" podman would ask a registry whether it has a newer one.
        repository: "localhost/busybox",
        mount_namespace: crun_namespace(),
        keep: None,
        workshop,
    })
}

/// What differs between engines that import the image.
pub struct Imported<'a> {
    pub name: &'static str,
    pub what: &'static str,
    pub version: String,
    /// The client and the arguments that always stand first.
    pub client: Vec<String>,
    pub environment: Vec<(String, String)>,
    /// Options of `run` beside `--rm`.
    pub options: &'a [&'a str],
    /// The image's name in this engine's words, without the tag.
    pub repository: &'a str,
    pub mount_namespace: MountNamespace,
    /// What must live as long as the engine, as a daemon of its own.
    pub keep: Option<Box<dyn std::any::Any>>,
    pub workshop: &'a Workshop,
}

/// Imports the image and makes the engine, which removes the image at its end.
pub fn import(from: Imported) -> Result<Engine> {
    let archive = from.workshop.archive.to_string_lossy().into_owned();
    // The tag tells it from a busybox that the user already has there.
    let image = format!("{}:bench-{}", from.repository, from.name);
    let import = command(&from.client, &["import", &archive, &image]);
    output(&import, &from.environment)?;
    let run = |words: &[&str]| {
        let run = command(&from.client, &["run", "--rm"]);
        command(&command(&command(&run, from.options), &[&image]), words)
    };
    Ok(Engine {
        name: from.name,
        what: from.what,
        version: from.version,
        command: run(&["true"]),
        mount_namespace: from.mount_namespace,
        proof: run(&["echo", MARKER]),
        undo: vec![command(&from.client, &["rmi", &image])],
        environment: from.environment,
        _keep: from.keep,
    })
}

/// How to call `name`: the command line in `DRYDOCK_BENCH_<NAME>` if set (a wrapper that enters another root,
/// for example), else its absolute path. Words of the command line are separated by spaces.
pub fn program(name: &str) -> Result<Vec<String>> {
    let variable = format!("DRYDOCK_BENCH_{}", name.to_uppercase());
    if let Ok(line) = std::env::var(&variable) {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        ensure!(!words.is_empty(), "{variable} is empty");
        return Ok(words);
    }
    let path = find_program(name).with_context(|| format!("no {name} on PATH"))?;
    Ok(vec![path.to_string_lossy().into_owned()])
}
