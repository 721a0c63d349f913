//! POST /containers/{id}/rename.

use std::sync::Arc;

use drydock_api::Error;
use drydock_defects::defect;

use super::names;
use crate::engine::Engine;
use crate::http::{Answer, Request};

/// POST /containers/{id}/rename.
///
/// # Errors
/// Docker's 400, 404 and 409.
pub async fn handle(engine: &Arc<Engine>, request: &Request) -> Result<Answer, Error> {
    let new = request.query.get("name");
    if new.is_empty() {
        return Err(Error::invalid("Neither old nor new names may be empty"));
    }
    let container = engine.containers.find(&request.name)?;
    let _changing = container.lifecycle.lock().await;
    let old = container.snapshot().name.clone();
    let name = new.strip_prefix('/').unwrap_or(new);
    if name == old {
        return Err(Error::invalid(
            "Renaming a container with the same name as its current name",
        ));
    }
    let failed = |error: Error| {
        Error::from_status(
            error.status(),
            format!("Error when allocating new name: {error}"),
        )
    };
    names::check(name, &format!("/{name}")).map_err(failed)?;
    engine
        .containers
        .reserve(name, &container.id)
        .map_err(failed)?;
    let record = container.publish(|record| record.name = name.to_owned());
    if let Err(error) = container.save() {
        container.publish(|record| record.name.clone_from(&old));
        engine.containers.release_name(name);
        return Err(Error::system(error));
    }
    if !defect!("rename-keeps-old-name") {
        engine.containers.release_name(&old);
    }
    engine
        .events
        .container(&record, "rename", &[("oldName", &format!("/{old}"))]);
    Ok(Answer::done())
}
