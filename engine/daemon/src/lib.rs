//! The engine's heart: it serves the Docker Engine API and keeps the containers' lives.
//!
//! * [`settings`]: flags and daemon.json.
//! * [`http`]: connections, requests, answers, hijacked streams.
//! * [`handlers`]: one function for each operation of the API that is not about containers.
//! * [`containers`]: records, and one file for each verb.
//! * [`engine`]: what all of them share, the start of the daemon and its end.
//!
//! Invariants that hold everywhere:
//! * One fact has one place: a container's record. Names, addresses and image references are derived from the
//!   records when the daemon starts.
//! * Intent before effect: the record says `starting` before the first kernel object exists.
//! * Readers see published snapshots and never wait for a lock that is held across I/O.
//! * The daemon is not in the data path: a client's socket goes to the shim.

pub mod containers;
pub mod engine;
pub mod handlers;
pub mod http;
mod service;
pub mod settings;

pub use containers::copier::copier_main;
pub use service::main;
