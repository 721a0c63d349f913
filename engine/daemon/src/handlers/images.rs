//! Images: list, inspect, history, tag, remove.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use drydock_api::filters::Filters;
use drydock_api::pattern::Pattern;
use drydock_api::{Error, shape, time};
use drydock_defects::defect;
use drydock_image::{Digest, Image, InUse, Reference, RemoveOptions, Removed};
use hyper::StatusCode;
use serde_json::{Map, Value, json};

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
            && labels_match(&filters, image)
    };
    let shown = Shown::read(&filters)?;
    let all = request.query.boolean("all") && dangling != Some(true);
    let mut images = newest_first(engine, all);
    images.retain(|image| keeps(image));
    // Containers are counted since API 1.51; before, -1 says that nobody did.
    let counted = request.version >= drydock_api::version::NEWEST;
    let shared = request
        .query
        .boolean("shared-size")
        .then(|| Shared::of(&images));
    let entries: Vec<Value> = images
        .iter()
        .filter_map(|image| {
            let (tags, digests) = shown.names(&image.repo_tags, &image.repo_digests)?;
            let mut entry = entry(engine, image, shared.as_ref());
            entry["RepoTags"] = json!(tags);
            entry["RepoDigests"] = json!(digests);
            if !counted {
                entry["Containers"] = json!(-1);
            }
            Some(entry)
        })
        .collect();
    Ok(Answer::json(&Value::from(entries)))
}

/// The images, the newest first. Those without a name from which others were made are left out unless `all`
/// are wanted.
pub fn newest_first(engine: &Engine, all: bool) -> Vec<Arc<Image>> {
    let mut images = engine.images.list();
    if !all {
        let parents = parents(&images);
        images.retain(|image| !has_no_name(image) || !parents.contains(&image.id));
    }
    images.sort_by_key(|image| std::cmp::Reverse(created(image)));
    images
}

/// The images from which others were made.
pub fn parents(images: &[Arc<Image>]) -> BTreeSet<Digest> {
    images.iter().filter_map(|image| image.parent).collect()
}

/// Neither a tag nor a digest names it.
pub fn has_no_name(image: &Image) -> bool {
    image.repo_tags.is_empty() && image.repo_digests.is_empty()
}

/// Whether an image's labels meet the filters `label` and `label!`.
pub fn labels_match(filters: &Filters, image: &Image) -> bool {
    filters.labels_match(|key| image.config.pointer("/config/Labels")?.get(key)?.as_str())
}

/// How many images have each layer.
pub struct Shared(BTreeMap<Digest, usize>);

impl Shared {
    /// Counts.
    pub fn of(images: &[Arc<Image>]) -> Shared {
        let mut users = BTreeMap::new();
        for chain_id in images.iter().flat_map(|image| &image.chain_ids) {
            *users.entry(*chain_id).or_default() += 1;
        }
        Shared(users)
    }

    /// The bytes of an image's layers that others have too.
    fn size(&self, image: &Image) -> u64 {
        let layers = image.chain_ids.iter().zip(&image.layer_sizes);
        layers
            .filter(|(chain_id, _)| self.0.get(chain_id).is_some_and(|users| *users > 1))
            .map(|(_, size)| size)
            .sum()
    }
}

/// An image as the list shows it.
pub fn entry(engine: &Engine, image: &Image, shared: Option<&Shared>) -> Value {
    let id = image.id.to_string();
    let containers = engine
        .containers
        .all()
        .iter()
        .filter(|container| container.snapshot().image == id)
        .count();
    shape::IMAGE_LIST.with(json!({
        "Containers": containers,
        "Created": created(image) / 1_000_000_000,
        "Id": id,
        "Labels": image.config.pointer("/config/Labels"),
        "ParentId": parent(image),
        "RepoDigests": image.repo_digests,
        "RepoTags": image.repo_tags,
        "SharedSize": shared.map_or(json!(-1), |shared| json!(shared.size(image))),
        "Size": image.size,
    }))
}

