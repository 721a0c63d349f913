//! `docker save`: images as an archive, for `load` here or anywhere.
//!
//! The form is that of Docker 25 and later: an OCI image layout (OCI image layout specification) whose blobs
//! are also listed in `manifest.json`, Docker's own, and in `repositories`, from before that. Layers are not
//! compressed, so that each is the very archive that its diffID names: it is made again from the unpacked
//! files ([`crate::layer`]), and hashed on the way. All members are of 1970: the same images are the same archive. What Docker adds for itself of before 1.10, one small
//! config for each layer, is left out: nothing has referred to those for long.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::digest::Digest;
use crate::error::Error;
use crate::image::Image;
use crate::layer::Pin;
use crate::reference::{AnyReference, Reference};
use crate::store::{Catalogue, Store};
use crate::tape_writer::{self, Entry};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// What is to be saved. As long as this lives, the layers stay, whoever removes the images.
pub struct Saving {
    images: Vec<Saved>,
    _pins: Vec<Pin>,
}

/// One image of the archive.
struct Saved {
    image: Arc<Image>,
    /// The config document.
    document: Vec<u8>,
    /// The names that it was asked for by.
    references: Vec<Reference>,
}

/// A blob's contents.
enum Blob {
    Bytes(Vec<u8>),
    /// A layer by its chainID, and the length of its archive.
    Layer(Digest, u64),
}

/// The blobs of an archive.
type Blobs = BTreeMap<Digest, Blob>;

impl Saving {
    /// The ids of the images, in the order in which they were named.
    pub fn ids(&self) -> impl Iterator<Item = &Digest> {
        self.images.iter().map(|saved| &saved.image.id)
    }
}

impl Store {
    /// Finds the images that these names mean. A name without a tag means all tags that it has.
    pub fn save(&self, names: &[String]) -> Result<Saving, Error> {
        let snapshot = self.snapshot();
        let mut images: Vec<Saved> = Vec::new();
        let mut pins = Vec::new();
        for name in names {
            for (id, reference) in meant(&snapshot, name)? {
                let position = images.iter().position(|saved| saved.image.id == id);
                let position = match position {
                    Some(position) => position,
                    None => {
                        let image = snapshot.images.get(&id).cloned();
                        let image = image.ok_or_else(|| Error::no_such_image(name))?;
                        // First pinned, then read: nobody can remove it in between.
                        pins.extend(image.chain_ids.iter().map(|id| self.layers.pin(*id)));
                        images.push(Saved {
                            document: self.blobs.read(&id)?,
                            image,
                            references: Vec::new(),
                        });
                        images.len() - 1
                    }
                };
                let known = &mut images[position].references;
                known.extend(reference.filter(|reference| !known.contains(reference)));
            }
        }
        Ok(Saving {
            images,
            _pins: pins,
        })
    }

    /// Writes the archive. If a layer is not what its digest promises, that is an error, and what was written
    /// is not to be used.
    pub fn write_archive(&self, saving: &Saving, output: &mut dyn Write) -> Result<(), Error> {
        let mut blobs = Blobs::new();
        let mut manifests = Vec::new();
        for saved in &saving.images {
            manifests.push(self.add_image(saved, &mut blobs)?);
        }
        let mut archive = Archive { output };
        archive.entry(&Entry::directory("blobs/"))?;
        archive.entry(&Entry::directory("blobs/sha256/"))?;
        for (digest, blob) in &blobs {
            let name = path(digest);
            match blob {
                Blob::Bytes(bytes) => archive.file(&name, bytes)?,
                Blob::Layer(chain_id, length) => {
                    archive.entry(&Entry::file(&name, *length))?;
                    self.layers.write_archive(chain_id, archive.output)?;
                    tape_writer::pad(*length, archive.output).map_err(written)?;
                }
            }
        }
        archive.json("index.json", &index(saving, &manifests))?;
        archive.json("manifest.json", &manifest(saving, &blobs))?;
        archive.file("oci-layout", br#"{"imageLayoutVersion": "1.0.0"}"#)?;
        let repositories = repositories(saving);
        if !repositories.is_empty() {
            archive.json("repositories", &Value::Object(repositories))?;
        }
        tape_writer::end(archive.output).map_err(written)
    }

    /// Adds what an image consists of, and returns its manifest's descriptor.
    fn add_image(&self, saved: &Saved, blobs: &mut Blobs) -> Result<Value, Error> {
        let image = &saved.image;
        let mut layers = Vec::new();
        for (diff_id, chain_id) in image.diff_ids.iter().zip(&image.chain_ids) {
            let length = self.layers.archive_length(chain_id)?;
            blobs
                .entry(*diff_id)
                .or_insert(Blob::Layer(*chain_id, length));
            layers.push(json!({"mediaType": LAYER, "digest": diff_id, "size": length}));
        }
        let manifest = encode(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": image.id, "size": saved.document.len()},
            "layers": layers,
        }))?;
        let digest = Digest::of(&manifest);
        let descriptor = json!({"mediaType": MANIFEST, "digest": digest, "size": manifest.len()});
        blobs.insert(image.id, Blob::Bytes(saved.document.clone()));
        blobs.insert(digest, Blob::Bytes(manifest));
        Ok(descriptor)
    }
}

