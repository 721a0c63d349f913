//! The image store as the daemon uses it; all calls into the crate `drydock-image` are here.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use drydock_api::Error;
use drydock_image::{
    CommitOptions, Digest, Image, ImportOptions, InUse, LoadEvent, Loaded, PackedLayer, Reference,
    RemoveOptions, Removed, Saving, Store, Unpacker,
};

/// The image store.
pub struct Images {
    store: Store,
    pruning: AtomicBool,
}

/// The right to prune, which one at a time has.
pub struct Pruning<'a>(&'a AtomicBool);

impl Drop for Pruning<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// The store's error as the API's.
pub fn error(error: drydock_image::Error) -> Error {
    Error::from_status(error.status(), error)
}

impl Images {
    /// Opens the store below the data root.
    ///
    /// # Errors
    /// What the store finds it cannot work with.
    pub fn open(data_root: &Path) -> io::Result<Images> {
        let program = PathBuf::from("/proc/self/exe");
        Store::open(&data_root.join("image"), Unpacker::Child { program })
            .map(|store| Images {
                store,
                pruning: AtomicBool::new(false),
            })
            .map_err(io::Error::other)
    }

    /// All images.
    pub fn list(&self) -> Vec<Arc<Image>> {
        self.store.list()
    }

    /// By name, id or prefix of an id.
    ///
    /// # Errors
    /// Docker's 404 and 400.
    pub fn resolve(&self, name: &str) -> Result<Arc<Image>, Error> {
        self.store.resolve(name).map_err(error)
    }

    /// The ids of an image and of all that were made from it, directly or not.
    pub fn family(&self, id: &Digest) -> Vec<String> {
        let images = self.store.list();
        let mut family = vec![*id];
        let mut next = 0;
        while let Some(parent) = family.get(next).copied() {
            let children = images
                .iter()
                .filter(|image| image.parent == Some(parent))
                .map(|image| image.id);
            family.extend(children);
            next += 1;
        }
        family.iter().map(Digest::to_string).collect()
    }

    /// By full id, also one that was removed with force while a container used it.
    pub fn by_id(&self, id: &str) -> Option<Arc<Image>> {
        self.store.get(&id.parse().ok()?)
    }

    /// Whether an image was removed with force while a container used it, so that its layers are still there.
    pub fn is_removed(&self, id: &str) -> bool {
        self.store
            .list()
            .iter()
            .all(|image| image.id.to_string() != id)
    }

    /// The layers' directories, top first.
    pub fn layers(&self, image: &Image) -> Vec<PathBuf> {
        self.store.layer_directories(image)
    }

    /// Unpacks what `docker save` made.
    ///
    /// # Errors
    /// What is wrong with the archive.
    pub fn load(
        &self,
        archive: &mut dyn Read,
        progress: &mut dyn FnMut(LoadEvent),
    ) -> Result<Vec<Loaded>, Error> {
        self.store.load(archive, progress).map_err(error)
    }

    /// Makes an image of a tree's archive.
    ///
    /// # Errors
    /// What is wrong with the archive.
    pub fn import(&self, archive: &mut dyn Read, options: ImportOptions) -> Result<Digest, Error> {
        self.store.import(archive, options).map_err(error)
    }

    /// Gives an image a name.
    ///
    /// # Errors
    /// What the store says.
    pub fn tag(&self, image: &Digest, reference: &Reference) -> Result<(), Error> {
        self.store.tag(image, reference).map_err(error)
    }

    /// Takes a name from an image, and the image away with the last one.
    ///
    /// # Errors
    /// Docker's 404 and 409.
    pub fn remove(
        &self,
        name: &str,
        options: RemoveOptions,
        in_use: &dyn Fn(&Digest) -> Option<InUse>,
    ) -> Result<Vec<Removed>, Error> {
        self.store.remove(name, options, in_use).map_err(error)
    }

    /// Copies a container's writable layer.
    ///
    /// # Errors
    /// What cannot be read, or has no place in a layer.
    pub fn pack_layer(&self, upper: &Path, base: &Arc<Image>) -> Result<PackedLayer, Error> {
        self.store.pack_layer(upper, base).map_err(error)
    }

    /// Makes an image of a copied layer.
    ///
    /// # Errors
    /// What the store says.
    pub fn commit(&self, packed: PackedLayer, options: CommitOptions) -> Result<Digest, Error> {
        self.store.commit(packed, options).map_err(error)
    }

    /// Finds what is to be saved.
    ///
    /// # Errors
    /// Docker's 404 for a name that is no image, and 500 for what is no name.
    pub fn save(&self, names: &[String]) -> Result<Saving, Error> {
        self.store.save(names).map_err(error)
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// A damaged layer, or nobody who reads.
    pub fn write_archive(&self, saving: &Saving, output: &mut dyn Write) -> Result<(), Error> {
        self.store.write_archive(saving, output).map_err(error)
    }

    /// Begins a prune.
    ///
    /// # Errors
    /// Docker's 409 when another one is under way.
    pub fn begin_prune(&self) -> Result<Pruning<'_>, Error> {
        match self.pruning.swap(true, Ordering::Acquire) {
            false => Ok(Pruning(&self.pruning)),
            true => Err(Error::Conflict(
                "a prune operation is already running".to_owned(),
            )),
        }
    }

    /// Frees what no container uses any more of images that were removed with force.
    pub fn release(&self, in_use: &dyn Fn(&Digest) -> Option<InUse>) {
        if let Err(error) = self.store.release(in_use) {
            tracing::warn!("free layers: {error}");
        }
    }
}
