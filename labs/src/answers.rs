//! What is handed in for a "use it" lab: `answers.toml`, a list of commands.
//!
//! ```toml
//! commands = [
//!     ["docker", "run", "--name", "lab-ok", "busybox", "true"],
//!     ["docker", "stop", "-t", "1", "lab-ok"],
//! ]
//! ```
//!
//! Not a shell script: a script would have to run somewhere as somebody, with the engine's socket in its
//! reach, and who has the socket is root on the host. These commands are data. The grader reads them with
//! the few verbs and flags below and makes the API calls itself ([`crate::replay`]), so there is no flag to
//! smuggle in: no `-v`, no `--privileged`, no image but the lab's, no container but the lab's.

use serde::Deserialize;

/// Every container of a lab has a name that begins so.
pub const NAME_PREFIX: &str = "lab-";
const COMMANDS_MAX: usize = 40;
const WORDS_MAX: usize = 64;
const WORD_BYTES_MAX: usize = 4096;
/// The longest `docker stop -t`.
const STOP_SECONDS_MAX: u32 = 10;

/// A command that may be replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `docker run`.
    Run {
        /// Do not wait for the end (`-d`).
        detach: bool,
        /// What to create and start.
        container: Creation,
    },
    /// `docker create`.
    Create(Creation),
    /// `docker start`.
    Start(Vec<String>),
    /// `docker stop`.
    Stop {
        /// `-t`.
        seconds: Option<u32>,
        /// The containers.
        names: Vec<String>,
    },
    /// `docker kill`.
    Kill {
        /// `-s`.
        signal: Option<String>,
        /// The containers.
        names: Vec<String>,
    },
    /// `docker wait`.
    Wait(Vec<String>),
    /// `docker rm`.
    Remove {
        /// `-f`.
        force: bool,
        /// The containers.
        names: Vec<String>,
    },
}

/// What `run` and `create` make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creation {
    /// `--name`; every container of a lab has one.
    pub name: String,
    /// `--restart`: the policy's name and the largest count.
    pub restart: Option<(String, u32)>,
    /// `--rm`.
    pub remove_after: bool,
    /// The image.
    pub image: String,
    /// The command.
    pub command: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    commands: Vec<Vec<String>>,
}

/// Reads `answers.toml`. An error is a sentence for who wrote it.
pub fn parse(text: &str, images: &[String]) -> Result<Vec<Command>, String> {
    let file: File = toml::from_str(text)
        .map_err(|error| format!("it is not a list of commands: {}", error.message()))?;
    if file.commands.len() > COMMANDS_MAX {
        return Err(format!("it has more than {COMMANDS_MAX} commands"));
    }
    let mut commands = Vec::new();
    for (index, words) in file.commands.iter().enumerate() {
        let command = parse_command(words, images)
            .map_err(|error| format!("command {}: {error}", index + 1))?;
        commands.push(command);
    }
    Ok(commands)
}

fn parse_command(words: &[String], images: &[String]) -> Result<Command, String> {
    if words.len() > WORDS_MAX {
        return Err(format!("it has more than {WORDS_MAX} words"));
    }
    if words.iter().any(|word| word.len() > WORD_BYTES_MAX) {
        return Err(format!("it has a word of more than {WORD_BYTES_MAX} bytes"));
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let words = match words.as_slice() {
        ["docker" | "drydock", "container", rest @ ..] | ["docker" | "drydock", rest @ ..] => rest,
        _ => return Err("it does not begin with `docker` or `drydock`".to_string()),
    };
    let (verb, words) = words.split_first().ok_or("it has no verb")?;
    match *verb {
        "run" => {
            let options = Options::parse(words, &[&RUN[..], &CREATE[..]].concat())?;
            Ok(Command::Run {
                detach: options.has("--detach"),
                container: creation(&options, images)?,
            })
        }
        "create" => creation(&Options::parse(words, &CREATE)?, images).map(Command::Create),
        "start" => names(&Options::parse(words, &[])?).map(Command::Start),
        "wait" => names(&Options::parse(words, &[])?).map(Command::Wait),
        "stop" => {
            let options = Options::parse(words, &[STOP_TIME])?;
            Ok(Command::Stop {
                seconds: options.value("--time").map(stop_seconds).transpose()?,
                names: names(&options)?,
            })
        }
        "kill" => {
            let options = Options::parse(words, &[KILL_SIGNAL])?;
            Ok(Command::Kill {
                signal: options.value("--signal").map(signal).transpose()?,
                names: names(&options)?,
            })
        }
        "rm" => {
            let options = Options::parse(words, &[REMOVE_FORCE])?;
            Ok(Command::Remove {
                force: options.has("--force"),
                names: names(&options)?,
            })
        }
        other => Err(format!(
            "`{}` cannot be handed in; run, create, start, stop, kill, wait and rm can",
            other.escape_debug()
        )),
    }
}

/// A flag: its spellings (the first is what we call it) and whether a value follows.
#[derive(Clone, Copy)]
struct Flag {
    spellings: &'static [&'static str],
    has_value: bool,
}

