//! The public interface as signatures; replaced by the real thing within the hour.
#![allow(missing_docs, unused_variables, clippy::unimplemented)]
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use crate::{Digest, Error, Reference};

#[derive(Clone, Debug)]
pub enum Unpacker {
    InProcess,
    Child { program: PathBuf },
}
/// What `drydock unpack` calls; the arguments are those after the word `unpack`.
pub fn unpack_main(arguments: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    unimplemented!()
}
pub struct Store {}
#[derive(Clone, Debug)]
pub struct Image {
    pub id: Digest,
    /// The OCI image config document: architecture, os, created, config, rootfs, history, …
    pub config: serde_json::Value,
    /// Familiar names, sorted: `busybox:latest`.
    pub repo_tags: Vec<String>,
    /// Familiar names with digests, sorted.
    pub repo_digests: Vec<String>,
    /// Bytes of all layers unpacked, as `docker images` shows.
    pub size: u64,
    /// `rootfs.diff_ids`, lowest layer first.
    pub diff_ids: Vec<Digest>,
    /// The chainID of each layer, lowest first.
    pub chain_ids: Vec<Digest>,
    /// RFC 3339, from the config.
    pub created: Option<String>,
    pub architecture: String,
    pub os: String,
    pub variant: Option<String>,
    pub author: String,
    pub comment: String,
    pub docker_version: String,
    /// Always empty for loaded images.
    pub parent: String,
    /// When the last tag was put on it here, Unix nanoseconds (`Metadata.LastTagTime`).
    pub last_tagged: Option<u64>,
}
#[derive(Clone, Debug)]
pub enum LoadEvent {
    /// A layer is being unpacked; `current` of `total` bytes of it were read.
    Layer {
        diff_id: Digest,
        current: u64,
        total: u64,
    },
    /// A line for the user, as Docker words it, without the newline: `Loaded image: busybox:latest`.
    Message(String),
}
#[derive(Clone, Debug)]
pub struct Loaded {
    pub id: Digest,
    pub references: Vec<Reference>,
}
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    pub reference: Option<Reference>,
    /// The `config` object of the new image (Env, Cmd, …); see [`config_from_changes`].
    pub config: serde_json::Map<String, serde_json::Value>,
    /// `--message`; Docker's default is "Imported from -".
    pub message: String,
    /// `os[/architecture[/variant]]`; None is the host's.
    pub platform: Option<String>,
}
/// Applies `--change` instructions (`CMD ["sh"]`, `ENV A=b`, …) and returns the `config` object.
pub fn config_from_changes(
    changes: &[String],
) -> Result<serde_json::Map<String, serde_json::Value>, Error> {
    unimplemented!()
}
/// A container that uses an image. When several do, a running one is to be named first.
#[derive(Clone, Debug)]
pub struct InUse {
    pub container_id: String,
    pub running: bool,
}
/// One line of the answer to DELETE /images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    Untagged(String),
    Deleted(Digest),
}
impl Store {
    pub fn open(root: &Path, unpacker: Unpacker) -> Result<Store, Error> {
        unimplemented!()
    }
    pub fn list(&self) -> Vec<Arc<Image>> {
        unimplemented!()
    }
    pub fn resolve(&self, name: &str) -> Result<Arc<Image>, Error> {
        unimplemented!()
    }
    /// By full id, also an image that was removed with force while a container used it.
    pub fn get(&self, id: &Digest) -> Option<Arc<Image>> {
        unimplemented!()
    }
    pub fn load(
        &self,
        archive: &mut dyn Read,
        progress: &mut dyn FnMut(LoadEvent),
    ) -> Result<Vec<Loaded>, Error> {
        unimplemented!()
    }
    pub fn import(&self, archive: &mut dyn Read, options: ImportOptions) -> Result<Digest, Error> {
        unimplemented!()
    }
    pub fn tag(&self, image: &Digest, reference: &Reference) -> Result<(), Error> {
        unimplemented!()
    }
    pub fn remove(
        &self,
        name: &str,
        force: bool,
        in_use: &dyn Fn(&Digest) -> Option<InUse>,
    ) -> Result<Vec<Removed>, Error> {
        unimplemented!()
    }
    /// Frees the layers of images that were removed with force, where `in_use` no longer names a container.
    /// To be called after a container was removed, and once when the daemon has read its records.
    pub fn release(&self, in_use: &dyn Fn(&Digest) -> Option<InUse>) -> Result<(), Error> {
        unimplemented!()
    }
    pub fn layer_directories(&self, image: &Image) -> Vec<PathBuf> {
        unimplemented!()
    }
}
