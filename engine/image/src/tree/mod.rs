//! A container's files: looked at, packed into archives and unpacked from them (`docker cp`, `docker export`).
//!
//! This is where container engines were broken most often (CVE-2018-15664, CVE-2019-14271, CVE-2021-41089,
//! CVE-2026-41568): a path is checked, the container swaps a directory for a link, and the copy lands on the
//! host. So nothing of it happens in the daemon. For each request the daemon starts `drydock copier`, which
//!
//! 1. puts the container's tree together in a mount namespace of its own ([`view`]), which is gone with the
//!    process however it ends: the host's mount table never changes;
//! 2. makes that tree its root, so that there are no other files, and gives up its privileges
//!    ([`crate::sandbox`]);
//! 3. only then looks at the first path. Even there each path is resolved by the kernel below a directory
//!    that is held open (openat2(2)), and members of archives are made through [`crate::unpack::root`].
//!
//! Nothing is executed from the tree, no library is loaded from it, and archives are decompressed in here.
//!
//! | file | about |
//! |---|---|
//! | [`protocol`] | what the daemon asks and the copier answers |
//! | [`child`] | the process |
//! | [`view`] | the container's tree as Docker shows it to `cp` |
//! | [`path`] | Go's path functions, in whose terms Docker's rules are written |
//! | [`stat`], [`pack`], [`extract`] | the work; the client uses the last two for its own side of a copy |

pub mod child;
pub mod extract;
mod header;
pub mod pack;
pub mod path;
pub mod protocol;
#[cfg(test)]
mod races;
pub mod stat;
mod view;

use std::io;

use nix::errno::Errno;

/// An error in the words of Go programs: `lstat /x: not a directory`. What is no error of the system, as a bad
/// archive, says by itself what it is about.
pub(crate) fn go_error(operation: &str, error: &io::Error) -> io::Error {
    let text = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ELOOP) => "too many levels of symbolic links".to_owned(),
        Some(errno) => errno.desc().to_lowercase(),
        None => return io::Error::new(error.kind(), error.to_string()),
    };
    match operation {
        "" => io::Error::new(error.kind(), text),
        operation => io::Error::new(error.kind(), format!("{operation}: {text}")),
    }
}
