//! `port`: where the ports of a container are published.

use crate::failure::{Failure, Outcome};
use crate::flags::Matches;
use crate::format::value::Value;
use crate::query::path_part;
use crate::{Context, output};

/// Prints all of them, or those of one port.
pub fn run(context: &Context, matches: &Matches) -> Outcome {
    let name = &matches.words[0];
    let container: Value = context
        .client
        .get_json(&format!("/containers/{}/json", path_part(name)))?;
    let ports = container.get("NetworkSettings").get("Ports");
    let Some(wanted) = matches.words.get(1) else {
        for line in all(ports) {
            output::line(&line)?;
        }
        return Ok(0);
    };
    let (port, protocol) = wanted.split_once('/').unwrap_or((wanted, "tcp"));
    if port.parse::<u16>().is_err() {
        let why = if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            "invalid syntax"
        } else {
            "value out of range"
        };
        return Err(Failure::new(format!(
            "Error: invalid port ({port}): strconv.ParseUint: parsing {port:?}: {why}"
        )));
    }
    let places = places(ports.get(&format!("{port}/{protocol}")));
    if places.is_empty() {
        return Err(Failure::new(format!(
            "Error: No public port '{wanted}' published for {name}"
        )));
    }
    for place in places {
        output::line(&place)?;
    }
    Ok(0)
}

/// `80/tcp -> 0.0.0.0:8080`, by number and then by protocol.
fn all(ports: &Value) -> Vec<String> {
    let mut entries: Vec<_> = ports.entries().iter().collect();
    entries.sort_by_key(|(port, _)| {
        let (number, protocol) = port.split_once('/').unwrap_or((port, ""));
        (number.parse::<u16>().unwrap_or(0), protocol.to_owned())
    });
    entries
        .into_iter()
        .flat_map(|(port, bindings)| {
            places(bindings)
                .into_iter()
                .map(move |place| format!("{port} -> {place}"))
        })
        .collect()
}

/// The addresses of a port; version 6 in brackets.
fn places(bindings: &Value) -> Vec<String> {
    let place = |binding: &Value| {
        let (address, port) = (binding.get("HostIp").text(), binding.get("HostPort").text());
        if address.contains(':') {
            format!("[{address}]:{port}")
        } else {
            format!("{address}:{port}")
        }
    };
    bindings.list().iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_sorted_by_number() {
        let text = r#"{"443/tcp": [{"HostIp": "0.0.0.0", "HostPort": "1"}, {"HostIp": "::", "HostPort": "1"}], "53/udp": [{"HostIp": "127.0.0.1", "HostPort": "2"}], "99/tcp": null}"#;
        let ports: Value = serde_json::from_str(text).unwrap();
        assert_eq!(
            all(&ports),
            [
                "53/udp -> 127.0.0.1:2",
                "443/tcp -> 0.0.0.0:1",
                "443/tcp -> [::]:1"
            ]
        );
    }
}
