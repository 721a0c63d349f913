//! `run`: create, attach, wait, start, copy, exit code.
//!
//! The round trips of an attached run, and why there are not fewer with Docker's API:
//!
//! 1. create;
//! 2. attach and wait, sent together, so both cost one round trip. Both must be answered before the start:
//!    what is said before the attach, or an end before the wait, would be missed. The attach takes over the
//!    connection of the create;
//! 3. start;
//! 4. the answer to the wait, which comes by itself when the container has ended.
//!
//! The stock client makes six: a ping before, and attach and wait one after the other. It also sends a resize
//! for a terminal; ours is in the create (`ConsoleSize`). Three connections and 63 system calls in all, most
//! of them the C library's start.

use drydock_client::{Body, Method, Response};
use serde_json::Value;

use super::create;
use super::trace::Trace;
use crate::container::body::Creation;
use crate::failure::{Failure, Outcome};
use crate::flags::Matches;
use crate::query::Query;
use crate::session::copy::{self, End};
use crate::session::keys::{self, Watch};
use crate::session::signals::{self, Signals};
use crate::session::terminal::{self, RawTerminal};
use crate::{Context, output};

/// Which streams we connect, as the body says.
#[derive(Clone, Copy, Debug)]
pub struct Streams {
    /// Our stdin goes to the container.
    pub stdin: bool,
    /// Its stdout comes to us.
    pub stdout: bool,
    /// Its stderr comes to us.
    pub stderr: bool,
    /// It has a terminal.
    pub terminal: bool,
}

impl Streams {
    fn of(body: &Value) -> Streams {
        let set = |name: &str| body[name].as_bool().unwrap_or(false);
        Streams {
            stdin: set("AttachStdin"),
            stdout: set("AttachStdout"),
            stderr: set("AttachStderr"),
            terminal: set("Tty"),
        }
    }

    fn any(self) -> bool {
        self.stdin || self.stdout || self.stderr
    }
}

/// Runs a container.
pub fn run(context: &Context, matches: &Matches) -> Outcome {
    let mut trace = Trace::new(matches.switch("trace"));
    let creation = create::prepare(context, matches)?;
    let streams = Streams::of(&creation.body);
    if matches.switch("detach") && matches.given("attach") {
        return Err(Failure::new(
            "conflicting options: cannot specify both --attach and --detach",
        ));
    }
    if streams.stdin && streams.terminal && !terminal::stdin_is_terminal() {
        return Err(Failure::new("the input device is not a TTY"));
    }
    let result = create_and_start(context, matches, &creation, streams, &mut trace);
    trace.show();
    result
}

fn create_and_start(
    context: &Context,
    matches: &Matches,
    creation: &Creation,
    streams: Streams,
    trace: &mut Trace,
) -> Outcome {
    trace.stamp("client: words read");
    let fail = |failure: Failure| {
        let code = match failure.code {
            1 => error_code(&failure.text),
            code => code,
        };
        create::wrap(context, failure.code(code))
    };
    let id = create::create(context, matches, creation).map_err(fail)?;
    trace.stamp("client: create answered");
    if !streams.any() {
        output::line(&id)?;
    }
    let removed = matches.switch("rm");
    let mut attached = None;
    if streams.any() {
        attached = Some(Attached::open(
            context,
            &id,
            streams,
            context.detach_keys(matches),
            removed,
        )?);
        trace.stamp("client: attach and wait answered");
    }
    let proxied = streams.any() && matches.switch("sig-proxy");
    let mut session = Session::begin(context, &id, streams, proxied)?;
    match start(context, &id, trace) {
        Ok(()) => {}
        Err(failure) => {
            session.restore();
            // The engine removes what it could not start; a script that follows must not find it.
            if let (Some(attached), true) = (attached, removed) {
                let _ = session.status(attached.wait);
            }
            return Err(create::wrap(context, failure));
        }
    }
    let Some(attached) = attached else {
        return Ok(0);
    };
    let end = session.copy(attached.hijacked, attached.watch, &mut || {
        trace.first_output()
    })?;
    trace.stamp("client: output ended");
    match end {
        End::Detached => return Ok(0),
        End::Signal(number) => return Ok(exit_of_signal(number)),
        End::Closed => {}
    }
    let status = session.status(attached.wait)?;
    trace.stamp("client: wait answered");
    trace.add(&status["Trace"]);
    exit_code(&status)
}

