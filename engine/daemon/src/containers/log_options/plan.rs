//! A container's log as its shim gets it: options become bytes, addresses and texts.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use drydock_api::{Error, time};
use drydock_logs::json_string;
use drydock_logs::plan::{
    Compression, FilePlan, Fluentd, Format, Gelf, Journald, Plan, Protocol, RemotePlan, Syslog,
    SyslogLayout,
};

use super::super::{Container, Record, names};
use super::address::{self, Target};
use super::{Options, attributes, check, values};

/// Docker's limit of a file of the driver `local`, which is the cache's as well.
const LOCAL_SIZE: u64 = 20 << 20;

/// How many there are.
const LOCAL_FILES: u32 = 5;

/// How much `mode=non-blocking` keeps for a remote that is slow.
const BUFFER: u64 = 1_000_000;

/// Where the journal listens.
const JOURNAL: &str = "/run/systemd/journal/socket";

/// What `docker logs` reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The current file.
    pub path: PathBuf,
    /// Its layout.
    pub format: Format,
}

/// The options of a container's log.
fn options(record: &Record) -> Options {
    let map = record.host_config.pointer("/LogConfig/Config");
    map.and_then(|map| map.as_object())
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// Where a container's log can be read; None where nowhere.
pub fn place(container: &Container, record: &Record) -> Option<Place> {
    let (path, format) = match record.log_driver() {
        "none" => return None,
        "json-file" => (container.log_path(), Format::Json),
        "local" => (container.file("local-logs/container.log"), Format::Local),
        _ if !is_cached(&options(record)) => return None,
        _ => (container.file("container-cached.log"), Format::Local),
    };
    Some(Place { path, format })
}

fn is_cached(options: &Options) -> bool {
    options
        .get("cache-disabled")
        .is_none_or(|value| values::truth(value) != Ok(true))
}

/// The log of a container that starts, and the folder of the socket that it goes to. None is the driver `none`.
///
/// # Errors
/// 500 with Docker's texts.
pub fn plan(
    container: &Container,
    record: &Record,
) -> Result<Option<(Plan, Option<OwnedFd>)>, Error> {
    make(container, record).map_err(|why| {
        Error::system(format!(
            "failed to create task for container: failed to initialize logging driver: {why}"
        ))
    })
}

fn make(container: &Container, record: &Record) -> Result<Option<(Plan, Option<OwnedFd>)>, String> {
    let options = options(record);
    let seed = || names::random_id().map_err(|error| error.to_string());
    let place = place(container, record);
    let (file, remote, folder) = match (record.log_driver(), place) {
        ("none", _) => return Ok(None),
        ("json-file", Some(place)) => (Some(json_file(record, &options, place)?), None, None),
        ("local", Some(place)) => (Some(local(&options, "", place)?), None, None),
        (driver, place) => {
            let (remote, folder) = remote(driver, record, &options)?;
            let cache = place
                .map(|place| local(&options, "cache-", place))
                .transpose()
                .map_err(|why| format!("error initializing local log cache driver: {why}"))?;
            (cache, Some(remote), folder)
        }
    };
    let plan = Plan {
        file,
        remote,
        seed: seed()?,
    };
    Ok(Some((plan, folder)))
}

fn json_file(record: &Record, options: &Options, place: Place) -> Result<FilePlan, String> {
    let max_size = match options.get("max-size") {
        None => 0,
        Some(text) => match values::decimal_size(text)? {
            0 => return Err("max-size must be a positive number".to_owned()),
            bytes => bytes,
        },
    };
    let max_file = match options.get("max-file") {
        None => 1,
        Some(text) => u32::try_from(values::number(text)?)
            .ok()
            .filter(|files| *files > 0)
            .ok_or("max-file cannot be less than 1")?,
    };
    let compress = match options.get("compress") {
        None => false,
        Some(text) => values::truth(text)?,
    };
    if compress && (max_file == 1 || max_size == 0) {
        return Err(
            "compress cannot be true when max-file is less than 2 or max-size is not set"
                .to_owned(),
        );
    }
    let mut pairs = attributes::chosen(record, options, str::to_owned)?;
    let tag = attributes::tag(record, options, "")?;
    if !tag.is_empty() {
        pairs.insert("tag".to_owned(), tag);
    }
    let attributes = if pairs.is_empty() {
        String::new()
    } else {
        format!("{{{}}}", members(&pairs))
    };
    Ok(FilePlan {
        path: place.path,
        format: place.format,
        max_size,
        max_file,
        compress,
        attributes,
    })
}

/// `"name":"value","name":"value"`.
fn members<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let member =
        |(name, value): (&String, &String)| format!("{}:{}", json_string(name), json_string(value));
    pairs.into_iter().map(member).collect::<Vec<_>>().join(",")
}

