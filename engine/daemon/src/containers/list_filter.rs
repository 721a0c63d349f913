//! The filters of GET /containers/json.

use drydock_api::Error;
use drydock_api::filters::Filters;
use drydock_defects::defect;
use regex_lite::Regex;

use super::{Record, health};
use crate::engine::Engine;

/// The names that Docker knows.
const KNOWN: [&str; 16] = [
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "label!",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];

const STATES: [&str; 7] = [
    "created",
    "running",
    "paused",
    "restarting",
    "removing",
    "exited",
    "dead",
];
const HEALTH: [&str; 4] = ["none", "starting", "healthy", "unhealthy"];

/// Filters, checked and ready.
pub struct Filter {
    filters: Filters,
    exited: Vec<i32>,
    before: Option<u64>,
    since: Option<u64>,
    /// Ids of the images of `ancestor`, and of those made from them; None without that filter.
    images: Option<Vec<String>>,
}

impl Filter {
    /// Reads and checks.
    ///
    /// # Errors
    /// Docker's 400 for what it does not know, 404 for `before` and `since` with an unknown container.
    pub fn read(engine: &Engine, text: &str) -> Result<Filter, Error> {
        let filters = Filters::parse(text)?;
        filters.validate(&KNOWN)?;
        one_of(&filters, "status", "state", &STATES)?;
        one_of(&filters, "health", "health", &HEALTH)?;
        filters.boolean("is-task")?;
        for port in filters.get("publish").iter().chain(filters.get("expose")) {
            check_port(port)?;
        }
        let created = |key: &str| -> Result<Option<u64>, Error> {
            filters
                .get(key)
                .first()
                .map(|name| {
                    engine
                        .containers
                        .find(name)
                        .map(|container| container.snapshot().created)
                })
                .transpose()
        };
        let (before, since) = (created("before")?, created("since")?);
        let exited = filters
            .get("exited")
            .iter()
            .map(|text| exit_code(text))
            .collect::<Result<_, _>>()?;
        let images = filters.contains("ancestor").then(|| {
            let found = filters
                .get("ancestor")
                .iter()
                .filter_map(|name| engine.images.resolve(name).ok());
            found
                .flat_map(|image| engine.images.family(&image.id))
                .collect()
        });
        Ok(Filter {
            filters,
            exited,
            before,
            since,
            images,
        })
    }

    /// These filters look at containers that do not run too, without `all`.
    pub fn names_a_state(&self) -> bool {
        ["status", "exited", "before", "since"]
            .iter()
            .any(|name| self.filters.contains(name))
    }

    /// Whether a container passes.
    pub fn passes(&self, record: &Record) -> bool {
        let filters = &self.filters;
        filters.allows("status", record.status_word())
            && filters.allows("health", health::word(record))
            && (self.exited.is_empty() || defect!("exited-filter-ignored") || (record.status_word() == "exited" && self.exited.contains(&record.state.exit_code)))
            && self.before.is_none_or(|before| record.created < before)
            && self.since.is_none_or(|since| record.created > since)
            && self.images.as_ref().is_none_or(|images| images.contains(&record.image))
            && matches(filters.get("id"), &[&record.id])
            && matches(filters.get("name"), &[&record.name, &format!("/{}", record.name)])
            && filters.allows("network", record.network_mode())
            && filters.get("volume").is_empty_or(|wanted| record.mounts.iter().any(|mount| mount["Destination"] == **wanted || mount["Source"] == **wanted))
            // No ports are published, no container is a task of a service, and there is one isolation.
            && filters.get("publish").is_empty()
            && filters.get("expose").is_empty_or(|wanted| exposes(record, wanted))
            && filters.boolean("is-task") != Ok(Some(true))
            && filters.labels_match(|key| record.label(key))
    }
}

trait EmptyOr {
    fn is_empty_or(&self, any: impl Fn(&&String) -> bool) -> bool;
}

impl EmptyOr for [String] {
    fn is_empty_or(&self, any: impl Fn(&&String) -> bool) -> bool {
        self.is_empty() || self.iter().any(|value| any(&value))
    }
}

