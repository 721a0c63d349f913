//! What the store promises: load, import, many at once, restarts, damage. The texts are those of Docker 28.5.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use drydock_image::{
    Digest, ImportOptions, InUse, LoadEvent, Reference, RemoveOptions, Store, Unpacker,
};
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

fn loading() {
    let world = world();
    let layers = [layer("a", b"hello"), layer("b", b"world!")];
    let archive = image("app:1", &[&layers[0], &layers[1]]);
    assert_eq!(
        world.load_messages(&archive).unwrap(),
        ["Loaded image: app:1"]
    );
    let image = world.store().resolve("app:1").unwrap();
    assert_eq!(image.size, 11);
    assert_eq!(image.repo_tags, ["app:1"]);
    assert_eq!(image.repo_digests, Vec::<String>::new());
    assert_eq!(
        (image.os.as_str(), image.architecture.as_str()),
        ("linux", "amd64")
    );
    assert_eq!(image.created.as_deref(), Some("2024-01-01T00:00:00Z"));
    assert_eq!(image.config["config"]["Cmd"], serde_json::json!(["sh"]));
    assert_eq!(image.last_tagged, None);
    // The top layer first.
    let directories = world.store().layer_directories(&image);
    assert_eq!(fs::read(directories[0].join("b")).unwrap(), b"world!");
    assert_eq!(fs::read(directories[1].join("a")).unwrap(), b"hello");
    // Again: the same text, and nothing twice.
    assert_eq!(
        world.load_messages(&archive).unwrap(),
        ["Loaded image: app:1"]
    );
    world.check();
}

fn progress() {
    let world = world();
    let big = layer("a", &vec![7; 3 << 20]);
    let mut events = Vec::new();
    let archive = image("app:1", &[&big]);
    world
        .store()
        .load(&mut &archive[..], &mut |event| events.push(event))
        .unwrap();
    let (diff_id, total) = (Digest::of(&big), big.len() as u64);
    assert_eq!(
        events[events.len() - 2],
        LoadEvent::Layer {
            diff_id,
            current: total,
            total
        }
    );
    assert!((4..20).contains(&events.len()), "{}", events.len());
    // A layer that is there already is not mentioned.
    events.clear();
    world
        .store()
        .load(&mut &archive[..], &mut |event| events.push(event))
        .unwrap();
    assert_eq!(events, [LoadEvent::Message("Loaded image: app:1".into())]);
}

fn compressed() {
    let world = world();
    let plain = layer("a", b"hello");
    let expected = world.load(&image("plain:1", &[&plain])).unwrap()[0].id;
    // The layer compressed, the whole archive compressed, both: the id is over the uncompressed bytes.
    let compressed_layer = image_with("gz:1", &config(&[&plain]), &[&gzip(&plain)]);
    for archive in [
        compressed_layer.clone(),
        gzip(&compressed_layer),
        gzip(&image("x:1", &[&plain])),
    ] {
        let mut fresh = World::new(Unpacker::InProcess);
        assert_eq!(fresh.load(&archive).unwrap()[0].id, expected);
        fresh.check();
        fresh.open();
        fresh.check();
    }
}

fn oci_layout() {
    let world = world();
    let bytes = layer("a", b"hello");
    let config = config(&[&bytes]);
    let blob = |bytes: &[u8]| file(&format!("blobs/sha256/{}", Digest::of(bytes).hex()), bytes);
    let descriptor = |bytes: &[u8]| serde_json::json!({"mediaType": "x", "digest": Digest::of(bytes), "size": bytes.len()});
    let manifest = serde_json::json!({"schemaVersion": 2, "config": descriptor(&config), "layers": [descriptor(&bytes)]});
    let manifest = manifest.to_string().into_bytes();
    let mut own = descriptor(&manifest);
    own["platform"] = serde_json::json!({"os": "linux", "architecture": "amd64"});
    let mut attestation = descriptor(b"{}");
    attestation["platform"] = serde_json::json!({"os": "unknown", "architecture": "unknown"});
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [attestation, own]})
        .to_string()
        .into_bytes();
    let mut top = descriptor(&index);
    top["annotations"] = serde_json::json!({"io.containerd.image.name": "docker.io/library/app:2"});
    let top = serde_json::json!({"schemaVersion": 2, "manifests": [top]})
        .to_string()
        .into_bytes();
    let members = [
        file("index.json", &top),
        blob(&index),
        blob(&manifest),
        blob(&config),
        blob(&bytes),
    ];
    assert_eq!(
        world.load_messages(&tar(&members)).unwrap(),
        ["Loaded image: app:2"]
    );
    world.check();
    // A blob that is not what its name says.
    let lying = file(
        &format!("blobs/sha256/{}", Digest::of(&manifest).hex()),
        b"{\"config\":{}}",
    );
    let members = [
        file("index.json", &top),
        blob(&index),
        lying,
        blob(&config),
        blob(&bytes),
    ];
    assert!(
        world
            .load(&tar(&members))
            .unwrap_err()
            .to_string()
            .contains("do not have that digest")
    );
    world.check();
}

