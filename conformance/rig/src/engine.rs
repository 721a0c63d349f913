//! The rigs, and an engine that one of them gave.
//!
//! Three rigs are built in. Any other engine with a Docker socket is a rig by configuration: `NAME=unix:///SOCKET`
//! wherever a rig's name is taken, for example `podman=unix:///run/podman/podman.sock`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, bail};

use crate::daemon::{Daemon, DaemonOptions};
use crate::http::{Response, request};
use crate::{binary, docker};

/// Which client talks to which engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rig {
    /// The docker CLI and a real Docker: the reference.
    Docker,
    /// The docker CLI and a Drydock daemon.
    Api,
    /// The drydock CLI and a Drydock daemon.
    Drydock,
    /// The docker CLI and some other engine with a Docker socket.
    Other(Other),
}

/// An engine that is known by its name and socket only.
///
/// The texts live as long as the process: a rig is a small value that is copied into every result, and a process
/// reads a handful of them, from its command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Other {
    /// How reports call it.
    pub name: &'static str,
    /// The path of its unix socket.
    pub socket: &'static str,
}

impl Rig {
    /// The rigs that are built in, the reference first.
    pub const ALL: [Rig; 3] = [Rig::Docker, Rig::Api, Rig::Drydock];

    /// The name that users type.
    pub fn name(self) -> &'static str {
        match self {
            Rig::Docker => "docker",
            Rig::Api => "api",
            Rig::Drydock => "drydock",
            Rig::Other(other) => other.name,
        }
    }

    /// Opens the rig: attaches to the Docker that is here, or starts a Drydock daemon.
    ///
    /// # Errors
    /// [`Unavailable::NotHere`] when this host cannot have the rig; then a test is ignored with that reason.
    /// [`Unavailable::Failed`] when it should have worked; then a test fails.
    pub fn open(self) -> Result<Engine, Unavailable> {
        match self {
            Rig::Docker => {
                let socket = docker::docker_socket().map_err(Unavailable::NotHere)?;
                Engine::of_someone_else(self, socket)
            }
            Rig::Other(other) => {
                let socket = PathBuf::from(other.socket);
                docker::answers(&socket).map_err(Unavailable::NotHere)?;
                Engine::of_someone_else(self, socket)
            }
            Rig::Api | Rig::Drydock => {
                let daemon = Daemon::start(DaemonOptions::default())?;
                Engine::on_daemon(self, Arc::new(daemon))
            }
        }
    }

    /// Why this host cannot have the rig, without starting anything.
    pub fn missing(self) -> Option<String> {
        match self {
            Rig::Docker => docker::docker_socket()
                .err()
                .or_else(|| docker::docker_client().err()),
            Rig::Api => Daemon::missing().or_else(|| docker::docker_client().err()),
            Rig::Drydock => Daemon::missing(),
            Rig::Other(other) => docker::answers(Path::new(other.socket))
                .err()
                .or_else(|| docker::docker_client().err()),
        }
    }
}

impl fmt::Display for Rig {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for Rig {
    type Err = String;

    fn from_str(text: &str) -> Result<Rig, String> {
        let found = Rig::ALL.into_iter().find(|rig| rig.name() == text);
        found.map_or_else(|| other(text), Ok)
    }
}

/// Reads `NAME=unix:///SOCKET`.
fn other(text: &str) -> Result<Rig, String> {
    let Some((name, host)) = text.split_once('=') else {
        return Err(format!(
            "`{text}` is not a rig; there are docker, api and drydock\nhint: another engine is `NAME=unix:///PATH/TO/SOCKET`"
        ));
    };
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if !is_name(name) || Rig::ALL.iter().any(|rig| rig.name() == name) {
        return Err(format!(
            "`{name}` cannot be the name of another engine: lower-case letters, digits and `-`, and none of docker, api and drydock"
        ));
    }
    match host.strip_prefix("unix://") {
        Some(socket) if socket.starts_with('/') => Ok(Rig::Other(Other {
            name: name.to_owned().leak(),
            socket: socket.to_owned().leak(),
        })),
        _ => Err(format!(
            "`{host}` is not the address of an engine: unix:///PATH/TO/SOCKET"
        )),
    }
}

/// Why a rig could not be opened.
#[derive(Debug)]
pub enum Unavailable {
    /// This host lacks something, for example a Docker or root's rights.
    NotHere(String),
    /// Everything was there and it did not work.
    Failed(anyhow::Error),
}

impl fmt::Display for Unavailable {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Unavailable::NotHere(reason) => formatter.write_str(reason),
            Unavailable::Failed(error) => write!(formatter, "{error:#}"),
        }
    }
}

