//! POST /commit: an image of what a container has changed.
//!
//! The lifecycle lock is not held while files are copied: a large container must not be beyond the reach of
//! `stop` and `rm` for a minute. So after the copy it is looked whether the container is still there; a
//! removal marks the record before it touches a file.

use std::sync::Arc;

use drydock_api::models::ContainerCreateBody;
use drydock_api::{Error, request, shape};
use drydock_defects::defect;
use drydock_image::{CommitOptions, Digest, config_from_changes};
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::container::blocking;
use super::create::merge_defaults;
use super::{Container, Record, Status, pause};
use crate::engine::{Engine, images};
use crate::handlers::images::{new_name, tell};
use crate::http::{Answer, Request};

/// POST /commit. The container is in `container`; the body may have a `Config` that goes before the container's.
///
/// # Errors
/// Docker's 404 for an unknown container, 400 for bad names and changes, 409 for one that is being removed.
pub async fn handle(engine: &Arc<Engine>, mut request: Request) -> Result<Answer, Error> {
    let body = request.optional_json("container.CreateRequest").await?;
    let query = &request.query;
    let reference = new_name(query.get("repo"), query.get("tag"))?;
    if reference
        .as_ref()
        .is_some_and(|name| name.digest().is_some())
    {
        return Err(Error::invalid("cannot import digest reference"));
    }
    if query.get("container").is_empty() {
        return Err(Error::invalid("invalid name or ID supplied: \"\""));
    }
    let container = engine.containers.find(query.get("container"))?;
    let record = container.snapshot();
    check_state(&record)?;
    let options = CommitOptions {
        reference,
        config: config(&record, body, &query.all("changes"))?,
        author: query.get("author").to_owned(),
        message: query.get("comment").to_owned(),
        created_by: record.config_list("Cmd").join(" "),
    };
    let wants_pause = query.get("pause").is_empty() || query.boolean("pause");
    if wants_pause && !defect!("commit-pauses-nothing") {
        pause::hold(engine, &container).await?;
    }
    let committed = blocking(|| commit(engine, &container, options));
    let let_go = pause::let_go(engine, &container).await;
    let id = committed?;
    let_go?;
    Ok(Answer::json_with(
        StatusCode::CREATED,
        &json!({"Id": id.to_string()}),
    ))
}

/// Docker's refusals by the state.
fn check_state(record: &Record) -> Result<(), Error> {
    let why = match record.state.status {
        Status::Dead => "which is Dead",
        Status::Removing => "which is being removed",
        _ => return Ok(()),
    };
    Err(Error::Conflict(format!(
        "You cannot commit container {} {why}",
        record.id
    )))
}

/// The configuration of the image: the container's or that of the request, the changes, and from the container
/// what both leave open.
fn config(record: &Record, body: Value, changes: &[String]) -> Result<Map<String, Value>, Error> {
    let of_container = record.config.as_object().cloned().unwrap_or_default();
    let base = match shape::CONFIG.names_any(&body) {
        true => of_request(body)?,
        false => of_container.clone(),
    };
    let changed = config_from_changes(base, changes).map_err(images::error)?;
    let mut config = Value::Object(changed);
    merge_defaults(&mut config, &of_container);
    match config {
        Value::Object(config) => Ok(config),
        other => Err(Error::system(format!("not an image config: {other}"))),
    }
}

fn of_request(body: Value) -> Result<Map<String, Value>, Error> {
    let mut config = shape::CONFIG.with(body);
    for key in ["Cmd", "Entrypoint", "Shell"] {
        request::string_as_list(&mut config, key);
    }
    serde_json::from_value::<ContainerCreateBody>(config.clone())
        .map_err(|error| request::type_error(&error))?;
    Ok(config.as_object().cloned().unwrap_or_default())
}

fn commit(engine: &Engine, container: &Container, options: CommitOptions) -> Result<Digest, Error> {
    let record = container.snapshot();
    let base = engine.images.by_id(&record.image);
    let base = base.ok_or_else(|| Error::NotFound(format!("No such image: {}", record.image)))?;
    let packed = engine.images.pack_layer(&container.upper(), &base);
    // Before the copy's own error: files that vanish under it are no news of their own.
    check_state(&container.snapshot())?;
    if engine.containers.by_id(&record.id).is_none() {
        return Err(Error::no_such_container(&record.id));
    }
    let message = options.message.clone();
    let reference = options.reference.as_ref();
    let reference = reference.map(|reference| reference.familiar());
    let id = engine.images.commit(packed?, options)?;
    let text = id.to_string();
    tell(engine, "create", &id, &text);
    if let Some(name) = &reference {
        tell(engine, "tag", &id, name);
    }
    let more = [
        ("comment", message.as_str()),
        ("imageID", &text),
        ("imageRef", reference.as_deref().unwrap_or_default()),
    ];
    engine
        .events
        .container(&container.snapshot(), "commit", &more);
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containers::record::tests::example;

    #[test]
    fn the_request_goes_before_the_container() {
        let mut record = example();
        record.config["Env"] = json!(["A=1", "B=2"]);
        record.config["WorkingDir"] = json!("/srv");
        let own = config(&record, Value::Null, &["ENV C=3".into()]).unwrap();
        assert_eq!(own["Env"], json!(["A=1", "B=2", "C=3"]));
        assert_eq!(own["Cmd"], json!(["sleep", "100"]));
        let body = json!({"Env": ["A=9", "Z=1"], "Cmd": "one", "Labels": {"q": "r"}});
        let mixed = config(&record, body, &["ENV A=77".into()]).unwrap();
        assert_eq!(mixed["Env"], json!(["A=77", "Z=1", "B=2"]));
        assert_eq!(mixed["Cmd"], json!(["one"]));
        assert_eq!(mixed["Labels"], json!({"a": "b", "q": "r"}));
        assert_eq!(mixed["WorkingDir"], "/srv");
        let error = config(&record, json!({"Env": 5}), &[]).unwrap_err();
        assert_eq!(error.status(), 400);
        let error = config(&record, Value::Null, &["RUN x".into()]).unwrap_err();
        assert_eq!(error.to_string(), "RUN is not a valid change command");
    }

    #[test]
    fn what_is_going_away_is_not_committed() {
        let mut record = example();
        assert_eq!(check_state(&record), Ok(()));
        for (status, why) in [
            (Status::Dead, "which is Dead"),
            (Status::Removing, "which is being removed"),
        ] {
            record.state.status = status;
            let text = format!("You cannot commit container {} {why}", record.id);
            assert_eq!(check_state(&record), Err(Error::Conflict(text)));
        }
    }
}
