//! What happens when PID 1 ends: publish, tell, wake, and only then clean up.
//!
//! The shim has written the exit record and the whole log before it tells us, so nothing is lost when this
//! daemon dies here: the next one reads the record.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use drydock_defects::defect;
use drydock_shim::protocol::{ExitRecord, Stamp};
use tokio::sync::{mpsc, oneshot};

use super::policy::Policy;
use super::shim_link::Event;
use super::start::{self, Trace, network_of};
use super::{Container, Record, Status, join, probe, remove};
use crate::engine::Engine;

/// The code of a container whose end nobody saw, as Docker's.
pub const UNKNOWN: i32 = 255;

/// Listens to a shim until PID 1 has ended and nothing of the run is left.
pub async fn watch(
    engine: Arc<Engine>,
    container: Arc<Container>,
    mut events: mpsc::UnboundedReceiver<Event>,
) {
    let mut told = false;
    while let Some(event) = events.recv().await {
        match event {
            Event::Exited(record) => {
                told = true;
                ended(&engine, &container, record).await;
            }
            Event::TornDown => break,
            Event::ExecExited { exec_id, exit_code } => {
                super::exec::ended(&engine, &container, &exec_id, exit_code)
            }
        }
    }
    if !told {
        // The shim is gone without a word: its last act is the record on disk, if it came so far.
        let record = read_record(&container).unwrap_or_else(|| unseen(&container));
        ended(&engine, &container, record).await;
    }
    container.set_torn_down(true);
}

/// The exit record that a shim left.
pub fn read_record(container: &Container) -> Option<ExitRecord> {
    let text = std::fs::read(container.exit_record()).ok()?;
    serde_json::from_slice(&text)
        .inspect_err(|error| tracing::warn!("{}: {error}", container.exit_record().display()))
        .ok()
}

/// The record of an end that nobody saw.
pub fn unseen(container: &Container) -> ExitRecord {
    tracing::warn!("container {}: nobody saw it end", container.id);
    ExitRecord {
        exit_code: UNKNOWN,
        oom_killed: false,
        started_at: container.snapshot().state.started_at,
        finished_at: drydock_sys::clock::realtime(),
    }
}

/// Takes the end of PID 1 into the record and does what the policies say.
pub async fn ended(engine: &Arc<Engine>, container: &Arc<Container>, exit: ExitRecord) {
    let mut stamps = vec![stamp("exit told")];
    let _changing = container.lifecycle.lock().await;
    let before = container.snapshot();
    if before.state.status != Status::Running {
        return;
    }
    let delay = restart_delay(container, &before, &exit);
    let (kept, health) = {
        let mut live = container.live();
        live.shim = None;
        (std::mem::take(&mut live.kept), probe::end(&mut live))
    };
    let after = container.publish(|record| {
        let state = &mut record.state;
        state.status = if delay.is_some() {
            Status::Restarting
        } else {
            Status::Exited
        };
        state.pid = 0;
        state.exit_code = exit.exit_code;
        state.oom_killed = exit.oom_killed;
        state.finished_at = exit.finished_at;
        state.set_health(health);
        record.endpoint = None;
        // Docker counts when it decides, not when the delay is over.
        record.restart_count += u32::from(delay.is_some());
    });
    // Two threads of Docker tell these; the one that stops is woken first and nearly always tells first.
    for _ in 0..std::mem::take(&mut container.live().stops) {
        engine.events.container(&after, "stop", &[]);
    }
    tell(engine, &before, &exit);
    stamps.push(stamp("exit published"));
    container.live().end_trace = stamps;
    container.notify_end(exit.exit_code);
    leave_network(engine, &before).await;
    clean_up(engine, container, &before);
    if after.auto_remove() && defect!("rm-flag-ignored") {
        return container.notify_removed();
    }
    if after.auto_remove() && !kept {
        if let Err(error) = remove::discard(engine, container).await {
            tracing::error!("remove container {}: {error}", after.name);
        }
        return;
    }
    if let Err(error) = container.save().and_then(|()| forget_record(container)) {
        tracing::error!("{error}");
    }
    if let Some(delay) = delay {
        schedule(engine, container, delay);
    }
}

