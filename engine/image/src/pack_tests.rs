//! Tests of packing.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::tape::{Member, Tape};

fn packed(directory: &Path) -> io::Result<Vec<Member>> {
    let directory = File::open(directory)?.into();
    let mut tape = Tape::new(Packing::start(directory)?);
    let mut members = Vec::new();
    while let Some(member) = tape.next(&mut |_| Ok(()))? {
        members.push(member);
    }
    tape.finish(&mut |_| Ok(()))?;
    Ok(members)
}

fn names_of(members: &[Member]) -> Vec<String> {
    let name = |member: &Member| String::from_utf8_lossy(&member.name).into_owned();
    members.iter().map(name).collect()
}

#[test]
fn an_empty_directory_is_the_empty_archive() {
    let directory = tempfile::tempdir().unwrap();
    let mut bytes = Vec::new();
    let opened = File::open(directory.path()).unwrap().into();
    Packing::start(opened)
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    assert_eq!(bytes, [0; 1024]);
}

#[test]
fn members_come_in_order_with_their_links() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::create_dir(root.join("b")).unwrap();
    fs::write(root.join("b/file"), "12345").unwrap();
    fs::set_permissions(root.join("b/file"), fs::Permissions::from_mode(0o4711)).unwrap();
    fs::hard_link(root.join("b/file"), root.join("c")).unwrap();
    std::os::unix::fs::symlink("/etc//passwd/", root.join("a")).unwrap();
    nix::unistd::mkfifo(&root.join("d"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("e")).unwrap();
    let members = packed(root).unwrap();
    assert_eq!(names_of(&members), ["a", "b/", "b/file", "c", "d"]);
    assert_eq!(members[0].link, b"/etc//passwd/");
    assert_eq!((members[2].mode, members[2].size), (0o4711, 5));
    assert_eq!(
        (members[3].kind, members[3].link.as_slice()),
        (kind::HARD_LINK, &b"b/file"[..])
    );
    assert_eq!(members[4].kind, kind::FIFO);
}

#[test]
fn links_are_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("upper");
    fs::create_dir(&root).unwrap();
    std::os::unix::fs::symlink(directory.path(), root.join("out")).unwrap();
    fs::write(directory.path().join("secret"), "x").unwrap();
    let opened: OwnedFd = File::open(&root).unwrap().into();
    let mut output = Vec::new();
    let mut packer = Packer {
        root: opened,
        links: BTreeMap::new(),
        parent: None,
        output: &mut output,
    };
    // As if `out` had been a directory when it was listed.
    assert!(packer.children(Path::new("out")).unwrap().is_empty());
    assert!(!packer.member(Path::new("out/secret")).unwrap());
    assert!(output.is_empty());
}

#[test]
fn a_deep_tree_is_an_error_and_not_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let mut current: OwnedFd = File::open(directory.path()).unwrap().into();
    let mode = rustix::fs::Mode::RWXU;
    for _ in 0..3000 {
        rustix::fs::mkdirat(&current, "d", mode).unwrap();
        let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        current = rustix::fs::openat(&current, "d", flags, rustix::fs::Mode::empty()).unwrap();
    }
    let error = packed(directory.path()).unwrap_err();
    assert!(error.to_string().contains("name too long"), "{error}");
}

#[test]
fn whiteouts_opaque_directories_and_attributes() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not root: overlayfs's marks cannot be made, so nothing is tested here");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::create_dir(root.join("opaque")).unwrap();
    let set = |path: &Path, name: &str, value: &[u8]| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(path, name, value, flags)
    };
    set(&root.join("opaque"), "trusted.overlay.opaque", b"y").unwrap();
    fs::write(root.join("opaque/tool"), "").unwrap();
    let capability = b"\x01\0\0\x02\0\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    set(&root.join("opaque/tool"), "security.capability", capability).unwrap();
    let whiteout = nix::sys::stat::SFlag::S_IFCHR;
    nix::sys::stat::mknod(
        &root.join("gone"),
        whiteout,
        nix::sys::stat::Mode::empty(),
        0,
    )
    .unwrap();
    nix::sys::stat::mknod(
        &root.join("null"),
        whiteout,
        nix::sys::stat::Mode::S_IRUSR,
        nix::sys::stat::makedev(1, 3),
    )
    .unwrap();
    let members = packed(root).unwrap();
    assert_eq!(
        names_of(&members),
        [
            ".wh.gone",
            "null",
            "opaque/",
            "opaque/.wh..wh..opq",
            "opaque/tool"
        ]
    );
    assert_eq!(members[0].kind, kind::REGULAR);
    assert_eq!(
        (members[1].kind, members[1].device),
        (kind::CHARACTER_DEVICE, (1, 3))
    );
    assert!(members[2].extended.is_empty());
    let expected = (b"security.capability".to_vec(), capability.to_vec());
    assert_eq!(members[4].extended, [expected]);
}
