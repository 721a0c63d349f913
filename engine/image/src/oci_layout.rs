//! The OCI image layout inside an archive (OCI image layout specification), for `docker load`.
//!
//! `index.json` names manifests or further indexes by digest, and every file is `blobs/sha256/<digest>`. An
//! index lists one image for several platforms, so one is chosen. Every document is checked against the
//! digest that led to it, and one that could be read both as a manifest and as an index is refused
//! (CVE-2021-41190).

use serde::Deserialize;

use crate::digest::Digest;
use crate::error::Error;
use crate::image::LAYERS_MAX;
use crate::load::Entry;
use crate::reference::Reference;
use crate::spool::Spool;

/// How deep indexes may lie in indexes.
const DEPTH_MAX: usize = 4;

/// The most images an index may list.
const DESCRIPTORS_MAX: usize = 1000;

/// The annotation with the full name, which containerd and Docker write.
const FULL_NAME: &str = "io.containerd.image.name";
/// The annotation of the specification: a tag, or with some tools a full name.
const REFERENCE_NAME: &str = "org.opencontainers.image.ref.name";

/// A manifest or an index, told apart by what it has.
#[derive(Deserialize)]
struct Document {
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    digest: String,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
    platform: Option<Platform>,
}

#[derive(Clone, Deserialize)]
struct Platform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
}

/// The images of the layout.
pub(crate) fn entries(spool: &Spool) -> Result<Vec<Entry>, Error> {
    let index = parse(&spool.document("index.json")?, "index.json")?;
    let manifests = index
        .manifests
        .ok_or_else(|| invalid("index.json lists no manifests"))?;
    if manifests.len() > DESCRIPTORS_MAX {
        return Err(invalid("index.json lists too many manifests"));
    }
    let mut entries: Vec<Entry> = Vec::new();
    for descriptor in &manifests {
        let mut entry = image(spool, descriptor, DEPTH_MAX)?;
        entry.references.extend(reference(descriptor)?);
        // The same image under several names is one descriptor for each.
        match entries
            .iter_mut()
            .find(|other| other.config == entry.config)
        {
            Some(other) => other.references.extend(entry.references),
            None => entries.push(entry),
        }
    }
    Ok(entries)
}

/// The image that a descriptor leads to.
fn image(spool: &Spool, descriptor: &Descriptor, depth: usize) -> Result<Entry, Error> {
    let digest = digest(descriptor)?;
    let bytes = spool.document(&blob(&digest))?;
    if Digest::of(&bytes) != digest {
        return Err(invalid(&format!(
            "the contents of {} do not have that digest",
            blob(&digest)
        )));
    }
    let document = parse(&bytes, &blob(&digest))?;
    match (document.manifests, document.config, document.layers) {
        (Some(manifests), None, None) if depth > 0 => image(spool, choose(&manifests)?, depth - 1),
        (None, Some(config), layers) => {
            let layers = layers.unwrap_or_default();
            if layers.len() > LAYERS_MAX {
                return Err(invalid("max depth exceeded"));
            }
            let layers = layers
                .iter()
                .map(|layer| Ok(blob(&self::digest(layer)?)))
                .collect::<Result<_, Error>>()?;
            Ok(Entry {
                config: blob(&self::digest(&config)?),
                references: Vec::new(),
                layers,
                parent: None,
            })
        }
        _ => Err(invalid(&format!(
            "{} is neither a manifest nor an index",
            blob(&digest)
        ))),
    }
}

/// The manifest for this host, or the first one with a platform at all: `unknown/unknown` is for
/// attestations, which are no images.
fn choose(manifests: &[Descriptor]) -> Result<&Descriptor, Error> {
    let is_image = |descriptor: &&Descriptor| {
        descriptor
            .platform
            .as_ref()
            .is_none_or(|platform| platform.os != "unknown")
    };
    let is_ours = |descriptor: &&Descriptor| {
        let platform = descriptor.platform.as_ref();
        platform.is_some_and(|platform| {
            platform.os == "linux" && platform.architecture == crate::import::architecture()
        })
    };
    let found = manifests
        .iter()
        .find(is_ours)
        .or_else(|| manifests.iter().find(is_image));
    found.ok_or_else(|| invalid("an index lists no image"))
}

/// The name in the annotations, if there is one. A tag alone does not name an image.
fn reference(descriptor: &Descriptor) -> Result<Option<Reference>, Error> {
    let name = descriptor.annotations.get(FULL_NAME);
    let name = name.or_else(|| {
        descriptor
            .annotations
            .get(REFERENCE_NAME)
            .filter(|name| name.contains([':', '/']))
    });
    let parse = |name: &String| Reference::parse(name).map(Reference::with_default_tag);
    let reference = name
        .map(parse)
        .transpose()
        .map_err(|error| Error::System(error.to_string()))?;
    Ok(reference.filter(|reference| reference.digest().is_none()))
}

fn digest(descriptor: &Descriptor) -> Result<Digest, Error> {
    descriptor.digest.parse().map_err(|error| {
        invalid(&format!(
            "{error}: {:?} ({})",
            descriptor.digest,
            descriptor.media_type.escape_default()
        ))
    })
}

fn blob(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn parse(bytes: &[u8], name: &str) -> Result<Document, Error> {
    serde_json::from_slice(bytes).map_err(|error| invalid(&format!("{name}: {error}")))
}

fn invalid(text: &str) -> Error {
    Error::System(format!("invalid archive: {text}"))
}
