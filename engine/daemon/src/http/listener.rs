//! The sockets that the daemon listens on.
//!
//! Docker's rule: owned by root, mode 0660, group `docker` (here `drydock`) where that exists, because who
//! can write to this socket is root on the host.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use nix::unistd::{Gid, chown};
use tokio::net::UnixListener;

use super::connection;
use crate::engine::Engine;

/// The group that may use the socket.
const GROUP: &str = "drydock";

/// Binds a unix socket. One that a dead daemon left is replaced; one that answers is not.
///
/// # Errors
/// The operating system's, with the path.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    let named = |error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("listen on {}: {error}", path.display()),
        )
    };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(named)?;
    }
    remove_stale(path).map_err(named)?;
    let listener = UnixListener::bind(path).map_err(named)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(named)?;
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    if let Some(group) = group_id(&groups) {
        chown(path, None, Some(group)).map_err(|errno| named(errno.into()))?;
    }
    Ok(listener)
}

/// The group's number in a group file (group(5)). Read here, because getgrnam(3) loads libraries, which a
/// static program must not.
fn group_id(groups: &str) -> Option<Gid> {
    let line = groups
        .lines()
        .find_map(|line| line.strip_prefix(GROUP)?.strip_prefix(':'))?;
    line.split(':').nth(1)?.parse().ok().map(Gid::from_raw)
}

fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "the path exists and is no socket",
        )),
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another process listens there",
        )),
        Ok(_) => fs::remove_file(path),
    }
}

/// Accepts connections for ever.
pub async fn serve(engine: Arc<Engine>, listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection::serve(Arc::clone(&engine), stream));
            }
            Err(error) => {
                // Out of descriptors, most likely: wait, so that connections in progress can end.
                tracing::warn!("accept: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_found() {
        let groups = "root:x:0:\ndrydock2:x:5:\ndrydock:x:997:ann,bob\n";
        assert_eq!(group_id(groups), Some(Gid::from_raw(997)));
        assert_eq!(group_id("root:x:0:\n"), None);
    }
}
