//! Engines to test against: a Docker that is already there, or a Drydock daemon of one's own.
//!
//! A test says which [`Rig`] it wants and gets an [`Engine`]: a socket, a directory to put first on `PATH` in
//! which `docker` is the right client, and the variables that lead that client to the right engine.
//!
//! | rig | client | engine |
//! |---|---|---|
//! | `docker` | docker CLI | dockerd, the reference |
//! | `api` | docker CLI | drydock daemon |
//! | `drydock` | drydock CLI, called by the name `docker` | drydock daemon |
//! | `NAME=unix:///SOCKET` | docker CLI | whatever answers there |
//!
//! A Docker is found by `CONFORMANCE_DOCKER_HOST`, then at `/var/run/docker.sock`. It belongs to someone else:
//! what tests make there has names that begin with `conf-`. A Drydock daemon is started for the test, with its
//! own roots, bridge, subnet and socket, and everything of it goes when the [`Daemon`] is dropped, also on a
//! panic. [`leaks`] proves that it is gone.
//!
//! # How a client calls itself
//!
//! In the `drydock` rig, `docker` is a symbolic link to the drydock binary. Where a text of the docker CLI
//! begins with the program's name (`docker: Error response from daemon: …`, `See 'docker run --help'`), the
//! drydock client writes the base name of its `argv[0]`. One rule, no switch for tests: whoever links `docker`
//! to `drydock` gets Docker's texts.
//!
//! Nothing here links the engine. It is reached as any user reaches it: by its binary and its socket.

mod binary;
mod daemon;
mod docker;
mod engine;
mod http;
pub mod leaks;
mod netlink;
mod processes;
mod subnet;

pub use binary::{drydock_binary, drydock_with_defects};
pub use daemon::{Daemon, DaemonOptions};
pub use docker::{docker_client, docker_socket};
pub use engine::{Engine, Other, Rig, Unavailable};
pub use http::{Response, request};
