//! GET /system/df: what takes how much room.

use std::collections::BTreeMap;

use drydock_api::Error;
use drydock_image::Digest;
use serde_json::{Value, json};

use super::images::{Shared, entry, newest_first};
use crate::containers::{container::blocking, list};
use crate::engine::Engine;
use crate::http::{Answer, Request};

/// The kinds of objects that may be asked for.
const KINDS: [&str; 4] = ["container", "image", "volume", "build-cache"];

/// GET /system/df. The kinds are in `type`; all of them where that is not given.
///
/// # Errors
/// 400 for a kind that there is not.
pub fn handle(engine: &Engine, request: &Request) -> Result<Answer, Error> {
    let wanted = request.query.all("type");
    if let Some(kind) = wanted.iter().find(|kind| !KINDS.contains(&kind.as_str())) {
        return Err(Error::invalid(format!("unknown object type: {kind}")));
    }
    let wants = |kind: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == kind);
    let part = |kind: &str, make: &dyn Fn() -> Value| match wants(kind) {
        true => make(),
        false => Value::Null,
    };
    let none = || json!([]);
    Ok(Answer::json(&json!({
        "LayersSize": if wants("image") { layers_size(engine) } else { 0 },
        "Images": part("image", &|| images(engine)),
        "Containers": part("container", &|| blocking(|| json!(list::with_sizes(engine)))),
        // There are no named volumes and no build cache in this engine yet.
        "Volumes": part("volume", &none),
        "BuildCache": part("build-cache", &none),
    })))
}

/// The bytes of all layers, each counted once.
fn layers_size(engine: &Engine) -> u64 {
    let images = engine.images.list();
    let layers = images
        .iter()
        .flat_map(|image| image.chain_ids.iter().zip(&image.layer_sizes));
    let layers: BTreeMap<&Digest, &u64> = layers.collect();
    layers.values().copied().sum()
}

fn images(engine: &Engine) -> Value {
    let images = newest_first(engine, false);
    let shared = Shared::of(&images);
    let show = |image| {
        let mut entry = entry(engine, image, Some(&shared));
        // Here Docker has null where the list of images has an empty list.
        for key in ["RepoTags", "RepoDigests"] {
            if entry[key] == json!([]) {
                entry[key] = Value::Null;
            }
        }
        entry
    };
    images.iter().map(|image| show(image)).collect()
}
