//! `run` and `create`: the flags that describe a container, and the API body they become.

pub mod body;
pub mod devices;
pub mod environment;
pub mod flags;
pub mod health;
pub mod mounts;
pub mod networks;
pub mod ports;
pub mod security;
