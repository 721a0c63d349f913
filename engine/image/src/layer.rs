//! Layers: the file systems that images are stacked from, unpacked and shared between images.
//!
//! A layer has two names. Its **diffID** is the digest of its uncompressed tar archive. Its **chainID** names
//! the layer on top of all those below it (OCI image specification, "Layer ChainID"):
//!
//! ```text
//! chainID(L0)      = diffID(L0)
//! chainID(L0…Ln)   = digest of the text "chainID(L0…Ln-1) diffID(Ln)"
//! ```
//!
//! The store's folders are named by chainID: two images that begin with the same layers share them, and a
//! layer's folder also says what lies below it. Each folder holds
//!
//! * `files/`, the unpacked files, which overlayfs takes as a lower directory;
//! * `archive.gz`, the parts of the archive that are not file contents (see `unpack/skeleton.rs`).
//!   With `files/` they make the original archive again, byte for byte: the layer is checked that way, and
//!   can be exported under the same digest;
//! * `layer.json`, its diffID and size.
//!
//! A folder is moved here only when all of it is on disk, so every folder here is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, Hashing};
use crate::durable::{self, Temporary, Workshop};
use crate::error::{Context, Error};
use crate::unpack::skeleton;

/// The folder of unpacked files in a layer's folder.
pub(crate) const FILES: &str = "files";
/// The file with the rest of the archive.
pub(crate) const ARCHIVE: &str = "archive.gz";
/// The file with the [`Record`].
const RECORD: &str = "layer.json";

/// The chainID of each layer, from the diffIDs, the lowest first.
pub fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        let id = match chain.last() {
            None => *diff_id,
            Some(below) => Digest::of(format!("{below} {diff_id}").as_bytes()),
        };
        chain.push(id);
    }
    chain
}

/// What `layer.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The digest of the uncompressed archive.
    pub(crate) diff_id: Digest,
    /// Bytes of its files and link targets; each hard-linked file counts once.
    pub(crate) size: u64,
}

/// An unpacked and checked layer that is not in its place yet.
pub(crate) struct StagedLayer {
    chain_id: Digest,
    folder: Temporary,
}

impl StagedLayer {
    /// Takes a temporary folder in which `files/` and `archive.gz` are, and adds the record.
    pub(crate) fn new(
        folder: Temporary,
        chain_id: Digest,
        record: &Record,
    ) -> Result<StagedLayer, Error> {
        let path = folder.path().join(RECORD);
        let text = serde_json::to_vec(record)
            .map_err(|error| Error::System(format!("encode {RECORD}: {error}")))?;
        fs::write(&path, text).context("write", &path)?;
        Ok(StagedLayer { chain_id, folder })
    }
}

/// The folder of layers.
#[derive(Debug)]
pub(crate) struct Layers {
    folder: PathBuf,
    /// How many loads rely on a layer that no image names yet: nobody may remove it meanwhile.
    pins: Arc<Mutex<BTreeMap<Digest, usize>>>,
    /// Layers that [`Layers::verify`] found damaged; the next load that has them replaces them.
    damaged: Mutex<BTreeSet<Digest>>,
}

/// Keeps a layer from being removed while it lives.
pub(crate) struct Pin {
    pins: Arc<Mutex<BTreeMap<Digest, usize>>>,
    chain_id: Digest,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pins = lock(&self.pins);
        match pins.get_mut(&self.chain_id) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(pins.remove(&self.chain_id)),
        }
    }
}

