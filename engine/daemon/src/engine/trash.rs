//! What is to be deleted: one rename makes it disappear, a thread in the background does the work.
//!
//! A writable layer may hold a million files, and nobody should wait for them. The rename is also the commit
//! of a removal: before it the container is there as a whole, after it it is gone as a whole.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use super::make_private;

/// The directory of what is to be deleted, and the thread that deletes.
pub struct Trash {
    directory: PathBuf,
    counter: AtomicU64,
    work: mpsc::Sender<PathBuf>,
}

impl Trash {
    /// Opens it. What a former daemon left is deleted first.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn open(data_root: &Path) -> io::Result<Trash> {
        let directory = data_root.join("trash");
        make_private(&directory)?;
        let (work, jobs) = mpsc::channel();
        for entry in fs::read_dir(&directory)? {
            // The receiver is two lines below.
            let _ = work.send(entry?.path());
        }
        thread::Builder::new()
            .name("trash".into())
            .spawn(move || jobs.iter().for_each(|path| delete(&path)))?;
        Ok(Trash {
            directory,
            counter: AtomicU64::new(drydock_sys::clock::realtime()),
            work,
        })
    }

    /// Takes a file or directory of the data root out of sight and has it deleted. `durable` makes sure that
    /// it does not come back after a power cut.
    ///
    /// # Errors
    /// The operating system's, with the path; nothing was changed then.
    pub fn throw(&self, path: &Path, durable: bool) -> io::Result<()> {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let target = self.directory.join(number.to_string());
        fs::rename(path, &target).map_err(|error| {
            io::Error::new(error.kind(), format!("remove {}: {error}", path.display()))
        })?;
        if durable && let Some(parent) = path.parent() {
            File::open(parent)?.sync_all()?;
        }
        // The thread ends only with the process.
        let _ = self.work.send(target);
        Ok(())
    }
}

fn delete(path: &Path) {
    let result = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        tracing::warn!(
            "delete {}: {error}; it is tried again when the daemon starts",
            path.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_thrown_goes() {
        let root = tempfile::tempdir().unwrap();
        let victim = root.path().join("victim");
        fs::create_dir_all(victim.join("deep/er")).unwrap();
        let trash = Trash::open(root.path()).unwrap();
        trash.throw(&victim, true).unwrap();
        assert!(!victim.exists());
        assert!(trash.throw(&victim, false).is_err());
        for _ in 0..500 {
            if fs::read_dir(root.path().join("trash"))
                .unwrap()
                .next()
                .is_none()
            {
                return;
            }
            thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("the trash is not emptied");
    }
}
