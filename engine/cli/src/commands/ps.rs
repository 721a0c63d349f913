//! `ps`: containers, one a line.

use crate::Context;
use crate::configuration::or;
use crate::failure::{Failure, Outcome};
use crate::flags::{Check, Flag, Kind, Matches};
use crate::format::evaluator::Options;
use crate::format::human;
use crate::format::parser::Template;
use crate::format::value::Value;
use crate::query::{self, Query};

use super::rows;

/// The flags of `ps`.
pub const FLAGS: &[Flag] = &[
    Flag::switch("all", "Show those that have ended too").short('a'),
    Flag::of(
        Kind::Named("filter", Check(query::check_filter)),
        "filter",
        "Show only those that match, as NAME=VALUE",
    )
    .short('f'),
    Flag::text("format", rows::FORMAT_HELP),
    Flag::int("last", "Show the last N, whatever their state")
        .short('n')
        .default("-1"),
    Flag::switch("latest", "Show the last one, whatever its state").short('l'),
    Flag::switch("no-trunc", "Do not shorten IDs and commands"),
    Flag::switch("quiet", "Show IDs only").short('q'),
    Flag::switch("size", "Show sizes").short('s'),
];

const TABLE: &str =
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";

/// Lists containers.
pub fn run(context: &Context, matches: &Matches) -> Outcome {
    let format = or(matches.text("format"), &context.configuration.ps_format);
    let size = matches.switch("size") || shows_size(format)?;
    let last = if matches.switch("latest") {
        1
    } else {
        matches.int("last")
    };
    let path = Query::new()
        .flag("all", matches.switch("all"))
        .maybe("filters", &query::filters(&matches.list("filter"))?)
        .maybe(
            "limit",
            &if last > 0 {
                last.to_string()
            } else {
                String::new()
            },
        )
        .flag("size", size)
        .on("/containers/json");
    let list: Value = context.client.get_json(&path)?;
    let full = matches.switch("no-trunc");
    let now = seconds_now();
    let rows: Vec<Value> = list
        .list()
        .iter()
        .map(|container| row(container, full, now))
        .collect();
    let table = if matches.switch("size") {
        format!("{TABLE}\t{{{{.Size}}}}")
    } else {
        TABLE.to_string()
    };
    let quiet = matches.switch("quiet");
    // What the file says is no answer to --quiet; what the command line says comes before it.
    let format = if quiet {
        matches.text("format")
    } else {
        format
    };
    rows::print(format, quiet, &table, &headings(), &rows)
}

/// Sizes are dear for the engine, so they are asked for only where the template shows them. To know that, it
/// is run on a row that has nothing in it; so a wrong template fails even where there are no containers.
fn shows_size(format: &str) -> Result<bool, Failure> {
    if matches!(format, "" | "table" | "json") {
        return Ok(false);
    }
    let source = format.replace("\\t", "\t").replace("\\n", "\n");
    let template = Template::parse("", &source)
        .map_err(|fault| Failure::new(format!("failed to parse template: {fault}")))?;
    let run = |size: i64| {
        let container = Value::Map(vec![("SizeRw".to_string(), Value::Int(size))]);
        template.execute(&row(&container, false, 0), Options::default())
    };
    let without =
        run(0).map_err(|fault| Failure::new(format!("failed to execute template: {fault}")))?;
    Ok(run(1).is_ok_and(|with| with != without))
}

/// The time of day, in seconds since 1970.
pub fn seconds_now() -> i64 {
    rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec
}

