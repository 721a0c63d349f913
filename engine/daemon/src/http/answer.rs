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
/// hyper 1.12 polls a body twice in a row. Where it ends between the two, and the end of the connection is the end of the
/// body (HTTP/1.0), there is nothing to write, so hyper neither flushes nor looks whether it is done, and waits for a
/// client that waits for it. One more round ends the connection.
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
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use hyper::rt::{Read, ReadBufCursor, Write};
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    type Sender = Arc<Mutex<Option<mpsc::Sender<Bytes>>>>;

    /// A socket that ends the body when the head of the answer is written: between hyper's two looks at it.
    struct EndsBody(TokioIo<UnixStream>, Sender);

    impl Read for EndsBody {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buffer: ReadBufCursor<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(context, buffer)
        }
    }

    impl Write for EndsBody {
        fn poll_write(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.1.lock().unwrap().take();
            Pin::new(&mut self.0).poll_write(context, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(context)
        }

        fn poll_shutdown(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(context)
        }
    }

    #[tokio::test]
    async fn a_stream_that_ends_while_its_head_is_written_ends_the_connection() {
        for version in ["1.0", "1.1"] {
            let (mut client, server) = UnixStream::pair().unwrap();
            let (sender, pieces) = mpsc::channel(1);
            let pieces = Arc::new(Mutex::new(Some(pieces)));
            let service = service_fn(move |_request: hyper::Request<hyper::body::Incoming>| {
                let pieces = pieces.lock().unwrap().take().unwrap();
                async move { Ok::<_, std::convert::Infallible>(Response::new(Body::Stream(pieces))) }
            });
            let socket = EndsBody(TokioIo::new(server), Arc::new(Mutex::new(Some(sender))));
            tokio::spawn(http1::Builder::new().serve_connection(socket, service));
            let request = format!("GET / HTTP/{version}\r\nConnection: close\r\n\r\n");
            client.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            let read = client.read_to_end(&mut answer);
            tokio::time::timeout(Duration::from_secs(10), read)
                .await
                .unwrap_or_else(|_| panic!("HTTP/{version}: the connection did not end"))
                .unwrap();
        }
    }
}
