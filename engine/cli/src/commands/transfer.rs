//! Archives and names: load, import, export, tag, rmi.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use drydock_client::{Body, Method};
use serde_json::Value;

use crate::failure::{Failure, Outcome, go_error};
use crate::flags::{Check, Flag, Kind, Matches};
use crate::query::{Query, path_part};
use crate::reference::Reference;
use crate::session::terminal;
use crate::{Context, output};

/// The flags of `load`.
pub const LOAD: &[Flag] = &[
    Flag::text("input", "Read from this file instead of stdin").short('i'),
    Flag::text(
        "platform",
        "Load only this platform, as OS[/ARCH[/VARIANT]]",
    ),
    Flag::switch("quiet", "Do not show progress").short('q'),
];

/// The flags of `import`.
pub const IMPORT: &[Flag] = &[
    Flag::list("change", "Apply a Dockerfile instruction").short('c'),
    Flag::text("message", "Note in the image's history").short('m'),
    Flag::text("platform", "Platform of the image"),
];

/// The flags of `export`.
pub const EXPORT: &[Flag] =
    &[Flag::text("output", "Write to this file instead of stdout").short('o')];

/// The flags of `rmi`.
pub const REMOVE: &[Flag] = &[
    Flag::switch("force", "Remove it although containers use it").short('f'),
    Flag::switch("no-prune", "Keep untagged parents"),
    Flag::of(
        Kind::Named("strings", Check::ANY),
        "platform",
        "Remove only this platform, as OS[/ARCH[/VARIANT]]",
    ),
];

/// Loads an archive.
pub fn load(context: &Context, matches: &Matches) -> Outcome {
    let input = matches.text("input");
    let mut source: Box<dyn Read> = if input.is_empty() {
        if terminal::stdin_is_terminal() {
            return Err(Failure::new(
                "requested load from stdin, but stdin is empty",
            ));
        }
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(input).map_err(|error| Failure::new(go_error("open", input, &error)))?)
    };
    let quiet = matches.switch("quiet") || !terminal::stdout_is_terminal();
    send_archive(context, &mut source, quiet, matches.text("platform"))
}

/// `POST /images/load`.
pub fn send_archive(
    context: &Context,
    source: &mut dyn Read,
    quiet: bool,
    platform: &str,
) -> Outcome {
    let path = Query::new()
        .set("quiet", if quiet { "1" } else { "0" })
        .maybe("platform", platform)
        .on("/images/load");
    let response = context
        .client
        .request(Method::Post, &path, &[], Body::Stream(source))?;
    print_stream(BufReader::new(response))
}

/// Prints a stream of messages on stdout: `{"stream"}` as it is, `{"status"}` as a line.
fn print_stream(reader: impl BufRead) -> Outcome {
    for line in reader.lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let message: Value = serde_json::from_str(&line)
            .map_err(|error| Failure::new(format!("invalid progress message {line:?}: {error}")))?;
        if let Some(error) = message["errorDetail"]["message"]
            .as_str()
            .or_else(|| message["error"].as_str())
        {
            return Err(Failure::new(error));
        }
        let is_bar = message["progressDetail"]
            .as_object()
            .is_some_and(|detail| !detail.is_empty());
        if is_bar && !terminal::stdout_is_terminal() {
            continue;
        }
        if let Some(text) = message["stream"].as_str() {
            std::io::Write::write_all(&mut output::stdout(), text.as_bytes())?;
        } else if let Some(status) = message["status"].as_str() {
            match message["id"].as_str() {
                Some(id) if !id.is_empty() => output::line(&format!("{id}: {status}"))?,
                _ => output::line(status)?,
            }
        }
    }
    Ok(0)
}

