//! The commands: one table, from which the dispatch, the help pages and the overview are made.

mod about;
mod attach;
mod bootstrap;
mod commit;
mod cp;
mod cp_local;
mod create;
mod diff;
mod down;
mod events;
mod exec;
mod history;
mod images;
mod inspect;
mod lifecycle;
mod logs;
mod port;
mod prune;
mod ps;
mod pull;
mod rows;
mod run;
mod save;
mod start;
mod stats;
mod table;
mod top;
mod trace;
mod transfer;
pub mod up;
mod update;
mod usage;

use crate::failure::{Failure, Outcome};
use crate::flags::{self, Flag, Matches, UsageError};
use crate::{Context, output};

use table::COMMANDS;

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

/// Commands of the stock client that this one does not have. Whoever types one has not mistyped.
const NOT_BUILT: [&str; 27] = [
    "build",
    "builder",
    "buildx",
    "compose",
    "context",
    "image build",
    "image pull",
    "image push",
    "login",
    "logout",
    "manifest",
    "network",
    "node",
    "plugin",
    "pull",
    "push",
    "search",
    "secret",
    "service",
    "stack",
    "swarm",
    "system dial-stdio",
    "trust",
    "volume",
    "config",
    "checkpoint",
    "container checkpoint",
];

/// The name of a command that is not built yet, as it was typed.
fn not_built(words: &[String]) -> Option<String> {
    [1, 2]
        .into_iter()
        .filter_map(|count| Some(words.get(..count)?.join(" ")))
        .find(|name| NOT_BUILT.contains(&name.as_str()))
}

/// Whether no command and no group begins so, built or not.
pub fn is_foreign(words: &[String]) -> bool {
    let is_group = |word: &String| GROUPS.iter().any(|(group, _)| group == word);
    not_built(words).is_none() && !words.first().is_some_and(is_group)
}

/// Says that there is no such command, or shows what a group holds.
pub fn unknown(program: &str, words: &[String]) -> Outcome {
    if let Some(name) = not_built(words) {
        return Err(Failure::new(format!(
            "{program}: '{program} {name}' is not built yet in this client"
        )));
    }
    let first = words.first().map_or("", String::as_str);
    let Some((group, about)) = GROUPS.iter().find(|(group, _)| *group == first) else {
        return Err(Failure::new(format!(
            "{program}: unknown command: {program} {first}\n\nRun '{program} --help' for more information"
        )));
    };
    if let Err(UsageError(text)) = flags::parse(&[], true, &words[1..]) {
        let text = format!(
            "{text}\n\nUsage:  {program} {group}\n\nRun '{program} {group} --help' for more information"
        );
        return Err(Failure::new(text).code(125));
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_built_or_not_built() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for name in NOT_BUILT {
            assert!(find(&words(name)).is_none(), "{name} is built now");
        }
        assert_eq!(not_built(&words("build a b")).as_deref(), Some("build"));
        assert_eq!(
            not_built(&words("image build a")).as_deref(),
            Some("image build")
        );
        assert_eq!(not_built(&words("nosuch")), None);
    }
}
