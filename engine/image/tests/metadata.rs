//! What files of a layer keep of their archive, and what overlayfs makes of them. In the sandboxed child, as
//! in use; needs root for owners and marks.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use support::*;

fn world() -> World {
    World::new(unpackers().remove(1).1)
}

/// Imports an archive and returns where its files are.
fn imported(world: &World, members: &[Member]) -> PathBuf {
    let id = world.import(&tar(members)).unwrap();
    let image = world.store().get(&id).unwrap();
    world.check();
    world.store().layer_directories(&image)[0].clone()
}

fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 4096];
    let length = rustix::fs::lgetxattr(path, name, &mut value).ok()?;
    value.truncate(length);
    Some(value)
}

/// CAP_DAC_OVERRIDE and CAP_FOWNER, effective; the third word is 0x0000000a, in which is a newline.
const CAPABILITY: &[u8] = b"\x01\0\0\x02\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

fn owners_modes_and_times() {
    let world = world();
    let owned = |member: Member| Member {
        owner: (1000, 2_000_000_000),
        modified: 1_234_567_890,
        ..member
    };
    let files = imported(
        &world,
        &[
            owned(directory("d")),
            owned(file("d/setuid", b"x").with_mode(0o6755)),
            owned(symbolic_link("d/link", "nowhere")),
            owned(special("d/pipe", b'6', (0, 0)).with_mode(0o622)),
            file("d/precise", b"x").with_pax("mtime", b"1600000000.123456789"),
            file("d/implied/deep", b"x"),
        ],
    );
    for name in ["d", "d/setuid", "d/link", "d/pipe"] {
        let metadata = fs::symlink_metadata(files.join(name)).unwrap();
        assert_eq!(
            (metadata.uid(), metadata.gid()),
            (1000, 2_000_000_000),
            "{name}"
        );
        assert_eq!(metadata.mtime(), 1_234_567_890, "{name}");
    }
    let mode = |name: &str| fs::symlink_metadata(files.join(name)).unwrap().mode() & 0o7777;
    assert_eq!(
        (
            mode("d/setuid"),
            mode("d/pipe"),
            mode("d/implied"),
            mode("")
        ),
        (0o6755, 0o622, 0o755, 0o755)
    );
    let precise = fs::metadata(files.join("d/precise")).unwrap();
    assert_eq!(
        (precise.mtime(), precise.mtime_nsec()),
        (1_600_000_000, 123_456_789)
    );
}

fn hard_links_are_one_file() {
    let world = world();
    let other = Member {
        owner: (5, 6),
        mode: 0o4711,
        ..hard_link("second", "d/first")
    };
    let files = imported(
        &world,
        &[
            file("d/first", b"12345").with_pax("SCHILY.xattr.security.capability", CAPABILITY),
            hard_link("same", "d/first"),
        ],
    );
    let inode = |name: &str| fs::metadata(files.join(name)).unwrap().ino();
    assert_eq!(inode("d/first"), inode("same"));
    assert_eq!(
        attribute(&files.join("same"), "security.capability").unwrap(),
        CAPABILITY
    );
    // Counted once.
    assert_eq!(world.store().list()[0].size, 5);
    // Where they differ, the last one decides.
    let files = imported(&world, &[file("d/first", b"12345"), other]);
    let metadata = fs::metadata(files.join("d/first")).unwrap();
    assert_eq!(
        (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777),
        (5, 6, 0o4711)
    );
}

/// In the child the kernel refuses some of these as well; in process only our own rule does.
fn extended_attributes() {
    for (_, unpacker) in unpackers() {
        extended_attributes_in(&World::new(unpacker));
    }
}

