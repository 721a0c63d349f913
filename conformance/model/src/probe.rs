//! What an engine does not have yet. It says so with 501, and sequences leave it out; nothing is left out silently.

use std::path::Path;

use crate::generate::Abilities;
use crate::operation::{Change, Listing, Name, NewName, Operation};
use crate::wire;

/// Asks each engine for each operation, on a container that is not there.
///
/// # Errors
/// When an engine does not answer.
pub fn abilities(sockets: &[&Path]) -> anyhow::Result<Abilities> {
    let name = Name(0);
    let operations = [
        Operation::Start(name),
        Operation::Stop(name, None),
        Operation::Restart(name, None),
        Operation::Kill(name, "KILL"),
        Operation::Pause(name),
        Operation::Unpause(name),
        Operation::Rename(name, NewName::Same),
        Operation::Remove(name, false),
        Operation::Exec(name, crate::operation::Exec::Exit(0)),
        Operation::Inspect(name),
        Operation::List(Listing::Running),
        Operation::Update(name, Change::Shares(512)),
        Operation::Top(name),
        Operation::Logs(name, None),
        Operation::Prune,
    ];
    let mut missing = Vec::new();
    for operation in &operations {
        let request = wire::request("probe", operation);
        let body = request.body.map(|body| body.to_string());
        for socket in sockets {
            let answer = rig::request(
                socket,
                request.method,
                &request.path,
                body.as_deref().map(str::as_bytes),
            )?;
            if answer.status == 501 && !missing.contains(&operation.verb()) {
                missing.push(operation.verb());
            }
        }
    }
    Ok(Abilities { missing })
}
