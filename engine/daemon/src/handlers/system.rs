//! `_ping` and `version`: what a client asks first.

use drydock_api::shape;
use drydock_api::version::{NEWEST, OLDEST};
use hyper::Method;
use hyper::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use serde_json::json;

use crate::engine::Engine;
use crate::http::{Answer, Body, Request};

/// GET and HEAD /_ping: `OK`, and headers that say what this engine is. The answer to HEAD has no body and, as
/// Docker's, says so: its length is 0, not that of GET's body.
pub fn ping(request: &Request) -> Answer {
    let head = request.method == Method::HEAD;
    let body = if head {
        Body::Empty
    } else {
        Body::Whole(Some("OK".into()))
    };
    let mut response = hyper::Response::new(body);
    let headers = response.headers_mut();
    if head {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    let mut set = |name: &'static str, value: &'static str| {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    };
    set("builder-version", "1");
    set("cache-control", "no-cache, no-store, must-revalidate");
    set("content-type", "text/plain; charset=utf-8");
    set("pragma", "no-cache");
    set("swarm", "inactive");
    Answer::Response(response)
}

/// GET /version.
pub fn version(engine: &Engine) -> Answer {
    let version = env!("CARGO_PKG_VERSION");
    let kernel = kernel_release();
    let details = json!({
        "ApiVersion": NEWEST.to_string(),
        "Arch": architecture(),
        "BuildTime": "",
        "Experimental": "false",
        "GitCommit": "",
        "GoVersion": "",
        "KernelVersion": kernel,
        "MinAPIVersion": OLDEST.to_string(),
        "Os": "linux",
    });
    tracing::trace!("version of {}", engine.identity.engine_id);
    Answer::json(&shape::VERSION.with(json!({
        "Platform": {"Name": "Drydock"},
        "Components": [{"Name": "Engine", "Version": version, "Details": details}],
        "Version": version,
        "ApiVersion": NEWEST.to_string(),
        "MinAPIVersion": OLDEST.to_string(),
        "Os": "linux",
        "Arch": architecture(),
        "KernelVersion": kernel,
    })))
}

/// The processor in Docker's (Go's) words.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// `uname -r`.
pub fn kernel_release() -> String {
    let name = nix::sys::utsname::uname();
    name.map(|name| name.release().to_string_lossy().into_owned())
        .unwrap_or_default()
}
