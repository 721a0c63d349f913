//! The live object of one container.
//!
//! Readers take [`Container::snapshot`], a pointer. Verbs take [`Container::lifecycle`], so that the changes
//! of one container are serial and those of two are parallel. A verb that waits for PID 1's end (stop, kill)
//! does not hold it meanwhile, because the end itself is such a change.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use drydock_shim::protocol::Attach;
use tokio::sync::{oneshot, watch};

use super::exec::Instance;
use super::record::{self, Record};
use super::shim_link::ShimLink;

/// How long a start waits for the end of the last run's teardown, which takes a millisecond.
const TEAR_DOWN: std::time::Duration = std::time::Duration::from_secs(10);

/// One container.
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its directory.
    pub directory: PathBuf,
    /// Held by the verb that changes it.
    pub lifecycle: Arc<tokio::sync::Mutex<()>>,
    snapshot: Mutex<Arc<Record>>,
    /// Held while the record is written, so that what is on disk is never older than what was written before.
    /// Only writers take it.
    saving: Mutex<()>,
    ends: watch::Sender<Ends>,
    /// Nothing is left of the last run; the next one may use its names again.
    torn_down: watch::Sender<bool>,
    exec_ends: watch::Sender<u64>,
    live: Mutex<Live>,
}

/// What waiters look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// How often PID 1 has ended since the daemon began.
    pub count: u64,
    /// The code of the last end.
    pub exit_code: i32,
    /// The container is gone.
    pub removed: bool,
}

/// A client that attached before the start.
pub struct Waiting {
    /// Its socket; the head of the answer is written.
    pub socket: OwnedFd,
    /// What it wants.
    pub attach: Attach,
}

/// What exists only while this daemon runs.
#[derive(Default)]
pub struct Live {
    /// The connection to its shim, while PID 1 runs.
    pub shim: Option<Arc<ShimLink>>,
    /// Clients that wait for the start.
    pub waiting: Vec<Waiting>,
    /// Exec instances by id.
    pub execs: HashMap<String, Instance>,
    /// Ends the wait of the restart policy.
    pub cancel_restart: Option<oneshot::Sender<()>>,
    /// The delay before the next start of the restart policy; see [`super::policy`].
    pub backoff: super::policy::Backoff,
    /// The verb stop or kill was used in this run: the restart policy does not apply to its end.
    pub exit_on_next: bool,
    /// How many clients stop it. The end tells their success, because with `--rm` the removal comes right after, and
    /// "stop" after "destroy" would speak of a container that is no more.
    pub stops: usize,
    /// Its health checks go on.
    pub watch: Option<super::probe::Watch>,
    /// A client restarts it: `--rm` does not apply to the end of this run.
    pub kept: bool,
    /// Stamps of the last end, for the waterfall.
    pub end_trace: Vec<drydock_shim::protocol::Stamp>,
}

impl Live {
    /// A user starts or stops the container: the restart policy begins anew, and what it had planned is off.
    pub fn forget_restarts(&mut self) {
        self.backoff = super::policy::Backoff::default();
        // Dropping the sender would also end the wait; sending says that it is meant.
        if let Some(cancel) = self.cancel_restart.take() {
            // The timer may have run out at this moment; then the state decides, under the lifecycle lock.
            let _ = cancel.send(());
        }
    }
}

impl Container {
    /// From its record and its directory.
    pub fn new(record: Record, directory: PathBuf) -> Container {
        Container {
            id: record.id.clone(),
            directory,
            lifecycle: Arc::default(),
            snapshot: Mutex::new(Arc::new(record)),
            saving: Mutex::default(),
            ends: watch::Sender::new(Ends::default()),
            torn_down: watch::Sender::new(true),
            exec_ends: watch::Sender::new(0),
            live: Mutex::default(),
        }
    }

    /// The record as it was last published.
    pub fn snapshot(&self) -> Arc<Record> {
        Arc::clone(&lock(&self.snapshot))
    }

    /// Changes the record and publishes it. Readers see it at once; the disk does not, see
    /// [`Container::save`].
    pub fn publish(&self, change: impl FnOnce(&mut Record)) -> Arc<Record> {
        let mut snapshot = lock(&self.snapshot);
        let mut record = Record::clone(&snapshot);
        change(&mut record);
        *snapshot = Arc::new(record);
        Arc::clone(&snapshot)
    }

    /// Writes the published record to disk.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub fn save(&self) -> io::Result<()> {
        blocking(|| {
            let _writing = lock(&self.saving);
            let record = self.snapshot();
            record::write(&self.directory, &record, !record.auto_remove())
        })
    }

    /// What exists only while this daemon runs. Held for moments, never across I/O.
    pub fn live(&self) -> MutexGuard<'_, Live> {
        lock(&self.live)
    }

    /// To wait for an end or the removal.
    pub fn ends(&self) -> watch::Receiver<Ends> {
        self.ends.subscribe()
    }

    /// A run begins (false), or nothing is left of it (true).
    pub fn set_torn_down(&self, done: bool) {
        self.torn_down.send_replace(done);
    }

    /// Waits until nothing is left of the last run: its shim removes the cgroup and the socket after it has
    /// told the exit, and the next run has the same names.
    ///
    /// # Errors
    /// The time is over; a process of the last run cannot be ended (it hangs in the kernel).
    pub async fn wait_torn_down(&self) -> io::Result<()> {
        let mut torn_down = self.torn_down.subscribe();
        let done = tokio::time::timeout(TEAR_DOWN, torn_down.wait_for(|done| *done)).await;
        match done {
            Ok(_) => Ok(()),
            Err(_) => Err(io::Error::other(
                "the last run of the container is not torn down yet",
            )),
        }
    }

    /// Wakes those who wait for an end.
    pub fn notify_end(&self, exit_code: i32) {
        self.ends.send_modify(|ends| {
            ends.count += 1;
            ends.exit_code = exit_code;
        });
    }

    /// Wakes those who wait for the removal.
    pub fn notify_removed(&self) {
        self.ends.send_modify(|ends| ends.removed = true);
    }

    /// To wait for the end of an exec.
    pub fn exec_ends(&self) -> watch::Receiver<u64> {
        self.exec_ends.subscribe()
    }

    /// Wakes those who wait for the end of an exec.
    pub fn notify_exec_end(&self) {
        self.exec_ends.send_modify(|count| *count += 1);
    }

    /// A file of its directory.
    pub fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.join(name)
    }

    /// The log of the driver json-file, with Docker's name.
    pub fn log_path(&self) -> PathBuf {
        self.directory.join(format!("{}-json.log", self.id))
    }

    /// The writable layer.
    pub fn upper(&self) -> PathBuf {
        self.directory.join("rw/upper")
    }

    /// Where the shim leaves how PID 1 ended.
    pub fn exit_record(&self) -> PathBuf {
        self.directory.join("exit.json")
    }
}

/// A lock that a panic elsewhere does not make unusable: what it protects is replaced as a whole.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a piece that may block on the disk, on a worker that hands its other work on. Outside of the runtime
/// (in tests) it just runs.
pub fn blocking<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
