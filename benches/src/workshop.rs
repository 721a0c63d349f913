//! The temporary folder that a measurement works in, and the image that every engine runs.
//!
//! All engines get the same root file system, made here from one static busybox: as a directory for the
//! bare runtimes, as an archive for the engines that import images. So no engine is measured with a
//! smaller or a larger image than another, and no registry is needed.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// The folder and what lies in it. Dropping it removes everything.
pub struct Workshop {
    folder: TempDir,
    /// The static busybox of the host.
    pub busybox: PathBuf,
    /// The root file system as a directory.
    pub rootfs: PathBuf,
    /// The root file system as a tar archive.
    pub archive: PathBuf,
}

impl Workshop {
    /// Makes the folder, the root file system and the archive.
    pub fn new() -> Result<Workshop> {
        let busybox = static_busybox()?;
        let folder = tempfile::Builder::new()
            .prefix("drydock-bench-")
            .tempdir()?;
        let rootfs = folder.path().join("rootfs");
        let archive = folder.path().join("rootfs.tar");
        make_rootfs(&rootfs, &busybox).with_context(|| format!("make {}", rootfs.display()))?;
        let mut builder = tar::Builder::new(File::create(&archive)?);
        builder.follow_symlinks(false);
        builder
            .append_dir_all(".", &rootfs)
            .context("archive the root file system")?;
        builder.finish()?;
        Ok(Workshop {
            folder,
            busybox,
            rootfs,
            archive,
        })
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

fn make_rootfs(rootfs: &Path, busybox: &Path) -> Result<()> {
    for folder in ["bin", "dev", "etc", "proc", "root", "sys", "tmp"] {
        fs::create_dir_all(rootfs.join(folder))?;
    }
    fs::copy(busybox, rootfs.join("bin/busybox"))?;
    for applet in ["true", "echo", "sh"] {
        symlink("busybox", rootfs.join("bin").join(applet))?;
    }
    fs::write(rootfs.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    fs::write(rootfs.join("etc/group"), "root:x:0:\n")?;
    Ok(())
}

/// The busybox to measure with: `$BUSYBOX`, else the one on PATH. It must be static, because the image
/// holds no libraries and because a dynamic loader would be part of every time.
fn static_busybox() -> Result<PathBuf> {
    const HINT: &str =
        "hint: on Debian, `apt-get install busybox-static`; or set BUSYBOX to a static busybox";
    let path = match std::env::var_os("BUSYBOX") {
        Some(path) => PathBuf::from(path),
        None => find_program("busybox").with_context(|| format!("no busybox on PATH\n{HINT}"))?,
    };
    let image = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    if !is_static(&image) {
        bail!("{} is not a static executable\n{HINT}", path.display());
    }
    Ok(path)
}

/// Where PATH has `name`, if anywhere.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Whether a 64-bit little-endian ELF file names no program interpreter (elf(5), PT_INTERP).
fn is_static(image: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    let number = |offset: usize, length: usize| -> Option<u64> {
        let bytes = image.get(offset..offset.checked_add(length)?)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |value, byte| (value << 8) | u64::from(*byte)),
        )
    };
    let headers = || -> Option<Vec<u32>> {
        let table = usize::try_from(number(32, 8)?).ok()?;
        let size = usize::try_from(number(54, 2)?).ok()?;
        let count = usize::try_from(number(56, 2)?).ok()?;
        (0..count)
            .map(|index| Some(number(table + index * size, 4)? as u32))
            .collect()
    };
    image.starts_with(b"\x7fELF\x02\x01")
        && headers().is_some_and(|types| !types.is_empty() && !types.contains(&PT_INTERP))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 64-bit ELF header with one program header of the given type.
    fn elf(program_header_type: u32) -> Vec<u8> {
        let mut image = vec![0; 64 + 56];
        image[..6].copy_from_slice(b"\x7fELF\x02\x01");
        image[32..40].copy_from_slice(&64u64.to_le_bytes());
        image[54..56].copy_from_slice(&56u16.to_le_bytes());
        image[56..58].copy_from_slice(&1u16.to_le_bytes());
        image[64..68].copy_from_slice(&program_header_type.to_le_bytes());
        image
    }

    #[test]
    fn an_interpreter_makes_an_executable_dynamic() {
        assert!(is_static(&elf(1)));
        assert!(!is_static(&elf(3)));
    }

    #[test]
    fn what_is_no_elf_file_is_not_static() {
        assert!(!is_static(b"#!/bin/sh\n"));
        assert!(!is_static(b""));
        assert!(!is_static(&elf(1)[..66]));
    }

    #[test]
    fn the_root_file_system_holds_what_the_runs_call() {
        let folder = tempfile::tempdir().expect("a folder");
        let rootfs = folder.path().join("rootfs");
        make_rootfs(&rootfs, Path::new("/proc/self/exe")).expect("a root file system");
        for applet in ["true", "echo"] {
            assert!(
                rootfs.join("bin").join(applet).is_file(),
                "{applet} leads nowhere"
            );
        }
    }
}