/// The headings of the list.
pub fn headings() -> Value {
    let fields = [
        ("ID", "CONTAINER ID"),
        ("Names", "NAMES"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("CreatedAt", "CREATED AT"),
        ("RunningFor", "CREATED"),
        ("Ports", "PORTS"),
        ("State", "STATE"),
        ("Status", "STATUS"),
        ("Size", "SIZE"),
        ("Labels", "LABELS"),
        ("Mounts", "MOUNTS"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Networks", "NETWORKS"),
        ("Platform", "PLATFORM"),
    ];
    with_labels(
        Value::row(
            "map",
            fields
                .map(|(name, text)| (name, Value::from(text)))
                .to_vec(),
        ),
        Vec::new(),
    )
}

fn with_labels(mut row: Value, labels: Vec<(String, String)>) -> Value {
    if let Value::Struct(object) = &mut row {
        object.labels = Some(labels);
    }
    row
}

/// A line of the list; `now` is in seconds since 1970.
pub fn row(container: &Value, full: bool, now: i64) -> Value {
    let id = container.get("Id").text();
    let created = container.get("Created").int();
    let command = container.get("Command").text();
    let command = if full {
        command.to_string()
    } else {
        ellipsis(command, 20)
    };
    let labels = pairs(container.get("Labels"));
    let names: Vec<&str> = container
        .get("Names")
        .list()
        .iter()
        .map(|name| name.text().trim_start_matches('/'))
        // `other/alias` is the name under which another container links to it.
        .filter(|name| full || !name.contains('/'))
        .collect();
    let mounts = container.get("Mounts").list();
    let mount_names: Vec<String> = mounts.iter().map(|mount| mount_name(mount, full)).collect();
    let local = mounts
        .iter()
        .filter(|mount| mount.get("Driver").text() == "local")
        .count();
    let mut networks: Vec<&str> = container
        .get("NetworkSettings")
        .get("Networks")
        .entries()
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    networks.sort_unstable();
    let fields = vec![
        ("Command", Value::Text(format!("{command:?}"))),
        ("CreatedAt", Value::Text(human::go_time(created))),
        (
            "ID",
            Value::from(if full { id } else { id.get(..12).unwrap_or(id) }),
        ),
        ("Image", Value::Text(image(container, full))),
        (
            "Labels",
            Value::Text(
                labels
                    .iter()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect::<Vec<_>>()
                    .join(","),
            ),
        ),
        ("LocalVolumes", Value::Text(local.to_string())),
        ("Mounts", Value::Text(mount_names.join(","))),
        ("Names", Value::Text(names.join(","))),
        ("Networks", Value::Text(networks.join(","))),
        ("Platform", Value::Null),
        ("Ports", Value::Text(ports(container.get("Ports").list()))),
        (
            "RunningFor",
            Value::Text(format!("{} ago", human::duration(now - created))),
        ),
        ("Size", Value::Text(size(container))),
        ("State", Value::from(container.get("State").text())),
        ("Status", Value::from(container.get("Status").text())),
    ];
    with_labels(Value::row("*formatter.ContainerContext", fields), labels)
}

fn pairs(map: &Value) -> Vec<(String, String)> {
    let mut list: Vec<(String, String)> = map
        .entries()
        .iter()
        .map(|(key, value)| (key.clone(), value.text().to_string()))
        .collect();
    list.sort();
    list
}

fn image(container: &Value, full: bool) -> String {
    let (name, id) = (
        container.get("Image").text(),
        container.get("ImageID").text(),
    );
    if name.is_empty() {
        return "<no image>".to_string();
    }
    let short = |text: &str| {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        hex.get(..12).unwrap_or(hex).to_string()
    };
    if !full && short(name) == short(id) {
        return short(id);
    }
    // A name with tag and digest is shown without the digest.
    match name.split_once('@') {
        Some((tagged, _))
            if !full && tagged.rsplit('/').next().unwrap_or_default().contains(':') =>
        {
            tagged.to_string()
        }
        _ => name.to_string(),
    }
}

fn mount_name(mount: &Value, full: bool) -> String {
    let name = mount.get("Name").text();
    let name = if name.is_empty() {
        mount.get("Source").text()
    } else {
        name
    };
    if full {
        name.to_string()
    } else {
        ellipsis(name, 15)
    }
}

/// Cuts a text to `width` characters, the last of them `…`.
pub fn ellipsis(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_string();
    }
    format!("{}…", text.chars().take(width - 1).collect::<String>())
}

fn size(container: &Value) -> String {
    let own = human::size(container.get("SizeRw").int(), 3);
    match container.get("SizeRootFs").int() {
        0 => own,
        whole => format!("{own} (virtual {})", human::size(whole, 3)),
    }
}

/// `0.0.0.0:8080->80/tcp, 443/tcp`; neighbours that are published on their own numbers become a range.
fn ports(list: &[Value]) -> String {
    let mut list: Vec<(i64, String, i64, String)> = list
        .iter()
        .map(|port| {
            (
                port.get("PrivatePort").int(),
                port.get("IP").text().to_string(),
                port.get("PublicPort").int(),
                port.get("Type").text().to_string(),
            )
        })
        .collect();
    list.sort();
    let (mut groups, mut done, mut mapped) = (
        Vec::<((String, String), i64, i64)>::new(),
        Vec::new(),
        Vec::new(),
    );
    for (private, address, public, kind) in list {
        if !address.is_empty() && public != private {
            mapped.push(format!(
                "{}->{private}/{kind}",
                host_port(&address, &public.to_string())
            ));
            continue;
        }
        let key = (address, kind);
        match groups.iter_mut().find(|(known, ..)| *known == key) {
            Some((_, _, last)) if private == *last + 1 => *last = private,
            Some(group) => {
                done.push(range(group));
                *group = (key, private, private);
            }
            None => groups.push((key, private, private)),
        }
    }
    done.extend(groups.iter().map(range));
    done.extend(mapped);
    done.join(", ")
}

fn range(((address, kind), first, last): &((String, String), i64, i64)) -> String {
    let numbers = if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
    };
    if address.is_empty() {
        return format!("{numbers}/{kind}");
    }
    format!("{}->{numbers}/{kind}", host_port(address, &numbers))
}

fn host_port(address: &str, port: &str) -> String {
    if address.contains(':') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_grouped() {
        let list: Value = serde_json::from_str(
            r#"[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8089,"Type":"tcp"},{"IP":"::","PrivatePort":80,"PublicPort":8089,"Type":"tcp"},
            {"PrivatePort":443,"Type":"tcp"},{"PrivatePort":444,"Type":"tcp"},{"PrivatePort":53,"Type":"udp"},
            {"IP":"0.0.0.0","PrivatePort":9000,"PublicPort":9000,"Type":"tcp"},{"IP":"0.0.0.0","PrivatePort":9001,"PublicPort":9001,"Type":"tcp"}]"#,
        )
        .unwrap();
        assert_eq!(
            ports(list.list()),
            "53/udp, 443-444/tcp, 0.0.0.0:9000-9001->9000-9001/tcp, 0.0.0.0:8089->80/tcp, [::]:8089->80/tcp"
        );
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(
            ellipsis("sh -c 'sleep 1; exit'", 20),
            "sh -c 'sleep 1; exi…"
        );
        assert_eq!(ellipsis("12345678901234567890", 20), "12345678901234567890");
    }
}
