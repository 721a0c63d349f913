//! The store: all images of one data root.
//!
//! ```text
//! image/
//!   repositories.json   which images there are and what they are called: the one truth
//!   blobs/<digest>      image configs
//!   layers/<chainID>/   unpacked layers
//!   tmp/                everything that is half-made; emptied when the store opens
//!   lock                held by the daemon that has the store open
//! ```
//!
//! **Adding** goes from the bottom to the top: layers and configs are made in `tmp/`, one `syncfs` puts all
//! of it on the disk, they are renamed into place, and the rename of `repositories.json` makes them exist.
//! **Removing** goes from the top: first they stop to exist there, then the files go. So at every moment, a
//! power cut leaves either all of an image or none; what nothing names is swept up by [`Store::open`].
//! Docker 28 acknowledges a load before its files are on disk, and a cut in the next half minute leaves an
//! image of empty files that even loading it again does not repair.
//!
//! **Reading** takes a snapshot: a value of type `Arc<Catalogue>` that never changes. Nobody who lists or
//! resolves waits for a load. Changes are serial, and only their last step is: layers are unpacked in
//! parallel.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use crate::blob::{Blobs, StagedBlob};
use crate::digest::Digest;
use crate::durable::{self, Temporary, Workshop};
use crate::error::{Context, Error};
use crate::image::Image;
use crate::layer::{Layers, StagedLayer};
use crate::reference::{AnyReference, Reference};
use crate::repositories::Repositories;
use crate::unpack::Unpacker;

/// The name of the file with all names.
const REPOSITORIES: &str = "repositories.json";

/// All images of one data root. Every method takes `&self` and may be called from any thread.
#[derive(Debug)]
pub struct Store {
    repositories: PathBuf,
    pub(crate) root: PathBuf,
    pub(crate) blobs: Blobs,
    pub(crate) layers: Layers,
    pub(crate) workshop: Workshop,
    pub(crate) unpacker: Unpacker,
    /// What readers see.
    published: RwLock<Arc<Catalogue>>,
    /// Held while a change is written. Readers never take it.
    changing: Mutex<()>,
    /// Keeps a second daemon away from the files; the lock goes with the descriptor.
    _lock: File,
}

/// A snapshot of the store.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    pub(crate) repositories: Repositories,
    /// Every image of `repositories` whose config can be read.
    pub(crate) images: BTreeMap<Digest, Arc<Image>>,
    /// Why the others cannot be read.
    problems: Vec<Problem>,
}

/// An image of which something is damaged or missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The image.
    pub image: Digest,
    /// What is wrong, for the user.
    pub message: String,
}

impl Store {
    /// Opens the store in `root`, making it if there is none, and removes what was left half-made.
    ///
    /// An image that cannot be read does not keep the store from opening: it is left out and listed by
    /// [`Store::problems`]. Fails if another process has the store open, or if `repositories.json` is
    /// damaged or gone: going on without it would remove every image.
    pub fn open(root: &Path, unpacker: Unpacker) -> Result<Store, Error> {
        make_directory(root)?;
        let lock = lock(&root.join("lock"))?;
        let repositories = root.join(REPOSITORIES);
        let [blobs, layers, tmp] = ["blobs", "layers", "tmp"].map(|name| root.join(name));
        let names = match Repositories::read(&repositories)? {
            Some(names) => names,
            None if layers.exists() => {
                return Err(Error::System(format!(
                    "{} is missing, but {} is not\nhint: restore the file, or remove the folder to start afresh",
                    repositories.display(),
                    layers.display()
                )));
            }
            None => {
                Repositories::default().write(&repositories)?;
                Repositories::default()
            }
        };
        durable::remove_tree(&tmp).context("empty", &tmp)?;
        for folder in [&blobs, &layers, &tmp] {
            make_directory(folder)?;
        }
        durable::sync_directory(root)?;
        let store = Store {
            repositories,
            root: root.to_owned(),
            blobs: Blobs::new(blobs),
            layers: Layers::new(layers),
            workshop: Workshop::new(tmp),
            unpacker,
            published: RwLock::default(),
            changing: Mutex::default(),
            _lock: lock,
        };
        let catalogue = store.catalogue(names, &Catalogue::default());
        store.sweep(&catalogue)?;
        store.publish(catalogue);
        Ok(store)
    }

