//! The model fuzzer: random sequences of operations on two engines, and the shortest one that tells them apart.
//!
//! The model is a real Docker. Nobody writes down what is right: each sequence runs on Docker and on Drydock, and
//! after each step the answers, the containers' states, the list and the events are compared. A difference is shrunk
//! by proptest to the fewest and simplest steps that show it, and printed as a page in the format of the scenarios.
//!
//! | module | what |
//! |---|---|
//! | `operation` | what a sequence is made of |
//! | `generate` | strategies that make sequences |
//! | `wire` | an operation as a request of the Engine API |
//! | `engine`, `pending` | sends it, also several at once, and normalises the answer |
//! | `track`, `observe` | waits until containers have come to rest, and looks at them |
//! | `normal` | ids, names and durations as what they stand for |
//! | `compare` | two observations leaf by leaf; the list of what is meant to differ |
//! | `run`, `sequence`, `shrink` | a sequence on a pair of engines; as proptest's tree; the shortest one |
//! | `scenario` | a finding as a page |
//! | `probe`, `command` | what an engine does not have yet; the command line |
//!
//! Like all of the harness this links nothing of the engine.

mod command;
mod compare;
mod engine;
#[cfg(test)]
mod fake;
mod generate;
mod normal;
mod observe;
mod operation;
mod pending;
mod probe;
mod run;
mod scenario;
mod sequence;
mod shrink;
mod subject;
mod track;
mod wire;

pub use command::{Plan, Report, command, fuzz, missing, run};
