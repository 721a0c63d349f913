//! `--change` of `import` and `commit`: the Dockerfile instructions that only set metadata (Dockerfile
//! reference), and what they do to the `config` object of an image.
//!
//! Docker 28 runs its whole Dockerfile parser over them, without build arguments; the texts of errors are
//! those of a running one.

use serde_json::{Map, Value, json};

use crate::config::{Config, Empty};
use crate::dockerfile_words::{expand, split, words};
use crate::error::Error;

/// Applies instructions like `CMD ["sh"]`, `ENV A=b` or `EXPOSE 80`, in order, to a `config` object, empty for
/// an import, and returns the changed one.
///
/// Allowed are CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and
/// WORKDIR. A text may hold several, one on a line. Errors are of status 400, as Docker's.
pub fn config_from_changes(
    base: Map<String, Value>,
    changes: &[String],
) -> Result<Map<String, Value>, Error> {
    let mut config = Config::read(&base)?;
    for text in changes {
        let lines = text.lines().map(str::trim);
        let mut lines = lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .peekable();
        if lines.peek().is_none() {
            return Err(invalid("file with no instructions"));
        }
        lines.try_for_each(|line| apply(&mut config, line))?;
    }
    config.write(base)
}

fn invalid(text: impl Into<String>) -> Error {
    Error::InvalidParameter(text.into())
}

fn apply(config: &mut Config, line: &str) -> Result<(), Error> {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let env = config.env.clone();
    match word.to_ascii_uppercase().as_str() {
        "CMD" => config.set_command(command(rest)?),
        "ENTRYPOINT" => config.set_entrypoint(command(rest)?),
        "ENV" => pairs(&env, "ENV", rest)?
            .iter()
            .for_each(|(name, value)| config.set_variable(name, value)),
        "EXPOSE" => config
            .exposed_ports
            .extend(ports(&env, rest)?.into_iter().map(|port| (port, Empty {}))),
        "HEALTHCHECK" => config.healthcheck = Some(health(rest)?),
        "LABEL" => config.labels.extend(pairs(&env, "LABEL", rest)?),
        "ONBUILD" => config.on_build.push(some("ONBUILD", rest)?.to_owned()),
        "STOPSIGNAL" => {
            let signal = single(&env, "STOPSIGNAL", rest)?;
            check_signal(&signal)?;
            config.stop_signal = Some(signal);
        }
        "USER" => config.user = Some(single(&env, "USER", rest)?),
        "VOLUME" => config.volumes.extend(
            volumes(&env, rest)?
                .into_iter()
                .map(|path| (path, Empty {})),
        ),
        "WORKDIR" => {
            let path = single(&env, "WORKDIR", rest)?;
            let current = config.working_dir.as_deref().unwrap_or_default();
            let path = if path.starts_with('/') {
                path
            } else {
                format!("{current}/{path}")
            };
            config.working_dir = Some(clean_path(&path));
        }
        _ => return Err(invalid(format!("{word} is not a valid change command"))),
    }
    Ok(())
}

fn volumes(env: &[String], text: &str) -> Result<Vec<String>, Error> {
    let volumes = match json_array(text)? {
        Some(volumes) => volumes,
        None => words(env, text)?,
    };
    if volumes.is_empty() {
        Err(invalid("VOLUME requires at least one argument"))
    } else {
        Ok(volumes)
    }
}

/// A command: a JSON array of strings, or text for `/bin/sh -c`. An empty array is none.
fn command(text: &str) -> Result<Option<Vec<String>>, Error> {
    let shell = ["/bin/sh", "-c", text].map(str::to_owned);
    match json_array(text)? {
        Some(words) => Ok((!words.is_empty()).then_some(words)),
        None if text.is_empty() => Ok(Some(shell[..2].to_vec())),
        None => Ok(Some(shell.to_vec())),
    }
}

