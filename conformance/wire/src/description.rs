//! Docker's description of its API: which routes there are, and what each answers with which status.
//!
//! The file is Swagger 2.0 in YAML. Only what answers need is read of it. It is parsed once for the process: that
//! takes a quarter of a second or so, in a build without optimisation more.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::schema::Schema;

/// Docker's file, unchanged.
const FILE: &str = include_str!("../docker-engine-api-v1.51.yaml");

/// Answers that are JSON objects one after another. The description knows the objects of some of them and says
/// of none that there is more than one; the second column names the definition where the route has none.
const STREAMS: [(&str, &str); 6] = [
    ("GET /events", ""),
    ("GET /containers/{id}/stats", ""),
    ("POST /build", "BuildInfo"),
    ("POST /images/create", "CreateImageInfo"),
    ("POST /images/{name}/push", "PushImageInfo"),
    ("POST /images/load", "BuildInfo"),
];

/// Names of images and plugins may have slashes in them.
const WITH_SLASHES: [&str; 3] = ["/images/{", "/plugins/{", "/distribution/{"];

/// The description.
#[derive(Debug)]
pub struct Description {
    routes: Vec<Route>,
    definitions: BTreeMap<String, Schema>,
    version: (u32, u32),
}

/// A method with a path, and what is answered there.
#[derive(Debug)]
pub struct Route {
    /// `GET /containers/{id}/json`.
    pub name: String,
    /// By status.
    pub answers: BTreeMap<u16, Answer>,
    /// Whether an answer is JSON objects one after another.
    pub stream: bool,
    method: String,
    template: Vec<String>,
    slashes: bool,
}

/// What is answered with one status.
#[derive(Debug)]
pub struct Answer {
    /// The body's schema; none where there is no body, or one that is not described.
    pub schema: Option<Schema>,
}

#[derive(Deserialize)]
struct File {
    info: Info,
    definitions: BTreeMap<String, Schema>,
    paths: BTreeMap<String, BTreeMap<String, Operation>>,
}

#[derive(Deserialize)]
struct Info {
    version: String,
}

#[derive(Deserialize)]
struct Operation {
    responses: BTreeMap<u16, Response>,
}

#[derive(Deserialize)]
struct Response {
    schema: Option<Schema>,
}

impl Description {
    /// Docker's own, version 1.51.
    ///
    /// # Errors
    /// When the file that is part of this program cannot be read, which a test rules out.
    pub fn docker() -> anyhow::Result<&'static Description> {
        static DOCKER: OnceLock<Result<Description, String>> = OnceLock::new();
        DOCKER
            .get_or_init(|| Description::parse(FILE).map_err(|error| format!("{error:#}")))
            .as_ref()
            .map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// Reads a description.
    ///
    /// # Errors
    /// When it is not YAML, not Swagger, or names a definition that it does not have.
    pub fn parse(text: &str) -> anyhow::Result<Description> {
        // In YAML 1.2, `on` and `no` are words.
        let options = serde_saphyr::options! { strict_booleans: true };
        let file: File = serde_saphyr::from_str_with_options(text, options)
            .context("reading the API's description")?;
        let version = parse_version(&file.info.version)
            .with_context(|| format!("{} is no version of an API", file.info.version))?;
        let mut routes = Vec::new();
        for (path, operations) in file.paths {
            for (method, operation) in operations {
                routes.push(Route::new(&method, &path, operation));
            }
        }
        let description = Description {
            routes,
            definitions: file.definitions,
            version,
        };
        description.check()?;
        Ok(description)
    }

    /// The API's version: (1, 51).
    pub fn version(&self) -> (u32, u32) {
        self.version
    }

    /// All routes.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// A definition by its name.
    pub fn definition(&self, name: &str) -> Option<&Schema> {
        self.definitions.get(name)
    }

    /// The route that a request goes to. `path` has neither a version in front nor a query behind.
    pub fn route(&self, method: &str, path: &str) -> Option<&Route> {
        let words: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let fits = self
            .routes
            .iter()
            .filter(|route| route.method == method && fits(&route.template, &words, route.slashes));
        // `/images/json` is not the image `json`: the route with the fewest variables.
        fits.min_by_key(|route| {
            let variables = route.template.iter().filter(|word| is_variable(word));
            (variables.count(), usize::MAX - route.template.len())
        })
    }

    /// Follows references and `allOf` until only schemas without either are left. All of them hold.
    pub(crate) fn leaves<'a>(&'a self, schema: &'a Schema) -> Vec<&'a Schema> {
        if let Some(target) = schema.definition().and_then(|name| self.definition(name)) {
            return self.leaves(target);
        }
        let mut leaves: Vec<&Schema> = schema
            .all_of
            .iter()
            .flat_map(|part| self.leaves(part))
            .collect();
        leaves.push(schema);
        leaves
    }

