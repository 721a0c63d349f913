//! The containers of a sequence, as one engine knows them, and whether they have come to rest.
//!
//! Two engines differ in speed. What is compared is where a container ends up, so a look at it waits until nothing is
//! under way any more: a program that ends by itself has ended, a restart that was announced has happened, a signal
//! that will end a program has ended it.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::normal::Known;
use crate::operation::{Creation, Exec, Operation, Program};

/// How long a signal may take from the client's request to the end of the program.
const SIGNAL: Duration = Duration::from_secs(3);

/// The same where it may well do nothing: a frozen program hears it later.
const PERHAPS: Duration = Duration::from_secs(1);

/// A container that a sequence made.
#[derive(Clone, Debug)]
pub struct Tracked {
    /// Its label and id.
    pub known: Known,
    /// How it was made.
    pub creation: Creation,
    /// Its name at the last look, without the slash.
    pub name: String,
    /// It is no longer there.
    pub gone: bool,
    /// Which run it was in at the last look.
    run: Run,
    /// The run whose program has said that it is ready, and how often `ready` is in the log since.
    ready: Option<(Run, usize)>,
    /// Something will end this run, at the latest then.
    ends: Option<(Run, Instant)>,
    /// It was frozen when a signal came that ends it.
    pending: bool,
}

/// What tells one run of a container from the next, or from its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Run {
    started: String,
    status: String,
}

impl Tracked {
    /// A container that was just created.
    pub fn new(known: Known, creation: Creation, name: String) -> Tracked {
        Tracked {
            known,
            creation,
            name,
            gone: false,
            run: Run::default(),
            ready: None,
            ends: None,
            pending: false,
        }
    }

    /// Takes note of an operation that succeeded: it may end the program a little later.
    pub fn noticed(&mut self, operation: &Operation) {
        if self.creation.program != Program::Trap {
            return;
        }
        let frozen = self.run.status == "paused";
        let signalled = match operation {
            Operation::Exec(_, Exec::KillInside) => true,
            Operation::Kill(_, signal) => matches!(*signal, "TERM" | "SIGUSR1"),
            _ => false,
        };
        let thawed = matches!(operation, Operation::Unpause(_)) && self.pending;
        if signalled || thawed {
            let patience = if frozen && !thawed { PERHAPS } else { SIGNAL };
            self.ends = Some((self.run.clone(), Instant::now() + patience));
            self.pending = frozen && !thawed;
        }
    }

    /// Takes note of what an inspect shows, and says whether something is under way. `ready` counts the lines
    /// `ready` in the container's log.
    pub fn moves(&mut self, inspect: &Value, ready: &mut dyn FnMut() -> usize) -> bool {
        let state = &inspect["State"];
        let status = state["Status"].as_str().unwrap_or_default();
        self.name = inspect["Name"]
            .as_str()
            .unwrap_or_default()
            .trim_start_matches('/')
            .to_owned();
        self.run = Run {
            started: state["StartedAt"].as_str().unwrap_or_default().to_owned(),
            status: status.to_owned(),
        };
        if let Some((run, at_the_latest)) = &self.ends {
            if *run == self.run && Instant::now() < *at_the_latest {
                return true;
            }
            self.ends = None;
        }
        match status {
            "restarting" | "removing" => true,
            "exited" | "dead" => {
                self.pending = false;
                inspect["HostConfig"]["AutoRemove"] == Value::Bool(true)
            }
            "running" => self.program_moves(state, ready),
            _ => false,
        }
    }

    fn program_moves(&mut self, state: &Value, ready: &mut dyn FnMut() -> usize) -> bool {
        match self.creation.program {
            Program::Exit(_) | Program::Missing | Program::NotExecutable => true,
            // The first run ends at once, and then there is a time of an end.
            Program::Twice => is_never(&state["FinishedAt"]),
            Program::Sleep => false,
            Program::Trap => {
                let before = match &self.ready {
                    Some((run, _)) if run.started == self.run.started => return false,
                    Some((_, count)) => *count,
                    None => 0,
                };
                let now = ready();
                if now <= before {
                    return true;
                }
                self.ready = Some((self.run.clone(), now));
                false
            }
        }
    }

    /// Whether a daemon that starts would start or remove it; see `Engine::restart_daemon`.
    pub fn wakes_with_daemon(&self, inspect: &Value) -> bool {
        let host = &inspect["HostConfig"];
        let policy = host["RestartPolicy"]["Name"].as_str().unwrap_or_default();
        let rests = inspect["State"]["Running"] != Value::Bool(true);
        rests && (!matches!(policy, "" | "no") || host["AutoRemove"] == Value::Bool(true))
    }
}

/// Docker's way to write that something has not happened.
pub fn is_never(time: &Value) -> bool {
    time.as_str()
        .is_none_or(|time| time.starts_with("0001-01-01"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::{Name, Policy};
    use serde_json::json;

    fn tracked(program: Program) -> Tracked {
        let creation = Creation {
            program,
            policy: Policy::No,
            auto_remove: false,
            tty: false,
            stop_signal: None,
            no_network: false,
            flaw: None,
        };
        let known = Known {
            label: "a#1".into(),
            id: String::new(),
        };
        Tracked::new(known, creation, "a".into())
    }

    fn running(started: &str, finished: &str) -> Value {
        json!({"Name": "/a", "State": {"Status": "running", "StartedAt": started, "FinishedAt": finished}})
    }

    #[test]
    fn a_program_that_ends_is_waited_for() {
        let mut never = || 0;
        assert!(tracked(Program::Exit(0)).moves(&running("1", "0001-01-01T"), &mut never));
        assert!(!tracked(Program::Sleep).moves(&running("1", "0001-01-01T"), &mut never));
        let mut twice = tracked(Program::Twice);
        assert!(twice.moves(&running("1", "0001-01-01T"), &mut never));
        assert!(!twice.moves(&running("2", "2026-01-01T"), &mut never));
    }

    #[test]
    fn a_trap_is_waited_for_once_in_each_run() {
        let mut trap = tracked(Program::Trap);
        assert!(trap.moves(&running("1", ""), &mut || 0));
        assert!(!trap.moves(&running("1", ""), &mut || 1));
        assert!(!trap.moves(&running("1", ""), &mut || unreachable!()));
        assert!(trap.moves(&running("2", ""), &mut || 1));
        assert!(!trap.moves(&running("2", ""), &mut || 2));
    }

    #[test]
    fn a_signal_that_ends_a_run_is_waited_for() {
        let mut trap = tracked(Program::Trap);
        assert!(!trap.moves(&running("1", ""), &mut || 1));
        trap.noticed(&Operation::Kill(Name(0), "HUP"));
        assert!(!trap.moves(&running("1", ""), &mut || 1));
        trap.noticed(&Operation::Kill(Name(0), "TERM"));
        assert!(trap.moves(&running("1", ""), &mut || 1));
        let exited = json!({"Name": "/a", "State": {"Status": "exited", "StartedAt": "1"}});
        assert!(!trap.moves(&exited, &mut || 1));
    }
}
