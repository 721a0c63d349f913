//! The file-descriptor mount interface (fsopen(2), fsmount(2), open_tree(2), move_mount(2),
//! mount_setattr(2), Linux 5.12 and later).
//!
//! Why not mount(2): it takes paths, and a path inside a container can be a symbolic link to anywhere. A
//! mount made here is a descriptor first; it is attached to a directory that is itself held open, so nothing
//! is looked up twice.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::{c_string, check};

/// Makes a small flag type without a dependency: only union and the raw value are needed.
macro_rules! bitflags_like {
    ($(#[$outer:meta])* $name:ident($type:ty) { $($(#[$inner:meta])* $flag:ident = $value:expr,)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name($type);
        impl $name {
            $($(#[$inner])* pub const $flag: $name = $name($value as $type);)*
            /// No flag.
            pub const NONE: $name = $name(0);
            /// The union of several, in a constant.
            pub const fn from_all(flags: &[$name]) -> $name {
                let (mut all, mut index) = (0, 0);
                while index < flags.len() {
                    all |= flags[index].0;
                    index += 1;
                }
                $name(all)
            }
        }
        impl std::ops::BitOr for $name {
            type Output = $name;
            fn bitor(self, other: $name) -> $name { $name(self.0 | other.0) }
        }
    };
}

bitflags_like! {
    /// Attributes of one mount (`MOUNT_ATTR_*`, mount_setattr(2)).
    MountAttributes(u64) {
        /// Read-only.
        READONLY = libc::MOUNT_ATTR_RDONLY,
        /// Set-user-ID bits and file capabilities have no effect.
        NO_SET_ID = libc::MOUNT_ATTR_NOSUID,
        /// Device nodes cannot be opened.
        NO_DEVICES = libc::MOUNT_ATTR_NODEV,
        /// Programs cannot be executed.
        NO_EXECUTE = libc::MOUNT_ATTR_NOEXEC,
        /// Access times are always updated.
        STRICT_ACCESS_TIME = libc::MOUNT_ATTR_STRICTATIME,
        /// Access times are never updated.
        NO_ACCESS_TIME = libc::MOUNT_ATTR_NOATIME,
    }
}

/// A new, unattached file system of this type, for example `proc` or `tmpfs`, with options as in mount(8).
///
/// An empty value sets a flag option, such as devpts' `newinstance`.
pub fn new_file_system(
    kind: &CStr,
    options: &[(&CStr, &CStr)],
    attributes: MountAttributes,
) -> io::Result<OwnedFd> {
    // SAFETY: `kind` is a NUL-terminated string that outlives the call.
    let context =
        check(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), libc::FSOPEN_CLOEXEC) })?;
    // SAFETY: fsopen has just returned this descriptor to us alone.
    let context = unsafe { OwnedFd::from_raw_fd(context as i32) };
    // The source is what /proc/mounts shows in its first column; runc names most after the type as well.
    if options.iter().all(|(key, _)| *key != c"source") {
        let source = Some(c"source");
        configure(&context, libc::FSCONFIG_SET_STRING, source, Some(kind))?;
    }
    for (key, value) in options {
        if value.is_empty() {
            configure(&context, libc::FSCONFIG_SET_FLAG, Some(key), None)?;
        } else {
            configure(&context, libc::FSCONFIG_SET_STRING, Some(key), Some(value))?;
        }
    }
    configure(&context, libc::FSCONFIG_CMD_CREATE, None, None)?;
    // SAFETY: fsmount takes integers.
    let mount = check(unsafe {
        libc::syscall(
            libc::SYS_fsmount,
            context.as_raw_fd(),
            libc::FSMOUNT_CLOEXEC,
            attributes.0 as libc::c_uint,
        )
    })?;
    // SAFETY: fsmount has just returned this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(mount as i32) })
}

/// One step of fsconfig(2).
fn configure(
    context: &OwnedFd,
    command: libc::c_uint,
    key: Option<&CStr>,
    value: Option<&CStr>,
) -> io::Result<()> {
    let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: key and value are NUL-terminated or null as the command wants, and outlive the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            command,
            pointer(key),
            pointer(value),
            0,
        )
    })
    .map(drop)
}

/// A detached, recursive clone of the mounts at a path of the host (open_tree(2)), for `-v SOURCE:TARGET`.
/// Symbolic links in the path are followed: the user of the API names a place of the host and is trusted.
pub fn open_tree_clone(path: &Path) -> io::Result<OwnedFd> {
    let path = c_string(path.as_os_str().as_bytes())?;
    open_tree(libc::AT_FDCWD, &path, libc::AT_RECURSIVE as libc::c_uint)
}

/// A detached clone of the mount at a descriptor; `recursive` takes the mounts below it along.
pub fn clone_of(place: BorrowedFd<'_>, recursive: bool) -> io::Result<OwnedFd> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    open_tree(place.as_raw_fd(), c"", flags as libc::c_uint)
}

fn open_tree(directory: i32, path: &CStr, flags: libc::c_uint) -> io::Result<OwnedFd> {
    let flags = flags | libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    // SAFETY: the path is NUL-terminated and outlives the call.
    let tree =
        check(unsafe { libc::syscall(libc::SYS_open_tree, directory, path.as_ptr(), flags) })?;
    // SAFETY: open_tree has just returned this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(tree as i32) })
}

/// Attaches a detached mount at a place that is held open (move_mount(2)). Neither end is a path.
pub fn attach(mount: BorrowedFd<'_>, place: BorrowedFd<'_>) -> io::Result<()> {
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH | libc::MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: both paths are empty NUL-terminated strings.
    check(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            place.as_raw_fd(),
            c"".as_ptr(),
            flags,
        )
    })
    .map(drop)
}

/// What [`change`] does to a mount.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change {
    /// Attributes to set; the others stay.
    pub set: MountAttributes,
    /// Make it private: mounts made elsewhere do not appear here, nor the other way.
    pub private: bool,
    /// Also everything mounted below it.
    pub recursive: bool,
}

/// Changes a mount in place (mount_setattr(2)). Unlike a remount it cannot lose the other attributes.
pub fn change(mount: BorrowedFd<'_>, change: Change) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: change.set.0,
        attr_clr: 0,
        propagation: if change.private { libc::MS_PRIVATE } else { 0 },
        userns_fd: 0,
    };
    let flags = libc::AT_EMPTY_PATH
        | if change.recursive {
            libc::AT_RECURSIVE
        } else {
            0
        };
    // SAFETY: the path is an empty string, the structure outlives the call and its size is given.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    })
    .map(drop)
}
