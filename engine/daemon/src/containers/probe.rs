//! Runs the health checks of a container: one task for each, which sleeps between two checks.
//!
//! A check is an exec whose client is the daemon itself. The shim ends it when that client goes
//! ([`drydock_shim::protocol::Exec::ends_with_client`]), so there is one way in which a check is given up, and it holds
//! for all of them: the time is over, the container is paused, the daemon ends or is killed. Nothing is written to disk
//! for a check: the results are in the record, and go to disk with its next change.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use drydock_api::framing;
use drydock_sys::clock;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use super::container::Live;
use super::exec::{self, ExecState, Instance};
use super::health::{Check, Health, Outcome, Status};
use super::{Container, Record, exec_start, names};
use crate::engine::Engine;

/// How much of the output is kept, bytes.
const OUTPUT: usize = 4096;

/// How long the start of a check may take; it does not count for the check's own time.
const START: Duration = Duration::from_secs(30);

/// The checks of a container go on as long as this exists.
#[derive(Debug)]
pub struct Watch {
    _until: oneshot::Sender<()>,
}

/// A run begins: the record's health, where the container is to be checked.
pub fn begin(record: &mut Record) {
    if Check::of(record).is_some() {
        record.state.health.get_or_insert_default().begin();
    }
}

/// Begins the checks of a container that runs. The record's health is as [`begin`] or the last checks left it.
pub fn watch(engine: &Arc<Engine>, container: &Arc<Container>) {
    let Some(check) = Check::of(&container.snapshot()) else {
        return;
    };
    let (until, stopped) = oneshot::channel();
    container.live().watch = Some(Watch { _until: until });
    let task = Task {
        engine: Arc::clone(engine),
        container: Arc::clone(container),
        check,
    };
    tokio::spawn(task.run(stopped));
}

/// Ends the checks: the health to publish with what ends them, for the container is called unhealthy then. None where
/// there were no checks.
pub fn end(live: &mut Live) -> Option<Status> {
    live.watch.take().map(|_| Status::Unhealthy)
}

struct Task {
    engine: Arc<Engine>,
    container: Arc<Container>,
    check: Check,
}

impl Task {
    async fn run(self, mut stopped: oneshot::Receiver<()>) {
        loop {
            tokio::select! {
                _ = &mut stopped => return,
                () = tokio::time::sleep(self.pause()) => {}
            }
            let start = clock::realtime();
            // On the heap, so that a task that sleeps is small.
            let checked = tokio::select! {
                _ = &mut stopped => return,
                checked = Box::pin(self.check()) => checked,
            };
            let (exit_code, output) = checked.unwrap_or_else(|error| (-1, error));
            let outcome = Outcome {
                start,
                end: clock::realtime(),
                exit_code,
                output,
            };
            if !self.take(outcome, &mut stopped) {
                return;
            }
        }
    }

    fn pause(&self) -> Duration {
        let record = self.container.snapshot();
        let ran = clock::realtime().saturating_sub(record.state.started_at);
        let unknown = Health::default();
        let health = record.state.health.as_ref().unwrap_or(&unknown);
        self.check.pause(health, Duration::from_nanos(ran))
    }

    /// Publishes a result, unless the checks have ended meanwhile: then this is false.
    fn take(&self, outcome: Outcome, stopped: &mut oneshot::Receiver<()>) -> bool {
        let mut changed = None;
        {
            // Who ends the checks holds this lock, so the end comes before the look or after the result.
            let _live = self.container.live();
            if stopped.try_recv() != Err(oneshot::error::TryRecvError::Empty) {
                return false;
            }
            self.container.publish(|record| {
                let started_at = record.state.started_at;
                let health = record.state.health.get_or_insert_default();
                changed = health.take(&self.check, outcome, started_at);
            });
        }
        if let Some(status) = changed {
            self.engine.events.container(
                &self.container.snapshot(),
                format!("health_status: {}", status.word()),
                &[],
            );
        }
        true
    }

