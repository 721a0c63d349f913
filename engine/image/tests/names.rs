//! Names: what a name finds, moving one, and what goes with the last one. The texts and the order of lines
//! are those of Docker 28.5 in the same situations.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::process::ExitCode;

use drydock_image::{Digest, InUse, LoadEvent, Reference, RemoveOptions, Removed, Unpacker};
use libtest_mimic::Trial;
use support::*;

fn world() -> World {
    World::new(Unpacker::InProcess)
}

fn layer(name: &str, contents: &[u8]) -> Vec<u8> {
    tar(&[file(name, contents)])
}

fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

fn nobody(_: &Digest) -> Option<InUse> {
    None
}

fn used(running: bool) -> impl Fn(&Digest) -> Option<InUse> {
    move |_| {
        Some(InUse {
            container_id: "0123456789abcdef".repeat(4),
            running,
        })
    }
}

fn untagged(name: &str) -> Removed {
    Removed::Untagged(name.into())
}

fn resolving() {
    let world = world();
    let id = world
        .load(&image("team/app:1", &[&layer("a", b"x")]))
        .unwrap()[0]
        .id;
    let hex = id.hex();
    for name in [
        "team/app:1",
        "docker.io/team/app:1",
        &hex,
        &id.to_string(),
        &hex[..12],
        &hex[..1],
        &id.to_string()[..20],
    ] {
        assert_eq!(world.store().resolve(name).unwrap().id, id, "{name}");
    }
    let zeros = "0".repeat(64);
    let cases = [
        ("team/app", 404, "No such image: team/app:latest".to_owned()),
        ("nope", 404, "No such image: nope:latest".into()),
        (
            "docker.io/library/nope:1",
            404,
            "No such image: nope:1".into(),
        ),
        (&zeros, 404, format!("No such image: sha256:{zeros}")),
        ("sha256:abc", 404, "No such image: sha256:abc".into()),
        ("", 400, "invalid reference format".into()),
        (
            "Nope",
            400,
            "invalid reference format: repository name (library/Nope) must be lowercase".into(),
        ),
        (
            "Bad NAME",
            400,
            "invalid reference format: repository name (library/Bad NAME) must be lowercase".into(),
        ),
    ];
    for (name, status, text) in cases {
        let error = world.store().resolve(name).unwrap_err();
        assert_eq!(
            (error.status(), error.to_string()),
            (status, text),
            "{name}"
        );
    }
    // A name goes before an id that begins like it.
    let other = world
        .load(&image(
            &format!("{}:latest", &hex[..4]),
            &[&layer("b", b"y")],
        ))
        .unwrap()[0]
        .id;
    assert_eq!(world.store().resolve(&hex[..4]).unwrap().id, other);
    // A prefix of two ids names none of them.
    let mut loaded = 0;
    while world.store().resolve(&hex[..1]).is_ok() {
        loaded += 1;
        let bytes = layer("c", format!("{loaded}").as_bytes());
        world.load(&image("many:1", &[&bytes])).unwrap();
        assert!(loaded < 300, "no second id that begins with {}", &hex[..1]);
    }
}

fn removing() {
    let world = world();
    let layers = [layer("a", b"hello"), layer("b", b"world")];
    let archive = image("app:1", &[&layers[0], &layers[1]]);
    let id = world.load(&archive).unwrap()[0].id;
    let chain = world.store().get(&id).unwrap().chain_ids.clone();
    let all = [
        Removed::Deleted(id),
        Removed::Deleted(chain[1]),
        Removed::Deleted(chain[0]),
    ];
    let short = id.short();

    // One of two names, then the last one.
    world.store().tag(&id, &reference("other:x")).unwrap();
    assert_eq!(
        world
            .store()
            .remove("app:1", RemoveOptions::default(), &nobody)
            .unwrap(),
        [untagged("app:1")]
    );
    let gone = world
        .store()
        .remove("other:x", RemoveOptions::default(), &nobody)
        .unwrap();
    assert_eq!(gone, [&[untagged("other:x")][..], &all].concat());
    world.check();

    // By id: two names need force.
    world.load(&archive).unwrap();
    world.store().tag(&id, &reference("other:x")).unwrap();
    let error = world
        .store()
        .remove(&short, RemoveOptions::default(), &nobody)
        .unwrap_err();
    let text = format!(
        "conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories"
    );
    assert_eq!((error.status(), error.to_string()), (409, text));
    let gone = world.store().remove(&short, FORCE, &nobody).unwrap();
    assert_eq!(
        gone,
        [&[untagged("app:1"), untagged("other:x")][..], &all].concat()
    );
    world.check();
    assert_eq!(
        world
            .store()
            .remove("app:1", FORCE, &nobody)
            .unwrap_err()
            .to_string(),
        "No such image: app:1"
    );
}