/// Locks; the data is plain counters and sets, whole even if a holder panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Layers {
    pub(crate) fn new(folder: PathBuf) -> Layers {
        Layers {
            folder,
            pins: Arc::default(),
            damaged: Mutex::default(),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, chain_id: &Digest) -> PathBuf {
        self.folder.join(chain_id.hex())
    }

    /// Where the unpacked files of a layer are.
    pub(crate) fn files(&self, chain_id: &Digest) -> PathBuf {
        self.path(chain_id).join(FILES)
    }

    /// Pins a layer, whether it exists yet or not. To be taken before [`Layers::usable`] is asked.
    pub(crate) fn pin(&self, chain_id: Digest) -> Pin {
        *lock(&self.pins).entry(chain_id).or_default() += 1;
        Pin {
            pins: Arc::clone(&self.pins),
            chain_id,
        }
    }

    /// Whether the layer is there and not known to be damaged.
    pub(crate) fn usable(&self, chain_id: &Digest) -> bool {
        !lock(&self.damaged).contains(chain_id)
            && self.record(chain_id).is_ok()
            && self.files(chain_id).is_dir()
    }

    /// Reads a layer's record.
    pub(crate) fn record(&self, chain_id: &Digest) -> Result<Record, Error> {
        let path = self.path(chain_id).join(RECORD);
        let bytes = fs::read(&path).context("read", &path)?;
        serde_json::from_slice(&bytes).map_err(|_| Error::damaged("layer", chain_id))
    }

    /// Moves staged layers to their places. Their contents must have been flushed. A place that is taken
    /// keeps what it has, unless that is damaged.
    pub(crate) fn place(&self, staged: &[StagedLayer], workshop: &Workshop) -> Result<(), Error> {
        for layer in staged {
            let path = self.path(&layer.chain_id);
            if self.usable(&layer.chain_id) {
                continue;
            }
            self.move_away(&layer.chain_id, workshop)?;
            fs::rename(layer.folder.path(), &path).context("rename", layer.folder.path())?;
            lock(&self.damaged).remove(&layer.chain_id);
        }
        durable::sync_directory(&self.folder)
    }

    /// Takes a layer out of its place; its files go when the result is dropped. None if there is no such
    /// layer.
    fn move_away(
        &self,
        chain_id: &Digest,
        workshop: &Workshop,
    ) -> Result<Option<Temporary>, Error> {
        let (path, aside) = (self.path(chain_id), workshop.unused());
        match fs::rename(&path, &aside) {
            Ok(()) => Ok(Some(Temporary::adopt(aside))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("rename", &path),
        }
    }

    /// Takes out those of the candidates that nobody pins and that are not `needed`. Returns what was taken,
    /// in the order of the candidates; the files go when that is dropped, which may take a while.
    pub(crate) fn take_unused(
        &self,
        candidates: &[Digest],
        needed: &BTreeSet<Digest>,
        workshop: &Workshop,
    ) -> Result<Vec<(Digest, Temporary)>, Error> {
        // Held over the renames: a load that pins a layer later finds it gone and unpacks it anew.
        let pins = lock(&self.pins);
        let mut taken = Vec::new();
        for chain_id in candidates {
            if needed.contains(chain_id) || pins.contains_key(chain_id) {
                continue;
            }
            if let Some(folder) = self.move_away(chain_id, workshop)? {
                taken.push((*chain_id, folder));
            }
        }
        Ok(taken)
    }

    /// Makes the archive of a layer again and compares its digest with the diffID. That reads every file.
    pub(crate) fn verify(&self, chain_id: &Digest) -> Result<(), Error> {
        let checked = self.write_archive(chain_id, &mut io::sink());
        if checked.is_err() {
            lock(&self.damaged).insert(*chain_id);
        }
        checked
    }

    /// The length of a layer's archive, in bytes.
    pub(crate) fn archive_length(&self, chain_id: &Digest) -> Result<u64, Error> {
        let path = self.path(chain_id).join(ARCHIVE);
        let file = File::open(&path).context("open", &path)?;
        let mut length = 0u64;
        skeleton::read(file, |record| {
            length = length.saturating_add(match record {
                skeleton::Record::Raw(bytes) => bytes.len() as u64,
                skeleton::Record::File { size, .. } => size,
                skeleton::Record::Opaque(_) | skeleton::Record::End { .. } => 0,
            });
            Ok(())
        })
        .context("read", &path)?;
        Ok(length)
    }

    /// Writes a layer's archive, made again, and says if it is not the one that its diffID names.
    pub(crate) fn write_archive(
        &self,
        chain_id: &Digest,
        output: &mut dyn Write,
    ) -> Result<(), Error> {
        let record = self.record(chain_id)?;
        let (files, archive) = (self.files(chain_id), self.path(chain_id).join(ARCHIVE));
        let root = File::open(&files).context("open", &files)?;
        let skeleton = File::open(&archive).context("open", &archive)?;
        let mut hash = Hashing::new(output);
        let rebuilt = skeleton::rebuild(skeleton, &root, &mut hash);
        let (digest, _, _) = hash.finish();
        match rebuilt {
            Ok(()) if digest == record.diff_id => Ok(()),
            Ok(()) => Err(Error::damaged("layer", chain_id)),
            // Nobody takes the archive any more.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                Err(Error::System(format!("write layer {chain_id}: {error}")))
            }
            Err(error) => Err(Error::System(format!(
                "layer {chain_id} is damaged in the store: {error}"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_ids_as_docker_computes_them() {
        // The two layers of an image that Docker 28.5 loaded, and what it called them.
        let diff_ids: Vec<Digest> = [
            "sha256:18ad60a3cabdfcbdbbfb13f5c89594ce38755d3d88a515a34ab6850cf92e46c2",
            "sha256:4263f1e3b44e58609b6dfafa323c707a31ab39222508b1e78cf6748d9ba47820",
        ]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
        let below_and_top = chain_ids(&diff_ids);
        let second = "sha256:1b00551e480cf88395d920c2e726f722f73be320734f9f74758c33cd3d4f09a5"
            .parse()
            .unwrap();
        assert_eq!(below_and_top, [diff_ids[0], second]);
        assert!(chain_ids(&[]).is_empty());
    }
}
