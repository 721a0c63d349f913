//! Writing so that a power cut loses nothing that was acknowledged.
//!
//! The page cache makes writes look done long before they are. What is needed, and why in this order
//! (fsync(2), rename(2), syncfs(2)):
//!
//! 1. write under a temporary name: nobody takes half a file for the whole;
//! 2. flush the *contents*: a rename may reach the disk before them, and the file is then there and empty;
//! 3. rename: atomic, readers see the old or the new;
//! 4. flush the *directory*: the name is part of the directory, not of the file.
//!
//! For the thousands of files of a layer, one syncfs(2) of the file system stands for steps 2; it costs
//! about 50 ms where an fsync of each would cost seconds.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Context, Error};

/// Flushes a directory: the names in it are then on disk.
pub(crate) fn sync_directory(path: &Path) -> Result<(), Error> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .context("flush", path)
}

/// Flushes everything written to the file system that `path` lies on.
pub(crate) fn sync_file_system(path: &Path) -> Result<(), Error> {
    let directory = File::open(path).context("open", path)?;
    nix::unistd::syncfs(&directory).context("flush", path)
}

/// Writes a new file and flushes its contents, but not its name.
pub(crate) fn write_new(path: &Path, contents: &[u8]) -> Result<(), Error> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .context("create", path)?;
    file.write_all(contents).context("write", path)?;
    file.sync_data().context("flush", path)
}

/// Replaces a file in one step: steps 1 to 4 above.
pub(crate) fn replace(path: &Path, contents: &[u8]) -> Result<(), Error> {
    let temporary = path.with_added_extension("new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).context("remove", &temporary);
        }
        _ => {}
    }
    write_new(&temporary, contents)?;
    fs::rename(&temporary, path).context("rename", &temporary)?;
    match path.parent() {
        Some(parent) => sync_directory(parent),
        None => Ok(()),
    }
}

/// Makes temporary folders, all in one place that is emptied when the store opens.
#[derive(Debug)]
pub(crate) struct Workshop {
    folder: PathBuf,
    next: AtomicU64,
}

impl Workshop {
    /// Takes the folder over, which must be empty.
    pub(crate) fn new(folder: PathBuf) -> Workshop {
        Workshop {
            folder,
            next: AtomicU64::new(0),
        }
    }

    /// A name in the workshop that nothing has yet.
    pub(crate) fn unused(&self) -> PathBuf {
        self.folder
            .join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// A new folder that disappears with the value.
    pub(crate) fn folder(&self) -> Result<Temporary, Error> {
        let path = self.unused();
        fs::create_dir(&path).context("create", &path)?;
        Ok(Temporary { path })
    }
}

/// A folder or file that is removed when this is dropped, if it is still there then.
#[derive(Debug)]
pub(crate) struct Temporary {
    path: PathBuf,
}

impl Temporary {
    /// Takes over what lies at the path.
    pub(crate) fn adopt(path: PathBuf) -> Temporary {
        Temporary { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.path) {
            // Not lost: the store sweeps its workshop the next time it opens.
            tracing::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// Removes a file or a whole tree; nothing there is fine. Symbolic links are removed, not followed.
pub(crate) fn remove_tree(path: &Path) -> std::io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
