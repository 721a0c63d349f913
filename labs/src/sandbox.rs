//! One command in a container that can do no harm: no network, no capability, no other user's files, nothing
//! writable but a small scratch folder, and an end to everything that it can use up.
//!
//! Input goes in over stdin, output comes back over stdout and stderr, and that is all there is between the
//! two: no folder is shared, no file is copied out. What is printed is cut at a limit and never logged by
//! the engine. The container is removed on every way out, a panic included.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use drydock_client::stream::Demultiplexer;
use serde_json::{Value, json};

use crate::engine::Engine;

/// The user `nobody`: no image of ours has a file of it.
const USER: &str = "65534:65534";
/// How long an engine may take to report the end of a container that was killed.
const ENGINE_PATIENCE: Duration = Duration::from_secs(60);

/// A command and what it may use.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// The image that has it.
    pub image: &'a str,
    /// The command, started without a shell in `/work`, the scratch folder.
    pub command: Vec<String>,
    /// Its environment, as `NAME=value`.
    pub environment: Vec<String>,
    /// What it reads.
    pub input: &'a [u8],
    /// Wall time. Processor time is limited to the same by the kernel.
    pub seconds: u64,
    /// Memory; the scratch folder counts. There is no swap.
    pub memory_bytes: u64,
    /// The size of the scratch folder.
    pub scratch_bytes: u64,
    /// Processes and threads at one time.
    pub processes: u32,
    /// How much of each output stream is taken; more ends the job.
    pub output_bytes: u64,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code (128 + n for a signal).
    Exited(i64),
    /// It did not end in its time, and was killed.
    TimedOut,
    /// It printed more than it may, and was killed.
    TooMuchOutput,
    /// The kernel killed it, or a part of it, for its use of memory.
    OutOfMemory,
}

/// What came out of a job.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// At most `output_bytes` of each stream.
    pub stdout: Vec<u8>,
    /// The same of stderr.
    pub stderr: Vec<u8>,
}

/// Runs a job. An error is the engine's, never the job's.
pub fn run(engine: &Engine, job: &Job<'_>) -> Result<Outcome> {
    let id = engine
        .create(None, &description(job))
        .context("cannot create a sandbox")?;
    let container = Container { engine, id };
    let outcome = container.run(job)?;
    container.remove()?;
    Ok(outcome)
}

/// The body of `POST /containers/create`.
fn description(job: &Job<'_>) -> Value {
    json!({
        "Image": job.image,
        "Cmd": job.command,
        "Entrypoint": [],
        "Env": job.environment,
        "User": USER,
        "WorkingDir": "/work",
        "OpenStdin": true,
        "StdinOnce": true,
        "AttachStdin": true,
        "AttachStdout": true,
        "AttachStderr": true,
        "Labels": { "drydock.labs": "sandbox" },
        "HostConfig": {
            "NetworkMode": "none",
            "ReadonlyRootfs": true,
            "Tmpfs": {
                "/work": format!(
                    "rw,exec,nosuid,nodev,mode=1777,size={},nr_inodes=4096",
                    job.scratch_bytes
                )
            },
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "Memory": job.memory_bytes,
            "MemorySwap": job.memory_bytes,
            "NanoCpus": 1_000_000_000u64,
            "PidsLimit": job.processes,
            "Ulimits": [
                { "Name": "core", "Soft": 0, "Hard": 0 },
                // A second line behind the wall time: it holds when nobody is left to kill the container.
                { "Name": "cpu", "Soft": job.seconds + 1, "Hard": job.seconds + 1 },
                { "Name": "fsize", "Soft": job.scratch_bytes, "Hard": job.scratch_bytes },
                { "Name": "nofile", "Soft": 256, "Hard": 256 },
            ],
            // Output may be endless, and nobody reads this log.
            "LogConfig": { "Type": "none", "Config": {} },
        },
    })
}

/// A container that is removed when it goes out of scope.
struct Container<'a> {
    engine: &'a Engine,
    id: String,
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        // Only on the way of an error or a panic, which says more than a failure here could.
        if !self.id.is_empty() {
            let _ = self.engine.remove(&self.id);
        }
    }
}

/// What the reading of the output found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Ended,
    TimedOut,
    TooMuch,
}

