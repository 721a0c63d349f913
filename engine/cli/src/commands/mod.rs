//! The commands: one table, from which the dispatch, the help pages and the overview are made.

mod about;
mod attach;
mod bootstrap;
mod create;
mod down;
mod events;
mod exec;
mod images;
mod inspect;
mod lifecycle;
mod logs;
mod ps;
mod pull;
mod rows;
mod run;
mod start;
mod trace;
mod transfer;
pub mod up;

use crate::failure::{Failure, Outcome};
use crate::flags::{Flag, Matches};
use crate::{Context, container, output};

/// One command.
pub struct Command {
    /// The short form first, then the long forms: `ps`, `container ls`, ….
    pub names: &'static [&'static str],
    /// The usage line behind the name.
    pub usage: &'static str,
    /// What it does, without a full stop.
    pub about: &'static str,
    /// Its flags, in groups that commands share.
    pub flags: &'static [&'static [Flag]],
    /// The least and the most words it takes.
    pub words: (usize, usize),
    /// Whether flags may follow words. False for those that run a program with flags of its own.
    pub interspersed: bool,
    /// Does it.
    pub run: fn(&Context, &Matches) -> Outcome,
}

const MANY: usize = usize::MAX;

const DETACH_KEYS: Flag = Flag::text("detach-keys", "Keys that detach from the container");

