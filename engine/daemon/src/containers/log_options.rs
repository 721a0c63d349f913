//! `--log-driver` and `--log-opt`: json-file with rotation, or none.

use drydock_api::Error;
use drydock_api::models::HostConfig;

/// Options of json-file that Docker knows; those in the second list are not built.
const LOG_OPTIONS: [&str; 2] = ["max-size", "max-file"];
const LATER_LOG_OPTIONS: [&str; 8] = [
    "compress",
    "env",
    "env-regex",
    "labels",
    "labels-regex",
    "max-buffer-size",
    "mode",
    "tag",
];

/// Checks a container's log driver and its options.
///
/// # Errors
/// 400 with Docker's texts, 501 for what is not built.
pub fn check(host: &HostConfig) -> Result<(), Error> {
    let config = host.log_config.clone().unwrap_or_default();
    let driver = config.typ.as_deref().unwrap_or("");
    match driver {
        "none" => return Ok(()),
        "" | "json-file" => {}
        "local" | "syslog" | "journald" | "gelf" | "fluentd" | "awslogs" | "splunk" | "gcplogs" => {
            return Err(Error::not_built(format!("log driver {driver} is")));
        }
        _ => {
            return Err(Error::invalid(format!(
                "error looking up logging plugin {driver}: plugin \"{driver}\" not found"
            )));
        }
    }
    let options = config.config.unwrap_or_default();
    for (name, value) in &options {
        if LATER_LOG_OPTIONS.contains(&name.as_str()) {
            // The defaults may be named.
            if matches!(
                (name.as_str(), value.as_str()),
                ("mode", "blocking") | ("compress", "false")
            ) {
                continue;
            }
            return Err(Error::not_built(format!("--log-opt {name} is")));
        }
        if !LOG_OPTIONS.contains(&name.as_str()) {
            return Err(Error::invalid(format!(
                "unknown log opt '{name}' for json-file log driver"
            )));
        }
    }
    Ok(())
}

/// `max-size` in bytes (0 is unlimited) and `max-file`. As in Docker they are read at the start.
///
/// # Errors
/// 500 with Docker's texts.
pub fn log_file(max_size: Option<&str>, max_file: Option<&str>) -> Result<(u64, u32), Error> {
    let failed = |why: String| {
        Error::system(format!(
            "failed to create task for container: failed to initialize logging driver: {why}"
        ))
    };
    let size = match max_size {
        None | Some("-1") => 0,
        Some(text) => human_size(text).ok_or_else(|| failed(format!("invalid size: '{text}'")))?,
    };
    let files = match max_file {
        None => 1,
        Some(text) => {
            let number: i64 = text
                .parse()
                .map_err(|_| failed(format!("strconv.Atoi: parsing \"{text}\": invalid syntax")))?;
            u32::try_from(number)
                .ok()
                .filter(|number| *number > 0)
                .ok_or_else(|| failed("max-file cannot be less than 1".into()))?
        }
    };
    if files > 1 && size == 0 {
        return Err(failed("cannot set max-file without max-size".to_owned()));
    }
    Ok((size, files))
}

/// `10m` as bytes, in decimal units, as go-units' FromHumanSize.
fn human_size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: f64 = match unit.trim() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        _ => return None,
    };
    Some((number.parse::<f64>().ok()? * factor) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_logs() {
        assert_eq!(log_file(Some("10m"), Some("3")), Ok((10_000_000, 3)));
        assert_eq!(log_file(None, None), Ok((0, 1)));
        assert_eq!(log_file(Some("1.5k"), None), Ok((1500, 1)));
        assert!(log_file(None, Some("3")).is_err() && log_file(Some("1k"), Some("0")).is_err());
    }
}
