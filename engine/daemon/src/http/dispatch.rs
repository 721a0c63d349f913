//! From a request to its handler, and Docker's headers on the answer.

use std::sync::Arc;

use drydock_api::Error;
use drydock_api::query::{self, Query};
use drydock_api::routes::{self, Operation};
use drydock_api::version::{self, Unsupported, Version};
use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::answer::Answer;
use super::request::Request;
use crate::engine::Engine;
use crate::{containers, handlers};

/// Answers one request.
pub async fn answer(engine: Arc<Engine>, request: hyper::Request<Incoming>) -> Answer {
    let method = request.method().clone();
    let path = query::decode(request.uri().path(), false);
    tracing::debug!("{method} {}", request.uri());
    let (version, path) = match version::split(&path) {
        Ok(split) => split,
        Err(error) => return with_headers(unsupported(&error), false),
    };
    if method == Method::OPTIONS {
        return with_headers(Answer::status(hyper::StatusCode::OK), true);
    }
    let (operation, name) = match routes::find(method.as_str(), path) {
        Ok(found) => found,
        // Docker's router answers this one before it knows any header.
        Err(error @ Error::NotFound(_)) => return Answer::error(&error),
        Err(error) => {
            discard(request.into_body()).await;
            return with_headers(Answer::error(&error), true);
        }
    };
    let request = split(request, name, version);
    // A handler runs to its end even when the client goes away: a stop or a removal that was begun must not
    // stop half way. Reads that wait (logs, events, wait) notice by their closed channel.
    let answered = match tokio::spawn(run(engine, operation, request)).await {
        Ok(answered) => answered,
        Err(error) => Err(Error::system(format!(
            "the request's handler failed: {error}"
        ))),
    };
    with_headers(answered.unwrap_or_else(|error| Answer::error(&error)), true)
}

/// Reads a body that nobody wants, at most 64 MiB of it. A client that is still writing when the answer comes and the
/// connection closes reports a broken pipe, and never looks at the answer.
async fn discard(mut body: Incoming) {
    let mut left: usize = 64 << 20;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, |data| data.len());
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// Docker's answer to a version that it does not serve.
fn unsupported(error: &Unsupported) -> Answer {
    match error {
        Unsupported::TooOld(_) => Answer::text_error(hyper::StatusCode::BAD_REQUEST, error),
        Unsupported::TooNew(_) => Answer::error(&Error::invalid(error)),
    }
}

fn split(request: hyper::Request<Incoming>, name: &str, version: Version) -> Request {
    let (parts, body) = request.into_parts();
    Request {
        method: parts.method,
        name: name.to_owned(),
        query: Query::parse(parts.uri.query().unwrap_or("")),
        version,
        headers: parts.headers,
        body: Some(body),
    }
}

/// Docker's headers; errors before the route is known lack the last one.
fn with_headers(answer: Answer, experimental: bool) -> Answer {
    let Answer::Response(mut response) = answer else {
        return answer;
    };
    let headers: &mut HeaderMap = response.headers_mut();
    let mut set = |name: &'static str, value: HeaderValue| {
        headers.insert(HeaderName::from_static(name), value);
    };
    set("api-version", HeaderValue::from_static("1.51"));
    if experimental {
        set("docker-experimental", HeaderValue::from_static("false"));
    }
    set("ostype", HeaderValue::from_static("linux"));
    set(
        "server",
        HeaderValue::from_static(concat!("Drydock/", env!("CARGO_PKG_VERSION"), " (linux)")),
    );
    Answer::Response(response)
}

async fn run(engine: Arc<Engine>, operation: Operation, request: Request) -> Result<Answer, Error> {
    let engine = &engine;
    match operation {
        Operation::Ping => Ok(handlers::system::ping(&request)),
        Operation::Version => Ok(handlers::system::version(engine)),
        Operation::Info => Ok(handlers::info::info(engine)),
        Operation::Events => handlers::events::events(engine, &request),
        Operation::ContainerList => containers::list::handle(engine, &request),
        Operation::ContainerCreate => containers::create::handle(engine, request).await,
        Operation::ContainerPrune => containers::prune::handle(engine, &request).await,
        Operation::ContainerInspect => containers::inspect::handle(engine, &request),
        Operation::ContainerLogs => containers::logs::handle(engine, &request),
        Operation::ContainerResize => containers::resize::container(engine, &request).await,
        Operation::ContainerStart => containers::start::handle(engine, request).await,
        Operation::ContainerStop => containers::stop::handle(engine, &request).await,
        Operation::ContainerRestart => containers::restart::handle(engine, &request).await,
        Operation::ContainerKill => containers::kill::handle(engine, &request).await,
        Operation::ContainerRename => containers::rename::handle(engine, &request).await,
        Operation::ContainerAttach => containers::attach::handle(engine, &request).await,
        Operation::ContainerWait => containers::wait::handle(engine, &request),
        Operation::ContainerRemove => containers::remove::handle(engine, &request).await,
        Operation::ContainerChanges => containers::changes::handle(engine, &request),
        Operation::ContainerArchive => containers::archive::read(engine, &request).await,
        Operation::ContainerArchivePut => containers::archive::write(engine, request).await,
        Operation::ContainerExport => containers::archive::export(engine, &request).await,
        Operation::ContainerTop => containers::top::handle(engine, &request).await,
        Operation::ContainerStats => containers::stats::handle(engine, &request).await,
        Operation::ContainerUpdate => containers::update::handle(engine, request).await,
        Operation::ContainerPause => containers::pause::pause(engine, &request).await,
        Operation::ContainerUnpause => containers::pause::unpause(engine, &request).await,
        Operation::ExecCreate => containers::exec::create(engine, request).await,
        Operation::ExecStart => containers::exec_start::handle(engine, request).await,
        Operation::ExecResize => containers::resize::exec(engine, &request).await,
        Operation::ExecInspect => containers::exec::inspect(engine, &request).await,
        Operation::ImageList => handlers::images::list(engine, &request),
        Operation::ImageCreate => handlers::image_archives::create(engine, request).await,
        Operation::ImageLoad => handlers::image_archives::load(engine, request).await,
        Operation::ImageInspect => handlers::images::inspect(engine, &request),
        Operation::ImageHistory => handlers::images::history(engine, &request),
        Operation::ImageTag => handlers::images::tag(engine, &request),
        Operation::ImageRemove => handlers::images::remove(engine, &request),
        Operation::ImagePrune => handlers::image_prune::handle(engine, &request),
        Operation::ImageSave => handlers::image_save::one(engine, &request),
        Operation::ImageSaveMany => handlers::image_save::many(engine, &request),
        Operation::Commit => containers::commit::handle(engine, request).await,
        Operation::DiskUsage => handlers::usage::handle(engine, &request),
        Operation::BuildPrune => handlers::prune::builds(engine, &request),
        Operation::VolumePrune => handlers::prune::volumes(engine, &request),
        Operation::NetworkPrune => handlers::prune::networks(engine, &request),
        Operation::VolumeList => handlers::volumes::list(&request),
        Operation::VolumeInspect => handlers::volumes::inspect(&request),
        Operation::NetworkList => handlers::networks::list(engine, &request),
        Operation::NetworkInspect => handlers::networks::inspect(engine, &request),
        Operation::PluginList => Ok(Answer::json(&serde_json::json!([]))),
        Operation::PluginInspect => Err(Error::NotFound(format!(
            "plugin \"{}\" not found",
            request.name
        ))),
    }
}
