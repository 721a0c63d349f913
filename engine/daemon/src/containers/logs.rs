//! GET /containers/{id}/logs: read from the file that the shim writes, which is the log or the cache of a remote one.
//!
//! Following waits for changes of the log's directory (inotify(7)), which also shows rotations, and for the
//! end of PID 1. The shim tells an end only when the log is complete, so one more read after it is all.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use drydock_api::{Error, framing, time};
use drydock_defects::defect;
use drydock_logs::{Entry, ReadOptions, Reader, Stream};
use hyper::body::Bytes;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::Container;
use super::log_options::{self, Place};
use crate::engine::Engine;
use crate::http::{Answer, Request};

/// How many bytes are collected before they are sent.
const PIECE: usize = 32 << 10;

/// How an entry is written.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// No framing.
    pub terminal: bool,
    /// Entries of stdout are wanted.
    pub stdout: bool,
    /// Entries of stderr are wanted.
    pub stderr: bool,
    /// Each line begins with its time.
    pub timestamps: bool,
    /// Each line has the attributes of `--log-opt env`, `labels` and `tag`, where the driver keeps them.
    pub details: bool,
}

impl Format {
    /// Appends an entry, if it is wanted.
    pub fn append(&self, output: &mut Vec<u8>, entry: &Entry) {
        let (wanted, kind) = match entry.stream {
            Stream::Stdout => (self.stdout, framing::STDOUT),
            Stream::Stderr => (self.stderr, framing::STDERR),
        };
        if !wanted {
            return;
        }
        let kind = if defect!("log-streams-swapped") {
            3 - kind
        } else {
            kind
        };
        let mut line = Vec::with_capacity(entry.line.len() + 32);
        if self.timestamps {
            line.extend_from_slice(time::rfc3339_fixed(entry.time_nanos).as_bytes());
            line.push(b' ');
        }
        if self.details {
            line.extend_from_slice(details(&entry.attributes).as_bytes());
            line.push(b' ');
        }
        line.extend_from_slice(&entry.line);
        if self.terminal {
            output.extend_from_slice(&line);
        } else {
            framing::append(output, kind, &line);
        }
    }
}

/// `CITY=oslo,tier=web`, with what is special in a URL escaped, as Go's url.QueryEscape does.
fn details(attributes: &[(String, String)]) -> String {
    let escaped = |text: &str| {
        let mut out = String::with_capacity(text.len());
        for byte in text.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    out.push(byte.into());
                }
                b' ' => out.push('+'),
                _ => out.push_str(&format!("%{byte:02X}")),
            }
        }
        out
    };
    let pair = |(name, value): &(String, String)| format!("{}={}", escaped(name), escaped(value));
    attributes.iter().map(pair).collect::<Vec<_>>().join(",")
}

/// GET /containers/{id}/logs.
///
/// # Errors
/// 400 when no stream is asked for, 404, 500 for a bad number, 501 for a driver that keeps no log.
pub fn handle(engine: &Arc<Engine>, request: &Request) -> Result<Answer, Error> {
    let query = &request.query;
    let (stdout, stderr) = (query.boolean("stdout"), query.boolean("stderr"));
    if !stdout && !stderr {
        return Err(Error::invalid(
            "Bad parameters: you must choose at least one stream",
        ));
    }
    let container = engine.containers.find(&request.name)?;
    let record = container.snapshot();
    let options = ReadOptions {
        since: query
            .moment("since")?
            .filter(|_| !defect!("log-since-ignored")),
        until: query.moment("until")?.filter(|until| *until > 0),
        // What is no number means all, as in Docker.
        tail: query
            .get("tail")
            .parse()
            .ok()
            .map(|tail: u64| tail + u64::from(defect!("log-tail-off-by-one"))),
    };
    let place = log_options::place(&container, &record).ok_or_else(|| {
        Error::NotImplemented("configured logging driver does not support reading".to_owned())
    })?;
    let terminal = record.config_truth("Tty");
    let format = Format {
        terminal,
        stdout,
        stderr,
        timestamps: query.boolean("timestamps"),
        details: query.boolean("details"),
    };
    let follow = query.boolean("follow") && record.is_running();
    let content_type = framing::content_type(terminal, request.version);
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        if let Err(error) = send(&container, place, options, format, follow, &sender).await {
            tracing::warn!("logs of container {}: {error}", container.id);
        }
    });
    Ok(Answer::stream(content_type, receiver))
}

