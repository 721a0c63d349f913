//! `--link NAME:ALIAS`, the way in which containers of the default bridge knew each other before there were networks.
//!
//! A link belongs to the container that was made with it, and holds the other's id: it follows a rename of either, and
//! does not pass to a later container of the same name. It gives three things: a line in the hosts file, variables in
//! the environment of what is started in the container, and a second name of the other, `NAME/ALIAS`, in the API.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use drydock_api::Error;
use drydock_defects::defect;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Container, Record, join};
use crate::engine::Engine;

/// The largest hosts file that is brought up to date; the container can write to it.
const HOSTS: u64 = 1 << 20;

/// A link to another container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The other's id.
    pub id: String,
    /// Its name when the link was made, for when it is no more.
    pub name: String,
    /// What it is called here.
    pub alias: String,
}

/// The links of a request.
///
/// # Errors
/// Docker's: 500 for what is not a link, 400 for a container that is not there or has no network of its own.
pub fn read(engine: &Engine, wanted: &[String]) -> Result<Vec<Link>, Error> {
    let mut links: Vec<Link> = Vec::new();
    for text in wanted {
        let (name, alias) = parse(text)?;
        let failed =
            |error: Error| Error::invalid(format!("could not get container for {name}: {error}"));
        if name.is_empty() {
            return Err(failed(join::invalid_name()));
        }
        let other = target(engine, engine.containers.find(name).map_err(failed)?)?;
        // Of two with the same alias the first is kept.
        if links.iter().all(|link| link.alias != alias) {
            let name = other.snapshot().name.clone();
            links.push(Link {
                id: other.id.clone(),
                name,
                alias: alias.to_owned(),
            });
        }
    }
    Ok(links)
}

/// `name`, `name:alias`, or as `inspect` shows it: `/name:/parent/alias`.
fn parse(text: &str) -> Result<(&str, &str), Error> {
    if text.is_empty() {
        return Err(Error::system("empty string specified for links"));
    }
    match text.split_once(':') {
        None => Ok((text, text)),
        Some((_, alias)) if alias.contains(':') => {
            Err(Error::system(format!("bad format for links: {text}")))
        }
        Some((name, alias)) => match name.strip_prefix('/') {
            Some(name) => Ok((name, alias.rsplit('/').next().unwrap_or(alias))),
            None => Ok((name, alias)),
        },
    }
}

/// Who answers for a container that shares another's network.
fn target(engine: &Engine, mut other: Arc<Container>) -> Result<Arc<Container>, Error> {
    while let Some(name) = join::named(other.snapshot().network_mode()) {
        other = engine.containers.find(name).map_err(Error::invalid)?;
    }
    if other.snapshot().network_mode() == "host" {
        return Err(host_network());
    }
    Ok(other)
}

/// Docker's refusal of links to or from a container with the host's network.
pub fn host_network() -> Error {
    Error::invalid(
        "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
    )
}

/// The links as `inspect` shows them; null where there are none.
pub fn shown(engine: &Engine, record: &Record) -> Value {
    let show = |link: &Link| {
        let name = name_of(engine, link);
        Value::from(format!("/{name}:/{}/{}", record.name, link.alias))
    };
    match record.links.as_slice() {
        [] => Value::Null,
        links => links.iter().map(show).collect(),
    }
}

fn name_of(engine: &Engine, link: &Link) -> String {
    let other = engine.containers.by_id(&link.id);
    other.map_or_else(|| link.name.clone(), |other| other.snapshot().name.clone())
}

/// The names that links give, by the id of who has them: `parent/alias`.
pub fn names(engine: &Engine) -> HashMap<String, Vec<String>> {
    let mut names: HashMap<String, Vec<String>> = HashMap::new();
    for container in engine.containers.unordered() {
        let record = container.snapshot();
        for link in &record.links {
            let name = format!("{}/{}", record.name, link.alias);
            names.entry(link.id.clone()).or_default().push(name);
        }
    }
    names.values_mut().for_each(|list| list.sort());
    names
}

/// A container that is linked, as it is at this moment.
pub struct Linked {
    alias: String,
    record: Arc<Record>,
    address: std::net::Ipv4Addr,
}

/// The containers to which a container on the default bridge is linked.
///
/// # Errors
/// Docker's 500 for one that does not run or is not on the default bridge.
pub fn linked(engine: &Engine, record: &Record) -> Result<Vec<Linked>, Error> {
    if record.network_mode() != "bridge" {
        return Ok(Vec::new());
    }
    let find = |link: &Link| {
        let other = engine.containers.by_id(&link.id);
        let Some(other) = other
            .map(|other| other.snapshot())
            .filter(|other| other.is_running())
        else {
            return Err(Error::system(format!(
                "Cannot link to a non running container: /{} AS /{}/{}",
                name_of(engine, link),
                record.name,
                link.alias
            )));
        };
        let Some(endpoint) = &other.endpoint else {
            return Err(Error::system(format!(
                "container {} not attached to default bridge network",
                other.id
            )));
        };
        Ok(Linked {
            alias: link.alias.clone(),
            address: endpoint.address,
            record: other,
        })
    };
    record.links.iter().map(find).collect()
}

