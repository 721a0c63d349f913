//! The container's file system tree: the overlay, and everything that is mounted in it.
//!
//! All of it happens in the init, in the container's own mount namespace. Nothing is mounted in the host's
//! namespace, so no mount can be left behind there and systemd has nothing to watch. Mount points are opened
//! below the root (`drydock_sys::paths`) and mounts are attached to descriptors (`drydock_sys::mounts`): an
//! image whose /proc or /dev/pts is a symbolic link to somewhere reaches nothing (CVE-2023-27561,
//! CVE-2025-52565, CVE-2026-41579).

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use drydock_defects::defect;
use drydock_sys::mounts::{self, Change, MountAttributes};
use drydock_sys::paths;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MntFlags, MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, fstat};

use crate::cgroup::Hierarchies;
use crate::spec::{Mount, Rootfs, Spec};
use crate::{cgroup_mounts, devices, pid_one, shared_memory};

/// Where the root is put together, in the spawner's mount namespace.
pub const STAGING: &str = "/root";

/// Where the program of the small init lies, in the spawner's mount namespace: on a file system that nobody can write
/// to, whatever they may do in their own namespaces.
pub const INIT_FOLDER: &str = "/init";

/// What /proc, /sys, /dev/mqueue and most others carry.
pub(crate) const CONFINED: MountAttributes = MountAttributes::from_all(&[
    MountAttributes::NO_SET_ID,
    MountAttributes::NO_EXECUTE,
    MountAttributes::NO_DEVICES,
]);

/// An error with the object it is about.
type Result<T> = std::result::Result<T, String>;

/// Adds what was being done to a system's error.
pub(crate) trait Context<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: std::fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| format!("{}: {error}", what()))
    }
}

/// A tree under construction; the current directory is its root.
#[derive(Debug)]
pub struct Tree {
    /// The root of the overlay.
    pub root: OwnedFd,
    /// The root of /dev.
    pub devices: OwnedFd,
    /// The root of /dev/pts.
    pub terminals: OwnedFd,
    proc: OwnedFd,
}

/// Mounts the overlay at [`STAGING`] and everything in it. `binds` are the descriptors of
/// [`Mount::Descriptor`], in order; `shared_memory` is a clone of the /dev/shm that is shared.
pub fn build(
    spec: &Spec,
    hierarchies: &Hierarchies,
    binds: Vec<OwnedFd>,
    shared_memory: Option<OwnedFd>,
) -> Result<Tree> {
    mount_overlay(&spec.rootfs)?;
    nix::unistd::chdir(STAGING).context(|| format!("failed to enter {STAGING}"))?;
    let root = nix::fcntl::open(
        ".",
        OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )
    .context(|| "failed to open the root of the overlay".to_owned())?;
    let proc = mount_new(&root, "/proc", c"proc", &[], CONFINED)?;
    let devices = mount_new(
        &root,
        "/dev",
        c"tmpfs",
        &[(c"mode", c"755"), (c"size", c"65536k")],
        MountAttributes::NO_SET_ID | MountAttributes::STRICT_ACCESS_TIME,
    )?;
    devices::populate(&devices, spec)?;
    let terminals = mount_new(
        &root,
        "/dev/pts",
        c"devpts",
        &[
            (c"newinstance", c""),
            (c"ptmxmode", c"0666"),
            (c"mode", c"0620"),
            (c"gid", c"5"),
        ],
        MountAttributes::NO_SET_ID | MountAttributes::NO_EXECUTE,
    )?;
    shared_memory::mount(&root, spec, shared_memory)?;
    mount_new(&root, "/dev/mqueue", c"mqueue", &[], CONFINED)?;
    mount_sys(&root, spec, hierarchies)?;
    let tree = Tree {
        root,
        devices,
        terminals,
        proc,
    };
    let mut binds = binds.into_iter();
    for extra in &spec.mounts {
        mount_extra(&tree, extra, spec.rootfs.readonly, &mut binds)?;
    }
    // Last: what the user mounts there does not become PID 1 in its place.
    if spec.init {
        let file = Path::new(INIT_FOLDER).join(pid_one::NAME);
        let file = mounts::open_tree_clone(&file).context(|| format!("failed to open {file:?}"))?;
        attach_bind(&tree, file, Path::new(pid_one::PATH), true)?;
    }
    Ok(tree)
}

impl Tree {
    /// Hides and write-protects the paths that the spec names. Done last, over whatever was mounted there.
    pub fn protect(&self, spec: &Spec) -> Result<()> {
        mask(self, &spec.masked_paths)?;
        for path in &spec.readonly_paths {
            make_readonly(&self.root, path)
                .context(|| format!("failed to make {path} read-only"))?;
        }
        Ok(())
    }

