//! Blobs: bytes stored under their digest.
//!
//! This is content-addressed storage in its smallest form: a folder in which the name of each file is the
//! hash of its contents. Nothing is ever overwritten (other bytes would have another name), equal things are
//! stored once, and damage is found by hashing again, which [`Blobs::read`] does every time.
//!
//! The store keeps image configs here. Layers are kept unpacked, see [`crate::layer`].

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::durable::{self, Temporary, Workshop};
use crate::error::{Context, Error};

/// The most bytes a config or manifest may have. Real ones have kilobytes; Docker and the registries have
/// the same limit for manifests.
pub(crate) const DOCUMENT_BYTES_MAX: u64 = 4 << 20;

/// The folder of blobs.
#[derive(Debug)]
pub(crate) struct Blobs {
    folder: PathBuf,
}

/// A blob that is written and flushed but has no name yet.
pub(crate) struct StagedBlob {
    digest: Digest,
    file: Temporary,
}

impl Blobs {
    pub(crate) fn new(folder: PathBuf) -> Blobs {
        Blobs { folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.hex())
    }

    /// Reads a blob and checks that it is what its name says.
    pub(crate) fn read(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        let path = self.path(digest);
        let mut bytes = Vec::new();
        let file = File::open(&path).context("open", &path)?;
        file.take(DOCUMENT_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .context("read", &path)?;
        if Digest::of(&bytes) != *digest {
            return Err(Error::damaged("image config", digest));
        }
        Ok(bytes)
    }

    /// Writes a blob under a temporary name and flushes it.
    pub(crate) fn stage(&self, workshop: &Workshop, bytes: &[u8]) -> Result<StagedBlob, Error> {
        let path = workshop.unused();
        durable::write_new(&path, bytes)?;
        Ok(StagedBlob {
            digest: Digest::of(bytes),
            file: Temporary::adopt(path),
        })
    }

    /// Gives staged blobs their names. One that exists is replaced by the same bytes, which also repairs it.
    pub(crate) fn place(&self, staged: &[StagedBlob]) -> Result<(), Error> {
        for blob in staged {
            fs::rename(blob.file.path(), self.path(&blob.digest))
                .context("rename", blob.file.path())?;
        }
        durable::sync_directory(&self.folder)
    }

    /// Removes a blob; nothing there is fine.
    pub(crate) fn remove(&self, digest: &Digest) -> Result<(), Error> {
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).context("remove", &path)
            }
            _ => Ok(()),
        }
    }
}
