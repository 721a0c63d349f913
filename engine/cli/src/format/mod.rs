//! `--format`: Go templates (text/template) as far as Docker's users write them, tables, and human units.
//!
//! Our own, because no crate fits: `gtmpl` (0.7, the only one) has other error texts, no `slice`, and prints
//! values in its own way, while scripts rely on `{{.State}}` and `map has no entry for key`. The language is
//! small: a lexer and parser ([`parser`]), an evaluator ([`evaluator`]), functions ([`functions`]), and
//! values that print as Go prints them ([`value`]).

mod escape;
pub mod evaluator;
mod functions;
pub mod human;
mod lexer;
pub mod parser;
pub mod print;
pub mod schema;
pub mod table;
pub mod value;

#[cfg(test)]
mod tests;