/// All of them.
pub const COMMANDS: &[Command] = &[
    Command {
        names: &["up"],
        usage: "[OPTIONS]",
        about: "Start the engine and run a first container",
        flags: &[up::FLAGS],
        words: (0, 0),
        interspersed: true,
        run: up::run,
    },
    Command {
        names: &["down"],
        usage: "[OPTIONS]",
        about: "End the engine; containers keep running unless --all stops them",
        flags: &[down::FLAGS],
        words: (0, 0),
        interspersed: true,
        run: down::run,
    },
    Command {
        names: &["image bootstrap"],
        usage: "busybox [PATH]",
        about: "Make the base image from a static busybox, without a registry",
        flags: &[],
        words: (1, 2),
        interspersed: true,
        run: bootstrap::run,
    },
    Command {
        names: &["run", "container run"],
        usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
        about: "Create and start a new container",
        flags: &[container::flags::CREATE, container::flags::RUN],
        words: (1, MANY),
        interspersed: false,
        run: run::run,
    },
    Command {
        names: &["create", "container create"],
        usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
        about: "Create a container without starting it",
        flags: &[container::flags::CREATE],
        words: (1, MANY),
        interspersed: false,
        run: create::run,
    },
    Command {
        names: &["start", "container start"],
        usage: "[OPTIONS] CONTAINER [CONTAINER...]",
        about: "Start containers that were created or have ended",
        flags: &[&[
            Flag::switch("attach", "Show the output and pass on signals").short('a'),
            Flag::text("checkpoint", "Restore from this checkpoint"),
            Flag::text("checkpoint-dir", "Where checkpoints are"),
            DETACH_KEYS,
            Flag::switch("interactive", "Connect stdin").short('i'),
        ]],
        words: (1, MANY),
        interspersed: true,
        run: start::run,
    },
    Command {
        names: &["stop", "container stop"],
        usage: "[OPTIONS] CONTAINER [CONTAINER...]",
        about: "Stop running containers",
        flags: &[lifecycle::STOP],
        words: (1, MANY),
        interspersed: true,
        run: lifecycle::stop,
    },
    Command {
        names: &["restart", "container restart"],
        usage: "[OPTIONS] CONTAINER [CONTAINER...]",
        about: "Stop containers and start them again",
        flags: &[lifecycle::STOP],
        words: (1, MANY),
        interspersed: true,
        run: lifecycle::restart,
    },
    Command {
        names: &["kill", "container kill"],
        usage: "[OPTIONS] CONTAINER [CONTAINER...]",
        about: "Send a signal to running containers, SIGKILL by default",
        flags: &[&[Flag::text("signal", "Signal to send").short('s')]],
        words: (1, MANY),
        interspersed: true,
        run: lifecycle::kill,
    },
    Command {
        names: &["rm", "container rm", "container remove"],
        usage: "[OPTIONS] CONTAINER [CONTAINER...]",
        about: "Remove containers",
        flags: &[&[
            Flag::switch("force", "Kill the container first if it runs").short('f'),
            Flag::switch("link", "Remove the link of this name").short('l'),
            Flag::switch("volumes", "Remove its unnamed volumes too").short('v'),
        ]],
        words: (1, MANY),
        interspersed: true,
        run: lifecycle::remove,
    },
    Command {
        names: &["rename", "container rename"],
        usage: "CONTAINER NEW_NAME",
        about: "Give a container another name",
        flags: &[],
        words: (2, 2),
        interspersed: true,
        run: lifecycle::rename,
    },
    Command {
        names: &["wait", "container wait"],
        usage: "CONTAINER [CONTAINER...]",
        about: "Wait until containers end, then print their exit codes",
        flags: &[],
        words: (1, MANY),
        interspersed: true,
        run: lifecycle::wait,
    },
    Command {
        names: &["exec", "container exec"],
        usage: "[OPTIONS] CONTAINER COMMAND [ARG...]",
        about: "Run one more process in a running container",
        flags: &[exec::FLAGS],
        words: (2, MANY),
        interspersed: false,
        run: exec::run,
    },
    Command {
        names: &["attach", "container attach"],
        usage: "[OPTIONS] CONTAINER",
        about: "Connect stdin, stdout and stderr to a running container",
        flags: &[&[
            DETACH_KEYS,
            Flag::switch("no-stdin", "Do not connect stdin"),
            Flag::switch("sig-proxy", "Pass signals on to the process").default("true"),
        ]],
        words: (1, 1),
        interspersed: true,
        run: attach::run,
    },
    Command {
        names: &["ps", "container ls", "container list", "container ps"],
        usage: "[OPTIONS]",
        about: "List containers",
        flags: &[ps::FLAGS],
        words: (0, 0),
        interspersed: true,
        run: ps::run,
    },
    Command {
        names: &["logs", "container logs"],
        usage: "[OPTIONS] CONTAINER",
        about: "Show what a container has written",
        flags: &[logs::FLAGS],
        words: (1, 1),
        interspersed: true,
        run: logs::run,
    },
    Command {
        names: &["inspect"],
        usage: "[OPTIONS] NAME|ID [NAME|ID...]",
        about: "Show everything about containers and images",
        flags: &[inspect::FLAGS],
        words: (1, MANY),
        interspersed: true,
        run: inspect::run,
    },
    Command {
        names: &["container inspect"],
        usage: "[OPTIONS] CONTAINER [CONTAINER...]",
        about: "Show everything about containers",
        flags: &[inspect::CONTAINER_FLAGS],
        words: (1, MANY),
        interspersed: true,
        run: inspect::containers,
    },
    Command {
        names: &["image inspect"],
        usage: "[OPTIONS] IMAGE [IMAGE...]",
        about: "Show everything about images",
        flags: &[inspect::IMAGE_FLAGS],
        words: (1, MANY),
        interspersed: true,
        run: inspect::images,
    },
    Command {
        names: &["images", "image ls", "image list"],
        usage: "[OPTIONS] [REPOSITORY[:TAG]]",
        about: "List images",
        flags: &[images::FLAGS],
        words: (0, 1),
        interspersed: true,
        run: images::run,
    },
    Command {
        names: &["load", "image load"],
        usage: "[OPTIONS]",
        about: "Load images from an archive",
        flags: &[transfer::LOAD],
        words: (0, 0),
        interspersed: true,
        run: transfer::load,
    },
    Command {
        names: &["import", "image import"],
        usage: "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
        about: "Make an image of a file system archive",
        flags: &[transfer::IMPORT],
        words: (1, MANY),
        interspersed: true,
        run: transfer::import,
    },
    Command {
        names: &["tag", "image tag"],
        usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
        about: "Give an image one more name",
        flags: &[],
        words: (2, 2),
        interspersed: true,
        run: transfer::tag,
    },
    Command {
        names: &["rmi", "image rm", "image remove"],
        usage: "[OPTIONS] IMAGE [IMAGE...]",
        about: "Remove images",
        flags: &[transfer::REMOVE],
        words: (1, MANY),
        interspersed: true,
        run: transfer::remove,
    },
    Command {
        names: &["events", "system events"],
        usage: "[OPTIONS]",
        about: "Show what happens in the engine, as it happens",
        flags: &[events::FLAGS],
        words: (0, 0),
        interspersed: true,
        run: events::run,
    },
    Command {
        names: &["version"],
        usage: "[OPTIONS]",
        about: "Show the versions of client and engine",
        flags: &[about::FLAGS],
        words: (0, 0),
        interspersed: true,
        run: about::version,
    },
    Command {
        names: &["info", "system info"],
        usage: "[OPTIONS]",
        about: "Show what the engine is and has",
        flags: &[about::FLAGS],
        words: (0, 0),
        interspersed: true,
        run: about::info,
    },
];