/// The driver `local`, or the cache, whose options have a prefix.
fn local(options: &Options, prefix: &str, place: Place) -> Result<FilePlan, String> {
    let get = |name: &str| options.get(&format!("{prefix}{name}"));
    let max_size = match get("max-size") {
        None => LOCAL_SIZE,
        // Docker begins a new file with each record then.
        Some(text) => values::decimal_size(text)
            .map_err(|why| format!("invalid value for max-size: {text}: {why}"))?
            .max(1),
    };
    let max_file = match get("max-file") {
        None => LOCAL_FILES,
        Some(text) => {
            let files = values::number(text)
                .map_err(|why| format!("invalid value for max-file: {text}: {why}"))?;
            u32::try_from(files).map_err(|_| "max file count cannot be less than 0")?
        }
    };
    let compress = match get("compress") {
        None => true,
        Some(text) => values::truth(text)
            .map_err(|why| format!("error reading compress log option: {why}"))?,
    };
    if compress && max_file <= 1 {
        return Err("compression cannot be enabled when max file count is 1".to_owned());
    }
    Ok(FilePlan {
        path: place.path,
        format: place.format,
        max_size,
        max_file,
        compress,
        attributes: String::new(),
    })
}

fn remote(
    driver: &str,
    record: &Record,
    options: &Options,
) -> Result<(RemotePlan, Option<OwnedFd>), String> {
    let (protocol, target) = match driver {
        "syslog" => syslog(record, options)?,
        "gelf" => gelf(record, options)?,
        "fluentd" => fluentd(record, options)?,
        "journald" => journald(record, options)?,
        other => {
            return Err(format!(
                "logger: no log driver named '{other}' is registered"
            ));
        }
    };
    let (address, folder) = address::resolve(&target).map_err(|why| match &protocol {
        Protocol::Gelf(gelf) => format!(
            "gelf: cannot connect to GELF endpoint: {} {why}",
            gelf.endpoint
        ),
        _ => why,
    })?;
    let dropping = get(options, "mode") == "non-blocking";
    let drop_beyond = match options.get("max-buffer-size") {
        Some(text) => values::binary_size(text)?,
        None => BUFFER,
    };
    let plan = RemotePlan {
        address,
        protocol,
        drop_beyond: dropping.then_some(drop_beyond),
    };
    Ok((plan, folder))
}

fn get<'a>(options: &'a Options, name: &str) -> &'a str {
    options.get(name).map_or("", String::as_str)
}

fn syslog(record: &Record, options: &Options) -> Result<(Protocol, Target), String> {
    let tag = attributes::tag(record, options, "{{.ID}}")?;
    let target = address::syslog(get(options, "syslog-address"))?;
    let layout = match get(options, "syslog-format") {
        "rfc3164" => SyslogLayout::Rfc3164,
        "rfc5424" => SyslogLayout::Rfc5424,
        "rfc5424micro" => SyslogLayout::Rfc5424Micro,
        _ => SyslogLayout::Local,
    };
    let syslog = Syslog {
        facility: check::facility(get(options, "syslog-facility"))?,
        layout,
        tag,
        hostname: crate::handlers::info::hostname(),
        utc_offset: drydock_sys::clock::utc_offset(),
    };
    Ok((Protocol::Syslog(syslog), target))
}

