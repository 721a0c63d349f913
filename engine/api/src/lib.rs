//! The words of the Engine API: what a request and an answer look like on the wire, without any engine.
//!
//! * [`models`]: the wire types, those of the `bollard` client. Requests are read into them.
//! * [`shape`]: makes an answer's JSON exactly Docker's. Typed clients break on a null where Docker sends
//!   `{}`, so the shapes are recorded documents, kept as data.
//! * [`routes`] and [`version`]: every route of Docker's description 1.51, and which we serve.
//! * [`error`]: one enum, one variant per HTTP status, Docker's texts.
//! * [`query`], [`filters`], [`request`]: the forms that Docker accepts, with its errors.
//! * [`pattern`]: the shell patterns of filters.
//! * [`framing`]: the eight-byte header of multiplexed streams.
//! * [`base64`]: JSON documents in headers.
//! * [`time`]: RFC 3339 and the durations that people read.
//!
//! Source: Docker's own description of its API (Swagger 2, version 1.51) and a Docker 28.5 asked over its
//! socket; where the two differ, the socket was believed.

pub mod base64;
pub mod error;
pub mod filters;
pub mod framing;
pub mod pattern;
pub mod query;
pub mod request;
pub mod routes;
pub mod shape;
pub mod time;
pub mod version;

pub use bollard_stubs::models;
pub use error::Error;
