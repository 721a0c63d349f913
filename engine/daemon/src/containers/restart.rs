//! POST /containers/{id}/restart: stop if it runs, then start.

use std::sync::Arc;

use drydock_api::Error;

use super::{Container, start, stop};
use crate::engine::Engine;
use crate::http::{Answer, Request};

/// POST /containers/{id}/restart.
///
/// # Errors
/// 404, and 500 for everything else: Docker does not tell a bad signal or a missing program apart here.
pub async fn handle(engine: &Arc<Engine>, request: &Request) -> Result<Answer, Error> {
    let patience = request.query.integer("t")?;
    let container = engine.containers.find(&request.name)?;
    restart(engine, &container, request.query.get("signal"), patience)
        .await
        .map_err(|error| {
            Error::system(format!(
                "Cannot restart container {}: {error}",
                request.name
            ))
        })?;
    Ok(Answer::done())
}

async fn restart(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    signal: &str,
    patience: Option<i64>,
) -> Result<(), Error> {
    if container.snapshot().is_running() {
        container.live().kept = true;
        let stopped = stop::stop(engine, container, signal, patience).await;
        // The end took it, unless there was none.
        container.live().kept = false;
        stopped?;
    }
    let _changing = container.lifecycle.lock().await;
    container.live().forget_restarts();
    container.publish(|record| {
        record.manually_stopped = false;
        record.restart_count = 0;
    });
    match start::start(engine, container, &mut start::Trace::default()).await {
        // Somebody else was faster; it runs, which is what was asked for.
        Ok(()) | Err(Error::NotModified) => {}
        Err(error) => return Err(error),
    }
    engine
        .events
        .container(&container.snapshot(), "restart", &[]);
    Ok(())
}