fn gelf(record: &Record, options: &Options) -> Result<(Protocol, Target), String> {
    let address = get(options, "gelf-address");
    let target = address::gelf(address)?;
    let rename = |name: &str| match name.strip_prefix('_') {
        Some(_) => name.to_owned(),
        None => format!("_{name}"),
    };
    let tag = attributes::tag(record, options, "{{.ID}}")?;
    let mut extra = attributes::chosen(record, options, rename)?;
    for (name, value) in [
        ("_container_id", record.id.clone()),
        ("_container_name", record.name.clone()),
        ("_image_id", record.image.clone()),
        ("_image_name", attributes::image_name(record).to_owned()),
        ("_command", attributes::command(record)),
        ("_tag", tag),
        ("_created", time::rfc3339(record.created)),
    ] {
        extra.entry(name.to_owned()).or_insert(value);
    }
    let number = |name: &str, default: i64| match options.get(name) {
        Some(text) => values::number(text),
        None => Ok(default),
    };
    let positive = |name: &str, default: i64| {
        number(name, default).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
    };
    let gelf = Gelf {
        endpoint: address
            .split_once("://")
            .map_or("", |(_, rest)| rest)
            .to_owned(),
        hostname: crate::handlers::info::hostname(),
        extra: members(&extra),
        compression: match get(options, "gelf-compression-type") {
            "zlib" => Compression::Zlib,
            "none" => Compression::None,
            _ => Compression::Gzip,
        },
        // -1 is zlib's own choice.
        level: match number("gelf-compression-level", 1)? {
            level @ 0..=9 => level.unsigned_abs() as u32,
            _ => 6,
        },
        reconnects: positive("gelf-tcp-max-reconnect", 3)?,
        reconnect_delay: positive("gelf-tcp-reconnect-delay", 1)?,
    };
    Ok((Protocol::Gelf(gelf), target))
}

fn fluentd(record: &Record, options: &Options) -> Result<(Protocol, Target), String> {
    let target = address::fluentd(get(options, "fluentd-address"))?;
    let tag = attributes::tag(record, options, "{{.ID}}")?;
    let mut fields = vec![
        ("container_id".to_owned(), record.id.clone()),
        ("container_name".to_owned(), format!("/{}", record.name)),
    ];
    let chosen = attributes::chosen(record, options, str::to_owned)?;
    fields.retain(|(name, _)| !chosen.contains_key(name));
    fields.extend(chosen);
    let given = |name: &str| Some(get(options, name)).filter(|text| !text.is_empty());
    let truth = |name: &str| given(name).map_or(Ok(false), values::truth);
    let retry_wait = match given("fluentd-retry-wait") {
        Some(text) => values::duration(text)?.1.as_millis(),
        None => 1000,
    };
    let fluentd = Fluentd {
        tag,
        fields,
        sub_second: truth("fluentd-sub-second-precision")?,
        acknowledged: truth("fluentd-request-ack")?,
        asynchronous: truth("fluentd-async")?,
        buffer_limit: match given("fluentd-buffer-limit") {
            Some(text) => values::binary_size(text)?,
            None => 1 << 20,
        },
        retry_wait: u64::try_from(retry_wait).unwrap_or(u64::MAX),
        max_retries: match given("fluentd-max-retries") {
            Some(text) => values::unsigned(text)?,
            None => i32::MAX.unsigned_abs().into(),
        },
    };
    Ok((Protocol::Fluentd(fluentd), target))
}

fn journald(record: &Record, options: &Options) -> Result<(Protocol, Target), String> {
    let socket = PathBuf::from(JOURNAL);
    if !socket.exists() {
        return Err("journald is not enabled on this host".to_owned());
    }
    let tag = attributes::tag(record, options, "{{.ID}}")?;
    let mut fields: Vec<(String, String)> = [
        ("CONTAINER_ID", attributes::short(&record.id)),
        ("CONTAINER_ID_FULL", &record.id),
        ("CONTAINER_NAME", &record.name),
        ("CONTAINER_TAG", &tag),
        ("IMAGE_NAME", attributes::image_name(record)),
        ("SYSLOG_IDENTIFIER", &tag),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    let chosen = attributes::chosen(record, options, journal_name)?;
    fields.retain(|(name, _)| !chosen.contains_key(name));
    // A name of which nothing is left would end the entry.
    fields.extend(chosen.into_iter().filter(|(name, _)| !name.is_empty()));
    Ok((
        Protocol::Journald(Journald { fields }),
        Target::UnixDatagram(socket),
    ))
}

/// A name as the journal takes it: capital letters, digits and underscores, none of these at the beginning.
fn journal_name(name: &str) -> String {
    let letter = |letter: char| match letter {
        'a'..='z' => letter.to_ascii_uppercase(),
        'A'..='Z' | '0'..='9' => letter,
        _ => '_',
    };
    let name: String = name.chars().map(letter).collect();
    name.trim_start_matches('_').to_owned()
}