/// Archives that are no images. Docker 28.5 has the same texts, but for those that name its own files.
fn corrupt() {
    let world = world();
    let bytes = layer("a", b"hello");
    let whole = image("app:1", &[&bytes]);
    let one = |manifest: &str| {
        tar(&[
            file("c", &config(&[&bytes])),
            file("l", &bytes),
            file("manifest.json", manifest.as_bytes()),
        ])
    };
    let item = |tag: &str| {
        one(&format!(
            r#"[{{"Config":"c","RepoTags":["{tag}"],"Layers":["l"]}}]"#
        ))
    };
    let garbage: Vec<u8> = (0..5000u32)
        .map(|index| (index * 7 % 251 + 1) as u8)
        .collect();
    let zeros = format!("sha256:{}", "0".repeat(64));
    let wrong = String::from_utf8(config(&[&bytes]))
        .unwrap()
        .replace(&Digest::of(&bytes).to_string(), &zeros);
    let windows = String::from_utf8(config(&[]))
        .unwrap()
        .replace("linux", "windows");
    let mut bad_checksum = gzip(&bytes);
    let position = bad_checksum.len() - 6;
    bad_checksum[position] ^= 1;
    let cases: Vec<(&str, Vec<u8>, String)> = vec![
        (
            "garbage",
            garbage.clone(),
            "archive/tar: invalid tar header".into(),
        ),
        (
            "nothing",
            vec![],
            "/repositories: no such file or directory".into(),
        ),
        (
            "an end mark",
            vec![0; 1024],
            "/repositories: no such file or directory".into(),
        ),
        (
            "an archive of before Docker 1.10",
            tar(&[file("repositories", b"{}")]),
            "the archive is in the format of Docker before 1.10".into(),
        ),
        (
            "cut in a header",
            whole[..700].to_vec(),
            "unexpected EOF".into(),
        ),
        (
            "cut in a file",
            whole[..1500].to_vec(),
            "unexpected EOF".into(),
        ),
        (
            "cut gzip",
            gzip(&whole)[..200].to_vec(),
            "unexpected EOF".into(),
        ),
        (
            "../ members",
            tar(&[file("../x", b""), file("manifest.json", b"[]")]),
            "invalid entry name \"../x\"".into(),
        ),
        ("no JSON", one("{nope"), "invalid manifest.json".into()),
        ("an object", one("{}"), "invalid manifest.json".into()),
        (
            "null",
            one("null"),
            "invalid manifest, manifest cannot be null (but can be [])".into(),
        ),
        (
            "a config that is not there",
            one(r#"[{"Config":"x","Layers":[]}]"#),
            "/x: no such file or directory".into(),
        ),
        (
            "a config outside",
            one(r#"[{"Config":"../../../etc/passwd","Layers":[]}]"#),
            "no such file or directory".into(),
        ),
        (
            "a layer that is not there",
            one(r#"[{"Config":"c","Layers":["x"]}]"#),
            "/x: no such file or directory".into(),
        ),
        (
            "an upper-case name",
            item("App:1"),
            "invalid reference format: repository name (library/App) must be lowercase".into(),
        ),
        (
            "a name without a tag",
            item("app"),
            "invalid tag \"app\"".into(),
        ),
        (
            "a name with a digest",
            item(&format!("app@{zeros}")),
            format!("invalid tag \"app@{zeros}\""),
        ),
        (
            "too many layers",
            one(r#"[{"Config":"c","Layers":["l","l"]}]"#),
            "invalid manifest, layers length mismatch: expected 2, got 1".into(),
        ),
        (
            "no rootfs",
            image_with("a:1", b"{}", &[]),
            "invalid image JSON, no RootFS key".into(),
        ),
        (
            "a config that is no JSON",
            image_with("a:1", b"{", &[]),
            "invalid image JSON".into(),
        ),
        (
            "Windows",
            image_with("a:1", windows.as_bytes(), &[]),
            "cannot load windows image on linux".into(),
        ),
        (
            "a wrong diffID",
            image_with("a:1", wrong.as_bytes(), &[&bytes]),
            format!(
                "invalid diffID for layer 0: expected \"{zeros}\", got \"{}\"",
                Digest::of(&bytes)
            ),
        ),
        (
            "a layer of garbage",
            image_with("a:1", &config(&[&bytes]), &[&garbage]),
            "archive/tar: invalid tar header".into(),
        ),
        (
            "a cut layer",
            image_with("a:1", &config(&[&bytes]), &[&bytes[..515]]),
            "unexpected EOF".into(),
        ),
        (
            "a cut gzip layer",
            image_with("a:1", &config(&[&bytes]), &[&gzip(&bytes)[..60]]),
            "unexpected EOF".into(),
        ),
        (
            "a gzip layer with a wrong checksum",
            image_with("a:1", &config(&[&bytes]), &[&bad_checksum]),
            "corrupt".into(),
        ),
        (
            "a huge manifest",
            one(&" ".repeat(5 << 20)),
            "more than 4194304 bytes".into(),
        ),
        (
            "a deep manifest",
            one(&"[".repeat(100_000)),
            "invalid manifest.json".into(),
        ),
    ];
    for (name, archive, text) in cases {
        let error = world.load(&archive).expect_err(name);
        assert!(error.to_string().contains(&text), "{name}: {error}");
        assert_eq!(error.status(), 500, "{name}");
        assert!(world.store().list().is_empty(), "{name}");
        world.check();
    }
    // An archive with a good image before a bad one brings neither.
    let good = layer("g", b"good");
    let manifest = r#"[{"Config":"g","RepoTags":["g:1"],"Layers":["gl"]},{"Config":"c","RepoTags":["c:1"],"Layers":["gl"]}]"#;
    let both = tar(&[
        file("g", &config(&[&good])),
        file("gl", &good),
        file("c", &config(&[&bytes])),
        file("manifest.json", manifest.as_bytes()),
    ]);
    assert!(
        world
            .load(&both)
            .unwrap_err()
            .to_string()
            .contains("invalid diffID")
    );
    assert!(world.store().list().is_empty());
    world.check();
}

fn links_between_members() {
    let world = world();
    let bytes = layer("a", b"hello");
    let members = [
        file("x/layer.tar", &bytes),
        symbolic_link("y/layer.tar", "../x/layer.tar"),
        hard_link("z", "x/layer.tar"),
        symbolic_link("circle", "circle"),
        file("c", &config(&[&bytes, &bytes, &bytes])),
        file(
            "manifest.json",
            br#"[{"Config":"c","RepoTags":null,"Layers":["x/layer.tar","y/layer.tar","z"]}]"#,
        ),
    ];
    let messages = world.load_messages(&tar(&members)).unwrap();
    let id = world.store().list()[0].id;
    assert_eq!(messages, [format!("Loaded image ID: {id}")]);
    world.check();
    let members = [
        file("manifest.json", br#"[{"Config":"circle","Layers":[]}]"#),
        symbolic_link("circle", "circle"),
    ];
    assert!(world.load(&tar(&members)).is_err());
}

fn importing() {
    let world = world();
    let root = tar(&[directory("bin"), file("bin/sh", b"#!")]);
    let changes = ["CMD [\"sh\"]".to_owned(), "ENV A=b".to_owned()];
    let options = ImportOptions {
        reference: Some(reference("base")),
        config: drydock_image::config_from_changes(serde_json::Map::new(), &changes).unwrap(),
        message: "a message".into(),
        platform: None,
    };
    for archive in [root.clone(), gzip(&root)] {
        world
            .store()
            .import(&mut &archive[..], options.clone())
            .unwrap();
        let image = world.store().resolve("base:latest").unwrap();
        assert_eq!(image.diff_ids, [Digest::of(&root)]);
        assert_eq!(
            (image.size, image.comment.as_str(), image.os.as_str()),
            (2, "a message", "linux")
        );
        assert_eq!(
            image.config["config"],
            serde_json::json!({"Cmd": ["sh"], "Env": ["A=b"]})
        );
        assert_eq!(image.config["history"][0]["comment"], "a message");
        assert!(image.last_tagged.is_some());
    }
    let import = |platform: &str, name: Option<&str>| {
        let options = ImportOptions {
            reference: name.map(reference),
            platform: Some(platform.into()),
            ..ImportOptions::default()
        };
        world.store().import(&mut &root[..], options)
    };
    let arm = world
        .store()
        .get(&import("linux/arm/v7", None).unwrap())
        .unwrap();
    assert_eq!(
        (arm.architecture.as_str(), arm.variant.as_deref()),
        ("arm", Some("v7"))
    );
    assert_eq!(arm.comment, "Imported from -");
    for (platform, text) in [
        ("windows", "operating system is not supported"),
        (
            "bogus",
            "\"bogus\": unknown operating system or architecture: invalid argument",
        ),
    ] {
        let error = import(platform, None).unwrap_err();
        assert_eq!((error.status(), error.to_string().as_str()), (400, text));
    }
    let error = import("linux", Some(&format!("x@{}", Digest::of(b"")))).unwrap_err();
    assert_eq!(
        (error.status(), error.to_string().as_str()),
        (400, "cannot import digest reference")
    );
    for (archive, text) in [
        (&root[..1500], "unexpected EOF"),
        (&[b'x'; 600][..], "archive/tar: invalid tar header"),
    ] {
        let error = world.import(archive).unwrap_err();
        assert_eq!((error.status(), error.to_string().as_str()), (500, text));
    }
    world.check();
}

/// 16 loads of images with common layers, against removals, and readers that never see half of anything.
fn many_at_once() {
    let mut world = world();
    let base = layer("base", &vec![1; 200_000]);
    let archives: Vec<Vec<u8>> = (0..16)
        .map(|index| {
            image(
                &format!("app:{index}"),
                &[&base, &layer("x", format!("{}", index / 2).as_bytes())],
            )
        })
        .collect();
    let done = AtomicBool::new(false);
    let store = world.store();
    std::thread::scope(|scope| {
        let readers = scope.spawn(|| {
            let mut rounds = 0;
            while !done.load(Ordering::Relaxed) {
                for image in store.list() {
                    assert_eq!(image.chain_ids.len(), 2);
                    assert!(image.size > 200_000);
                }
                rounds += 1;
            }
            rounds
        });
        let workers: Vec<_> = archives
            .iter()
            .enumerate()
            .map(|(index, archive)| {
                scope.spawn(move || {
                    for _ in 0..5 {
                        store.load(&mut &archive[..], &mut |_| {}).unwrap();
                        store
                            .remove(&format!("app:{index}"), RemoveOptions::default(), &nobody)
                            .unwrap();
                    }
                    store.load(&mut &archive[..], &mut |_| {}).unwrap();
                })
            })
            .collect();
        workers
            .into_iter()
            .for_each(|worker| worker.join().unwrap());
        done.store(true, Ordering::Relaxed);
        assert!(readers.join().unwrap() > 0);
    });
    assert_eq!(world.store().list().len(), 8);
    world.check();
    world.open();
    world.check();
}

fn a_failed_read_changes_nothing() {
    /// Fails in the middle.
    struct Broken<'a>(&'a [u8]);
    impl Read for Broken<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::Error::from(io::ErrorKind::ConnectionReset)),
                count => Ok(count),
            }
        }
    }
    let world = world();
    let archive = image("app:1", &[&layer("a", &vec![1; 100_000])]);
    for length in [0, 100, 5000, archive.len() - 10] {
        assert!(
            world
                .store()
                .load(&mut Broken(&archive[..length]), &mut |_| {})
                .is_err()
        );
        let root = Broken(&archive[..length]);
        let mut root = root;
        assert!(
            world
                .store()
                .import(&mut root, ImportOptions::default())
                .is_err()
        );
        world.check();
    }
}

