//! A power cut right after a load was acknowledged loses nothing.
//!
//! The store lies on a file system in a file (a loop device). What the disk has at an instant is the file;
//! what the page cache of the mounted file system still holds is not in it. So a copy of the file is what a
//! power cut at that instant would leave. It is mounted (the journal replays), opened and verified.
//!
//! Docker fails this one: a copy up to 35 seconds after `docker load` returned has only empty files, and the
//! image is listed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use drydock_image::{Digest, RemoveOptions, Store, Unpacker};
use libtest_mimic::Trial;
use support::*;

/// A mounted file system in a file, unmounted at the end.
struct Disk {
    file: PathBuf,
    mount_point: PathBuf,
}

fn command(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    ))
}

impl Disk {
    fn new(folder: &Path) -> Disk {
        let file = folder.join("disk");
        File::create(&file).unwrap().set_len(32 << 20).unwrap();
        command("mkfs.ext4", &["-q", "-F", file.to_str().unwrap()]).unwrap();
        Disk::mount(file, folder.join("mounted"))
    }

    fn mount(file: PathBuf, mount_point: PathBuf) -> Disk {
        fs::create_dir(&mount_point).unwrap();
        command(
            "mount",
            &[
                "-o",
                "loop",
                file.to_str().unwrap(),
                mount_point.to_str().unwrap(),
            ],
        )
        .unwrap();
        Disk { file, mount_point }
    }

    /// The disk as a power cut at this instant would leave it.
    fn cut(&self, folder: &Path, name: &str) -> Disk {
        let copy = folder.join(name);
        fs::copy(&self.file, &copy).unwrap();
        Disk::mount(copy, folder.join(format!("{name}-mounted")))
    }

    fn store(&self) -> Store {
        Store::open(&self.mount_point.join("image"), Unpacker::InProcess).unwrap()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = command(
            "umount",
            &["--lazy", self.mount_point.to_str().unwrap_or_default()],
        ) {
            eprintln!("{error}");
        }
    }
}

/// An image of many small files.
fn archive(tag: &str) -> Vec<u8> {
    let members: Vec<Member> = (0..500)
        .map(|index| {
            file(
                &format!("d/{tag}{index}"),
                format!("{tag} {index}").repeat(100).as_bytes(),
            )
        })
        .collect();
    image(
        &format!("{tag}:1"),
        &[&tar(&members), &tar(&[file("top", tag.as_bytes())])],
    )
}

fn check(disk: &Disk, expected: &[&str]) {
    let store = disk.store();
    let mut tags: Vec<String> = store
        .list()
        .iter()
        .flat_map(|image| image.repo_tags.clone())
        .collect();
    tags.sort();
    assert_eq!(tags, expected);
    assert_eq!(store.verify(), []);
}

fn acknowledged_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path());
    let store = disk.store();
    check(&disk.cut(folder.path(), "empty"), &[]);
    store.load(&mut &archive("one")[..], &mut |_| {}).unwrap();
    check(&disk.cut(folder.path(), "loaded"), &["one:1"]);
    let id = store
        .import(&mut &tar(&[file("x", b"imported")])[..], Default::default())
        .unwrap();
    store.tag(&id, &"two:1".parse().unwrap()).unwrap();
    check(&disk.cut(folder.path(), "imported"), &["one:1", "two:1"]);
    store
        .remove("one:1", RemoveOptions::default(), &|_: &Digest| None)
        .unwrap();
    check(&disk.cut(folder.path(), "removed"), &["two:1"]);
}

/// Loads image after image and removes the one before, saying so after each; for ever.
fn work(root: &Path) -> ExitCode {
    let store = Store::open(root, Unpacker::InProcess).unwrap();
    let first = std::process::id();
    for round in 0u32.. {
        let tag = |round: u32| format!("w{first}-{round}");
        store
            .load(&mut &archive(&tag(round))[..], &mut |_| {})
            .unwrap();
        println!("{}:1", tag(round));
        if let Some(last) = round.checked_sub(1) {
            store
                .remove(
                    &format!("{}:1", tag(last)),
                    RemoveOptions::default(),
                    &|_: &Digest| None,
                )
                .unwrap();
        }
    }
    ExitCode::SUCCESS
}

/// Cuts at any moment of loads and removals: each leaves whole images only, and all that was acknowledged.
///
/// The process is killed first, because a copy takes a while, and a disk that is written to meanwhile would
/// be copied in a state that it never had.
fn in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path());
    disk.store()
        .load(&mut &archive("always")[..], &mut |_| {})
        .unwrap();
    for number in 0..6 {
        let mut worker = Command::new(std::env::current_exe().unwrap())
            .arg("work")
            .arg(disk.mount_point.join("image"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(60 + number * 37));
        worker.kill().unwrap();
        let output = worker.wait_with_output().unwrap();
        let cut = disk.cut(folder.path(), &format!("cut{number}"));
        // The disk after the power cut, and the same one after the kill alone.
        for store in [cut.store(), disk.store()] {
            let acknowledged = String::from_utf8_lossy(&output.stdout).into_owned();
            for tag in ["always:1"].into_iter().chain(acknowledged.lines().last()) {
                assert!(store.resolve(tag).is_ok(), "cut {number}: {tag} is lost");
            }
            assert_eq!(store.verify(), [], "cut {number}");
        }
        // Room for the next round.
        let store = disk.store();
        for image in store
            .list()
            .iter()
            .filter(|image| image.repo_tags != ["always:1"])
        {
            store
                .remove(&image.id.to_string(), FORCE, &|_: &Digest| None)
                .unwrap();
        }
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if let (Some(word), Some(root), None) = (arguments.next(), arguments.next(), arguments.next())
        && word == "work"
    {
        return work(root.as_ref());
    }
    let possible = is_root()
        && Path::new("/dev/loop-control").exists()
        && command("mkfs.ext4", &["-V"]).is_ok();
    let tests: [(&str, fn()); 2] = [
        ("acknowledged is kept", acknowledged_is_kept),
        ("in the middle", in_the_middle),
    ];
    let trial = |(name, test): (&str, fn())| {
        let test = move || {
            test();
            Ok(())
        };
        Trial::test(name, test)
            .with_kind("needs root, loop devices and mkfs.ext4")
            .with_ignored_flag(!possible)
    };
    support::main(tests.into_iter().map(trial).collect())
}
