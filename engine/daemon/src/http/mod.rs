//! HTTP/1.1 on unix sockets: connections in, requests to their operation, answers out.
//!
//! hyper reads and writes the messages; routes come from a table of our own (see `drydock_api::routes`).
//! Streams that are *hijacked* (attach, exec) leave hyper altogether: see [`connection`].

pub mod answer;
pub mod connection;
pub mod dispatch;
pub mod listener;
pub mod request;

pub use answer::{Answer, Body, Hijack};
pub use request::Request;
