//! POST /images/prune: removes the images that nobody uses.

use std::collections::BTreeMap;

use drydock_api::filters::Filters;
use drydock_api::{Error, time};
use drydock_image::{Digest, Image, RemoveOptions, Removed};
use serde_json::{Value, json};

use super::images::{self, created, labels_match, newest_first, removed_line, take_away};
use crate::engine::Engine;
use crate::http::{Answer, Request};

/// POST /images/prune. Without the filter `dangling=false` only images without a tag go.
///
/// # Errors
/// 400 for bad filters, 500 for a bad age, 409 when another prune is under way.
pub fn handle(engine: &Engine, request: &Request) -> Result<Answer, Error> {
    let _pruning = engine.images.begin_prune()?;
    let filters = Filters::parse(request.query.get("filters"))?;
    filters.validate(&["dangling", "label", "label!", "until"])?;
    let dangling_only = filters.boolean("dangling")?.unwrap_or(true);
    let until = until(&filters)?;
    let sizes: BTreeMap<Digest, u64> = engine
        .images
        .list()
        .iter()
        .flat_map(|image| layers(image))
        .collect();
    let mut removed = Vec::new();
    for image in newest_first(engine, false) {
        let old_enough = until.is_none_or(|until| created(&image) <= until);
        if old_enough && labels_match(&filters, &image) {
            for name in names_to_remove(&image, dangling_only) {
                removed.extend(remove(engine, &name));
            }
        }
    }
    let size = |step: &Removed| match step {
        Removed::Deleted(id) => sizes.get(id).copied().unwrap_or(0),
        Removed::Untagged(_) => 0,
    };
    let reclaimed: u64 = removed.iter().map(size).sum();
    let text = reclaimed.to_string();
    engine
        .events
        .publish("image", "prune", "", &[("reclaimed", &text)]);
    let lines: Vec<Value> = removed.iter().map(removed_line).collect();
    let deleted = if lines.is_empty() {
        Value::Null
    } else {
        json!(lines)
    };
    Ok(Answer::json(
        &json!({"ImagesDeleted": deleted, "SpaceReclaimed": reclaimed}),
    ))
}

/// The moment before which an image must have been made. Unlike for containers, Docker's status for a bad one
/// is 500.
fn until(filters: &Filters) -> Result<Option<u64>, Error> {
    match filters.get("until") {
        [] => Ok(None),
        [text] => time::parse_age_or_moment(text, drydock_sys::clock::realtime())
            .map(Some)
            .map_err(Error::system),
        _ => Err(Error::system("more than one until filter specified")),
    }
}

fn layers(image: &Image) -> impl Iterator<Item = (Digest, u64)> {
    let chain_ids = image.chain_ids.iter().copied();
    chain_ids.zip(image.layer_sizes.iter().copied())
}

/// By what an image is removed: all its names, or its id if it has none. Nothing for one that has a tag, where
/// only dangling ones are wanted.
fn names_to_remove(image: &Image, dangling_only: bool) -> Vec<String> {
    if images::has_no_name(image) {
        return vec![image.id.hex()];
    }
    if dangling_only && !image.repo_tags.is_empty() {
        return Vec::new();
    }
    [image.repo_tags.clone(), image.repo_digests.clone()].concat()
}

/// Removes without force. What is in use stays, and that is no error.
fn remove(engine: &Engine, name: &str) -> Vec<Removed> {
    match take_away(engine, name, RemoveOptions::default()) {
        Ok(removed) => removed,
        Err(Error::Conflict(_) | Error::NotFound(_)) => Vec::new(),
        Err(error) => {
            tracing::warn!("prune {name}: {error}");
            Vec::new()
        }
    }
}
