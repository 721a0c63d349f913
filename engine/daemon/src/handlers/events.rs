//! GET /events: the kept events since a moment, then what happens, until a moment or the client goes.

use std::sync::Arc;
use std::time::Duration;

use drydock_api::Error;
use drydock_api::filters::Filters;
use drydock_api::time::Moment;
use hyper::body::Bytes;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};

use crate::engine::Engine;
use crate::engine::events::Event;
use crate::http::{Answer, Request};

/// GET /events.
///
/// # Errors
/// 400 for bad filters and for `since` after `until`, 500 for bad numbers, as Docker.
pub fn events(engine: &Arc<Engine>, request: &Request) -> Result<Answer, Error> {
    let since = request.query.moment("since")?;
    let until = request.query.moment("until")?;
    let filters = Filters::parse(request.query.get("filters"))?;
    if let (Some(from), Some(to)) = (since, until)
        && from > to
    {
        return Err(Error::invalid(format!(
            "`since` time ({}) cannot be after `until` time ({})",
            request.query.get("since"),
            request.query.get("until")
        )));
    }
    let (kept, news) = engine.events.subscribe();
    let past = since.or(until
        .filter(|until| *until < drydock_sys::clock::realtime())
        .map(|_| Moment::MAX));
    let kept = kept
        .into_iter()
        .filter(|event| past.is_some_and(|past| event.time >= past))
        .filter(|event| until.is_none_or(|until| event.time <= until))
        .filter(|event| event.passes(&filters))
        .collect();
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(send(kept, news, filters, until, sender));
    Ok(Answer::stream("application/json", receiver))
}

async fn send(
    kept: Vec<Arc<Event>>,
    mut news: broadcast::Receiver<Arc<Event>>,
    filters: Filters,
    until: Option<Moment>,
    sender: mpsc::Sender<Bytes>,
) {
    for event in kept {
        if sender.send(line(&event)).await.is_err() {
            return;
        }
    }
    let now = drydock_sys::clock::realtime();
    if until.is_some_and(|until| until <= now) {
        // Nothing is left to wait for, not even a timer.
        return;
    }
    let left = until.map(|until| Duration::from_nanos(until.saturating_sub(now)));
    let end = async {
        match left {
            Some(left) => tokio::time::sleep(left).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return,
            // The client went.
            () = sender.closed() => return,
            event = news.recv() => match event {
                Ok(event) if event.passes(&filters) => {
                    if sender.send(line(&event)).await.is_err() {
                        return;
                    }
                }
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!("a client of /events reads too slowly and is cut off: it missed {missed} events");
                    return;
                }
                Err(RecvError::Closed) => return,
            }
        }
    }
}

fn line(event: &Event) -> Bytes {
    let mut text = event.to_json().to_string();
    text.push('\n');
    text.into()
}