/// The images that a name means, each with the name that it is saved under; by an id that is none.
fn meant(snapshot: &Catalogue, name: &str) -> Result<Vec<(Digest, Option<Reference>)>, Error> {
    let reference = match AnyReference::parse(name) {
        Ok(AnyReference::Named(reference)) => reference,
        Ok(AnyReference::Digest(_)) => return Ok(vec![(snapshot.resolve(name)?.id, None)]),
        // Docker's status here is 500.
        Err(error) => return Err(Error::System(error.to_string())),
    };
    if reference.tag().is_none() && reference.digest().is_none() {
        let same = |other: &Reference| {
            other.domain() == reference.domain()
                && other.path() == reference.path()
                && other.digest().is_none()
        };
        let names = snapshot.repositories.references.iter();
        let tags: Vec<_> = names
            .filter(|(other, _)| same(other))
            .map(|(other, id)| (*id, Some(other.clone())))
            .collect();
        if !tags.is_empty() {
            return Ok(tags);
        }
        return snapshot
            .by_prefix(name)
            .map(|image| vec![(image.id, None)])
            .ok_or_else(|| Error::no_such_image(name));
    }
    let reference = reference.favour_digest();
    let id = snapshot.repositories.references.get(&reference);
    let id = id.ok_or_else(|| Error::NotFound("reference does not exist".into()))?;
    Ok(vec![(*id, Some(reference))])
}

/// `index.json`: a descriptor for each name, and one for an image without.
fn index(saving: &Saving, manifests: &[Value]) -> Value {
    let mut list = Vec::new();
    for (saved, descriptor) in saving.images.iter().zip(manifests) {
        if saved.references.is_empty() {
            list.push(descriptor.clone());
        }
        for reference in &saved.references {
            let mut named = descriptor.clone();
            named["annotations"] = json!({
                "io.containerd.image.name": reference.to_string(),
                "org.opencontainers.image.ref.name": reference.tag().unwrap_or_default(),
            });
            list.push(named);
        }
    }
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": list})
}

/// `manifest.json`.
fn manifest(saving: &Saving, blobs: &Blobs) -> Value {
    let ids: BTreeSet<&Digest> = saving.ids().collect();
    let item = |saved: &Saved| {
        let image = &saved.image;
        let tags: Vec<String> = saved.references.iter().map(Reference::familiar).collect();
        let layers: Vec<String> = image.diff_ids.iter().map(path).collect();
        let source = |diff_id: &Digest| {
            let size = match blobs.get(diff_id) {
                Some(Blob::Layer(_, length)) => *length,
                _ => 0,
            };
            let source = json!({"mediaType": LAYER, "size": size, "digest": diff_id});
            (diff_id.to_string(), source)
        };
        let mut item = json!({
            "Config": path(&image.id),
            "RepoTags": if tags.is_empty() { Value::Null } else { json!(tags) },
            "Layers": layers,
            "LayerSources": image.diff_ids.iter().map(source).collect::<Map<_, _>>(),
        });
        if let Some(parent) = image.parent.filter(|parent| ids.contains(parent)) {
            item["Parent"] = json!(parent);
        }
        item
    };
    saving.images.iter().map(item).collect()
}

/// `repositories`: the top layer of each name.
fn repositories(saving: &Saving) -> Map<String, Value> {
    let mut repositories: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for saved in &saving.images {
        let Some(top) = saved.image.diff_ids.last() else {
            continue;
        };
        for reference in &saved.references {
            let familiar = reference.familiar();
            if let Some((name, tag)) = familiar.rsplit_once(':') {
                let tags = repositories.entry(name.to_owned()).or_default();
                tags.insert(tag.to_owned(), json!(top.hex()));
            }
        }
    }
    let object = |(name, tags)| (name, Value::Object(tags));
    repositories.into_iter().map(object).collect()
}

/// Where a blob lies in the archive.
fn path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn encode(value: &Value) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|error| Error::System(format!("encode {value}: {error}")))
}

fn written(error: std::io::Error) -> Error {
    Error::System(format!("write the archive: {error}"))
}

struct Archive<'a> {
    output: &'a mut dyn Write,
}

impl Archive<'_> {
    fn entry(&mut self, entry: &Entry) -> Result<(), Error> {
        tape_writer::write_header(entry, self.output).map_err(written)
    }

    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let length = bytes.len() as u64;
        self.entry(&Entry::file(name, length))?;
        self.output.write_all(bytes).map_err(written)?;
        tape_writer::pad(length, self.output).map_err(written)
    }

    fn json(&mut self, name: &str, value: &Value) -> Result<(), Error> {
        self.file(name, &encode(value)?)
    }
}
