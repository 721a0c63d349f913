//! What the daemon does with the records it finds when it starts.
//!
//! For each container that was running: is its shim there? Then it is adopted. Did the shim leave an exit
//! record? Then that is its end. Neither (a power cut): it ended with code 255, as in Docker. What was half
//! made is finished or undone, and what belongs to no record is swept. The restart policies come last.

use std::fs;
use std::io;
use std::sync::Arc;

use drydock_shim::protocol::{Answer, ExitRecord, RequestBody, VERSION};
use tokio::sync::mpsc;

use super::policy::Policy;
use super::shim_link::{Event, ShimLink};
use super::start::{self, Trace};
use super::{Container, Record, Status, exit, join, pause, probe, record, remove, sweep};
use crate::engine::{Engine, pid_file};
use crate::handlers::images::in_use;

/// Reads all records and makes them true.
///
/// # Errors
/// When the records cannot be listed. A single record that cannot be read is left alone and said aloud.
pub async fn run(engine: &Arc<Engine>) -> io::Result<()> {
    let containers = read_all(engine)?;
    for container in &containers {
        settle(engine, container).await;
    }
    sweep::run(engine).await;
    engine.images.release(&in_use(engine));
    let mut containers = containers;
    containers.sort_by_key(|container| depth(engine, &container.snapshot(), 0));
    for container in containers {
        apply_policy(engine, &container).await;
    }
    Ok(())
}

/// How many others stand one behind the other before this one can start: those it is linked to, and those whose
/// namespaces it shares. Two that wait for each other are refused at their start.
fn depth(engine: &Engine, record: &Record, below: u32) -> u32 {
    const DEEPEST: u32 = 16;
    let host = record.host();
    let modes = [&host.network_mode, &host.pid_mode, &host.ipc_mode];
    let joined = modes
        .into_iter()
        .flatten()
        .filter_map(|mode| join::named(mode));
    let linked = record.links.iter().map(|link| link.id.as_str());
    joined
        .chain(linked)
        .filter(|_| below < DEEPEST)
        .filter_map(|id| engine.containers.by_id(id))
        .map(|other| 1 + depth(engine, &other.snapshot(), below + 1))
        .max()
        .unwrap_or(0)
}

fn read_all(engine: &Engine) -> io::Result<Vec<Arc<Container>>> {
    let mut containers = Vec::new();
    for entry in fs::read_dir(engine.settings.data_root.join("containers"))? {
        let directory = entry?.path();
        match record::read(&directory) {
            Ok(Some(record)) => containers.extend(register(engine, record, directory)),
            Ok(None) => {
                tracing::info!(
                    "{}: a container that was never completely made is removed",
                    directory.display()
                );
                engine.trash.throw(&directory, true)?;
            }
            Err(error) => tracing::error!("this container is left alone: {error}"),
        }
    }
    Ok(containers)
}

fn register(
    engine: &Engine,
    record: Record,
    directory: std::path::PathBuf,
) -> Option<Arc<Container>> {
    if let Err(error) = engine.containers.reserve(&record.name, &record.id) {
        tracing::error!("container {} is left alone: {error}", record.id);
        return None;
    }
    let container = Arc::new(Container::new(record, directory));
    engine.containers.insert(Arc::clone(&container));
    Some(container)
}

async fn settle(engine: &Arc<Engine>, container: &Arc<Container>) {
    match container.snapshot().state.status {
        Status::Running | Status::Starting => {
            was_running(engine, container).await;
            // The last daemon died in the middle of a commit.
            if container.snapshot().is_running()
                && let Err(error) = pause::let_go(engine, container).await
            {
                tracing::error!("container {}: {error}", container.id);
            }
        }
        Status::Removing | Status::Dead => {
            if let Err(error) = remove::discard(engine, container).await {
                tracing::error!("remove container {}: {error}", container.id);
            }
        }
        Status::Restarting => {
            container.publish(|record| record.state.status = Status::Exited);
            save(container);
        }
        Status::Created | Status::Exited => {}
    }
}

async fn was_running(engine: &Arc<Engine>, container: &Arc<Container>) {
    let record = container.snapshot();
    let this_boot = pid_file::boot_id().ok();
    // A container that was starting has no boot id yet; its socket, if there is one, is of this boot, because
    // the exec root does not outlive it.
    let may_run = record.state.status == Status::Starting
        || this_boot.as_ref() == Some(&record.state.boot_id);
    if may_run && adopt(engine, container).await {
        return;
    }
    let ended = exit::read_record(container);
    if record.state.status == Status::Starting && ended.is_none() {
        undo_start(engine, container, &record).await;
        return;
    }
    finish(
        engine,
        container,
        ended.unwrap_or_else(|| exit::unseen(container)),
    )
    .await;
}

