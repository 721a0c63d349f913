//! `docker load`: images from an archive that `docker save` wrote.
//!
//! Such an archive has one file for each config and layer, and one that says what belongs together:
//!
//! * `manifest.json`, Docker's own, a list of `{"Config", "RepoTags", "Layers"}` with file names. Docker 25
//!   and later put an OCI image layout around it, so the files are called `blobs/sha256/<digest>`;
//! * `index.json` (OCI image layout specification), for archives of other tools, which have only that.
//!
//! Layers may be plain, gzip, zstd or xz. Whatever they are called, they are checked against the diffIDs in
//! the config, so what counts is the digest that the image's id covers.
//!
//! All images of an archive appear in one step, or none does.

use std::io::{self, Read};

use drydock_defects::defect;
use serde::Deserialize;

use crate::compression::decompress;
use crate::digest::{Digest, Hashing};
use crate::error::Error;
use crate::image::Image;
use crate::layer::{Pin, Record, StagedLayer};
use crate::oci_layout;
use crate::reference::Reference;
use crate::spool::Spool;
use crate::store::{Staged, Store};
use crate::unpack;

/// How far a load has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadEvent {
    /// `current` of the `total` bytes of a layer, as they are in the archive, were unpacked. Layers that the
    /// store has already are not mentioned, as in Docker.
    Layer {
        /// The layer's diffID.
        diff_id: Digest,
        /// Bytes so far.
        current: u64,
        /// Bytes in all.
        total: u64,
    },
    /// A line for the user in Docker's words, without its newline: `Loaded image: busybox:latest`. Sent when
    /// it is true, that is, after everything is on disk.
    Message(String),
}

/// An image that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Its id.
    pub id: Digest,
    /// The names that the archive gave it.
    pub references: Vec<Reference>,
}

/// One image of an archive, in names of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) config: String,
    pub(crate) references: Vec<Reference>,
    pub(crate) layers: Vec<String>,
    /// The id of the image it was made from, where the archive has that too.
    pub(crate) parent: Option<Digest>,
}

/// `manifest.json`. Docker writes `null` for no tags and no layers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
    parent: Option<String>,
}

/// What archives of before Docker 1.10 have in place of `manifest.json`.
const LEGACY: &str = "repositories";

/// How often progress is reported, in bytes.
const REPORT_BYTES: u64 = 512 << 10;

impl Store {
    /// Loads all images of an archive. The names in it are taken from the images that had them.
    ///
    /// Errors about the archive have Docker's text where it has one, and status 500: Docker has none else
    /// for it, and where progress is streamed, the answer has begun with 200 anyway.
    pub fn load(
        &self,
        archive: &mut dyn Read,
        progress: &mut dyn FnMut(LoadEvent),
    ) -> Result<Vec<Loaded>, Error> {
        let spool = Spool::receive(archive, &self.workshop)?;
        let mut loading = Loading::default();
        for entry in entries(&spool)? {
            self.stage_image(&spool, entry, &mut loading, progress)?;
        }
        let messages = self.change(Some(&loading.staged), |names| {
            let messages = announce(names, &loading.loaded);
            for (child, parent) in parents(&loading.families) {
                names.images.entry(child).or_default().parent = Some(parent);
            }
            Ok(messages)
        })?;
        for message in messages {
            progress(LoadEvent::Message(message));
        }
        Ok(loading.loaded)
    }

    /// Makes everything that one image needs and the store does not have.
    fn stage_image(
        &self,
        spool: &Spool,
        entry: Entry,
        loading: &mut Loading,
        progress: &mut dyn FnMut(LoadEvent),
    ) -> Result<(), Error> {
        let document = spool.document(&entry.config)?;
        let image = Image::parse(&document)?;
        if image.os == "windows" {
            return Err(Error::System("cannot load windows image on linux".into()));
        }
        if image.diff_ids.len() != entry.layers.len() {
            return Err(Error::System(format!(
                "invalid manifest, layers length mismatch: expected {}, got {}",
                entry.layers.len(),
                image.diff_ids.len()
            )));
        }
        for (index, name) in entry.layers.iter().enumerate() {
            let (diff_id, chain_id) = (image.diff_ids[index], image.chain_ids[index]);
            // First pinned, then looked for: nobody can remove it in between.
            loading.pins.push(self.layers.pin(chain_id));
            if self.layers.usable(&chain_id) || loading.new_layers.contains(&chain_id) {
                continue;
            }
            let archive = spool.open(name)?;
            let total = archive.size();
            let mut reported = Reported {
                inner: archive,
                current: 0,
                told: 0,
                total,
                diff_id,
                progress,
            };
            let expected = Some((index, diff_id));
            let (layer, _) = self.stage_layer(&mut reported, |_| chain_id, expected)?;
            loading.staged.layers.push(layer);
            loading.new_layers.push(chain_id);
        }
        loading
            .staged
            .blobs
            .push(self.blobs.stage(&self.workshop, &document)?);
        let id = image.id;
        loading.families.push((entry.parent, image));
        loading.loaded.push(Loaded {
            id,
            references: entry.references,
        });
        Ok(())
    }

    /// Unpacks a layer from its archive, compressed or not, and checks its digest if one is `expected` of
    /// the layer with that index. The chainID may depend on the diffID.
    pub(crate) fn stage_layer(
        &self,
        archive: &mut dyn Read,
        chain_id: impl FnOnce(Digest) -> Digest,
        expected: Option<(usize, Digest)>,
    ) -> Result<(StagedLayer, Digest), Error> {
        let mut archive = decompress(archive).map_err(|error| Error::System(error.to_string()))?;
        self.stage_archive(&mut archive, chain_id, expected)
    }

