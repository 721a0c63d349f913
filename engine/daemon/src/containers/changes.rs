//! GET /containers/{id}/changes: which files a container has added, changed and deleted.

use drydock_api::Error;
use drydock_image::difference::{Kind, differences};
use serde_json::{Value, json};

use super::container::blocking;
use crate::engine::Engine;
use crate::http::{Answer, Request};

/// GET /containers/{id}/changes.
///
/// # Errors
/// 404, 500 when the layers cannot be read.
pub fn handle(engine: &Engine, request: &Request) -> Result<Answer, Error> {
    let container = engine.containers.find(&request.name)?;
    let record = container.snapshot();
    let mut layers = vec![engine.skeleton()];
    if let Some(image) = engine.images.by_id(&record.image) {
        layers.extend(engine.images.layers(&image));
    }
    let found = blocking(|| differences(&container.upper(), &layers)).map_err(Error::system)?;
    let change = |(path, kind): &(std::path::PathBuf, Kind)| {
        let kind = match kind {
            Kind::Changed => 0,
            Kind::Added => 1,
            Kind::Deleted => 2,
        };
        json!({"Path": path.to_string_lossy(), "Kind": kind})
    };
    let changes: Vec<Value> = found.iter().map(change).collect();
    // Docker's list is null when nothing has changed.
    let changes = if changes.is_empty() {
        Value::Null
    } else {
        Value::from(changes)
    };
    Ok(Answer::json(&changes))
}
