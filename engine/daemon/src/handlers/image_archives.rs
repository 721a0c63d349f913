//! Images from archives: POST /images/load and /images/create.
//!
//! The archive is read while it arrives: the body's pieces go through a short channel to a thread that
//! unpacks, so a large archive is never in memory as a whole. What goes wrong with a load is an `errorDetail`
//! object in the stream; an import writes nothing before its end, so there it is still a status. Docker does
//! both so.

use std::io::{self, Read};
use std::sync::Arc;

use drydock_api::Error;
use drydock_image::{ImportOptions, LoadEvent};
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::images::{new_name, tell};
use crate::engine::Engine;
use crate::http::{Answer, Request};

/// How much of a bad archive is still received behind what is wrong in it, bytes.
const PASSED_OVER: u64 = 256 << 20;

/// POST /images/load.
///
/// # Errors
/// None before the stream begins.
pub async fn load(engine: &Arc<Engine>, mut request: Request) -> Result<Answer, Error> {
    let archive = Archive::of(request.body.take());
    let quiet = request.query.boolean("quiet");
    let engine = Arc::clone(engine);
    Ok(stream(move |lines| {
        run_load(&engine, archive, quiet, lines)
    }))
}

fn run_load(
    engine: &Engine,
    mut archive: Archive,
    quiet: bool,
    lines: &Lines,
) -> Result<(), Error> {
    let mut progress = |event: LoadEvent| match event {
        LoadEvent::Message(text) => lines.send(&json!({"stream": format!("{text}\n")})),
        LoadEvent::Layer {
            diff_id,
            current,
            total,
        } if !quiet => lines.send(&json!({
            "status": "Loading layer",
            "progressDetail": {"current": current, "total": total},
            "id": diff_id.short(),
        })),
        LoadEvent::Layer { .. } => {}
    };
    let loaded = engine.images.load(&mut archive, &mut progress);
    for loaded in loaded.inspect_err(|_| archive.pass_over())? {
        tell(engine, "load", &loaded.id, &loaded.id.to_string());
    }
    Ok(())
}

/// POST /images/create: an import from the body (`fromSrc=-`), or a pull, which needs a registry.
///
/// # Errors
/// 400 for bad names and changes, 500 for a bad archive, 501 for a pull and for an import from a URL.
pub async fn create(engine: &Arc<Engine>, mut request: Request) -> Result<Answer, Error> {
    let query = &request.query;
    let image = query.get("fromImage");
    if !image.is_empty() {
        let name = new_name(image, query.get("tag"))?
            .map(|reference| reference.familiar())
            .unwrap_or_default();
        return Err(Error::not_built(format!(
            "pull of {name}: images from a registry are"
        )));
    }
    if query.get("fromSrc") != "-" {
        return Err(Error::not_built("import from a URL is"));
    }
    let reference = new_name(query.get("repo"), query.get("tag"))?;
    let message = match query.get("message") {
        "" => "Imported from -".to_owned(),
        text => text.to_owned(),
    };
    let options = ImportOptions {
        reference,
        config: drydock_image::config_from_changes(Map::new(), &query.all("changes"))
            .map_err(crate::engine::images::error)?,
        message,
        platform: query
            .find("platform")
            .filter(|text| !text.is_empty())
            .map(str::to_owned),
    };
    let mut archive = Archive::of(request.body.take());
    let engine = Arc::clone(engine);
    let imported = tokio::task::spawn_blocking(move || {
        run_import(&engine, &mut archive, options).inspect_err(|_| archive.pass_over())
    });
    let id = imported.await.map_err(Error::system)??;
    Ok(stream(move |lines| {
        lines.send(&json!({"status": id}));
        Ok(())
    }))
}

fn run_import(
    engine: &Engine,
    archive: &mut Archive,
    options: ImportOptions,
) -> Result<String, Error> {
    let name = options
        .reference
        .as_ref()
        .map(|reference| reference.familiar());
    let digest = engine.images.import(archive, options)?;
    let id = digest.to_string();
    if let Some(name) = name {
        tell(engine, "tag", &digest, &name);
    }
    tell(engine, "import", &digest, &id);
    Ok(id)
}

/// Runs work on a thread of its own; its lines are the answer's body.
fn stream(work: impl FnOnce(&Lines) -> Result<(), Error> + Send + 'static) -> Answer {
    let (sender, receiver) = mpsc::channel(16);
    tokio::task::spawn_blocking(move || {
        let lines = Lines(sender);
        if let Err(error) = work(&lines) {
            let message = error.to_string();
            lines.send(&json!({"errorDetail": {"message": message}, "error": message}));
        }
    });
    Answer::stream("application/json", receiver)
}

/// The body of an answer, one JSON document a line.
struct Lines(mpsc::Sender<Bytes>);

impl Lines {
    fn send(&self, line: &Value) {
        // A client that went does not stop the work: what it sent is loaded, as in Docker.
        let _ = self.0.blocking_send(format!("{line}\r\n").into());
    }
}

/// A request's body as a file that is read on another thread.
struct Archive {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl Archive {
    fn of(body: Option<Incoming>) -> Archive {
        let (sender, pieces) = mpsc::channel(16);
        if let Some(body) = body {
            tokio::spawn(pump(body, sender));
        }
        Archive {
            pieces,
            current: Bytes::new(),
        }
    }

    /// Reads on behind an error, up to a limit: most clients read the answer only when they have sent all,
    /// and one whose connection ends before tells of a broken pipe.
    fn pass_over(&mut self) {
        // It is no news that the client went, or that what it sends is broken.
        let _ = io::copy(&mut self.take(PASSED_OVER), &mut io::sink());
    }
}

async fn pump(mut body: Incoming, sender: mpsc::Sender<io::Result<Bytes>>) {
    while let Some(frame) = body.frame().await {
        let piece = match frame {
            Ok(frame) => frame
                .into_data()
                .map_err(|_| io::Error::other("trailers in the archive")),
            Err(error) => Err(io::Error::other(error)),
        };
        let ended = piece.is_err();
        if sender.send(piece).await.is_err() || ended {
            return;
        }
    }
}

impl Read for Archive {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = piece?,
                None => return Ok(0),
            }
        }
        let length = self.current.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.current.split_to(length));
        Ok(length)
    }
}
