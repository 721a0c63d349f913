//! The client `drydock`: Docker's grammar, tables, formats, terminal handling and exit codes, over the Engine
//! API. Of the engine it links the tar reader and writer alone, so it drives any engine that speaks the API.
//!
//! Called by the name `docker` (a symbolic link), it calls itself `docker` in its messages too, so that a
//! script that reads them need not know which client it has.

mod commands;
mod configuration;
mod container;
mod failure;
mod flags;
mod format;
mod output;
mod query;
mod reference;
mod session;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use drydock_client::{Client, Endpoint};

use configuration::{Configuration, or};
use failure::{Failure, Outcome};
use flags::{Flag, Matches, UsageError};

/// The flags before the command.
const GLOBAL: &[Flag] = &[
    Flag::text(
        "config",
        "Directory of config.json, the file of formats and detach keys (default \"~/.docker\")",
    ),
    Flag::text(
        "context",
        "Context of the stock client; only 'default' exists",
    )
    .short('c'),
    Flag::switch("debug", "Accepted for the stock client's sake").short('D'),
    Flag::text("host", "Engine to talk to, as unix:///path").short('H'),
    Flag::text("log-level", "Accepted for the stock client's sake")
        .short('l')
        .default("info"),
    Flag::switch("version", "Print the client's version").short('v'),
];

/// What a command has at hand.
pub(crate) struct Context {
    /// The engine.
    pub(crate) client: Client,
    /// `drydock`, or `docker` when called by that name.
    pub(crate) program: String,
    /// The command as the user wrote it: `run`, `container ls`.
    pub(crate) command: String,
    /// What `config.json` says.
    pub(crate) configuration: Configuration,
    /// `-H` as given, for `up` and `down`, which start and end the engine itself.
    pub(crate) host: Option<String>,
}

impl Context {
    /// The keys that detach, as the command line or the file says; empty for the usual ones.
    pub(crate) fn detach_keys<'a>(&'a self, matches: &'a Matches) -> &'a str {
        or(matches.text("detach-keys"), &self.configuration.detach_keys)
    }
}

/// Runs the command in `arguments` (the program's name first) and says how it ended.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut words = arguments
        .into_iter()
        .map(|word| word.to_string_lossy().into_owned());
    let called = words.next().unwrap_or_default();
    let is_docker = Path::new(&called)
        .file_name()
        .is_some_and(|name| name == "docker");
    let program = if is_docker { "docker" } else { "drydock" };
    let words: Vec<String> = words.collect();
    match dispatch(program, &words) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            if !failure.text.is_empty() {
                output::error_line(&failure.text);
            }
            if failure.unreachable && !is_docker {
                output::error_line(
                    "hint: `drydock up` starts the engine (as root); -H or DRYDOCK_HOST names another one",
                );
            }
            ExitCode::from(failure.code)
        }
    }
}

fn dispatch(program: &str, words: &[String]) -> Outcome {
    if words
        .first()
        .is_some_and(|word| word == commands::up::SESSION)
    {
        return commands::up::session(&words[1..]);
    }
    let global = global_flags(program, false, words)?;
    if about_itself(program, &global)? {
        return Ok(0);
    }
    let mut words = global.words.clone();
    let wants_help = words[0] == "help";
    if wants_help {
        words.remove(0);
    }
    let Some((command, used)) = commands::find(&words) else {
        if wants_help && commands::is_foreign(&words) {
            return Err(no_such_topic(&words));
        }
        // No command of ours explains the flags behind the word, so they are taken for the program's own.
        if commands::is_foreign(&words)
            && about_itself(program, &global_flags(program, true, &words)?)?
        {
            return Ok(0);
        }
        return commands::unknown(program, &words);
    };
    if wants_help && words.len() > used {
        return Err(no_such_topic(&words[used..]));
    }
    let name = words[..used].join(" ");
    let matches = match flags::parse(command.flags, command.interspersed, &words[used..]) {
        Ok(matches) => matches,
        Err(UsageError(text)) => {
            let text = format!(
                "{text}\n\n{}\n\nRun '{program} {name} --help' for more information",
                usage(program, &name, command)
            );
            return Err(Failure::new(text).code(125));
        }
    };
    if wants_help || matches.help || (matches.has("help") && matches.switch("help")) {
        output::line(help_page(program, &name, command).trim_end())?;
        if matches.short_help {
            output::error_line("Flag shorthand -h has been deprecated, use --help");
        }
        return Ok(0);
    }
    check_words(program, &name, command, &matches)?;
    let host = global
        .given("host")
        .then(|| global.text("host").to_string());
    let endpoint = Endpoint::choose(host.as_deref(), |name| std::env::var(name).ok())
        .map_err(|error| Failure::new(error.to_string()))?;
    let client = Client::new(endpoint);
    if let Some(version) = std::env::var("DOCKER_API_VERSION")
        .ok()
        .filter(|version| !version.is_empty())
    {
        client.set_api_version(version.trim_start_matches('v'));
    }
    let directory =
        Configuration::directory(global.text("config"), |name| std::env::var(name).ok());
    let configuration = Configuration::read(directory.as_ref());
    let context = Context {
        client,
        program: program.to_string(),
        command: name,
        configuration,
        host,
    };
    (command.run)(&context, &matches)
}