    /// Writes kernel parameters below the container's /proc/sys (sysctl(8)). runc's text for one that is not
    /// there.
    pub fn write_sysctls(&self, sysctls: &[(String, String)]) -> Result<()> {
        for (key, value) in sysctls {
            let path = Path::new("sys").join(key.replace('.', "/"));
            let file =
                paths::open_without_links(self.proc.as_fd(), &path, OFlag::O_WRONLY, Mode::empty())
                    .map_err(|error| {
                        let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
                        format!("open sysctl {key} file: {}", errno.desc().to_lowercase())
                    })?;
            io::Write::write_all(&mut File::from(file), value.as_bytes())
                .context(|| format!("failed to write sysctl {key}"))?;
        }
        Ok(())
    }

    /// Makes this tree the root of the mount namespace and lets go of everything that was there before
    /// (pivot_root(2)); the host's files are then out of reach by name.
    pub fn become_root(self, readonly: bool) -> Result<()> {
        nix::unistd::fchdir(&self.root).context(|| "failed to enter the new root".to_owned())?;
        // Both arguments "." stacks the old root on the new one, so no directory is needed for it.
        nix::unistd::pivot_root(".", ".").context(|| "failed to pivot the root".to_owned())?;
        nix::mount::umount2(".", MntFlags::MNT_DETACH)
            .context(|| "failed to leave the old root".to_owned())?;
        nix::unistd::chdir("/").context(|| "failed to enter /".to_owned())?;
        if readonly {
            let change = Change {
                set: MountAttributes::READONLY,
                ..Default::default()
            };
            mounts::change(self.root.as_fd(), change)
                .context(|| "failed to make the root read-only".to_owned())?;
        }
        Ok(())
    }
}

/// Mounts the overlay. Layers, upper and work directory are named by descriptor: overlayfs takes one page of
/// options, in which 127 real paths do not fit, and a `:` in the data root's name needs no escape.
fn mount_overlay(rootfs: &Rootfs) -> Result<()> {
    let open = |path: &PathBuf| {
        nix::fcntl::open(
            path,
            OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
            Mode::empty(),
        )
        .context(|| format!("failed to open the layer {}", path.display()))
    };
    let layers = rootfs.layers.iter().map(open).collect::<Result<Vec<_>>>()?;
    let (upper, work) = (open(&rootfs.upper)?, open(&rootfs.work)?);
    let name = |descriptor: &OwnedFd| format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    let lower = layers.iter().map(name).collect::<Vec<_>>().join(":");
    let options = format!(
        "lowerdir={lower},upperdir={},workdir={}",
        name(&upper),
        name(&work)
    );
    mount(
        Some("overlay"),
        STAGING,
        Some("overlay"),
        MsFlags::empty(),
        Some(options.as_str()),
    )
    .context(|| format!("failed to mount the overlay of {} layers", layers.len()))
}

/// A new file system at a directory of the root, which is made if missing and must not be a link. Returns
/// the file system's root.
pub(crate) fn mount_new(
    root: &OwnedFd,
    path: &str,
    kind: &CStr,
    options: &[(&CStr, &CStr)],
    attributes: MountAttributes,
) -> Result<OwnedFd> {
    let new = mounts::new_file_system(kind, options, attributes)
        .context(|| format!("failed to make a {} for {path}", kind.to_string_lossy()))?;
    let place = ordinary_directory(root, path)?;
    mounts::attach(new.as_fd(), place.as_fd()).context(|| format!("failed to mount {path}"))?;
    Ok(new)
}

/// A directory of the root without symbolic links on the way. runc's words for the refusal: something "must
/// be mounted on ordinary directory".
pub(crate) fn ordinary_directory(root: &OwnedFd, path: &str) -> Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    match paths::open_without_links(root.as_fd(), Path::new(path), flags, Mode::empty()) {
        Ok(place) => Ok(place),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            paths::make_directories(
                root.as_fd(),
                Path::new(path),
                Mode::from_bits_truncate(0o755),
            )
            .context(|| format!("failed to make {path}"))?;
            paths::open_without_links(root.as_fd(), Path::new(path), flags, Mode::empty())
                .context(|| format!("{path} must be mounted on ordinary directory"))
        }
        Err(error) => Err(format!(
            "{path} must be mounted on ordinary directory: {error}"
        )),
    }
}

fn mount_sys(root: &OwnedFd, spec: &Spec, hierarchies: &Hierarchies) -> Result<()> {
    let readonly = if spec.privileged {
        MountAttributes::NONE
    } else {
        MountAttributes::READONLY
    };
    mount_new(root, "/sys", c"sysfs", &[], CONFINED | readonly)?;
    cgroup_mounts::mount_all(root, hierarchies, CONFINED | readonly)
}