fn stamp(step: &str) -> Stamp {
    Stamp {
        step: format!("daemon: {step}"),
        at: drydock_sys::clock::monotonic(),
    }
}

/// The delay before the restart policy starts it again; None when it does not.
fn restart_delay(container: &Container, record: &Record, exit: &ExitRecord) -> Option<Duration> {
    let ran = Duration::from_nanos(exit.finished_at.saturating_sub(record.state.started_at));
    let mut live = container.live();
    let policy = Policy::of(&record.host());
    if live.exit_on_next
        || !policy.after_end(
            exit.exit_code,
            record.restart_count,
            record.manually_stopped,
        )
    {
        return None;
    }
    Some(live.backoff.next(ran))
}

/// The events of an end, in an order that Docker also gives.
fn tell(engine: &Engine, record: &Record, exit: &ExitRecord) {
    if exit.oom_killed {
        engine.events.container(record, "oom", &[]);
    }
    disconnected(engine, record);
    if defect!("die-event-missing") {
        return;
    }
    let seconds = exit.finished_at.saturating_sub(record.state.started_at) / 1_000_000_000;
    let code = exit.exit_code.to_string();
    engine.events.container(
        record,
        "die",
        &[("execDuration", &seconds.to_string()), ("exitCode", &code)],
    );
}

/// The event of a container that left its network.
pub fn disconnected(engine: &Engine, record: &Record) {
    if join::named(record.network_mode()).is_some() {
        return;
    }
    let (id, kind) = network_of(engine, record);
    engine.events.publish(
        "network",
        "disconnect",
        id,
        &[
            ("container", &record.id),
            ("name", record.network_mode()),
            ("type", kind),
        ],
    );
}

/// Takes the container off the bridge where its network namespace does not end with it.
pub async fn leave_network(engine: &Engine, record: &Record) {
    if record.endpoint.is_some()
        && join::network_is_shared(engine, &record.id)
        && let Err(error) = engine.network.disconnect(&record.id).await
    {
        tracing::error!("the network of container {}: {error}", record.name);
    }
}

/// Gives back what the run held. The network namespace ended with its last process.
fn clean_up(engine: &Engine, container: &Container, record: &Record) {
    if let Some(endpoint) = &record.endpoint {
        engine.network.release(endpoint.address);
    }
    super::exec::all_ended(container);
    remove_file(&engine.shim_socket(&record.id));
}

fn remove_file(path: &std::path::Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!("remove {}: {error}", path.display())
        }
        _ => {}
    }
}

/// Removes the shim's record, which is in ours now.
pub fn forget_record(container: &Container) -> io::Result<()> {
    match std::fs::remove_file(container.exit_record()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Starts a container again after a delay, unless a stop comes before.
pub fn schedule(engine: &Arc<Engine>, container: &Arc<Container>, delay: Duration) {
    let (cancel, cancelled) = oneshot::channel();
    container.live().cancel_restart = Some(cancel);
    let (engine, container) = (Arc::clone(engine), Arc::clone(container));
    tokio::spawn(async move {
        tokio::select! {
            _ = cancelled => {}
            () = tokio::time::sleep(delay) => again(&engine, &container).await,
        }
    });
}

/// Boxed, because an end may start the container, whose end may start it again.
fn again<'a>(
    engine: &'a Arc<Engine>,
    container: &'a Arc<Container>,
) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
    Box::pin(async move {
        let _changing = container.lifecycle.lock().await;
        if container.snapshot().state.status != Status::Restarting {
            return;
        }
        container.live().cancel_restart = None;
        if let Err(error) = start::start(engine, container, &mut Trace::default()).await {
            tracing::warn!("restart container {}: {error}", container.id);
            container.notify_end(container.snapshot().state.exit_code);
        }
    })
}
