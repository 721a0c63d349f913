//! `commit` and `save`: from a writable layer to an image, to an archive, and back into another store.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use drydock_image::{
    CommitOptions, Digest, Image, InUse, Reference, RemoveOptions, Removed, Store,
};
use libtest_mimic::Trial;
use support::*;

fn nobody(_: &Digest) -> Option<InUse> {
    None
}

/// A world with the image `base:1`, and an upper directory beside its store.
fn world_with_base() -> (World, PathBuf, tempfile::TempDir) {
    let world = World::new(unpackers().remove(0).1);
    let layer = tar(&[directory("etc"), file("etc/passwd", b"root")]);
    world.load(&image("base:1", &[&layer])).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let upper = folder.path().join("upper");
    fs::create_dir(&upper).unwrap();
    (world, upper, folder)
}

fn commit(store: &Store, upper: &Path, base: &str, name: &str) -> Digest {
    let base = store.resolve(base).unwrap();
    let packed = store.pack_layer(upper, &base).unwrap();
    let options = CommitOptions {
        reference: Some(Reference::parse(name).unwrap()),
        message: "a message".into(),
        author: "an author".into(),
        created_by: "sh -c change".into(),
        ..CommitOptions::default()
    };
    store.commit(packed, options).unwrap()
}

fn save(store: &Store, names: &[&str]) -> Vec<u8> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut archive = Vec::new();
    let saving = store.save(&names).unwrap();
    store.write_archive(&saving, &mut archive).unwrap();
    archive
}