    /// The current snapshot.
    pub(crate) fn snapshot(&self) -> Arc<Catalogue> {
        Arc::clone(
            &self
                .published
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    fn publish(&self, catalogue: Catalogue) {
        *self
            .published
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(catalogue);
    }

    /// All images, by id. The daemon sorts them as its API wants.
    pub fn list(&self) -> Vec<Arc<Image>> {
        let snapshot = self.snapshot();
        snapshot
            .visible()
            .map(|(_, image)| Arc::clone(image))
            .collect()
    }

    /// The images that cannot be read, with the reason.
    pub fn problems(&self) -> Vec<Problem> {
        self.snapshot().problems.clone()
    }

    /// Finds an image by what a user typed: a name with or without tag or digest, an id, or the beginning of
    /// an id. A name goes before an id that begins like it.
    pub fn resolve(&self, name: &str) -> Result<Arc<Image>, Error> {
        self.snapshot().resolve(name)
    }

    /// Finds an image by its id, also one that was removed with force while a container used it: that
    /// container may still be started.
    pub fn get(&self, id: &Digest) -> Option<Arc<Image>> {
        self.snapshot().images.get(id).cloned()
    }

    /// The unpacked layers of an image, the top one first, as overlayfs wants its lower directories.
    pub fn layer_directories(&self, image: &Image) -> Vec<PathBuf> {
        image
            .chain_ids
            .iter()
            .rev()
            .map(|chain_id| self.layers.files(chain_id))
            .collect()
    }

    /// Hashes everything that the images are made of and says what is not what its digest promises.
    ///
    /// That reads every file of every layer. A damaged layer is replaced by the next load that brings it.
    pub fn verify(&self) -> Vec<Problem> {
        let snapshot = self.snapshot();
        let mut checked: BTreeMap<Digest, Option<String>> = BTreeMap::new();
        let mut problems = snapshot.problems.clone();
        for (id, image) in &snapshot.images {
            if let Err(error) = self.blobs.read(id) {
                problems.push(Problem {
                    image: *id,
                    message: error.to_string(),
                });
            }
            for chain_id in &image.chain_ids {
                let check = || {
                    self.layers
                        .verify(chain_id)
                        .err()
                        .map(|error| error.to_string())
                };
                if let Some(message) = checked.entry(*chain_id).or_insert_with(check) {
                    problems.push(Problem {
                        image: *id,
                        message: message.clone(),
                    });
                }
            }
        }
        problems
    }

    /// Changes the names and images in one durable step and publishes the result.
    ///
    /// `place` is what has to be in its place before: layers and configs that were staged. If anything
    /// fails, nothing has changed for readers.
    pub(crate) fn change<T>(
        &self,
        staged: Option<&Staged>,
        change: impl FnOnce(&mut Repositories) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.change_and_collect(staged, change)
            .map(|(result, _)| result)
    }

    /// As [`Store::change`], and takes away what no image needs any more. Returns the chainIDs of the layers
    /// that went, the top one first.
    pub(crate) fn change_and_collect<T>(
        &self,
        staged: Option<&Staged>,
        change: impl FnOnce(&mut Repositories) -> Result<T, Error>,
    ) -> Result<(T, Vec<Digest>), Error> {
        if let Some(staged) = staged.filter(|staged| !staged.layers.is_empty()) {
            // Before the lock: this takes long, and nothing depends on it yet.
            staged.flush(&self.root)?;
        }
        let changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.snapshot();
        let mut names = before.repositories.clone();
        let result = change(&mut names)?;
        if let Some(staged) = staged {
            self.layers.place(&staged.layers, &self.workshop)?;
            self.blobs.place(&staged.blobs)?;
        }
        if names != before.repositories {
            names.write(&self.repositories)?;
        }
        self.publish(self.catalogue(names, &before));
        let taken = self.collect(&before);
        drop(changing);
        let gone = taken.iter().map(|(chain_id, _)| *chain_id).collect();
        // Only here, without a lock: removing the trees of a large image takes a second.
        drop(taken);
        Ok((result, gone))
    }

    /// Removes the configs of images that are gone and takes their layers out of place.
    ///
    /// The images are gone already, so a failure here is not one of the change: it leaves files that the
    /// next start sweeps up.
    fn collect(&self, before: &Catalogue) -> Vec<(Digest, Temporary)> {
        let now = self.snapshot();
        let gone = before
            .images
            .values()
            .filter(|image| !now.repositories.images.contains_key(&image.id));
        let mut layers = Vec::new();
        for image in gone {
            layers.extend(image.chain_ids.iter().rev().copied());
            if let Err(error) = self.blobs.remove(&image.id) {
                tracing::warn!("{error}");
            }
        }
        if layers.is_empty() || !now.complete() {
            return Vec::new();
        }
        self.layers
            .take_unused(&layers, &now.needed_layers(), &self.workshop)
            .unwrap_or_else(|error| {
                tracing::warn!("{error}");
                Vec::new()
            })
    }

    /// Makes a snapshot of these names. Images whose names did not change are taken from the one before.
    fn catalogue(&self, repositories: Repositories, before: &Catalogue) -> Catalogue {
        let mut catalogue = Catalogue {
            repositories,
            ..Catalogue::default()
        };
        let mut names: BTreeMap<Digest, Vec<&Reference>> = BTreeMap::new();
        for (reference, id) in &catalogue.repositories.references {
            names.entry(*id).or_default().push(reference);
        }
        for (id, entry) in &catalogue.repositories.images {
            let read = match before.images.get(id) {
                Some(image) => Ok(Image::clone(image)),
                None => self.read_image(id),
            };
            match read {
                Ok(mut image) => {
                    let names = names.get(id).map(Vec::as_slice).unwrap_or_default();
                    let familiar = |digest: bool| {
                        let names = names
                            .iter()
                            .filter(move |name| name.digest().is_some() == digest);
                        names.map(|name| name.familiar()).collect()
                    };
                    (image.repo_tags, image.repo_digests) = (familiar(false), familiar(true));
                    image.last_tagged = entry.last_tagged;
                    image.parent = catalogue.repositories.parent_of(id);
                    catalogue.images.insert(*id, Arc::new(image));
                }
                Err(error) => catalogue.problems.push(Problem {
                    image: *id,
                    message: error.to_string(),
                }),
            }
        }
        catalogue
    }

    /// Reads an image's config and what its layers say of themselves.
    fn read_image(&self, id: &Digest) -> Result<Image, Error> {
        let mut image = Image::parse(&self.blobs.read(id)?)?;
        for chain_id in &image.chain_ids {
            let size = self.layers.record(chain_id)?.size;
            image.size += size;
            image.layer_sizes.push(size);
        }
        Ok(image)
    }

    /// Removes layers and configs that no image names.
    fn sweep(&self, catalogue: &Catalogue) -> Result<(), Error> {
        // Of an image that cannot be read, nobody knows which layers it needs.
        if !catalogue.complete() {
            return Ok(());
        }
        let layers: BTreeSet<String> = catalogue.needed_layers().iter().map(Digest::hex).collect();
        let blobs: BTreeSet<String> = catalogue.images.keys().map(Digest::hex).collect();
        for (folder, needed) in [(self.layers.folder(), layers), (self.blobs.folder(), blobs)] {
            for entry in fs::read_dir(folder).context("list", folder)? {
                let entry = entry.context("list", folder)?;
                if !entry
                    .file_name()
                    .to_str()
                    .is_some_and(|name| needed.contains(name))
                {
                    durable::remove_tree(&entry.path()).context("remove", &entry.path())?;
                }
            }
        }
        Ok(())
    }
}

/// What was made for a change and is not in its place yet. It is removed with this value if it never comes
/// there.
#[derive(Default)]
pub(crate) struct Staged {
    pub(crate) layers: Vec<StagedLayer>,
    pub(crate) blobs: Vec<StagedBlob>,
}

impl Staged {
    /// Puts everything on the disk.
    fn flush(&self, root: &Path) -> Result<(), Error> {
        durable::sync_file_system(root)
    }
}

impl Catalogue {
    /// Images that were not removed.
    fn visible(&self) -> impl Iterator<Item = (&Digest, &Arc<Image>)> {
        let removed = |id: &Digest| {
            self.repositories
                .images
                .get(id)
                .is_none_or(|entry| entry.removed)
        };
        self.images.iter().filter(move |(id, _)| !removed(id))
    }

    fn get_visible(&self, id: &Digest) -> Option<&Arc<Image>> {
        self.visible()
            .find(|(candidate, _)| *candidate == id)
            .map(|(_, image)| image)
    }

    /// Whether every image could be read.
    fn complete(&self) -> bool {
        self.problems.is_empty()
    }

    fn needed_layers(&self) -> BTreeSet<Digest> {
        self.images
            .values()
            .flat_map(|image| image.chain_ids.iter().copied())
            .collect()
    }

    pub(crate) fn resolve(&self, name: &str) -> Result<Arc<Image>, Error> {
        let reference = match AnyReference::parse(name) {
            Ok(AnyReference::Named(reference)) => reference,
            Ok(AnyReference::Digest(digest)) => {
                let image = digest.parse().ok().and_then(|id| self.get_visible(&id));
                return image.cloned().ok_or_else(|| Error::no_such_image(digest));
            }
            Err(error) => return Err(Error::InvalidParameter(error.to_string())),
        };
        let reference = reference.with_default_tag();
        let named = self
            .repositories
            .references
            .get(&reference.clone().favour_digest());
        let image = named
            .and_then(|id| self.get_visible(id))
            .or_else(|| self.by_prefix(name));
        image
            .cloned()
            .ok_or_else(|| Error::no_such_image(reference.familiar()))
    }

    /// The one image whose id begins like this; None if there is none or more than one.
    pub(crate) fn by_prefix(&self, prefix: &str) -> Option<&Arc<Image>> {
        let mut matching = self.visible().filter(|(id, _)| is_id_prefix(id, prefix));
        match (matching.next(), matching.next()) {
            (Some((_, image)), None) => Some(image),
            _ => None,
        }
    }
}

/// Whether an id begins like this, with or without its algorithm.
pub(crate) fn is_id_prefix(id: &Digest, prefix: &str) -> bool {
    !prefix.is_empty() && (id.hex().starts_with(prefix) || id.to_string().starts_with(prefix))
}

/// Makes a folder for root only: layers have programs with the set-user-ID bit, which no user of the host
/// should reach.
fn make_directory(path: &Path) -> Result<(), Error> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .context("create", path)
}

/// Locks the store. A lock that is held is waited for a little: a daemon that is just ending still has it,
/// and so has a process between fork and exec of one that has ended.
fn lock(path: &Path) -> Result<File, Error> {
    const ATTEMPTS: u32 = 100;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .context("open", path)?;
    for _ in 0..ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            Err(TryLockError::Error(error)) => return Err(error).context("lock", path),
        }
    }
    Err(Error::System(format!(
        "{} is held by another process\nhint: is a daemon with the same data root running?",
        path.display()
    )))
}
