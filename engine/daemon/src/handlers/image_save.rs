//! GET /images/get and /images/{name}/get: images as an archive.
//!
//! The archive is made while it is sent. If that fails on the way, the connection breaks off, so that no
//! client takes a part for the whole.

use std::io::{self, Write};
use std::sync::Arc;

use drydock_api::{Error, request};
use drydock_image::Saving;
use hyper::body::Bytes;
use serde_json::Value;
use tokio::sync::mpsc;

use super::images::tell;
use crate::containers::container::blocking;
use crate::engine::Engine;
use crate::http::{Answer, Request};

/// How many bytes are sent at once.
const PIECE_BYTES: usize = 64 << 10;

/// GET /images/{name}/get.
///
/// # Errors
/// As [`many`].
pub fn one(engine: &Arc<Engine>, request: &Request) -> Result<Answer, Error> {
    save(engine, request, std::slice::from_ref(&request.name))
}

/// GET /images/get; the images are in `names`.
///
/// # Errors
/// 404 for what is no image, 500 for what is no name, 400 for a bad platform; nothing was sent then.
pub fn many(engine: &Arc<Engine>, request: &Request) -> Result<Answer, Error> {
    save(engine, request, &request.query.all("names"))
}

fn save(engine: &Arc<Engine>, request: &Request, names: &[String]) -> Result<Answer, Error> {
    let platforms = request.query.all("platform");
    let saving = blocking(|| engine.images.save(names))?;
    for platform in &platforms {
        check_platform(engine, &saving, platform)?;
    }
    let (sender, receiver) = mpsc::channel(4);
    let engine = Arc::clone(engine);
    tokio::task::spawn_blocking(move || send(&engine, &saving, sender));
    Ok(Answer::archive("application/x-tar", receiver))
}

/// Every image here is for one platform, so another one cannot be saved.
fn check_platform(engine: &Engine, saving: &Saving, text: &str) -> Result<(), Error> {
    let platform = request::parse_object(text.as_bytes(), "v1.Platform").map_err(|error| {
        let error = error.to_string();
        let why = error.trim_start_matches("invalid JSON: ");
        Error::invalid(format!("failed to parse platform: {why}"))
    })?;
    let part = |key: &str| platform.get(key).and_then(Value::as_str).unwrap_or("");
    if part("os").is_empty() || part("architecture").is_empty() {
        return Err(Error::invalid("both OS and Architecture must be provided"));
    }
    for id in saving.ids() {
        let Some(image) = engine.images.by_id(&id.to_string()) else {
            continue;
        };
        if image.os != part("os") || image.architecture != part("architecture") {
            // Docker's status for it is 500.
            return Err(Error::system(format!(
                "no suitable export target found for platform {}/{}",
                part("os"),
                part("architecture")
            )));
        }
    }
    Ok(())
}

fn send(engine: &Engine, saving: &Saving, sender: mpsc::Sender<io::Result<Bytes>>) {
    let mut output = Output {
        sender,
        buffer: Vec::with_capacity(PIECE_BYTES),
    };
    let written = engine.images.write_archive(saving, &mut output);
    match written.and_then(|()| output.flush().map_err(Error::system)) {
        Ok(()) => {
            for id in saving.ids() {
                tell(engine, "save", id, &id.to_string());
            }
        }
        Err(error) => {
            tracing::warn!("save: {error}");
            // A client that went needs no break.
            let _ = output.sender.blocking_send(Err(io::Error::other(error)));
        }
    }
}

/// Sends what is written, in pieces.
struct Output {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE_BYTES));
        self.sender
            .blocking_send(Ok(piece.into()))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
