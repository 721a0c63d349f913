//! What the tests of the store share: archives made in memory, a store in a folder of its own, and the
//! program that runs the tests, which is also the sandboxed unpacker.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use drydock_image::{
    Digest, Error, ImportOptions, LoadEvent, Loaded, RemoveOptions, Store, Unpacker,
};
use libtest_mimic::{Arguments, Failed, Trial};

/// Runs the tests, or the unpacker if that is what this process was started as.
pub fn main(trials: Vec<Trial>) -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|word| word == "unpack") {
        return drydock_image::unpack_main(arguments);
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// A test that needs root, and says so where it does not have it.
pub fn root_trial(
    name: impl Into<String>,
    test: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Trial {
    Trial::test(name, test)
        .with_kind("needs root")
        .with_ignored_flag(!is_root())
}

pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Both ways to unpack. A child needs root, so there is none without.
pub fn unpackers() -> Vec<(&'static str, Unpacker)> {
    let program = std::env::current_exe().expect("the test's own program");
    vec![
        ("in process", Unpacker::InProcess),
        ("child", Unpacker::Child { program }),
    ]
}

/// `rmi --force`.
pub const FORCE: RemoveOptions = RemoveOptions {
    force: true,
    keep_parents: false,
};

/// One member of a tar archive.
#[derive(Clone)]
pub struct Member {
    pub name: Vec<u8>,
    pub kind: u8,
    pub contents: Vec<u8>,
    pub link: Vec<u8>,
    pub mode: u32,
    pub owner: (u64, u64),
    pub modified: u64,
    pub device: (u32, u32),
    pub pax: Vec<(String, Vec<u8>)>,
}

/// A regular file.
pub fn file(name: &str, contents: &[u8]) -> Member {
    Member {
        name: name.as_bytes().to_vec(),
        kind: b'0',
        contents: contents.to_vec(),
        link: Vec::new(),
        mode: 0o644,
        owner: (
            nix::unistd::geteuid().as_raw().into(),
            nix::unistd::getegid().as_raw().into(),
        ),
        modified: 1_600_000_000,
        device: (0, 0),
        pax: Vec::new(),
    }
}

pub fn directory(name: &str) -> Member {
    Member {
        kind: b'5',
        mode: 0o755,
        ..file(name, b"")
    }
}

pub fn symbolic_link(name: &str, target: &str) -> Member {
    Member {
        kind: b'2',
        link: target.as_bytes().to_vec(),
        ..file(name, b"")
    }
}

pub fn hard_link(name: &str, target: &str) -> Member {
    Member {
        kind: b'1',
        ..symbolic_link(name, target)
    }
}

pub fn special(name: &str, kind: u8, device: (u32, u32)) -> Member {
    Member {
        kind,
        device,
        ..file(name, b"")
    }
}

impl Member {
    pub fn with_pax(mut self, key: &str, value: &[u8]) -> Member {
        self.pax.push((key.to_owned(), value.to_vec()));
        self
    }

    pub fn with_mode(self, mode: u32) -> Member {
        Member { mode, ..self }
    }

    fn write(&self, archive: &mut Vec<u8>) {
        if !self.pax.is_empty() {
            let records = self
                .pax
                .iter()
                .flat_map(|(key, value)| pax_record(key, value))
                .collect::<Vec<u8>>();
            Member {
                kind: b'x',
                ..file("pax", &records)
            }
            .write(archive);
        }
        for (long, kind) in [(&self.name, b'L'), (&self.link, b'K')] {
            if long.len() > 100 {
                let contents = [long.as_slice(), b"\0"].concat();
                Member {
                    kind,
                    ..file("././@LongLink", &contents)
                }
                .write(archive);
            }
        }
        let mut header = tar::Header::new_ustar();
        let short = |bytes: &[u8]| bytes[..bytes.len().min(100)].to_vec();
        header.as_old_mut().name[..short(&self.name).len()].copy_from_slice(&short(&self.name));
        header.as_old_mut().linkname[..short(&self.link).len()].copy_from_slice(&short(&self.link));
        header.set_entry_type(tar::EntryType::new(self.kind));
        header.set_size(self.contents.len() as u64);
        header.set_mode(self.mode);
        header.set_uid(self.owner.0);
        header.set_gid(self.owner.1);
        header.set_mtime(self.modified);
        header
            .set_device_major(self.device.0)
            .expect("a ustar header");
        header
            .set_device_minor(self.device.1)
            .expect("a ustar header");
        header.set_cksum();
        archive.extend_from_slice(header.as_bytes());
        archive.extend_from_slice(&self.contents);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
}

fn pax_record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let length = (rest + 1..)
        .find(|length| rest + length.to_string().len() == *length)
        .expect("a length");
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

/// A tar archive.
pub fn tar(members: &[Member]) -> Vec<u8> {
    let mut archive = Vec::new();
    members.iter().for_each(|member| member.write(&mut archive));
    archive.resize(archive.len() + 1024, 0);
    archive
}

/// The config document of an image of these layers.
pub fn config(layers: &[&[u8]]) -> Vec<u8> {
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
    serde_json::to_vec(&serde_json::json!({
        "architecture": "amd64", "os": "linux", "created": "2024-01-01T00:00:00Z",
        "config": {"Cmd": ["sh"]}, "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }))
    .expect("JSON")
}

/// An archive as `docker save` writes it, of one image with one tag.
pub fn image(tag: &str, layers: &[&[u8]]) -> Vec<u8> {
    image_with(tag, &config(layers), layers)
}

/// The same with any config and any bytes for layers.
pub fn image_with(tag: &str, config: &[u8], layers: &[&[u8]]) -> Vec<u8> {
    let mut members = vec![file("config.json", config)];
    let names: Vec<String> = (0..layers.len())
        .map(|index| format!("{index}/layer.tar"))
        .collect();
    members.extend(
        names
            .iter()
            .zip(layers)
            .map(|(name, layer)| file(name, layer)),
    );
    let manifest =
        serde_json::json!([{"Config": "config.json", "RepoTags": [tag], "Layers": names}]);
    members.push(file("manifest.json", manifest.to_string().as_bytes()));
    tar(&members)
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    let mut encoder = flate2::read::GzEncoder::new(bytes, flate2::Compression::fast());
    encoder.read_to_end(&mut output).expect("memory");
    output
}

/// A store in a folder with something beside it that must not change.
pub struct World {
    pub folder: tempfile::TempDir,
    pub store: Option<Store>,
    pub unpacker: Unpacker,
    outside: Vec<String>,
}

impl World {
    pub fn new(unpacker: Unpacker) -> World {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sentinel = folder.path().join("sentinel");
        fs::create_dir(&sentinel).expect("the sentinel");
        fs::write(sentinel.join("file"), "untouched").expect("the sentinel's file");
        let mut world = World {
            folder,
            store: None,
            unpacker,
            outside: Vec::new(),
        };
        world.outside = world.outside();
        world.open();
        world
    }

    /// Opens the store, again if it is open.
    pub fn open(&mut self) {
        self.store = None;
        let store = Store::open(&self.root(), self.unpacker.clone());
        self.store = Some(store.expect("the store opens"));
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    pub fn store(&self) -> &Store {
        self.store.as_ref().expect("the store is open")
    }

    pub fn load(&self, archive: &[u8]) -> Result<Vec<Loaded>, Error> {
        self.store().load(&mut &archive[..], &mut |_| {})
    }

    /// Loads and returns the lines for the user.
    pub fn load_messages(&self, archive: &[u8]) -> Result<Vec<String>, Error> {
        let mut messages = Vec::new();
        self.store().load(&mut &archive[..], &mut |event| {
            if let LoadEvent::Message(text) = event {
                messages.push(text);
            }
        })?;
        Ok(messages)
    }

    pub fn import(&self, archive: &[u8]) -> Result<Digest, Error> {
        self.store()
            .import(&mut &archive[..], ImportOptions::default())
    }

    /// Everything beside the store.
    fn outside(&self) -> Vec<String> {
        let store = self.root();
        tree(self.folder.path())
            .into_values()
            .filter(|line| !line.starts_with(&format!("{}", store.display())))
            .collect()
    }

    /// Nothing outside has changed, and nothing half-made is inside.
    pub fn check(&self) {
        let outside = self.outside();
        assert!(outside.iter().any(|line| line.contains("untouched")));
        let stray: Vec<_> = outside
            .iter()
            .filter(|line| !self.outside.contains(line))
            .collect();
        assert!(
            stray.is_empty() && outside.len() >= self.outside.len(),
            "outside: {stray:?}"
        );
        assert_eq!(
            names(&self.root().join("tmp")),
            Vec::<String>::new(),
            "left in tmp"
        );
        let mut layers: Vec<String> = self
            .store()
            .list()
            .iter()
            .flat_map(|image| &image.chain_ids)
            .map(Digest::hex)
            .collect();
        layers.sort();
        layers.dedup();
        assert_eq!(
            names(&self.root().join("layers")),
            layers,
            "layers without an image, or the other way"
        );
        let mut blobs: Vec<String> = self
            .store()
            .list()
            .iter()
            .map(|image| image.id.hex())
            .collect();
        blobs.sort();
        assert_eq!(
            names(&self.root().join("blobs")),
            blobs,
            "blobs without an image, or the other way"
        );
        assert_eq!(self.store().verify(), [], "damage");
    }

    /// The unpacked files of an image of one layer: path to description.
    pub fn files(&self, name: &str) -> BTreeMap<String, String> {
        let image = self.store().resolve(name).expect("the image");
        let root = self.store().layer_directories(&image)[0].clone();
        let strip = |path: String| {
            path[root.as_os_str().len()..]
                .trim_start_matches('/')
                .to_owned()
        };
        tree(&root)
            .into_iter()
            .map(|(path, line)| (strip(path.clone()), line[path.len()..].trim().to_owned()))
            .filter(|(path, _)| !path.is_empty())
            .collect()
    }
}

/// The names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

/// Every file below a folder with a line that says what it is.
pub fn tree(folder: &Path) -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    let mut ahead = vec![folder.to_owned()];
    while let Some(path) = ahead.pop() {
        let metadata = fs::symlink_metadata(&path).expect("its status");
        let kind = metadata.file_type();
        let mode = metadata.permissions().mode() & 0o7777;
        let what = if kind.is_dir() {
            ahead.extend(
                fs::read_dir(&path)
                    .expect("a folder")
                    .map(|entry| entry.expect("an entry").path()),
            );
            format!("dir {mode:o}")
        } else if kind.is_symlink() {
            format!("-> {}", fs::read_link(&path).expect("a link").display())
        } else if kind.is_file() {
            let contents = fs::read(&path).expect("a file");
            format!(
                "file {mode:o} {}",
                String::from_utf8_lossy(&contents[..contents.len().min(40)])
            )
        } else if kind.is_fifo() {
            format!("fifo {mode:o}")
        } else {
            let device = metadata.rdev();
            let letter = if kind.is_block_device() { 'b' } else { 'c' };
            format!(
                "{letter} {mode:o} {}:{}",
                nix::sys::stat::major(device),
                nix::sys::stat::minor(device)
            )
        };
        let path = path.to_string_lossy().into_owned();
        lines.insert(path.clone(), format!("{path} {what}"));
    }
    lines
}