/// Whether one of the patterns (regular expressions, as Docker's) is found in one of the texts. A pattern
/// that is no regular expression only matches itself.
fn matches(patterns: &[String], texts: &[&str]) -> bool {
    patterns.is_empty_or(|pattern| match Regex::new(pattern) {
        Ok(regex) => texts.iter().any(|text| regex.is_match(text)),
        Err(_) => texts.contains(&pattern.as_str()),
    })
}

fn exposes(record: &Record, wanted: &str) -> bool {
    let wanted = if wanted.contains('/') {
        wanted.to_owned()
    } else {
        format!("{wanted}/tcp")
    };
    record
        .config
        .get("ExposedPorts")
        .and_then(|ports| ports.get(&wanted))
        .is_some()
}

fn one_of(filters: &Filters, name: &str, shown: &str, known: &[&str]) -> Result<(), Error> {
    match filters
        .get(name)
        .iter()
        .find(|value| !known.contains(&value.as_str()))
    {
        Some(value) => Err(Error::invalid(format!(
            "invalid filter '{name}={value}': invalid value for {shown} ({value}): must be one of {}",
            known.join(", ")
        ))),
        None => Ok(()),
    }
}

fn exit_code(text: &str) -> Result<i32, Error> {
    text.parse().map_err(|_| {
        Error::invalid(format!(
            "invalid filter 'exited={text}': strconv.Atoi: parsing \"{text}\": invalid syntax"
        ))
    })
}

fn check_port(text: &str) -> Result<(), Error> {
    let range = text.split('/').next().unwrap_or("");
    match range.split('-').find(|part| part.parse::<u16>().is_err()) {
        Some(part) => Err(Error::system(format!(
            "error while looking up for publish {text}: strconv.ParseUint: parsing \"{part}\": invalid syntax"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containers::record::tests::example;

    fn passes(filters: &str) -> bool {
        let filters = Filters::parse(filters).unwrap();
        let exited = filters
            .get("exited")
            .iter()
            .map(|text| exit_code(text).unwrap())
            .collect();
        Filter {
            filters,
            exited,
            before: None,
            since: None,
            images: None,
        }
        .passes(&example())
    }

    #[test]
    fn names_are_regular_expressions() {
        for yes in [
            r#"{"name":["web"]}"#,
            r#"{"name":["^/web$"]}"#,
            r#"{"name":["^w"]}"#,
            r#"{"name":["e"]}"#,
            r#"{"id":["0123"]}"#,
            r#"{"name":["x","web"]}"#,
            r#"{"label":["a=b"]}"#,
            r#"{"status":["created"]}"#,
            r#"{"network":["bridge"]}"#,
            r#"{}"#,
        ] {
            assert!(passes(yes), "{yes}");
        }
        for no in [
            r#"{"name":["db"]}"#,
            r#"{"name":["["]}"#,
            r#"{"label":["a=c"]}"#,
            r#"{"status":["running"]}"#,
            r#"{"exited":["0"]}"#,
            r#"{"publish":["80"]}"#,
            r#"{"label!":["a"]}"#,
        ] {
            assert!(!passes(no), "{no}");
        }
    }

    #[test]
    fn dockers_texts() {
        let bad = Filters::parse(r#"{"status":["foo"]}"#).unwrap();
        assert_eq!(
            one_of(&bad, "status", "state", &STATES)
                .unwrap_err()
                .to_string(),
            "invalid filter 'status=foo': invalid value for state (foo): must be one of created, running, paused, restarting, removing, exited, dead"
        );
        assert_eq!(
            exit_code("x").unwrap_err().to_string(),
            "invalid filter 'exited=x': strconv.Atoi: parsing \"x\": invalid syntax"
        );
        assert_eq!(
            check_port("foo").unwrap_err().to_string(),
            "error while looking up for publish foo: strconv.ParseUint: parsing \"foo\": invalid syntax"
        );
    }
}
