//! Tests: somebody swaps a directory for a link to the outside all the while, as in CVE-2018-15664. Each test first
//! shows that the swapping is quick enough: the same work done in the usual way, with paths, is fooled. Then ours
//! runs for some seconds, as often where time allows, and is not.
//!
//! This is the wall of openat2(2) alone, without the sandbox around it.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::extract::{Options, Owner, extract};
use super::header::{self, Entry};
use super::pack::Packer;
use crate::tape::kind;

/// How long the usual way may take to be fooled.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long ours is tried at least, and at most.
const TRIAL: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(15));

/// A tree in which `swapped` is a directory at one moment and a link to `outside` at the next.
struct Swapped {
    folder: tempfile::TempDir,
    stop: Arc<AtomicBool>,
    swapper: Option<JoinHandle<()>>,
}

impl Swapped {
    fn start() -> Swapped {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("inside");
        for directory in ["inside/swapped", "outside"] {
            fs::create_dir_all(folder.path().join(directory)).unwrap();
        }
        fs::write(inside.join("swapped/file"), "inside").unwrap();
        fs::write(folder.path().join("outside/file"), "secret").unwrap();
        symlink(folder.path().join("outside"), inside.join("link")).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let swapper = std::thread::spawn(move || {
            let (one, other) = (inside.join("swapped"), inside.join("link"));
            while !stopped.load(Ordering::Relaxed) {
                renameat2(
                    AT_FDCWD,
                    &one,
                    AT_FDCWD,
                    &other,
                    RenameFlags::RENAME_EXCHANGE,
                )
                .unwrap();
            }
        });
        Swapped {
            folder,
            stop,
            swapper: Some(swapper),
        }
    }

    fn inside(&self) -> PathBuf {
        self.folder.path().join("inside")
    }

    fn outside(&self) -> PathBuf {
        self.folder.path().join("outside")
    }

    /// How many times it took until `attempt` was fooled.
    fn until_fooled(&self, mut attempt: impl FnMut() -> bool) -> u32 {
        let begin = Instant::now();
        for count in 1.. {
            if attempt() {
                return count;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "the swapping fools nobody, so it proves nothing"
            );
        }
        unreachable!()
    }
}

/// Repeats an attempt as often as it took to fool the usual way, within the time of the trial.
fn repeat(attempts: u32, mut attempt: impl FnMut()) {
    let begin = Instant::now();
    let mut count = 0;
    while begin.elapsed() < TRIAL.0 || (count < attempts && begin.elapsed() < TRIAL.1) {
        attempt();
        count += 1;
    }
}

impl Drop for Swapped {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(swapper) = self.swapper.take() {
            swapper.join().unwrap();
        }
    }
}

/// What an archive of the whole tree says.
fn packed(inside: &Path) -> Vec<u8> {
    let mut packer = Packer::new(Vec::new());
    packer.contents(File::open(inside).unwrap().into()).unwrap();
    packer.finish().unwrap()
}

fn has(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|part| part == text)
}

#[test]
fn nothing_of_the_outside_is_packed() {
    let swapped = Swapped::start();
    let inside = swapped.inside();
    let attempts = swapped.until_fooled(|| {
        let directory = inside.join("swapped");
        let is_directory = fs::symlink_metadata(&directory).unwrap().is_dir();
        is_directory && fs::read(directory.join("file")).is_ok_and(|read| read == b"secret")
    });
    let mut seen = false;
    repeat(attempts, || {
        let archive = packed(&inside);
        assert!(!has(&archive, b"secret"));
        seen |= has(&archive, b"inside");
    });
    assert!(seen, "the file inside was never packed either");
}

fn archive(members: &[(&str, u8, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, kind, contents) in members {
        let is_link = matches!(*kind, kind::SYMBOLIC_LINK | kind::HARD_LINK);
        let entry = Entry {
            name: name.as_bytes(),
            kind: *kind,
            mode: 0o644,
            link: if is_link { contents } else { b"" },
            size: if is_link { 0 } else { contents.len() as u64 },
            ..Entry::default()
        };
        header::write(&mut bytes, &entry).unwrap();
        if !is_link {
            bytes.extend_from_slice(contents);
            header::pad(&mut bytes, contents.len() as u64).unwrap();
        }
    }
    header::end(&mut bytes).unwrap();
    bytes
}

fn unpack(archive: &[u8], inside: &Path) -> std::io::Result<()> {
    let options = Options {
        keep_kinds: true,
        owner: Owner::Maker,
        target: "/",
        whole_names: false,
        renamed: None,
    };
    extract(archive, File::open(inside).unwrap().into(), &options)
}

#[test]
fn nothing_is_unpacked_outside() {
    let swapped = Swapped::start();
    let (inside, outside) = (swapped.inside(), swapped.outside());
    let attempts = swapped.until_fooled(|| {
        let directory = inside.join("swapped");
        let is_directory = fs::symlink_metadata(&directory).unwrap().is_dir();
        // That it lies in the directory that was looked at is what the usual way believes.
        is_directory
            && fs::write(directory.join("usual"), "x").is_ok()
            && outside.join("usual").exists()
    });
    let bytes = archive(&[
        ("swapped/ours", kind::REGULAR, b"x"),
        ("swapped/deep/er", kind::REGULAR, b"x"),
        ("swapped/dir/", kind::DIRECTORY, b""),
        ("swapped/symbolic", kind::SYMBOLIC_LINK, b"/"),
        ("swapped/hard", kind::HARD_LINK, b"swapped/ours"),
    ]);
    repeat(attempts, || {
        // It may fail: what is swapped under it is no place to unpack into.
        let _ = unpack(&bytes, &inside);
    });
    let mut left: Vec<_> = fs::read_dir(&outside)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["file", "usual"]);
    assert_eq!(fs::read(outside.join("file")).unwrap(), b"secret");
}

