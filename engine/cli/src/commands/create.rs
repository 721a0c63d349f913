//! `create`, and the part of `run` that it is: the body, the pull of a missing image, the ID file.

use std::fs::{self, File};
use std::io::Write;
use std::net::IpAddr;
use std::path::Path;

use drydock_client::{Body, Method};
use serde_json::Value;

use super::pull;
use crate::container::body::{self, Creation};
use crate::failure::{Failure, Outcome, go_error};
use crate::flags::Matches;
use crate::{Context, output, reference, session};

/// Creates a container and prints its ID.
pub fn run(context: &Context, matches: &Matches) -> Outcome {
    let creation = prepare(context, matches)?;
    let id = create(context, matches, &creation)?;
    output::line(&id)?;
    Ok(0)
}

/// What the user's words mean; an error is the user's, with exit code 125.
pub fn prepare(context: &Context, matches: &Matches) -> Result<Creation, Failure> {
    let usage = |text: String| wrap(context, Failure::new(text).code(125));
    if !matches!(matches.text("pull"), "always" | "missing" | "never") {
        let text = format!(
            "invalid pull option: '{}': must be one of \"always\", \"missing\" or \"never\"",
            matches.text("pull")
        );
        return Err(usage(text));
    }
    let only_windows: Vec<String> = ["cpu-count", "cpu-percent", "io-maxbandwidth", "io-maxiops"]
        .iter()
        .filter(|flag| matches.given(flag))
        .map(|flag| format!("\"--{flag}\" is only supported on a Docker daemon running on windows, but the Docker daemon is running on linux"))
        .collect();
    if !only_windows.is_empty() {
        return Err(Failure::new(only_windows.join("\n")));
    }
    let platform = matches.text("platform");
    if !platform.is_empty() && !(1..=3).contains(&platform.split('/').count()) {
        return Err(Failure::new(format!(
            "error parsing specified platform: {platform:?}: cannot parse platform specifier: invalid argument"
        )));
    }
    let mut creation = body::build(matches).map_err(usage)?;
    if matches.switch("rm") && !matches!(matches.text("restart"), "no" | "") {
        return Err(usage(
            "conflicting options: cannot specify both --restart and --rm".to_string(),
        ));
    }
    // With the size in the body the terminal is right from its first byte on, and no resize request follows.
    if let Some((rows, columns)) =
        session::terminal::size().filter(|_| session::terminal::stdout_is_terminal())
    {
        creation.body["HostConfig"]["ConsoleSize"] = serde_json::json!([rows, columns]);
    }
    Ok(creation)
}

/// `docker: TEXT` and the pointer to the help page: how `run` reports, and `create` for the user's errors.
pub fn wrap(context: &Context, mut failure: Failure) -> Failure {
    if !failure.text.is_empty() {
        let (program, command) = (&context.program, &context.command);
        failure.text = format!(
            "{program}: {}\n\nRun '{program} {command} --help' for more information",
            failure.text
        );
    }
    failure
}

/// Sends the body; where the image is missing, asks the engine to pull it and sends the body again.
pub fn create(
    context: &Context,
    matches: &Matches,
    creation: &Creation,
) -> Result<String, Failure> {
    warn_of_local_dns(matches);
    let mut id_file = IdFile::open(matches.text("cidfile"))?;
    let named = if reference::is_id(&creation.image) {
        None
    } else {
        Some(reference::Reference::parse(&creation.image)?)
    };
    let (policy, quiet, platform) = (
        matches.text("pull"),
        matches.switch("quiet"),
        matches.text("platform"),
    );
    if let (Some(named), "always") = (&named, policy) {
        pull::pull(context, named, platform, quiet)?;
    }
    let text = creation.body.to_string();
    let send = || {
        context
            .client
            .request(Method::Post, &creation.path, &[], Body::json(&text))
    };
    let answer = match (send(), &named) {
        (Err(error), Some(named)) if policy == "missing" && is_missing_image(&error) => {
            if !quiet {
                output::error_line(&format!(
                    "Unable to find image '{}' locally",
                    named.familiar()
                ));
            }
            pull::pull(context, named, platform, quiet)?;
            send()
        }
        (answer, _) => answer,
    };
    let answer: Value = answer?.json()?;
    for warning in answer["Warnings"].as_array().into_iter().flatten() {
        output::error_line(&format!(
            "WARNING: {}",
            warning.as_str().unwrap_or_default()
        ));
    }
    let id = answer["Id"].as_str().unwrap_or_default().to_string();
    id_file.write(&id)?;
    Ok(id)
}

/// A resolver on the host's loopback is not there in the container's network namespace.
fn warn_of_local_dns(matches: &Matches) {
    for server in matches.list("dns") {
        if server
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
        {
            output::error_line(&format!(
                "WARNING: Localhost DNS ({server}) may fail in containers."
            ));
        }
    }
}

/// The file of `--cidfile`, made before the container is, so that a place where it cannot be made is told first. It
/// goes again when there is no container to name.
struct IdFile<'a> {
    path: &'a str,
    file: Option<File>,
    written: bool,
}

impl<'a> IdFile<'a> {
    /// An empty path is no file.
    fn open(path: &'a str) -> Result<IdFile<'a>, Failure> {
        if !path.is_empty() && Path::new(path).exists() {
            return Err(Failure::new(format!(
                "container ID file found, make sure the other container isn't running or delete {path}"
            )));
        }
        let open = || {
            File::create(path).map_err(|error| {
                let error = go_error("open", path, &error);
                Failure::new(format!("failed to create the container ID file: {error}"))
            })
        };
        Ok(IdFile {
            path,
            file: (!path.is_empty()).then(open).transpose()?,
            written: false,
        })
    }

    fn write(&mut self, id: &str) -> Result<(), Failure> {
        if let Some(file) = &mut self.file {
            file.write_all(id.as_bytes()).map_err(|error| {
                let error = go_error("write", self.path, &error);
                Failure::new(format!(
                    "failed to write the container ID to the file: {error}"
                ))
            })?;
        }
        self.written = true;
        Ok(())
    }
}

impl Drop for IdFile<'_> {
    fn drop(&mut self) {
        if self.file.is_some() && !self.written {
            // The container was not made; a file that cannot be removed either has nothing to tell about it.
            let _ = fs::remove_file(self.path);
        }
    }
}

/// 404 on create is also a missing network or volume; the text tells.
fn is_missing_image(error: &drydock_client::Error) -> bool {
    error.status() == Some(404) && error.to_string().to_lowercase().contains("no such image")
}
