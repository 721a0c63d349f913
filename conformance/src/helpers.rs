//! What scenarios find beside the engine: a command that waits, a registry, a receiver of logs, plugins of the docker
//! client.
//!
//! A scenario says what it needs (`<!-- transcript: needs=registry -->`) and is skipped, with that as the reason,
//! on a host that has not got it. The registry is the reference implementation of the distribution API (Debian's
//! package `docker-registry`), so a `push` is judged by a registry that nobody here wrote. It listens on loopback,
//! which engines accept without TLS, and its storage goes with it.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::collector::Collector;

/// `wait-until VALUE COMMAND…`: scenarios wait for a state with it and never for a time to pass.
const WAIT_UNTIL: &str = r#"#!/bin/bash
# wait-until VALUE COMMAND...: runs the command until its output is VALUE, at most $WAIT_UNTIL_SECONDS.
value=$1; shift
deadline=$((SECONDS + WAIT_UNTIL_SECONDS))
while true; do
    output=$("$@" 2>&1)
    [ "$output" = "$value" ] && exit 0
    if [ $SECONDS -ge $deadline ]; then
        echo "wait-until: still \`$output\`, not \`$value\`, after $WAIT_UNTIL_SECONDS seconds" >&2
        exit 1
    fi
    sleep 0.02
done
"#;

/// The directory with plugins of the docker client (`docker-compose`, `docker-buildx`), where they lie outside the
/// client's own directories.
const PLUGINS_VARIABLE: &str = "CONFORMANCE_CLI_PLUGINS";

/// Where the client looks by itself.
const USUAL_PLUGINS: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

/// What `needs=` may name.
pub const NAMES: [&str; 3] = ["registry", "compose", "buildx"];

/// The helpers of one workshop. Dropping them ends the registry and the receiver.
#[derive(Debug)]
pub struct Helpers {
    directory: tempfile::TempDir,
    collector: Collector,
    registry: Option<Registry>,
    plugins: Vec<PathBuf>,
}

impl Helpers {
    /// Finds and starts what this host has.
    ///
    /// # Errors
    /// When a helper that is installed does not start.
    pub fn start() -> anyhow::Result<Helpers> {
        let directory = tempfile::Builder::new()
            .prefix("conformance-")
            .tempdir()
            .context("making a directory for helpers")?;
        let wait_until = directory.path().join("wait-until");
        std::fs::write(&wait_until, WAIT_UNTIL).context("writing wait-until")?;
        make_executable(&wait_until).context("writing wait-until")?;
        let registry = match installed("docker-registry") {
            Some(program) => Some(Registry::start(&program, directory.path())?),
            None => None,
        };
        let collector =
            Collector::start(directory.path()).context("starting the receiver of logs")?;
        Ok(Helpers {
            directory,
            collector,
            registry,
            plugins: plugins(),
        })
    }

    /// The names of those that are here, as `needs=` knows them.
    pub fn names(&self) -> Vec<String> {
        let registry = self.registry.iter().map(|_| "registry".to_owned());
        let plugins = self.plugins.iter().filter_map(|path| {
            let name = path.file_name()?.to_str()?.strip_prefix("docker-")?;
            Some(name.to_owned())
        });
        registry.chain(plugins).collect()
    }

    /// A directory to put on `PATH`.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// `REGISTRY`, the address of the registry: `127.0.0.1:PORT`; `LOGS_UDP` and `LOGS_TCP`, those of a receiver of
    /// logs, and `LOGS`, the file with what it got.
    pub fn variables(&self) -> Vec<(String, String)> {
        let address = |registry: &Registry| {
            (
                "REGISTRY".to_owned(),
                format!("{}:{}", Ipv4Addr::LOCALHOST, registry.port),
            )
        };
        let mut variables = self.collector.variables();
        variables.extend(self.registry.iter().map(address));
        variables
    }

    /// Gives the plugins to the docker client whose home this is.
    ///
    /// # Errors
    /// When the links cannot be made.
    pub fn furnish(&self, home: &Path) -> anyhow::Result<()> {
        let directory = home.join(".docker/cli-plugins");
        std::fs::create_dir_all(&directory).context("making the plugin directory")?;
        for plugin in &self.plugins {
            let link = directory.join(plugin.file_name().unwrap_or_default());
            std::os::unix::fs::symlink(plugin, link).context("linking a plugin")?;
        }
        Ok(())
    }
}

/// A registry on loopback.
#[derive(Debug)]
struct Registry {
    process: Child,
    port: u16,
}

impl Registry {
    fn start(program: &Path, directory: &Path) -> anyhow::Result<Registry> {
        // The registry cannot tell which port it got, so it is given one that was free a moment ago. Where
        // somebody else took it in between, the registry ends and another port is tried.
        for _ in 0..5 {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
                .local_addr()?
                .port();
            let configuration = directory.join("registry.yml");
            write_configuration(&configuration, directory, port)?;
            let process = Command::new(program)
                .arg("serve")
                .arg(&configuration)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .with_context(|| format!("starting {}", program.display()))?;
            let mut registry = Registry { process, port };
            if registry.answers()? {
                return Ok(registry);
            }
        }
        bail!("{} does not start", program.display())
    }

    /// Waits until it listens; false when it ended.
    fn answers(&mut self) -> anyhow::Result<bool> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if self.process.try_wait()?.is_some() {
                return Ok(false);
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return Ok(true);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the registry on port {} does not answer", self.port)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn write_configuration(path: &Path, directory: &Path, port: u16) -> anyhow::Result<()> {
    let storage = directory.join("registry");
    let mut file = std::fs::File::create(path).context("writing the registry's configuration")?;
    write!(
        file,
        "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\nhttp: {{addr: 127.0.0.1:{port}}}\n",
        storage.display()
    )
    .context("writing the registry's configuration")
}

/// A program of this name in one of the directories of `PATH`.
fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

/// The plugins that scenarios may need, each once.
fn plugins() -> Vec<PathBuf> {
    let named = std::env::var_os(PLUGINS_VARIABLE).map(PathBuf::from);
    let directories: Vec<PathBuf> = named
        .into_iter()
        .chain(USUAL_PLUGINS.map(PathBuf::from))
        .collect();
    let find = |name: &str| {
        directories
            .iter()
            .map(|directory| directory.join(name))
            .find(|candidate| candidate.is_file())
    };
    ["docker-compose", "docker-buildx"]
        .iter()
        .filter_map(|name| find(name))
        .collect()
}

fn make_executable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_pages_may_use() {
        let helpers = Helpers::start().unwrap();
        let names = helpers.names();
        assert!(names.iter().all(|name| NAMES.contains(&name.as_str())));
        assert_eq!(
            names.contains(&"registry".to_owned()),
            !helpers.variables().is_empty()
        );
    }

    #[test]
    fn the_registry_goes_with_its_helpers() {
        let helpers = Helpers::start().unwrap();
        let Some(port) = helpers.registry.as_ref().map(|registry| registry.port) else {
            return;
        };
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        drop(helpers);
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    }
}
