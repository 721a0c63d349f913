//! The command line of `drydock daemon`, made from the table of keys.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, Command};
use serde_json::{Map, Value, json};

use super::keys::{KEYS, Key, Kind};
use super::{SettingsError, invalid};

/// Parses the flags into `--config-file` and a map by daemon.json's keys.
pub fn parse(
    arguments: impl Iterator<Item = OsString>,
) -> Result<(Option<PathBuf>, Map<String, Value>), SettingsError> {
    let name = std::iter::once(OsString::from("drydock daemon"));
    let matches = command().try_get_matches_from(name.chain(arguments))?;
    let mut map = Map::new();
    for key in KEYS {
        if let Some(given) = matches.get_many::<String>(key.flag) {
            let given: Vec<&str> = given.map(String::as_str).collect();
            map.insert(key.key.to_owned(), value(key, &given)?);
        }
    }
    Ok((
        matches.get_one::<String>("config-file").map(PathBuf::from),
        map,
    ))
}

fn command() -> Command {
    let file = Arg::new("config-file")
        .long("config-file")
        .help("The configuration file (default /etc/drydock/daemon.json)");
    let flag = |key: &'static Key| {
        let mut arg = Arg::new(key.flag).long(key.flag).help(key.help);
        if let Some(short) = key.short {
            arg = arg.short(short);
        }
        match key.kind {
            Kind::Truth => arg
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true"),
            Kind::Text | Kind::Number => arg,
            Kind::List | Kind::Map | Kind::Objects => arg.action(ArgAction::Append),
        }
    };
    Command::new("drydock daemon")
        .about("The engine: serves the Docker Engine API on a unix socket")
        .arg(file)
        .args(KEYS.iter().map(flag))
}

fn value(key: &Key, given: &[&str]) -> Result<Value, SettingsError> {
    let last = given.last().copied().unwrap_or("");
    let bad = |text: &str| invalid(format!("--{}: {text:?} cannot be used", key.flag));
    match key.kind {
        Kind::Text => Ok(json!(last)),
        Kind::Number => last.parse::<u64>().map(Value::from).map_err(|_| bad(last)),
        Kind::Truth => match last {
            "true" | "1" | "t" => Ok(json!(true)),
            "false" | "0" | "f" => Ok(json!(false)),
            _ => Err(bad(last)),
        },
        Kind::List => Ok(json!(given)),
        Kind::Map => object(given.iter().copied()).ok_or_else(|| bad(last)),
        Kind::Objects => given
            .iter()
            .map(|text| object(text.split(',')))
            .collect::<Option<Vec<_>>>()
            .map(Value::from)
            .ok_or_else(|| bad(last)),
    }
}

/// `key=value` pairs as an object.
fn object<'a>(pairs: impl Iterator<Item = &'a str>) -> Option<Value> {
    let map: Option<Map<String, Value>> = pairs
        .map(|pair| {
            pair.split_once('=')
                .map(|(name, value)| (name.to_owned(), json!(value)))
        })
        .collect();
    map.map(Value::Object)
}
