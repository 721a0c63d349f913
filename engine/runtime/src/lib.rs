//! What runc does for Docker: namespaces, root file system, mounts, cgroups, capabilities, seccomp, exec.
//!
//! Everything here is synchronous and runs in a process with one thread: the shim, or the init that the
//! shim cloned. Nothing here knows the Docker API or the daemon.

pub mod capabilities;
pub mod cgroup;
mod cgroup_mounts;
pub mod container;
pub mod defaults;
mod devices;
pub mod exec;
mod identity;
mod namespaces;
pub mod pid_one;
mod program;
mod report;
mod rootfs;
pub mod seccomp;
mod shared_memory;
pub mod skeleton;
pub mod spec;
pub mod user;

pub use rootfs::{INIT_FOLDER, STAGING};
