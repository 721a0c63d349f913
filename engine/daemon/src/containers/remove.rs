//! DELETE /containers/{id}.
//!
//! The commit is one rename: the container's directory goes to the trash, and with it the record. What is
//! large is deleted later by nobody's waiting.

use std::sync::Arc;
use std::time::Duration;

use drydock_api::Error;
use drydock_defects::defect;

use super::container::blocking;
use super::{Container, Status, kill, links};
use crate::engine::Engine;
use crate::handlers::images::in_use;
use crate::http::{Answer, Request};

/// How long a forced removal waits for the end.
const PATIENCE: Duration = Duration::from_secs(10);

/// DELETE /containers/{id}.
///
/// # Errors
/// 404, 409 when it runs and `force` is not given or another removal is under way.
pub async fn handle(engine: &Arc<Engine>, request: &Request) -> Result<Answer, Error> {
    let container = engine.containers.find(&request.name)?;
    if request.query.boolean("link") {
        links::remove(engine, &request.name).await?;
        return Ok(Answer::done());
    }
    remove(
        engine,
        &container,
        &request.name,
        request.query.boolean("force"),
    )
    .await?;
    Ok(Answer::done())
}

/// Removes a container; `shown` is the name as the user gave it.
///
/// # Errors
/// As [`handle`].
pub async fn remove(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    shown: &str,
    force: bool,
) -> Result<(), Error> {
    let record = container.snapshot();
    let blocked = match record.state.status {
        Status::Running | Status::Starting => Some("running"),
        Status::Restarting => Some("restarting"),
        Status::Removing => {
            return Err(Error::Conflict(format!(
                "removal of container {shown} is already in progress"
            )));
        }
        Status::Created | Status::Exited | Status::Dead => None,
    };
    let force = force || defect!("running-container-removed");
    if record.is_paused() && !force {
        return Err(Error::Conflict(format!(
            "cannot remove container \"{shown}\": container is paused and must be unpaused first"
        )));
    }
    if let Some(word) = blocked.filter(|_| !force) {
        return Err(Error::Conflict(format!(
            "cannot remove container \"{shown}\": container is {word}: stop the container before removing or force remove"
        )));
    }
    if blocked.is_some() {
        force_end(engine, container).await?;
    }
    let _changing = container.lifecycle.lock().await;
    if engine.containers.by_id(&container.id).is_none() {
        // With `--rm` its end has removed it.
        return Ok(());
    }
    if container.snapshot().is_running() {
        return Err(Error::Conflict(format!(
            "cannot remove container \"{shown}\": could not kill: it was started again meanwhile"
        )));
    }
    discard(engine, container).await
}

async fn force_end(engine: &Arc<Engine>, container: &Arc<Container>) -> Result<(), Error> {
    let mut ends = container.ends();
    ends.mark_unchanged();
    // It waits for a start that is under way. A signal that cannot be sent most often means that the end is being told at this moment.
    let sent = kill::user_signal(engine, container, kill::KILL).await;
    if !container.snapshot().is_running() {
        return Ok(());
    }
    if tokio::time::timeout(PATIENCE, ends.changed()).await.is_ok() {
        return Ok(());
    }
    sent.and(Err(Error::system(format!(
        "could not kill container {}: it has not ended after SIGKILL",
        container.id
    ))))
}

/// Takes a container that does not run away. The caller holds its lifecycle lock.
///
/// # Errors
/// The operating system's; the container is `dead` then, and can be removed again.
pub async fn discard(engine: &Arc<Engine>, container: &Arc<Container>) -> Result<(), Error> {
    let record = container.publish(|record| record.state.status = Status::Removing);
    container.live().forget_restarts();
    // Clients that wait for a start that will never come.
    container.live().waiting.clear();
    if let Err(error) = blocking(|| {
        engine
            .trash
            .throw(&container.directory, !record.auto_remove())
    }) {
        container.publish(|record| record.state.status = Status::Dead);
        return Err(Error::system(error));
    }
    engine.containers.remove(container);
    engine.events.container(&record, "destroy", &[]);
    container.notify_removed();
    if engine.images.is_removed(&record.image) {
        blocking(|| engine.images.release(&in_use(engine)));
    }
    Ok(())
}
