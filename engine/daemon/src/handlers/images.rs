//! Images: list, inspect, history, tag, remove.

use drydock_api::filters::Filters;
use drydock_api::pattern::Pattern;
use drydock_api::{Error, shape, time};
use drydock_image::{Digest, Image, InUse, Reference, Removed};
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::http::{Answer, Request};

/// GET /images/json, newest first.
///
/// # Errors
/// 400 for bad filters, 404 for `before` and `since` with an unknown image.
pub fn list(engine: &Engine, request: &Request) -> Result<Answer, Error> {
    let filters = Filters::parse(request.query.get("filters"))?;
    filters.validate(&[
        "before",
        "dangling",
        "label",
        "label!",
        "reference",
        "since",
        "until",
    ])?;
    let dangling = filters.boolean("dangling")?;
    let created_of = |key: &str| -> Result<Option<u64>, Error> {
        filters
            .get(key)
            .first()
            .map(|name| engine.images.resolve(name).map(|image| created(&image)))
            .transpose()
    };
    let (before, since) = (created_of("before")?, created_of("since")?);
    let until = filters
        .get("until")
        .first()
        .map(|text| until_moment(text))
        .transpose()?;
    let keeps = |image: &Image| {
        let moment = created(image);
        dangling.is_none_or(|dangling| dangling == image.repo_tags.is_empty())
            && before.is_none_or(|before| moment < before)
            && since.is_none_or(|since| moment > since)
            && until.is_none_or(|until| moment < until)
            && filters
                .labels_match(|key| image.config.pointer("/config/Labels")?.get(key)?.as_str())
    };
    let shown = Shown::read(&filters)?;
    let mut images = engine.images.list();
    images.retain(|image| keeps(image));
    images.sort_by_key(|image| std::cmp::Reverse(created(image)));
    // Containers are counted since API 1.51; before, -1 says that nobody did.
    let counted = request.version >= drydock_api::version::NEWEST;
    let entries: Vec<Value> = images
        .iter()
        .filter_map(|image| entry(engine, image, &shown, counted))
        .collect();
    Ok(Answer::json(&Value::from(entries)))
}

/// An image with those of its names that the filter `reference` wants; None when that wants none of them.
fn entry(engine: &Engine, image: &Image, shown: &Shown, counted: bool) -> Option<Value> {
    let (tags, digests) = shown.names(&image.repo_tags, &image.repo_digests)?;
    let id = image.id.to_string();
    let containers = engine
        .containers
        .all()
        .iter()
        .filter(|container| container.snapshot().image == id)
        .count();
    Some(shape::IMAGE_LIST.with(json!({
        "Containers": if counted { json!(containers) } else { json!(-1) },
        "Created": created(image) / 1_000_000_000,
        "Id": id,
        "Labels": image.config.pointer("/config/Labels"),
        "ParentId": image.parent,
        "RepoDigests": digests,
        "RepoTags": tags,
        "SharedSize": -1,
        "Size": image.size,
    })))
}

/// When the image was made, nanoseconds since 1970; 0 when it does not say.
fn created(image: &Image) -> u64 {
    image
        .created
        .as_deref()
        .and_then(time::parse_rfc3339)
        .unwrap_or(0)
}

/// `until`: a moment in seconds, or a date.
fn until_moment(text: &str) -> Result<u64, Error> {
    time::parse_rfc3339(text).map_or_else(|| time::parse_moment(text), Ok)
}

/// The filter `reference`: shell patterns on a name with its tag or digest, or without. An image is listed
/// with the names that match and no others; None where the filter is not there.
struct Shown(Option<Vec<Pattern>>);

impl Shown {
    fn read(filters: &Filters) -> Result<Shown, Error> {
        if !filters.contains("reference") {
            return Ok(Shown(None));
        }
        let patterns = filters.get("reference").iter();
        patterns
            .map(|text| Pattern::parse(text))
            .collect::<Result<_, _>>()
            .map(|patterns| Shown(Some(patterns)))
    }

