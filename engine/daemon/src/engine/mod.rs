//! What every part of the daemon shares.

pub mod events;
pub mod identity;
pub mod images;
pub mod network;
pub mod pid_file;
pub mod trash;

use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Mutex;

use drydock_shim::spawner::{self, Roots, Spawner};

use crate::containers::Registry;
use crate::containers::container::lock;
use crate::containers::shim_link::Open;
use crate::settings::Settings;
use events::Events;
use identity::Identity;
use images::Images;
use network::Network;
use trash::Trash;

/// The engine.
pub struct Engine {
    /// What it was told.
    pub settings: Settings,
    /// Who it is.
    pub identity: Identity,
    /// Its images.
    pub images: Images,
    /// The default bridge.
    pub network: Network,
    /// Makes shims; None once the daemon ends.
    spawner: Mutex<Option<Spawner>>,
    /// The open connections to shims.
    pub open_links: Open,
    /// All containers.
    pub containers: Registry,
    /// The news.
    pub events: Events,
    /// What is to be deleted.
    pub trash: Trash,
}

impl Engine {
    /// Opens everything below the two roots, and the network. Containers are not read yet, see
    /// [`crate::containers::reconcile`].
    ///
    /// # Errors
    /// What cannot be opened, with its name.
    pub fn open(settings: Settings) -> io::Result<Engine> {
        for directory in [
            settings.data_root.join("containers"),
            settings.exec_root.join("shims"),
        ] {
            make_private(&directory)?;
        }
        drydock_runtime::skeleton::make(&settings.data_root.join("skeleton"))?;
        let identity = Identity::open(&settings.data_root)?;
        let trash = Trash::open(&settings.data_root)?;
        let images = Images::open(&settings.data_root)?;
        // Before any thread holds much memory, and before the network thread exists.
        let spawner = spawner::launch(&Roots {
            data_root: settings.data_root.clone(),
            exec_root: settings.exec_root.clone(),
        })?;
        let network = Network::open(&settings, &identity)?;
        Ok(Engine {
            settings,
            identity,
            images,
            network,
            spawner: Mutex::new(Some(spawner)),
            open_links: Open::default(),
            containers: Registry::default(),
            events: Events::default(),
            trash,
        })
    }

    /// A new shim's socket.
    ///
    /// # Errors
    /// When the spawner is gone.
    pub fn shim(&self) -> io::Result<UnixStream> {
        match &*lock(&self.spawner) {
            Some(spawner) => spawner.shim(),
            None => Err(io::Error::other("the daemon is ending")),
        }
    }

    /// A copy of this program in memory that nobody can change (the spawner's), for a process that enters a
    /// container.
    ///
    /// # Errors
    /// When the spawner is gone.
    pub fn sealed_program(&self) -> io::Result<PathBuf> {
        match &*lock(&self.spawner) {
            Some(spawner) => Ok(PathBuf::from(format!("/proc/{}/exe", spawner.pid()))),
            None => Err(io::Error::other("the daemon is ending")),
        }
    }

    /// Ends the spawner and waits for it, so that nothing of the daemon outlives it but the shims.
    pub fn end_spawner(&self) {
        drop(lock(&self.spawner).take());
    }

    /// A container's directory.
    pub fn container_directory(&self, id: &str) -> PathBuf {
        self.settings.data_root.join("containers").join(id)
    }

    /// The layer with the mount points, on top of every image.
    pub fn skeleton(&self) -> PathBuf {
        self.settings.data_root.join("skeleton")
    }

    /// The socket on which a container's shim listens for later daemons.
    pub fn shim_socket(&self, id: &str) -> PathBuf {
        self.settings
            .exec_root
            .join("shims")
            .join(format!("{id}.sock"))
    }
}

/// Makes a directory that only root can enter.
///
/// # Errors
/// The operating system's, with the path.
pub fn make_private(path: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("make directory {}: {error}", path.display()),
            )
        })
}
