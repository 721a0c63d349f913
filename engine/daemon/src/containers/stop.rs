//! POST /containers/{id}/stop: the stop signal, patience, SIGKILL.

use std::sync::Arc;
use std::time::Duration;

use drydock_api::Error;
use drydock_defects::defect;
use tokio::sync::watch;

use super::container::Ends;
use super::{Container, Status, exit, kill, signals};
use crate::engine::Engine;
use crate::http::{Answer, Request};

/// Docker's patience where neither the request nor the container says another, seconds.
const PATIENCE: i64 = 10;

/// How long an end may take after SIGKILL, or when the signal could not be sent.
const GRACE: Duration = Duration::from_secs(2);

/// POST /containers/{id}/stop.
///
/// # Errors
/// 304 when it does not run, 404, and 500 for everything else, also for a bad signal, as Docker.
pub async fn handle(engine: &Arc<Engine>, request: &Request) -> Result<Answer, Error> {
    let patience = request.query.integer("t")?;
    let container = engine.containers.find(&request.name)?;
    if !container.snapshot().is_running() {
        return Err(Error::NotModified);
    }
    stop(engine, &container, request.query.get("signal"), patience)
        .await
        .map_err(|error| {
            Error::system(format!("cannot stop container: {}: {error}", request.name))
        })?;
    Ok(Answer::done())
}

/// Stops a running container and returns when it has ended.
///
/// # Errors
/// 400 for a bad signal, 500 when it cannot be ended.
pub async fn stop(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    signal: &str,
    patience: Option<i64>,
) -> Result<(), Error> {
    let record = container.snapshot();
    let text = if defect!("stop-signal-ignored") {
        "TERM"
    } else if signal.is_empty() {
        record.config_text("StopSignal")
    } else {
        signal
    };
    let signal = if text.is_empty() {
        15
    } else {
        signals::parse(text)?
    };
    signals::check_supported(signal)?;
    let own = record
        .config
        .get("StopTimeout")
        .and_then(serde_json::Value::as_i64);
    let patience = patience.or(own).unwrap_or(PATIENCE);
    let signal = if defect!("stop-kills-at-once") {
        kill::KILL
    } else {
        signal
    };
    if !begin(container).await? {
        engine.events.container(&container.snapshot(), "stop", &[]);
        return Ok(());
    }
    let result = end(engine, container, signal, patience).await;
    let told = {
        let mut live = container.live();
        let told = live.stops == 0;
        live.stops = live.stops.saturating_sub(1);
        told
    };
    if result.is_ok() && !told {
        engine.events.container(&container.snapshot(), "stop", &[]);
    }
    result
}

/// Sees to it that the restart policy does not apply to the end that is coming, or calls off the restart that it has
/// planned. Returns whether there is something to end.
///
/// Under the lifecycle lock, which every start and every end holds: an end between the look at the state and the mark
/// would be followed by a restart, and a start that is under way would take the mark away. Either way the container
/// would run on although its stop was answered.
async fn begin(container: &Container) -> Result<bool, Error> {
    let _changing = container.lifecycle.lock().await;
    match container.snapshot().state.status {
        Status::Running => {
            {
                let mut live = container.live();
                live.exit_on_next = true;
                live.stops += 1;
            }
            container.publish(|record| record.manually_stopped = true);
            if let Err(error) = container.save() {
                tracing::warn!("{error}");
            }
            Ok(true)
        }
        Status::Restarting => call_off(container).map(|()| false),
        _ => Ok(false),
    }
}

async fn end(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    signal: i32,
    patience: i64,
) -> Result<(), Error> {
    let mut ends = container.ends();
    ends.mark_unchanged();
    let still = || container.snapshot().state.status == Status::Running;
    if !still() {
        return Ok(());
    }
    let sent = kill::send(engine, container, signal).await;
    if let Err(error) = &sent {
        tracing::debug!("stop container {}: {error}", container.id);
    }
    let limit = match (sent.is_ok(), u64::try_from(patience)) {
        // Negative: for ever.
        (true, Err(_)) => None,
        (true, Ok(seconds)) => Some(Duration::from_secs(seconds)),
        (false, _) => Some(GRACE),
    };
    if ended(&mut ends, limit).await || !still() {
        return Ok(());
    }
    if let Err(error) = kill::send(engine, container, kill::KILL).await {
        // Most often its end is being told at this moment: a shim goes as soon as all is said.
        return if ended(&mut ends, Some(GRACE)).await || !still() {
            Ok(())
        } else {
            Err(error)
        };
    }
    if ended(&mut ends, Some(GRACE)).await || !still() {
        return Ok(());
    }
    // Docker waits on here; a process that the kernel does not let die ends nothing else's patience.
    if ended(&mut ends, Some(GRACE * 4)).await {
        return Ok(());
    }
    Err(Error::system("it has not ended after SIGKILL"))
}

/// Waits for the end; false when the time is over.
async fn ended(ends: &mut watch::Receiver<Ends>, limit: Option<Duration>) -> bool {
    match limit {
        None => ends.changed().await.is_ok(),
        Some(limit) => tokio::time::timeout(limit, ends.changed()).await.is_ok(),
    }
}

/// Ends the wait of the restart policy: the container is stopped then. The caller holds the lifecycle lock and has seen
/// that there is such a wait.
///
/// # Errors
/// 500 when the record of the last end cannot be removed.
pub fn call_off(container: &Container) -> Result<(), Error> {
    container.live().forget_restarts();
    let record = container.publish(|record| {
        record.state.status = Status::Exited;
        record.manually_stopped = true;
    });
    if let Err(error) = container.save() {
        tracing::warn!("{error}");
    }
    container.notify_end(record.state.exit_code);
    exit::forget_record(container).map_err(Error::system)
}
