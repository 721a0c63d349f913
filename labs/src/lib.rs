//! The lab runner and grader.
//!
//! A lab is a folder: what the learner reads, what they start from, and what is checked. There are two kinds.
//! In a **use it** lab the learner works with `docker` or `drydock`, and the engine's state is checked
//! ([`state`]). In a **build it** lab the learner writes a part of an engine, and a program is judged by
//! what it does ([`program`]).
//!
//! The rules that keep a grade true (research: reliability-and-security D):
//! * Expected answers never leave this process. A submission sees inputs only, and text that it prints is
//!   data to compare, never a verdict.
//! * Nothing of a submission runs outside a container, neither its compiler nor its program ([`sandbox`]);
//!   its commands are data too, from a short list ([`answers`]).
//! * Files of a submission are read through descriptors that follow no link ([`submission`]).
//! * A verdict has four values ([`verdict`]): what the grader could not find out is `error`, not `fail`.

pub mod answers;
pub mod catalogue;
pub mod commands;
pub mod digest;
pub mod engine;
pub mod grade;
pub mod judge;
pub mod lab;
pub mod program;
pub mod progress;
pub mod questions;
pub mod replay;
pub mod results;
pub mod sandbox;
pub mod state;
pub mod submission;
pub mod toolchain;
pub mod variants;
pub mod verdict;
pub mod workspace;
