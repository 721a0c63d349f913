//! Checks of a container's `Config` and `HostConfig`, with Docker's statuses and texts.
//!
//! Each was asked of a Docker 28.5, and which of two is told first as well: `isolation`, `config`, `check_words`,
//! `host_config`, then the image, then `with_image`. What Docker has and we do not yet is refused with 501 and its name, never
//! silently ignored. Nothing has been changed when a check fails.

use std::net::IpAddr;

use drydock_api::Error;
use drydock_api::models::{HostConfig, PortBinding};
use serde_json::Value;

use super::{join, limits, log_options, mounts, security, signals, spec, validate_network};

/// Checks fields that the wire types read into enums, before they are read, so that the text is Docker's.
///
/// # Errors
/// 400 with Docker's texts.
pub fn check_words(host: &Value) -> Result<(), Error> {
    auto_remove(host)?;
    mount_types(host)?;
    extra_hosts(host)?;
    restart_policy(host)?;
    let cgroup = text(host, "/CgroupnsMode");
    if !matches!(cgroup, "" | "private" | "host") {
        return Err(Error::invalid(format!(
            "invalid cgroup namespace mode: {cgroup}"
        )));
    }
    Ok(())
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

/// The isolation, which Docker checks while it reads the request.
///
/// # Errors
/// 400 with Docker's text.
pub fn isolation(host: &Value) -> Result<(), Error> {
    let isolation = text(host, "/Isolation");
    if matches!(isolation, "" | "default") {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "invalid isolation ({isolation}): linux only supports 'default'"
    )))
}

fn auto_remove(host: &Value) -> Result<(), Error> {
    let policy = text(host, "/RestartPolicy/Name");
    if host.get("AutoRemove") == Some(&Value::Bool(true)) && !matches!(policy, "" | "no") {
        return Err(Error::invalid(
            "can't create 'AutoRemove' container with restart policy",
        ));
    }
    Ok(())
}

fn mount_types(host: &Value) -> Result<(), Error> {
    for mount in host
        .get("Mounts")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let kind = text(mount, "/Type");
        let known = matches!(
            kind,
            "bind" | "tmpfs" | "volume" | "npipe" | "cluster" | "image"
        );
        if !known {
            let why = match text(mount, "/Target") {
                "" => "field Target must not be empty",
                _ => "mount type unknown",
            };
            return Err(Error::invalid(format!(
                "invalid mount config for type \"{kind}\": {why}"
            )));
        }
    }
    Ok(())
}

