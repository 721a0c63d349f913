//! The drydock binary that is tested.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, bail};

/// The drydock binary: `$DRYDOCK_BINARY`, else it is built, once for the process.
///
/// # Errors
/// When the variable names no file, or when the build fails.
pub fn drydock_binary() -> anyhow::Result<PathBuf> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = BINARY.get_or_init(|| find().map_err(|error| format!("{error:#}")));
    found.clone().map_err(anyhow::Error::msg)
}

fn find() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("DRYDOCK_BINARY").filter(|value| !value.is_empty()) {
        let path = PathBuf::from(path);
        return path
            .canonicalize()
            .with_context(|| format!("DRYDOCK_BINARY is {}", path.display()));
    }
    build(&[])
}

/// A drydock with deliberate defects, of which a process has the one that its environment names. It is built into a
/// directory of its own, so that it is never mistaken for the engine.
///
/// # Errors
/// When the build fails.
pub fn drydock_with_defects() -> anyhow::Result<PathBuf> {
    const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/planted-defects");
    build(&["--features", "planted-defects", "--target-dir", DIRECTORY])
}

fn build(options: &[&str]) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Built as the caller was: a measurement is a release build and must not measure a debug engine.
    let profile: &[&str] = if cfg!(debug_assertions) {
        &[]
    } else {
        &["--release"]
    };
    let output = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--package",
            "drydock",
            "--message-format",
            "json-render-diagnostics",
        ])
        .args(profile)
        .args(options)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .context("starting cargo to build drydock")?;
    if !output.status.success() {
        bail!("cargo could not build drydock ({})", output.status);
    }
    let executable = output.stdout.split(|byte| *byte == b'\n').find_map(|line| {
        let message: serde_json::Value = serde_json::from_slice(line).ok()?;
        let executable = message["executable"].as_str()?;
        (message["target"]["name"] == "drydock").then(|| PathBuf::from(executable))
    });
    executable.context("cargo built drydock and did not say where")
}

/// Makes busybox:latest on the engine at `socket`, with the `image bootstrap` of this drydock.
///
/// # Errors
/// When the client says so; its words are in the error.
pub fn bootstrap_busybox(drydock: &Path, socket: &Path) -> anyhow::Result<()> {
    let host = format!("unix://{}", socket.display());
    let output = Command::new(drydock)
        .args(["image", "bootstrap", "busybox"])
        .env("DRYDOCK_HOST", &host)
        .stdin(Stdio::null())
        .output()
        .context("starting drydock image bootstrap")?;
    if !output.status.success() {
        bail!(
            "`drydock image bootstrap busybox` on {host} failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
