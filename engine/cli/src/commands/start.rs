//! `start`: containers that exist, in the background or (one) with our streams.

use serde_json::Value;

use super::run::{Attached, Session, Streams, exit_code, exit_of_signal};
use crate::failure::{Failure, Outcome};
use crate::flags::Matches;
use crate::query::{Query, path_part};
use crate::session::copy::End;
use crate::session::terminal;
use crate::{Context, output};

/// Starts containers.
pub fn run(context: &Context, matches: &Matches) -> Outcome {
    if matches.switch("attach") || matches.switch("interactive") {
        if matches.words.len() > 1 {
            return Err(Failure::new(
                "you cannot start and attach multiple containers at once",
            ));
        }
        return attached(context, matches);
    }
    let mut failed = Vec::new();
    for name in &matches.words {
        let path = Query::new()
            .maybe("checkpoint", matches.text("checkpoint"))
            .maybe("checkpoint-dir", matches.text("checkpoint-dir"))
            .on(&format!("/containers/{}/start", path_part(name)));
        match context.client.post(&path) {
            Ok(()) => output::line(name)?,
            Err(error) if error.is_connect() => return Err(error.into()),
            Err(error) => {
                output::error_line(&error.to_string());
                failed.push(name.as_str());
            }
        }
    }
    if failed.is_empty() {
        return Ok(0);
    }
    Err(Failure::new(format!(
        "Error: failed to start containers: {}",
        failed.join(", ")
    )))
}

fn attached(context: &Context, matches: &Matches) -> Outcome {
    let name = &matches.words[0];
    let state: Value = context
        .client
        .get_json(&format!("/containers/{}/json", path_part(name)))?;
    let set = |object: &str, what: &str| state[object][what].as_bool().unwrap_or(false);
    let id = state["Id"].as_str().unwrap_or(name);
    let streams = Streams {
        stdin: matches.switch("interactive") && set("Config", "OpenStdin"),
        stdout: true,
        stderr: true,
        terminal: set("Config", "Tty"),
    };
    if streams.stdin && streams.terminal && !terminal::stdin_is_terminal() {
        return Err(Failure::new("the input device is not a TTY"));
    }
    let removed = set("HostConfig", "AutoRemove");
    let attached = Attached::open(context, id, streams, context.detach_keys(matches), removed)?;
    let mut session = Session::begin(context, id, streams, !streams.terminal)?;
    if let Err(error) = context.client.post(&format!("/containers/{id}/start")) {
        session.restore();
        return Err(error.into());
    }
    // A container that was created elsewhere does not know the size of this terminal.
    if streams.terminal && terminal::stdout_is_terminal() {
        session.resize();
    }
    match session.copy(attached.hijacked, attached.watch, &mut || {})? {
        End::Detached => Ok(0),
        End::Signal(number) => Ok(exit_of_signal(number)),
        End::Closed => {
            let status = session.status(attached.wait)?;
            exit_code(&status)
        }
    }
}
