//! Go templates (text/template) as far as Docker's users write them: `--format` of the client, and the tags of
//! the daemon's log drivers.
//!
//! Our own, because no crate fits: `gtmpl` (0.7, the only one) has other error texts, no `slice`, and prints
//! values in its own way, while scripts rely on `{{.State}}` and `map has no entry for key`. The language is
//! small: a lexer and parser ([`parser`]), an evaluator ([`evaluator`]), functions, and values that print as Go
//! prints them ([`value`]).

mod escape;
pub mod evaluator;
mod functions;
mod lexer;
pub mod number;
pub mod parser;
pub mod print;
pub mod value;
