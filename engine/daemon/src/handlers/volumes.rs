//! GET /volumes and /volumes/{name}: named volumes are not built, so there are none.

use drydock_api::Error;
use drydock_api::filters::Filters;
use serde_json::json;

use crate::http::{Answer, Request};

/// GET /volumes.
///
/// # Errors
/// 400 for bad filters.
pub fn list(request: &Request) -> Result<Answer, Error> {
    let filters = Filters::parse(request.query.get("filters"))?;
    filters.validate(&["dangling", "driver", "label", "name"])?;
    Ok(Answer::json(&json!({"Volumes": [], "Warnings": null})))
}

/// GET /volumes/{name}.
///
/// # Errors
/// Docker's 404, always.
pub fn inspect(request: &Request) -> Result<Answer, Error> {
    Err(Error::NotFound(format!(
        "get {}: no such volume",
        request.name
    )))
}
