//! Docker's commands and flags beside Drydock's, by the help pages of both.
//!
//! A help page is what a client says of itself, and the one list of commands and flags that is complete. Both clients
//! are asked for every page they have; then each command, alias and flag of Docker's is either in Drydock's with the
//! same meaning (long name, letter, kind of value, default), or in `grammar.toml` with a reason. So nothing is missing
//! by oversight, and a version of Docker that has more shows at once.
//!
//! Docker's side is recorded (`docker-28.json`, of the client of Docker 28.5), so that hosts with another docker client
//! or none can check too. The texts in it are the docker CLI's (<https://github.com/docker/cli>, Apache License 2.0).

mod ask;
mod command;
mod compare;
mod model;
mod page;
mod reasons;
mod table;

pub use ask::{docker, drydock, recorded};
pub use command::{command, run};
pub use compare::{Report, Row, State, compare};
pub use model::{Command, Flag, Grammar};
pub use reasons::{Entry, Reasons};