/// 128 + n, as a shell reports a death by signal.
pub fn exit_of_signal(number: i32) -> u8 {
    u8::try_from(128 + number).unwrap_or(255)
}

/// The container's exit code in the answer to a wait.
pub fn exit_code(status: &Value) -> Outcome {
    if let Some(message) = status["Error"]["Message"]
        .as_str()
        .filter(|message| !message.is_empty())
    {
        output::error_line(&format!("Error waiting for container: {message}"));
        return Ok(125);
    }
    let code = status["StatusCode"].as_i64().unwrap_or(125);
    // exit(3) keeps the low eight bits, and so does a Go program that exits with the container's code.
    Ok(u8::try_from(code & 0xff).unwrap_or(125))
}

/// Starts the container; an error has the exit code that Docker gives it.
pub fn start(context: &Context, id: &str, trace: &mut Trace) -> Result<(), Failure> {
    let headers: &[(&str, &str)] = if trace.is_on() {
        &[("Drydock-Trace", "1")]
    } else {
        &[]
    };
    let answer = context.client.request(
        Method::Post,
        &format!("/containers/{id}/start"),
        headers,
        Body::Empty,
    );
    trace.stamp("client: start answered");
    let answer = answer.map_err(|error| {
        let text = error.to_string();
        let text = text.strip_suffix(": unknown").unwrap_or(&text).to_string();
        let code = error_code(&text);
        Failure {
            text,
            ..Failure::from(error)
        }
        .code(code)
    })?;
    if let Some(stamps) = answer.headers.get("Drydock-Trace") {
        trace.add(&serde_json::from_str(stamps).unwrap_or(Value::Null));
    }
    answer.bytes()?;
    Ok(())
}

/// Docker's client tells the codes apart by the text; the engine's texts are therefore part of its interface.
fn error_code(text: &str) -> u8 {
    let has = |part: &str| text.contains(part);
    if has("executable file not found")
        || has("no such file or directory")
        || has("system cannot find the file specified")
    {
        127
    } else if has("permission denied") || has("is a directory") {
        126
    } else {
        125
    }
}

/// The two long requests of an attached run.
pub struct Attached {
    /// The container's streams.
    pub hijacked: drydock_client::Hijacked,
    /// The answer to the wait, whose body comes when the container has ended.
    pub wait: Response,
    /// Looks for the detach keys.
    pub watch: Watch,
}

impl Attached {
    /// Sends attach and wait together, then takes both answers.
    pub fn open(
        context: &Context,
        id: &str,
        streams: Streams,
        detach_keys: &str,
        removed: bool,
    ) -> Result<Attached, Failure> {
        let watch = Watch::new(detach_keys_of(streams, detach_keys));
        let attach = Query::new()
            .maybe("detachKeys", detach_keys)
            .flag("stderr", streams.stderr)
            .flag("stdin", streams.stdin)
            .flag("stdout", streams.stdout)
            .set("stream", "1")
            .on(&format!("/containers/{id}/attach"));
        let condition = if removed { "removed" } else { "next-exit" };
        let wait = format!("/containers/{id}/wait?condition={condition}");
        let attach = context.client.send_hijack(&attach, None)?;
        let wait = context.client.send(Method::Post, &wait, &[], Body::Empty)?;
        let hijacked = attach.receive_hijack().map_err(upgrade_failure)?;
        Ok(Attached {
            hijacked,
            wait: wait.receive()?,
            watch,
        })
    }
}

/// The stock client's words for an upgrade that the engine refused.
pub fn upgrade_failure(error: drydock_client::Error) -> Failure {
    match error.status() {
        Some(status) => Failure::new(format!("unable to upgrade to tcp, received {status}")),
        None => error.into(),
    }
}

