//! `image bootstrap busybox`: the base image without a registry.
//!
//! It finds a static busybox, lays its applets out as the official image does (hard links in /bin), and sends
//! the archive to whichever engine is addressed. The archive is reproducible: the same binary gives the same
//! image ID, because times, owners and the order of members are fixed.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::{pull, transfer};
use crate::failure::{Failure, Outcome};
use crate::flags::Matches;
use crate::reference::Reference;
use crate::{Context, output};

/// Seconds since 1970 of every file: 2025-01-01.
const TIME: u64 = 1_735_689_600;
const CREATED: &str = "2025-01-01T00:00:00Z";

/// Directories and their modes.
const DIRECTORIES: [(&str, u32); 13] = [
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("root", 0o700),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("usr/bin", 0o755),
    ("usr/sbin", 0o755),
    ("var", 0o755),
    ("var/spool", 0o755),
    ("var/spool/mail", 0o755),
    ("var/www", 0o755),
];

const FILES: [(&str, u32, &str); 3] = [
    (
        "etc/passwd",
        0o644,
        "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nbin:x:2:2:bin:/bin:/bin/false\n\
         sys:x:3:3:sys:/dev:/bin/false\nsync:x:4:100:sync:/bin:/bin/sync\nmail:x:8:8:mail:/var/spool/mail:/bin/false\n\
         www-data:x:33:33:www-data:/var/www:/bin/false\noperator:x:37:37:Operator:/var:/bin/false\n\
         nobody:x:65534:65534:nobody:/home:/bin/false\n",
    ),
    (
        "etc/group",
        0o644,
        "root:x:0:\ndaemon:x:1:\nbin:x:2:\nsys:x:3:\nadm:x:4:\ntty:x:5:\ndisk:x:6:\nlp:x:7:\nmail:x:8:\nkmem:x:9:\n\
         wheel:x:10:root\ncdrom:x:11:\ndialout:x:18:\nfloppy:x:19:\nvideo:x:28:\naudio:x:29:\ntape:x:32:\n\
         www-data:x:33:\noperator:x:37:\nutmp:x:43:\nplugdev:x:46:\nstaff:x:50:\nlock:x:54:\nnetdev:x:82:\n\
         users:x:100:\nnobody:x:65534:\n",
    ),
    (
        "etc/shadow",
        0o640,
        "root:*:10933:0:99999:7:::\ndaemon:*:10933:0:99999:7:::\nbin:*:10933:0:99999:7:::\nsys:*:10933:0:99999:7:::\n\
         sync:*:10933:0:99999:7:::\nmail:*:10933:0:99999:7:::\nwww-data:*:10933:0:99999:7:::\n\
         operator:*:10933:0:99999:7:::\nnobody:*:10933:0:99999:7:::\n",
    ),
];

/// Makes the image that the user names; busybox is the one we know how to make.
pub fn run(context: &Context, matches: &Matches) -> Outcome {
    if matches.words[0] != "busybox" {
        return Err(Failure::new(format!(
            "cannot make an image named {:?}\nhint: busybox is the only one",
            matches.words[0]
        )));
    }
    busybox(context, matches.words.get(1).map(Path::new))
}

/// Makes busybox:latest on the engine.
pub fn busybox(context: &Context, given: Option<&Path>) -> Outcome {
    let scratch = tempfile::tempdir().map_err(Failure::from)?;
    let program = match find(given, scratch.path())? {
        Some(program) => program,
        None => {
            output::error_line("no static busybox here: trying a pull");
            pull::pull(context, &Reference::parse("busybox")?, "", false)?;
            return Ok(0);
        }
    };
    output::error_line(&format!("busybox: {}", program.display()));
    let binary = fs::read(&program)?;
    let archive = archive(&binary, &applets(&program)?)?;
    transfer::send_archive(context, &mut archive.as_slice(), true, "")
}

