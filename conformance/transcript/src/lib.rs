//! Transcripts: commands with their expected output, written once and run many times.
//!
//! A transcript is a Markdown page with `console` blocks. The same text is an example in the book, a
//! scenario of the conformance suite, a check of a lab and a regression test. Readers see a plain block:
//!
//! ````markdown
//! <!-- transcript: timeout=20s -->
//! ```console
//! $ docker run --rm busybox sh -c 'echo out; exit 3'
//! out
//! ? 3
//! ```
//! ````
//!
//! * [`page`] reads a page into scenarios (one per heading), blocks and steps;
//! * [`control`] reads the HTML comment that may stand before a block;
//! * [`pattern`] knows the elisions: `...`, `[..]`, `[ID]`, `[TIME]` and the others;
//! * [`compare`] lays expected and actual lines side by side and draws the difference;
//! * [`session`] is the one bash that lives for a whole page, with its pipes and its terminal;
//! * [`run`] runs a scenario in a session and reports each step;
//! * [`update`] writes the actual output back into the page.
//!
//! The crate knows nothing of containers. Which `docker` is found on `PATH`, and so which engine answers,
//! is decided by the caller: see the crate `rig`.
//!
//! # What counts as equal
//!
//! Standard output and standard error arrive merged, in the order in which they were written. Spaces at
//! the end of a line and empty lines at the end of an output are not compared: editors remove them. Escape
//! sequences of a terminal are removed, and `\r\n` is a line end. `bash: line 7: …` reads `bash: …`, which is
//! what a person at a prompt would see.

pub mod compare;
pub mod control;
pub mod page;
pub mod pattern;
pub mod run;
pub mod session;
pub mod update;

pub use control::Control;
pub use page::{Block, Page, ParseError, Scenario, Step};
pub use run::{Options, ScenarioReport, StepReport, Verdict, run_page, run_scenario};
pub use session::{Environment, Session};