fn no_such_topic(words: &[String]) -> Failure {
    Failure::new(format!("unknown help topic: {}", words.join(" ")))
}

fn global_flags(program: &str, interspersed: bool, words: &[String]) -> Result<Matches, Failure> {
    flags::parse(&[GLOBAL], interspersed, words)
        .and_then(one_host)
        .map_err(|UsageError(text)| {
            Failure::new(format!(
                "{text}\n\nUsage:  {program} [OPTIONS] COMMAND [ARG...]\n\nRun '{program} --help' for more information"
            ))
            .code(125)
        })
}

/// Prints the version or the overview where the flags ask for it, or where there is nothing else to do.
fn about_itself(program: &str, global: &Matches) -> Result<bool, Failure> {
    if global.switch("version") {
        let text = format!("Drydock version {}", env!("CARGO_PKG_VERSION"));
        output::line(&text)?;
        return Ok(true);
    }
    let is_help = global.words.len() == 1 && global.words[0] == "help";
    if global.help || global.words.is_empty() || is_help {
        output::line(
            commands::overview(program, &flags::help::flag_lines(&[GLOBAL], columns())).trim_end(),
        )?;
        if global.short_help {
            output::error_line("Flag shorthand -h has been deprecated, use --help");
        }
        return Ok(true);
    }
    Ok(false)
}

/// Which of two engines was meant, nobody can tell.
fn one_host(global: Matches) -> Result<Matches, UsageError> {
    match global.list("host").get(1) {
        Some(second) => Err(UsageError(format!(
            "invalid argument {second:?} for \"-H, --host\" flag: specify only one -H"
        ))),
        None => Ok(global),
    }
}

fn usage(program: &str, name: &str, command: &commands::Command) -> String {
    // A command with two forms has them in two lines.
    let forms = command
        .usage
        .replace('\n', &format!("\n\t{program} {name} "));
    format!("Usage:  {program} {name} {forms}")
        .trim_end()
        .to_string()
}

fn check_words(
    program: &str,
    name: &str,
    command: &commands::Command,
    matches: &Matches,
) -> Result<(), Failure> {
    let (least, most) = command.words;
    let count = matches.words.len();
    if (least..=most).contains(&count) {
        return Ok(());
    }
    let number = |count: usize| {
        if count == 1 {
            "1 argument".to_string()
        } else {
            format!("{count} arguments")
        }
    };
    // The stock client says "See" in one of these four and "Run" in the others.
    let (problem, verb) = if most == 0 {
        ("accepts no arguments".to_string(), "Run")
    } else if least == most {
        (format!("requires {}", number(least)), "Run")
    } else if least > 0 && most != usize::MAX {
        let text = format!("requires at least {least} and at most {}", number(most));
        (text, "Run")
    } else if count < least {
        (format!("requires at least {}", number(least)), "See")
    } else {
        (format!("requires at most {}", number(most)), "Run")
    };
    Err(Failure::new(format!(
        "{program}: '{program} {name}' {problem}\n\n{}\n\n{verb} '{program} {name} --help' for more information",
        usage(program, name, command)
    )))
}

fn help_page(program: &str, name: &str, command: &commands::Command) -> String {
    let mut page = format!("{}\n\n{}\n", usage(program, name, command), command.about);
    if command.names.len() > 1 {
        let mut names: Vec<String> = command
            .names
            .iter()
            .map(|name| format!("{program} {name}"))
            .collect();
        // The stock client lists the long forms first.
        names.sort_by_key(|name| std::cmp::Reverse(name.split(' ').count()));
        page.push_str(&format!("\nAliases:\n  {}\n", names.join(", ")));
    }
    if command.flags.iter().any(|group| !group.is_empty()) {
        page.push_str(&format!(
            "\nOptions:\n{}",
            flags::help::flag_lines(command.flags, columns())
        ));
    }
    page
}

/// The width of a help page: one less than the terminal's.
fn columns() -> usize {
    session::terminal::size()
        .map_or(80, |(_, columns)| usize::from(columns))
        .max(40)
        - 1
}
