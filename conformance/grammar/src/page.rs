//! One help page in the layout of the docker CLI (that of spf13/cobra, with Docker's own template).
//!
//! Sections begin with a line that ends with a colon. In those that end with `Commands:`, each line is a name and a
//! text; in those that end with `Options:`, each flag is a name column and a text that may go on below itself.

use crate::model::{Command, Flag};

/// Reads a page. `program` is the first word of its usage.
///
/// Nothing for a text that is no help page.
pub(crate) fn parse(text: &str) -> Option<Command> {
    let usage = text.lines().find_map(|line| line.strip_prefix("Usage:"))?;
    let usage = without_program(usage.trim());
    let mut command = Command {
        usage: usage.to_owned(),
        about: about(text),
        ..Command::default()
    };
    let mut section = "";
    let mut flag: Option<Open> = None;
    for line in text.lines() {
        if !line.starts_with(' ') {
            section = line.trim_end();
            close(&mut command, flag.take());
        } else if section == "Aliases:" {
            let names = line.split(',').map(|name| without_program(name.trim()));
            command.aliases.extend(names.map(str::to_owned));
        } else if section.ends_with("Commands:") {
            // A star marks a plugin.
            let name = line
                .split_whitespace()
                .next()
                .map(|name| name.trim_end_matches('*'));
            command.commands.extend(name.map(str::to_owned));
        } else if section.ends_with("Options:") {
            match Open::begin(line) {
                Some(open) => close(&mut command, flag.replace(open)),
                None => flag.iter_mut().for_each(|open| open.go_on(line)),
            }
        }
    }
    close(&mut command, flag);
    command.commands.sort();
    Some(command)
}

/// The paragraph behind the usage.
fn about(text: &str) -> String {
    let behind = text
        .lines()
        .skip_while(|line| !line.starts_with("Usage:"))
        .skip(1);
    let lines: Vec<&str> = behind
        .skip_while(|line| line.trim().is_empty())
        .take_while(|line| !line.trim().is_empty() && !line.ends_with(':'))
        .collect();
    lines.join(" ")
}

/// `docker container ls` is `container ls`.
fn without_program(path: &str) -> &str {
    path.split_once(' ').map_or("", |(_, rest)| rest)
}

/// A flag whose text may go on.
struct Open {
    long: String,
    flag: Flag,
}

impl Open {
    fn begin(line: &str) -> Option<Open> {
        let line = line.trim_start();
        let (short, rest) = match line.strip_prefix("--") {
            Some(rest) => (None, rest),
            None => {
                let rest = line.strip_prefix('-')?;
                let short = rest.chars().next()?;
                (Some(short), rest.strip_prefix(short)?.strip_prefix(", --")?)
            }
        };
        // Two blanks end the name column.
        let (name, about) = rest.split_once("  ").unwrap_or((rest, ""));
        let (long, value) = name.split_once(' ').unwrap_or((name, ""));
        Some(Open {
            long: long.to_owned(),
            flag: Flag {
                short,
                value: value.trim().to_owned(),
                default: None,
                about: about.trim().to_owned(),
            },
        })
    }

    fn go_on(&mut self, line: &str) {
        self.flag.about.push(' ');
        self.flag.about.push_str(line.trim());
    }
}

/// Adds a flag whose text is complete; its end may be a default.
fn close(command: &mut Command, open: Option<Open>) {
    let Some(Open { long, mut flag }) = open else {
        return;
    };
    let about = flag.about.trim().to_owned();
    flag.about = about.clone();
    if let Some(position) = about.rfind("(default ")
        && let Some(default) = about[position + "(default ".len()..].strip_suffix(')')
        && is_value(default)
    {
        flag.default = Some(default.to_owned());
        flag.about = about[..position].trim_end().to_owned();
    }
    command.flags.insert(long, flag);
}

/// `"bridge"`, `true`, `[]`, and not the words `hides intermediate images`.
fn is_value(text: &str) -> bool {
    text.starts_with(['"', '[']) || text.starts_with("map[") || !text.contains(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
DEPRECATED: words in front of the page.
            Options: --not-a-flag

Usage:  docker container run [OPTIONS] IMAGE

Create and run a new container
from an image

Aliases:
  docker container run, docker run

Docker endpoint config:

  --neither   a flag

Options:
      --add-host list          Add a custom mapping
                               (host:ip)
  -a, --all                    Show all (default hides some)
      --format string          Format:
                               'table':   Print
                               --this is text
  -H, --host list              Daemon socket
  -l, --log-level string       Level (\"debug\", \"info\") (default
                               \"info\")
      --sig-proxy              Proxy signals (default true)

Run 'docker COMMAND --help' for more information on a command.
";

    #[test]
    fn a_page_of_flags() {
        let command = parse(PAGE).unwrap();
        assert_eq!(command.usage, "container run [OPTIONS] IMAGE");
        assert_eq!(
            command.about,
            "Create and run a new container from an image"
        );
        assert_eq!(command.aliases, ["container run", "run"]);
        let flag = |long: &str| {
            let flag = &command.flags[long];
            (
                flag.short,
                flag.value.as_str(),
                flag.default.as_deref(),
                flag.about.as_str(),
            )
        };
        assert_eq!(
            flag("add-host"),
            (None, "list", None, "Add a custom mapping (host:ip)")
        );
        assert_eq!(
            flag("all"),
            (Some('a'), "", None, "Show all (default hides some)")
        );
        assert_eq!(flag("host"), (Some('H'), "list", None, "Daemon socket"));
        let level = "Level (\"debug\", \"info\")";
        assert_eq!(
            flag("log-level"),
            (Some('l'), "string", Some("\"info\""), level)
        );
        assert_eq!(flag("sig-proxy"), (None, "", Some("true"), "Proxy signals"));
    }

    #[test]
    fn a_page_of_commands() {
        let page = "Usage:  docker [OPTIONS] COMMAND\n\nA runtime\n\nManagement Commands:\n  volume      Manage volumes\n  buildx*     Build\n\nCommands:\n  attach      Attach\n\nGlobal Options:\n  -D, --debug   Debug\n";
        let command = parse(page).unwrap();
        assert_eq!(command.commands, ["attach", "buildx", "volume"]);
        assert_eq!(command.usage, "[OPTIONS] COMMAND");
        assert!(command.flags.contains_key("debug") && command.aliases.is_empty());
        assert!(parse("docker: unknown command: docker nosuch").is_none());
    }

    #[test]
    fn a_text_with_dashes_is_no_flag() {
        assert!(!parse(PAGE).unwrap().flags.contains_key("neither"));
        assert!(!parse(PAGE).unwrap().flags.contains_key("not-a-flag"));
    }
}
