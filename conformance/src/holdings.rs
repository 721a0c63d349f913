//! What an engine keeps after a command: containers, networks, volumes and images, found by a scenario's names.
//!
//! They are looked at in the order in which they can be removed: a network or a volume cannot go before the
//! containers that use it. An engine that does not have a kind yet (501) has none of it. What a Compose project
//! makes carries the project's name as a label; the names themselves are made by Compose.

use std::collections::BTreeSet;

use anyhow::Context;
use rig::Engine;
use serde_json::Value;

/// The label with which Compose marks what belongs to a project.
const PROJECT: &str = "com.docker.compose.project";

/// A kind of thing that an engine keeps.
#[derive(Clone, Copy, Debug)]
pub enum Holding {
    /// Containers in any state.
    Containers,
    /// Networks.
    Networks,
    /// Volumes.
    Volumes,
    /// Images with a name.
    Images,
}

impl Holding {
    /// All kinds, in the order in which they can be removed.
    pub const ALL: [Holding; 4] = [
        Holding::Containers,
        Holding::Networks,
        Holding::Volumes,
        Holding::Images,
    ];

    /// The word for one of them.
    pub fn word(self) -> &'static str {
        match self {
            Holding::Containers => "container",
            Holding::Networks => "network",
            Holding::Volumes => "volume",
            Holding::Images => "image",
        }
    }

    fn list(self) -> &'static str {
        match self {
            Holding::Containers => "/containers/json?all=1",
            Holding::Networks => "/networks",
            Holding::Volumes => "/volumes",
            Holding::Images => "/images/json",
        }
    }

    /// Those that have one of `names` or belong to a project of that name: the path that DELETE takes, and the name.
    ///
    /// # Errors
    /// When the engine does not list them.
    pub fn named(
        self,
        engine: &Engine,
        names: &BTreeSet<String>,
    ) -> anyhow::Result<Vec<(String, String)>> {
        let response = engine.request("GET", self.list(), None)?;
        if response.status == 501 {
            return Ok(Vec::new());
        }
        let answer = response.success()?.json()?;
        let list = match self {
            Holding::Volumes => &answer["Volumes"],
            _ => &answer,
        };
        let list = match list {
            Value::Null => &Vec::new(),
            list => list
                .as_array()
                .with_context(|| format!("GET {} gave no list", self.list()))?,
        };
        Ok(list
            .iter()
            .flat_map(|entry| self.matches(entry, names))
            .collect())
    }

    fn matches(self, entry: &Value, names: &BTreeSet<String>) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let texts = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().map(text).collect()
        };
        let of_project = entry["Labels"][PROJECT]
            .as_str()
            .is_some_and(|project| names.contains(project));
        match self {
            Holding::Containers => {
                let own = texts(&entry["Names"])
                    .into_iter()
                    .map(|name| name.trim_start_matches('/').to_owned());
                own.filter(|name| of_project || names.contains(name))
                    .take(1)
                    .map(|name| {
                        let path = format!("/containers/{}?force=1&v=1", text(&entry["Id"]));
                        (path, name)
                    })
                    .collect()
            }
            Holding::Networks => one(text(&entry["Name"]), of_project, names)
                .map(|name| (format!("/networks/{}", text(&entry["Id"])), name))
                .into_iter()
                .collect(),
            Holding::Volumes => one(text(&entry["Name"]), of_project, names)
                .map(|name| (format!("/volumes/{name}?force=1"), name))
                .into_iter()
                .collect(),
            Holding::Images => texts(&entry["RepoTags"])
                .into_iter()
                .filter(|image| names.contains(repository(image)))
                .map(|image| (format!("/images/{image}?force=1"), image))
                .collect(),
        }
    }
}

fn one(name: String, of_project: bool, names: &BTreeSet<String>) -> Option<String> {
    (of_project || names.contains(&name)).then_some(name)
}

/// `127.0.0.1:5000/a/conf-x:1` is of the repository `conf-x`: names of scenarios have no slash.
fn repository(image: &str) -> &str {
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split([':', '@']).next().unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names() -> BTreeSet<String> {
        BTreeSet::from(["conf-a".to_owned()])
    }

    #[test]
    fn things_are_found_by_name_and_by_project() {
        let container = json!({"Id": "1", "Names": ["/conf-a", "/other/link"], "Labels": {}});
        assert_eq!(
            Holding::Containers.matches(&container, &names()),
            [("/containers/1?force=1&v=1".to_owned(), "conf-a".to_owned())]
        );
        let of_project =
            json!({"Id": "2", "Names": ["/conf-a-web-1"], "Labels": {PROJECT: "conf-a"}});
        assert_eq!(Holding::Containers.matches(&of_project, &names()).len(), 1);
        let network = json!({"Id": "3", "Name": "conf-a_default", "Labels": {PROJECT: "conf-a"}});
        assert_eq!(Holding::Networks.matches(&network, &names()).len(), 1);
        let other = json!({"Id": "4", "Name": "conf-ab", "Labels": null});
        assert!(Holding::Networks.matches(&other, &names()).is_empty());
        assert!(Holding::Volumes.matches(&other, &names()).is_empty());
    }

    #[test]
    fn images_are_found_behind_a_registry() {
        let image =
            json!({"RepoTags": ["127.0.0.1:5000/x/conf-a:1", "conf-ab:1", "busybox:latest"]});
        assert_eq!(
            Holding::Images.matches(&image, &names()),
            [(
                "/images/127.0.0.1:5000/x/conf-a:1?force=1".to_owned(),
                "127.0.0.1:5000/x/conf-a:1".to_owned()
            )]
        );
    }
}
