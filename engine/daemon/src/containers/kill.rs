//! POST /containers/{id}/kill: a signal for PID 1.

use std::sync::Arc;
use std::time::Duration;

use drydock_api::Error;
use drydock_defects::defect;
use drydock_shim::protocol::{Answer, RequestBody};

use super::{Container, Record, Status, pause, signals};
use crate::engine::Engine;
use crate::http::{Answer as HttpAnswer, Request};

/// SIGKILL.
pub const KILL: i32 = 9;

/// POST /containers/{id}/kill.
///
/// # Errors
/// 400 for a bad signal, 404, and 409 when it does not run; all texts begin with what was tried, as Docker's.
pub async fn handle(engine: &Arc<Engine>, request: &Request) -> Result<HttpAnswer, Error> {
    let failed = |error: Error| {
        Error::from_status(
            error.status(),
            format!("cannot kill container: {}: {error}", request.name),
        )
    };
    let signal = match request.query.get("signal") {
        "" => KILL,
        text => signals::parse(text).map_err(failed)?,
    };
    signals::check_supported(signal).map_err(failed)?;
    let container = engine.containers.find(&request.name).map_err(failed)?;
    let mut ends = container.ends();
    ends.mark_unchanged();
    user_signal(engine, &container, signal)
        .await
        .map_err(failed)?;
    if signal == KILL {
        // Docker answers when the container has ended; a process in the kernel may take its time.
        let ended = ends.changed();
        if tokio::time::timeout(Duration::from_secs(10), ended)
            .await
            .is_err()
        {
            tracing::warn!(
                "container {} has not ended 10 s after SIGKILL",
                container.id
            );
        }
    }
    Ok(HttpAnswer::done())
}

/// A user's signal: the restart policy does not apply to an end that follows from it.
///
/// # Errors
/// 409 when it does not run.
pub async fn user_signal(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    signal: i32,
) -> Result<(), Error> {
    if mark(container, signal).await? {
        send(engine, container, signal).await?;
    }
    Ok(())
}

/// Sees to it that the restart policy does not apply to the end that may follow, or calls off the restart that it has
/// planned. Returns whether there is a process for the signal.
///
/// Under the lifecycle lock, for the reasons that [`super::stop`] gives where it does the same.
async fn mark(container: &Container, signal: i32) -> Result<bool, Error> {
    let _changing = container.lifecycle.lock().await;
    let record = container.snapshot();
    match record.state.status {
        Status::Running => {}
        Status::Restarting if signal == KILL => {
            return super::stop::call_off(container).map(|()| false);
        }
        _ => return Err(not_running(&container.id)),
    }
    if stops(&record, signal) && !defect!("restart-after-kill") {
        container.live().exit_on_next = true;
    }
    container.publish(|record| record.manually_stopped = true);
    if let Err(error) = container.save() {
        tracing::warn!("{error}");
    }
    Ok(true)
}

/// Whether a container is meant to end by a signal, as Docker sees it: without a stop signal of its own by any.
fn stops(record: &Record, signal: i32) -> bool {
    let own = record.config_text("StopSignal");
    own.is_empty() || signal == KILL || signals::parse(own) == Ok(signal)
}

/// Docker's text for a verb that needs a running container.
pub fn not_running(id: &str) -> Error {
    Error::Conflict(format!("container {id} is not running"))
}

/// Sends a signal through the shim, which holds PID 1 by a descriptor, so it cannot hit another process.
///
/// # Errors
/// 409 when it does not run, 500 when the shim says so.
pub async fn send(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    signal: i32,
) -> Result<(), Error> {
    let shim = container.live().shim.clone();
    let Some(shim) = shim else {
        return Err(not_running(&container.id));
    };
    // Before the signal: the end that it causes must come after it.
    let record = container.snapshot();
    engine
        .events
        .container(&record, "kill", &[("signal", &signal.to_string())]);
    let answer = shim.ask(RequestBody::Kill { signal }, &[]).await;
    match answer.map_err(|error| error.of(&container.id))? {
        // It cannot arrive while the process stands still.
        Answer::Done if record.is_paused() && stops(&record, signal) => {
            // The end that the signal causes waits for this lock: it is told after "unpause".
            let _changing = container.lifecycle.lock().await;
            pause::go_on(engine, container).await
        }
        Answer::Done => Ok(()),
        // PID 1 has ended, and the shim is about to say so.
        _ => Err(not_running(&container.id)),
    }
}
