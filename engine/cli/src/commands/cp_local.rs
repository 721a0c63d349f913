//! The host's side of `cp`: which file is meant, and archives of it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path, PathBuf};

use drydock_image::tree::pack::Packer;
use drydock_image::tree::path;

use super::cp::{kind_of_local, rebased};
use crate::failure::{Failure, go_error};

/// How many links to a destination are followed, as in Docker.
const LINKS_MAX: usize = 10;

/// A path from the root, with its trailing `/` or `/.`, which says something.
pub fn absolute(given: &str) -> Result<String, Failure> {
    let joined = match given.starts_with('/') {
        true => given.to_owned(),
        false => format!("{}/{given}", std::env::current_dir()?.display()),
    };
    Ok(path::keep_ending(path::clean(&joined), given))
}

/// Refuses a destination whose directory is missing, and devices.
pub fn check_output(target: &str) -> Result<(), Failure> {
    let directory = path::parent(&path::clean(target));
    if directory != "." && is_missing(fs::metadata(&directory).err()) {
        return Err(Failure::new(format!(
            "invalid output path: directory \"{directory}\" does not exist"
        )));
    }
    match fs::metadata(target) {
        Ok(found) if found.file_type().is_char_device() || found.file_type().is_block_device() => {
            Err(Failure::new(format!(
                "invalid output path: \"{target}\" must be a directory or a regular file: got a device"
            )))
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::new(go_error("stat", target, &error)))
        }
        _ => Ok(()),
    }
}

fn is_missing(error: Option<io::Error>) -> bool {
    error.is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// A place of the host to copy to.
pub struct Destination {
    /// Its path, links followed.
    pub path: String,
    /// Whether it is a directory; None where nothing is.
    pub is_directory: Option<bool>,
}

/// Follows links to the place where files are to go. The last link may dangle: then what it points to is made.
pub fn destination(target: &str) -> Result<Destination, Failure> {
    let mut place = target.to_owned();
    let mut links = 0;
    while let Ok(link) = fs::read_link(&place) {
        if links > LINKS_MAX {
            return Err(Failure::new(format!("too many symlinks in {target}")));
        }
        links += 1;
        let link = link.to_string_lossy().into_owned();
        place = match link.starts_with('/') {
            true => link,
            false => path::clean(&format!("{}/{link}", path::split(&place).0)),
        };
    }
    let is_directory = match fs::symlink_metadata(&place) {
        Ok(found) => Some(found.is_dir()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(Failure::new(go_error("lstat", &place, &error))),
    };
    if is_directory.is_none() {
        let (parent, _) = path::split(&place);
        match fs::metadata(&parent) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(Failure::new("not a directory")),
            Err(error) => return Err(Failure::new(go_error("stat", &parent, &error))),
        }
    }
    Ok(Destination {
        path: place,
        is_directory,
    })
}

/// What is copied from the host.
pub struct Source {
    path: String,
    rebase: Option<String>,
    /// Whether it is a directory.
    pub is_directory: bool,
}

impl Source {
    /// Finds it. Links on the way are followed, the last part only if `follow`.
    pub fn find(given: &str, follow: bool) -> Result<Source, Failure> {
        let (resolved, rebase) = if follow {
            rebased(given, &follow_links(given)?)
        } else {
            let at = given.rfind('/').map_or(0, |at| at + 1);
            let (directory, base) = given.split_at(at);
            let resolved = format!("{}/{base}", follow_links(directory)?.trim_end_matches('/'));
            let differs =
                path::has_trailing_slash(given) && path::base(given) != path::base(&resolved);
            (resolved, differs.then(|| path::base(given).to_owned()))
        };
        match kind_of_local(Path::new(&resolved)) {
            Some(is_directory) => Ok(Source {
                path: resolved,
                rebase,
                is_directory,
            }),
            None => {
                let error = fs::symlink_metadata(&resolved).err();
                let error = error.unwrap_or_else(|| io::ErrorKind::NotFound.into());
                Err(Failure::new(go_error("lstat", &resolved, &error)))
            }
        }
    }

    /// How its archive calls it.
    pub fn called(&self) -> &str {
        match &self.rebase {
            Some(name) => name,
            None => path::base(&self.path),
        }
    }

    /// Packs it under a name.
    fn pack(&self, called: &str, output: impl io::Write) -> io::Result<()> {
        let mut packer = Packer::new(BufWriter::with_capacity(64 << 10, output));
        let (parent, name) = path::split(&self.path);
        if name == "." || name == "/" {
            let directory: OwnedFd = File::open(&self.path)?.into();
            packer.directory(directory, called.as_bytes())?;
        } else {
            let parent = File::open(&parent)?;
            packer.member(parent.as_fd(), OsStr::new(&name), called.as_bytes())?;
        }
        packer.finish().map(drop)
    }
}

/// A path without links. The error names the first part that is not there, as Go's.
fn follow_links(given: &str) -> Result<String, Failure> {
    let resolved = match fs::canonicalize(given) {
        Ok(resolved) => resolved,
        Err(error) if error.raw_os_error() == Some(nix::libc::ENOTDIR) => {
            return Err(Failure::new("not a directory"));
        }
        Err(error) => {
            let missing = first_missing(Path::new(given));
            let missing = missing.unwrap_or_else(|| PathBuf::from(given));
            return Err(Failure::new(go_error(
                "lstat",
                &missing.display().to_string(),
                &error,
            )));
        }
    };
    Ok(resolved.display().to_string())
}

fn first_missing(given: &Path) -> Option<PathBuf> {
    let mut walked = PathBuf::new();
    for part in given.components() {
        if part != Component::CurDir {
            walked.push(part);
        }
        if fs::symlink_metadata(&walked).is_err() {
            return Some(walked);
        }
    }
    None
}

/// Packs the source on a thread of its own and hands the archive to `send` as it grows.
pub fn upload<T>(
    source: &Source,
    called: &str,
    send: impl FnOnce(&mut dyn Read) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let (mut archive, output) = io::pipe()?;
    std::thread::scope(|scope| {
        let packing = scope.spawn(|| source.pack(called, output));
        let sent = send(&mut archive);
        // Else a packer whose archive nobody wants any more would wait for ever.
        drop(archive);
        match packing.join() {
            Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::new(format!("pack {}: {error}", source.path)))
            }
            Ok(_) => sent,
            Err(_) => Err(Failure::new(format!(
                "pack {}: a thread failed",
                source.path
            ))),
        }
    })
}
