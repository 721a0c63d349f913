//! POST /containers/prune: removes all that do not run.

use std::sync::Arc;

use drydock_api::Error;
use drydock_api::filters::Filters;
use drydock_api::time;
use serde_json::{Value, json};

use super::{Status, inspect, remove};
use crate::engine::Engine;
use crate::http::{Answer, Request};

/// POST /containers/prune.
///
/// # Errors
/// 400 for bad filters.
pub async fn handle(engine: &Arc<Engine>, request: &Request) -> Result<Answer, Error> {
    let filters = Filters::parse(request.query.get("filters"))?;
    filters.validate(&["label", "label!", "until"])?;
    let until = match filters.get("until") {
        [] => None,
        [text] => Some(time::parse_age_or_moment(
            text,
            drydock_sys::clock::realtime(),
        )?),
        _ => return Err(Error::invalid("more than one until filter specified")),
    };
    let mut deleted = Vec::new();
    let mut reclaimed = 0;
    for container in engine.containers.all() {
        let record = container.snapshot();
        let idle = matches!(
            record.state.status,
            Status::Created | Status::Exited | Status::Dead
        );
        let wanted = filters.labels_match(|key| record.label(key))
            && until.is_none_or(|until| record.created < until);
        if !idle || !wanted {
            continue;
        }
        let size = inspect::writable_size(&container);
        match remove::remove(engine, &container, &record.id, false).await {
            Ok(()) => {
                reclaimed += size;
                deleted.push(record.id.clone());
            }
            Err(error) => tracing::warn!("prune: {error}"),
        }
    }
    let reclaimed_text = reclaimed.to_string();
    engine
        .events
        .publish("container", "prune", "", &[("reclaimed", &reclaimed_text)]);
    let deleted = if deleted.is_empty() {
        Value::Null
    } else {
        json!(deleted)
    };
    Ok(Answer::json(
        &json!({"ContainersDeleted": deleted, "SpaceReclaimed": reclaimed}),
    ))
}
