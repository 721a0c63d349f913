//! `save`: images as an archive.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use drydock_client::{Body, Method};
use serde_json::json;

use crate::failure::{Failure, Outcome, go_error};
use crate::flags::{Flag, Matches};
use crate::query::Query;
use crate::session::terminal;
use crate::{Context, output};

use super::about::go_arch;
use super::transfer;

/// The flags.
pub const FLAGS: &[Flag] = &[
    Flag::text("output", "Write to this file instead of stdout").short('o'),
    Flag::text(
        "platform",
        "Save only this platform, as OS[/ARCH[/VARIANT]]",
    ),
];

/// Writes the archive.
pub fn run(context: &Context, matches: &Matches) -> Outcome {
    let mut query = Query::new();
    for name in &matches.words {
        query = query.set("names", name);
    }
    query = query.maybe("platform", &platform(matches.text("platform"))?);
    let file = matches.text("output");
    if file.is_empty() && terminal::stdout_is_terminal() {
        return Err(Failure::new(
            "cowardly refusing to save to a terminal. Use the -o flag or redirect",
        ));
    }
    check_output(file).map_err(|text| Failure::new(format!("failed to save image: {text}")))?;
    let path = query.on("/images/get");
    let mut archive = context
        .client
        .request(Method::Get, &path, &[], Body::Empty)?;
    if file.is_empty() {
        std::io::copy(&mut archive, &mut output::stdout())?;
        return Ok(0);
    }
    transfer::save(&mut archive, Path::new(file))
        .map_err(|error| Failure::new(format!("failed to save image: {error}")))?;
    Ok(0)
}

/// Whether a file can be written there. Asked before the engine is.
fn check_output(file: &str) -> Result<(), String> {
    if file.is_empty() {
        return Ok(());
    }
    let directory = Path::new(file)
        .parent()
        .filter(|path| *path != Path::new(""));
    if let Some(directory) = directory
        && let Err(error) = fs::metadata(directory)
    {
        let text = go_error("stat", &directory.to_string_lossy(), &error);
        return Err(format!("invalid output path: {text}"));
    }
    let Ok(metadata) = fs::metadata(file) else {
        return Ok(());
    };
    let kind = metadata.file_type();
    let what = match () {
        () if kind.is_dir() => "a directory",
        () if kind.is_char_device() => "a character device file",
        () if kind.is_block_device() => "a block device file",
        () if kind.is_fifo() => "a named pipe file",
        () if kind.is_socket() => "a socket file",
        () => return Ok(()),
    };
    Err(format!("cannot write to {what}"))
}

/// `linux/arm64` as the API's JSON.
fn platform(text: &str) -> Result<String, Failure> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let parts: Vec<&str> = text.split('/').collect();
    if parts.len() > 3 || parts.iter().any(|part| part.is_empty()) {
        return Err(Failure::new(format!(
            "invalid platform: {text:?}: cannot parse platform specifier: invalid argument"
        )));
    }
    let mut platform = json!({
        "os": parts[0],
        "architecture": parts.get(1).copied().unwrap_or_else(|| go_arch()),
    });
    if let Some(variant) = parts.get(2) {
        platform["variant"] = json!(variant);
    }
    Ok(platform.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn platforms() {
        assert_eq!(platform("").unwrap(), "");
        let given: Value = serde_json::from_str(&platform("linux/arm/v7").unwrap()).unwrap();
        assert_eq!(
            given,
            json!({"os": "linux", "architecture": "arm", "variant": "v7"})
        );
        assert!(platform("linux").unwrap().contains(go_arch()));
        for text in ["a/b/c/d", "/", "linux/"] {
            assert!(platform(text).is_err(), "{text}");
        }
    }

    #[test]
    fn places_that_cannot_be_written() {
        assert_eq!(
            check_output("/nonexistent/x").unwrap_err(),
            "invalid output path: stat /nonexistent: no such file or directory"
        );
        assert_eq!(
            check_output("/dev/null").unwrap_err(),
            "cannot write to a character device file"
        );
        assert_eq!(
            check_output("/").unwrap_err(),
            "cannot write to a directory"
        );
        assert_eq!(check_output("new"), Ok(()));
    }
}
