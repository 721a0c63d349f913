//! The accept rules on a host whose iptables is the old one (iptables-legacy).
//!
//! Its rules are no part of nf_tables, only its own command changes them: the one process this crate starts,
//! when a bridge is opened and closed, never on the way of a container. See [`crate::docker`] for what the
//! rules are for.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Error;
use crate::docker::{BesideDocker, COMMENT, DOCKER_CHAIN, FORWARD_CHAIN};

/// Tables that iptables-legacy has loaded in this network namespace.
const LOADED_TABLES: &str = "/proc/thread-self/net/ip_tables_names";
/// Where distributions put it. Not PATH: that is the user's, and this runs as root.
const COMMANDS: [&str; 3] = [
    "/usr/sbin/iptables-legacy",
    "/sbin/iptables-legacy",
    "/usr/local/sbin/iptables-legacy",
];

/// Makes sure that the rules are there, where they are needed.
pub fn ensure(bridge: &str) -> BesideDocker {
    if !is_loaded() {
        return BesideDocker::NotNeeded;
    }
    match try_ensure(bridge) {
        Ok(state) => state,
        Err(problem) => BesideDocker::Blocked {
            reason: format!(
                "iptables-legacy rules are loaded on this host and may drop the packets of bridge {bridge}: \
                 {problem}\n\
                 hint: iptables-legacy -I FORWARD -i {bridge} -j ACCEPT; \
                 iptables-legacy -I FORWARD -o {bridge} -j ACCEPT"
            ),
        },
    }
}

/// Removes the rules; fine if there are none.
pub fn remove(bridge: &str) -> Result<(), Error> {
    // Without the command we cannot have added any.
    if !is_loaded() || command().is_none() {
        return Ok(());
    }
    let failed = |source| Error::System {
        action: format!("remove the iptables-legacy rules of {bridge}"),
        source,
    };
    let listed = list().map_err(failed)?;
    for option in ["-o", "-i"] {
        let rule = specification(option, bridge);
        if listed.contains(&line(&rule)) {
            run(["-D"].into_iter().chain(rule.iter().map(String::as_str))).map_err(failed)?;
        }
    }
    Ok(())
}

fn try_ensure(bridge: &str) -> io::Result<BesideDocker> {
    let listed = list()?;
    let drops = listed.iter().any(|rule| rule == "-P FORWARD DROP");
    if !drops
        && !listed
            .iter()
            .any(|rule| rule.ends_with(&format!("-j {DOCKER_CHAIN}")))
    {
        return Ok(BesideDocker::NotNeeded);
    }
    let rules = listed.iter().filter(|rule| rule.starts_with("-A "));
    let place = rules
        .enumerate()
        .filter(|(_, rule)| rule.contains("-j DOCKER"))
        .map(|(place, _)| place + 1)
        .last();
    let place = (place.unwrap_or(0) + 1).to_string();
    for option in ["-o", "-i"] {
        let rule = specification(option, bridge);
        if !listed.contains(&line(&rule)) {
            let [chain, rest @ ..] = &rule;
            run(["-I", chain, &place]
                .into_iter()
                .chain(rest.iter().map(String::as_str)))?;
        }
    }
    Ok(BesideDocker::Accepted)
}

fn specification(option: &str, bridge: &str) -> [String; 9] {
    [
        FORWARD_CHAIN,
        option,
        bridge,
        "-m",
        "comment",
        "--comment",
        COMMENT,
        "-j",
        "ACCEPT",
    ]
    .map(str::to_owned)
}

/// A rule as `-S` prints it.
fn line(specification: &[String]) -> String {
    format!("-A {}", specification.join(" "))
}

fn is_loaded() -> bool {
    // No such file: the kernel does not have the old iptables at all.
    std::fs::read_to_string(LOADED_TABLES)
        .is_ok_and(|tables| tables.lines().any(|table| table == "filter"))
}

fn command() -> Option<&'static str> {
    COMMANDS.into_iter().find(|path| Path::new(path).exists())
}

fn list() -> io::Result<Vec<String>> {
    let output = run(["-S", FORWARD_CHAIN].into_iter())?;
    Ok(output.lines().map(str::to_owned).collect())
}

/// Runs the command with its lock waited for (`-w`, seconds).
fn run<'text>(arguments: impl Iterator<Item = &'text str>) -> io::Result<String> {
    let command = command()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no iptables-legacy command"))?;
    let output = Command::new(command)
        .args(["-w", "5"])
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(io::Error::other(format!("{command}: {message}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
