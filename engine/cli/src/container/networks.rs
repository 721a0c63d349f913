//! `--network` and the flags that belong to its endpoint.

use serde_json::{Map, Value, json};

use crate::flags::Matches;

/// `NetworkMode`, and the endpoints to create.
#[derive(Debug)]
pub struct Networks {
    /// The first network: a mode (`none`, `host`, `container:x`) or a name.
    pub mode: String,
    /// `EndpointsConfig`.
    pub endpoints: Map<String, Value>,
}

/// One `--network`, in its short or its `name=…,alias=…` form.
#[derive(Debug, Default)]
struct Attachment {
    name: String,
    aliases: Vec<String>,
    driver_options: Map<String, Value>,
    address: String,
    address6: String,
    mac_address: String,
    link_local: Vec<String>,
    links: Vec<String>,
    gateway_priority: i64,
}

/// Checks one `--network`.
pub fn check(value: &str) -> Result<(), String> {
    attachment(value).map(drop)
}

/// Reads them all. With more than one network the endpoint flags belong to the first.
pub fn parse(matches: &Matches) -> Result<Networks, String> {
    let mut attachments = Vec::new();
    for value in matches.list("network") {
        attachments.push(attachment(&value)?);
    }
    if attachments.is_empty() {
        attachments.push(Attachment {
            name: "default".to_string(),
            ..Attachment::default()
        });
    }
    if let Some(first) = attachments.first_mut() {
        apply_flags(first, matches)?;
    }
    let mode = attachments[0].name.clone();
    let alone = attachments.len() == 1;
    if mode.is_empty() {
        return Err("no name set for network".to_string());
    }
    let mut endpoints = Map::new();
    for attachment in &attachments {
        if !alone && is_mode(&attachment.name) {
            let text = "conflicting options: cannot attach both user-defined and non-user-defined network-modes";
            return Err(text.to_string());
        }
        // These are modes: there is no network to have an endpoint on. What is asked for one is the engine's to refuse.
        let other = attachment.name.starts_with("container:");
        if matches!(attachment.name.as_str(), "none" | "host") || (other && attachment.is_bare()) {
            continue;
        }
        if endpoints
            .insert(attachment.name.clone(), attachment.endpoint())
            .is_some()
        {
            return Err(format!(
                "network \"{}\" is specified multiple times",
                attachment.name
            ));
        }
    }
    Ok(Networks { mode, endpoints })
}

fn is_mode(name: &str) -> bool {
    matches!(name, "default" | "bridge" | "host" | "none") || name.starts_with("container:")
}

fn apply_flags(first: &mut Attachment, matches: &Matches) -> Result<(), String> {
    let conflict = |what: &str, flag: &str| {
        format!("conflicting options: cannot specify both --{flag} and per-network {what}")
    };
    let take = |flag: &str, what: &str, place: &mut String| {
        let value = matches.text(flag);
        if !value.is_empty() && !place.is_empty() {
            return Err(conflict(what, flag));
        }
        if !value.is_empty() {
            *place = value.to_string();
        }
        Ok(())
    };
    take("ip", "IPv4 address", &mut first.address)?;
    take("ip6", "IPv6 address", &mut first.address6)?;
    take("mac-address", "MAC address", &mut first.mac_address)?;
    check_mac(&first.mac_address)?;
    let take = |flag: &str, what: &str, place: &mut Vec<String>| {
        let value = matches.list(flag);
        if !value.is_empty() && !place.is_empty() {
            return Err(conflict(what, flag));
        }
        place.extend(value);
        Ok(())
    };
    take("network-alias", "alias", &mut first.aliases)?;
    // Links of the default bridge are the host config's alone.
    if !is_mode(&first.name) {
        take("link", "links", &mut first.links)?;
    }
    take(
        "link-local-ip",
        "link-local IP addresses",
        &mut first.link_local,
    )
}

/// 48, 64 or 160 bits in pairs of hexadecimal digits, as Go's net.ParseMAC.
fn check_mac(text: &str) -> Result<(), String> {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    let is_pair = |part: &&str| part.len() == 2 && u8::from_str_radix(part, 16).is_ok();
    if text.is_empty() || (matches!(parts.len(), 6 | 8 | 20) && parts.iter().all(is_pair)) {
        return Ok(());
    }
    Err(format!("{text} is not a valid mac address"))
}

fn attachment(value: &str) -> Result<Attachment, String> {
    let mut result = Attachment::default();
    if !value.contains('=') {
        result.name = value.to_string();
        return Ok(result);
    }
    for field in super::mounts::csv(value)? {
        let Some((key, value)) = field.split_once('=') else {
            return Err(format!("invalid field {field}"));
        };
        let value = value.trim().to_string();
        match key.trim().to_lowercase().as_str() {
            "name" => result.name = value,
            "alias" => result.aliases.push(value),
            "ip" => result.address = value,
            "ip6" => result.address6 = value,
            "mac-address" => result.mac_address = value,
            "link-local-ip" => result.link_local.push(value),
            "driver-opt" => {
                let (key, value) = super::environment::key_value(&value);
                result.driver_options.insert(key, json!(value));
            }
            "gw-priority" => {
                result.gateway_priority = value
                    .parse()
                    .map_err(|_| format!("invalid gw-priority: {value}"))?;
            }
            other => return Err(format!("invalid field key {other}")),
        }
    }
    if result.name.is_empty() {
        return Err("network name is required".to_string());
    }
    Ok(result)
}

impl Attachment {
    /// Nothing is asked for but the network.
    fn is_bare(&self) -> bool {
        let bare = Attachment::default();
        self.endpoint() == bare.endpoint()
    }

    /// The API's `EndpointSettings`.
    fn endpoint(&self) -> Value {
        let null_if_empty = |list: &[String]| {
            if list.is_empty() {
                Value::Null
            } else {
                json!(list)
            }
        };
        let mut ipam = Map::new();
        if !self.address.is_empty() {
            ipam.insert("IPv4Address".to_string(), json!(self.address));
        }
        if !self.address6.is_empty() {
            ipam.insert("IPv6Address".to_string(), json!(self.address6));
        }
        if !self.link_local.is_empty() {
            ipam.insert("LinkLocalIPs".to_string(), json!(self.link_local));
        }
        json!({
            "IPAMConfig": if ipam.is_empty() { Value::Null } else { Value::Object(ipam) },
            "Links": null_if_empty(&self.links),
            "Aliases": null_if_empty(&self.aliases),
            "MacAddress": self.mac_address,
            "DriverOpts": if self.driver_options.is_empty() { Value::Null } else { json!(self.driver_options) },
            "GwPriority": self.gateway_priority,
            "NetworkID": "",
            "EndpointID": "",
            "Gateway": "",
            "IPAddress": "",
            "IPPrefixLen": 0,
            "IPv6Gateway": "",
            "GlobalIPv6Address": "",
            "GlobalIPv6PrefixLen": 0,
            "DNSNames": null,
        })
    }
}