    /// Every reference must lead somewhere: one that does not would make every value valid.
    fn check(&self) -> anyhow::Result<()> {
        let answers = self.routes.iter().flat_map(|route| route.answers.values());
        let mut left: Vec<&Schema> = answers
            .filter_map(|answer| answer.schema.as_ref())
            .chain(self.definitions.values())
            .collect();
        while let Some(schema) = left.pop() {
            if let Some(reference) = &schema.reference
                && schema
                    .definition()
                    .and_then(|name| self.definition(name))
                    .is_none()
            {
                bail!("the API's description has no {reference}");
            }
            left.extend(schema.properties.values());
            left.extend(schema.items.as_deref());
            left.extend(&schema.all_of);
            if let Some(crate::schema::Others::Are(others)) = &schema.others {
                left.push(others);
            }
        }
        Ok(())
    }
}

impl Route {
    fn new(method: &str, path: &str, operation: Operation) -> Route {
        let method = method.to_uppercase();
        let name = format!("{method} {path}");
        let stream = STREAMS.iter().find(|(route, _)| *route == name);
        let answers = operation
            .responses
            .into_iter()
            .map(|(status, response)| {
                let of_stream = stream
                    .filter(|(_, definition)| status == 200 && !definition.is_empty())
                    .map(|(_, definition)| Schema {
                        reference: Some(format!("#/definitions/{definition}")),
                        ..Schema::default()
                    });
                let schema = response.schema.or(of_stream);
                (status, Answer { schema })
            })
            .collect();
        Route {
            answers,
            stream: stream.is_some(),
            template: path
                .trim_start_matches('/')
                .split('/')
                .map(str::to_owned)
                .collect(),
            slashes: WITH_SLASHES.iter().any(|start| path.starts_with(start)),
            method,
            name,
        }
    }
}

/// `1.51` as numbers.
pub(crate) fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn is_variable(word: &str) -> bool {
    word.starts_with('{')
}

fn fits(template: &[String], words: &[&str], slashes: bool) -> bool {
    match (template.split_first(), words.split_first()) {
        (None, None) => true,
        (Some((first, rest)), Some((word, others))) if is_variable(first) => {
            !word.is_empty()
                && (fits(rest, others, slashes)
                    || (slashes && (1..=others.len()).any(|n| fits(rest, &others[n..], false))))
        }
        (Some((first, rest)), Some((word, others))) => first == word && fits(rest, others, slashes),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(method: &str, path: &str) -> Option<&'static str> {
        let route = Description::docker().unwrap().route(method, path)?;
        Some(&route.name)
    }

    #[test]
    fn dockers_description_is_read() {
        let description = Description::docker().unwrap();
        assert_eq!(description.version(), (1, 51));
        assert_eq!(description.routes().len(), 107);
        let route = description.route("GET", "/containers/json").unwrap();
        assert!(route.answers[&200].schema.is_some());
        let state = &description.definition("ContainerState").unwrap().properties["Status"];
        assert_eq!(state.values.len(), 7);
        let count = description
            .routes()
            .iter()
            .filter(|route| route.stream)
            .count();
        assert_eq!(count, STREAMS.len(), "each stream is a route");
    }

    #[test]
    fn a_request_finds_its_route() {
        assert_eq!(name("GET", "/images/json"), Some("GET /images/json"));
        assert_eq!(
            name("GET", "/images/a/b:1/json"),
            Some("GET /images/{name}/json")
        );
        assert_eq!(
            name("GET", "/images/registry.example:5000/a/b/get"),
            Some("GET /images/{name}/get")
        );
        assert_eq!(name("DELETE", "/images/a/b"), Some("DELETE /images/{name}"));
        assert_eq!(
            name("POST", "/containers/create"),
            Some("POST /containers/create")
        );
        assert_eq!(
            name("GET", "/containers/web/json"),
            Some("GET /containers/{id}/json")
        );
        assert_eq!(name("GET", "/containers/a/b/json"), None);
        assert_eq!(name("GET", "/containers//json"), None);
        assert_eq!(name("HEAD", "/_ping"), Some("HEAD /_ping"));
        assert_eq!(name("GET", "/nonsense"), None);
    }

    #[test]
    fn a_reference_must_lead_somewhere() {
        let text = "info: {version: '1.1'}\ndefinitions: {A: {properties: {b: {$ref: '#/definitions/B'}}}}\npaths: {}\n";
        let error = Description::parse(text).unwrap_err().to_string();
        assert!(error.contains("#/definitions/B"), "{error}");
    }
}
