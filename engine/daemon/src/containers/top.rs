//! GET /containers/{id}/top: the container's processes, as ps(1) on the host shows them.
//!
//! Docker runs the host's ps. The daemon never forks, so [`super::processes`] reads /proc itself, and knows the
//! options that people give to `top`.

use std::sync::Arc;

use drydock_api::Error;
use drydock_shim::protocol::{self, Control, RequestBody};
use serde_json::json;

use super::processes::{self, Layout};
use super::{Status, kill, pause};
use crate::engine::Engine;
use crate::http::{Answer, Request};

/// GET /containers/{id}/top.
///
/// # Errors
/// 404, 409 when it does not run, 500 with ps's text for options that it does not know.
pub async fn handle(engine: &Arc<Engine>, request: &Request) -> Result<Answer, Error> {
    let options = match request.query.get("ps_args") {
        "" => "-ef",
        options => options,
    };
    let container = engine.containers.find(&request.name)?;
    let record = container.snapshot();
    let shim = container.live().shim.clone();
    let shim = match (record.state.status, shim) {
        (Status::Running, Some(shim)) => shim,
        (Status::Restarting, _) => return Err(pause::restarting(&record.id)),
        _ => return Err(kill::not_running(&record.id)),
    };
    let layout = Layout::read(options).map_err(Error::system)?;
    if !layout.has_pid() {
        return Err(Error::system("Couldn't find PID field in ps output"));
    }
    let pids = match shim
        .ask(RequestBody::Control(Control::Processes), &[])
        .await
        .map_err(|error| error.of(&record.id))?
    {
        protocol::Answer::Processes(pids) => pids,
        _ => return Err(kill::not_running(&record.id)),
    };
    let rows = processes::rows(&layout, &pids);
    engine.events.container(&record, "top", &[]);
    Ok(Answer::json(
        &json!({"Processes": rows, "Titles": layout.titles()}),
    ))
}
