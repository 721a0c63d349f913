//! Commands that do one thing to each container they are given: stop, restart, kill, pause, rm, wait, rename.

use serde_json::Value;

use crate::failure::{Failure, Outcome};
use crate::flags::{Flag, Matches};
use crate::query::{Query, path_part};
use crate::{Context, output};

/// The flags of `stop` and `restart`.
pub const STOP: &[Flag] = &[
    Flag::text("signal", "Signal to send first").short('s'),
    Flag::int("timeout", "Seconds to wait before SIGKILL").short('t'),
];

/// Does `act` to each; prints what it gives, and returns what failed.
pub fn each(
    matches: &Matches,
    mut act: impl FnMut(&str) -> Result<Option<String>, drydock_client::Error>,
) -> Result<Vec<drydock_client::Error>, Failure> {
    let mut errors = Vec::new();
    for name in &matches.words {
        match act(name) {
            Ok(Some(line)) => output::line(&line)?,
            Ok(None) => {}
            Err(error) => errors.push(error),
        }
    }
    Ok(errors)
}

/// The exit code, and what failed.
pub fn code(errors: &[drydock_client::Error]) -> Outcome {
    if errors.is_empty() {
        return Ok(0);
    }
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let unreachable = errors.iter().any(drydock_client::Error::is_connect);
    Err(Failure {
        unreachable,
        ..Failure::new(lines.join("\n"))
    })
}

fn stop_query(matches: &Matches) -> Query {
    let query = Query::new().maybe("signal", matches.text("signal"));
    if matches.given("timeout") {
        query.set("t", &matches.int("timeout").to_string())
    } else {
        query
    }
}

/// Stops containers.
pub fn stop(context: &Context, matches: &Matches) -> Outcome {
    let errors = each(matches, |name| {
        context
            .client
            .post(&stop_query(matches).on(&format!("/containers/{}/stop", path_part(name))))?;
        Ok(Some(name.to_string()))
    })?;
    code(&errors)
}

/// Restarts containers.
pub fn restart(context: &Context, matches: &Matches) -> Outcome {
    let errors = each(matches, |name| {
        context
            .client
            .post(&stop_query(matches).on(&format!("/containers/{}/restart", path_part(name))))?;
        Ok(Some(name.to_string()))
    })?;
    code(&errors)
}

/// Sends a signal.
pub fn kill(context: &Context, matches: &Matches) -> Outcome {
    let errors = each(matches, |name| {
        let query = Query::new().maybe("signal", matches.text("signal"));
        context
            .client
            .post(&query.on(&format!("/containers/{}/kill", path_part(name))))?;
        Ok(Some(name.to_string()))
    })?;
    code(&errors)
}

/// Lets all processes stand still.
pub fn pause(context: &Context, matches: &Matches) -> Outcome {
    simply(context, matches, "pause")
}

/// Lets them go on.
pub fn unpause(context: &Context, matches: &Matches) -> Outcome {
    simply(context, matches, "unpause")
}

/// A verb that needs nothing but the container.
fn simply(context: &Context, matches: &Matches, verb: &str) -> Outcome {
    let errors = each(matches, |name| {
        let path = format!("/containers/{}/{verb}", path_part(name));
        context.client.post(&path)?;
        Ok(Some(name.to_string()))
    })?;
    code(&errors)
}

/// Removes containers. With `--force` one that is not there is reported, but it is not a failure.
pub fn remove(context: &Context, matches: &Matches) -> Outcome {
    let force = matches.switch("force");
    let errors = each(matches, |name| {
        let query = Query::new()
            .flag("force", force)
            .flag("link", matches.switch("link"))
            .flag("v", matches.switch("volumes"));
        let name = name.trim_matches('/');
        context
            .client
            .delete(&query.on(&format!("/containers/{}", path_part(name))))?;
        Ok(Some(name.to_string()))
    })?;
    if force && errors.iter().all(|error| error.status() == Some(404)) {
        errors
            .iter()
            .for_each(|error| output::error_line(&error.to_string()));
        return Ok(0);
    }
    code(&errors)
}

/// Waits for each, and prints its exit code.
pub fn wait(context: &Context, matches: &Matches) -> Outcome {
    let errors = each(matches, |name| {
        let status: Value = context.client.post_json(
            &format!("/containers/{}/wait", path_part(name)),
            &Value::Null,
        )?;
        Ok(Some(status["StatusCode"].as_i64().unwrap_or(0).to_string()))
    })?;
    code(&errors)
}

/// Renames a container.
pub fn rename(context: &Context, matches: &Matches) -> Outcome {
    let (old, new) = (matches.words[0].trim(), matches.words[1].trim());
    if old.is_empty() || new.is_empty() {
        return Err(Failure::new(
            "Error: Neither old nor new names may be empty",
        ));
    }
    let path = Query::new()
        .set("name", new)
        .on(&format!("/containers/{}/rename", path_part(old)));
    context.client.post(&path).map_err(|error| {
        if error.is_connect() {
            return error.into();
        }
        output::error_line(&error.to_string());
        Failure::new(format!("Error: failed to rename container named {old}"))
    })?;
    Ok(0)
}