impl Container<'_> {
    fn remove(mut self) -> Result<()> {
        let id = std::mem::take(&mut self.id);
        self.engine
            .remove(&id)
            .with_context(|| format!("cannot remove sandbox {id}"))
    }

    fn run(&self, job: &Job<'_>) -> Result<Outcome> {
        let query = "stream=1&stdin=1&stdout=1&stderr=1";
        let attached = self
            .engine
            .client
            .hijack(&format!("/containers/{}/attach?{query}", self.id), None)
            .context("cannot attach to a sandbox")?;
        self.engine
            .act(&self.id, "start")
            .context("cannot start a sandbox")?;
        let deadline = Instant::now() + Duration::from_secs(job.seconds);
        let mut stdout = Limited::new(job.output_bytes);
        let mut stderr = Limited::new(job.output_bytes);
        let reading = std::thread::scope(|scope| -> Result<Reading> {
            let socket = attached.socket.try_clone()?;
            scope.spawn(|| write_input(socket, job.input));
            let reading = read_output(
                &attached.socket,
                &attached.received,
                deadline,
                &mut stdout,
                &mut stderr,
            );
            // Ends the writer, which may wait for a job that does not read.
            let _ = attached.socket.shutdown(Shutdown::Both);
            reading
        })?;
        let ended_alone = self.wait(match reading {
            Reading::Ended => deadline,
            _ => Instant::now(),
        })?;
        let state = self.kill_and_inspect()?;
        let end = match reading {
            Reading::TooMuch => End::TooMuchOutput,
            Reading::TimedOut => End::TimedOut,
            Reading::Ended if !ended_alone => End::TimedOut,
            Reading::Ended if state["OOMKilled"] == true => End::OutOfMemory,
            Reading::Ended => End::Exited(state["ExitCode"].as_i64().context("no exit code")?),
        };
        Ok(Outcome {
            end,
            stdout: stdout.bytes,
            stderr: stderr.bytes,
        })
    }

    /// Waits for the end until `deadline`. A job can close its streams and run on.
    fn wait(&self, deadline: Instant) -> Result<bool> {
        let mut pause = Duration::from_millis(2);
        loop {
            if !self.is_running()? {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    fn kill_and_inspect(&self) -> Result<Value> {
        // Fails where the container has ended meanwhile, so the state is what counts.
        let killed = self.engine.act(&self.id, "kill");
        if !self.wait(Instant::now() + ENGINE_PATIENCE)? {
            killed.context("cannot kill a sandbox")?;
            anyhow::bail!("sandbox {} runs on after it was killed", self.id);
        }
        self.state()
    }

    fn is_running(&self) -> Result<bool> {
        let state = self.state()?;
        state["Running"].as_bool().context("no state of a sandbox")
    }

    fn state(&self) -> Result<Value> {
        let container = self
            .engine
            .inspect(&self.id)?
            .with_context(|| format!("sandbox {} is gone", self.id))?;
        Ok(container["State"].clone())
    }
}

fn write_input(mut socket: UnixStream, input: &[u8]) {
    // A job may end without reading all of its input; that is its own matter.
    let _ = socket.write_all(input);
    let _ = socket.shutdown(Shutdown::Write);
}

fn read_output(
    mut socket: &UnixStream,
    received: &[u8],
    deadline: Instant,
    stdout: &mut Limited,
    stderr: &mut Limited,
) -> Result<Reading> {
    let mut frames = Demultiplexer::default();
    let mut buffer = vec![0; 64 << 10];
    let mut bytes = received.to_vec();
    loop {
        frames
            .push(&bytes, stdout, stderr)
            .context("cannot read a sandbox's output")?;
        if stdout.overflowed || stderr.overflowed {
            return Ok(Reading::TooMuch);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Reading::TimedOut);
        }
        socket.set_read_timeout(Some(left))?;
        match socket.read(&mut buffer) {
            Ok(0) => return Ok(Reading::Ended),
            Ok(count) => bytes = buffer[..count].to_vec(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                return Ok(Reading::TimedOut);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => bytes.clear(),
            Err(error) => return Err(error).context("cannot read a sandbox's output"),
        }
    }
}

/// Keeps the first bytes of a stream and remembers whether there were more.
struct Limited {
    bytes: Vec<u8>,
    limit: usize,
    overflowed: bool,
}

impl Limited {
    fn new(limit: u64) -> Limited {
        Limited {
            bytes: Vec::new(),
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            overflowed: false,
        }
    }
}

impl Write for Limited {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let room = self.limit - self.bytes.len();
        self.bytes
            .extend_from_slice(&buffer[..buffer.len().min(room)]);
        self.overflowed |= buffer.len() > room;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_cut_and_the_cut_is_known() {
        let mut stream = Limited::new(4);
        stream.write_all(b"abc").unwrap();
        assert!(!stream.overflowed);
        stream.write_all(b"d").unwrap();
        assert!(!stream.overflowed);
        stream.write_all(b"e").unwrap();
        assert!(stream.overflowed);
        assert_eq!(stream.bytes, b"abcd");
    }
}
