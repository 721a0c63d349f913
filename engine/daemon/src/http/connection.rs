//! One connection.
//!
//! hyper serves it until a handler wants to take it over. Then the handler's future stays pending for ever,
//! hyper is stopped, and its socket and read buffer are taken out: the head of the answer is written by us,
//! and what the client sent after its request is handed on. hyper's own upgrade would do for clients that
//! ask with an Upgrade header; Docker also serves those that do not (200, then raw bytes both ways), which
//! HTTP/1.1 has no word for. One way for both is simpler.

use std::convert::Infallible;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::answer::{Answer, Hijack};
use super::dispatch;
use crate::engine::Engine;

/// The largest head of a request, bytes.
const MAX_HEAD: usize = 64 << 10;

/// Serves a connection to its end.
pub async fn serve(engine: Arc<Engine>, stream: UnixStream) {
    let (take_over, mut taken_over) = mpsc::channel::<Hijack>(1);
    let service = service_fn(move |request| {
        let engine = Arc::clone(&engine);
        let take_over = take_over.clone();
        async move {
            match dispatch::answer(engine, request).await {
                Answer::Response(response) => Ok::<_, Infallible>(response),
                Answer::Hijack(hijack) => {
                    // The receiver lives as long as this future is polled, so this cannot fail.
                    let _ = take_over.send(hijack).await;
                    std::future::pending().await
                }
            }
        }
    });
    let mut connection = http1::Builder::new()
        .title_case_headers(true)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = &mut connection => {
            if let Err(error) = ended {
                tracing::debug!("connection: {error}");
            }
        }
        Some(hijack) = taken_over.recv() => {
            let parts = connection.into_parts();
            if let Err(error) = hand_over(parts.io.into_inner(), parts.read_buf.to_vec(), hijack).await {
                tracing::debug!("hijacked connection: {error}");
            }
        }
    }
}

async fn hand_over(stream: UnixStream, received: Vec<u8>, hijack: Hijack) -> std::io::Result<()> {
    let mut stream = stream.into_std()?;
    // The head is a few hundred bytes on a socket whose buffer is empty: this does not block. The shim
    // expects a blocking socket.
    stream.set_nonblocking(false)?;
    stream.write_all(&hijack.head)?;
    (hijack.then)(OwnedFd::from(stream), received).await;
    Ok(())
}