/// A mount of the user, or one of the engine's files for /etc. Those are a part of the root for who looks at it from
/// inside, so they are read-only where the root is.
fn mount_extra(
    tree: &Tree,
    wanted: &Mount,
    readonly_root: bool,
    binds: &mut impl Iterator<Item = OwnedFd>,
) -> Result<()> {
    match wanted {
        Mount::EngineFile { source, target } => {
            let file = mounts::open_tree_clone(source)
                .context(|| format!("failed to open {}", source.display()))?;
            attach_bind(tree, file, target, readonly_root)
        }
        Mount::Descriptor { target, readonly } => {
            let bind = binds.next().ok_or_else(|| {
                format!("no descriptor came for the mount at {}", target.display())
            })?;
            attach_bind(tree, bind, target, *readonly)
        }
        Mount::Tmpfs { target, options } => mount_tmpfs(tree, target, options),
    }
}

/// Attaches a detached mount at a path of the container, which is made if missing, like the source a
/// directory or a file.
fn attach_bind(tree: &Tree, bind: OwnedFd, target: &Path, readonly: bool) -> Result<()> {
    let describe = || format!("failed to mount at {}", target.display());
    refuse_over_proc(tree, target)?;
    let directory = paths::is_directory(bind.as_fd()).context(describe)?;
    let place = place_for(tree, target, directory).context(describe)?;
    if paths::is_directory(place.as_fd()).context(describe)? != directory {
        return Err(format!(
            "{}: not a directory: Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type",
            describe()
        ));
    }
    let set = if readonly && !defect!("bind-writable") {
        MountAttributes::READONLY
    } else {
        MountAttributes::NONE
    };
    mounts::change(
        bind.as_fd(),
        Change {
            set,
            private: true,
            recursive: true,
        },
    )
    .context(describe)?;
    mounts::attach(bind.as_fd(), place.as_fd()).context(describe)
}

fn place_for(tree: &Tree, target: &Path, directory: bool) -> io::Result<OwnedFd> {
    if directory {
        paths::make_directories(tree.root.as_fd(), target, Mode::from_bits_truncate(0o755))
    } else {
        paths::make_file(tree.root.as_fd(), target, Mode::from_bits_truncate(0o644))
    }
}

/// A mount over the container's /proc would let it answer for the kernel (CVE-2019-16884).
fn refuse_over_proc(tree: &Tree, target: &Path) -> Result<()> {
    let resolved = paths::open_in_root(tree.root.as_fd(), target, OFlag::O_PATH, Mode::empty());
    let inside_proc = match resolved {
        Ok(place) => {
            let (place, proc) = (fstat(&place), fstat(&tree.proc));
            matches!((place, proc), (Ok(place), Ok(proc)) if place.st_dev == proc.st_dev)
        }
        // Not there yet: what will be made is not in /proc unless its path says so.
        Err(_) => target.starts_with("/proc"),
    };
    if inside_proc {
        return Err(format!(
            "{} cannot be mounted because it is inside /proc",
            target.display()
        ));
    }
    Ok(())
}

fn mount_tmpfs(tree: &Tree, target: &Path, options: &str) -> Result<()> {
    let describe = || format!("failed to mount a tmpfs at {}", target.display());
    refuse_over_proc(tree, target)?;
    let attributes = tmpfs_attributes(options);
    let mut settings = Vec::new();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let is_switch = |(on, off, _): &(&str, &str, _)| option == *on || option == *off;
        let lost = defect!("tmpfs-size-ignored") && option.starts_with("size=");
        if !SWITCHES.iter().any(is_switch) && !lost {
            settings.push(split_option(option).context(describe)?);
        }
    }
    let borrowed: Vec<(&CStr, &CStr)> = settings
        .iter()
        .map(|(key, value)| (key.as_c_str(), value.as_c_str()))
        .collect();
    let new = mounts::new_file_system(c"tmpfs", &borrowed, attributes).context(describe)?;
    let place = place_for(tree, target, true).context(describe)?;
    mounts::attach(new.as_fd(), place.as_fd()).context(describe)
}

/// Options of mount(8) that switch an attribute on or off.
const SWITCHES: [(&str, &str, MountAttributes); 5] = [
    ("ro", "rw", MountAttributes::READONLY),
    ("noexec", "exec", MountAttributes::NO_EXECUTE),
    ("nosuid", "suid", MountAttributes::NO_SET_ID),
    ("nodev", "dev", MountAttributes::NO_DEVICES),
    ("noatime", "atime", MountAttributes::NO_ACCESS_TIME),
];

