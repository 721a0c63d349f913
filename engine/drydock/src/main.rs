//! The one binary of the engine. The first word says which role it plays; everything else is the client.
//!
//! The roles are looked at before any flag is parsed, because the client's start-up time is a feature and the
//! inner roles must not read what a user typed.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments
        .next()
        .as_deref()
        .and_then(std::ffi::OsStr::to_str)
    {
        Some("daemon") => drydock_daemon::main(arguments),
        Some("spawner") => drydock_shim::spawner_main(),
        Some("unpack") => drydock_image::unpack_main(arguments),
        _ => drydock_cli::main(std::env::args_os()),
    }
}