/// Address and names for the hosts file.
pub fn hosts(linked: &[Linked]) -> Vec<(String, String)> {
    let line = |one: &Linked| {
        let mut names = format!("{} {}", one.alias, one.record.config_text("Hostname"));
        if one.alias != one.record.name {
            names = format!("{names} {}", one.record.name);
        }
        (one.address.to_string(), names)
    };
    linked.iter().map(line).collect()
}

/// The variables of all links, `parent` being the container that has them.
pub fn environment(parent: &str, linked: &[Linked]) -> Vec<String> {
    if defect!("link-variables-missing") {
        return Vec::new();
    }
    let mut variables = Vec::new();
    for one in linked {
        let prefix = one.alias.to_uppercase().replace('-', "_");
        push_ports(&mut variables, &prefix, one);
        variables.push(format!("{prefix}_NAME=/{parent}/{}", one.alias));
        for variable in one.record.config_list("Env") {
            match variable.split_once('=') {
                None | Some(("HOME" | "PATH", _)) => {}
                Some((name, value)) => variables.push(format!("{prefix}_ENV_{name}={value}")),
            }
        }
    }
    variables
}

/// The exposed ports: TCP first, by number, those that follow each other told as a range besides.
fn push_ports(variables: &mut Vec<String>, prefix: &str, one: &Linked) {
    let ports = exposed(&one.record);
    let address = one.address;
    if let Some((protocol, number)) = ports.first() {
        variables.push(format!("{prefix}_PORT={protocol}://{address}:{number}"));
    }
    let mut first = 0;
    for (index, (protocol, number)) in ports.iter().enumerate() {
        let name = format!("{prefix}_PORT_{number}_{}", protocol.to_uppercase());
        variables.push(format!("{name}={protocol}://{address}:{number}"));
        variables.push(format!("{name}_ADDR={address}"));
        variables.push(format!("{name}_PORT={number}"));
        variables.push(format!("{name}_PROTO={protocol}"));
        let follows = |before: &(String, u16)| before.0 == *protocol && before.1 + 1 == *number;
        let in_range = index > first && follows(&ports[index - 1]);
        if in_range && index + 1 < ports.len() {
            continue;
        }
        // Docker notices the end of a range by the port after it, or by the end of the list.
        let last = if in_range {
            index
        } else {
            index.saturating_sub(1)
        };
        if last > first {
            let ((protocol, from), (_, to)) = (&ports[first], &ports[last]);
            let name = format!("{prefix}_PORT_{from}_{}", protocol.to_uppercase());
            variables.push(format!("{name}_START={protocol}://{address}:{from}"));
            variables.push(format!("{name}_PORT_START={from}"));
            variables.push(format!("{name}_END={protocol}://{address}:{to}"));
            variables.push(format!("{name}_PORT_END={to}"));
        }
        first = index;
    }
}

fn exposed(record: &Record) -> Vec<(String, u16)> {
    let ports = record.config.get("ExposedPorts").and_then(Value::as_object);
    let read = |port: &String| {
        let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        Some((protocol.to_lowercase(), number.parse().ok()?))
    };
    let mut ports: Vec<(String, u16)> = ports
        .into_iter()
        .flat_map(|ports| ports.keys().filter_map(read))
        .collect();
    ports.sort_by_key(|(protocol, number)| (protocol != "tcp", protocol.clone(), *number));
    ports
}

/// Tells the running containers that are linked to this one its new address.
pub fn refresh(engine: &Engine, other: &Record) {
    let Some(endpoint) = &other.endpoint else {
        return;
    };
    for container in engine.containers.unordered() {
        let record = container.snapshot();
        if record.endpoint.is_none() {
            continue;
        }
        for link in record.links.iter().filter(|link| link.id == other.id) {
            let address = endpoint.address.to_string();
            change_hosts(&container.file("hosts"), |line| {
                let rest = names_of(line, &link.alias)?;
                Some(Some(format!("{address}\t{rest}")))
            });
        }
    }
}

/// Takes a link away: DELETE /containers/{parent}/{alias}?link=1.
///
/// # Errors
/// Docker's 500 for a container's own name, and when the record cannot be written.
pub async fn remove(engine: &Engine, name: &str) -> Result<(), Error> {
    let name = name.strip_prefix('/').unwrap_or(name);
    let Some((parent, alias)) = name.split_once('/') else {
        return Err(Error::system(
            "Conflict, cannot remove the default link name of the container",
        ));
    };
    let container = engine.containers.find(parent)?;
    let _changing = container.lifecycle.lock().await;
    let before = container.snapshot();
    container.publish(|record| record.links.retain(|link| link.alias != alias));
    if let Err(error) = container.save() {
        container.publish(|record| record.links.clone_from(&before.links));
        return Err(Error::system(error));
    }
    change_hosts(&container.file("hosts"), |line| {
        names_of(line, alias).map(|_| None)
    });
    Ok(())
}

/// The names of a line of a hosts file whose first name this is.
fn names_of<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, names) = line.split_once('\t')?;
    (names.split(' ').next() == Some(name)).then_some(names)
}