/// The id of the image it was made from, or nothing.
fn parent(image: &Image) -> String {
    image
        .parent
        .map(|parent| parent.to_string())
        .unwrap_or_default()
}

/// Publishes an event of an image: its labels are with it, as long as it is there.
pub fn tell(engine: &Engine, action: &str, id: &Digest, name: &str) {
    let id = id.to_string();
    let image = engine.images.by_id(&id);
    let labels = image.as_ref().and_then(|image| labels(image));
    publish(engine, action, &id, name, labels);
}

fn labels(image: &Image) -> Option<&Map<String, Value>> {
    image.config.pointer("/config/Labels")?.as_object()
}

fn publish(
    engine: &Engine,
    action: &str,
    id: &str,
    name: &str,
    labels: Option<&Map<String, Value>>,
) {
    let labels = labels.into_iter().flatten();
    let labels = labels.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)));
    let attributes: Vec<(&str, &str)> = labels.chain([("name", name)]).collect();
    engine.events.publish("image", action, id, &attributes);
}

/// When the image was made, nanoseconds since 1970; 0 when it does not say.
pub fn created(image: &Image) -> u64 {
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
        "Parent": parent(&image),
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
    let mut sizes = image.layer_sizes.clone();
    if defect!("history-sizes-shifted") {
        sizes.rotate_right(1);
    }
    let mut sizes = sizes.into_iter();
    let mut entries: Vec<Value> = steps
        .iter()
        .map(|step| {
            let text = |key: &str| step.get(key).and_then(Value::as_str).unwrap_or("");
            let has_layer = step.get("empty_layer") != Some(&Value::Bool(true));
            let size = has_layer.then(|| sizes.next()).flatten();
            shape::IMAGE_HISTORY.with(json!({
                "Comment": text("comment"),
                "Created": time::parse_rfc3339(text("created")).unwrap_or(0) / 1_000_000_000,
                "CreatedBy": text("created_by"),
                "Id": "<missing>",
                "Size": size.unwrap_or(0),
            }))
        })
        .collect();
    entries.reverse();
    // The step on top is the image itself; those below are known as far as the images are here.
    let mut known = Some(image);
    for entry in &mut entries {
        let Some(image) = known else {
            break;
        };
        entry["Id"] = json!(image.id.to_string());
        if !image.repo_tags.is_empty() {
            entry["Tags"] = json!(image.repo_tags);
        }
        known = image
            .parent
            .and_then(|id| engine.images.by_id(&id.to_string()));
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
    tell(engine, "tag", &image.id, &reference.familiar());
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
    let options = RemoveOptions {
        force: request.query.boolean("force"),
        keep_parents: request.query.boolean("noprune"),
    };
    let removed = take_away(engine, &request.name, options)?;
    let lines: Vec<Value> = removed.iter().map(removed_line).collect();
    Ok(Answer::json(&Value::from(lines)))
}

/// Removes a name or an image, and tells it.
///
/// # Errors
/// As [`remove`].
pub fn take_away(
    engine: &Engine,
    name: &str,
    options: RemoveOptions,
) -> Result<Vec<Removed>, Error> {
    let image = engine.images.resolve(name)?;
    let removed = crate::containers::container::blocking(|| {
        engine.images.remove(name, options, &in_use(engine))
    })?;
    let id = image.id.to_string();
    for step in &removed {
        match step {
            // Told before the image goes, so its labels are known.
            Removed::Untagged(_) => publish(engine, "untag", &id, &id, labels(&image)),
            Removed::Deleted(digest) if !image.chain_ids.contains(digest) => {
                let id = digest.to_string();
                publish(engine, "delete", &id, &id, None);
            }
            Removed::Deleted(_) => {}
        }
    }
    Ok(removed)
}

/// A step of a removal as the API shows it.
pub fn removed_line(step: &Removed) -> Value {
    match step {
        Removed::Untagged(name) => json!({"Untagged": name}),
        Removed::Deleted(digest) => json!({"Deleted": digest.to_string()}),
    }
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
