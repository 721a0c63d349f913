//! `--log-driver` and `--log-opt`: what is checked when a container is made, and what follows from it at the start.
//!
//! Docker checks in two places, and so do we: the names of options and the values of remote drivers when the
//! container is made (400), sizes, tags and expressions when it starts (500). The texts are those of a Docker 28.5.
//!
//! | file | what it is |
//! |---|---|
//! | `values` | sizes, numbers, truth values and durations, as Go reads them |
//! | `address` | `syslog-address`, `gelf-address`, `fluentd-address` |
//! | `check` | the checks of the drivers' options |
//! | `attributes` | labels, variables and the tag |
//! | `plan` | all of it together, for the shim |

mod address;
mod attributes;
mod check;
mod plan;
mod values;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use drydock_api::Error;
use drydock_api::models::HostConfig;
use serde_json::Value;

pub use plan::{Place, place, plan};

/// Options by name, as the user wrote them.
pub type Options = BTreeMap<String, String>;

/// The drivers that are built, as `docker info` lists them. `none` is one too, and Docker does not list it either.
pub const DRIVERS: [&str; 6] = [
    "fluentd",
    "gelf",
    "journald",
    "json-file",
    "local",
    "syslog",
];

/// Those of a Docker that are not built.
const LATER: [&str; 2] = ["awslogs", "splunk"];

/// Options that every driver knows.
const OF_ALL: [&str; 2] = ["mode", "max-buffer-size"];

/// Options of the cache beside a driver that cannot be read.
const OF_CACHE: [&str; 9] = [
    "cache-disabled",
    "cache-max-size",
    "cache-max-file",
    "cache-compress",
    "cache-labels",
    "cache-labels-regex",
    "cache-env",
    "cache-env-regex",
    "cache-tag",
];

/// Checks a container's log driver and its options.
///
/// # Errors
/// 400 with Docker's texts, 501 for what is not built.
pub fn check(host: &HostConfig) -> Result<(), Error> {
    let config = host.log_config.clone().unwrap_or_default();
    let options = config.config.unwrap_or_default().into_iter().collect();
    let driver = config.typ.as_deref().filter(|driver| !driver.is_empty());
    check_options(driver.unwrap_or("json-file"), &options)
}

/// The same for a driver and options from elsewhere: the daemon's settings.
///
/// # Errors
/// As [`check`].
pub fn check_options(driver: &str, options: &Options) -> Result<(), Error> {
    if driver == "none" {
        return Ok(());
    }
    check::common(options).map_err(Error::invalid)?;
    if LATER.contains(&driver) {
        return Err(Error::not_built(format!("log driver {driver} is")));
    }
    let own: Options = options
        .iter()
        .filter(|(name, _)| !OF_ALL.contains(&name.as_str()) && !OF_CACHE.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    check::of_driver(driver, &own)
}

/// Fills in the daemon's driver where none is named, and its options for those that the user leaves out, where it
/// is the same driver. Options of the cache hold for every driver.
pub fn fill(config: &mut Value, driver: &str, defaults: &Options) {
    if config["Type"].as_str().unwrap_or("").is_empty() {
        config["Type"] = driver.into();
    }
    if !config["Config"].is_object() {
        config["Config"] = Value::Object(serde_json::Map::new());
    }
    let same = config["Type"] == driver;
    for (name, value) in defaults {
        let option = &mut config["Config"][name];
        if (same || OF_CACHE.contains(&name.as_str())) && option.is_null() {
            *option = value.as_str().into();
        }
        if option.is_null()
            && let Some(map) = config["Config"].as_object_mut()
        {
            map.remove(name);
        }
    }
}
