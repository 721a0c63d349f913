//! The image store as the daemon uses it; all calls into the crate `drydock-image` are here.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use drydock_api::Error;
use drydock_image::{
    Digest, Image, ImportOptions, InUse, LoadEvent, Loaded, Reference, Removed, Store, Unpacker,
};

/// The image store.
pub struct Images(Store);

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
            .map(Images)
            .map_err(io::Error::other)
    }

    /// All images.
    pub fn list(&self) -> Vec<Arc<Image>> {
        self.0.list()
    }

    /// By name, id or prefix of an id.
    ///
    /// # Errors
    /// Docker's 404 and 400.
    pub fn resolve(&self, name: &str) -> Result<Arc<Image>, Error> {
        self.0.resolve(name).map_err(error)
    }

    /// By full id, also one that was removed with force while a container used it.
    pub fn by_id(&self, id: &str) -> Option<Arc<Image>> {
        self.0.get(&id.parse().ok()?)
    }

    /// Whether an image was removed with force while a container used it, so that its layers are still there.
    pub fn is_removed(&self, id: &str) -> bool {
        self.0.list().iter().all(|image| image.id.to_string() != id)
    }

    /// The layers' directories, top first.
    pub fn layers(&self, image: &Image) -> Vec<PathBuf> {
        self.0.layer_directories(image)
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
        self.0.load(archive, progress).map_err(error)
    }

    /// Makes an image of a tree's archive.
    ///
    /// # Errors
    /// What is wrong with the archive.
    pub fn import(&self, archive: &mut dyn Read, options: ImportOptions) -> Result<Digest, Error> {
        self.0.import(archive, options).map_err(error)
    }

    /// Gives an image a name.
    ///
    /// # Errors
    /// What the store says.
    pub fn tag(&self, image: &Digest, reference: &Reference) -> Result<(), Error> {
        self.0.tag(image, reference).map_err(error)
    }

    /// Takes a name from an image, and the image away with the last one.
    ///
    /// # Errors
    /// Docker's 404 and 409.
    pub fn remove(
        &self,
        name: &str,
        force: bool,
        in_use: &dyn Fn(&Digest) -> Option<InUse>,
    ) -> Result<Vec<Removed>, Error> {
        self.0.remove(name, force, in_use).map_err(error)
    }

    /// Frees what no container uses any more of images that were removed with force.
    pub fn release(&self, in_use: &dyn Fn(&Digest) -> Option<InUse>) {
        if let Err(error) = self.0.release(in_use) {
            tracing::warn!("free layers: {error}");
        }
    }
}
