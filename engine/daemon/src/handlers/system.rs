//! `_ping` and `version`: what a client asks first.

use drydock_api::shape;
use drydock_api::version::{NEWEST, OLDEST};
use hyper::header::{HeaderName, HeaderValue};
use serde_json::json;

use crate::engine::Engine;
use crate::http::{Answer, Body};

/// GET and HEAD /_ping: `OK`, and headers that say what this engine is. HEAD has no body, which hyper sees to.
pub fn ping() -> Answer {
    let mut response = hyper::Response::new(Body::Whole(Some("OK".into())));
    let headers = response.headers_mut();
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
