//! Archives that want out. Each is loaded and imported, in process and in the sandboxed child, and must leave
//! nothing outside the store and nothing half-made inside. The outcomes and the texts of errors are those of
//! Docker 28.5 with the same archives; where ours differs, the case says so.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::ExitCode;

use drydock_image::Unpacker;
use libtest_mimic::{Failed, Trial};
use support::*;

/// What becomes of an archive.
#[derive(Clone)]
enum Outcome {
    /// It is unpacked to these files.
    Files(Vec<(&'static str, &'static str)>),
    /// It is refused with a text that contains this.
    Refused(&'static str),
}

struct Case {
    name: &'static str,
    members: Vec<Member>,
    outcome: Outcome,
    /// Device nodes and whiteouts with attributes cannot be made without privileges.
    root: bool,
}

fn refused(name: &'static str, members: Vec<Member>, text: &'static str) -> Case {
    Case {
        name,
        members,
        outcome: Outcome::Refused(text),
        root: false,
    }
}

fn unpacked(
    name: &'static str,
    members: Vec<Member>,
    files: &[(&'static str, &'static str)],
) -> Case {
    Case {
        name,
        members,
        outcome: Outcome::Files(files.to_vec()),
        root: false,
    }
}

impl Case {
    fn needs_root(self) -> Case {
        Case { root: true, ..self }
    }
}

const DUPLICATE: &str = "duplicates of file paths not supported";

/// Names that climb out.
fn climbing() -> Vec<Case> {
    vec![
        refused(
            "parent",
            vec![file("../escape", b"x")],
            "invalid entry name \"../escape\"",
        ),
        refused(
            "many parents",
            vec![file("../../../../../../../../tmp/escape", b"x")],
            "invalid entry name",
        ),
        refused(
            "parent in the middle",
            vec![directory("a"), file("a/../../escape", b"x")],
            "invalid entry name",
        ),
        refused(
            "parent as a directory",
            vec![directory("..")],
            "invalid entry name \"..\"",
        ),
        refused(
            "parent by a long name",
            vec![file(&("../".repeat(60) + "escape"), b"x")],
            "invalid entry name",
        ),
        refused(
            "parent by a PAX record",
            vec![file("harmless", b"x").with_pax("path", b"../escape")],
            "invalid entry name \"../escape\"",
        ),
        refused(
            "a NUL in a PAX name",
            vec![file("a", b"x").with_pax("path", b"a\0/../../b")],
            "invalid tar header",
        ),
        unpacked(
            "absolute",
            vec![file("/tmp/inside", b"x")],
            &[("tmp", "dir 755"), ("tmp/inside", "file 644 x")],
        ),
        unpacked(
            "absolute with parents",
            vec![file("/../../x", b"x")],
            &[("x", "file 644 x")],
        ),
        unpacked(
            "dots that stay inside",
            vec![file("a/./b/../c", b"x")],
            &[("a", "dir 755"), ("a/c", "file 644 x")],
        ),
        unpacked(
            "names of dots",
            vec![file(".../..a", b"x")],
            &[("...", "dir 755"), (".../..a", "file 644 x")],
        ),
        unpacked(
            "the root itself",
            vec![directory("./").with_mode(0o700)],
            &[],
        ),
        unpacked("the root as a file", vec![file(".", b"x")], &[]),
        unpacked(
            "an escape character",
            vec![file("a\x1b[31m", b"x")],
            &[("a\x1b[31m", "file 644 x")],
        ),
    ]
}

/// Symbolic links, and what is written through them.
fn symbolic_links(sentinel: &'static str) -> Vec<Case> {
    vec![
        unpacked(
            "a link out alone is only text",
            vec![symbolic_link("a", sentinel)],
            Box::leak(vec![("a", leak(format!("-> {sentinel}")))].into_boxed_slice()),
        ),
        unpacked(
            "through a link inside",
            vec![directory("d"), symbolic_link("a", "d"), file("a/x", b"x")],
            &[("a", "-> d"), ("d", "dir 755"), ("d/x", "file 644 x")],
        ),
        unpacked(
            "through an absolute link",
            vec![symbolic_link("a", "/outside"), file("a/x", b"x")],
            &[
                ("a", "-> /outside"),
                ("outside", "dir 755"),
                ("outside/x", "file 644 x"),
            ],
        ),
        // Docker refuses this one ("path escapes from parent"); a chroot, and we, stop at the root.
        unpacked(
            "through a link of parents",
            vec![
                symbolic_link("a", "../../../../../../outside"),
                file("a/x", b"x"),
            ],
            &[
                ("a", "-> ../../../../../../outside"),
                ("outside", "dir 755"),
                ("outside/x", "file 644 x"),
            ],
        ),
        unpacked(
            "through a chain of links",
            vec![
                directory("d"),
                symbolic_link("a", "b"),
                symbolic_link("b", "/c"),
                symbolic_link("c", "d/../d"),
                file("a/x", b"x"),
            ],
            &[
                ("a", "-> b"),
                ("b", "-> /c"),
                ("c", "-> d/../d"),
                ("d", "dir 755"),
                ("d/x", "file 644 x"),
            ],
        ),
        refused(
            "a circle of links",
            vec![
                symbolic_link("a", "b"),
                symbolic_link("b", "a"),
                file("a/x", b"x"),
            ],
            "Too many levels of symbolic links",
        ),
        refused(
            "a file in place of a link",
            vec![symbolic_link("a", "/etc/passwd"), file("a", b"x")],
            DUPLICATE,
        ),
        refused(
            "a directory in place of a link",
            vec![
                symbolic_link("a", "/etc"),
                directory("./a/"),
                file("a/x", b"x"),
            ],
            DUPLICATE,
        ),
        // Docker overwrites the first file here. Then the layer is not what its archive says.
        refused(
            "one file by two ways",
            vec![
                directory("d"),
                symbolic_link("a", "d"),
                file("d/x", b"1"),
                file("a/x", b"2"),
            ],
            "File exists",
        ),
        refused(
            "a link made by two ways",
            vec![
                directory("d"),
                symbolic_link("a", "d"),
                file("d/x", b"1"),
                symbolic_link("a/x", "/etc/passwd"),
            ],
            "File exists",
        ),
        refused(
            "through a file",
            vec![file("a", b"x"), file("a/x", b"x")],
            "Not a directory",
        ),
    ]
}

/// Hard links.
fn hard_links(sentinel: &'static str) -> Vec<Case> {
    vec![
        refused(
            "to a parent",
            vec![hard_link("h", "../../../../etc/passwd")],
            "invalid hardlink target",
        ),
        refused(
            "to the host",
            vec![hard_link("h", leak(format!("{sentinel}/file")))],
            "No such file or directory",
        ),
        refused(
            "to nothing",
            vec![hard_link("h", "nothing")],
            "No such file or directory",
        ),
        refused(
            "to the root",
            vec![hard_link("h", "/")],
            "invalid hardlink target",
        ),
        refused(
            "to a directory",
            vec![directory("d"), hard_link("h", "d")],
            "Operation not permitted",
        ),
        refused(
            "to itself",
            vec![hard_link("h", "h")],
            "No such file or directory",
        ),
        unpacked(
            "to a file",
            vec![file("f", b"x"), hard_link("d/h", "f")],
            &[("d", "dir 755"), ("d/h", "file 644 x"), ("f", "file 644 x")],
        ),
        // The link itself gets a second name; the file it points to is not touched.
        unpacked(
            "to a symbolic link",
            vec![
                symbolic_link("s", leak(format!("{sentinel}/file"))),
                hard_link("h", "s").with_mode(0o777),
            ],
            Box::leak(
                vec![
                    ("h", leak(format!("-> {sentinel}/file"))),
                    ("s", leak(format!("-> {sentinel}/file"))),
                ]
                .into_boxed_slice(),
            ),
        ),
        refused(
            "through a link to the host",
            vec![symbolic_link("a", sentinel), hard_link("h", "a/file")],
            "No such file or directory",
        ),
    ]
}

/// Whiteouts, opaque directories, device nodes.
fn special_files() -> Vec<Case> {
    vec![
        unpacked("whiteout", vec![file(".wh.x", b"")], &[("x", "c 0 0:0")]).needs_root(),
        refused(
            "whiteout of the parent",
            vec![file("d/.wh...", b"")],
            "invalid whiteout entry \"d/.wh...\"",
        ),
        refused(
            "whiteout of the directory",
            vec![file("d/.wh..", b"")],
            "invalid whiteout entry \"d/.wh..\"",
        ),
        refused(
            "whiteout of nothing",
            vec![file(".wh.", b"")],
            "invalid whiteout entry \".wh.\"",
        ),
        refused(
            "whiteout of a file of the same layer",
            vec![file("x", b"x"), file(".wh.x", b"")],
            "File exists",
        )
        .needs_root(),
        unpacked(
            "whiteout, then the file",
            vec![file(".wh.x", b""), file("x", b"x")],
            &[("x", "file 644 x")],
        )
        .needs_root(),
        unpacked(
            "whiteout, then a directory",
            vec![file(".wh.x", b""), directory("x")],
            &[("x", "dir 755")],
        )
        .needs_root(),
        refused(
            "whiteout twice",
            vec![file(".wh.x", b""), file(".wh.x", b"")],
            DUPLICATE,
        )
        .needs_root(),
        unpacked(
            "opaque",
            vec![directory("d"), file("d/.wh..wh..opq", b"")],
            &[("d", "dir 755")],
        )
        .needs_root(),
        unpacked(
            "opaque without the directory",
            vec![file("d/.wh..wh..opq", b"")],
            &[("d", "dir 755")],
        )
        .needs_root(),
        unpacked(
            "opaque through a link",
            vec![symbolic_link("a", "/tmp"), file("a/.wh..wh..opq", b"")],
            &[("a", "-> /tmp"), ("tmp", "dir 755")],
        )
        .needs_root(),
        unpacked(
            "aufs' own file",
            vec![file(".wh..wh.plnk", b"")],
            &[(".wh.plnk", "c 0 0:0")],
        )
        .needs_root(),
        unpacked(
            "device nodes",
            vec![
                special("disk", b'4', (8, 1)).with_mode(0o660),
                special("null", b'3', (1, 3)).with_mode(0o666),
                special("pipe", b'6', (0, 0)).with_mode(0o1604),
            ],
            &[
                ("disk", "b 660 8:1"),
                ("null", "c 666 1:3"),
                ("pipe", "fifo 1604"),
            ],
        )
        .needs_root(),
        refused(
            "a contiguous file",
            vec![special("x", b'7', (0, 0))],
            "unhandled tar header type 55",
        ),
        refused(
            "an unknown kind",
            vec![special("x", b'Z', (0, 0))],
            "unhandled tar header type 90",
        ),
    ]
}

/// Everything else.
fn others() -> Vec<Case> {
    let mut large = file("x", b"x");
    large.owner = (u64::from(u32::MAX), 0);
    vec![
        refused(
            "the same file twice",
            vec![file("x", b"1"), file("x", b"22")],
            DUPLICATE,
        ),
        refused(
            "the same file in two spellings",
            vec![file("x", b"1"), file("./a/../x", b"2")],
            DUPLICATE,
        ),
        refused(
            "the same directory twice",
            vec![directory("d"), directory("d/")],
            DUPLICATE,
        ),
        refused(
            "a directory in place of a file",
            vec![file("x", b"1"), directory("x")],
            DUPLICATE,
        ),
        refused(
            "an owner that means `leave it`",
            vec![large.with_pax("uid", b"4294967295")],
            "is not a user or group id",
        ),
        refused(
            "an owner that wraps to root",
            vec![file("x", b"").with_pax("uid", b"4294967296")],
            "is not a user or group id",
        ),
        refused(
            "a size that is not there",
            vec![file("x", b"x").with_pax("size", b"9000000000000000000")],
            "more than",
        ),
        refused(
            "a size that wraps",
            vec![file("x", b"x").with_pax("size", b"18446744073709551615")],
            "invalid tar header",
        ),
        refused(
            "an unknown attribute",
            vec![file("x", b"x").with_pax("SCHILY.xattr.bogus.foo", b"y")],
            "bogus.foo",
        ),
        unpacked(
            "modes with set-user-ID",
            vec![
                file("s", b"x").with_mode(0o4755),
                directory("d").with_mode(0o1777),
            ],
            &[("d", "dir 1777"), ("s", "file 4755 x")],
        ),
        unpacked(
            "times out of range",
            vec![file("x", b"x").with_pax("mtime", b"99999999999999")],
            &[("x", "file 644 x")],
        ),
        unpacked("an empty archive", vec![], &[]),
    ]
}

/// Cases live as long as the tests.
fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

fn run(case: &Case, unpacker: &Unpacker) -> Result<(), Failed> {
    let archive = tar(&case.members);
    for loaded in [true, false] {
        let mut world = World::new(unpacker.clone());
        let result = match loaded {
            true => world
                .load(&image("test:latest", &[&archive]))
                .map(|loaded| loaded[0].id),
            false => world.import(&archive),
        };
        match (&case.outcome, result) {
            (Outcome::Files(files), Ok(id)) => {
                let found = world.files(&id.to_string());
                let found: Vec<(&str, &str)> = found
                    .iter()
                    .map(|(path, line)| (path.as_str(), line.as_str()))
                    .collect();
                assert_eq!(&found, files);
            }
            (Outcome::Refused(text), Err(error)) => {
                assert!(error.to_string().contains(text), "{error}");
                assert_eq!(error.status(), 500);
                assert!(world.store().list().is_empty());
            }
            (_, Ok(id)) => return Err(format!("was taken as {id}").into()),
            (_, Err(error)) => return Err(format!("was refused: {error}").into()),
        }
        world.check();
        // And the same after a restart.
        world.open();
        world.check();
    }
    Ok(())
}

fn main() -> ExitCode {
    // A place on the host that exists while the tests run; the cases only name it.
    let host = leak(
        std::env::temp_dir()
            .join(format!("drydock-sentinel-{}", std::process::id()))
            .display()
            .to_string(),
    );
    let unpacking = std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == "unpack");
    if !unpacking {
        std::fs::create_dir_all(host).expect("the sentinel");
        std::fs::write(format!("{host}/file"), "untouched").expect("the sentinel's file");
    }
    let groups = [
        ("climbing", climbing()),
        ("symbolic links", symbolic_links(host)),
        ("hard links", hard_links(host)),
        ("special files", special_files()),
        ("others", others()),
    ];
    let mut trials = Vec::new();
    for (group, cases) in groups {
        for case in cases {
            for (place, unpacker) in unpackers() {
                let case = Case {
                    members: case.members.clone(),
                    outcome: case.outcome.clone(),
                    ..case
                };
                let root = case.root || place == "child";
                let name = format!("{group}: {} ({place})", case.name);
                let test = move || {
                    run(&case, &unpacker)?;
                    let tree = tree(host.as_ref());
                    assert_eq!(tree.len(), 2, "{tree:?}");
                    assert!(
                        tree.values()
                            .any(|line| line.ends_with("file 644 untouched")),
                        "{tree:?}"
                    );
                    Ok(())
                };
                trials.push(if root {
                    root_trial(name, test)
                } else {
                    Trial::test(name, test)
                });
            }
        }
    }
    let code = support::main(trials);
    if !unpacking {
        std::fs::remove_dir_all(host).expect("the sentinel goes");
    }
    code
}
