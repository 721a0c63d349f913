//! `-v`, `--mount` and `--tmpfs`: from Docker's forms to what is mounted.
//!
//! Named volumes are not built: a mount that needs one is refused by name, never turned into something else.

use std::path::{Path, PathBuf};

use drydock_api::Error;
use drydock_api::models::{HostConfig, Mount, MountType};
use serde_json::{Value, json};

/// A mount that a container asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A path of the host.
    Bind {
        /// Absolute, on the host.
        source: PathBuf,
        /// Absolute, in the container.
        target: PathBuf,
        /// Not writable.
        readonly: bool,
        /// A missing source becomes a directory (`-v`); otherwise it is an error (`--mount`).
        create_source: bool,
        /// The mode as the user wrote it, for `inspect`.
        mode: String,
    },
    /// Memory.
    Tmpfs {
        /// Absolute, in the container.
        target: PathBuf,
        /// In the form of mount(8).
        options: String,
        /// It was written as `--mount`, which `inspect` lists, not as `--tmpfs`, which it does not.
        listed: bool,
    },
}

impl Wanted {
    /// Where it goes.
    pub fn target(&self) -> &Path {
        match self {
            Wanted::Bind { target, .. } | Wanted::Tmpfs { target, .. } => target,
        }
    }

    /// Its entry in `inspect`.
    pub fn shown(&self) -> Option<Value> {
        match self {
            Wanted::Bind {
                source,
                target,
                readonly,
                mode,
                ..
            } => Some(json!({
                "Type": "bind", "Source": source, "Destination": target, "Mode": mode, "RW": !readonly, "Propagation": "rprivate",
            })),
            Wanted::Tmpfs {
                target,
                listed: true,
                ..
            } => Some(json!({
                "Type": "tmpfs", "Source": "", "Destination": target, "Mode": "", "RW": true, "Propagation": "",
            })),
            Wanted::Tmpfs { .. } => None,
        }
    }
}

/// All mounts of a container, by the depth of their targets, so that an outer one comes before an inner.
///
/// # Errors
/// Docker's statuses and texts; 501 for what is not built.
pub fn read(config: &HostConfig) -> Result<Vec<Wanted>, Error> {
    let mut wanted = Vec::new();
    for bind in config.binds.iter().flatten() {
        wanted.push(from_bind(bind)?);
    }
    for mount in config.mounts.iter().flatten() {
        wanted.push(from_mount(mount)?);
    }
    for (target, options) in config.tmpfs.iter().flatten() {
        check_target(target).map_err(Error::invalid)?;
        wanted.push(Wanted::Tmpfs {
            target: clean(target),
            options: tmpfs_options(options),
            listed: false,
        });
    }
    for (index, one) in wanted.iter().enumerate() {
        if wanted[..index]
            .iter()
            .any(|other| other.target() == one.target())
        {
            return Err(Error::invalid(format!(
                "Duplicate mount point: {}",
                one.target().display()
            )));
        }
    }
    wanted.sort_by_key(|one| one.target().components().count());
    Ok(wanted)
}

/// `source:target[:mode]`.
fn from_bind(text: &str) -> Result<Wanted, Error> {
    let invalid = || Error::system(format!("invalid volume specification: '{text}'"));
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, mode) = match parts[..] {
        [target] if target.starts_with('/') => {
            return Err(Error::not_built(format!(
                "anonymous volume at {target}: volumes are"
            )));
        }
        [source, target] if !source.is_empty() => (source, target, ""),
        [source, target, mode] if !source.is_empty() => (source, target, mode),
        _ => return Err(invalid()),
    };
    let kind = if source.starts_with('/') {
        "bind"
    } else {
        "volume"
    };
    check_target(target).map_err(|why| {
        Error::system(format!(
            "invalid volume specification: '{text}': invalid mount config for type \"{kind}\": {why}"
        ))
    })?;
    let readonly = check_mode(mode)?;
    if !source.starts_with('/') {
        check_volume_name(source)?;
        return Err(Error::not_built(format!(
            "volume {source}: named volumes are"
        )));
    }
    Ok(Wanted::Bind {
        source: clean(source),
        target: clean(target),
        readonly,
        create_source: true,
        mode: mode.to_owned(),
    })
}

/// Reads a mode; true is read-only.
fn check_mode(mode: &str) -> Result<bool, Error> {
    let mut readonly = false;
    for option in mode.split(',').filter(|_| !mode.is_empty()) {
        match option {
            "ro" | "readonly" => readonly = true,
            // Labels for SELinux, and hints for a virtual machine's file sharing, change nothing here.
            "rw" | "z" | "Z" | "nocopy" | "consistent" | "cached" | "delegated" | "private"
            | "rprivate" => {}
            "shared" | "rshared" | "slave" | "rslave" => {
                return Err(Error::not_built(format!("mount propagation {option} is")));
            }
            _ => return Err(Error::system(format!("invalid mode: {mode}"))),
        }
    }
    Ok(readonly)
}

