//! A finding as a page: the sequence as commands of a scenario (`conformance/README.md`), and what differed.

use crate::operation::{Change, Creation, Exec, Flaw, Listing, Name, NewName, Operation, Step};
use crate::run::Finding;

/// How many differences a page shows. One cause often shows in many places.
const SHOWN: usize = 12;

/// The page for a sequence that showed a difference.
pub fn page(title: &str, steps: &[Step], finding: &Finding) -> String {
    let mut page = format!("## {title}\n\n```console\n");
    for step in steps.iter().take(finding.step + 1) {
        page.push_str(&format!("$ {}\n", command(step)));
    }
    for look in looks(steps, finding) {
        page.push_str(&format!("$ {look}\n"));
    }
    page.push_str("```\n\nWhere they differ, after the last step:\n\n");
    for difference in finding.differences.iter().take(SHOWN) {
        page.push_str(&format!("* {difference}\n"));
    }
    if finding.differences.len() > SHOWN {
        page.push_str(&format!(
            "* and {} more\n",
            finding.differences.len() - SHOWN
        ));
    }
    page
}

/// Commands that show what differs, where the last step's own output does not.
fn looks(steps: &[Step], finding: &Finding) -> Vec<String> {
    let shows = |part: &str| {
        finding
            .differences
            .iter()
            .any(|difference| difference.path.starts_with(part))
    };
    let mut looks = Vec::new();
    if shows("/containers") {
        for name in names(steps) {
            looks.push(format!(
                "docker inspect -f '{{{{json .State}}}} {{{{.RestartCount}}}}' {}",
                full(name)
            ));
        }
    }
    if shows("/list") {
        looks.push(
            "docker ps -a --filter name=conf-fuzz- --format '{{.Names}} {{.Status}}'".to_owned(),
        );
    }
    if shows("/events") {
        looks.push("docker events --since 1m --until 0s --filter label=conf.fuzz --format '{{.Action}} {{json .Actor.Attributes}}'".to_owned());
    }
    looks
}

fn names(steps: &[Step]) -> Vec<Name> {
    let mut names: Vec<Name> = steps
        .iter()
        .flat_map(Step::operations)
        .filter_map(|operation| operation.name())
        .collect();
    names.sort();
    names.dedup();
    names
}

fn command(step: &Step) -> String {
    match step {
        Step::One(operation) => docker(operation),
        Step::Together(operations) => {
            let commands: Vec<String> = operations.iter().map(docker).collect();
            format!("{} & wait", commands.join(" & "))
        }
        Step::Await(..) => {
            let operations = step.operations();
            format!(
                "{} & {}; wait",
                docker(&operations[0]),
                docker(&operations[1])
            )
        }
        Step::RestartDaemon(true) => ": here the daemon is killed and started again".to_owned(),
        Step::RestartDaemon(false) => ": here the daemon is stopped and started again".to_owned(),
    }
}

fn full(name: Name) -> String {
    format!("conf-fuzz-{name}")
}

fn docker(operation: &Operation) -> String {
    use Operation::*;
    let verb = operation.verb();
    let time = |seconds: &Option<i8>| seconds.map(|t| format!("-t {t} ")).unwrap_or_default();
    match operation {
        Create(name, creation) => create(*name, creation),
        Stop(name, seconds) | Restart(name, seconds) => {
            format!("docker {verb} {}{}", time(seconds), full(*name))
        }
        Kill(name, "") => format!("docker kill {}", full(*name)),
        Kill(name, signal) => format!("docker kill -s {signal} {}", full(*name)),
        Rename(name, new) => {
            let new = match new {
                NewName::Name(new) => full(*new),
                NewName::Same => full(*name),
                NewName::Malformed => format!("'{} /'", full(*name)),
                NewName::Empty => "''".to_owned(),
            };
            format!("docker rename {} {new}", full(*name))
        }
        Remove(name, force) => format!(
            "docker rm {}{}",
            if *force { "-f " } else { "" },
            full(*name)
        ),
        Exec(name, exec) => self::exec(*name, *exec),
        // The client waits for `not-running` only.
        Wait(name, "" | "not-running") => format!("docker wait {}", full(*name)),
        Wait(name, condition) => curl(*name, &format!("wait?condition={condition}")),
        List(listing) => list(*listing),
        Update(name, change) => format!("docker update {} {}", changed(*change), full(*name)),
        Logs(name, tail) => {
            let tail = tail
                .map(|tail| format!("--tail {tail} "))
                .unwrap_or_default();
            format!("docker logs {tail}{}", full(*name))
        }
        Prune => "docker container prune -f --filter label=conf.fuzz".to_owned(),
        Start(name) | Pause(name) | Unpause(name) | Inspect(name) | Top(name) => {
            format!("docker {verb} {}", full(*name))
        }
    }
}

fn curl(name: Name, path: &str) -> String {
    format!(
        "curl -s -X POST --unix-socket $ENGINE_SOCKET 'http://localhost/v1.51/containers/{}/{path}'",
        full(name)
    )
}