/// Of two options about one attribute the last wins: users' options come after the defaults.
fn tmpfs_attributes(options: &str) -> MountAttributes {
    let is_on = |on: &str, off: &str| {
        let mut last_first = options.rsplit(',');
        last_first.find(|option| *option == on || *option == off) == Some(on)
    };
    SWITCHES
        .into_iter()
        .filter(|(on, off, _)| is_on(on, off))
        .fold(MountAttributes::NONE, |all, (_, _, attribute)| {
            all | attribute
        })
}

fn split_option(option: &str) -> std::result::Result<(CString, CString), std::ffi::NulError> {
    let (key, value) = option.split_once('=').unwrap_or((option, ""));
    Ok((CString::new(key)?, CString::new(value)?))
}

/// Hides paths: a file behind /dev/null, a directory behind an empty read-only file system that all share.
fn mask(tree: &Tree, masked: &[String]) -> Result<()> {
    let mut empty = None;
    for path in masked.iter().filter(|_| !defect!("paths-not-masked")) {
        let describe = || format!("failed to mask {path}");
        let place = match paths::open_in_root(
            tree.root.as_fd(),
            Path::new(path),
            OFlag::O_PATH,
            Mode::empty(),
        ) {
            Ok(place) => place,
            Err(error) if is_absent(&error) => continue,
            Err(error) => return Err(format!("{}: {error}", describe())),
        };
        if paths::is_directory(place.as_fd()).context(describe)? {
            cover_directory(&mut empty, &place).context(describe)?;
        } else {
            let null = null_device(tree).and_then(|null| mounts::clone_of(null.as_fd(), false));
            mounts::attach(null.context(describe)?.as_fd(), place.as_fd()).context(describe)?;
        }
    }
    Ok(())
}

/// Covers a directory with the empty file system: the first time with itself, later with a clone of it,
/// because kernels before 6.15 clone only what is attached.
fn cover_directory(empty: &mut Option<OwnedFd>, place: &OwnedFd) -> io::Result<()> {
    if let Some(empty) = empty {
        return mounts::attach(
            mounts::clone_of(empty.as_fd(), false)?.as_fd(),
            place.as_fd(),
        );
    }
    let options = [(c"nr_blocks", c"1"), (c"nr_inodes", c"1")];
    let new = mounts::new_file_system(c"tmpfs", &options, MountAttributes::READONLY)?;
    mounts::attach(new.as_fd(), place.as_fd())?;
    *empty = Some(new);
    Ok(())
}

/// /dev/null of the container's own /dev, checked to be the null device (CVE-2025-31133).
fn null_device(tree: &Tree) -> io::Result<OwnedFd> {
    let null = paths::open_without_links(
        tree.devices.as_fd(),
        Path::new("null"),
        OFlag::O_PATH,
        Mode::empty(),
    )?;
    let status = fstat(&null)?;
    let is_character = SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR;
    if !is_character || status.st_rdev != nix::sys::stat::makedev(1, 3) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "/dev/null is not the null device",
        ));
    }
    Ok(null)
}

/// Binds a path over itself, read-only, with its other attributes kept.
fn make_readonly(root: &OwnedFd, path: &str) -> io::Result<()> {
    let place =
        match paths::open_in_root(root.as_fd(), Path::new(path), OFlag::O_PATH, Mode::empty()) {
            Ok(place) => place,
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
    let clone = mounts::clone_of(place.as_fd(), true)?;
    mounts::change(
        clone.as_fd(),
        Change {
            set: MountAttributes::READONLY,
            private: false,
            recursive: true,
        },
    )?;
    mounts::attach(clone.as_fd(), place.as_fd())
}

/// Missing, in one of the ways in which a path can be.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(code) if code == Errno::ENOENT as i32 || code == Errno::ENOTDIR as i32)
}

/// Opens `/dev/pts` of a running container and proves that it is a devpts (its file system type).
pub fn open_terminals(root: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let terminals = paths::open_without_links(root, Path::new("/dev/pts"), flags, Mode::empty())?;
    const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;
    let kind = nix::sys::statfs::fstatfs(&terminals)?.filesystem_type();
    if kind.0 as i64 != DEVPTS_SUPER_MAGIC {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "/dev/pts of the container is not a devpts",
        ));
    }
    Ok(terminals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_two_options_wins() {
        let defaults =
            MountAttributes::NO_EXECUTE | MountAttributes::NO_SET_ID | MountAttributes::NO_DEVICES;
        assert_eq!(tmpfs_attributes("noexec,nosuid,nodev,size=1m"), defaults);
        assert_eq!(
            tmpfs_attributes("noexec,nosuid,nodev,rw,exec"),
            MountAttributes::NO_SET_ID | MountAttributes::NO_DEVICES
        );
        assert_eq!(tmpfs_attributes("ro,rw"), MountAttributes::NONE);
        assert_eq!(tmpfs_attributes("rw,ro"), MountAttributes::READONLY);
    }
}
