//! Who this engine is: ids that must be the same after a restart, kept in `<data-root>/engine.json`.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::containers::names::random_id;

/// Ids that are chosen once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// The engine's, in the form of a UUID, as `docker info` shows it.
    pub engine_id: String,
    /// The id of the network `bridge`.
    pub bridge_id: String,
    /// The id of the network `host`.
    pub host_id: String,
    /// The id of the network `none`.
    pub none_id: String,
    /// When the networks were made, nanoseconds since 1970.
    pub created: u64,
}

impl Identity {
    /// Reads the file, or makes it.
    ///
    /// # Errors
    /// The operating system's, and a file that is not ours.
    pub fn open(data_root: &Path) -> io::Result<Identity> {
        let path = data_root.join("engine.json");
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|error| io::Error::other(format!("{}: {error}", path.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Identity::create(&path),
            Err(error) => Err(error),
        }
    }

    fn create(path: &Path) -> io::Result<Identity> {
        let identity = Identity {
            engine_id: uuid(&random_id()?),
            bridge_id: random_id()?,
            host_id: random_id()?,
            none_id: random_id()?,
            created: drydock_sys::clock::realtime(),
        };
        let temporary = path.with_extension("json.new");
        fs::write(&temporary, serde_json::to_vec_pretty(&identity)?)?;
        fs::File::open(&temporary)?.sync_all()?;
        fs::rename(&temporary, path)?;
        Ok(identity)
    }
}

/// A random UUID (RFC 9562, version 4) from hexadecimal digits.
fn uuid(digits: &str) -> String {
    format!(
        "{}-{}-4{}-a{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[13..16],
        &digits[17..20],
        &digits[20..32]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay() {
        let directory = tempfile::tempdir().unwrap();
        let first = Identity::open(directory.path()).unwrap();
        let second = Identity::open(directory.path()).unwrap();
        assert_eq!(first.engine_id, second.engine_id);
        assert_ne!(first.bridge_id, first.host_id);
        assert_eq!(first.engine_id.len(), 36);
    }
}
