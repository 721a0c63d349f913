//! What a sequence is made of: operations on a few container names, as values.
//!
//! An operation says what a user asks for and nothing about HTTP, so that the same value can be sent to an engine,
//! written as a command line and compared with another. Programs are chosen so that a container comes to rest: it
//! either runs until something is done to it, or ends by itself. Two engines can be compared then, however fast each
//! of them is.

use std::fmt;

/// One of the few names that a sequence uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(pub u8);

impl Name {
    /// How many names `create` uses; a rename may give one more.
    pub const COUNT: u8 = 3;
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{}", char::from(b'a' + self.0))
    }
}

/// What a container runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Program {
    /// Runs until it is killed. As PID 1 without a handler it does not hear SIGTERM (pid_namespaces(7)).
    Sleep,
    /// Runs until SIGTERM (then exits with 7) or SIGUSR1 (then with 0), and says `ready` when it can hear them.
    Trap,
    /// Writes to both streams and exits with this code.
    Exit(u8),
    /// Ends at once when it runs for the first time, and stays from the second time on.
    Twice,
    /// A program that is not there.
    Missing,
    /// A file that cannot be executed.
    NotExecutable,
}

impl Program {
    /// The command line.
    pub fn command(self) -> Vec<String> {
        let shell = |script: String| vec!["sh".to_owned(), "-c".to_owned(), script];
        match self {
            Program::Sleep => vec!["sleep".to_owned(), "1000".to_owned()],
            Program::Trap => shell(
                "trap 'exit 7' TERM; trap 'exit 0' USR1; trap : HUP; echo ready; while :; do sleep 1000 & wait; done"
                    .to_owned(),
            ),
            Program::Exit(0) => vec!["true".to_owned()],
            Program::Exit(code) => shell(format!("echo out; echo err >&2; exit {code}")),
            Program::Twice => shell("test -e /second && exec sleep 1000; touch /second".to_owned()),
            Program::Missing => vec!["/no/such/program".to_owned()],
            Program::NotExecutable => vec!["/etc/passwd".to_owned()],
        }
    }
}

/// A restart policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Policy {
    /// `no`.
    No,
    /// `on-failure` with a largest number of retries.
    OnFailure(u8),
    /// `always`.
    Always,
    /// `unless-stopped`.
    UnlessStopped,
}

impl Policy {
    /// Docker's name and number.
    pub fn words(self) -> (&'static str, u8) {
        match self {
            Policy::No => ("no", 0),
            Policy::OnFailure(retries) => ("on-failure", retries),
            Policy::Always => ("always", 0),
            Policy::UnlessStopped => ("unless-stopped", 0),
        }
    }
}

/// Something in a `create` that an engine refuses, or that makes the start fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flaw {
    /// An image that is not there.
    Image,
    /// A restart policy that does not exist.
    Policy,
    /// A number of retries with a policy that has none.
    Retries,
    /// Less memory than a container may have.
    Memory,
    /// A signal that does not exist.
    Signal,
    /// A working directory that is not absolute.
    Directory,
    /// A user who is not in the image: the start fails.
    User,
    /// A network that is not there: the start fails.
    Network,
}

/// A `create`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Creation {
    /// What it runs.
    pub program: Program,
    /// Its restart policy.
    pub policy: Policy,
    /// `--rm`.
    pub auto_remove: bool,
    /// `-t`.
    pub tty: bool,
    /// `--stop-signal`.
    pub stop_signal: Option<&'static str>,
    /// `--network none` instead of the bridge.
    pub no_network: bool,
    /// What is wrong with it.
    pub flaw: Option<Flaw>,
}

/// What an `exec` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exec {
    /// Writes to both streams and exits with this code.
    Exit(u8),
    /// A program that is not there.
    Missing,
    /// A user who is not in the image.
    User,
    /// A working directory that is not there.
    Directory,
    /// A terminal.
    Tty,
    /// Not attached.
    Detached(u8),
    /// Sends SIGTERM to PID 1 from inside: an end that no user asked the engine for. It comes when the exec is over, so
    /// that the exec's own exit code is not a matter of luck.
    KillInside,
    /// No command at all.
    Empty,
}

/// The program of an exec.
impl Exec {
    /// The command line.
    pub fn command(self) -> Vec<String> {
        let shell = |script: String| vec!["sh".to_owned(), "-c".to_owned(), script];
        match self {
            Exec::Exit(code) | Exec::Detached(code) => {
                shell(format!("echo out; echo err >&2; exit {code}"))
            }
            Exec::Missing => vec!["/no/such/program".to_owned()],
            Exec::User | Exec::Directory => vec!["true".to_owned()],
            Exec::Tty => shell("test -t 1; echo tty $?".to_owned()),
            Exec::KillInside => shell("(sleep 0.3; kill -TERM 1) >/dev/null 2>&1 &".to_owned()),
            Exec::Empty => Vec::new(),
        }
    }