/// Takes a running container over from its shim; false when there is none that can be spoken to.
async fn adopt(engine: &Arc<Engine>, container: &Arc<Container>) -> bool {
    let Ok((link, events)) =
        ShimLink::connect(&engine.shim_socket(&container.id), &engine.open_links)
    else {
        return false;
    };
    match link.ask(RequestBody::Hello { version: VERSION }, &[]).await {
        Ok(Answer::State {
            exit: Some(ended), ..
        }) => {
            finish(engine, container, ended).await;
            true
        }
        Ok(Answer::State {
            pid, started_at, ..
        }) => {
            running(engine, container, link, events, (pid, started_at));
            true
        }
        Ok(other) => {
            tracing::warn!(
                "container {}: unexpected answer of its shim: {other:?}",
                container.id
            );
            false
        }
        Err(error) => {
            tracing::warn!("container {}: {error}", container.id);
            false
        }
    }
}

fn running(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    link: Arc<ShimLink>,
    events: mpsc::UnboundedReceiver<Event>,
    (pid, started_at): (i32, u64),
) {
    let boot_id = pid_file::boot_id().unwrap_or_default();
    container.live().shim = Some(link);
    let record = container.publish(|record| {
        record.state.status = Status::Running;
        record.state.pid = pid;
        record.state.boot_id = boot_id;
        // A daemon that ended between the shim's answer and its own record left another start's moment. 0: a shim of a
        // build that does not say it.
        if started_at != 0 {
            record.state.started_at = started_at;
        }
        probe::begin(record);
    });
    save(container);
    if !record.is_paused() {
        probe::watch(engine, container);
    }
    if let Some(endpoint) = &record.endpoint {
        engine.network.reserve(endpoint.address);
    }
    tracing::info!("container {} runs on", record.name);
    container.set_torn_down(false);
    tokio::spawn(exit::watch(
        Arc::clone(engine),
        Arc::clone(container),
        events,
    ));
}

/// A start of which nothing came: the container is as before it.
async fn undo_start(engine: &Arc<Engine>, container: &Arc<Container>, record: &Record) {
    let status = if record.state.started_at == 0 {
        Status::Created
    } else {
        Status::Exited
    };
    container.publish(|record| {
        record.state.status = status;
        record.endpoint = None;
    });
    save(container);
    if record.auto_remove()
        && let Err(error) = remove::discard(engine, container).await
    {
        tracing::error!("remove container {}: {error}", container.id);
    }
}

/// The container ended while no daemon was there.
async fn finish(engine: &Arc<Engine>, container: &Arc<Container>, ended: ExitRecord) {
    exit::leave_network(engine, &container.snapshot()).await;
    let record = container.publish(|record| {
        let state = &mut record.state;
        state.status = Status::Exited;
        state.pid = 0;
        state.exit_code = ended.exit_code;
        state.oom_killed = ended.oom_killed;
        // As in `running`.
        if ended.started_at != 0 {
            state.started_at = ended.started_at;
        }
        state.finished_at = ended.finished_at;
        state.set_health(Some(super::health::Status::Unhealthy));
        record.endpoint = None;
    });
    save(container);
    if let Err(error) = exit::forget_record(container) {
        tracing::warn!("{error}");
    }
    if record.auto_remove()
        && let Err(error) = remove::discard(engine, container).await
    {
        tracing::error!("remove container {}: {error}", container.id);
    }
}

fn save(container: &Container) {
    if let Err(error) = container.save() {
        tracing::error!("{error}");
    }
}

async fn apply_policy(engine: &Arc<Engine>, container: &Arc<Container>) {
    let record = container.snapshot();
    if record.state.status != Status::Exited || record.state.started_at == 0 {
        return;
    }
    let policy = Policy::of(&record.host());
    if !policy.at_daemon_start(
        record.state.exit_code,
        record.restart_count,
        record.manually_stopped,
    ) {
        return;
    }
    let _changing = container.lifecycle.lock().await;
    if let Err(error) = start::start(engine, container, &mut Trace::default()).await {
        tracing::error!("start container {}: {error}", record.name);
    }
}
