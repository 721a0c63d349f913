//! `--format`: templates (the crate `drydock-template`), tables, and human units.

pub mod human;
pub mod schema;
pub mod table;

pub use drydock_template::{evaluator, parser, print, value};

#[cfg(test)]
mod tests;