/// Rewrites a hosts file in its place, which is what the container has mounted. `change` says what becomes of a line:
/// None leaves it, Some(None) takes it out. The file is the container's to write, so its size has a limit; a failure is
/// said in the log, for the container runs on with what it has.
fn change_hosts(path: &Path, change: impl Fn(&str) -> Option<Option<String>>) {
    let result = (|| -> io::Result<()> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(path)?;
        let text = read_limited(&mut file)?;
        let mut changed = String::with_capacity(text.len());
        for line in text.lines() {
            let line = change(line).unwrap_or_else(|| Some(line.to_owned()));
            changed.extend(line.map(|line| line + "\n"));
        }
        if changed != text {
            file.set_len(0)?;
            io::Seek::rewind(&mut file)?;
            file.write_all(changed.as_bytes())?;
        }
        Ok(())
    })();
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!("{}: {error}", path.display());
        }
        _ => {}
    }
}

fn read_limited(file: &mut File) -> io::Result<String> {
    let mut text = String::new();
    file.take(HOSTS + 1).read_to_string(&mut text)?;
    if text.len() as u64 > HOSTS {
        return Err(io::Error::other("too large to be brought up to date"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::containers::record::tests::example;

    fn linked(ports: &[&str]) -> Linked {
        let mut record = example();
        record.name = "pg".into();
        record.config["Hostname"] = json!("dbhost");
        record.config["Env"] = json!(["PASSWORD=secret", "PATH=/bin", "HOME=/x", "UNSET"]);
        record.config["ExposedPorts"] = ports
            .iter()
            .map(|port| ((*port).to_owned(), json!({})))
            .collect();
        Linked {
            alias: "my-db".into(),
            record: Arc::new(record),
            address: [10, 0, 0, 2].into(),
        }
    }

    #[test]
    fn variables_are_dockers() {
        let variables = environment("web", &[linked(&["53/udp", "5433/tcp", "5432/tcp"])]);
        let names: Vec<&str> = variables
            .iter()
            .map(|variable| variable.strip_prefix("MY_DB_").unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "PORT=tcp://10.0.0.2:5432",
                "PORT_5432_TCP=tcp://10.0.0.2:5432",
                "PORT_5432_TCP_ADDR=10.0.0.2",
                "PORT_5432_TCP_PORT=5432",
                "PORT_5432_TCP_PROTO=tcp",
                "PORT_5433_TCP=tcp://10.0.0.2:5433",
                "PORT_5433_TCP_ADDR=10.0.0.2",
                "PORT_5433_TCP_PORT=5433",
                "PORT_5433_TCP_PROTO=tcp",
                "PORT_53_UDP=udp://10.0.0.2:53",
                "PORT_53_UDP_ADDR=10.0.0.2",
                "PORT_53_UDP_PORT=53",
                "PORT_53_UDP_PROTO=udp",
                "PORT_5432_TCP_START=tcp://10.0.0.2:5432",
                "PORT_5432_TCP_PORT_START=5432",
                "PORT_5432_TCP_END=tcp://10.0.0.2:5433",
                "PORT_5432_TCP_PORT_END=5433",
                "NAME=/web/my-db",
                "ENV_PASSWORD=secret",
            ]
        );
        let at_the_end = environment("web", &[linked(&["1/tcp", "2/tcp"])]);
        assert!(at_the_end.contains(&"MY_DB_PORT_1_TCP_PORT_END=2".to_owned()));
        let alone = environment("web", &[linked(&["1/tcp", "3/tcp"])]);
        assert!(alone.iter().all(|variable| !variable.contains("_START")));
    }

    #[test]
    fn links_are_read() {
        assert_eq!(parse("db"), Ok(("db", "db")));
        assert_eq!(parse("db:x"), Ok(("db", "x")));
        assert_eq!(parse("/db:/web/x"), Ok(("db", "x")));
        assert_eq!(parse("a:b:c").unwrap_err().status(), 500);
        assert_eq!(
            parse("").unwrap_err().to_string(),
            "empty string specified for links"
        );
    }

    #[test]
    fn a_hosts_file_is_changed_in_its_place() {
        assert_eq!(
            hosts(&[linked(&[])]),
            [("10.0.0.2".to_owned(), "my-db dbhost pg".to_owned())]
        );
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hosts");
        std::fs::write(&path, "1.1.1.1\tdb x\n1.1.1.1\tdb2 x\nmine\n").unwrap();
        let kept = File::open(&path).unwrap();
        change_hosts(&path, |line| {
            names_of(line, "db").map(|names| Some(format!("2.2.2.2\t{names}")))
        });
        change_hosts(&path, |line| names_of(line, "db2").map(|_| None));
        assert_eq!(io::read_to_string(kept).unwrap(), "2.2.2.2\tdb x\nmine\n");
        std::os::unix::fs::symlink(&path, directory.path().join("link")).unwrap();
        change_hosts(&directory.path().join("link"), |_| Some(None));
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "2.2.2.2\tdb x\nmine\n"
        );
    }
}
