//! The same archive in Docker and here: the same id, layers and size.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::{Command, ExitCode};

use libtest_mimic::Trial;
use support::*;

/// Runs the Docker client against the daemon that the conformance suite uses; None if there is none.
fn docker(arguments: &[&str]) -> Option<Vec<u8>> {
    let mut command = Command::new("docker");
    if let Some(host) = std::env::var_os("CONFORMANCE_DOCKER_HOST") {
        command.env("DOCKER_HOST", host);
    }
    let output = command.args(arguments).output().ok()?;
    output.status.success().then_some(output.stdout)
}

fn same_image() {
    let described = docker(&["image", "inspect", "busybox:latest"]).unwrap();
    let described: serde_json::Value = serde_json::from_slice(&described).unwrap();
    let described = &described[0];
    let archive = docker(&["save", "busybox:latest"]).unwrap();
    for (place, unpacker) in unpackers() {
        let world = World::new(unpacker);
        assert_eq!(
            world.load_messages(&archive).unwrap(),
            ["Loaded image: busybox:latest"],
            "{place}"
        );
        world.check();
        let image = world.store().resolve("busybox").unwrap();
        assert_eq!(image.id.to_string(), described["Id"], "{place}");
        assert_eq!(image.size, described["Size"], "{place}");
        assert_eq!(image.created.as_deref(), described["Created"].as_str());
        assert_eq!(image.comment, described["Comment"]);
        assert_eq!(
            serde_json::to_value(&image.diff_ids).unwrap(),
            described["RootFS"]["Layers"],
            "{place}"
        );
    }
}

fn main() -> ExitCode {
    let possible = is_root() && docker(&["image", "inspect", "busybox:latest"]).is_some();
    let trial = Trial::test("busybox is the same image", || {
        same_image();
        Ok(())
    });
    let trial = trial
        .with_kind("needs root and a Docker with busybox:latest")
        .with_ignored_flag(!possible);
    support::main(vec![trial])
}
