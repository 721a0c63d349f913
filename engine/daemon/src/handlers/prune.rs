//! POST /networks/prune, /volumes/prune and /build/prune: this engine has no networks of its users, no named
//! volumes and no build cache, so there is nothing to remove. The filters are checked and the events sent all
//! the same, since `system prune` and its readers count on both.

use drydock_api::Error;
use drydock_api::filters::Filters;
use serde_json::json;

use crate::engine::Engine;
use crate::http::{Answer, Request};

/// POST /networks/prune.
///
/// # Errors
/// 400 for bad filters.
pub fn networks(engine: &Engine, request: &Request) -> Result<Answer, Error> {
    let filters = Filters::parse(request.query.get("filters"))?;
    filters.validate(&["label", "label!", "until"])?;
    tell(engine, "network");
    Ok(Answer::json(&json!({"NetworksDeleted": null})))
}

/// POST /volumes/prune.
///
/// # Errors
/// 400 for bad filters.
pub fn volumes(engine: &Engine, request: &Request) -> Result<Answer, Error> {
    let filters = Filters::parse(request.query.get("filters"))?;
    filters.validate(&["all", "label", "label!"])?;
    filters.boolean("all")?;
    tell(engine, "volume");
    Ok(Answer::json(
        &json!({"VolumesDeleted": [], "SpaceReclaimed": 0}),
    ))
}

/// POST /build/prune.
///
/// # Errors
/// 400 for filters that are none.
pub fn builds(engine: &Engine, request: &Request) -> Result<Answer, Error> {
    Filters::parse(request.query.get("filters"))?;
    tell(engine, "builder");
    Ok(Answer::json(
        &json!({"CachesDeleted": null, "SpaceReclaimed": 0}),
    ))
}

fn tell(engine: &Engine, kind: &'static str) {
    engine
        .events
        .publish(kind, "prune", "", &[("reclaimed", "0")]);
}
