//! The parent of each container, and the process that makes them.
//!
//! The *spawner* is one small process with one thread and a nearly empty mount namespace; each *shim* is a
//! fork of it. A shim owns its container's streams, log file and exit record, so a container does not
//! notice when the daemon goes.
//!
//! | file | what it is |
//! |---|---|
//! | `spawner` | the process that forks shims |
//! | `opening` | the beginning of a shim: what the container needs, and its start |
//! | `shim` | a shim's life: the loop, the end |
//! | `session` | one process of the container with its streams |
//! | `client` | a client at these streams: frames, back pressure, detach keys |
//! | `compressor` | rotated logs are compressed beside it |
//! | `exit_record` | how it ended, on disk |
//! | `connection` | the daemon at the other end of a socket |
//! | `control` | the control group of a running container |
//! | `protocol`, `frame` | the words they use |

mod client;
mod compressor;
mod connection;
mod control;
mod exit_record;
pub mod frame;
mod opening;
pub mod protocol;
mod session;
mod shim;
pub mod spawner;

pub use spawner::spawner_main;
