//! The daemon's end of a copier: the process that looks into a container's files, one for each request.
//!
//! The words are in `drydock_image::tree::protocol`. The daemon itself never opens a path of a container. Its
//! program is the spawner's sealed copy in memory, because it enters a container's mount namespace for a moment.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};

use drydock_api::Error;
use drydock_image::tree::protocol::{self, FailureKind, PIECE_BYTES_MAX, Reply, Request};
use drydock_image::tree::stat::Stat;
use drydock_sys::descriptors;
use hyper::body::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::container::blocking;
use crate::engine::Engine;

/// The longest reply: a name and a link's target, of which the kernel bounds both.
const REPLY_BYTES_MAX: usize = 256 << 10;

/// A running copier. Dropping it ends it.
pub struct Copier {
    stream: UnixStream,
    child: Option<Child>,
}

impl Copier {
    /// Starts one and asks it.
    ///
    /// # Errors
    /// 400 for more mounts than descriptors fit into one message, 500 when it cannot be started.
    pub async fn start(
        engine: &Engine,
        question: &Request,
        files: &[OwnedFd],
    ) -> Result<Copier, Error> {
        if files.len() > descriptors::MAX_DESCRIPTORS {
            return Err(Error::invalid(
                "the container has too many mounts for a copy",
            ));
        }
        let failed = |error: io::Error| Error::system(format!("start the copier: {error}"));
        let question = protocol::encode(question).map_err(failed)?;
        let (ours, theirs) = StdStream::pair().map_err(failed)?;
        let program = engine.sealed_program().map_err(failed)?;
        let child = blocking(|| {
            Command::new(program)
                .arg0("drydock")
                .arg("copier")
                .env_clear()
                .envs(drydock_defects::variable())
                .current_dir("/")
                .stdin(Stdio::from(OwnedFd::from(theirs)))
                .stdout(Stdio::null())
                .spawn()
        })
        .map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let mut copier = Copier {
            stream: UnixStream::from_std(ours).map_err(failed)?,
            child: Some(child),
        };
        copier.ask(&question, files).await.map_err(failed)?;
        Ok(copier)
    }

    /// The descriptors go along with the first byte.
    async fn ask(&mut self, question: &[u8], files: &[OwnedFd]) -> io::Result<()> {
        let borrowed: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
        let sent = loop {
            self.stream.writable().await?;
            let sent = self.stream.try_io(Interest::WRITABLE, || {
                descriptors::send(self.stream.as_fd(), question, &borrowed)
            });
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => break other?,
            }
        };
        self.stream.write_all(&question[sent..]).await
    }

    /// Reads the reply. `missing` is the error for what is not there.
    ///
    /// # Errors
    /// What the copier says, with Docker's status.
    pub async fn reply(&mut self, missing: &Error) -> Result<Option<Stat>, Error> {
        let ended =
            |error: io::Error| Error::system(format!("the copier does not answer: {error}"));
        let json = self.frame(REPLY_BYTES_MAX).await.map_err(ended)?;
        let reply: Reply = serde_json::from_slice(&json).map_err(|error| ended(error.into()))?;
        let failure = match reply {
            Reply::Stat(stat) => return Ok(Some(stat)),
            Reply::Done => return Ok(None),
            Reply::Failed(failure) => failure,
        };
        Err(match failure.kind {
            FailureKind::NotFound => missing.clone(),
            FailureKind::Invalid => Error::invalid(failure.text),
            FailureKind::System => Error::system(failure.text),
        })
    }

    async fn frame(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let length = self.stream.read_u32_le().await? as usize;
        if length > most {
            return Err(io::Error::other("a frame is too long"));
        }
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).await?;
        Ok(bytes)
    }

    /// The archive that follows the reply, as it comes. A receiver that is dropped ends the copier; an archive
    /// that is not whole ends with an error.
    pub fn archive(mut self) -> mpsc::Receiver<io::Result<Bytes>> {
        let (sender, receiver) = mpsc::channel(4);
        tokio::spawn(async move {
            loop {
                let piece = tokio::select! {
                    piece = self.frame(PIECE_BYTES_MAX) => piece,
                    () = sender.closed() => return,
                };
                let last = match &piece {
                    Ok(bytes) if bytes.is_empty() => return,
                    Ok(_) => false,
                    Err(error) => {
                        tracing::error!("the copier broke off: {error}");
                        true
                    }
                };
                if sender.send(piece.map(Bytes::from)).await.is_err() || last {
                    return;
                }
            }
        });
        receiver
    }

    /// Both ways of the connection: where the archive goes, and the copier that replies.
    pub fn stream(&mut self) -> &mut UnixStream {
        &mut self.stream
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        // Its own fork ends with it. On a thread, because a process that hangs in the kernel is not waited for here.
        std::thread::spawn(move || {
            // It may have ended by itself.
            let _ = child.kill();
            if let Err(error) = child.wait() {
                tracing::error!("wait for the copier: {error}");
            }
        });
    }
}

/// The entry point of the `copier` role.
pub fn copier_main() -> ExitCode {
    drydock_image::tree::child::main(|root, user| {
        let database = drydock_runtime::user::Database::read(root);
        let identity = database
            .resolve(user, &[])
            .map_err(|text| reworded(&text))?;
        Ok((identity.uid, identity.gid))
    })
}

/// Docker's text of a copy for an unknown user or group, from that of a start.
fn reworded(text: &str) -> String {
    let reworded = |what: &str| {
        let rest = text.strip_prefix(&format!("unable to find {what} "))?;
        let (name, why) = rest.rsplit_once(": ")?;
        Some(format!(
            "failed to look up {what} \"{name}\" in container: {why}"
        ))
    };
    reworded("user")
        .or_else(|| reworded("group"))
        .unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_users_have_dockers_text() {
        assert_eq!(
            reworded("unable to find group none: no matching entries in group file"),
            "failed to look up group \"none\" in container: no matching entries in group file"
        );
        assert_eq!(reworded("out of range"), "out of range");
    }
}