/// Checks the restart policy.
///
/// # Errors
/// 400 with Docker's texts.
pub fn restart_policy(host: &Value) -> Result<(), Error> {
    let name = host
        .pointer("/RestartPolicy/Name")
        .and_then(Value::as_str)
        .unwrap_or("");
    let retries = host
        .pointer("/RestartPolicy/MaximumRetryCount")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    let refuse = |why: &str| Err(Error::invalid(format!("invalid restart policy: {why}")));
    match name {
        "on-failure" if retries < 0 => refuse("maximum retry count cannot be negative"),
        "on-failure" => Ok(()),
        "" | "no" | "always" | "unless-stopped" if retries != 0 => {
            refuse("maximum retry count can only be used with 'on-failure'")
        }
        "" | "no" | "always" | "unless-stopped" => Ok(()),
        _ => refuse(&format!(
            "unknown policy '{name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )),
    }
}

/// Checks a `Config`, in the shape of `inspect`.
///
/// # Errors
/// 400 with Docker's texts, 501 for what is not built.
pub fn config(config: &Value) -> Result<(), Error> {
    let list = |key: &str| {
        config
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
    };
    let text = |key: &str| config.get(key).and_then(Value::as_str).unwrap_or("");
    let directory = text("WorkingDir");
    if !directory.is_empty() && !directory.starts_with('/') {
        return Err(Error::invalid(format!(
            "the working directory '{directory}' is invalid, it needs to be an absolute path"
        )));
    }
    if !text("StopSignal").is_empty() {
        signals::parse(text("StopSignal"))?;
    }
    for variable in list("Env") {
        if variable.is_empty() || variable.starts_with('=') {
            return Err(Error::invalid(format!(
                "invalid environment variable: {variable}"
            )));
        }
    }
    if !text("MacAddress").is_empty() {
        return Err(validate_network::fixed_mac_address(text("MacAddress")));
    }
    health_check(config.get("Healthcheck"))
}

/// Checks the volumes of a `Config` that the image's are in.
///
/// # Errors
/// 501, since there are none yet.
pub fn volumes(config: &Value) -> Result<(), Error> {
    if config
        .get("Volumes")
        .and_then(Value::as_object)
        .is_some_and(|volumes| !volumes.is_empty())
    {
        return Err(Error::not_built(
            "anonymous volumes (of the image or of -v) are",
        ));
    }
    Ok(())
}

/// Checks the times of a health check that the user asks for, in Docker's order.
fn health_check(check: Option<&Value>) -> Result<(), Error> {
    let number = |field: &str| {
        let value = check.and_then(|check| check.get(field));
        value.and_then(Value::as_i64).unwrap_or(0)
    };
    let long_enough = |field: &str| match number(field) {
        0 | 1_000_000.. => Ok(()),
        _ => Err(Error::invalid(format!(
            "{field} in Healthcheck cannot be less than 1ms"
        ))),
    };
    long_enough("Interval")?;
    long_enough("Timeout")?;
    if number("Retries") < 0 {
        return Err(Error::invalid("Retries in Healthcheck cannot be negative"));
    }
    long_enough("StartPeriod")?;
    long_enough("StartInterval")
}

/// Checks a `HostConfig`; `find` says whether a container of a name exists.
///
/// # Errors
/// Docker's statuses and texts, 501 for what is not built.
pub fn host_config(
    host: &HostConfig,
    find: &dyn Fn(&str) -> Result<(), Error>,
) -> Result<(), Error> {
    spec::capabilities(host)?;
    limits::check(
        host,
        &limits::Host {
            processors: crate::handlers::info::processors(),
        },
    )?;
    namespaces(host, find)?;
    limits::check_score(host)?;
    let runtime = host.runtime.as_deref().unwrap_or("");
    if !matches!(runtime, "" | "drydock") {
        return Err(Error::invalid(format!(
            "unknown or invalid runtime name: {runtime}"
        )));
    }
    others(host, find)
}

/// Checks what Docker looks at after it has found the image.
///
/// # Errors
/// Docker's statuses and texts, 501 for what is not built.
pub fn with_image(host: &HostConfig) -> Result<(), Error> {
    log_options::check(host)?;
    security::read(host.security_opt.as_deref().unwrap_or_default())?;
    mounts::read(host).map(drop)
}

fn namespaces(host: &HostConfig, find: &dyn Fn(&str) -> Result<(), Error>) -> Result<(), Error> {
    let ipc = host.ipc_mode.as_deref().unwrap_or("");
    joined(
        ipc,
        "IPC",
        &["", "private", "shareable", "host", "none"],
        find,
    )?;
    let pid = host.pid_mode.as_deref().unwrap_or("");
    joined(pid, "PID", &["", "host"], find)?;
    limits::check_shared_memory(host)?;
    let uts = host.uts_mode.as_deref().unwrap_or("");
    if !matches!(uts, "" | "host") {
        return Err(Error::invalid(format!("invalid UTS mode: {uts}")));
    }
    let user = host.userns_mode.as_deref().unwrap_or("");
    if !matches!(user, "" | "host") {
        return Err(Error::not_built(format!("--userns {user} is")));
    }
    Ok(())
}

fn joined(
    mode: &str,
    kind: &str,
    known: &[&str],
    find: &dyn Fn(&str) -> Result<(), Error>,
) -> Result<(), Error> {
    match join::named(mode) {
        // Docker lets this one pass until the start.
        Some("") if kind == "IPC" => return Ok(()),
        Some("") | None => {}
        Some(other) => return find(other).map_err(Error::invalid),
    }
    if known.contains(&mode) {
        return Ok(());
    }
    Err(Error::invalid(format!("invalid {kind} mode: {mode}")))
}

fn extra_hosts(host: &Value) -> Result<(), Error> {
    let entries = host.get("ExtraHosts").and_then(Value::as_array);
    for entry in entries.into_iter().flatten().filter_map(Value::as_str) {
        let Some((name, address)) = entry
            .split_once([':', '='])
            .filter(|(name, _)| !name.is_empty())
        else {
            return Err(Error::invalid(format!(
                "bad format for add-host: \"{entry}\""
            )));
        };
        let address = address.trim_start_matches('[').trim_end_matches(']');
        if address != "host-gateway" && address.parse::<IpAddr>().is_err() {
            tracing::debug!("add-host {name}: bad address");
            return Err(Error::invalid(format!(
                "invalid IP address in add-host: \"{address}\""
            )));
        }
    }
    Ok(())
}

/// A port of the container, and where it is to be published.
fn check_port(port: &str, bindings: &[PortBinding]) -> Result<(), Error> {
    let invalid = |text: &str| Error::invalid(format!("invalid port specification: \"{text}\""));
    let number = port.split('/').next().unwrap_or("");
    number.parse::<u16>().map_err(|_| invalid(number))?;
    for text in bindings
        .iter()
        .filter_map(|binding| binding.host_port.as_deref())
    {
        let number = |part: &str| part.is_empty() || part.parse::<u16>().is_ok();
        if !text.split('-').all(number) {
            return Err(invalid(text));
        }
    }
    Ok(())
}

fn others(host: &HostConfig, find: &dyn Fn(&str) -> Result<(), Error>) -> Result<(), Error> {
    let ports = host.port_bindings.iter().flatten();
    let published =
        ports.map(|(port, bindings)| check_port(port, bindings.as_deref().unwrap_or_default()));
    if published.collect::<Result<Vec<()>, Error>>()?.len()
        + usize::from(host.publish_all_ports == Some(true))
        > 0
    {
        return Err(Error::not_built("published ports are"));
    }
    if let Some(other) = host.volumes_from.iter().flatten().next() {
        let name = other.split(':').next().unwrap_or("");
        find(name).map_err(Error::invalid)?;
        return Err(Error::not_built("--volumes-from is"));
    }
    if host
        .cgroup
        .as_deref()
        .is_some_and(|cgroup| !cgroup.is_empty())
    {
        return Err(Error::not_built("HostConfig.Cgroup is"));
    }
    Ok(())
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
