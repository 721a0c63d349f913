//! What each driver says about its options when a container is made.

use std::time::Duration;

use drydock_api::Error;

use super::address::{self, Target};
use super::{Options, values};

/// What labels, variables and tags every driver takes, but `local`.
const ATTRIBUTES: [&str; 5] = ["env", "env-regex", "labels", "labels-regex", "tag"];

const FACILITIES: [&str; 20] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// The options that every driver knows.
pub fn common(options: &Options) -> Result<(), String> {
    let mode = options.get("mode").map_or("", String::as_str);
    if !matches!(mode, "" | "blocking" | "non-blocking") {
        return Err(format!("logger: logging mode not supported: {mode}"));
    }
    if let Some(size) = options.get("max-buffer-size") {
        if mode != "non-blocking" {
            return Err(
                "logger: max-buffer-size option is only supported with 'mode=non-blocking'"
                    .to_owned(),
            );
        }
        values::binary_size(size)
            .map_err(|why| format!("error parsing option max-buffer-size: {why}"))?;
    }
    match options.get("cache-disabled") {
        Some(value) if !value.is_empty() && values::truth(value).is_err() => {
            Err(format!("invalid value for option cache-disabled: {value}"))
        }
        _ => Ok(()),
    }
}

/// The options of one driver.
pub fn of_driver(driver: &str, options: &Options) -> Result<(), Error> {
    let result = match driver {
        "json-file" => {
            let own = ["max-file", "max-size", "compress"];
            known(options, &[&own, &ATTRIBUTES], |name| {
                format!("unknown log opt '{name}' for json-file log driver")
            })
        }
        "local" => {
            let own = ["max-file", "max-size", "compress"];
            known(options, &[&own], |name| {
                format!("unknown log opt '{name}' for log driver local")
            })
        }
        "journald" => known(options, &[&ATTRIBUTES], |name| {
            format!("unknown log opt '{name}' for journald log driver")
        }),
        "syslog" => syslog(options),
        "gelf" => gelf(options),
        "fluentd" => fluentd(options),
        _ => Err(format!(
            "error looking up logging plugin {driver}: plugin \"{driver}\" not found"
        )),
    };
    result.map_err(Error::invalid)
}

fn known(
    options: &Options,
    names: &[&[&str]],
    text: impl Fn(&str) -> String,
) -> Result<(), String> {
    let unknown = options
        .keys()
        .find(|name| !names.iter().any(|list| list.contains(&name.as_str())));
    unknown.map_or(Ok(()), |name| Err(text(name)))
}

fn get<'a>(options: &'a Options, name: &str) -> &'a str {
    options.get(name).map_or("", String::as_str)
}

fn syslog(options: &Options) -> Result<(), String> {
    let own = [
        "syslog-address",
        "syslog-facility",
        "syslog-format",
        "syslog-tls-ca-cert",
        "syslog-tls-cert",
        "syslog-tls-key",
        "syslog-tls-skip-verify",
    ];
    known(options, &[&own, &ATTRIBUTES], |name| {
        format!("unknown log opt '{name}' for syslog log driver")
    })?;
    address::syslog(get(options, "syslog-address"))?;
    facility(get(options, "syslog-facility"))?;
    match get(options, "syslog-format") {
        "" | "rfc3164" | "rfc5424" | "rfc5424micro" => Ok(()),
        _ => Err("Invalid syslog format".to_owned()),
    }
}

/// `syslog-facility` as a number; `daemon` is the default.
pub fn facility(text: &str) -> Result<u8, String> {
    if text.is_empty() {
        return Ok(3);
    }
    let named = FACILITIES.iter().position(|name| *name == text);
    let number = match named {
        // Between `ftp` and `local0` are four that have no name here.
        Some(index) if index >= 12 => Some(index + 4),
        Some(index) => Some(index),
        None => text.parse().ok().filter(|number| *number <= 23),
    };
    number
        .and_then(|number| u8::try_from(number).ok())
        .ok_or_else(|| "invalid syslog facility".to_owned())
}

fn gelf(options: &Options) -> Result<(), String> {
    let target = address::gelf(get(options, "gelf-address"))?;
    let tcp = matches!(target, Target::Tcp(..));
    for (name, value) in options {
        let unknown =
            || format!("unknown value {value:?} for log opt {name:?} for gelf log driver");
        let positive = || match values::number(value) {
            Ok(number) if number >= 0 => Ok(()),
            _ => Err(format!("{name:?} must be a positive integer")),
        };
        match name.as_str() {
            "gelf-address" => {}
            "gelf-compression-level" | "gelf-compression-type" if tcp => {
                return Err("compression is only supported on UDP".to_owned());
            }
            "gelf-compression-level" => {
                let level = values::number(value).map_err(|_| unknown())?;
                if !(-1..=9).contains(&level) {
                    return Err(unknown());
                }
            }
            "gelf-compression-type" => {
                if !matches!(value.as_str(), "gzip" | "zlib" | "none") {
                    return Err(unknown());
                }
            }
            "gelf-tcp-max-reconnect" | "gelf-tcp-reconnect-delay" => {
                if !tcp {
                    return Err(format!("{name:?} is only valid for TCP"));
                }
                positive()?;
            }
            name if ATTRIBUTES.contains(&name) => {}
            name => return Err(format!("unknown log opt {name:?} for gelf log driver")),
        }
    }
    Ok(())
}

fn fluentd(options: &Options) -> Result<(), String> {
    let own = [
        "fluentd-address",
        "fluentd-async",
        "fluentd-async-reconnect-interval",
        "fluentd-buffer-limit",
        "fluentd-max-retries",
        "fluentd-request-ack",
        "fluentd-retry-wait",
        "fluentd-sub-second-precision",
        "fluentd-write-timeout",
    ];
    known(options, &[&own, &ATTRIBUTES], |name| {
        format!("unknown log opt '{name}' for fluentd log driver")
    })?;
    address::fluentd(get(options, "fluentd-address"))?;
    let given = |name: &str| Some(get(options, name)).filter(|text| !text.is_empty());
    if let Some(text) = given("fluentd-buffer-limit") {
        values::binary_size(text)?;
    }
    if let Some(text) = given("fluentd-retry-wait") {
        values::duration(text)?;
    }
    if let Some(text) = given("fluentd-max-retries") {
        values::unsigned(text)?;
    }
    for name in [
        "fluentd-async",
        "fluentd-sub-second-precision",
        "fluentd-request-ack",
    ] {
        given(name).map_or(Ok(false), values::truth)?;
    }
    if let Some(text) = given("fluentd-async-reconnect-interval") {
        let invalid =
            |why: String| format!("invalid value for fluentd-async-reconnect-interval: {why}");
        let (negative, interval) = values::duration(text).map_err(invalid)?;
        let allowed = Duration::from_millis(100)..=Duration::from_secs(10);
        if negative || (!interval.is_zero() && !allowed.contains(&interval)) {
            return Err(invalid(format!(
                "value ({text:?}) must be between 100ms and 10s"
            )));
        }
    }
    if let Some(text) = given("fluentd-write-timeout") {
        let invalid = |why: String| {
            format!("invalid value for fluentd-write-timeout: value must be a duration{why}")
        };
        let (negative, _) = values::duration(text).map_err(|why| invalid(format!(": {why}")))?;
        if negative {
            return Err(invalid(" that is non-negative".to_owned()));
        }
    }
    Ok(())
}
