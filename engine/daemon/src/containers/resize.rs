//! POST /containers/{id}/resize and /exec/{id}/resize: the size of a terminal.

use std::sync::Arc;

use drydock_api::Error;
use drydock_shim::protocol::RequestBody;

use super::{Status, exec, kill};
use crate::engine::Engine;
use crate::http::{Answer, Request};

fn size(request: &Request) -> Result<(u16, u16), Error> {
    let read = |parameter: &str, name: &str| {
        let text = request.query.get(parameter);
        text.parse::<u32>()
            .map(|number| u16::try_from(number).unwrap_or(u16::MAX))
            .map_err(|_| Error::invalid(format!("invalid resize {name} {text:?}: invalid syntax")))
    };
    Ok((read("h", "height")?, read("w", "width")?))
}

/// POST /containers/{id}/resize.
///
/// # Errors
/// 400 for a bad size, 404, 409 when it does not run.
pub async fn container(engine: &Arc<Engine>, request: &Request) -> Result<Answer, Error> {
    let (height, width) = size(request)?;
    let container = engine.containers.find(&request.name)?;
    let record = container.snapshot();
    let shim = container.live().shim.clone();
    let (Status::Running, Some(shim)) = (record.state.status, shim) else {
        return Err(kill::not_running(&container.id));
    };
    // Without a terminal there is nothing to do, and Docker says that it was done.
    if record.config_truth("Tty") {
        shim.order(
            RequestBody::Resize {
                exec_id: None,
                height,
                width,
            },
            &[],
        )
        .await?;
    }
    engine.events.container(
        &record,
        "resize",
        &[
            ("height", &height.to_string()),
            ("width", &width.to_string()),
        ],
    );
    Ok(Answer::status(hyper::StatusCode::OK))
}

/// POST /exec/{id}/resize.
///
/// # Errors
/// 400 for a bad size, 404 when there is none or it has ended.
pub async fn exec(engine: &Arc<Engine>, request: &Request) -> Result<Answer, Error> {
    let (height, width) = size(request)?;
    let (container, instance) = exec::find(engine, &request.name)?;
    let shim = container.live().shim.clone();
    if instance.is_ended() {
        return Err(Error::NotFound(format!(
            "NotFound: process does not exist {}: not found",
            instance.id
        )));
    }
    let Some(shim) = shim.filter(|_| instance.is_running()) else {
        return Err(Error::system("timeout waiting for exec session ready"));
    };
    if instance.terminal() {
        let exec_id = Some(instance.id.clone());
        shim.order(
            RequestBody::Resize {
                exec_id,
                height,
                width,
            },
            &[],
        )
        .await?;
    }
    Ok(Answer::status(hyper::StatusCode::OK))
}