const fn flag(spellings: &'static [&'static str], has_value: bool) -> Flag {
    Flag {
        spellings,
        has_value,
    }
}

const RUN: [Flag; 1] = [flag(&["--detach", "-d"], false)];
const CREATE: [Flag; 3] = [
    flag(&["--name"], true),
    flag(&["--restart"], true),
    flag(&["--rm"], false),
];
const STOP_TIME: Flag = flag(&["--time", "--timeout", "-t"], true);
const KILL_SIGNAL: Flag = flag(&["--signal", "-s"], true);
const REMOVE_FORCE: Flag = flag(&["--force", "-f"], false);

/// A command line taken apart: flags until the first word that is none, then the words.
struct Options<'a> {
    flags: Vec<(&'static str, &'a str)>,
    words: &'a [&'a str],
}

impl<'a> Options<'a> {
    fn parse(mut words: &'a [&'a str], known: &[Flag]) -> Result<Options<'a>, String> {
        let mut flags = Vec::new();
        while let Some((word, rest)) = words.split_first() {
            if !word.starts_with('-') {
                break;
            }
            words = rest;
            let (spelling, attached) = match word.split_once('=') {
                Some((spelling, value)) => (spelling, Some(value)),
                None => (*word, None),
            };
            let flag = known
                .iter()
                .find(|flag| flag.spellings.contains(&spelling))
                .ok_or_else(|| format!("`{}` cannot be used here", spelling.escape_debug()))?;
            let value = match (flag.has_value, attached) {
                (false, None) => "",
                (false, Some(_)) => return Err(format!("`{spelling}` takes no value")),
                (true, Some(value)) => value,
                (true, None) => {
                    let (value, rest) = words
                        .split_first()
                        .ok_or_else(|| format!("`{spelling}` needs a value"))?;
                    words = rest;
                    value
                }
            };
            flags.push((flag.spellings[0], value));
        }
        Ok(Options { flags, words })
    }

    fn has(&self, name: &str) -> bool {
        self.flags.iter().any(|(flag, _)| *flag == name)
    }

    /// The last one counts, as in Docker.
    fn value(&self, name: &str) -> Option<&'a str> {
        let mut values = self.flags.iter().rev();
        values
            .find(|(flag, _)| *flag == name)
            .map(|(_, value)| *value)
    }
}

fn creation(options: &Options<'_>, images: &[String]) -> Result<Creation, String> {
    let (image, command) = options.words.split_first().ok_or("it names no image")?;
    if !images.iter().any(|allowed| allowed == image) {
        let allowed = images.join(" or ");
        return Err(format!("the image must be {allowed} in this lab"));
    }
    let name = options
        .value("--name")
        .ok_or("it needs --name: only named containers are graded")?;
    Ok(Creation {
        name: container_name(name)?,
        restart: options.value("--restart").map(restart_policy).transpose()?,
        remove_after: options.has("--rm"),
        image: (*image).to_string(),
        command: command.iter().map(|word| (*word).to_string()).collect(),
    })
}

fn names(options: &Options<'_>) -> Result<Vec<String>, String> {
    if options.words.is_empty() {
        return Err("it names no container".to_string());
    }
    options
        .words
        .iter()
        .map(|name| container_name(name))
        .collect()
}

/// The containers of others on the same engine have other names.
fn container_name(name: &str) -> Result<String, String> {
    let is_valid = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if name.starts_with(NAME_PREFIX) && is_valid {
        Ok(name.to_string())
    } else {
        Err(format!(
            "`{}`: the names of a lab's containers begin with `{NAME_PREFIX}`",
            name.escape_debug()
        ))
    }
}