fn create(name: Name, creation: &Creation) -> String {
    let mut words = format!(
        "docker create --name {} --label conf.fuzz --stop-timeout 1",
        full(name)
    );
    let mut add = |word: &str| {
        words.push(' ');
        words.push_str(word);
    };
    match (creation.flaw, creation.policy.words()) {
        (Some(Flaw::Policy), _) => add("--restart sometimes"),
        (Some(Flaw::Retries), _) => add("--restart always:3"),
        (_, ("no", _)) => {}
        (_, (policy, 0)) => add(&format!("--restart {policy}")),
        (_, (policy, retries)) => add(&format!("--restart {policy}:{retries}")),
    }
    if creation.auto_remove {
        add("--rm");
    }
    if creation.tty {
        add("-t");
    }
    match (creation.flaw, creation.stop_signal) {
        (Some(Flaw::Signal), _) => add("--stop-signal NOSUCH"),
        (_, Some(signal)) => add(&format!("--stop-signal {signal}")),
        _ => {}
    }
    match (creation.flaw, creation.no_network) {
        (Some(Flaw::Network), _) => add("--network conf-fuzz-no-such-network"),
        (_, true) => add("--network none"),
        _ => {}
    }
    match creation.flaw {
        Some(Flaw::Memory) => add("-m 1000000"),
        Some(Flaw::Directory) => add("-w relative"),
        Some(Flaw::User) => add("-u nosuchuser"),
        _ => {}
    }
    add(if creation.flaw == Some(Flaw::Image) {
        "conf-fuzz-no-such-image"
    } else {
        "busybox"
    });
    add(&quoted(&creation.program.command()));
    words
}

fn exec(name: Name, exec: Exec) -> String {
    let option = match exec {
        Exec::User => "-u nosuchuser ",
        Exec::Directory => "-w /no/such/directory ",
        Exec::Tty => "-t ",
        Exec::Detached(_) => "-d ",
        // The client wants a command.
        Exec::Empty => {
            return format!(
                "{} -H 'Content-Type: application/json' -d '{{}}'",
                curl(name, "exec")
            );
        }
        _ => "",
    };
    format!(
        "docker exec {option}{} {}",
        full(name),
        quoted(&exec.command())
    )
}

fn list(listing: Listing) -> String {
    let filter = match listing {
        Listing::Running => String::new(),
        Listing::Status(status) => format!(" -a --filter status={status}"),
        Listing::Exited(code) => format!(" -a --filter exited={code}"),
        Listing::Named(name) => format!(" -a --filter name={}", full(name)),
    };
    format!("docker ps --filter label=conf.fuzz{filter} --format '{{{{.Names}}}} {{{{.Status}}}}'")
}

fn changed(change: Change) -> String {
    match change {
        Change::Policy(policy) => match policy.words() {
            (name, 0) => format!("--restart {name}"),
            (name, retries) => format!("--restart {name}:{retries}"),
        },
        Change::Shares(shares) => format!("--cpu-shares {shares}"),
        Change::LittleMemory => "-m 1000000".to_owned(),
    }
}

/// Words for a shell.
fn quoted(words: &[String]) -> String {
    let plain = |word: &String| {
        word.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
    };
    let word = |word: &String| {
        if plain(word) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Difference;
    use crate::operation::{Policy, Program};
    use serde_json::json;

    #[test]
    fn a_finding_is_a_page_of_commands() {
        let creation = Creation {
            program: Program::Exit(3),
            policy: Policy::OnFailure(2),
            auto_remove: false,
            tty: true,
            stop_signal: None,
            no_network: false,
            flaw: None,
        };
        let steps = [
            Step::One(Operation::Create(Name(0), creation)),
            Step::Together(vec![
                Operation::Start(Name(0)),
                Operation::Stop(Name(1), Some(0)),
            ]),
            Step::One(Operation::Prune),
        ];
        let finding = Finding {
            step: 1,
            differences: vec![Difference {
                path: "/containers/a#1/State/ExitCode".into(),
                reference: Some(json!(3)),
                subject: None,
            }],
        };
        assert_eq!(
            page("A title", &steps, &finding),
            "## A title\n\n```console\n\
             $ docker create --name conf-fuzz-a --label conf.fuzz --stop-timeout 1 --restart on-failure:2 -t busybox sh -c 'echo out; echo err >&2; exit 3'\n\
             $ docker start conf-fuzz-a & docker stop -t 0 conf-fuzz-b & wait\n\
             $ docker inspect -f '{{json .State}} {{.RestartCount}}' conf-fuzz-a\n\
             $ docker inspect -f '{{json .State}} {{.RestartCount}}' conf-fuzz-b\n\
             ```\n\nWhere they differ, after the last step:\n\n\
             * /containers/a#1/State/ExitCode: Docker has 3, Drydock has nothing\n"
        );
    }
}
