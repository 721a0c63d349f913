//! Runtimes without an engine (crun, runc), and the floor: the program without any container.

use anyhow::Result;

use super::{Engine, FLOOR, MARKER, command, crun_namespace, environment, output};
use crate::bundle;
use crate::engines::imported::program;
use crate::launch::MountNamespace;
use crate::workshop::Workshop;

/// `crun run` or `runc run` of a bundle with Docker's configuration.
pub fn runtime(name: &'static str, workshop: &Workshop) -> Result<Engine> {
    let program = program(name)?;
    let bundle = |folder: &str, arguments: &[&str]| -> Result<Vec<String>> {
        let bundle = bundle::write(
            workshop.path(),
            &format!("{name}-{folder}"),
            &workshop.rootfs,
            arguments,
        )?;
        Ok(command(
            &program,
            &["run", "--bundle", &bundle.to_string_lossy(), "{id}"],
        ))
    };
    let environment = environment(&[]);
    let version = output(&command(&program, &["--version"]), &environment)?;
    Ok(Engine {
        name,
        what: "the runtime alone: no engine, no image, an empty network namespace",
        version: version.lines().next().unwrap_or_default().to_owned(),
        command: bundle("measured", &["true"])?,
        mount_namespace: if name == "crun" {
            crun_namespace()
        } else {
            MountNamespace::Host
        },
        proof: bundle("proof", &["echo", MARKER])?,
        environment,
        undo: Vec::new(),
        _keep: None,
    })
}

/// The same static busybox, started on the host with vfork + exec + wait. Nothing can start a program in
/// less time than this, so it is the unit that machines can be compared in.
pub fn floor(workshop: &Workshop) -> Engine {
    let busybox = vec![workshop.busybox.to_string_lossy().into_owned()];
    Engine {
        name: FLOOR,
        what: "the floor: vfork + exec + wait of the same busybox, no container",
        version: "static busybox of this host".to_owned(),
        command: command(&busybox, &["true"]),
        mount_namespace: MountNamespace::Host,
        proof: command(&busybox, &["echo", MARKER]),
        environment: environment(&[]),
        undo: Vec::new(),
        _keep: None,
    }
}
