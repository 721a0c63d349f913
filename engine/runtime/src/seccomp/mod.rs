//! Which system calls a container may make (seccomp(2)): from Docker's profile to one small BPF program.
//!
//! A profile is JSON with names, conditions and capabilities ([`profile`]). For one set of capabilities, one
//! kernel and one architecture it becomes a decision for each system call number ([`resolve`]), and that a
//! program ([`compile`]): a balanced tree of number ranges. libseccomp, which runc and crun use, writes nearly
//! one comparison after another; the kernel runs the whole program once for each system call number when it
//! is loaded, so a flat program costs 0.6 ms at each start and a tree 0.1 ms. Making it costs more than
//! loading it, so the default program is kept, one for each set of capabilities.
//!
//! Two things are stricter than Docker by default, and both close a hole that Docker 28.5 has:
//!
//! * **No foreign system calls.** Docker's profile also admits the 32-bit and x32 calls of an x86-64 kernel.
//!   The 32-bit `socketcall` reaches every socket family, since a filter cannot look through its pointer, so
//!   the profile's own rules on `socket` bind nobody who executes `int 0x80`. The default here is the native
//!   architecture alone; [`Foreign::AsProfile`] is for images that are 32-bit.
//! * **32-bit arguments are compared as the kernel takes them.** `socket(0x1_0000_0026, …)` is AF_ALG to the
//!   kernel, which looks at 32 bits, and "greater than 40, allowed" to a program that compares 64. See
//!   [`arguments`].

mod architecture;
mod arguments;
mod compile;
mod numbers;
mod profile;
mod resolve;

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
};

pub use architecture::{Architecture, Foreign};
pub use resolve::KernelVersion;

use profile::Profile;

/// Docker's default profile; see profiles/README.md for its origin.
pub const DEFAULT_PROFILE: &str = include_str!("../../profiles/docker-default.json");

/// What is wrong with a profile. The first text is Docker's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not JSON, or not a profile.
    #[error("decoding seccomp profile failed: {0}")]
    Syntax(String),
    /// JSON that Docker refuses too, or that says something no filter can do.
    #[error("invalid seccomp profile: {0}")]
    Invalid(String),
    /// Something that this engine does not do.
    #[error("seccomp profile: {0} is not supported")]
    Unsupported(String),
    /// Too many rules for the kernel, which takes 4096 instructions.
    #[error("seccomp profile: {0} instructions are more than the kernel takes (4096)")]
    TooLong(usize),
    /// /proc/sys/kernel/osrelease cannot be read, and the profile has rules for some kernels only.
    #[error("find out the kernel's version: {0}")]
    KernelVersion(String),
}

/// Finished programs by what they are for.
type Programs = HashMap<(u64, Architecture), Vec<u8>>;

/// The program for a container with these capabilities (its bounding set) under Docker's default profile.
/// Classic BPF, eight bytes an instruction in native order, ready for the kernel.
///
/// Compiled once for each set of capabilities and kept for the life of the process.
///
/// # Errors
/// [`Error::KernelVersion`]. A caller must not start a container without a filter then.
pub fn default_program(capabilities: u64, architecture: Architecture) -> Result<Vec<u8>, Error> {
    static KEPT: LazyLock<Mutex<Programs>> = LazyLock::new(Mutex::default);
    // A poisoned lock is no harm: the map only ever holds finished programs.
    let mut programs = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(program) = programs.get(&(capabilities, architecture)) {
        return Ok(program.clone());
    }
    let options = Options {
        capabilities,
        architecture,
        kernel: KernelVersion::running()?,
        foreign: Foreign::Refused,
    };
    let program = compile_for(DEFAULT_PROFILE, &options)?;
    programs.insert((capabilities, architecture), program.clone());
    Ok(program)
}

/// The program of a profile that the user brings (`--security-opt seccomp=FILE`), for this machine. What the
/// profile says about foreign architectures is done as it says.
///
/// # Errors
/// See [`Error`].
pub fn compile(profile_json: &str, capabilities: u64) -> Result<Vec<u8>, Error> {
    let options = Options {
        capabilities,
        architecture: Architecture::native(),
        kernel: KernelVersion::running()?,
        foreign: Foreign::AsProfile,
    };
    compile_for(profile_json, &options)
}

/// What a profile's conditions are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The bounding set of the container.
    pub capabilities: u64,
    /// The architecture of the kernel.
    pub architecture: Architecture,
    /// For rules with `minKernel`.
    pub kernel: KernelVersion,
    /// Whether system calls of other architectures are let in where the profile lists them.
    pub foreign: Foreign,
}

/// [`compile`] with everything said.
///
/// # Errors
/// See [`Error`].
pub fn compile_for(profile_json: &str, options: &Options) -> Result<Vec<u8>, Error> {
    let policies = resolve::resolve(&Profile::parse(profile_json)?, options)?;
    let program = compile::program(&policies)?;
    Ok(program
        .iter()
        .flat_map(|instruction| instruction.to_bytes())
        .collect())
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod simulate;
#[cfg(test)]
mod tests;