/// Makes an image of a file system archive.
pub fn import(context: &Context, matches: &Matches) -> Outcome {
    let source = matches.words[0].as_str();
    let is_url = source.starts_with("http://") || source.starts_with("https://");
    let mut query = Query::new().set("fromSrc", if is_url { source } else { "-" });
    if let Some(name) = matches.words.get(1) {
        Reference::parse(name)?;
        query = query.set("repo", name);
    }
    query = query
        .maybe("message", matches.text("message"))
        .maybe("platform", matches.text("platform"));
    for change in matches.list("change") {
        query = query.set("changes", &change);
    }
    let path = query.on("/images/create");
    let response = if is_url {
        context
            .client
            .request(Method::Post, &path, &[], Body::Empty)?
    } else {
        let mut reader: Box<dyn Read> = match source {
            "-" => Box::new(std::io::stdin()),
            file => Box::new(
                File::open(file).map_err(|error| Failure::new(go_error("open", file, &error)))?,
            ),
        };
        context.client.request(
            Method::Post,
            &path,
            &[("Content-Type", "text/plain")],
            Body::Stream(&mut reader),
        )?
    };
    print_stream(BufReader::new(response))
}

/// Writes a container's files as an archive.
pub fn export(context: &Context, matches: &Matches) -> Outcome {
    let file = matches.text("output");
    if file.is_empty() && terminal::stdout_is_terminal() {
        return Err(Failure::new(
            "cowardly refusing to save to a terminal. Use the -o flag or redirect",
        ));
    }
    let path = format!("/containers/{}/export", path_part(&matches.words[0]));
    let mut archive = context
        .client
        .request(Method::Get, &path, &[], Body::Empty)?;
    if file.is_empty() {
        std::io::copy(&mut archive, &mut output::stdout())?;
        return Ok(0);
    }
    save(&mut archive, Path::new(file))
        .map_err(|error| Failure::new(go_error("open", file, &error)))?;
    Ok(0)
}

/// Writes beside the file and renames it: what was there stays until the new one is whole. For the user only, since
/// an archive may hold secrets of the container.
pub fn save(archive: &mut dyn Read, file: &Path) -> std::io::Result<()> {
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut temporary = tempfile::NamedTempFile::new_in(directory)?;
    std::io::copy(archive, &mut temporary)?;
    temporary.persist(file)?;
    Ok(())
}

/// Gives an image one more name.
pub fn tag(context: &Context, matches: &Matches) -> Outcome {
    let (source, target) = (&matches.words[0], &matches.words[1]);
    let parse = |name: &str| {
        Reference::parse(name).map_err(|fault| {
            Failure::new(format!(
                "Error parsing reference: {name:?} is not a valid repository/tag: {fault}"
            ))
        })
    };
    if !crate::reference::is_id(source) {
        parse(source)?;
    }
    let target = parse(target)?;
    if !target.digest.is_empty() {
        return Err(Failure::new(
            "refusing to create a tag with a digest reference",
        ));
    }
    let path = Query::new()
        .set("repo", &target.name)
        .set("tag", &target.tag)
        .on(&format!("/images/{}/tag", path_part(source)));
    context.client.post(&path)?;
    Ok(0)
}

/// Removes names, and images that have no name left.
pub fn remove(context: &Context, matches: &Matches) -> Outcome {
    let force = matches.switch("force");
    let mut faults = Vec::new();
    let mut fatal = false;
    for name in &matches.words {
        let query = Query::new()
            .flag("force", force)
            .maybe("noprune", if matches.switch("no-prune") { "1" } else { "" })
            .maybe("platforms", &matches.list("platform").join(","));
        match context
            .client
            .delete(&query.on(&format!("/images/{}", path_part(name))))
        {
            Ok(answer) => {
                let list: Value = serde_json::from_slice(&answer)
                    .map_err(|error| Failure::new(error.to_string()))?;
                for item in list.as_array().into_iter().flatten() {
                    for (key, label) in [("Deleted", "Deleted"), ("Untagged", "Untagged")] {
                        if let Some(text) = item[key].as_str() {
                            output::line(&format!("{label}: {text}"))?;
                        }
                    }
                }
            }
            Err(error) if error.is_connect() => return Err(error.into()),
            Err(error) => {
                fatal |= error.status() != Some(404);
                faults.push(error.to_string());
            }
        }
    }
    if faults.is_empty() {
        return Ok(0);
    }
    let text = faults.join("\n");
    if force && !fatal {
        output::error_line(&text);
        return Ok(0);
    }
    Err(Failure::new(text))
}
