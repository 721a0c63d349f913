//! POST /containers/{id}/attach: connects a client's socket to PID 1's streams.
//!
//! The socket goes to the shim as a descriptor, so the daemon is not in the data path, and attached clients
//! do not notice its death. A client that attaches before the start waits here and goes along with it.

use std::future::Future;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::Arc;

use drydock_api::{Error, framing};
use drydock_logs::ReadOptions;
use drydock_shim::protocol::{Attach, RequestBody};

use super::container::Waiting;
use super::{Container, Status, log_options, logs};
use crate::engine::Engine;
use crate::http::{Answer, Hijack, Request};

/// What a client asks for.
struct Wish {
    logs: bool,
    stream: bool,
    attach: Attach,
}

/// POST /containers/{id}/attach.
///
/// # Errors
/// None as such: Docker answers errors in the raw form of a hijacked connection.
pub async fn handle(engine: &Arc<Engine>, request: &Request) -> Result<Answer, Error> {
    Ok(prepare(engine, request)
        .await
        .unwrap_or_else(|error| refuse(&error)))
}

/// Docker's form of an error here: no JSON, and the connection ends.
fn refuse(error: &Error) -> Answer {
    let status = hyper::StatusCode::from_u16(error.status())
        .unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {}\r\n\r\n{error}\r\n",
        framing::RAW
    );
    Answer::Hijack(Hijack {
        head: head.into_bytes(),
        then: Box::new(|_, _| Box::pin(async {})),
    })
}

async fn prepare(engine: &Arc<Engine>, request: &Request) -> Result<Answer, Error> {
    let query = &request.query;
    let container = engine.containers.find(&request.name)?;
    let detach_keys = detach_keys(query.get("detachKeys"))?;
    // Held until the client is registered: the client may send its start as soon as it has our head, and
    // must not miss what PID 1 then writes first.
    let changing = Arc::clone(&container.lifecycle).lock_owned().await;
    let record = container.snapshot();
    if record.is_paused() {
        return Err(Error::Conflict(format!(
            "container {} is paused, unpause the container before attach",
            request.name
        )));
    }
    let terminal = record.config_truth("Tty");
    let wish = Wish {
        logs: query.boolean("logs"),
        stream: query.boolean("stream"),
        attach: Attach {
            stdin: query.boolean("stdin") && record.config_truth("OpenStdin"),
            stdout: query.boolean("stdout"),
            stderr: query.boolean("stderr"),
            detach_keys,
            received: Vec::new(),
        },
    };
    let content_type = framing::content_type(terminal, request.version);
    let head = if request.wants_upgrade() {
        format!(
            "HTTP/1.1 101 UPGRADED\r\nContent-Type: {content_type}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        )
    } else {
        format!("HTTP/1.1 200 OK\r\nContent-Type: {}\r\n\r\n", framing::RAW)
    };
    engine.events.container(&record, "attach", &[]);
    let then =
        move |socket: OwnedFd, received: Vec<u8>| -> Pin<Box<dyn Future<Output = ()> + Send>> {
            Box::pin(async move {
                if let Err(error) = connect(&container, wish, socket, received).await {
                    tracing::debug!("attach to container {}: {error}", container.id);
                }
                drop(changing);
            })
        };
    Ok(Answer::Hijack(Hijack {
        head: head.into_bytes(),
        then: Box::new(then),
    }))
}

async fn connect(
    container: &Arc<Container>,
    mut wish: Wish,
    mut socket: OwnedFd,
    received: Vec<u8>,
) -> Result<(), Error> {
    if wish.logs {
        let container = Arc::clone(container);
        let (out, err) = (wish.attach.stdout, wish.attach.stderr);
        // In a thread: a client that does not read must not hold up a worker.
        let written =
            tokio::task::spawn_blocking(move || write_logs(&container, socket, out, err)).await;
        socket = written.map_err(Error::system)??;
    }
    if !wish.stream {
        return Ok(());
    }
    wish.attach.received = received;
    let shim = container.live().shim.clone();
    match (container.snapshot().state.status, shim) {
        (Status::Running, Some(shim)) => {
            shim.order(RequestBody::Attach(wish.attach), &[socket])
                .await
        }
        (Status::Removing | Status::Dead, _) => Ok(()),
        _ => {
            container.live().waiting.push(Waiting {
                socket,
                attach: wish.attach,
            });
            Ok(())
        }
    }
}

/// Writes what is in the log so far.
fn write_logs(
    container: &Container,
    socket: OwnedFd,
    stdout: bool,
    stderr: bool,
) -> Result<OwnedFd, Error> {
    let format = logs::Format {
        terminal: container.snapshot().config_truth("Tty"),
        stdout,
        stderr,
        timestamps: false,
        details: false,
    };
    let mut stream = UnixStream::from(socket);
    let Some(place) = log_options::place(container, &container.snapshot()) else {
        return Ok(OwnedFd::from(stream));
    };
    let reader = drydock_logs::read(&place.path, place.format, &ReadOptions::default())
        .map_err(Error::system)?;
    let mut piece = Vec::new();
    for entry in reader {
        piece.clear();
        format.append(&mut piece, &entry.map_err(Error::system)?);
        stream.write_all(&piece).map_err(Error::system)?;
    }
    Ok(OwnedFd::from(stream))
}

/// Reads `ctrl-p,ctrl-q`; nothing is Docker's default, which is these two.
///
/// # Errors
/// 400 with Docker's text.
pub fn detach_keys(text: &str) -> Result<Vec<u8>, Error> {
    if text.is_empty() {
        return Ok(vec![16, 17]);
    }
    let key = |word: &str| match word.strip_prefix("ctrl-") {
        Some(letter) => match letter.as_bytes() {
            [letter @ b'a'..=b'z'] => Some(letter - b'a' + 1),
            b"@" => Some(0),
            b"[" => Some(27),
            b"\\" => Some(28),
            b"]" => Some(29),
            b"^" => Some(30),
            b"_" => Some(31),
            _ => None,
        },
        None if word == "DEL" => Some(127),
        None => match word.as_bytes() {
            [byte] => Some(*byte),
            _ => None,
        },
    };
    let keys: Option<Vec<u8>> = text.split(',').map(key).collect();
    keys.ok_or_else(|| Error::invalid(format!("Invalid detach keys ({text}) provided")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read() {
        assert_eq!(detach_keys(""), Ok(vec![16, 17]));
        assert_eq!(
            detach_keys("ctrl-a,x,ctrl-_,DEL"),
            Ok(vec![1, b'x', 31, 127])
        );
        for bad in ["foo", "ctrl-", "ctrl-A", "a,,b", "ctrl-ab"] {
            assert_eq!(
                detach_keys(bad).unwrap_err().to_string(),
                format!("Invalid detach keys ({bad}) provided")
            );
        }
    }
}
