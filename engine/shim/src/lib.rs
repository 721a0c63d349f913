//! The parent of each container, and the process that makes them.
//!
//! The *spawner* is one small process with one thread and a nearly empty mount namespace; each *shim* is a
//! fork of it. A shim owns its container's streams, log file and exit record, so a container does not
//! notice when the daemon goes.

pub mod protocol;