impl std::error::Error for Unavailable {}

impl From<anyhow::Error> for Unavailable {
    fn from(error: anyhow::Error) -> Unavailable {
        Unavailable::Failed(error)
    }
}

/// An engine that answers, and the client for it.
#[derive(Debug)]
pub struct Engine {
    rig: Rig,
    socket: PathBuf,
    /// Holds `docker`, and `drydock` where there is one.
    tools: tempfile::TempDir,
    daemon: Option<Arc<Daemon>>,
}

impl Engine {
    /// An engine that was there before the test and belongs to someone else.
    fn of_someone_else(rig: Rig, socket: PathBuf) -> Result<Engine, Unavailable> {
        let client = docker::docker_client().map_err(Unavailable::NotHere)?;
        let engine = Engine {
            rig,
            socket,
            tools: tools(&[("docker", &client)])?,
            daemon: None,
        };
        if !engine.has_image("busybox:latest")? {
            // The engine's own client makes the image; it works on every engine that can import one.
            binary::bootstrap_busybox(&binary::drydock_binary()?, engine.socket())?;
        }
        Ok(engine)
    }

    /// One of the two Drydock rigs on a daemon that runs already. Both may share it.
    ///
    /// # Errors
    /// As [`Rig::open`].
    pub fn on_daemon(rig: Rig, daemon: Arc<Daemon>) -> Result<Engine, Unavailable> {
        let drydock = daemon.program()?;
        let client = match rig {
            Rig::Docker | Rig::Other(_) => {
                return Err(anyhow::anyhow!("the {rig} rig is no Drydock daemon").into());
            }
            Rig::Api => docker::docker_client().map_err(Unavailable::NotHere)?,
            Rig::Drydock => drydock.clone(),
        };
        let tools = tools(&[("docker", &client), ("drydock", &drydock)])?;
        Ok(Engine {
            rig,
            socket: daemon.socket().to_owned(),
            tools,
            daemon: Some(daemon),
        })
    }

    /// The rig that gave this engine.
    pub fn rig(&self) -> Rig {
        self.rig
    }

    /// The engine's unix socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The socket as `DOCKER_HOST` wants it: `unix:///…`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// A directory to put first on `PATH`: `docker` in it is this rig's client.
    pub fn tools(&self) -> &Path {
        self.tools.path()
    }

    /// The variables that lead the client to the engine. `ENGINE_SOCKET` is for `curl --unix-socket`.
    pub fn variables(&self) -> Vec<(String, String)> {
        self.variables_by(&self.socket)
    }

    /// The same by way of another socket that leads to the engine.
    pub fn variables_by(&self, socket: &Path) -> Vec<(String, String)> {
        let host = format!("unix://{}", socket.display());
        // Not DRYDOCK_HOST as well: it goes first, and a scenario that sets DOCKER_HOST means what it says.
        vec![
            ("DOCKER_HOST".to_owned(), host),
            ("ENGINE_SOCKET".to_owned(), socket.display().to_string()),
        ]
    }

    /// The rig's client, ready for its arguments.
    pub fn client(&self) -> Command {
        let mut command = Command::new(self.tools().join("docker"));
        command
            .envs(self.variables())
            .env("HOME", self.tools())
            .env("TZ", "UTC")
            .env("LC_ALL", "C.UTF-8");
        command
    }

