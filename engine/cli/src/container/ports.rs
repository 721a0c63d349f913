//! `-p` and `--expose`: `[address:][host port[-end]:]container port[-end][/protocol]`.

use serde_json::{Map, Value, json};

/// `ExposedPorts` and `PortBindings`.
#[derive(Debug, Default)]
pub struct Ports {
    /// `{"80/tcp": {}}`.
    pub exposed: Map<String, Value>,
    /// `{"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}`.
    pub bindings: Map<String, Value>,
}

/// Reads the values of `--publish` and `--expose`.
pub fn parse(publish: &[String], expose: &[String]) -> Result<Ports, String> {
    let mut ports = Ports::default();
    for text in publish {
        let short = if text.contains('=') {
            long_form(text)?
        } else {
            text.clone()
        };
        ports.publish(&short)?;
    }
    for text in expose {
        if text.contains(':') {
            return Err(format!("invalid port format for --expose: {text}"));
        }
        let (range, protocol) = protocol(text);
        let (first, last) = range_of(range).map_err(|fault| {
            format!("invalid range format for --expose: {range}, error: {fault}")
        })?;
        for port in first..=last {
            ports
                .exposed
                .insert(format!("{port}/{protocol}"), json!({}));
        }
    }
    Ok(ports)
}

impl Ports {
    fn publish(&mut self, text: &str) -> Result<(), String> {
        let (rest, protocol) = protocol(text);
        let (address, host, container) = split(rest);
        if container.is_empty() {
            return Err(format!("no port specified: {text}<empty>"));
        }
        let (first, last) =
            range_of(container).map_err(|_| format!("invalid containerPort: {container}"))?;
        let address = check_address(address)?;
        if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
            return Err(format!("invalid proto: {protocol}"));
        }
        let host_range = match host {
            "" => None,
            range => Some(range_of(range).map_err(|_| format!("invalid hostPort: {range}"))?),
        };
        if let Some((start, end)) = host_range
            && end - start != last - first
            && first != last
        {
            return Err(format!(
                "invalid ranges specified for container and host Ports: {container} and {host}"
            ));
        }
        for offset in 0..=(last - first) {
            let name = format!("{}/{protocol}", first + offset);
            let host_port = match host_range {
                None => String::new(),
                // One container port on a range of host ports: the engine takes a free one.
                Some((start, end)) if first == last && start != end => format!("{start}-{end}"),
                Some((start, _)) => (start + offset).to_string(),
            };
            self.exposed.insert(name.clone(), json!({}));
            let binding = json!({"HostIp": address, "HostPort": host_port});
            match self.bindings.entry(name).or_insert_with(|| json!([])) {
                Value::Array(list) => list.push(binding),
                other => *other = json!([binding]),
            }
        }
        Ok(())
    }
}

/// Takes `/udp` off; `tcp` is the default.
fn protocol(text: &str) -> (&str, String) {
    match text.rsplit_once('/') {
        Some((rest, protocol)) if !protocol.is_empty() => (rest, protocol.to_lowercase()),
        Some((rest, _)) => (rest, "tcp".to_string()),
        None => (text, "tcp".to_string()),
    }
}

/// Address, host port and container port; an IPv6 address has colons of its own.
fn split(text: &str) -> (&str, &str, &str) {
    let Some((left, container)) = text.rsplit_once(':') else {
        return ("", "", text);
    };
    match left.rsplit_once(':') {
        Some((address, host)) => (address, host, container),
        None => ("", left, container),
    }
}

fn check_address(address: &str) -> Result<String, String> {
    let bare = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(address);
    if bare.is_empty() || bare.parse::<std::net::IpAddr>().is_ok() {
        return Ok(bare.to_string());
    }
    Err(format!("invalid IP address: {address}"))
}

fn range_of(text: &str) -> Result<(u16, u16), String> {
    let port = |text: &str| {
        text.parse::<u16>().map_err(|error| {
            let what = if matches!(error.kind(), std::num::IntErrorKind::PosOverflow) {
                "value out of range"
            } else {
                "invalid syntax"
            };
            format!("strconv.ParseUint: parsing {text:?}: {what}")
        })
    };
    if text.is_empty() {
        return Err("empty string specified for ports".to_string());
    }
    let Some((first, last)) = text.split_once('-') else {
        let only = port(text)?;
        return Ok((only, only));
    };
    let (first, last) = (port(first)?, port(last)?);
    if last < first {
        return Err(format!("invalid range specified for port: {text}"));
    }
    Ok((first, last))
}

/// `published=8080,target=80,protocol=tcp` in the short form.
fn long_form(text: &str) -> Result<String, String> {
    let (mut published, mut target, mut protocol) =
        (String::new(), String::new(), "tcp".to_string());
    for field in text.split(',') {
        let Some((key, value)) = field.split_once('=') else {
            return Err(format!(
                "invalid publish opts format (should be name=value but got '{field}')"
            ));
        };
        match key.trim() {
            "published" => published = format!("{value}:"),
            "target" => target = value.to_string(),
            "protocol" => protocol = value.to_string(),
            "mode" => {}
            other => return Err(format!("invalid field key {other}")),
        }
    }
    Ok(format!("{published}{target}/{protocol}"))
}
