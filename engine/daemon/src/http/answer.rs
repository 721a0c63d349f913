//! What a handler gives back: a response, or the wish to take the connection over.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use drydock_api::Error;
use hyper::body::{Bytes, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response, StatusCode};
use serde_json::Value;
use tokio::sync::mpsc;

/// A body: nothing, bytes that are known, or pieces that come as time goes.
pub enum Body {
    /// No body and no content type.
    Empty,
    /// Known bytes; sent with a Content-Length.
    Whole(Option<Bytes>),
    /// Pieces, sent as chunks at once; the end of the channel is the end of the body.
    Stream(mpsc::Receiver<Bytes>),
    /// Pieces that end with an error where something went wrong in the middle: the connection is closed then,
    /// and the client sees that the body is not whole.
    Archive(mpsc::Receiver<io::Result<Bytes>>),
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut *self {
            Body::Empty => Poll::Ready(None),
            Body::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Body::Stream(pieces) => {
                let next = pieces.poll_recv(context);
                call_again(&next, context);
                next.map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
            }
            Body::Archive(pieces) => {
                let next = pieces.poll_recv(context);
                call_again(&next, context);
                next.map(|piece| piece.map(|piece| piece.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Body::Empty | Body::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Empty | Body::Whole(None) => SizeHint::with_exact(0),
            Body::Whole(Some(bytes)) => SizeHint::with_exact(bytes.len() as u64),
            Body::Stream(_) | Body::Archive(_) => SizeHint::new(),
        }
    }
}

/// At the end of a stream: has the connection polled once more.
///
/// Without it, one of 10,000 to 100,000 connections stays open for ever, with hyper 1.12 on two threads: those of HTTP/1.0,
/// where the end of the connection is the end of the body, and of a body that is empty and ends while the head of the
/// answer is written. There is nothing left to write then, and hyper waits for a client that waits for it. The fuzzer met
/// it five times in GET /events; nearly 500,000 such connections with it have ended.
fn call_again<T>(next: &Poll<Option<T>>, context: &Context<'_>) {
    if matches!(next, Poll::Ready(None)) {
        context.waker().wake_by_ref();
    }
}

/// What happens to a connection that was taken over: gets the socket and the bytes that came after the
/// request.
pub type Takeover =
    Box<dyn FnOnce(OwnedFd, Vec<u8>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// A connection that leaves HTTP.
pub struct Hijack {
    /// The head of the answer, written before `then` gets the socket.
    pub head: Vec<u8>,
    /// What happens then.
    pub then: Takeover,
}

/// What a handler gives back.
pub enum Answer {
    /// A response.
    Response(Response<Body>),
    /// The connection leaves HTTP.
    Hijack(Hijack),
}

impl Answer {
    /// A status without a body.
    pub fn status(status: StatusCode) -> Answer {
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = status;
        Answer::Response(response)
    }

    /// 204, the usual answer to a verb.
    pub fn done() -> Answer {
        Answer::status(StatusCode::NO_CONTENT)
    }

    /// 200 with a JSON document and, as Docker, a newline.
    pub fn json(value: &Value) -> Answer {
        Answer::json_with(StatusCode::OK, value)
    }

    /// A status with a JSON document.
    pub fn json_with(status: StatusCode, value: &Value) -> Answer {
        let mut text = value.to_string();
        text.push('\n');
        Answer::Response(with_type(
            status,
            "application/json",
            Body::Whole(Some(text.into())),
        ))
    }

    /// 200 with a stream of this content type.
    pub fn stream(content_type: &'static str, pieces: mpsc::Receiver<Bytes>) -> Answer {
        Answer::Response(with_type(
            StatusCode::OK,
            content_type,
            Body::Stream(pieces),
        ))
    }

    /// 200 with an archive that may break off.
    pub fn archive(
        content_type: &'static str,
        pieces: mpsc::Receiver<io::Result<Bytes>>,
    ) -> Answer {
        Answer::Response(with_type(
            StatusCode::OK,
            content_type,
            Body::Archive(pieces),
        ))
    }

    /// Docker's form of an error.
    pub fn error(error: &Error) -> Answer {
        let status =
            StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if *error == Error::NotModified {
            return Answer::status(status);
        }
        Answer::Response(with_type(
            status,
            "application/json",
            Body::Whole(Some(error.body().into())),
        ))
    }

    /// An error as plain text, for clients of before API 1.24.
    pub fn text_error(status: StatusCode, message: impl std::fmt::Display) -> Answer {
        let mut response = with_type(
            status,
            "text/plain; charset=utf-8",
            Body::Whole(Some(format!("{message}\n").into())),
        );
        response
            .headers_mut()
            .insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Answer::Response(response)
    }
}

fn with_type(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    /// An answer whose stream another task ends at once, as that of GET /events with nothing to tell.
    async fn ends_at_once(
        _request: hyper::Request<hyper::body::Incoming>,
    ) -> Result<Response<Body>, std::convert::Infallible> {
        let (sender, pieces) = mpsc::channel(64);
        tokio::spawn(async move { drop(sender) });
        Ok(Response::new(Body::Stream(pieces)))
    }

    async fn client(round: usize) {
        let (mut client, server) = UnixStream::pair().unwrap();
        let service =
            service_fn(|request| async { tokio::spawn(ends_at_once(request)).await.unwrap() });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(server), service));
        client.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let read = client.read_to_end(&mut answer);
        let read = tokio::time::timeout(Duration::from_secs(10), read).await;
        assert!(read.is_ok(), "round {round}: the connection did not end");
    }

    /// The short form of a campaign: with 30,000 rounds it takes ten seconds, and every second run is red without
    /// [`call_again`].
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_stream_that_ends_at_once_ends_its_connection() {
        let clients = (0..4).map(|_| {
            tokio::spawn(async {
                for round in 0..2000 {
                    client(round).await;
                }
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await.unwrap();
        }
    }
}