    /// The daemon, where it is one of ours.
    pub fn daemon(&self) -> Option<&Arc<Daemon>> {
        self.daemon.as_ref()
    }

    /// One request to the Engine API, for example `GET`, `/containers/json?all=1`.
    ///
    /// # Errors
    /// When the engine does not answer. A status of 400 or more is an answer.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
    ) -> anyhow::Result<Response> {
        request(&self.socket, method, path, body)
    }

    /// The names (without the slash) and ids of all containers.
    ///
    /// # Errors
    /// When the engine does not list them.
    pub fn containers(&self) -> anyhow::Result<Vec<(String, Vec<String>)>> {
        let response = self
            .request("GET", "/containers/json?all=1", None)?
            .success()?;
        let list = response.json()?;
        let entries = list
            .as_array()
            .context("the list of containers is no list")?;
        let names = |entry: &serde_json::Value| -> Vec<String> {
            let names = entry["Names"].as_array().cloned().unwrap_or_default();
            names
                .iter()
                .filter_map(|name| Some(name.as_str()?.trim_start_matches('/').to_owned()))
                .collect()
        };
        Ok(entries
            .iter()
            .map(|entry| {
                (
                    entry["Id"].as_str().unwrap_or_default().to_owned(),
                    names(entry),
                )
            })
            .collect())
    }

    /// The names (`repository:tag`) of all images.
    ///
    /// # Errors
    /// When the engine does not list them.
    pub fn image_names(&self) -> anyhow::Result<Vec<String>> {
        let response = self.request("GET", "/images/json", None)?.success()?;
        let list = response.json()?;
        let entries = list.as_array().context("the list of images is no list")?;
        let tags = entries
            .iter()
            .flat_map(|entry| entry["RepoTags"].as_array().cloned().unwrap_or_default());
        Ok(tags
            .filter_map(|tag| Some(tag.as_str()?.to_owned()))
            .collect())
    }

    /// Whether an image is there.
    ///
    /// # Errors
    /// When the engine does not answer with 200 or 404.
    pub fn has_image(&self, name: &str) -> anyhow::Result<bool> {
        let response = self.request("GET", &format!("/images/{name}/json"), None)?;
        match response.status {
            200 => Ok(true),
            404 => Ok(false),
            status => bail!(
                "inspecting the image {name} gave status {status}: {}",
                response.text()
            ),
        }
    }
}

/// A directory with a symbolic link for each tool.
fn tools(links: &[(&str, &Path)]) -> anyhow::Result<tempfile::TempDir> {
    let directory = tempfile::Builder::new().prefix("rig-tools-").tempdir()?;
    for (name, target) in links {
        std::os::unix::fs::symlink(target, directory.path().join(name))
            .with_context(|| format!("linking {name}"))?;
    }
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for rig in Rig::ALL {
            assert_eq!(rig.name().parse(), Ok(rig));
        }
        assert!("podman".parse::<Rig>().is_err());
    }

    #[test]
    fn another_engine_is_a_name_and_a_socket() {
        let rig: Rig = "podman=unix:///run/p.sock".parse().unwrap();
        assert_eq!(rig.name(), "podman");
        assert_eq!(
            rig,
            Rig::Other(Other {
                name: "podman",
                socket: "/run/p.sock"
            })
        );
        for wrong in [
            "podman=",
            "podman=tcp://x",
            "podman=unix://relative",
            "docker=unix:///x",
            "Pod man=unix:///x",
            "=unix:///x",
        ] {
            assert!(wrong.parse::<Rig>().is_err(), "{wrong}");
        }
        let missing = "nobody=unix:///nonexistent/socket"
            .parse::<Rig>()
            .unwrap()
            .missing();
        assert!(missing.is_some_and(|reason| reason.contains("/nonexistent/socket")));
    }

    #[test]
    fn tools_are_links() {
        let directory = tools(&[("docker", Path::new("/bin/true"))]).unwrap();
        assert!(
            Command::new(directory.path().join("docker"))
                .status()
                .unwrap()
                .success()
        );
    }
}