fn extended_attributes_in(world: &World) {
    let attributes: [(&str, &[u8]); 8] = [
        ("security.capability", CAPABILITY),
        ("user.note", b"a\nb\0c"),
        ("user.overlay.opaque", b"y"),
        ("user.overlay.redirect", b"/etc"),
        ("trusted.overlay.opaque", b"y"),
        ("trusted.overlay.redirect", b"/etc"),
        ("trusted.other", b"x"),
        ("security.selinux", b"x"),
    ];
    let with = |member: Member| {
        attributes.iter().fold(member, |member, (name, value)| {
            member.with_pax(&format!("SCHILY.xattr.{name}"), value)
        })
    };
    // An owner, because changing the owner removes file capabilities.
    let ours = Member {
        owner: (1000, 1000),
        ..file("f", b"x")
    };
    let mut on_directory = with(directory("d"));
    on_directory.pax.remove(0);
    let files = imported(world, &[with(ours), on_directory]);
    for name in ["f", "d"] {
        let path = files.join(name);
        assert_eq!(attribute(&path, "user.note").unwrap(), b"a\nb\0c", "{name}");
        for (dropped, _) in &attributes[2..] {
            assert_eq!(attribute(&path, dropped), None, "{name} has {dropped}");
        }
    }
    assert_eq!(
        attribute(&files.join("f"), "security.capability").unwrap(),
        CAPABILITY
    );
}

fn sparse_files() {
    let world = world();
    let mut archive = Vec::new();
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNUSparse);
    header.set_path("sparse").unwrap();
    header.set_size(6);
    header.set_mode(0o600);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.set_real_size(1 << 20);
    gnu.sparse[0].set_offset(1000);
    gnu.sparse[0].set_length(3);
    gnu.sparse[1].set_offset(500_000);
    gnu.sparse[1].set_length(3);
    header.set_cksum();
    archive.extend_from_slice(header.as_bytes());
    archive.extend_from_slice(b"onetwo");
    archive.resize(1024, 0);
    archive.extend_from_slice(&tar(&[]));
    let id = world.import(&archive).unwrap();
    let image = world.store().get(&id).unwrap();
    let contents = fs::read(world.store().layer_directories(&image)[0].join("sparse")).unwrap();
    let mut expected = vec![0; 1 << 20];
    expected[1000..1003].copy_from_slice(b"one");
    expected[500_000..500_003].copy_from_slice(b"two");
    assert!(contents == expected);
    assert_eq!(image.size, 1 << 20);
    world.check();
}

/// Three layers in an overlay: what the upper ones delete is gone.
fn overlayfs_understands_whiteouts() {
    let world = world();
    let bottom = tar(&[
        file("gone", b"x"),
        file("stays", b"x"),
        file("d/old", b"x"),
        file("e/old", b"x"),
        directory("r"),
    ]);
    let middle = tar(&[
        file(".wh.gone", b""),
        file("d/.wh..wh..opq", b""),
        file("d/new", b"x"),
        file("e/.wh.old", b""),
    ]);
    let top = tar(&[file(".wh.r", b""), file("e/old", b"again")]);
    let id = world
        .load(&image("app:1", &[&bottom, &middle, &top]))
        .unwrap()[0]
        .id;
    world.check();
    let image = world.store().get(&id).unwrap();
    let layers: Vec<String> = world
        .store()
        .layer_directories(&image)
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    assert_eq!(
        attribute(&Path::new(&layers[1]).join("d"), "trusted.overlay.opaque").unwrap(),
        b"y"
    );
    let merged = world.folder.path().join("merged");
    fs::create_dir(&merged).unwrap();
    let options = format!("lowerdir={}", layers.join(":"));
    let mount = |arguments: &[&str]| {
        Command::new(arguments[0])
            .args(&arguments[1..])
            .status()
            .unwrap()
            .success()
    };
    assert!(mount(&[
        "mount",
        "-t",
        "overlay",
        "overlay",
        "-o",
        &options,
        merged.to_str().unwrap()
    ]));
    let found = tree(&merged);
    assert!(mount(&["umount", merged.to_str().unwrap()]));
    let found: Vec<&str> = found
        .keys()
        .map(|path| path[merged.as_os_str().len()..].trim_start_matches('/'))
        .collect();
    assert_eq!(found, ["", "d", "d/new", "e", "e/old", "stays"]);
}

fn main() -> ExitCode {
    let tests: [(&str, fn()); 5] = [
        ("owners, modes and times", owners_modes_and_times),
        ("hard links are one file", hard_links_are_one_file),
        ("extended attributes", extended_attributes),
        ("sparse files", sparse_files),
        (
            "overlayfs understands whiteouts",
            overlayfs_understands_whiteouts,
        ),
    ];
    let trial = |(name, test): (&str, fn())| {
        root_trial(name, move || {
            test();
            Ok(())
        })
    };
    support::main(tests.into_iter().map(trial).collect())
}
