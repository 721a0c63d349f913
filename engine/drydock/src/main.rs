//! The one binary of the engine. The first word says which role it plays; everything else is the client.
//!
//! The roles are looked at before any flag is parsed, because the client's start-up time is a feature and the
//! inner roles must not read what a user typed.

use std::path::Path;
use std::process::ExitCode;

use drydock_runtime::pid_one;

fn main() -> ExitCode {
    // In a container; before everything else, because nothing else concerns it there.
    let mut words = std::env::args_os();
    let name = words.next();
    if name.is_some_and(|name| Path::new(&name).file_name() == Some(pid_one::NAME.as_ref())) {
        pid_one::main(words);
    }
    #[cfg(feature = "planted-defects")]
    if let Err(error) = plant_defect() {
        eprintln!("drydock: {error}");
        return ExitCode::FAILURE;
    }
    let mut arguments = std::env::args_os().skip(1);
    match arguments
        .next()
        .as_deref()
        .and_then(std::ffi::OsStr::to_str)
    {
        Some("daemon") => drydock_daemon::main(arguments),
        Some("spawner") => drydock_shim::spawner_main(),
        Some("copier") => drydock_daemon::copier_main(),
        Some("unpack") => drydock_image::unpack_main(arguments),
        _ => drydock_cli::main(std::env::args_os()),
    }
}

/// A test build has the defect that the environment names. The client, the daemon and the spawner ask alike: the
/// daemon hands the variable on.
#[cfg(feature = "planted-defects")]
fn plant_defect() -> Result<(), String> {
    match std::env::var(drydock_defects::VARIABLE) {
        Ok(name) if !name.is_empty() => drydock_defects::plant(&name),
        _ => Ok(()),
    }
}