/// The groups of the long forms.
const GROUPS: [(&str, &str); 3] = [
    ("container", "Manage containers"),
    ("image", "Manage images"),
    ("system", "Manage the engine"),
];

/// The command that `words` begin with, and how many words name it.
pub fn find(words: &[String]) -> Option<(&'static Command, usize)> {
    for count in [2, 1] {
        let Some(head) = words.get(..count) else {
            continue;
        };
        let name = head.join(" ");
        if let Some(command) = COMMANDS
            .iter()
            .find(|command| command.names.contains(&name.as_str()))
        {
            return Some((command, count));
        }
    }
    None
}

/// Says that there is no such command, or shows what a group holds.
pub fn unknown(program: &str, words: &[String]) -> Outcome {
    let first = words.first().map_or("", String::as_str);
    let Some((group, about)) = GROUPS.iter().find(|(group, _)| *group == first) else {
        return Err(Failure::new(format!(
            "{program}: unknown command: {program} {first}\n\nRun '{program} --help' for more information"
        )));
    };
    match words.get(1) {
        Some(second) if !second.starts_with('-') => Err(Failure::new(format!(
            "{program}: unknown command: {program} {group} {second}\n\nUsage:  {program} {group}\n\nRun '{program} {group} --help' for more information"
        ))),
        word => {
            let page = group_page(program, group, about);
            // The stock client prints a page that was not asked for on stderr.
            if word.is_some() {
                output::line(page.trim_end())?
            } else {
                output::error_line(page.trim_end())
            }
            Ok(0)
        }
    }
}

fn group_page(program: &str, group: &str, about: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for command in COMMANDS {
        let name = command
            .names
            .iter()
            .find_map(|name| name.strip_prefix(group)?.strip_prefix(' '));
        lines.extend(name.map(|name| format!("  {name:<11} {}\n", command.about)));
    }
    lines.sort();
    format!(
        "Usage:  {program} {group} COMMAND\n\n{about}\n\nCommands:\n{}\nRun '{program} {group} COMMAND --help' for more information on a command.\n",
        lines.concat()
    )
}

/// `drydock --help`.
pub fn overview(program: &str, options: &str) -> String {
    let mut lines: Vec<String> = COMMANDS
        .iter()
        .filter(|command| !command.names[0].contains(' '))
        .map(|command| format!("  {:<11} {}\n", command.names[0], command.about))
        .collect();
    lines.push(format!(
        "  {:<11} Run the engine itself, in the foreground\n",
        "daemon"
    ));
    lines.sort();
    let groups: String = GROUPS
        .iter()
        .map(|(group, about)| format!("  {group:<11} {about}\n"))
        .collect();
    format!(
        "Usage:  {program} [OPTIONS] COMMAND\n\nA container engine to learn from, to check and to measure\n\n\
         Management Commands:\n{groups}\nCommands:\n{}\nGlobal Options:\n{options}\n\
         Run '{program} COMMAND --help' for more information on a command.\n",
        lines.concat()
    )
}