fn check_volume_name(name: &str) -> Result<(), Error> {
    if super::names::check(name, name).is_ok() {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "create {name}: \"{name}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )))
}

fn check_target(target: &str) -> Result<(), String> {
    if !target.starts_with('/') {
        return Err(format!(
            "invalid mount path: '{target}' mount path must be absolute"
        ));
    }
    if clean(target) == Path::new("/") {
        return Err("invalid specification: destination can't be '/'".to_owned());
    }
    Ok(())
}

/// One entry of `Mounts`.
fn from_mount(mount: &Mount) -> Result<Wanted, Error> {
    let kind = mount.typ.map(|kind| kind.to_string()).unwrap_or_default();
    let invalid =
        |why: &str| Error::invalid(format!("invalid mount config for type \"{kind}\": {why}"));
    let target = mount.target.as_deref().unwrap_or("");
    let source = mount.source.as_deref().unwrap_or("");
    if target.is_empty() {
        return Err(invalid("field Target must not be empty"));
    }
    check_target(target).map_err(|why| invalid(&why))?;
    match mount.typ {
        Some(MountType::BIND) => {
            if source.is_empty() {
                return Err(invalid("field Source must not be empty"));
            }
            if !source.starts_with('/') {
                return Err(invalid(&format!(
                    "invalid mount path: '{source}' mount path must be absolute"
                )));
            }
            let options = mount.bind_options.clone().unwrap_or_default();
            let create_source = options.create_mountpoint == Some(true);
            if let Some(propagation) = options
                .propagation
                .map(|propagation| propagation.to_string())
            {
                check_mode(&propagation)?;
            }
            if options.non_recursive == Some(true) {
                return Err(Error::not_built("bind-recursive=disabled is"));
            }
            if !create_source && !Path::new(source).exists() {
                return Err(invalid(&format!(
                    "bind source path does not exist: {source}"
                )));
            }
            Ok(Wanted::Bind {
                source: clean(source),
                target: clean(target),
                readonly: mount.read_only == Some(true),
                create_source,
                mode: String::new(),
            })
        }
        Some(MountType::TMPFS) => {
            if !source.is_empty() {
                return Err(invalid("field Source must not be specified"));
            }
            Ok(Wanted::Tmpfs {
                target: clean(target),
                options: mount_tmpfs_options(mount),
                listed: true,
            })
        }
        _ => Err(Error::not_built(format!(
            "mount at {target}: type {kind} is"
        ))),
    }
}

/// Checks the options of a `--tmpfs`, as Docker does when the container starts.
///
/// # Errors
/// 500 with Docker's text for an option that tmpfs(5) and mount(8) do not have. A wrong value is the kernel's to find.
pub fn check_tmpfs_options(options: &str) -> Result<(), Error> {
    let known = |option: &&str| match option.split_once('=') {
        Some((name, _)) => TMPFS_VALUES.contains(&name),
        None => MOUNT_SWITCHES.contains(option),
    };
    match options.split(',').find(|option| !known(option)) {
        None => Ok(()),
        Some(option) => {
            let name = option.split('=').next().unwrap_or(option);
            Err(Error::system(format!("invalid tmpfs option {name:?}")))
        }
    }
}

/// What tmpfs(5) takes with a value.
const TMPFS_VALUES: [&str; 7] = [
    "size",
    "mode",
    "uid",
    "gid",
    "nr_inodes",
    "nr_blocks",
    "mpol",
];

/// What every mount takes: mount(8), "filesystem-independent mount options".
const MOUNT_SWITCHES: [&str; 33] = [
    "defaults",
    "ro",
    "rw",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "exec",
    "noexec",
    "sync",
    "async",
    "dirsync",
    "remount",
    "mand",
    "nomand",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "bind",
    "rbind",
    "unbindable",
    "runbindable",
    "private",
    "rprivate",
    "shared",
    "rshared",
    "slave",
    "rslave",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
];

/// Docker's defaults for `--tmpfs`, and the user's options after them, of which the last wins.
fn tmpfs_options(given: &str) -> String {
    let defaults = "noexec,nosuid,nodev";
    if given.is_empty() {
        defaults.to_owned()
    } else {
        format!("{defaults},{given}")
    }
}

fn mount_tmpfs_options(mount: &Mount) -> String {
    let options = mount.tmpfs_options.clone().unwrap_or_default();
    let mut text = "noexec,nosuid,nodev".to_owned();
    if mount.read_only == Some(true) {
        text.push_str(",ro");
    }
    if let Some(size) = options.size_bytes.filter(|size| *size > 0) {
        text.push_str(&format!(",size={size}"));
    }
    if let Some(mode) = options.mode.filter(|mode| *mode > 0) {
        text.push_str(&format!(",mode={mode:o}"));
    }
    text
}

/// A path without `.`, `..` and doubled slashes, by its words alone, as Go's filepath.Clean.
fn clean(path: &str) -> PathBuf {
    use std::path::Component;
    let mut output = PathBuf::from("/");
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => output.push(name),
            Component::ParentDir => {
                output.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(config: Value) -> Result<Vec<Wanted>, (u16, String)> {
        read(&serde_json::from_value(config).unwrap())
            .map_err(|error| (error.status(), error.to_string()))
    }

    #[test]
    fn binds_are_read_and_sorted() {
        let wanted = of(json!({"Binds": ["/tmp:/a/b:ro", "/var//x/../y:/a"]})).unwrap();
        let targets: Vec<_> = wanted
            .iter()
            .map(|one| one.target().to_str().unwrap())
            .collect();
        assert_eq!(targets, ["/a", "/a/b"]);
        assert!(
            matches!(&wanted[0], Wanted::Bind { source, readonly: false, create_source: true, .. } if source == Path::new("/var/y"))
        );
        assert!(matches!(&wanted[1], Wanted::Bind { readonly: true, .. }));
    }

    #[test]
    fn dockers_texts() {
        let volume = "create foo/bar: \"foo/bar\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path";
        let bind = "invalid mount config for type \"bind\": ";
        let cases = [
            (json!({"Binds": ["foo/bar:/x"]}), 400, volume.to_owned()),
            (
                json!({"Binds": ["/tmp:x"]}),
                500,
                format!(
                    "invalid volume specification: '/tmp:x': {bind}invalid mount path: 'x' mount path must be absolute"
                ),
            ),
            (
                json!({"Binds": ["/tmp:/"]}),
                500,
                format!(
                    "invalid volume specification: '/tmp:/': {bind}invalid specification: destination can't be '/'"
                ),
            ),
            (
                json!({"Binds": ["/tmp:/x:foo"]}),
                500,
                "invalid mode: foo".into(),
            ),
            (
                json!({"Binds": [""]}),
                500,
                "invalid volume specification: ''".into(),
            ),
            (
                json!({"Binds": ["/a:/b:rw:z:q"]}),
                500,
                "invalid volume specification: '/a:/b:rw:z:q'".into(),
            ),
            (
                json!({"Binds": [":/x"]}),
                500,
                "invalid volume specification: ':/x'".into(),
            ),
            (
                json!({"Binds": ["/tmp:/x", "/var:/x"]}),
                400,
                "Duplicate mount point: /x".into(),
            ),
            (
                json!({"Mounts": [{"Type": "bind", "Target": "/x"}]}),
                400,
                format!("{bind}field Source must not be empty"),
            ),
            (
                json!({"Mounts": [{"Type": "bind", "Source": "/tmp"}]}),
                400,
                format!("{bind}field Target must not be empty"),
            ),
            (
                json!({"Mounts": [{"Type": "bind", "Source": "/nonexistent/x", "Target": "/x"}]}),
                400,
                format!("{bind}bind source path does not exist: /nonexistent/x"),
            ),
            (
                json!({"Mounts": [{"Type": "tmpfs", "Source": "/tmp", "Target": "/x"}]}),
                400,
                "invalid mount config for type \"tmpfs\": field Source must not be specified"
                    .into(),
            ),
            (
                json!({"Tmpfs": {"x": ""}}),
                400,
                "invalid mount path: 'x' mount path must be absolute".into(),
            ),
            (
                json!({"Tmpfs": {"/": ""}}),
                400,
                "invalid specification: destination can't be '/'".into(),
            ),
            (
                json!({"Binds": ["vol:/x"]}),
                501,
                "volume vol: named volumes are not built yet in this engine".into(),
            ),
        ];
        for (config, status, text) in cases {
            assert_eq!(of(config.clone()), Err((status, text)), "{config}");
        }
    }

    #[test]
    fn an_option_that_tmpfs_does_not_have_is_named() {
        assert!(check_tmpfs_options("noexec,nosuid,nodev,size=1m,mode=700,exec").is_ok());
        for (options, name) in [
            ("exec,foo", "foo"),
            ("foo=bar", "foo"),
            ("size", "size"),
            ("exec=1", "exec"),
        ] {
            let error = check_tmpfs_options(options).unwrap_err().to_string();
            assert_eq!(error, format!("invalid tmpfs option \"{name}\""));
        }
    }

    #[test]
    fn tmpfs_gets_dockers_defaults() {
        let wanted = of(json!({"Tmpfs": {"/x": "size=1m,exec"}})).unwrap();
        assert_eq!(
            wanted,
            [Wanted::Tmpfs {
                target: "/x".into(),
                options: "noexec,nosuid,nodev,size=1m,exec".into(),
                listed: false
            }]
        );
        assert!(wanted[0].shown().is_none());
    }
}