    /// As [`Store::stage_layer`], of an archive that is not compressed, whatever it begins with: the first
    /// bytes of one that was packed here are a file name of a container's choice.
    pub(crate) fn stage_archive(
        &self,
        archive: &mut dyn Read,
        chain_id: impl FnOnce(Digest) -> Digest,
        expected: Option<(usize, Digest)>,
    ) -> Result<(StagedLayer, Digest), Error> {
        let folder = self.workshop.folder()?;
        let mut archive = Hashing::new(archive);
        let size = unpack::run(&self.unpacker, &mut archive, folder.path())?;
        let (diff_id, _, _) = archive.finish();
        let expected = expected.filter(|_| !defect!("layer-digest-unchecked"));
        if let Some((index, expected)) = expected.filter(|(_, expected)| *expected != diff_id) {
            return Err(Error::System(format!(
                "invalid diffID for layer {index}: expected \"{expected}\", got \"{diff_id}\""
            )));
        }
        let layer = StagedLayer::new(folder, chain_id(diff_id), &Record { diff_id, size })?;
        Ok((layer, diff_id))
    }
}

/// What a load has made so far.
#[derive(Default)]
struct Loading {
    staged: Staged,
    new_layers: Vec<Digest>,
    loaded: Vec<Loaded>,
    /// Each image with the parent that the archive says it has.
    families: Vec<(Option<Digest>, Image)>,
    pins: Vec<Pin>,
}

/// Which image was made from which, by (child, parent). What the archive says is taken only where it can be:
/// the parent is in it too, with a shorter history and no other layers. So nobody is his own ancestor.
fn parents(families: &[(Option<Digest>, Image)]) -> Vec<(Digest, Digest)> {
    let steps = |image: &Image| {
        let history = image.config.get("history").and_then(|list| list.as_array());
        history.map_or(0, Vec::len)
    };
    let can_be = |parent: &Image, child: &Image| {
        steps(parent) < steps(child) && child.diff_ids.starts_with(&parent.diff_ids)
    };
    let link = |(said, child): &(Option<Digest>, Image)| {
        let (_, parent) = families.iter().find(|(_, image)| Some(image.id) == *said)?;
        can_be(parent, child).then_some((child.id, parent.id))
    };
    families.iter().filter_map(link).collect()
}

/// Enters the loaded images and their names, and says so.
fn announce(names: &mut crate::repositories::Repositories, loaded: &[Loaded]) -> Vec<String> {
    let mut messages = Vec::new();
    for image in loaded {
        // One that had been removed while a container used it is back.
        names.images.entry(image.id).or_default().removed = false;
        for reference in &image.references {
            match names.references.insert(reference.clone(), image.id) {
                Some(old) if old != image.id => messages.push(format!(
                    "The image {} already exists, renaming the old one with ID {old} to empty string",
                    reference.familiar()
                )),
                _ => {}
            }
        }
        match image.references.as_slice() {
            [] => messages.push(format!("Loaded image ID: {}", image.id)),
            names => messages.extend(
                names
                    .iter()
                    .map(|name| format!("Loaded image: {}", name.familiar())),
            ),
        }
    }
    messages
}

/// Which images the archive has.
fn entries(spool: &Spool) -> Result<Vec<Entry>, Error> {
    if spool.has("manifest.json") {
        return manifest(&spool.document("manifest.json")?);
    }
    if spool.has("index.json") {
        return oci_layout::entries(spool);
    }
    if spool.has(LEGACY) {
        return Err(Error::System(
            "the archive is in the format of Docker before 1.10, which has no manifest.json\n\
             hint: load it into a Docker of today and save it again"
                .into(),
        ));
    }
    // Docker's texts: it takes each directory for an image of the old format, and looks for that file last. An
    // export, which is a file tree and no image, meets the first.
    let folder = spool.first_folder();
    let description = folder.and_then(|folder| Some(format!("{}/json", folder.to_str()?)));
    Err(spool.missing(description.as_deref().unwrap_or(LEGACY)))
}

fn manifest(bytes: &[u8]) -> Result<Vec<Entry>, Error> {
    let items: Option<Vec<Item>> = serde_json::from_slice(bytes)
        .map_err(|error| Error::System(format!("invalid manifest.json: {error}")))?;
    let null = || Error::System("invalid manifest, manifest cannot be null (but can be [])".into());
    items
        .ok_or_else(null)?
        .into_iter()
        .map(Item::entry)
        .collect()
}

impl Item {
    fn entry(self) -> Result<Entry, Error> {
        let tag = |text: &String| {
            let reference =
                Reference::parse(text).map_err(|error| Error::System(error.to_string()))?;
            match (reference.tag(), reference.digest()) {
                (Some(_), None) => Ok(reference),
                _ => Err(Error::System(format!("invalid tag \"{text}\""))),
            }
        };
        let references = self
            .repo_tags
            .unwrap_or_default()
            .iter()
            .map(tag)
            .collect::<Result<_, _>>()?;
        Ok(Entry {
            config: self.config,
            references,
            layers: self.layers.unwrap_or_default(),
            parent: self.parent.and_then(|id| id.parse().ok()),
        })
    }
}

/// Reports how much of a layer was read.
struct Reported<'a, R> {
    inner: R,
    current: u64,
    told: u64,
    total: u64,
    diff_id: Digest,
    progress: &'a mut dyn FnMut(LoadEvent),
}

impl<R: Read> Read for Reported<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.current += count as u64;
        if count > 0 && (self.current >= self.told + REPORT_BYTES || self.current == self.total) {
            self.told = self.current;
            let (diff_id, current, total) = (self.diff_id, self.current, self.total);
            (self.progress)(LoadEvent::Layer {
                diff_id,
                current,
                total,
            });
        }
        Ok(count)
    }
}
