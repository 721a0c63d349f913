//! The conformance suite: scenarios that are true on real Docker, run on every engine.
//!
//! * [`catalogue`] finds the scenarios in `scenarios/TOPIC/*.md` and holds them to the house rules;
//! * [`workshop`] opens the engines and runs one scenario on one of them, from clean to clean, with [`helpers`] beside
//!   it; [`holdings`] finds what a scenario left;
//! * [`suite`] runs many, in random order and in parallel, and judges each with the lists at hand: [`divergence`] for
//!   what is meant, [`known`] for what is wrong and known;
//! * [`claims`] are the statements of the notes, each tied to scenarios that show whether it is true; [`recorded`] is
//!   what real Docker said, kept;
//! * [`report`] draws the matrix and writes JSON and Markdown; [`side_by_side`] shows two engines where there is no right
//!   or wrong: times, orders, values.
//!
//! Real Docker is the teacher: a scenario is written by looking at it there, and an expectation is never bent
//! to what our engine says. What differs on purpose is in `divergence.toml`, with the reason; an entry that
//! has become untrue is an error.

pub mod catalogue;
pub mod claims;
mod collector;
pub mod defects;
pub mod divergence;
pub mod helpers;
pub mod holdings;
pub mod known;
pub mod recorded;
pub mod report;
pub mod side_by_side;
pub mod suite;
pub mod workshop;
