//! `attach`: our streams at a container that runs already.

use drydock_client::{Body, Method};
use serde_json::Value;

use super::run::{Session, Streams, detach_keys_of, exit_code, exit_of_signal, upgrade_failure};
use crate::Context;
use crate::failure::{Failure, Outcome};
use crate::flags::Matches;
use crate::query::{Query, path_part};
use crate::session::copy::End;
use crate::session::keys::Watch;
use crate::session::terminal;

/// Attaches until the container ends, and exits with its code.
pub fn run(context: &Context, matches: &Matches) -> Outcome {
    let name = &matches.words[0];
    let state: Value = context
        .client
        .get_json(&format!("/containers/{}/json", path_part(name)))?;
    let is = |what: &str| state["State"][what].as_bool().unwrap_or(false);
    if !is("Running") {
        return Err(Failure::new(
            "You cannot attach to a stopped container, start it first",
        ));
    }
    if is("Paused") {
        return Err(Failure::new(
            "You cannot attach to a paused container, unpause it first",
        ));
    }
    if is("Restarting") {
        return Err(Failure::new(
            "You cannot attach to a restarting container, wait until it is running",
        ));
    }
    let set = |what: &str| state["Config"][what].as_bool().unwrap_or(false);
    let streams = Streams {
        stdin: !matches.switch("no-stdin") && set("OpenStdin"),
        stdout: true,
        stderr: true,
        terminal: set("Tty"),
    };
    if streams.stdin && streams.terminal && !terminal::stdin_is_terminal() {
        return Err(Failure::new("the input device is not a TTY"));
    }
    let id = state["Id"].as_str().unwrap_or(name);
    let keys = context.detach_keys(matches);
    let attach = Query::new()
        .maybe("detachKeys", keys)
        .flag("stderr", true)
        .flag("stdin", streams.stdin)
        .flag("stdout", true)
        .set("stream", "1")
        .on(&format!("/containers/{id}/attach"));
    let wait = context.client.send(
        Method::Post,
        &format!("/containers/{id}/wait"),
        &[],
        Body::Empty,
    )?;
    let hijacked = context
        .client
        .hijack(&attach, None)
        .map_err(upgrade_failure)?;
    let wait = wait.receive()?;
    let proxied = matches.switch("sig-proxy") && !streams.terminal;
    let mut session = Session::begin(context, id, streams, proxied)?;
    if streams.terminal && terminal::stdout_is_terminal() {
        session.resize();
    }
    let watch = Watch::new(detach_keys_of(streams, keys));
    match session.copy(hijacked, watch, &mut || {})? {
        // To the stock client this is a failure, other than in `run`.
        End::Detached => Err(Failure::new("read escape sequence")),
        End::Signal(number) => Ok(exit_of_signal(number)),
        End::Closed => {
            let status = session.status(wait)?;
            exit_code(&status)
        }
    }
}
