//! The one binary of the engine. The first word says which role it plays; everything else is the client.
//!
//! The roles are looked at before any flag is parsed, because the client's start-up time is a feature and the
//! inner roles must not read what a user typed.

use std::process::ExitCode;

fn main() -> ExitCode {
    drydock_cli::main(std::env::args_os())
}
