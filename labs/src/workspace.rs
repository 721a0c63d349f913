//! A learner's working folder: made by `labs start`, found again by the other commands.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::catalogue::Catalogue;
use crate::lab::Lab;
use crate::progress::{self, Progress};

/// What the learner reads, in their folder.
pub const TASK_FILE: &str = "task.md";

/// Makes the working folder of a lab in `parent`: what to read, and what to start from.
pub fn start(lab: &Lab, parent: &Path) -> Result<PathBuf> {
    let folder = parent.join(&lab.about.id);
    if let Err(error) = fs::create_dir(&folder) {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            bail!(
                "{} exists already\nhint: go on there, or `labs reset {}` to start again",
                folder.display(),
                lab.about.id
            );
        }
        return Err(error).with_context(|| format!("cannot make {}", folder.display()));
    }
    for (name, source) in starter_files(lab)? {
        copy(&source, &folder.join(name))?;
    }
    Progress::new(&lab.about.id).write(&folder)?;
    Ok(folder)
}

/// Puts back the starter files and forgets the progress. Files that differ are kept under another name,
/// which is returned.
pub fn reset(lab: &Lab, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut kept = Vec::new();
    for (name, source) in starter_files(lab)? {
        let target = folder.join(&name);
        let is_there = fs::symlink_metadata(&target).is_ok();
        if is_there && fs::read(&target).ok() != Some(read(&source)?) {
            let backup = free_name(&target);
            fs::rename(&target, &backup)
                .with_context(|| format!("cannot rename {}", target.display()))?;
            kept.push(backup);
        }
        copy(&source, &target)?;
    }
    Progress::new(&lab.about.id).write(folder)?;
    Ok(kept)
}

/// The working folder that is meant: of lab `name`, or of the only lab there is here.
pub fn find<'a>(
    catalogue: &'a Catalogue,
    name: Option<&str>,
    here: &Path,
) -> Result<(&'a Lab, PathBuf)> {
    let wanted = name.map(|name| catalogue.find(name)).transpose()?;
    let found: Vec<_> = working_folders(catalogue, here)?
        .into_iter()
        .filter(|(lab, _)| wanted.is_none_or(|wanted| wanted.about.id == lab.about.id))
        .collect();
    match (found.as_slice(), wanted) {
        ([(lab, folder)], _) => Ok((lab, folder.clone())),
        ([], Some(lab)) => bail!(
            "no working folder of lab {} here\nhint: `labs start {}` makes one",
            lab.about.id,
            lab.about.id
        ),
        ([], None) => bail!("no lab is started here\nhint: `labs start LAB` starts one"),
        (several, _) => {
            let ids: Vec<&str> = several
                .iter()
                .map(|(lab, _)| lab.about.id.as_str())
                .collect();
            bail!(
                "several labs are started here: {}\nhint: name one",
                ids.join(", ")
            )
        }
    }
}

/// The working folders here: this folder itself, or folders in it that have the name of a lab.
pub fn working_folders<'a>(
    catalogue: &'a Catalogue,
    here: &Path,
) -> Result<Vec<(&'a Lab, PathBuf)>> {
    if here.join(progress::FILE).is_file() {
        let progress = Progress::read(here)?;
        return Ok(vec![(catalogue.find(&progress.lab)?, here.to_path_buf())]);
    }
    Ok(catalogue
        .labs
        .iter()
        .map(|lab| (lab, here.join(&lab.about.id)))
        .filter(|(_, folder)| folder.join(progress::FILE).is_file())
        .collect())
}

/// The files that a learner gets: name and source. All in one folder, without folders in it.
fn starter_files(lab: &Lab) -> Result<Vec<(String, PathBuf)>> {
    let starter = lab.folder.join("starter");
    let describe = || format!("cannot read {}", starter.display());
    let mut files = vec![(TASK_FILE.to_string(), lab.folder.join(TASK_FILE))];
    for entry in fs::read_dir(&starter).with_context(describe)? {
        let entry = entry.with_context(describe)?;
        files.push((
            entry.file_name().to_string_lossy().into_owned(),
            entry.path(),
        ));
    }
    Ok(files)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn copy(source: &Path, target: &Path) -> Result<()> {
    fs::write(target, read(source)?).with_context(|| format!("cannot write {}", target.display()))
}

/// `name.1`, or the first number that is free.
fn free_name(path: &Path) -> PathBuf {
    let numbered = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    (1..)
        .map(numbered)
        .find(|path| fs::symlink_metadata(path).is_err())
        .unwrap_or_else(|| numbered(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lab_is_started_once_and_reset_without_loss() {
        let catalogue = Catalogue::load(&Catalogue::default_folder()).unwrap();
        let lab = catalogue.find("02").unwrap();
        let parent = tempfile::tempdir().unwrap();
        let folder = start(lab, parent.path()).unwrap();
        assert!(start(lab, parent.path()).is_err());
        let file = folder.join(&lab.about.submission);
        let original = fs::read(&file).unwrap();
        fs::write(&file, "my work").unwrap();

        let kept = reset(lab, &folder).unwrap();
        assert_eq!(kept.len(), 1);
        assert_eq!(fs::read(&kept[0]).unwrap(), b"my work");
        assert_eq!(fs::read(&file).unwrap(), original);
        assert!(reset(lab, &folder).unwrap().is_empty());
    }

    #[test]
    fn the_folder_that_is_meant_is_found() {
        let catalogue = Catalogue::load(&Catalogue::default_folder()).unwrap();
        let parent = tempfile::tempdir().unwrap();
        let find = |name: Option<&str>, here: &Path| {
            find(&catalogue, name, here).map(|(lab, folder)| (lab.about.id.clone(), folder))
        };
        assert!(find(None, parent.path()).is_err());
        let first = start(catalogue.find("01").unwrap(), parent.path()).unwrap();
        assert_eq!(find(None, parent.path()).unwrap().1, first);
        assert_eq!(find(None, &first).unwrap().1, first);
        start(catalogue.find("02").unwrap(), parent.path()).unwrap();
        assert!(
            find(None, parent.path())
                .unwrap_err()
                .to_string()
                .contains("several")
        );
        assert_eq!(find(Some("1"), parent.path()).unwrap().1, first);
        assert!(find(Some("02"), &first).is_err());
    }
}
