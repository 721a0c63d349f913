//! POST /containers/{id}/pause and /unpause: all processes stand still, and go on.
//!
//! A paused container is one that runs, with a mark: what holds for a running one holds for it, and only few verbs
//! have to look. A signal that ends it cannot arrive while it stands still, so such a signal lets it go on.

use std::sync::Arc;

use drydock_api::Error;
use drydock_shim::protocol::{Control, RequestBody};

use super::{Container, Status, kill, probe};
use crate::engine::Engine;
use crate::http::{Answer, Request};

/// POST /containers/{id}/pause.
///
/// # Errors
/// 404, and 409 when it does not run or is paused already.
pub async fn pause(engine: &Arc<Engine>, request: &Request) -> Result<Answer, Error> {
    let container = engine.containers.find(&request.name)?;
    let _changing = container.lifecycle.lock().await;
    let record = container.snapshot();
    match record.state.status {
        Status::Running if record.is_paused() => {
            return Err(Error::Conflict(format!(
                "Container {} is already paused",
                record.id
            )));
        }
        Status::Running => {}
        Status::Restarting => return Err(restarting(&record.id)),
        _ => return Err(kill::not_running(&record.id)),
    }
    freeze(&container, true).await?;
    mark(&container, true);
    engine.events.container(&container.snapshot(), "pause", &[]);
    Ok(Answer::done())
}

/// Pauses a container that runs, for the time of a commit; does nothing to one that stands still anyway.
///
/// # Errors
/// 500 when the shim says so.
pub async fn hold(engine: &Engine, container: &Container) -> Result<(), Error> {
    let _changing = container.lifecycle.lock().await;
    let record = container.snapshot();
    if record.state.status != Status::Running || record.is_paused() {
        return Ok(());
    }
    // The intent is on disk before the effect: a daemon that dies meanwhile leaves no container standing still.
    container.publish(|record| record.state.held = true);
    container.save().map_err(Error::system)?;
    if let Err(error) = freeze(container, true).await {
        mark(container, false);
        return Err(error);
    }
    mark(container, true);
    engine.events.container(&container.snapshot(), "pause", &[]);
    Ok(())
}

/// Ends what [`hold`] began. A user who let the container go on meanwhile, or paused it again, is not undone.
///
/// # Errors
/// 500 when the shim says so.
pub async fn let_go(engine: &Arc<Engine>, container: &Arc<Container>) -> Result<(), Error> {
    if !container.snapshot().state.held {
        return Ok(());
    }
    let _changing = container.lifecycle.lock().await;
    if engine.containers.by_id(&container.id).is_none() {
        // It was removed meanwhile, and its record with it.
        return Ok(());
    }
    let record = container.snapshot();
    match record.state.held {
        true if record.is_paused() => go_on(engine, container).await,
        true => {
            mark(container, false);
            Ok(())
        }
        false => Ok(()),
    }
}

/// POST /containers/{id}/unpause.
///
/// # Errors
/// 404, and Docker's 500 when it is not paused.
pub async fn unpause(engine: &Arc<Engine>, request: &Request) -> Result<Answer, Error> {
    let container = engine.containers.find(&request.name)?;
    let _changing = container.lifecycle.lock().await;
    if !container.snapshot().is_paused() {
        return Err(Error::system(format!(
            "Container {} is not paused",
            container.id
        )));
    }
    go_on(engine, &container).await?;
    Ok(Answer::done())
}

/// Lets a paused container go on; nothing for one that is not paused.
///
/// # Errors
/// 409 when it does not run, 500 when the shim says so.
pub async fn go_on(engine: &Arc<Engine>, container: &Arc<Container>) -> Result<(), Error> {
    if !container.snapshot().is_paused() {
        return Ok(());
    }
    freeze(container, false).await?;
    mark(container, false);
    probe::watch(engine, container);
    engine
        .events
        .container(&container.snapshot(), "unpause", &[]);
    Ok(())
}

/// Docker's text for a verb that needs a container which really runs.
pub fn restarting(id: &str) -> Error {
    Error::Conflict(format!(
        "Container {id} is restarting, wait until the container is running"
    ))
}

async fn freeze(container: &Container, frozen: bool) -> Result<(), Error> {
    let shim = container.live().shim.clone();
    let shim = shim.ok_or_else(|| kill::not_running(&container.id))?;
    let order = RequestBody::Control(Control::Freeze { frozen });
    shim.order(order, &[]).await.map_err(|error| {
        let verb = if frozen { "pause" } else { "unpause" };
        Error::system(format!("Cannot {verb} container {}: {error}", container.id))
    })
}

/// What stands still is not checked, and called unhealthy; when it goes on, it is so until a check succeeds.
fn mark(container: &Container, paused: bool) {
    let health = probe::end(&mut container.live());
    container.publish(|record| {
        record.state.paused = paused;
        record.state.held &= paused;
        record.state.set_health(health);
    });
    if let Err(error) = container.save() {
        tracing::error!("{error}");
    }
}