async fn send(
    container: &Container,
    place: Place,
    options: ReadOptions,
    format: Format,
    follow: bool,
    sender: &mpsc::Sender<Bytes>,
) -> std::io::Result<()> {
    let mut ends = container.ends();
    ends.mark_unchanged();
    let running = container.snapshot().is_running();
    // Watched before it is read, so that no change falls in between.
    let changes = if follow {
        Some(watch(place.path.parent().unwrap_or(&container.directory))?)
    } else {
        None
    };
    let end = options
        .until
        .map(|until| Duration::from_nanos(until.saturating_sub(drydock_sys::clock::realtime())));
    let out = sender.clone();
    let mut reader = blocking(move || {
        let mut reader = drydock_logs::read(&place.path, place.format, &options)?;
        read_all(&mut reader, format, &out)?;
        Ok(reader)
    })
    .await?;
    let Some(changes) = changes else {
        return report(container, &reader);
    };
    let end = async {
        match end {
            Some(end) => tokio::time::sleep(end).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(end);
    let mut over = !running;
    while !reader.finished() {
        if !over {
            tokio::select! {
                () = sender.closed() => return Ok(()),
                () = &mut end => return Ok(()),
                _ = ends.changed() => over = true,
                changed = changed(&changes) => changed?,
            }
        }
        let out = sender.clone();
        reader = blocking(move || {
            read_new(&mut reader, format, &out)?;
            Ok(reader)
        })
        .await?;
        if over {
            break;
        }
    }
    report(container, &reader)
}

/// Damage is said aloud: Docker's silence about it is one of its oldest bugs.
fn report(container: &Container, reader: &Reader) -> std::io::Result<()> {
    let skipped = reader.skipped();
    if skipped.places > 0 {
        tracing::warn!(
            "log of container {} is damaged in {} places: {} bytes were skipped",
            container.id,
            skipped.places,
            skipped.bytes
        );
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(std::io::Error::other)?
}

fn read_all(
    reader: &mut Reader,
    format: Format,
    sender: &mpsc::Sender<Bytes>,
) -> std::io::Result<()> {
    pump(|| reader.next().transpose(), format, sender)
}

fn read_new(
    reader: &mut Reader,
    format: Format,
    sender: &mpsc::Sender<Bytes>,
) -> std::io::Result<()> {
    pump(|| reader.next_new(), format, sender)
}

fn pump(
    mut next: impl FnMut() -> std::io::Result<Option<Entry>>,
    format: Format,
    sender: &mpsc::Sender<Bytes>,
) -> std::io::Result<()> {
    let mut piece = Vec::new();
    loop {
        let entry = next()?;
        if let Some(entry) = &entry {
            format.append(&mut piece, entry);
        }
        let full = entry.is_none() || piece.len() >= PIECE;
        if full
            && !piece.is_empty()
            && sender
                .blocking_send(std::mem::take(&mut piece).into())
                .is_err()
        {
            // The client went.
            return Ok(());
        }
        if entry.is_none() {
            return Ok(());
        }
    }
}

fn watch(folder: &Path) -> std::io::Result<AsyncFd<OwnedFd>> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    let changes = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
    inotify.add_watch(folder, changes)?;
    #[expect(
        deprecated,
        reason = "its successor is unsafe; an owned descriptor that stays inside is sound"
    )]
    AsyncFd::new(OwnedFd::from(inotify))
}

/// Waits for a change. Which it was does not matter: the reader finds out.
async fn changed(watcher: &AsyncFd<OwnedFd>) -> std::io::Result<()> {
    let mut events = [0_u8; 4096];
    let mut ready = watcher.readable().await?;
    loop {
        match nix::unistd::read(watcher.get_ref(), &mut events) {
            Ok(_) => {}
            Err(nix::errno::Errno::EAGAIN) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    ready.clear_ready();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_written_as_docker_does() {
        let entry = Entry {
            stream: Stream::Stderr,
            time_nanos: 1_795_243_928_017_180_080,
            line: b"err\n".to_vec(),
            attributes: vec![
                ("CITY".to_owned(), "a b/é".to_owned()),
                ("tier".to_owned(), "web".to_owned()),
            ],
        };
        let format = |terminal, stderr, timestamps, details| Format {
            terminal,
            stdout: true,
            stderr,
            timestamps,
            details,
        };
        let written = |format: Format| {
            let mut output = Vec::new();
            format.append(&mut output, &entry);
            output
        };
        assert_eq!(
            written(format(false, true, false, false)),
            b"\x02\0\0\0\0\0\0\x04err\n"
        );
        assert_eq!(
            written(format(true, true, true, false)),
            b"2026-11-21T06:52:08.017180080Z err\n"
        );
        assert_eq!(
            written(format(true, true, true, true)),
            b"2026-11-21T06:52:08.017180080Z CITY=a+b%2F%C3%A9,tier=web err\n"
        );
        assert_eq!(written(format(false, false, false, false)), b"");
    }
}
