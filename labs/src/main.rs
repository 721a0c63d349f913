//! `labs`: the command line of the lab runner. Parses, dispatches, and turns the outcome into an exit code:
//! 0 all pass, 1 some fail, 2 wrong use, 3 the engine or the host stood in the way.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Arg, ArgMatches, Command, value_parser};

use labs::catalogue::Catalogue;
use labs::commands::{GradeRequest, Infrastructure, Session, announce};

const AFTER_HELP: &str = "\
Exit codes:
  0  everything passes
  1  something does not
  2  wrong use of this command
  3  the engine or the host stood in the way; says nothing about anybody's work";

fn grammar() -> Command {
    let lab = || Arg::new("lab").value_name("LAB").help("Its name or number");
    Command::new("labs")
        .about("Learn containers by doing, and grade what others did")
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(AFTER_HELP)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(
            Arg::new("host")
                .short('H')
                .long("host")
                .global(true)
                .value_name("unix:///PATH")
                .help("The engine's socket (else DRYDOCK_HOST, then DOCKER_HOST)"),
        )
        .arg(
            Arg::new("folder")
                .short('C')
                .global(true)
                .value_name("FOLDER")
                .value_parser(value_parser!(PathBuf))
                .help("Work there instead of in the current folder"),
        )
        .subcommand(Command::new("list").about("Show all labs"))
        .subcommand(
            Command::new("start")
                .about("Make a working folder with the lab's text and files")
                .arg(lab().required(true)),
        )
        .subcommand(Command::new("check").about("Check your work").arg(lab()))
        .subcommand(
            Command::new("hint")
                .about("Show the next hint for a task (its use is recorded)")
                .arg(lab())
                .arg(
                    Arg::new("task")
                        .value_name("TASK")
                        .help("The task; else the first that is not done"),
                ),
        )
        .subcommand(Command::new("status").about("Show what is done"))
        .subcommand(
            Command::new("reset")
                .about("Put back the lab's files; yours are kept under another name")
                .arg(lab().required(true)),
        )
        .subcommand(grade_grammar())
}

fn grade_grammar() -> Command {
    Command::new("grade")
        .about("Grade a folder of submissions, one folder each")
        .arg(
            Arg::new("submissions")
                .value_name("DIR")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The folder of submissions"),
        )
        .arg(
            Arg::new("lab")
                .long("lab")
                .value_name("LAB")
                .help("The lab; else the folder's name says it"),
        )
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Where the results go, as JSON"),
        )
        .arg(
            Arg::new("seed")
                .long("seed")
                .value_name("NUMBER")
                .value_parser(value_parser!(u64))
                .help("Repeat a grading with its inputs; else they are new"),
        )
        .arg(
            Arg::new("engine")
                .long("engine")
                .value_parser(["fresh", "shared"])
                .help(
                    "Drydock daemons of their own (needs root; usual for \"use it\" labs), or the engine that is there",
                ),
        )
}

fn run(matches: &ArgMatches) -> Result<u8> {
    let catalogue = Catalogue::load(&Catalogue::default_folder())?;
    let here = match matches.get_one::<PathBuf>("folder") {
        Some(folder) => folder.clone(),
        None => std::env::current_dir().context("cannot find the current folder")?,
    };
    let mut session = Session {
        catalogue: &catalogue,
        here: &here,
        host: matches.get_one::<String>("host").map(String::as_str),
        output: &mut std::io::stdout(),
    };
    let Some((verb, arguments)) = matches.subcommand() else {
        anyhow::bail!("no command");
    };
    // Only asked for names that the verb's grammar has.
    let text = |name: &str| arguments.get_one::<String>(name).map(String::as_str);
    let path = |name: &str| arguments.get_one::<PathBuf>(name).map(PathBuf::as_path);
    match verb {
        "list" => session.list(),
        "start" => session.start(text("lab").context("no lab")?),
        "check" => session.check(text("lab")),
        "hint" => session.hint(text("lab"), text("task")),
        "status" => session.status(),
        "reset" => session.reset(text("lab").context("no lab")?),
        "grade" => session.grade(&GradeRequest {
            folder: path("submissions").context("no folder")?,
            lab: text("lab"),
            out: path("out"),
            seed: arguments.get_one::<u64>("seed").copied(),
            shared: text("engine").map(|engine| engine == "shared"),
        }),
        other => anyhow::bail!("no command `{other}`"),
    }
}

fn main() -> ExitCode {
    match run(&grammar().get_matches()) {
        Ok(code) => ExitCode::from(code),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            announce(&format!("labs: {error:#}"));
            ExitCode::from(if error.is::<Infrastructure>() { 3 } else { 2 })
        }
    }
}

/// `labs list | head -1` is not a failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