    /// One check: its exit code and output, or why there is none.
    async fn check(&self) -> Result<(i32, String), String> {
        let failed = |error: io::Error| error.to_string();
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let mut ours = UnixStream::from_std(ours).map_err(failed)?;
        let instance = self.instance().map_err(failed)?;
        let mut ends = self.container.exec_ends();
        let _kept = Kept::new(&self.container, instance.clone());
        self.engine.events.container(
            &self.container.snapshot(),
            format!("exec_create: {}", instance.command()),
            &[("execID", &instance.id)],
        );
        let client = Some((theirs.into(), Vec::new()));
        let starting = exec_start::run(
            &self.engine,
            &self.container,
            &instance,
            &Value::Null,
            client,
        );
        match tokio::time::timeout(START, starting).await {
            Ok(started) => started.map_err(|error| error.to_string())?,
            Err(_) => {
                return Err(format!(
                    "timed out starting health check for container {}",
                    self.container.id
                ));
            }
        }
        let mut output = Output::default();
        let read = tokio::time::timeout(self.check.timeout, output.read(&mut ours)).await;
        // The shim ends a check that is still there.
        drop(ours);
        let code = async {
            loop {
                if let Some(code) = self.exit_code(&instance.id) {
                    return code;
                }
                if ends.changed().await.is_err() {
                    return super::exit::UNKNOWN;
                }
            }
        }
        .await;
        match read {
            Ok(Ok(())) => Ok((code, output.text())),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(self.too_long(&output.text())),
        }
    }

    fn instance(&self) -> io::Result<Instance> {
        Ok(Instance {
            id: names::random_id()?,
            config: json!({"Cmd": self.check.command, "AttachStdout": true, "AttachStderr": true}),
            state: ExecState::Starting,
            pid: 0,
            created: clock::monotonic(),
            ends_with_client: true,
        })
    }

    fn exit_code(&self, id: &str) -> Option<i32> {
        match self.container.live().execs.get(id)?.state {
            ExecState::Ended(code) => Some(code),
            _ => None,
        }
    }

    fn too_long(&self, output: &str) -> String {
        let limit = drydock_template::print::duration(self.check.timeout);
        let text = format!("Health check exceeded timeout ({limit})");
        match output {
            "" => text,
            output => format!("{text}: {output}"),
        }
    }
}

/// An exec instance that is known while it runs. Nobody asks for one of a check later, and those of a thousand
/// containers would add up.
struct Kept<'a> {
    container: &'a Container,
    id: String,
}

impl<'a> Kept<'a> {
    fn new(container: &'a Container, instance: Instance) -> Kept<'a> {
        let id = instance.id.clone();
        exec::keep(container, instance);
        Kept { container, id }
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.container.live().execs.remove(&self.id);
    }
}

/// What a check has printed on both of its streams, up to a limit.
#[derive(Debug, Default)]
struct Output {
    bytes: Vec<u8>,
    cut: bool,
}

impl Output {
    /// Reads to the end: what is over the limit is read too, for nobody waits for a reader that has enough.
    async fn read(&mut self, stream: &mut UnixStream) -> io::Result<()> {
        let mut frames = framing::Decoder::default();
        let mut buffer = vec![0; OUTPUT];
        loop {
            match stream.read(&mut buffer).await? {
                0 => return Ok(()),
                length => frames.take(&buffer[..length], |piece| self.push(piece)),
            }
        }
    }

    fn push(&mut self, piece: &[u8]) {
        let room = OUTPUT - self.bytes.len();
        self.cut |= piece.len() > room;
        self.bytes
            .extend_from_slice(&piece[..room.min(piece.len())]);
    }

    /// As text: each byte that is not UTF-8 is one U+FFFD, as in Docker's answers.
    fn text(&self) -> String {
        let mut text = String::with_capacity(self.bytes.len());
        for chunk in self.bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
        }
        if self.cut {
            text.push_str("...");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_has_a_limit() {
        let mut output = Output::default();
        output.push(&[b'x'; 4000]);
        assert_eq!(output.text().len(), 4000);
        output.push(&[b'y'; 96]);
        assert_eq!(output.text().len(), 4096);
        output.push(b"z");
        output.push(b"z");
        assert_eq!(output.text().len(), 4099);
        assert!(output.text().ends_with("y..."));
    }

    #[test]
    fn bytes_that_are_no_text_are_marked_one_by_one() {
        let mut output = Output::default();
        output.push(b"a\xff\xe2\x82b");
        assert_eq!(output.text(), "a\u{fffd}\u{fffd}\u{fffd}b");
    }
}