fn half_made_things_are_swept() {
    let mut world = world();
    world.load(&image("app:1", &[&layer("a", b"x")])).unwrap();
    let root = world.root();
    world.store = None;
    let stray = "ab".repeat(32);
    fs::create_dir_all(root.join("tmp/7/files")).unwrap();
    fs::create_dir_all(root.join("layers").join(&stray).join("files")).unwrap();
    fs::write(root.join("layers/junk"), "").unwrap();
    fs::write(root.join("blobs").join(&stray), "half").unwrap();
    fs::write(root.join("repositories.json.new"), "half").unwrap();
    world.open();
    world.check();
    world.load(&image("app:2", &[&layer("b", b"x")])).unwrap();
    assert!(!root.join("repositories.json.new").exists());
}

fn nothing_is_swept_without_knowing() {
    let mut world = world();
    let first = world.load(&image("app:1", &[&layer("a", b"x")])).unwrap()[0].id;
    world.load(&image("app:2", &[&layer("b", b"y")])).unwrap();
    let root = world.root();
    world.store = None;
    let open = || {
        Store::open(&root, Unpacker::InProcess)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    let good = fs::read(root.join("repositories.json")).unwrap();
    // A damaged or lost file of names stops the store; nothing goes.
    fs::write(root.join("repositories.json"), "{").unwrap();
    assert!(open().unwrap_err().contains("is damaged"));
    fs::remove_file(root.join("repositories.json")).unwrap();
    assert!(open().unwrap_err().contains("is missing"));
    fs::write(root.join("repositories.json"), good).unwrap();
    // A damaged config takes its image away, and still nothing goes.
    fs::write(root.join("blobs").join(first.hex()), "{}").unwrap();
    world.open();
    assert_eq!(world.store().list().len(), 1);
    assert_eq!(world.store().problems()[0].image, first);
    assert_eq!(names(&root.join("layers")).len(), 2);
    // Loading the image again repairs it, unlike in Docker.
    world.load(&image("app:1", &[&layer("a", b"x")])).unwrap();
    assert_eq!(world.store().list().len(), 2);
    assert!(world.store().problems().is_empty());
    world.check();
}

fn a_damaged_layer_is_found_and_replaced() {
    let world = world();
    let archive = image("app:1", &[&layer("a", b"hello")]);
    world.load(&archive).unwrap();
    let path = world
        .store()
        .layer_directories(&world.store().resolve("app:1").unwrap())[0]
        .join("a");
    for damage in [&b"hellO"[..], b"", b"hello, more"] {
        fs::write(&path, damage).unwrap();
        let problems = world.store().verify();
        assert_eq!(problems.len(), 1);
        assert!(
            problems[0].message.contains("damaged"),
            "{}",
            problems[0].message
        );
        world.load(&archive).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"hello");
        world.check();
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(world.store().verify().len(), 1);
}

fn two_daemons() {
    let world = world();
    let error = Store::open(&world.root(), Unpacker::InProcess)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("held by another process") && error.contains("hint:"),
        "{error}"
    );
}