    fn names<'a>(
        &self,
        tags: &'a [String],
        digests: &'a [String],
    ) -> Option<(Vec<&'a str>, Vec<&'a str>)> {
        let chosen = |names: &'a [String], separator: char| -> Vec<&'a str> {
            let names = names.iter().map(String::as_str);
            names.filter(|name| self.wants(name, separator)).collect()
        };
        let (tags, digests) = (chosen(tags, ':'), chosen(digests, '@'));
        let listed = self.0.is_none() || !(tags.is_empty() && digests.is_empty());
        listed.then_some((tags, digests))
    }

    fn wants(&self, name: &str, separator: char) -> bool {
        let bare = name.rsplit_once(separator).map_or(name, |(bare, _)| bare);
        self.0.as_ref().is_none_or(|patterns| {
            patterns
                .iter()
                .any(|pattern| pattern.matches(name) || pattern.matches(bare))
        })
    }
}

/// GET /images/{name}/json.
///
/// # Errors
/// Docker's 404 and 400.
pub fn inspect(engine: &Engine, request: &Request) -> Result<Answer, Error> {
    let image = engine.images.resolve(&request.name)?;
    let layers = engine.images.layers(&image);
    let lower: Vec<String> = layers
        .iter()
        .skip(1)
        .map(|path| path.display().to_string())
        .collect();
    // Nothing is mounted for an image, so the keys that name places for that are empty.
    let mut data = json!({"MergedDir": "", "UpperDir": layers.first(), "WorkDir": ""});
    if !lower.is_empty() {
        data["LowerDir"] = json!(lower.join(":"));
    }
    let mut value = shape::IMAGE_INSPECT.with(json!({
        "Id": image.id.to_string(),
        "RepoTags": image.repo_tags,
        "RepoDigests": image.repo_digests,
        "Parent": image.parent,
        "Comment": image.comment,
        "Created": image.created,
        "DockerVersion": image.docker_version,
        "Author": image.author,
        "Architecture": image.architecture,
        "Variant": image.variant,
        "Os": image.os,
        "Size": image.size,
        "RootFS": {"Type": "layers", "Layers": image.diff_ids.iter().map(Digest::to_string).collect::<Vec<_>>()},
        "Metadata": {"LastTagTime": image.last_tagged.map(time::rfc3339)},
        "Config": image.config.get("config"),
    }));
    // Older versions of the API also sent the size under another name.
    if request.version
        < (drydock_api::version::Version {
            major: 1,
            minor: 44,
        })
    {
        value["VirtualSize"] = json!(image.size);
    }
    value["GraphDriver"] = json!({"Data": data, "Name": "overlay2"});
    if image.created.is_none()
        && let Some(keys) = value.as_object_mut()
    {
        keys.remove("Created");
    }
    Ok(Answer::json(&value))
}

/// GET /images/{name}/history, newest layer first.
///
/// # Errors
/// Docker's 404 and 400.
pub fn history(engine: &Engine, request: &Request) -> Result<Answer, Error> {
    let image = engine.images.resolve(&request.name)?;
    let empty = Vec::new();
    let steps = image
        .config
        .get("history")
        .and_then(Value::as_array)
        .unwrap_or(&empty);
    // The store knows the size of all layers together; with one layer that is the layer's.
    let with_layer = steps
        .iter()
        .filter(|step| step.get("empty_layer") != Some(&Value::Bool(true)))
        .count();
    let mut entries: Vec<Value> = steps
        .iter()
        .rev()
        .map(|step| {
            let text = |key: &str| step.get(key).and_then(Value::as_str).unwrap_or("");
            let has_layer = step.get("empty_layer") != Some(&Value::Bool(true));
            shape::IMAGE_HISTORY.with(json!({
                "Comment": text("comment"),
                "Created": time::parse_rfc3339(text("created")).unwrap_or(0) / 1_000_000_000,
                "CreatedBy": text("created_by"),
                "Id": "<missing>",
                "Size": if has_layer && with_layer == 1 { image.size } else { 0 },
            }))
        })
        .collect();
    if let Some(first) = entries.first_mut() {
        first["Id"] = json!(image.id.to_string());
        first["Tags"] = if image.repo_tags.is_empty() {
            Value::Null
        } else {
            json!(image.repo_tags)
        };
    }
    Ok(Answer::json(&Value::from(entries)))
}

/// POST /images/{name}/tag.
///
/// # Errors
/// Docker's 404 and 400.
pub fn tag(engine: &Engine, request: &Request) -> Result<Answer, Error> {
    let image = engine.images.resolve(&request.name)?;
    let reference = new_name(request.query.get("repo"), request.query.get("tag"))?;
    let Some(reference) = reference else {
        return Err(Error::invalid("invalid reference format"));
    };
    crate::containers::container::blocking(|| engine.images.tag(&image.id, &reference))?;
    let id = image.id.to_string();
    engine
        .events
        .publish("image", "tag", &id, &[("name", &reference.familiar())]);
    Ok(Answer::status(StatusCode::CREATED))
}

