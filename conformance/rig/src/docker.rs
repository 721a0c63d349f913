//! Finding a Docker and its client on this host.

use std::path::PathBuf;

use crate::http::request;

/// The variable that names a Docker to test against, as `DOCKER_HOST` would: `unix:///…`.
const VARIABLE: &str = "CONFORMANCE_DOCKER_HOST";

/// Where Docker listens when nothing else is said.
const USUAL_SOCKET: &str = "/var/run/docker.sock";

/// The socket of a Docker that answers.
///
/// # Errors
/// A sentence that begins with `no Docker here` and says where it was looked for.
pub fn docker_socket() -> Result<PathBuf, String> {
    let named = std::env::var(VARIABLE)
        .ok()
        .filter(|value| !value.is_empty());
    let socket = match &named {
        Some(host) => match host.strip_prefix("unix://") {
            Some(path) => PathBuf::from(path),
            None => {
                return Err(format!(
                    "no Docker here: {VARIABLE} is {host}, and only unix:// is supported"
                ));
            }
        },
        None => PathBuf::from(USUAL_SOCKET),
    };
    let place = match &named {
        Some(host) => format!("{VARIABLE} is {host}"),
        None => format!("{VARIABLE} is not set, and {USUAL_SOCKET} was tried"),
    };
    match request(&socket, "GET", "/version", None) {
        Ok(response) if response.status == 200 && response.text().contains("drydock") => Err(
            format!("no Docker here: a drydock daemon answers ({place})"),
        ),
        Ok(response) if response.status == 200 => Ok(socket),
        Ok(response) => Err(format!(
            "no Docker here: status {} ({place})",
            response.status
        )),
        Err(error) => Err(format!("no Docker here: {} ({place})", error.root_cause())),
    }
}

/// Whether an engine answers at `socket`.
///
/// # Errors
/// A sentence that names the socket and says what happened there.
pub fn answers(socket: &std::path::Path) -> Result<(), String> {
    match request(socket, "GET", "/version", None) {
        Ok(response) if response.status == 200 => Ok(()),
        Ok(response) => Err(format!(
            "no engine here: status {} at {}",
            response.status,
            socket.display()
        )),
        Err(error) => Err(format!(
            "no engine here: {} at {}",
            error.root_cause(),
            socket.display()
        )),
    }
}

/// The stock `docker` client, the first on `PATH`.
///
/// # Errors
/// A sentence that says that there is none.
pub fn docker_client() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&path).map(|directory| directory.join("docker"));
    candidates
        .find(|candidate| is_docker(candidate))
        .ok_or_else(|| "no docker client here: none on PATH".to_owned())
}

/// A file, and not a link to our own client.
fn is_docker(candidate: &std::path::Path) -> bool {
    let Ok(target) = candidate.canonicalize() else {
        return false;
    };
    target.is_file() && target.file_name().is_none_or(|name| name != "drydock")
}
