//! What a log says about its container: labels and variables that the user wants in it, and the tag.

use std::collections::BTreeMap;

use drydock_api::time;
use drydock_template::evaluator;
use drydock_template::parser::Template;
use drydock_template::value::{Field, Struct, Value};
use regex_lite::Regex;

use super::super::Record;
use super::Options;

/// Labels and variables of the container that the options name. `rename` is what a driver makes of a name.
///
/// # Errors
/// An expression that is none, in Go's words.
pub fn chosen(
    record: &Record,
    options: &Options,
    rename: impl Fn(&str) -> String,
) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    for (kind, all) in [("labels", labels(record)), ("env", variables(record))] {
        let named: Vec<&str> = option(options, kind)
            .map(|list| list.split(',').collect())
            .unwrap_or_default();
        let expression = option(options, &format!("{kind}-regex"))
            .map(compile)
            .transpose()?;
        for (name, value) in all {
            let wanted = named.contains(&name.as_str())
                || expression
                    .as_ref()
                    .is_some_and(|expression| expression.is_match(&name));
            if wanted {
                found.insert(rename(&name), value);
            }
        }
    }
    Ok(found)
}

fn option<'a>(options: &'a Options, name: &str) -> Option<&'a str> {
    options
        .get(name)
        .map(String::as_str)
        .filter(|value| !value.is_empty())
}

fn compile(expression: &str) -> Result<Regex, String> {
    Regex::new(expression).map_err(|error| {
        let why = match error.to_string() {
            text if text.contains("open group without closing") => "missing closing )".to_owned(),
            text if text.contains("closing ')' without") => "unexpected )".to_owned(),
            text => text,
        };
        format!("error parsing regexp: {why}: `{expression}`")
    })
}

fn labels(record: &Record) -> BTreeMap<String, String> {
    let labels = record.config["Labels"].as_object();
    labels
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn variables(record: &Record) -> BTreeMap<String, String> {
    environment(record)
        .filter_map(|variable| variable.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn environment(record: &Record) -> impl Iterator<Item = &str> {
    let list = record.config["Env"].as_array();
    list.into_iter()
        .flatten()
        .filter_map(serde_json::Value::as_str)
}

/// The text of the option `tag`, or of `default` without one.
///
/// # Errors
/// A template that is none, or names what there is not, in Go's words.
pub fn tag(record: &Record, options: &Options, default: &str) -> Result<String, String> {
    let source = option(options, "tag").unwrap_or(default);
    Template::parse("log-tag", source)?
        .execute(&information(record, options), evaluator::Options::default())
}

/// The image as the user named it.
pub fn image_name(record: &Record) -> &str {
    record.config_text("Image")
}

/// The command, entrypoint first.
pub fn command(record: &Record) -> String {
    let words = std::iter::once(&record.path).chain(&record.args);
    words.map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// The first twelve characters, of an image's id those of `sha256:` included.
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// What a tag's template sees: Docker's `logger.Info`, its fields and its methods.
fn information(record: &Record, options: &Options) -> Value {
    let text = |value: &str| Value::from(value);
    let map = |entries: BTreeMap<String, String>| {
        Value::Map(
            entries
                .into_iter()
                .map(|(name, value)| (name, Value::from(value)))
                .collect(),
        )
    };
    let list = |items: Vec<&str>| Value::List(items.into_iter().map(Value::from).collect());
    let name = format!("/{}", record.name);
    let created = time::rfc3339(record.created);
    let fields = [
        ("Config", map(options.clone())),
        ("ContainerID", text(&record.id)),
        ("ContainerName", text(&name)),
        ("ContainerEntrypoint", text(&record.path)),
        (
            "ContainerArgs",
            list(record.args.iter().map(String::as_str).collect()),
        ),
        ("ContainerImageID", text(&record.image)),
        ("ContainerImageName", text(image_name(record))),
        ("ContainerCreated", text(&created)),
        ("ContainerEnv", list(environment(record).collect())),
        ("ContainerLabels", map(labels(record))),
        // Docker's own: tags that people have carry over.
        ("DaemonName", text("docker")),
    ];
    let methods = [
        ("ID", text(short(&record.id))),
        ("FullID", text(&record.id)),
        ("Name", text(&record.name)),
        ("ImageID", text(short(&record.image))),
        ("ImageFullID", text(&record.image)),
        ("ImageName", text(image_name(record))),
        ("Command", Value::from(command(record))),
        ("Hostname", Value::from(crate::handlers::info::hostname())),
    ];
    let field = |sent: bool| {
        move |(name, value): (&str, Value)| Field {
            name: name.to_owned(),
            key: None,
            value,
            sent,
        }
    };
    Value::Struct(Struct {
        type_name: "*logger.Info".to_owned(),
        fields: fields
            .into_iter()
            .map(field(true))
            .chain(methods.into_iter().map(field(false)))
            .collect(),
        labels: None,
    })
}
