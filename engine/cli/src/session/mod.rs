//! A person (or a pipe) at a container: terminal, signals, detach keys and the copying of streams.

pub mod copy;
pub mod keys;
pub mod signals;
pub mod terminal;