/// The path given, else the host's, else Debian's package. None where there is none of them.
fn find(given: Option<&Path>, scratch: &Path) -> Result<Option<PathBuf>, Failure> {
    if let Some(path) = given {
        let fault = |problem: &str| Failure::new(format!("{}: {problem}", path.display()));
        let bytes = head(path).map_err(|error| fault(&error.to_string()))?;
        return match is_static(&bytes) {
            true => Ok(Some(path.to_path_buf())),
            false => Err(fault("not a static executable of this machine's kind")),
        };
    }
    let directories = ["/bin", "/usr/bin", "/usr/local/bin", "/sbin", "/usr/sbin"];
    let own = directories
        .iter()
        .map(|directory| Path::new(directory).join("busybox"));
    let found = own
        .into_iter()
        .find(|path| head(path).is_ok_and(|bytes| is_static(&bytes)));
    Ok(found.or_else(|| from_debian(scratch)))
}

/// `apt-get download busybox-static`, unpacked without being installed.
fn from_debian(scratch: &Path) -> Option<PathBuf> {
    output::error_line("no static busybox on this host: downloading Debian's busybox-static");
    // apt drops its rights for the download and must be able to write here.
    fs::set_permissions(scratch, std::os::unix::fs::PermissionsExt::from_mode(0o755)).ok()?;
    let done = |command: &mut Command| {
        command
            .output()
            .ok()
            .filter(|output| output.status.success())
    };
    done(
        Command::new("apt-get")
            .args(["download", "-q", "busybox-static"])
            .current_dir(scratch),
    )?;
    let package = fs::read_dir(scratch)
        .ok()?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))?;
    let root = scratch.join("root");
    done(Command::new("dpkg-deb").arg("-x").arg(package).arg(&root))?;
    ["bin/busybox", "usr/bin/busybox"]
        .iter()
        .map(|path| root.join(path))
        .find(|path| head(path).is_ok_and(|bytes| is_static(&bytes)))
}