fn folders_are_private() {
    let world = world();
    world.load(&image("app:1", &[&layer("a", b"x")])).unwrap();
    let mode = |path: &str| {
        fs::metadata(world.root().join(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(""), 0o700);
    assert_eq!(mode("layers"), 0o700);
    assert_eq!(mode("repositories.json"), 0o600);
}

fn the_unpacker_is_missing() {
    let world = World::new(Unpacker::Child {
        program: "/nonexistent/drydock".into(),
    });
    let error = world
        .load(&image("app:1", &[&layer("a", b"x")]))
        .unwrap_err();
    assert!(
        error.to_string().contains("start /nonexistent/drydock"),
        "{error}"
    );
    world.check();
    // One that dies without a word.
    let world = World::new(Unpacker::Child {
        program: "/bin/false".into(),
    });
    let error = world
        .load(&image("app:1", &[&layer("a", &vec![0; 1 << 20])]))
        .unwrap_err();
    assert!(
        error.to_string().contains("the unpacker ended with"),
        "{error}"
    );
    world.check();
    // One that says it is done and has done nothing.
    let world = World::new(Unpacker::Child {
        program: "/bin/true".into(),
    });
    assert!(world.load(&image("app:1", &[&layer("a", b"")])).is_err());
    world.check();
}

fn main() -> ExitCode {
    let tests: [(&str, fn()); 15] = [
        ("loading", loading),
        ("progress", progress),
        ("compressed", compressed),
        ("OCI layout", oci_layout),
        ("corrupt archives", corrupt),
        ("links between members", links_between_members),
        ("importing", importing),
        ("many at once", many_at_once),
        (
            "a failed read changes nothing",
            a_failed_read_changes_nothing,
        ),
        ("half-made things are swept", half_made_things_are_swept),
        (
            "nothing is swept without knowing",
            nothing_is_swept_without_knowing,
        ),
        (
            "a damaged layer is found and replaced",
            a_damaged_layer_is_found_and_replaced,
        ),
        ("two daemons", two_daemons),
        ("folders are private", folders_are_private),
        ("the unpacker is missing", the_unpacker_is_missing),
    ];
    let trial = |(name, test): (&str, fn())| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    support::main(tests.into_iter().map(trial).collect())
}
