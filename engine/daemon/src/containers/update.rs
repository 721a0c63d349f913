//! POST /containers/{id}/update: limits and restart policy of a container that is there.
//!
//! What is not said stays as it is. The record is changed last, so that it never shows a limit that the kernel has
//! refused.

use std::sync::Arc;

use drydock_api::models::HostConfig;
use drydock_api::{Error, request, shape};
use drydock_shim::protocol::{Control, RequestBody};
use serde_json::{Map, Value, json};

use super::{Record, Status, limits, spec, validate};
use crate::engine::Engine;
use crate::http::{Answer, Request};

/// The limits that can be changed.
const LIMITS: [&str; 10] = [
    "BlkioWeight",
    "CpuShares",
    "NanoCpus",
    "CpuPeriod",
    "CpuQuota",
    "CpusetCpus",
    "CpusetMems",
    "Memory",
    "MemorySwap",
    "MemoryReservation",
];

/// POST /containers/{id}/update.
///
/// # Errors
/// 400 with Docker's texts for values that make no sense, 404, 409 for values that do not fit to what is set.
pub async fn handle(engine: &Arc<Engine>, mut http: Request) -> Result<Answer, Error> {
    let body = http.optional_json("container.UpdateConfig").await?;
    let wanted = shape::HOST_CONFIG.with(body);
    validate::restart_policy(&wanted)?;
    let host: HostConfig =
        serde_json::from_value(wanted.clone()).map_err(|error| request::type_error(&error))?;
    limits::check_update(&host)?;
    let container = engine.containers.find(&http.name)?;
    let _changing = container.lifecycle.lock().await;
    let record = container.snapshot();
    let refused =
        |why: String| Error::Conflict(format!("Cannot update container {}: {why}", record.id));
    if matches!(record.state.status, Status::Removing | Status::Dead) {
        return Err(refused(
            "container is marked for removal and cannot be \"update\"".to_owned(),
        ));
    }
    let changes = changes(&record, &wanted).map_err(|why| refused(why.to_owned()))?;
    let mut after = Record::clone(&record);
    for (key, value) in &changes {
        after.host_config[key] = value.clone();
    }
    let shim = container.live().shim.clone();
    if let (Status::Running, Some(shim)) = (record.state.status, shim) {
        let limits = spec::cgroup(engine, &after, &after.host());
        let order = RequestBody::Control(Control::Limit(Box::new(limits)));
        shim.order(order, &[]).await.map_err(|error| {
            Error::system(format!("Cannot update container {}: {error}", record.id))
        })?;
    }
    let record = container.publish(|record| record.host_config = after.host_config);
    container.save().map_err(Error::system)?;
    engine.events.container(&record, "update", &[]);
    Ok(Answer::json(&json!({"Warnings": null})))
}

/// The keys of the `HostConfig` that change, or why Docker does not change them.
fn changes(record: &Record, wanted: &Value) -> Result<Map<String, Value>, &'static str> {
    let number = |config: &Value, key: &str| config[key].as_i64().unwrap_or(0);
    let (new, old) = (
        |key: &str| number(wanted, key),
        |key: &str| number(&record.host_config, key),
    );
    let conflicts = [
        (
            "NanoCpus",
            "CpuPeriod",
            "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set",
        ),
        (
            "NanoCpus",
            "CpuQuota",
            "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set",
        ),
        (
            "CpuPeriod",
            "NanoCpus",
            "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set",
        ),
        (
            "CpuQuota",
            "NanoCpus",
            "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set",
        ),
    ];
    for (set, asked, text) in conflicts {
        if old(set) > 0 && new(asked) > 0 {
            return Err(text);
        }
    }
    if new("Memory") != 0 && new("Memory") > old("MemorySwap") && new("MemorySwap") == 0 {
        return Err(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
        );
    }
    let mut changes = Map::new();
    for key in LIMITS {
        let value = &wanted[key];
        let said = value.as_i64().is_some_and(|number| number != 0)
            || value.as_str().is_some_and(|text| !text.is_empty());
        if said {
            changes.insert(key.to_owned(), value.clone());
        }
    }
    if let Some(limit) = wanted["PidsLimit"].as_i64() {
        // Unlimited shows as 0 after an update, and as nothing in a new container.
        changes.insert("PidsLimit".to_owned(), json!(limit.max(0)));
    }
    let policy = &wanted["RestartPolicy"];
    if policy["Name"].as_str().is_some_and(|name| !name.is_empty()) {
        if record.auto_remove() && policy["Name"] != "no" {
            return Err(
                "Restart policy cannot be updated because AutoRemove is enabled for the container",
            );
        }
        changes.insert("RestartPolicy".to_owned(), policy.clone());
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containers::record::tests::example;

    fn changed(old: Value, new: Value) -> Result<Value, &'static str> {
        let mut record = example();
        record.host_config = shape::HOST_CONFIG.with(old);
        changes(&record, &shape::HOST_CONFIG.with(new)).map(Value::Object)
    }

    #[test]
    fn only_what_is_said_changes() {
        assert_eq!(changed(json!({"Memory": 9}), json!({})), Ok(json!({})));
        assert_eq!(
            changed(json!({}), json!({"CpuShares": 5, "CpusetCpus": "0"})),
            Ok(json!({"CpuShares": 5, "CpusetCpus": "0"}))
        );
        assert_eq!(
            changed(json!({}), json!({"PidsLimit": -1})),
            Ok(json!({"PidsLimit": 0}))
        );
        let policy = json!({"Name": "always", "MaximumRetryCount": 0});
        assert_eq!(
            changed(json!({}), json!({"RestartPolicy": policy})),
            Ok(json!({"RestartPolicy": policy}))
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |old, new| changed(old, new).unwrap_err();
        assert!(
            refused(json!({"MemorySwap": 64}), json!({"Memory": 100})).starts_with("Memory limit")
        );
        assert!(
            changed(
                json!({"MemorySwap": 64}),
                json!({"Memory": 100, "MemorySwap": 100})
            )
            .is_ok()
        );
        assert!(
            refused(json!({"NanoCpus": 1}), json!({"CpuQuota": 1})).contains("CPU Quota cannot")
        );
        assert!(
            refused(json!({"CpuPeriod": 1}), json!({"NanoCpus": 1})).contains("Nano CPUs cannot")
        );
        let always = json!({"RestartPolicy": {"Name": "always"}});
        assert!(refused(json!({"AutoRemove": true}), always).contains("AutoRemove"));
    }
}
