//! `repositories.json`: which images there are, and what they are called.
//!
//! The file is the single truth about both. A config document or a layer that no image of this file reaches
//! does not exist as far as anyone can see, and is swept away when the store opens. So an image with all its
//! layers and tags appears in one step, the rename of this file, and disappears in one step.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::durable;
use crate::error::{Context, Error};
use crate::reference::Reference;

/// The version of the file's form that this engine reads and writes.
const VERSION: u32 = 1;

/// The contents of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Repositories {
    /// All images, by id.
    pub(crate) images: BTreeMap<Digest, Entry>,
    /// All names. The order is that of the names, so those of one repository stand together.
    pub(crate) references: BTreeMap<Reference, Digest>,
}

/// What the store knows of an image beyond its config.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// When it was last tagged, in Unix nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_tagged: Option<u64>,
    /// Removed by the user while a container used it. Its layers are kept until the container is gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) removed: bool,
    /// The image it was made from here (`commit`). That one is not removed as long as this one is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<Digest>,
}

/// The form on disk.
#[derive(Serialize, Deserialize)]
struct Form {
    version: u32,
    images: BTreeMap<Digest, Entry>,
    references: BTreeMap<String, Digest>,
}

impl Repositories {
    /// The names of an image, in order.
    pub(crate) fn references_of(&self, id: &Digest) -> Vec<Reference> {
        self.references
            .iter()
            .filter(|(_, image)| *image == id)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Whether an image was made from this one.
    pub(crate) fn has_children(&self, id: &Digest) -> bool {
        let is_child = |entry: &Entry| !entry.removed && entry.parent.as_ref() == Some(id);
        self.images.values().any(is_child)
    }

    /// The image that this one was made from, as long as it is there.
    pub(crate) fn parent_of(&self, id: &Digest) -> Option<Digest> {
        let parent = self.images.get(id)?.parent?;
        let entry = self.images.get(&parent)?;
        (!entry.removed).then_some(parent)
    }

    /// Reads the file; None if there is none.
    pub(crate) fn read(path: &Path) -> Result<Option<Repositories>, Error> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context("read", path),
        };
        // A file that cannot be read must stop the engine: going on with an empty one would sweep away
        // every image.
        let damaged = |why: String| Error::System(format!("{} is damaged: {why}", path.display()));
        let form: Form =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if form.version != VERSION {
            return Err(Error::System(format!(
                "{} has version {}, this engine knows version {VERSION}\nhint: it was written by a newer engine",
                path.display(),
                form.version
            )));
        }
        let mut references = BTreeMap::new();
        for (name, image) in form.references {
            if !form.images.contains_key(&image) {
                return Err(damaged(format!("{name} names {image}, which is not in it")));
            }
            references.insert(
                Reference::parse(&name).map_err(|error| damaged(format!("{name:?}: {error}")))?,
                image,
            );
        }
        Ok(Some(Repositories {
            images: form.images,
            references,
        }))
    }

    /// Replaces the file, durably.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Error> {
        let form = Form {
            version: VERSION,
            images: self.images.clone(),
            references: self
                .references
                .iter()
                .map(|(name, image)| (name.to_string(), *image))
                .collect(),
        };
        // Indented: a learner opens this file.
        let mut bytes = serde_json::to_vec_pretty(&form)
            .map_err(|error| Error::System(format!("encode {}: {error}", path.display())))?;
        bytes.push(b'\n');
        durable::replace(path, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("repositories.json");
        assert_eq!(Repositories::read(&path).unwrap(), None);
        let id = Digest::of(b"");
        let mut repositories = Repositories::default();
        repositories.images.insert(
            id,
            Entry {
                last_tagged: Some(7),
                removed: false,
                parent: Some(Digest::of(b"parent")),
            },
        );
        repositories
            .references
            .insert(Reference::parse("foo_bar.com/x:1").unwrap(), id);
        repositories
            .references
            .insert(Reference::parse("busybox:latest").unwrap(), id);
        repositories.write(&path).unwrap();
        repositories.write(&path).unwrap();
        assert_eq!(Repositories::read(&path).unwrap(), Some(repositories));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_file_is_an_error_and_not_an_empty_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("repositories.json");
        let dangling = format!(
            r#"{{"version":1,"images":{{}},"references":{{"a:b":"{}"}}}}"#,
            Digest::of(b"")
        );
        for text in [
            "",
            "{",
            r#"{"version":2,"images":{},"references":{}}"#,
            &dangling,
        ] {
            fs::write(&path, text).unwrap();
            assert!(Repositories::read(&path).is_err(), "{text}");
        }
    }
}