fn restart_policy(text: &str) -> Result<(String, u32), String> {
    let (name, count) = match text.split_once(':') {
        None => (text, Some(0)),
        Some((name, count)) => (name, count.parse().ok()),
    };
    let may_count = name == "on-failure" || !text.contains(':');
    match count {
        Some(count) if may_count && RESTART_POLICIES.contains(&name) => {
            Ok((name.to_string(), count))
        }
        _ => Err(format!("`{}` is no restart policy", text.escape_debug())),
    }
}

const RESTART_POLICIES: [&str; 4] = ["no", "on-failure", "always", "unless-stopped"];

fn stop_seconds(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(seconds) if seconds <= STOP_SECONDS_MAX => Ok(seconds),
        _ => Err(format!(
            "stop waits at most {STOP_SECONDS_MAX} seconds here"
        )),
    }
}

fn signal(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(text.to_string())
    } else {
        Err(format!("`{}` is no signal", text.escape_debug()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(words: &[&str]) -> Result<Command, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_string()).collect();
        parse_command(&words, &["busybox".to_string()])
    }

    #[test]
    fn commands_are_read_as_docker_reads_them() {
        let command = one(&[
            "docker",
            "run",
            "-d",
            "--restart=on-failure:3",
            "--name",
            "lab-a",
            "busybox",
            "sh",
            "-c",
            "exit 3",
        ]);
        let expected = Creation {
            name: "lab-a".to_string(),
            restart: Some(("on-failure".to_string(), 3)),
            remove_after: false,
            image: "busybox".to_string(),
            command: vec!["sh".to_string(), "-c".to_string(), "exit 3".to_string()],
        };
        assert_eq!(
            command,
            Ok(Command::Run {
                detach: true,
                container: expected
            })
        );
        let kill = one(&["drydock", "container", "kill", "-s", "TERM", "lab-a"]);
        assert!(matches!(kill, Ok(Command::Kill { signal: Some(name), .. }) if name == "TERM"));
        let stop = one(&["docker", "stop", "-t", "0", "lab-a", "lab-b"]);
        assert!(matches!(stop, Ok(Command::Stop { seconds: Some(0), names }) if names.len() == 2));
    }

    #[test]
    fn nothing_else_gets_through() {
        let refused = |words: &[&str], part: &str| {
            let error = one(words).unwrap_err();
            assert!(error.contains(part), "{words:?}: {error}");
        };
        let run = |extra: &[&'static str]| {
            let mut words = vec!["docker", "run", "--name", "lab-a"];
            words.extend(extra);
            words.push("busybox");
            words
        };
        for flag in [
            "-v",
            "--privileged",
            "--pid=host",
            "--network=host",
            "--mount",
            "-vd",
            "--",
        ] {
            refused(&run(&[flag]), "cannot be used here");
        }
        refused(&["docker", "-H", "unix:///x", "ps"], "cannot be handed in");
        refused(&["docker", "exec", "lab-a", "sh"], "cannot be handed in");
        refused(&["sh", "-c", "true"], "does not begin with");
        refused(&["docker", "rm", "-f", "production"], "begin with `lab-`");
        refused(&["docker", "rm", "lab-a", "-f"], "begin with `lab-`");
        refused(&["docker", "kill", "lab-a/../../x"], "begin with `lab-`");
        refused(&["docker", "run", "busybox"], "--name");
        refused(
            &["docker", "run", "--name", "lab-a", "alpine"],
            "must be busybox",
        );
        refused(&run(&["--restart", "always:3"]), "no restart policy");
        refused(&["docker", "stop", "-t", "100", "lab-a"], "at most 10");
        refused(&["docker", "stop"], "names no container");
        refused(&["docker", "stop", "-t"], "needs a value");
        refused(&["docker"], "no verb");
    }

    #[test]
    fn a_file_has_limits() {
        let images = ["busybox".to_string()];
        assert_eq!(parse("commands = []", &images), Ok(vec![]));
        let many = "commands = [".to_string() + &"['docker', 'wait', 'lab-a'],".repeat(41) + "]";
        assert!(parse(&many, &images).unwrap_err().contains("more than 40"));
        assert!(
            parse("commands = 'x'", &images)
                .unwrap_err()
                .contains("not a list")
        );
        let second = "commands = [['docker', 'wait', 'lab-a'], ['rm']]";
        assert!(
            parse(second, &images)
                .unwrap_err()
                .starts_with("command 2: ")
        );
    }
}
