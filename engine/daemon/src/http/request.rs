//! A request as a handler sees it.

use drydock_api::query::Query;
use drydock_api::version::Version;
use drydock_api::{Error, request};
use http_body_util::{BodyExt, Limited};
use hyper::Method;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, TRANSFER_ENCODING, UPGRADE};
use serde_json::Value;

/// The most bytes of a JSON body that are read. Docker has no limit; an environment of 2 MB fits here.
const MAX_BODY: usize = 8 << 20;

/// One request.
pub struct Request {
    /// GET or HEAD, where a route serves both.
    pub method: Method,
    /// What stands for `{id}` or `{name}` in the path, decoded.
    pub name: String,
    /// The parameters.
    pub query: Query,
    /// The API version that the path asked for.
    pub version: Version,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, not read yet.
    pub body: Option<Incoming>,
}

impl Request {
    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The client asked for the HTTP upgrade to a raw stream, so it expects status 101.
    pub fn wants_upgrade(&self) -> bool {
        self.headers.contains_key(UPGRADE)
    }

    /// The client asked for the waterfall of a start.
    pub fn wants_trace(&self) -> bool {
        self.header("drydock-trace") == Some("1")
    }

    /// Whether there is a body, by its headers.
    pub fn has_body(&self) -> bool {
        let length = self
            .headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok());
        self.headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|length| length != "0")
    }

    /// Reads the whole body.
    ///
    /// # Errors
    /// 413 when it is larger than we read, 400 when the client broke off.
    pub async fn bytes(&mut self) -> Result<Vec<u8>, Error> {
        let Some(body) = self.body.take() else {
            return Ok(Vec::new());
        };
        match Limited::new(body, MAX_BODY).collect().await {
            Ok(collected) => Ok(collected.to_bytes().to_vec()),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Error::TooLarge(
                format!("request body is larger than {MAX_BODY} bytes"),
            )),
            Err(error) => Err(Error::invalid(format!("read request body: {error}"))),
        }
    }

    /// Reads a JSON object; `what` is Go's name of its type, for the error's text. A missing body is null.
    ///
    /// # Errors
    /// 400 with Docker's texts.
    pub async fn json(&mut self, what: &str) -> Result<Value, Error> {
        let content_type = self
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        request::check_content_type(content_type, self.has_body())?;
        let bytes = self.bytes().await?;
        request::parse_object(&bytes, what)
    }

    /// Like [`Request::json`] for a body that may be missing, which is null.
    ///
    /// # Errors
    /// 400 with Docker's texts.
    pub async fn optional_json(&mut self, what: &str) -> Result<Value, Error> {
        if !self.has_body() {
            return Ok(Value::Null);
        }
        self.json(what).await
    }
}
