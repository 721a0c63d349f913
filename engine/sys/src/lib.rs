//! System calls that the libraries lack, each with what, why and its manual page.
//!
//! This is the only crate of the house with `unsafe`: a reader who looks for undefined behaviour looks here.
//! Everything returns `io::Result` and takes descriptors as `BorrowedFd` and `OwnedFd`, so that a closed or
//! doubled descriptor does not compile. What `nix` has in a safe form is called there directly.
#![allow(unsafe_code)]

pub mod bpf;
pub mod capabilities;
pub mod clock;
pub mod descriptors;
pub mod mounts;
pub mod paths;
pub mod process;
pub mod readiness;
pub mod signals;
pub mod terminal;

use std::io;

/// Turns the C convention (-1 and errno) into a result.
fn check(returned: libc::c_long) -> io::Result<libc::c_long> {
    if returned < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(returned)
    }
}

/// A C string from bytes that may hold a NUL, which no path or argument may.
pub(crate) fn c_string(bytes: &[u8]) -> io::Result<std::ffi::CString> {
    std::ffi::CString::new(bytes).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}