/// The first page of a file, where ELF headers are.
fn head(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(4096).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether it is a 64-bit ELF executable (elf(5)) of our machine that names no interpreter, which is the
/// dynamic loader.
fn is_static(bytes: &[u8]) -> bool {
    let number = |at: usize, size: usize| -> Option<usize> {
        let field = bytes.get(at..at + size)?;
        Some(
            field
                .iter()
                .rev()
                .fold(0, |value, byte| value << 8 | usize::from(*byte)),
        )
    };
    let machine = match std::env::consts::ARCH {
        "x86_64" => 62,
        "aarch64" => 183,
        _ => return false,
    };
    // Magic, 64 bits, little endian; then e_machine, e_phoff, e_phentsize and e_phnum.
    if bytes.get(..6) != Some(b"\x7fELF\x02\x01") || number(18, 2) != Some(machine) {
        return false;
    }
    let (Some(offset), Some(size), Some(count)) = (number(32, 8), number(54, 2), number(56, 2))
    else {
        return false;
    };
    const PT_INTERP: usize = 3;
    count > 0
        && (0..count)
            .all(|index| number(offset + index * size, 4).is_some_and(|kind| kind != PT_INTERP))
}

/// What the binary can be called as.
fn applets(program: &Path) -> Result<Vec<String>, Failure> {
    let output = Command::new(program)
        .arg("--list")
        .output()
        .map_err(|error| Failure::new(format!("{} --list: {error}", program.display())))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut list: Vec<String> = text
        .lines()
        .filter(|name| !name.is_empty() && !name.contains('/') && *name != "busybox")
        .map(str::to_string)
        .collect();
    list.sort();
    list.dedup();
    if !list.iter().any(|name| name == "sh") {
        return Err(Failure::new(format!(
            "{} is not a busybox with a shell",
            program.display()
        )));
    }
    Ok(list)
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(TIME);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn layer(binary: &[u8], applets: &[String]) -> std::io::Result<Vec<u8>> {
    let mut layer = Builder::new(Vec::new());
    for (path, mode) in DIRECTORIES {
        layer.append_data(
            &mut header(EntryType::Directory, mode, 0),
            format!("{path}/"),
            std::io::empty(),
        )?;
    }
    layer.append_data(
        &mut header(EntryType::Regular, 0o755, binary.len() as u64),
        "bin/busybox",
        binary,
    )?;
    for name in applets {
        layer.append_link(
            &mut header(EntryType::Link, 0o755, 0),
            format!("bin/{name}"),
            "bin/busybox",
        )?;
    }
    // Scripts begin with `#!/usr/bin/env`.
    layer.append_link(
        &mut header(EntryType::Symlink, 0o777, 0),
        "usr/bin/env",
        "../../bin/env",
    )?;
    for (path, mode, text) in FILES {
        layer.append_data(
            &mut header(EntryType::Regular, mode, text.len() as u64),
            path,
            text.as_bytes(),
        )?;
    }
    layer.into_inner()
}

/// The archive, in the form of `docker save` (a manifest.json that names a config and layers).
fn archive(binary: &[u8], applets: &[String]) -> Result<Vec<u8>, Failure> {
    let layer = layer(binary, applets)?;
    let hex = |bytes: &[u8]| {
        Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let architecture = if std::env::consts::ARCH == "aarch64" {
        "arm64"
    } else {
        "amd64"
    };
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "created": CREATED,
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Cmd": ["sh"],
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", hex(&layer))]},
        "history": [{"created": CREATED, "created_by": "drydock image bootstrap busybox"}],
    })
    .to_string();
    let config_name = format!("{}.json", hex(config.as_bytes()));
    let manifest =
        json!([{"Config": config_name, "RepoTags": ["busybox:latest"], "Layers": ["layer.tar"]}])
            .to_string();
    let mut archive = Builder::new(Vec::new());
    for (name, bytes) in [
        (config_name.as_str(), config.as_bytes()),
        ("layer.tar", &layer),
        ("manifest.json", manifest.as_bytes()),
    ] {
        archive.append_data(
            &mut header(EntryType::Regular, 0o644, bytes.len() as u64),
            name,
            bytes,
        )?;
    }
    Ok(archive.into_inner()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 64-byte ELF header with one program header behind it.
    fn elf(kind: u8) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[18] = if std::env::consts::ARCH == "aarch64" {
            183
        } else {
            62
        };
        (bytes[32], bytes[54], bytes[56]) = (64, 56, 1);
        bytes[64] = kind;
        bytes
    }

    #[test]
    fn an_interpreter_makes_a_program_dynamic() {
        assert!(is_static(&elf(1)));
        assert!(!is_static(&elf(3)));
        assert!(!is_static(b"#!/bin/sh\n"));
        assert!(!is_static(&elf(1)[..100][..60]));
        let mut other = elf(1);
        other[18] = 3;
        assert!(!is_static(&other));
    }

    #[test]
    fn the_archive_is_reproducible_and_whole() {
        let applets = ["ls".to_string(), "sh".to_string()];
        let first = archive(b"program", &applets).unwrap();
        assert_eq!(first, archive(b"program", &applets).unwrap());
        let mut outer = tar::Archive::new(first.as_slice());
        let mut names = Vec::new();
        for entry in outer.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            if name == "layer.tar" {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                let mut layer = tar::Archive::new(bytes.as_slice());
                let links: Vec<String> = layer
                    .entries()
                    .unwrap()
                    .map(Result::unwrap)
                    .filter(|entry| entry.header().entry_type() == EntryType::Link)
                    .map(|entry| entry.path().unwrap().display().to_string())
                    .collect();
                assert_eq!(links, ["bin/ls", "bin/sh"]);
            }
            names.push(name);
        }
        assert_eq!(names[1..], ["layer.tar", "manifest.json"]);
    }
}