/// A JSON array of strings; None if it is no JSON array at all and therefore text.
fn json_array(text: &str) -> Result<Option<Vec<String>>, Error> {
    if !text.starts_with('[') {
        return Ok(None);
    }
    match serde_json::from_str::<Vec<Value>>(text) {
        Err(_) => Ok(None),
        Ok(values) => {
            let words: Option<Vec<String>> = values
                .iter()
                .map(|value| value.as_str().map(str::to_owned))
                .collect();
            words.map(Some).ok_or_else(|| {
                invalid("when using JSON array syntax, arrays must be comprised of strings only")
            })
        }
    }
}

fn one<'a>(instruction: &str, text: &'a str) -> Result<&'a str, Error> {
    if text.is_empty() {
        Err(invalid(format!(
            "{instruction} requires exactly one argument"
        )))
    } else {
        Ok(text)
    }
}

fn some<'a>(instruction: &str, text: &'a str) -> Result<&'a str, Error> {
    if text.is_empty() {
        Err(invalid(format!(
            "{instruction} requires at least one argument"
        )))
    } else {
        Ok(text)
    }
}

/// One argument, which may have blanks in it, with variables filled in.
fn single(env: &[String], instruction: &str, text: &str) -> Result<String, Error> {
    Ok(words(env, one(instruction, text)?)?.join(" "))
}

/// `A=b "C d"=e`, or in the old form `A b c`.
fn pairs(env: &[String], instruction: &str, text: &str) -> Result<Vec<(String, String)>, Error> {
    let two = || invalid(format!("{instruction} must have two arguments"));
    let raw = split(text);
    let first = raw
        .first()
        .ok_or_else(|| invalid(format!("{instruction} requires at least one argument")))?;
    if !first.contains('=') {
        let (key, value) = text.split_once(char::is_whitespace).ok_or_else(two)?;
        return Ok(vec![(key.to_owned(), expand(env, value.trim())?)]);
    }
    let pair = |word: &String| {
        let word = expand(env, word)?;
        let (key, value) = word.split_once('=').ok_or_else(|| {
            invalid(format!(
                "Syntax error - can't find = in {word:?}. Must be of the form: name=value"
            ))
        })?;
        if key.is_empty() {
            return Err(invalid(format!("{instruction} names can not be blank")));
        }
        Ok((key.to_owned(), value.to_owned()))
    };
    raw.iter().map(pair).collect()
}

/// `80`, `53/udp`, `8000-8003/tcp`.
fn ports(env: &[String], text: &str) -> Result<Vec<String>, Error> {
    let texts = words(env, text)?;
    if texts.is_empty() {
        return Err(invalid("EXPOSE requires at least one argument"));
    }
    let mut ports = Vec::new();
    for port in texts {
        // A port of the host in front is allowed and says nothing.
        let port = port.rsplit(':').next().unwrap_or_default();
        let (range, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        let wrong = || invalid(format!("Invalid containerPort: {range}"));
        let protocol = protocol.to_ascii_lowercase();
        if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
            return Err(invalid(format!("Invalid proto: {protocol}")));
        }
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |text: &str| text.parse::<u16>().map_err(|_| wrong());
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(wrong());
        }
        ports.extend((first..=last).map(|number| format!("{number}/{protocol}")));
    }
    Ok(ports)
}

/// A signal by name or number. Which numbers exist is for the container's start to say, as in Docker.
fn check_signal(text: &str) -> Result<(), Error> {
    const NAMES: &str = " ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV \
        STKFLT STOP SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX ";
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let number = text.parse::<u32>().is_ok_and(|number| number > 0);
    let base = name.split(['+', '-']).next().unwrap_or_default();
    let real_time = base != name && base.starts_with("RTM");
    if number
        || (!base.is_empty() && NAMES.contains(&format!(" {base} ")) && (base == name || real_time))
    {
        return Ok(());
    }
    Err(invalid(format!("invalid signal: {text}")))
}

