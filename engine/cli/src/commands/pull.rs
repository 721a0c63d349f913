//! The pull that `run` and `create` ask for when an image is missing.

use std::io::{BufRead, BufReader, IsTerminal};

use drydock_client::{Body, Method};
use serde_json::Value;

use crate::failure::Failure;
use crate::query::Query;
use crate::reference::Reference;
use crate::{Context, output};

/// Asks the engine to pull, and shows what it says on stderr.
pub fn pull(
    context: &Context,
    image: &Reference,
    platform: &str,
    quiet: bool,
) -> Result<(), Failure> {
    let tag = if image.digest.is_empty() {
        &image.tag
    } else {
        &image.digest
    };
    let path = Query::new()
        .set("fromImage", &image.name)
        .set("tag", tag)
        .maybe("platform", platform)
        .on("/images/create");
    let response = context
        .client
        .request(Method::Post, &path, &[], Body::Empty)?;
    show_progress(BufReader::new(response), quiet)
}

/// Prints a stream of progress messages (`{"id","status","progress"}`); `{"error"}` in it is a failure.
/// Without a terminal the bars that would be redrawn are left out, as Docker does.
pub fn show_progress(reader: impl BufRead, quiet: bool) -> Result<(), Failure> {
    let terminal = std::io::stderr().is_terminal();
    for line in reader.lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let message: Value = serde_json::from_str(&line)
            .map_err(|error| Failure::new(format!("invalid progress message {line:?}: {error}")))?;
        if let Some(error) = message["errorDetail"]["message"]
            .as_str()
            .or_else(|| message["error"].as_str())
        {
            return Err(Failure::new(error));
        }
        if let Some(stream) = message["stream"].as_str() {
            output::error_line(stream.trim_end());
            continue;
        }
        let status = message["status"].as_str().unwrap_or_default();
        let is_bar = message["progressDetail"]
            .as_object()
            .is_some_and(|detail| !detail.is_empty());
        if quiet || (is_bar && !terminal) {
            continue;
        }
        match message["id"].as_str() {
            Some(id) if !id.is_empty() => output::error_line(&format!("{id}: {status}")),
            _ => output::error_line(status),
        }
    }
    Ok(())
}
