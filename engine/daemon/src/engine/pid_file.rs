//! One daemon for a data root, and the file that says which.
//!
//! What keeps a second daemon out is a lock (flock(2)) that dies with the process, not the file: a process id
//! is used again. The pid file has the process id and nothing else, as Docker's, so that `kill $(cat FILE)`
//! works; the process's start time and the boot's id are in `FILE.identity` beside it, and who reads both can
//! tell whether the number still means the same process.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

/// The lock on a data root; released when dropped.
pub struct DataRootLock(#[allow(dead_code, reason = "it is held, never looked at")] Flock<File>);

impl DataRootLock {
    /// Takes the lock.
    ///
    /// # Errors
    /// When another daemon has it, naming the data root.
    pub fn take(data_root: &Path) -> io::Result<DataRootLock> {
        let path = data_root.join("drydock.lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(DataRootLock(lock)),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Err(io::Error::other(format!(
                "another daemon uses the data root {}\nhint: stop it, or give this one its own --data-root, --exec-root, --bridge and --bip",
                data_root.display()
            ))),
            Err((_, errno)) => Err(errno.into()),
        }
    }
}

/// The two files; removed when dropped.
pub struct PidFile([PathBuf; 2]);

impl PidFile {
    /// Writes the process id, and beside it start time (clock ticks since boot, field 22 of /proc/PID/stat)
    /// and boot id, one a line.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn write(path: &Path) -> io::Result<PidFile> {
        let pid = std::process::id();
        let start = start_time(pid).unwrap_or(0);
        let mut identity = path.as_os_str().to_owned();
        identity.push(".identity");
        let identity = PathBuf::from(identity);
        // The identity first: a pid file always has the one that belongs to it.
        for (path, text) in [
            (identity.as_path(), format!("{start}\n{}\n", boot_id()?)),
            (path, format!("{pid}\n")),
        ] {
            create(path, &text).map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("write pid file {}: {error}", path.display()),
                )
            })?;
        }
        Ok(PidFile([path.to_owned(), identity]))
    }
}

fn create(path: &Path, text: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())
}

impl Drop for PidFile {
    fn drop(&mut self) {
        for path in &self.0 {
            // A file that is already gone is what we want; any other trouble has nobody to be told to.
            let _ = fs::remove_file(path);
        }
    }
}

/// This boot's id.
///
/// # Errors
/// The operating system's.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

/// When a process started; None when there is none.
pub fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in brackets and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_root_has_one_daemon() {
        let root = tempfile::tempdir().unwrap();
        let first = DataRootLock::take(root.path()).unwrap();
        let error = DataRootLock::take(root.path()).err().unwrap().to_string();
        assert!(
            error.contains("another daemon uses the data root"),
            "{error}"
        );
        drop(first);
        assert!(DataRootLock::take(root.path()).is_ok());
    }

    #[test]
    fn the_file_names_this_process_and_goes() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("run/pid");
        let file = PidFile::write(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
        let identity = root.path().join("run/pid.identity");
        let text = fs::read_to_string(&identity).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let start = start_time(std::process::id()).unwrap();
        assert_eq!(lines, [start.to_string(), boot_id().unwrap()]);
        drop(file);
        assert!(!path.exists() && !identity.exists());
    }
}