fn a_commit_adds_a_layer() {
    let (world, upper, _folder) = world_with_base();
    fs::write(upper.join("note"), "hello").unwrap();
    fs::hard_link(upper.join("note"), upper.join("same")).unwrap();
    std::os::unix::fs::symlink("note", upper.join("link")).unwrap();
    let id = commit(world.store(), &upper, "base:1", "made:1");
    world.check();
    let base = world.store().resolve("base:1").unwrap();
    let made: std::sync::Arc<Image> = world.store().resolve("made:1").unwrap();
    assert_eq!((made.id, made.parent), (id, Some(base.id)));
    assert_eq!(made.diff_ids.len(), 2);
    assert_eq!(made.diff_ids[0], base.diff_ids[0]);
    // A file with two names counts once; a link's target counts.
    assert_eq!(made.layer_sizes, [4, 9]);
    assert_eq!(made.size, 13);
    assert_eq!(
        (made.author.as_str(), made.comment.as_str()),
        ("an author", "a message")
    );
    let step = &made.config["history"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(step["created_by"], "sh -c change");
    assert_eq!(step.get("empty_layer"), None);
    let files = &world.store().layer_directories(&made)[0];
    assert_eq!(fs::read_to_string(files.join("same")).unwrap(), "hello");
}

fn no_change_is_no_layer() {
    let (world, upper, _folder) = world_with_base();
    commit(world.store(), &upper, "base:1", "made:1");
    world.check();
    let made = world.store().resolve("made:1").unwrap();
    let base = world.store().resolve("base:1").unwrap();
    assert_eq!(made.diff_ids, base.diff_ids);
    let history = made.config["history"].as_array().unwrap();
    assert_eq!(history.last().unwrap()["empty_layer"], true);
}

fn a_packed_layer_that_becomes_no_image_leaves_nothing() {
    let (world, upper, _folder) = world_with_base();
    fs::write(upper.join("note"), "hello").unwrap();
    let base = world.store().resolve("base:1").unwrap();
    drop(world.store().pack_layer(&upper, &base).unwrap());
    let packed = world.store().pack_layer(&upper, &base).unwrap();
    let reference = format!("made@{}", base.id);
    let options = CommitOptions {
        reference: Some(Reference::parse(&reference).unwrap()),
        ..CommitOptions::default()
    };
    let error = world.store().commit(packed, options).unwrap_err();
    assert_eq!(error.to_string(), "cannot import digest reference");
    fs::write(upper.join(".wh."), "").unwrap();
    assert!(world.store().pack_layer(&upper, &base).is_err());
    world.check();
}

/// The first bytes of the archive are a name that the container chose: here the magic of gzip.
fn a_name_like_a_compressed_file_is_a_name() {
    use std::os::unix::ffi::OsStrExt;
    let (world, upper, _folder) = world_with_base();
    let name = std::ffi::OsStr::from_bytes(b"\x1f\x8b\x08\x01");
    fs::write(upper.join(name), "x").unwrap();
    commit(world.store(), &upper, "base:1", "made:1");
    world.check();
    let made = world.store().resolve("made:1").unwrap();
    assert!(
        world.store().layer_directories(&made)[0]
            .join(name)
            .exists()
    );
}

fn what_is_saved_is_loaded() {
    let (world, upper, _folder) = world_with_base();
    fs::write(upper.join("note"), "hello").unwrap();
    let id = commit(world.store(), &upper, "base:1", "made:1");
    world
        .store()
        .tag(&id, &Reference::parse("made:2").unwrap())
        .unwrap();
    let archive = save(world.store(), &["made", "base:1"]);
    let other = World::new(unpackers().remove(0).1);
    assert_eq!(
        other.load_messages(&archive).unwrap(),
        [
            "Loaded image: made:1",
            "Loaded image: made:2",
            "Loaded image: base:1"
        ]
    );
    other.check();
    let made = other.store().resolve("made:2").unwrap();
    assert_eq!(made.id, id);
    assert_eq!(
        made.parent,
        Some(other.store().resolve("base:1").unwrap().id)
    );
    // The same images are the same archive.
    assert_eq!(save(other.store(), &["made", "base:1"]), archive);
    // By an id there is no name, and no parent that is not in the archive.
    let third = World::new(unpackers().remove(0).1);
    let archive = save(world.store(), &[&id.short()]);
    assert_eq!(
        third.load_messages(&archive).unwrap(),
        [format!("Loaded image ID: {id}")]
    );
    assert_eq!(third.store().get(&id).unwrap().parent, None);
}

fn what_cannot_be_saved_says_why() {
    let (world, ..) = world_with_base();
    let save = |name: &str| {
        let error = world.store().save(&[name.to_owned()]).err().unwrap();
        (error.status(), error.to_string())
    };
    assert_eq!(save("none"), (404, "No such image: none".into()));
    assert_eq!(save("base:2"), (404, "reference does not exist".into()));
    let upper = "invalid reference format: repository name (library/BASE) must be lowercase";
    assert_eq!(save("BASE"), (500, upper.into()));
}

/// A layer whose files were changed on disk is not handed out as if it were whole.
fn a_damaged_layer_is_not_saved() {
    let (world, ..) = world_with_base();
    let base = world.store().resolve("base:1").unwrap();
    let path = world.store().layer_directories(&base)[0].join("etc/passwd");
    fs::write(path, "evil").unwrap();
    let saving = world.store().save(&["base:1".into()]).unwrap();
    let error = world.store().write_archive(&saving, &mut Vec::new());
    assert!(error.unwrap_err().to_string().contains("is damaged"));
}

fn parents_stay_until_their_children_go() {
    let (world, upper, _folder) = world_with_base();
    let store = world.store();
    fs::write(upper.join("one"), "1").unwrap();
    let middle = commit(store, &upper, "base:1", "middle:1");
    fs::write(upper.join("two"), "22").unwrap();
    let top = commit(store, &upper, "middle:1", "top:1");
    let base = store.resolve("base:1").unwrap();
    let error = store
        .remove(&middle.to_string(), FORCE, &nobody)
        .unwrap_err();
    let text = format!(
        "conflict: unable to delete {} (cannot be forced) - image has dependent child images",
        middle.short()
    );
    assert_eq!((error.status(), error.to_string()), (409, text));
    let gone = store.remove("middle:1", RemoveOptions::default(), &nobody);
    assert_eq!(gone.unwrap(), [Removed::Untagged("middle:1".into())]);
    let (middle, top) = (store.get(&middle).unwrap(), store.get(&top).unwrap());
    let gone = store
        .remove("top:1", RemoveOptions::default(), &nobody)
        .unwrap();
    let layer = |image: &Image| Removed::Deleted(*image.chain_ids.last().unwrap());
    // The base has a name, so it stays.
    assert_eq!(
        gone,
        [
            Removed::Untagged("top:1".into()),
            Removed::Deleted(top.id),
            layer(&top),
            Removed::Deleted(middle.id),
            layer(&middle),
        ]
    );
    world.check();
    assert_eq!(store.list().len(), 1);
    assert_eq!(store.list()[0].id, base.id);
}

fn parents_in_use_or_wanted_stay() {
    let (world, upper, _folder) = world_with_base();
    let store = world.store();
    let prepare = || {
        fs::write(upper.join("one"), "1").unwrap();
        let middle = commit(store, &upper, "base:1", "middle:1");
        let top = commit(store, &upper, "middle:1", "top:1");
        store
            .remove("middle:1", RemoveOptions::default(), &nobody)
            .unwrap();
        assert_ne!(top, middle);
        middle
    };
    let middle = prepare();
    let used = |id: &Digest| {
        (*id == middle).then(|| InUse {
            container_id: "c".repeat(64),
            running: false,
        })
    };
    store
        .remove("top:1", RemoveOptions::default(), &used)
        .unwrap();
    assert!(store.get(&middle).is_some());
    store
        .remove(&middle.to_string(), RemoveOptions::default(), &nobody)
        .unwrap();
    let middle = prepare();
    let keep = RemoveOptions {
        keep_parents: true,
        ..RemoveOptions::default()
    };
    store.remove("top:1", keep, &nobody).unwrap();
    assert!(store.get(&middle).is_some());
    world.check();
}

/// An archive that names two images as each other's parents makes neither of them eternal.
fn nobody_is_his_own_ancestor() {
    let (world, upper, _folder) = world_with_base();
    let id = commit(world.store(), &upper, "base:1", "made:1");
    let base = world.store().resolve("base:1").unwrap().id;
    let archive = save(world.store(), &["made:1", "base:1"]);
    // The base has no such field: it gets one in the place of another that nobody reads.
    let text = String::from_utf8_lossy(&archive).into_owned();
    assert!(text.contains(&format!("\"Parent\":\"{base}\"")));
    let mut archive = archive;
    let begin = text.find("[{\"Config\"").unwrap();
    let end = begin + text[begin..].find('\0').unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text[begin..end]).unwrap();
    let mut evil = manifest.clone();
    for item in evil.as_array_mut().unwrap() {
        item.as_object_mut().unwrap().remove("LayerSources");
    }
    evil[1]["Parent"] = serde_json::json!(id);
    let mut evil = serde_json::to_vec(&evil).unwrap();
    evil.resize(end - begin, b' ');
    archive[begin..end].copy_from_slice(&evil);
    let other = World::new(unpackers().remove(0).1);
    other.load(&archive).unwrap();
    assert_eq!(other.store().get(&base).unwrap().parent, None);
    assert_eq!(other.store().get(&id).unwrap().parent, Some(base));
}

fn main() -> ExitCode {
    let tests: [(&str, fn()); 10] = [
        ("a commit adds a layer", a_commit_adds_a_layer),
        ("no change is no layer", no_change_is_no_layer),
        (
            "a packed layer that becomes no image leaves nothing",
            a_packed_layer_that_becomes_no_image_leaves_nothing,
        ),
        (
            "a name like a compressed file is a name",
            a_name_like_a_compressed_file_is_a_name,
        ),
        ("what is saved is loaded", what_is_saved_is_loaded),
        (
            "what cannot be saved says why",
            what_cannot_be_saved_says_why,
        ),
        ("a damaged layer is not saved", a_damaged_layer_is_not_saved),
        (
            "parents stay until their children go",
            parents_stay_until_their_children_go,
        ),
        (
            "parents in use or wanted stay",
            parents_in_use_or_wanted_stay,
        ),
        ("nobody is his own ancestor", nobody_is_his_own_ancestor),
    ];
    let trial = |(name, test): (&str, fn())| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    support::main(tests.into_iter().map(trial).collect())
}
