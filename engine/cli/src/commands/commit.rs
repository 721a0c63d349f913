//! `commit`: an image of what a container has changed.

use crate::failure::{Failure, Outcome};
use crate::flags::{Flag, Matches};
use crate::format::value::Value;
use crate::query::Query;
use crate::reference::Reference;
use crate::{Context, output};

/// The flags.
pub const FLAGS: &[Flag] = &[
    Flag::text("author", "Who made it, as 'NAME <ADDRESS>'").short('a'),
    Flag::list("change", "Apply a Dockerfile instruction").short('c'),
    Flag::text("message", "Note in the image's history").short('m'),
    Flag::switch("pause", "Let the container stand still while it is copied")
        .short('p')
        .default("true"),
];

/// Makes the image and prints its ID.
pub fn run(context: &Context, matches: &Matches) -> Outcome {
    let mut query = Query::new();
    if let Some(name) = matches.words.get(1).filter(|name| !name.is_empty()) {
        let reference = Reference::parse(name)?;
        if !reference.digest.is_empty() {
            return Err(Failure::new(
                "refusing to create a tag with a digest reference",
            ));
        }
        query = query
            .set("repo", &reference.name)
            .set("tag", &reference.tag);
    }
    query = query
        .maybe("author", matches.text("author"))
        .maybe("comment", matches.text("message"))
        .set("container", &matches.words[0]);
    for change in matches.list("change") {
        query = query.set("changes", &change);
    }
    if !matches.switch("pause") {
        query = query.set("pause", "0");
    }
    let path = query.on("/commit");
    let answer: Value = context.client.post_json(&path, &serde_json::Value::Null)?;
    output::line(answer.get("Id").text())?;
    Ok(0)
}
