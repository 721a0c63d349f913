//! How a container ended, on disk: whole or not there.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::protocol::ExitRecord;

/// Writes a temporary file and renames it. `durable`: syncs both.
pub(crate) fn write(path: &Path, durable: bool, record: &ExitRecord) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let written = (|| {
        let mut file = File::create(&temporary)?;
        file.write_all(&serde_json::to_vec(record)?)?;
        if durable {
            file.sync_all()?;
        }
        std::fs::rename(&temporary, path)?;
        match path.parent().filter(|_| durable) {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    })();
    match written {
        // The daemon removed the container's folder, by force, before its shim was done.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