/// A name for an image from the parameters `repo` and `tag`; None when there is no `repo`.
///
/// # Errors
/// Docker's 400.
pub fn new_name(repo: &str, tag: &str) -> Result<Option<Reference>, Error> {
    if repo.is_empty() {
        return Ok(None);
    }
    let reference = Reference::parse(repo).map_err(Error::invalid)?;
    let reference = if tag.is_empty() {
        reference
    } else {
        reference
            .with_tag(tag)
            .map_err(|_| Error::invalid("invalid tag format"))?
    };
    Ok(Some(reference.with_default_tag()))
}

/// The container that uses an image; a running one first.
pub fn in_use(engine: &Engine) -> impl Fn(&Digest) -> Option<InUse> {
    |image| {
        let id = image.to_string();
        let users = engine
            .containers
            .all()
            .into_iter()
            .map(|container| container.snapshot());
        let users: Vec<_> = users.filter(|record| record.image == id).collect();
        let user = users
            .iter()
            .find(|record| record.is_running())
            .or(users.first())?;
        Some(InUse {
            container_id: user.id.clone(),
            running: user.is_running(),
        })
    }
}

/// DELETE /images/{name}.
///
/// # Errors
/// Docker's 404 and 409.
pub fn remove(engine: &Engine, request: &Request) -> Result<Answer, Error> {
    let image = engine.images.resolve(&request.name)?;
    let force = request.query.boolean("force");
    let removed = crate::containers::container::blocking(|| {
        engine.images.remove(&request.name, force, &in_use(engine))
    })?;
    let id = image.id.to_string();
    for step in &removed {
        match step {
            Removed::Untagged(_) => engine
                .events
                .publish("image", "untag", &id, &[("name", &id)]),
            Removed::Deleted(digest) if *digest == image.id => {
                engine
                    .events
                    .publish("image", "delete", &id, &[("name", &id)])
            }
            Removed::Deleted(_) => {}
        }
    }
    let lines: Vec<Value> = removed
        .iter()
        .map(|step| match step {
            Removed::Untagged(name) => json!({"Untagged": name}),
            Removed::Deleted(digest) => json!({"Deleted": digest.to_string()}),
        })
        .collect();
    Ok(Answer::json(&Value::from(lines)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_match_are_shown() {
        let tags = ["a:1", "b:1", "host:5000/b:2"].map(str::to_owned);
        let digests = ["b@sha256:00".to_owned()];
        let shown = |filters: &str| {
            let shown = Shown::read(&Filters::parse(filters).unwrap()).unwrap();
            let (tags, digests) = shown.names(&tags, &digests)?;
            Some([tags, digests].concat().join(" "))
        };
        let all = Some("a:1 b:1 host:5000/b:2 b@sha256:00".to_owned());
        assert_eq!(shown(""), all);
        assert_eq!(
            shown(r#"{"reference":["b"]}"#),
            Some("b:1 b@sha256:00".into())
        );
        assert_eq!(
            shown(r#"{"reference":["a:1","*/b"]}"#),
            Some("a:1 host:5000/b:2".into())
        );
        assert_eq!(shown(r#"{"reference":["c"]}"#), None);
        // As in Docker: the filter is there, and nothing meets it.
        assert_eq!(shown(r#"{"reference":{}}"#), None);
        let nameless = Shown(None);
        assert_eq!(nameless.names(&[], &[]), Some((vec![], vec![])));
    }

    #[test]
    fn new_names_get_the_default_tag() {
        assert_eq!(
            new_name("a/b", "").unwrap().unwrap().familiar(),
            "a/b:latest"
        );
        assert_eq!(new_name("a/b", "v1").unwrap().unwrap().familiar(), "a/b:v1");
        assert!(new_name("", "v1").unwrap().is_none());
        assert_eq!(
            new_name("XX", "y").unwrap_err().to_string(),
            "invalid reference format: repository name (library/XX) must be lowercase"
        );
        assert_eq!(
            new_name("x", "-y").unwrap_err().to_string(),
            "invalid tag format"
        );
    }
}
