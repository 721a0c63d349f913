//! `up`: from nothing to a first container, with one command. Idempotent: each step looks first whether it is
//! done.
//!
//! It speaks to our own engine only: `DOCKER_HOST` is not read, so that `up` never works on a Docker.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use drydock_client::{Client, DEFAULT_ENDPOINT, Endpoint};

use super::{bootstrap, run};
use crate::failure::{Failure, Outcome, go_error};
use crate::flags::{self, Flag, Matches};
use crate::{Context, container, output};

/// Flags that are handed to the daemon as they are.
pub const FLAGS: &[Flag] = &[
    Flag::text("bip", "Address of the default bridge, as ADDRESS/BITS"),
    Flag::text("bridge", "Name of the default bridge"),
    Flag::text("data-root", "Where images and containers are kept").default("/var/lib/drydock"),
    Flag::text(
        "exec-root",
        "Where sockets and other files of the running engine are",
    )
    .default("/run/drydock"),
];

/// How long a daemon may take to answer. It reads its records first; a second is usual.
const PATIENCE: Duration = Duration::from_secs(30);

/// The first words of the role that [`session`] plays.
pub const SESSION: &str = "daemon-session";

/// The engine that `up` and `down` mean: `-H`, else the socket below `--exec-root`, else `DRYDOCK_HOST`.
pub fn endpoint(context: &Context, matches: &Matches) -> Result<Endpoint, Failure> {
    let text = if let Some(host) = &context.host {
        host.clone()
    } else if matches.given("exec-root") {
        format!(
            "unix://{}/drydock.sock",
            matches.text("exec-root").trim_end_matches('/')
        )
    } else {
        std::env::var("DRYDOCK_HOST")
            .ok()
            .filter(|host| !host.is_empty())
            .unwrap_or(DEFAULT_ENDPOINT.to_string())
    };
    Endpoint::parse(&text).map_err(|error| Failure::new(error.to_string()))
}

/// Says what needs root, and why.
pub fn need_root(command: &str) -> Result<(), Failure> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "drydock {command} needs root: the engine makes namespaces, mounts, cgroups and a network bridge\n\
         hint: sudo drydock {command}"
    )))
}

/// Brings the engine up and runs a first container.
pub fn run(context: &Context, matches: &Matches) -> Outcome {
    need_root("up")?;
    let endpoint = endpoint(context, matches)?;
    let client = Client::new(endpoint.clone());
    if client.ping().is_ok() {
        output::line(&format!("engine: runs already, at {endpoint}"))?;
    } else {
        start_daemon(context, matches, &client)?;
    }
    let context = Context {
        client,
        program: context.program.clone(),
        command: "run".to_string(),
        configuration: context.configuration.clone(),
        host: context.host.clone(),
    };
    if context
        .client
        .get_bytes("/images/busybox:latest/json")
        .is_ok()
    {
        output::line("image: busybox:latest is there")?;
    } else {
        output::line("image: making busybox:latest")?;
        bootstrap::busybox(&context, None)?;
    }
    let command = format!(
        "{} run --rm --trace busybox echo 'hello from a container'",
        context.program
    );
    output::line(&format!("\n$ {command}"))?;
    let words = [
        "--rm",
        "--trace",
        "busybox",
        "echo",
        "hello from a container",
    ]
    .map(str::to_string);
    let first = flags::parse(
        &[container::flags::CREATE, container::flags::RUN],
        false,
        &words,
    )
    .map_err(|error| Failure::new(error.0))?;
    let code = run::run(&context, &first)?;
    if code != 0 {
        return Err(Failure::new(format!(
            "the first container ended with exit code {code}"
        )));
    }
    output::line(
        "\nthe lines above show where the time of this start went\n\n\
         next:\n\
         \x20 the book        book/src/introduction.md, or: cargo run -p book -- serve\n\
         \x20 the first lab   cargo run -p labs -- list\n\
         \x20 the end         drydock down",
    )?;
    Ok(0)
}

fn start_daemon(context: &Context, matches: &Matches, client: &Client) -> Result<(), Failure> {
    let data_root = Path::new(matches.text("data-root"));
    let log_path = data_root.join("daemon.log");
    let fault =
        |error: io::Error| Failure::new(go_error("open", &log_path.display().to_string(), &error));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o710)
        .create(data_root)
        .map_err(fault)?;
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log_path)
        .map_err(fault)?;
    let log_start = log.metadata().map(|metadata| metadata.len()).unwrap_or(0);
    let mut child = spawn(context, matches, &log)?;
    output::line(&format!(
        "engine: starting, its log is {}",
        log_path.display()
    ))?;
    wait_until_it_answers(client, &mut child, &log_path, log_start)?;
    output::line(&format!(
        "engine: runs as process {}, at {}",
        child.id(),
        client.endpoint()
    ))?;
    Ok(())
}

fn spawn(context: &Context, matches: &Matches, log: &File) -> Result<Child, Failure> {
    let mut command = Command::new(own_program()?);
    command.arg(SESSION);
    for flag in ["bip", "bridge", "data-root", "exec-root"] {
        if matches.given(flag) {
            command.arg(format!("--{flag}")).arg(matches.text(flag));
        }
    }
    if let Some(host) = &context.host {
        command.arg("-H").arg(host);
    }
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?)
        .current_dir("/");
    command
        .spawn()
        .map_err(|error| Failure::new(format!("cannot start the engine: {error}")))
}

fn own_program() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::new(format!("cannot find our own program: {error}")))
}

/// The role between `up` and the daemon: leaves the terminal's session (setsid(2)), so that the daemon gets no
/// signal of it, then becomes the daemon. The standard library has no way to do that without `unsafe`.
pub fn session(arguments: &[String]) -> Outcome {
    rustix::process::setsid().map_err(|error| Failure::new(format!("setsid: {error}")))?;
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    let error = Command::new(own_program()?)
        .arg("daemon")
        .args(arguments)
        .exec();
    Err(Failure::new(format!("cannot become the engine: {error}")))
}

fn wait_until_it_answers(
    client: &Client,
    child: &mut Child,
    log: &Path,
    log_start: u64,
) -> Result<(), Failure> {
    let began = Instant::now();
    let mut dots = 0;
    loop {
        if client.ping().is_ok() {
            break;
        }
        let ended = child
            .try_wait()
            .map_err(|error| Failure::new(error.to_string()))?;
        if ended.is_some() || began.elapsed() > PATIENCE {
            let reason = if ended.is_some() {
                "has ended"
            } else {
                "does not answer"
            };
            let tail = last_lines(log, log_start);
            return Err(Failure::new(format!(
                "the engine {reason}; the end of {}:\n{tail}",
                log.display()
            )));
        }
        // Quiet for the first second, and where nobody watches.
        if began.elapsed().as_secs() > dots && io::stderr().is_terminal() {
            dots += 1;
            output::stderr().write_all(if dots == 1 {
                b"waiting for the engine ."
            } else {
                b"."
            })?;
        }
        sleep(Duration::from_millis(10));
    }
    if dots > 0 {
        output::error_line("");
    }
    Ok(())
}

/// The last lines of this daemon's part of the log.
fn last_lines(log: &Path, start: u64) -> String {
    let text = fs::read(log).unwrap_or_default();
    let own = text
        .get(usize::try_from(start).unwrap_or(0)..)
        .unwrap_or_default();
    let own = String::from_utf8_lossy(own);
    let lines: Vec<&str> = own.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}