#[test]
fn links_of_the_target_and_of_the_archive_stay_inside() {
    let folder = tempfile::tempdir().unwrap();
    let (inside, outside) = (folder.path().join("inside"), folder.path().join("outside"));
    fs::create_dir_all(&inside).unwrap();
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("file"), "secret").unwrap();
    symlink(&outside, inside.join("absolute")).unwrap();
    symlink("../outside", inside.join("relative")).unwrap();
    let target = outside.to_str().unwrap();
    for (name, kind, contents) in [
        ("absolute/new", kind::REGULAR, "x"),
        ("relative/new", kind::REGULAR, "x"),
        ("../outside/new", kind::REGULAR, "x"),
        ("/../outside/new", kind::REGULAR, "x"),
        ("a/../../outside/new", kind::REGULAR, "x"),
        ("stolen", kind::HARD_LINK, "../outside/file"),
        ("stolen", kind::HARD_LINK, "relative/file"),
        ("stolen", kind::HARD_LINK, "absolute/file"),
        ("absolute/", kind::DIRECTORY, ""),
    ] {
        let _ = unpack(&archive(&[(name, kind, contents.as_bytes())]), &inside);
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "{name}");
        assert!(!inside.join("stolen").exists(), "{contents}");
    }
    // One that the archive brings along is no better.
    let bytes = archive(&[
        ("mine", kind::SYMBOLIC_LINK, target.as_bytes()),
        ("mine/new", kind::REGULAR, b"x"),
    ]);
    let _ = unpack(&bytes, &inside);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    // Replacing a link or a directory that holds one removes it, not what it points to.
    fs::create_dir(inside.join("tree")).unwrap();
    symlink(&outside, inside.join("tree/link")).unwrap();
    let options = Options {
        keep_kinds: false,
        owner: Owner::Maker,
        target: "/",
        whole_names: false,
        renamed: None,
    };
    let bytes = archive(&[
        ("tree", kind::REGULAR, b"x"),
        ("absolute", kind::REGULAR, b"x"),
    ]);
    extract(&bytes[..], File::open(&inside).unwrap().into(), &options).unwrap();
    assert_eq!(fs::read(inside.join("tree")).unwrap(), b"x");
    assert_eq!(fs::read(outside.join("file")).unwrap(), b"secret");
}

#[test]
fn an_archive_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fs::create_dir_all(from.join("sub")).unwrap();
    fs::create_dir(&to).unwrap();
    let long = format!("{}/{}", "n".repeat(200), "ü".repeat(100));
    fs::create_dir(from.join("n".repeat(200))).unwrap();
    fs::write(from.join(&long), "long").unwrap();
    fs::write(from.join("one"), "x".repeat(100_000)).unwrap();
    fs::hard_link(from.join("one"), from.join("sub/two")).unwrap();
    symlink("/etc/passwd", from.join("link")).unwrap();
    nix::unistd::mkfifo(&from.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(from.join("socket")).unwrap();
    let sparse = File::create(from.join("sparse")).unwrap();
    sparse.set_len(1 << 20).unwrap();
    unpack(&packed(&from), &to).unwrap();
    let mut text = String::new();
    File::open(to.join(&long))
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "long");
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let status = |path: &str| fs::symlink_metadata(to.join(path)).unwrap();
    assert_eq!(
        (status("one").ino(), status("one").len()),
        (status("sub/two").ino(), 100_000)
    );
    assert_eq!(
        fs::read_link(to.join("link")).unwrap(),
        Path::new("/etc/passwd")
    );
    assert!(status("pipe").file_type().is_fifo());
    assert_eq!(status("sparse").len(), 1 << 20);
    assert!(!to.join("socket").exists());
}