/// `[OPTIONS] CMD command` or `NONE`.
fn health(text: &str) -> Result<Map<String, Value>, Error> {
    let mut check = Map::new();
    let mut rest = text;
    while let Some(option) = rest.strip_prefix("--") {
        let (option, after) = option
            .split_once(char::is_whitespace)
            .unwrap_or((option, ""));
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match name {
            "interval" => check.insert("Interval".into(), json!(duration(name, value)?)),
            "timeout" => check.insert("Timeout".into(), json!(duration(name, value)?)),
            "start-period" => check.insert("StartPeriod".into(), json!(duration(name, value)?)),
            "start-interval" => check.insert("StartInterval".into(), json!(duration(name, value)?)),
            "retries" => check.insert("Retries".into(), json!(retries(value)?)),
            _ => return Err(invalid(format!("unknown flag: --{name}"))),
        };
        rest = after.trim_start();
    }
    let (kind, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let command = command.trim();
    let test = match (kind.to_ascii_uppercase().as_str(), json_array(command)?) {
        ("NONE", _) if command.is_empty() => json!(["NONE"]),
        ("NONE", _) => return Err(invalid("HEALTHCHECK NONE takes no arguments")),
        ("CMD", Some(words)) if !words.is_empty() => {
            json!(
                std::iter::once("CMD".to_owned())
                    .chain(words)
                    .collect::<Vec<_>>()
            )
        }
        ("CMD", None) if !command.is_empty() => json!(["CMD-SHELL", command]),
        ("CMD", _) => return Err(invalid("Missing command after HEALTHCHECK CMD")),
        ("", _) => return Err(invalid("HEALTHCHECK requires at least one argument")),
        (other, _) => {
            return Err(invalid(format!(
                "Unknown type {other:?} in HEALTHCHECK (try CMD)"
            )));
        }
    };
    check.insert("Test".into(), test);
    Ok(check)
}

fn retries(text: &str) -> Result<u32, Error> {
    text.parse().map_err(|_| {
        invalid(format!(
            "--retries must be a whole number that is not negative, not {text:?}"
        ))
    })
}

/// A duration in Go's form (`1m30s`, `500ms`, `1.5h`), in nanoseconds.
fn duration(name: &str, text: &str) -> Result<u64, Error> {
    let wrong = || invalid(format!("time: invalid duration {text:?}"));
    let no_unit = || invalid(format!("time: missing unit in duration {text:?}"));
    let mut total = 0.0;
    let mut rest = text;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
            .ok_or_else(no_unit)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit_length = rest[digits..]
            .find(|letter: char| letter.is_ascii_digit())
            .unwrap_or(rest.len() - digits);
        let unit = match &rest[digits..digits + unit_length] {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return Err(wrong()),
        };
        total += number * unit;
        rest = &rest[digits + unit_length..];
    }
    // Docker takes no less than a millisecond, but for 0, which means "the default".
    if total != 0.0 && total < 1e6 {
        return Err(invalid(format!(
            "Interval {name:?} cannot be less than 1ms"
        )));
    }
    Ok(total as u64)
}

