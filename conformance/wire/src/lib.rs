//! What an engine answers, compared with Docker's own description of its API.
//!
//! A [`Recorder`] stands between clients and an engine. It passes every byte on as it comes, in both directions,
//! and reads along. Afterwards [`report`] compares what was answered with a [`Description`], which is Docker's own
//! (Swagger 2) file. Docker does not keep to its description everywhere: what it answers otherwise is listed in
//! [`Exceptions`], from evidence, and no other engine is blamed for it either.
//!
//! Comparing the two engines with each other would need the same state on both. The description needs no other
//! engine, sees every answer of every scenario, and looks at each field, also those that no client prints.
//!
//! ```no_run
//! let recorder = wire::Recorder::start("/var/run/docker.sock".as_ref())?;
//! // … clients talk to recorder.socket() …
//! let recording = recorder.finish();
//! let report = wire::report(&recording, wire::Description::docker()?, &wire::Exceptions::docker()?);
//! print!("{}", report.text());
//! # anyhow::Ok(())
//! ```

mod answer;
mod conversation;
mod description;
mod exceptions;
mod framing;
mod head;
mod lifeline;
mod proxy;
mod recording;
mod report;
mod schema;
mod tour;
mod validate;

pub use answer::Finding;
pub use description::{Answer, Description, Route};
pub use exceptions::{Exception, Exceptions};
pub use proxy::Recorder;
pub use recording::{Exchange, Recording};
pub use report::{Report, Violation, report};
pub use schema::Schema;
pub use tour::tour;
