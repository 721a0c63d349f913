//! The conformance suite: scenarios that are true on real Docker, run on every engine.
//!
//! * [`catalogue`] finds the scenarios in `scenarios/TOPIC/*.md` and holds them to the house rules;
//! * [`workshop`] opens the engines and runs one scenario on one of them, from clean to clean;
//! * [`suite`] runs many, in parallel, and judges each with [`divergence`]'s list at hand;
//! * [`report`] draws the matrix and writes JSON and Markdown.
//!
//! Real Docker is the teacher: a scenario is written by looking at it there, and an expectation is never bent
//! to what our engine says. What differs on purpose is in `divergence.toml`, with the reason; an entry that
//! has become untrue is an error.

pub mod catalogue;
pub mod divergence;
pub mod report;
pub mod suite;
pub mod workshop;
