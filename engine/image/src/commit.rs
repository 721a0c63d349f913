//! `docker commit`: an image of what a container has changed on top of its own image.
//!
//! Two steps, so that the caller can look at the container between them: [`Store::pack_layer`] copies, which
//! takes as long as there are files, and [`Store::commit`] makes the image in one durable step. Until then
//! nothing is to be seen of it, and what is left in `tmp/` by a killed daemon goes when the store opens.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::digest::Digest;
use crate::error::{Context, Error};
use crate::image::{Image, LAYERS_MAX};
use crate::layer::{Pin, StagedLayer, chain_ids};
use crate::pack::Packing;
use crate::reference::Reference;
use crate::store::{Staged, Store};
use crate::time::{now_nanoseconds, rfc3339};

/// What `commit` is told beside the files.
#[derive(Clone, Debug, Default)]
pub struct CommitOptions {
    /// The name of the new image; `latest` is added if it has no tag.
    pub reference: Option<Reference>,
    /// The `config` object of the new image.
    pub config: Map<String, Value>,
    /// `--author`.
    pub author: String,
    /// `--message`.
    pub message: String,
    /// What the container ran, for the history.
    pub created_by: String,
}

/// The copy of a writable layer, which is removed again if it becomes no image.
pub struct PackedLayer {
    base: Arc<Image>,
    /// None where nothing was changed.
    layer: Option<(StagedLayer, Digest)>,
    /// The layers below are needed, even if their image is removed meanwhile.
    _pins: Vec<Pin>,
}

impl Store {
    /// Copies a container's writable layer, overlayfs's upper directory, above `base`.
    pub fn pack_layer(&self, upper: &Path, base: &Arc<Image>) -> Result<PackedLayer, Error> {
        if base.diff_ids.len() >= LAYERS_MAX {
            return Err(Error::System(format!(
                "max depth exceeded: the image has {LAYERS_MAX} layers already"
            )));
        }
        let pins = base.chain_ids.iter().map(|id| self.layers.pin(*id));
        let pins = pins.collect();
        let directory = File::open(upper).context("open", upper)?;
        let mut archive = Packing::start(directory.into()).context("pack", upper)?;
        let chain_id = |diff_id| top_chain_id(base, diff_id);
        let (layer, diff_id) = self.stage_archive(&mut archive, chain_id, None)?;
        // An archive without members, two blocks of zeros: nothing was changed, and that needs no layer.
        let changed = diff_id != Digest::of(&[0; 1024]);
        Ok(PackedLayer {
            base: Arc::clone(base),
            layer: changed.then_some((layer, diff_id)),
            _pins: pins,
        })
    }

    /// Makes the image. Returns its id.
    pub fn commit(&self, packed: PackedLayer, options: CommitOptions) -> Result<Digest, Error> {
        check_reference(options.reference.as_ref())?;
        let now = now_nanoseconds();
        let diff_id = packed.layer.as_ref().map(|(_, diff_id)| *diff_id);
        let document = document(&packed.base, diff_id, &options, now)?;
        let id = Digest::of(&document);
        let layers = packed.layer.map(|(layer, _)| layer);
        let staged = Staged {
            layers: layers.into_iter().collect(),
            blobs: vec![self.blobs.stage(&self.workshop, &document)?],
        };
        let base = packed.base.id;
        self.change(Some(&staged), |names| {
            let has_base = names.images.get(&base).is_some_and(|entry| !entry.removed);
            let entry = names.images.entry(id).or_default();
            entry.removed = false;
            entry.parent = has_base.then_some(base);
            if let Some(reference) = options.reference {
                entry.last_tagged = Some(now);
                names.references.insert(reference.with_default_tag(), id);
            }
            Ok(())
        })?;
        Ok(id)
    }
}

/// Refuses a name with a digest: only the contents give an image one.
fn check_reference(reference: Option<&Reference>) -> Result<(), Error> {
    match reference.is_some_and(|reference| reference.digest().is_some()) {
        true => Err(Error::InvalidParameter(
            "cannot import digest reference".into(),
        )),
        false => Ok(()),
    }
}

fn top_chain_id(base: &Image, diff_id: Digest) -> Digest {
    let mut diff_ids = base.diff_ids.clone();
    diff_ids.push(diff_id);
    chain_ids(&diff_ids).pop().unwrap_or(diff_id)
}

/// The config document: the base's with one more layer and one more step in its history, but for what is not
/// inherited.
fn document(
    base: &Image,
    diff_id: Option<Digest>,
    options: &CommitOptions,
    now: u64,
) -> Result<Vec<u8>, Error> {
    let created = rfc3339(now);
    let mut step = json!({"created": created, "created_by": options.created_by});
    for (key, text) in [("author", &options.author), ("comment", &options.message)] {
        if !text.is_empty() {
            step[key] = json!(text);
        }
    }
    if diff_id.is_none() {
        step["empty_layer"] = json!(true);
    }
    let history = base.config.get("history").and_then(Value::as_array);
    let mut history = history.cloned().unwrap_or_default();
    history.push(step);
    let diff_ids: Vec<&Digest> = base.diff_ids.iter().chain(&diff_id).collect();
    let mut document = json!({
        "architecture": base.architecture,
        "config": options.config,
        "created": created,
        "history": history,
        "os": base.os,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    if !options.author.is_empty() {
        document["author"] = json!(options.author);
    }
    if let Some(variant) = &base.variant {
        document["variant"] = json!(variant);
    }
    serde_json::to_vec(&document)
        .map_err(|error| Error::System(format!("encode the image config: {error}")))
}