    /// `-u`.
    pub fn user(self) -> &'static str {
        if self == Exec::User { "nosuchuser" } else { "" }
    }

    /// `-w`.
    pub fn directory(self) -> &'static str {
        if self == Exec::Directory {
            "/no/such/directory"
        } else {
            ""
        }
    }
}

/// Which containers a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Listing {
    /// Those that run.
    Running,
    /// Those with a status.
    Status(&'static str),
    /// Those that ended with a code.
    Exited(u8),
    /// Those whose name contains one.
    Named(Name),
}

/// What an `update` changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// The restart policy.
    Policy(Policy),
    /// CPU shares.
    Shares(u16),
    /// Less memory than a container may have.
    LittleMemory,
}

/// One thing that a client asks an engine for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Creates a container.
    Create(Name, Creation),
    /// Starts it.
    Start(Name),
    /// Stops it; with None after the container's own time, which is one second.
    Stop(Name, Option<i8>),
    /// Stops and starts it.
    Restart(Name, Option<i8>),
    /// Sends a signal.
    Kill(Name, &'static str),
    /// Freezes it.
    Pause(Name),
    /// Thaws it.
    Unpause(Name),
    /// Gives it another name.
    Rename(Name, NewName),
    /// Removes it, with `force` also when it runs.
    Remove(Name, bool),
    /// Runs another program in it.
    Exec(Name, Exec),
    /// Waits for its end; only inside [`Step::Await`].
    Wait(Name, &'static str),
    /// Shows it.
    Inspect(Name),
    /// Lists containers.
    List(Listing),
    /// Changes its settings.
    Update(Name, Change),
    /// Lists its processes.
    Top(Name),
    /// Shows its log.
    Logs(Name, Option<u8>),
    /// Removes those of this sequence that do not run.
    Prune,
}

/// The name that a rename gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NewName {
    /// One of the sequence's names, which may be taken.
    Name(Name),
    /// The name that it has.
    Same,
    /// A name with characters that names do not have.
    Malformed,
    /// No name at all.
    Empty,
}

impl Operation {
    /// The container that it is about.
    pub fn name(&self) -> Option<Name> {
        use Operation::*;
        match *self {
            Create(name, _)
            | Start(name)
            | Stop(name, _)
            | Restart(name, _)
            | Kill(name, _)
            | Pause(name)
            | Unpause(name)
            | Rename(name, _)
            | Remove(name, _)
            | Exec(name, _)
            | Wait(name, _)
            | Inspect(name)
            | Update(name, _)
            | Top(name)
            | Logs(name, _) => Some(name),
            List(_) | Prune => None,
        }
    }

    /// What it is called, for probing whether an engine has it.
    pub fn verb(&self) -> &'static str {
        use Operation::*;
        match self {
            Create(..) => "create",
            Start(_) => "start",
            Stop(..) => "stop",
            Restart(..) => "restart",
            Kill(..) => "kill",
            Pause(_) => "pause",
            Unpause(_) => "unpause",
            Rename(..) => "rename",
            Remove(..) => "rm",
            Exec(..) => "exec",
            Wait(..) => "wait",
            Inspect(_) => "inspect",
            List(_) => "ps",
            Update(..) => "update",
            Top(_) => "top",
            Logs(..) => "logs",
            Prune => "prune",
        }
    }
}

/// One step of a sequence; engines are compared after each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// One client, one operation.
    One(Operation),
    /// Several clients at once. Their containers differ, or the operations leave the container as it is: the outcome
    /// must not depend on their order.
    Together(Vec<Operation>),
    /// A client waits for an end with this condition, and then another does something.
    Await(Name, &'static str, Operation),
    /// The daemon ends (with SIGKILL when true) and is started again. Only on an engine of one's own; nobody may notice.
    RestartDaemon(bool),
}

impl Step {
    /// The operations in it.
    pub fn operations(&self) -> Vec<Operation> {
        match self {
            Step::One(operation) => vec![*operation],
            Step::Together(operations) => operations.clone(),
            Step::Await(name, condition, then) => {
                vec![Operation::Wait(*name, condition), *then]
            }
            Step::RestartDaemon(_) => Vec::new(),
        }
    }
}