/// Cleans an absolute path as text.
fn clean_path(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(changes: &[&str]) -> Result<Value, String> {
        let changes: Vec<String> = changes.iter().map(|&change| change.to_owned()).collect();
        config_from_changes(Map::new(), &changes)
            .map(Value::Object)
            .map_err(|error| {
                assert_eq!(error.status(), 400);
                error.to_string()
            })
    }

    /// What Docker 28.5 made of the same instructions, as `docker inspect` shows it.
    #[test]
    fn what_docker_makes_of_them() {
        let all = config(&[
            "ENV A=b C=\"d e\"",
            "CMD echo hi",
            "EXPOSE 80 81/udp",
            "LABEL a=b",
            "VOLUME /x /y",
            "USER 1:2",
            "WORKDIR /a",
            "WORKDIR b",
            "ENTRYPOINT [\"/x\",\"y\"]",
            "STOPSIGNAL SIGTERM",
            "ONBUILD RUN x",
            "HEALTHCHECK --interval=5s --retries=2 CMD true",
        ]);
        let expected = json!({
            "Cmd": ["/bin/sh", "-c", "echo hi"],
            "Entrypoint": ["/x", "y"],
            "Env": ["A=b", "C=d e"],
            "ExposedPorts": {"80/tcp": {}, "81/udp": {}},
            "Healthcheck": {"Interval": 5_000_000_000u64, "Retries": 2, "Test": ["CMD-SHELL", "true"]},
            "Labels": {"a": "b"},
            "OnBuild": ["RUN x"],
            "StopSignal": "SIGTERM",
            "User": "1:2",
            "Volumes": {"/x": {}, "/y": {}},
            "WorkingDir": "/a/b",
        });
        assert_eq!(all.unwrap(), expected);
        let cases = [
            ("STOPSIGNAL 99", json!({"StopSignal": "99"})),
            ("VOLUME [\"/x\"]", json!({"Volumes": {"/x": {}}})),
            (
                "EXPOSE 1-3",
                json!({"ExposedPorts": {"1/tcp": {}, "2/tcp": {}, "3/tcp": {}}}),
            ),
            ("EXPOSE 8080:80", json!({"ExposedPorts": {"80/tcp": {}}})),
            ("ENV a=${b:-c}", json!({"Env": ["a=c"]})),
            ("USER a b", json!({"User": "a b"})),
            ("ENV a b c", json!({"Env": ["a=b c"]})),
            (
                "HEALTHCHECK NONE",
                json!({"Healthcheck": {"Test": ["NONE"]}}),
            ),
            ("cmd x $HOME", json!({"Cmd": ["/bin/sh", "-c", "x $HOME"]})),
            ("CMD ", json!({"Cmd": ["/bin/sh", "-c"]})),
            ("ENV A=$B \"x y\"=z", json!({"Env": ["A=", "x y=z"]})),
            (
                "ENTRYPOINT x\nCMD y",
                json!({"Entrypoint": ["/bin/sh", "-c", "x"], "Cmd": ["/bin/sh", "-c", "y"]}),
            ),
        ];
        for (change, expected) in cases {
            assert_eq!(config(&[change]).unwrap(), expected, "{change}");
        }
        assert_eq!(
            config(&["ENV A=1", "ENV B=${A}2 A=3"]).unwrap(),
            json!({"Env": ["A=3", "B=12"]})
        );
    }

    #[test]
    fn what_docker_refuses() {
        let cases = [
            ("RUN x", "RUN is not a valid change command"),
            ("from x", "from is not a valid change command"),
            ("nope", "nope is not a valid change command"),
            ("ENV a", "ENV must have two arguments"),
            (
                "CMD [1]",
                "when using JSON array syntax, arrays must be comprised of strings only",
            ),
            ("EXPOSE a", "Invalid containerPort: a"),
            ("EXPOSE 99999", "Invalid containerPort: 99999"),
            ("WORKDIR", "WORKDIR requires exactly one argument"),
            ("LABEL a", "LABEL must have two arguments"),
            ("STOPSIGNAL foo", "invalid signal: foo"),
            ("USER", "USER requires exactly one argument"),
            ("VOLUME []", "VOLUME requires at least one argument"),
            ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
            ("", "file with no instructions"),
            ("STOPSIGNAL", "STOPSIGNAL requires exactly one argument"),
            ("ONBUILD", "ONBUILD requires at least one argument"),
            ("EXPOSE 80/foo", "Invalid proto: foo"),
            ("EXPOSE 3-1", "Invalid containerPort: 3-1"),
            (
                "HEALTHCHECK foo",
                "Unknown type \"FOO\" in HEALTHCHECK (try CMD)",
            ),
            ("HEALTHCHECK --nope=1 CMD x", "unknown flag: --nope"),
            (
                "HEALTHCHECK --interval=1us CMD x",
                "Interval \"interval\" cannot be less than 1ms",
            ),
            (
                "HEALTHCHECK --interval=5 CMD x",
                "time: missing unit in duration \"5\"",
            ),
            ("ENV =x", "ENV names can not be blank"),
            (
                "ENV a=b c",
                "Syntax error - can't find = in \"c\". Must be of the form: name=value",
            ),
        ];
        for (change, text) in cases {
            assert_eq!(config(&[change]).unwrap_err(), text, "{change}");
        }
    }
}