fn removing_what_is_used() {
    let mut world = world();
    let archive = image("app:latest", &[&layer("a", b"hello")]);
    let id = world.load(&archive).unwrap()[0].id;
    let (short, container) = (id.short(), "0123456789ab");
    let refused = |world: &World, name: &str, force: bool, running: bool, text: String| {
        let error = world
            .store()
            .remove(
                name,
                RemoveOptions {
                    force,
                    ..RemoveOptions::default()
                },
                &used(running),
            )
            .unwrap_err();
        assert_eq!((error.status(), error.to_string()), (409, text));
    };
    let by_name = format!(
        "conflict: unable to remove repository reference \"app\" (must force) - container {container} is using its referenced image {short}"
    );
    let running = format!(
        "conflict: unable to delete {short} (cannot be forced) - image is being used by running container {container}"
    );
    let stopped = format!(
        "conflict: unable to delete {short} (must be forced) - image is being used by stopped container {container}"
    );
    refused(&world, "app", false, true, by_name.clone());
    refused(&world, "app", false, false, by_name);
    refused(&world, &short, false, true, running.clone());
    refused(&world, &short, true, true, running.clone());
    refused(&world, &short, false, false, stopped);
    // One of two names can go.
    world.store().tag(&id, &reference("app:2")).unwrap();
    refused(&world, &short, false, true, running.clone());
    assert_eq!(
        world
            .store()
            .remove("app:2", RemoveOptions::default(), &used(true))
            .unwrap(),
        [untagged("app:2")]
    );
    // With force the last name goes, and the image stays.
    assert_eq!(
        world.store().remove("app", FORCE, &used(true)).unwrap(),
        [untagged("app:latest")]
    );
    assert_eq!(world.store().list().len(), 1);
    refused(&world, &short, true, true, running);

    // With force and a stopped container the image goes from all lists, but not from under the container.
    world.store().tag(&id, &reference("app")).unwrap();
    let gone = world.store().remove("app", FORCE, &used(false)).unwrap();
    assert_eq!(gone, [untagged("app:latest"), Removed::Deleted(id)]);
    assert!(world.store().list().is_empty());
    assert_eq!(world.store().resolve(&short).unwrap_err().status(), 404);
    world.open();
    world.store().release(&used(false)).unwrap();
    let kept = world.store().get(&id).unwrap();
    assert_eq!(
        fs::read(world.store().layer_directories(&kept)[0].join("a")).unwrap(),
        b"hello"
    );
    // Loaded again it is back as if nothing had been.
    world.load(&archive).unwrap();
    assert_eq!(world.store().list().len(), 1);
    world.store().remove("app", FORCE, &used(false)).unwrap();
    world.store().release(&nobody).unwrap();
    assert!(world.store().get(&id).is_none());
    world.check();
}

fn shared_layers() {
    let mut world = world();
    let (base, one, two) = (
        layer("base", b"base"),
        layer("one", b"1"),
        layer("two", b"2"),
    );
    let first = world.load(&image("one:1", &[&base, &one])).unwrap()[0].id;
    world.load(&image("two:1", &[&base, &two])).unwrap();
    assert_eq!(names(&world.root().join("layers")).len(), 3);
    let chain = world.store().get(&first).unwrap().chain_ids.clone();
    let gone = world
        .store()
        .remove("one:1", RemoveOptions::default(), &nobody)
        .unwrap();
    assert_eq!(
        gone,
        [
            untagged("one:1"),
            Removed::Deleted(first),
            Removed::Deleted(chain[1])
        ]
    );
    world.check();
    // The same bytes on another base are another layer of the stack.
    world.load(&image("three:1", &[&two, &base])).unwrap();
    world.check();
    world.open();
    world.check();
    assert_eq!(world.store().list().len(), 2);
}

fn names_move() {
    let world = world();
    let (old, new) = (layer("a", b"old"), layer("a", b"new"));
    let old_id = world.load(&image("app:1", &[&old])).unwrap()[0].id;
    let messages = world.load_messages(&image("app:1", &[&new])).unwrap();
    let renamed = format!(
        "The image app:1 already exists, renaming the old one with ID {old_id} to empty string"
    );
    assert_eq!(messages, [renamed, "Loaded image: app:1".to_owned()]);
    let old = world.store().get(&old_id).unwrap();
    assert!(old.repo_tags.is_empty());
    world.store().tag(&old_id, &reference("app")).unwrap();
    let old = world.store().get(&old_id).unwrap();
    assert_eq!(old.repo_tags, ["app:latest"]);
    assert!(old.last_tagged.is_some());
    let error = world
        .store()
        .tag(&old_id, &reference(&format!("app@{old_id}")))
        .unwrap_err();
    assert_eq!(
        (error.status(), error.to_string().as_str()),
        (400, "refusing to create a tag with a digest reference")
    );
    assert_eq!(
        world
            .store()
            .tag(&Digest::of(b"x"), &reference("x"))
            .unwrap_err()
            .status(),
        404
    );
}

/// A load that relies on a layer of the store, against a removal of the only image that has it.
fn a_load_holds_the_layers_it_found() {
    let world = world();
    let (base, top) = (layer("base", b"base"), layer("top", b"top"));
    world.load(&image("one:1", &[&base])).unwrap();
    let mut removed = None;
    let archive = image("two:1", &[&base, &top]);
    world
        .store()
        .load(&mut &archive[..], &mut |event| {
            // The base has been looked up when the top is being unpacked.
            if matches!(event, LoadEvent::Layer { .. }) && removed.is_none() {
                removed = Some(
                    world
                        .store()
                        .remove("one:1", RemoveOptions::default(), &nobody)
                        .unwrap(),
                );
            }
        })
        .unwrap();
    assert_eq!(
        removed.unwrap().len(),
        2,
        "the name and the image, but not the layer"
    );
    world.check();
}

fn main() -> ExitCode {
    let tests: [(&str, fn()); 6] = [
        (
            "a load holds the layers it found",
            a_load_holds_the_layers_it_found,
        ),
        ("names move", names_move),
        ("resolving", resolving),
        ("removing", removing),
        ("removing what is used", removing_what_is_used),
        ("shared layers", shared_layers),
    ];
    let trial = |(name, test): (&str, fn())| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    support::main(tests.into_iter().map(trial).collect())
}
