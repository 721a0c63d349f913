//! The names of a log's older files: `x.log` is written now, `x.log.1` came before it, `x.log.2` before that.
//!
//! Rotation is a chain of renames, so an interruption leaves at most a gap in the numbers. Everything here
//! accepts gaps, and a reader tells files by their inode, never by their number, which changes under it.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use drydock_defects::defect;
use serde::{Deserialize, Serialize};

use crate::{
    compress::{Compressed, compressed},
    record::name_error,
};

/// Device and inode: what a file is called when its name changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity(u64, u64);

impl Identity {
    pub(crate) fn of(metadata: &fs::Metadata) -> Identity {
        Identity(metadata.dev(), metadata.ino())
    }
}

/// `x.log.3`, and `x.log` for 0.
pub(crate) fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// Moves every file one number up and drops what is beyond `max_file`. Afterwards nothing is at `path`.
pub(crate) fn shift(path: &Path, max_file: u32) -> io::Result<()> {
    if max_file < 2 {
        // Removed and not cut short: a reader that is still in it reads it to its end.
        return absent_is_fine(fs::remove_file(path))
            .map_err(|error| name_error("remove", path, &error));
    }
    for number in (1..max_file).rev() {
        let (source, target) = (numbered(path, number - 1), numbered(path, number));
        // The rename replaces, and so removes, the oldest; its other form has to be removed.
        let moved = fs::rename(compressed(&source), compressed(&target))
            .and_then(|()| fs::remove_file(&target));
        absent_is_fine(moved).map_err(|error| name_error("rotate", &source, &error))?;
        let moved =
            fs::rename(&source, &target).and_then(|()| fs::remove_file(compressed(&target)));
        absent_is_fine(moved).map_err(|error| name_error("rotate", &source, &error))?;
    }
    Ok(())
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A file of a log that is open.
#[derive(Debug)]
pub(crate) enum Opened {
    /// As it was written.
    Plain(File),
    /// Compressed.
    Compressed(Box<Compressed>),
}

/// Opens the files of a log that are newer than `known` (all of them without it), oldest first.
///
/// A writer may rotate in the meantime. Walking from the newest to the oldest meets a file twice then, never
/// not at all; the second meeting is left out.
pub(crate) fn open_newer(
    path: &Path,
    known: Option<Identity>,
) -> io::Result<Vec<(Opened, Identity)>> {
    let mut found: Vec<(Opened, Identity)> = Vec::new();
    let mut number = 0;
    loop {
        if let Some((file, identity)) = open(&numbered(path, number))? {
            if Some(identity) == known {
                break;
            }
            if !found.iter().any(|(_, other)| *other == identity) {
                found.push((file, identity));
            }
        }
        // Looked up each time: the highest number rises while a young log rotates.
        if number > highest_number(path)? {
            break;
        }
        number += 1;
    }
    found.reverse();
    Ok(found)
}

/// The plain form first: it is there until the compressed one is whole.
fn open(path: &Path) -> io::Result<Option<(Opened, Identity)>> {
    let opened = |path: &Path, result: io::Result<File>| match result {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(name_error("open", path, &error)),
    };
    if let Some(file) = opened(path, File::open(path))? {
        let metadata = file
            .metadata()
            .map_err(|error| name_error("inspect", path, &error))?;
        return Ok(Some((Opened::Plain(file), Identity::of(&metadata))));
    }
    if defect!("log-compressed-unread") {
        return Ok(None);
    }
    let path = compressed(path);
    let Some(file) = opened(&path, File::open(&path))? else {
        return Ok(None);
    };
    let file = Compressed::open(file).map_err(|error| name_error("open", &path, &error))?;
    let identity = file.identity;
    Ok(Some((Opened::Compressed(Box::new(file)), identity)))
}

/// The highest number of a rotated file, 0 without one.
fn highest_number(path: &Path) -> io::Result<u32> {
    let (Some(folder), Some(name)) = (
        path.parent(),
        path.file_name().and_then(|name| name.to_str()),
    ) else {
        return Ok(0);
    };
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(name_error("list the folder of", path, &error)),
    };
    let mut highest = 0;
    for entry in entries {
        let entry_name = entry?.file_name();
        let number = entry_name.to_str().and_then(|text| {
            let number = text.strip_prefix(name)?.strip_prefix('.')?;
            number.strip_suffix(".gz").unwrap_or(number).parse().ok()
        });
        highest = highest.max(number.unwrap_or(0));
    }
    Ok(highest)
}
