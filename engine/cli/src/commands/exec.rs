//! `exec`: one more process in a running container.
//!
//! Three round trips: create the exec instance, start it on a connection that becomes the stream, and ask for
//! its exit code when the stream has ended.

use serde_json::{Value, json};

use super::run::{Session, Streams, detach_keys_of, exit_of_signal, upgrade_failure};
use crate::Context;
use crate::container::environment;
use crate::failure::{Failure, Outcome};
use crate::flags::{Check, Flag, Kind, Matches};
use crate::query::path_part;
use crate::session::copy::End;
use crate::session::keys::Watch;
use crate::session::terminal;

/// The flags of `exec`.
pub const FLAGS: &[Flag] = &[
    Flag::switch("detach", "Run in the background").short('d'),
    Flag::text("detach-keys", "Keys that detach from the container"),
    Flag::of(
        Kind::List(Check(environment::check_variable)),
        "env",
        "Set a variable, as NAME=VALUE or NAME to pass our own",
    )
    .short('e'),
    Flag::list("env-file", "Read variables from a file"),
    Flag::switch("interactive", "Keep stdin open").short('i'),
    Flag::switch(
        "privileged",
        "Give the process nearly all rights of the host's root",
    ),
    Flag::switch("tty", "Give it a terminal").short('t'),
    Flag::text("user", "User, as NAME|UID[:GROUP|GID]").short('u'),
    Flag::text("workdir", "Working directory").short('w'),
];

/// Runs the command and exits with its code.
pub fn run(context: &Context, matches: &Matches) -> Outcome {
    let detached = matches.switch("detach");
    let streams = Streams {
        stdin: !detached && matches.switch("interactive"),
        stdout: !detached,
        stderr: !detached,
        terminal: matches.switch("tty"),
    };
    let detach_keys = context.detach_keys(matches);
    let mut body = body(matches, streams)?;
    body["DetachKeys"] = json!(detach_keys);
    if streams.stdin && streams.terminal && !terminal::stdin_is_terminal() {
        return Err(Failure::new("the input device is not a TTY"));
    }
    let path = format!("/containers/{}/exec", path_part(&matches.words[0]));
    let created: Value = context.client.post_json(&path, &body)?;
    let Some(id) = created["Id"].as_str().filter(|id| !id.is_empty()) else {
        return Err(Failure::new("exec ID empty"));
    };
    let mut start = json!({"Detach": detached, "Tty": streams.terminal});
    if let Some(size) = body.get("ConsoleSize") {
        start["ConsoleSize"] = size.clone();
    }
    let object = format!("/exec/{id}");
    if detached {
        let text = start.to_string();
        let request = drydock_client::Body::json(&text);
        context
            .client
            .request(
                drydock_client::Method::Post,
                &format!("{object}/start"),
                &[],
                request,
            )?
            .bytes()?;
        return Ok(0);
    }
    let hijacked = context
        .client
        .hijack(&format!("{object}/start"), Some(&start))
        .map_err(upgrade_failure)?;
    let watch = Watch::new(detach_keys_of(streams, detach_keys));
    let mut session = Session::of(context, object.clone(), streams, false)?;
    match session.copy(hijacked, watch, &mut || {})? {
        End::Detached => Err(Failure::new("read escape sequence")),
        End::Signal(number) => Ok(exit_of_signal(number)),
        End::Closed => {
            let state: Value = context.client.get_json(&format!("{object}/json"))?;
            let code = state["ExitCode"].as_i64().unwrap_or(0);
            Ok(u8::try_from(code & 0xff).unwrap_or(255))
        }
    }
}

fn body(matches: &Matches, streams: Streams) -> Result<Value, Failure> {
    let variables = environment::variables(&matches.list("env-file"), &matches.list("env"))?;
    let mut body = json!({
        "User": matches.text("user"),
        "Privileged": matches.switch("privileged"),
        "Tty": streams.terminal,
        "AttachStdin": streams.stdin,
        "AttachStderr": streams.stderr,
        "AttachStdout": streams.stdout,
        "Env": if variables.is_empty() { Value::Null } else { json!(variables) },
        "WorkingDir": matches.text("workdir"),
        "Cmd": matches.words[1..],
    });
    if let Some((rows, columns)) = terminal::size().filter(|_| terminal::stdout_is_terminal()) {
        body["ConsoleSize"] = json!([rows, columns]);
    }
    Ok(body)
}
