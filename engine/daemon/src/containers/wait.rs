//! POST /containers/{id}/wait: the answer's head at once, its body when it happens.

use std::sync::Arc;

use drydock_api::Error;
use drydock_defects::defect;
use drydock_shim::protocol::Stamp;
use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::Container;
use super::container::Ends;
use crate::engine::Engine;
use crate::http::{Answer, Request};

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    NotRunning,
    NextExit,
    Removed,
}

/// POST /containers/{id}/wait.
///
/// # Errors
/// 400 for an unknown condition, 404.
pub fn handle(engine: &Arc<Engine>, request: &Request) -> Result<Answer, Error> {
    let condition = match request.query.get("condition") {
        "" | "not-running" => Condition::NotRunning,
        "next-exit" => Condition::NextExit,
        "removed" => Condition::Removed,
        other => return Err(Error::invalid(format!("invalid condition: {other:?}"))),
    };
    let container = engine.containers.find(&request.name)?;
    // Subscribed before the answer's head goes: what happens after it is not missed.
    let ends = container.ends();
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(answer(
        container,
        condition,
        ends,
        request.wants_trace(),
        sender,
    ));
    Ok(Answer::stream("application/json", receiver))
}

async fn answer(
    container: Arc<Container>,
    condition: Condition,
    mut ends: watch::Receiver<Ends>,
    with_trace: bool,
    sender: mpsc::Sender<Bytes>,
) {
    let before = *ends.borrow_and_update();
    let record = container.snapshot();
    let at_once = !record.is_running() || defect!("wait-returns-at-once");
    // Why it could not be started the last time. Docker says it of what is over, not to those who waited: for them
    // a start that failed is no end, and a removal has no error.
    let mut error = String::new();
    let code = if condition == Condition::NotRunning && at_once {
        error.clone_from(&record.state.error);
        record.state.exit_code
    } else {
        let met = |now: &Ends| {
            now.removed || (condition != Condition::Removed && now.count > before.count)
        };
        tokio::select! {
            // The client went.
            () = sender.closed() => return,
            now = ends.wait_for(met) => match now {
                // A container that is removed without having run keeps the code of its record.
                Ok(now) if now.count > before.count => now.exit_code,
                _ => container.snapshot().state.exit_code,
            }
        }
    };
    let mut body = if error.is_empty() {
        json!({"StatusCode": code})
    } else {
        json!({"Error": {"Message": error}, "StatusCode": code})
    };
    if with_trace {
        body["Trace"] = trace(&container);
    }
    // The client may have gone in between.
    let _ = sender.send(format!("{body}\n").into()).await;
}

fn trace(container: &Container) -> Value {
    let mut stamps = container.live().end_trace.clone();
    stamps.push(Stamp {
        step: "daemon: waiter answered".to_owned(),
        at: drydock_sys::clock::monotonic(),
    });
    json!(stamps)
}