/// The keys to look for: only what is typed into a terminal can detach. Where the text is not understood
/// the engine, which gets it too, says so.
pub fn detach_keys_of(streams: Streams, text: &str) -> Vec<u8> {
    if !(streams.stdin && streams.terminal) {
        return Vec::new();
    }
    let text = if text.is_empty() {
        "ctrl-p,ctrl-q"
    } else {
        text
    };
    keys::parse(text).unwrap_or_default()
}

/// Our side while a container runs: raw terminal, signals.
pub struct Session<'a> {
    context: &'a Context,
    streams: Streams,
    proxied: bool,
    /// `/containers/ID` or `/exec/ID`: where a resize goes.
    object: String,
    raw: Option<RawTerminal>,
    signals: Option<Signals>,
}

impl<'a> Session<'a> {
    /// Takes the terminal and the signals, as far as this session needs them.
    pub fn begin(
        context: &'a Context,
        id: &str,
        streams: Streams,
        proxied: bool,
    ) -> Result<Session<'a>, Failure> {
        Session::of(context, format!("/containers/{id}"), streams, proxied)
    }

    /// The same for an exec instance.
    pub fn of(
        context: &'a Context,
        object: String,
        streams: Streams,
        proxied: bool,
    ) -> Result<Session<'a>, Failure> {
        let raw = (streams.stdin && streams.terminal)
            .then(RawTerminal::enter)
            .flatten();
        let resizes = streams.terminal && terminal::stdout_is_terminal();
        let needed = proxied || raw.is_some() || resizes;
        let signals = if needed {
            Some(Signals::take(proxied, raw.is_some() || resizes)?)
        } else {
            None
        };
        Ok(Session {
            context,
            streams,
            proxied,
            object,
            raw,
            signals,
        })
    }

    /// Gives the terminal back.
    pub fn restore(&mut self) {
        self.raw = None;
    }

    /// Copies until the container's side ends, then gives the terminal back.
    pub fn copy(
        &mut self,
        hijacked: drydock_client::Hijacked,
        watch: Watch,
        on_output: &mut dyn FnMut(),
    ) -> Result<End, Failure> {
        let mut on_signal = handler(self.context, &self.object, self.proxied);
        let result = copy::run(
            hijacked,
            self.streams.stdin,
            self.streams.terminal,
            watch,
            self.signals.as_ref(),
            &mut on_signal,
            on_output,
        );
        self.raw = None;
        Ok(result?)
    }

    /// Waits for the answer to the wait; signals are passed on meanwhile.
    pub fn status(&mut self, wait: Response) -> Result<Value, Failure> {
        if let (Some(signals), Some(descriptor)) = (&self.signals, wait.descriptor()) {
            let mut on_signal = handler(self.context, &self.object, self.proxied);
            if let Some(number) = copy::wait_readable(descriptor, signals, &mut on_signal)? {
                return Err(Failure::silent(exit_of_signal(number)));
            }
        }
        Ok(wait.json()?)
    }

    /// Tells the engine the terminal's size.
    pub fn resize(&self) {
        resize(self.context, &self.object);
    }
}

/// Passes a signal on, or resizes. A failure has no one to be told to: the container may just have ended.
fn handler<'a>(
    context: &'a Context,
    object: &'a str,
    proxied: bool,
) -> impl FnMut(nix::sys::signal::Signal) -> bool + 'a {
    move |signal| {
        if signal == nix::sys::signal::Signal::SIGWINCH {
            resize(context, object);
            return true;
        }
        if proxied {
            let _ = context
                .client
                .post(&format!("{object}/kill?signal={}", signals::name(signal)));
        }
        proxied
    }
}

fn resize(context: &Context, object: &str) {
    if let Some((rows, columns)) = terminal::size() {
        let _ = context
            .client
            .post(&format!("{object}/resize?h={rows}&w={columns}"));
    }
}
