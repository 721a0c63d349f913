//! SHA-256 digests of files and folders, so that a result names exactly what was graded, and with what.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// `sha256:` and 64 hexadecimal digits.
pub fn of_bytes(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

/// The digest of named contents. Names and contents carry their lengths, so that no two lists are alike.
pub fn of_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut hasher = Sha256::new();
    for (name, bytes) in files {
        for part in [name.as_bytes(), bytes] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
    }
    format!("sha256:{:x}", hasher.finalize())
}

/// The digest of a folder of ours: all its files, by relative path, in order. Not for submissions: links are
/// followed and nothing is limited.
pub fn of_folder(folder: &Path) -> Result<String> {
    let mut files = Vec::new();
    collect(folder, "", &mut files)?;
    files.sort();
    Ok(of_files(
        files
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.as_slice())),
    ))
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    let describe = || format!("cannot read {}", folder.display());
    for entry in fs::read_dir(folder).with_context(describe)? {
        let entry = entry.with_context(describe)?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let path = entry.path();
        if path.is_dir() {
            collect(&path, &format!("{name}/"), files)?;
        } else {
            let bytes =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            files.push((name, bytes));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moved_borders_change_the_digest() {
        let one = of_files([("a", &b"bc"[..])]);
        let other = of_files([("ab", &b"c"[..])]);
        assert_ne!(one, other);
    }

    #[test]
    fn a_folder_is_its_files() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        fs::write(folder.path().join("sub/file"), "text").unwrap();
        assert_eq!(
            of_folder(folder.path()).unwrap(),
            of_files([("sub/file", &b"text"[..])])
        );
    }
}
