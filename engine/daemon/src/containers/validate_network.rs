//! Checks of what a request says about its networks.

use drydock_api::Error;
use serde_json::Value;

use super::{join, links};

/// Checks what goes together with a network that is the host's or another container's, in Docker's order.
///
/// # Errors
/// 400 with Docker's texts.
pub fn mode(config: &Value, host: &Value) -> Result<(), Error> {
    let filled = |value: &Value, key: &str| match value.get(key) {
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(map)) => !map.is_empty(),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Bool(yes)) => *yes,
        _ => false,
    };
    let network = host
        .get("NetworkMode")
        .and_then(Value::as_str)
        .unwrap_or("");
    if network == "host" && filled(host, "Links") {
        return Err(links::host_network());
    }
    let other = match network.split_once(':') {
        None if network != "container" => return Ok(()),
        Some((kind, _)) if kind != "container" => return Ok(()),
        None => "",
        Some((_, other)) => other,
    };
    if other.is_empty() {
        return Err(Error::invalid(
            "invalid network mode: invalid container format container:<name|id>",
        ));
    }
    let conflicts = [
        (config, "Hostname", "hostname and the network mode"),
        (
            host,
            "Links",
            "container type network can't be used with links. This would result in undefined behavior",
        ),
        (host, "Dns", "dns and the network mode"),
        (
            host,
            "ExtraHosts",
            "custom host-to-IP mapping and the network mode",
        ),
        (
            host,
            "PortBindings",
            "port publishing and the container type network mode",
        ),
        (
            host,
            "PublishAllPorts",
            "port publishing and the container type network mode",
        ),
        (
            config,
            "ExposedPorts",
            "port exposing and the container type network mode",
        ),
    ];
    match conflicts.iter().find(|(value, key, _)| filled(value, key)) {
        Some((.., what)) => Err(Error::invalid(format!("conflicting options: {what}"))),
        None => Ok(()),
    }
}

/// Checks the `NetworkingConfig` of a request against the network mode.
///
/// # Errors
/// 400 with Docker's texts, 501 for what is not built.
pub fn networking(networking: &Value, mode: &str) -> Result<(), Error> {
    let endpoints = networking.get("EndpointsConfig").and_then(Value::as_object);
    for (network, settings) in endpoints.into_iter().flatten() {
        let default = matches!(network.as_str(), "bridge" | "default" | "host" | "none");
        if join::named(network).is_some() {
            of_container(network, settings)?;
            continue;
        }
        if !default && network != mode {
            return Err(Error::not_built(format!(
                "network {network}: user-defined networks are"
            )));
        }
        if default {
            endpoint(settings)?;
        }
    }
    Ok(())
}

/// A network of another container has nothing to be chosen.
fn of_container(network: &str, settings: &Value) -> Result<(), Error> {
    let address = settings.pointer("/IPAMConfig/IPv4Address");
    match address.and_then(Value::as_str).unwrap_or("") {
        "" => Ok(()),
        _ => Err(Error::invalid(format!(
            "invalid config for network {network}: invalid endpoint settings:\nuser specified IP address is supported on user defined networks only"
        ))),
    }
}

fn endpoint(settings: &Value) -> Result<(), Error> {
    let filled = |key: &str| {
        settings
            .get(key)
            .and_then(Value::as_array)
            .is_some_and(|list| !list.is_empty())
    };
    let mut faults = Vec::new();
    if filled("Aliases") {
        faults.push(
            "network-scoped alias is supported only for containers in user defined networks"
                .to_owned(),
        );
    }
    if let Some(address) = settings
        .pointer("/IPAMConfig/IPv4Address")
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
    {
        faults.push(
            "user specified IP address is supported on user defined networks only".to_owned(),
        );
        if address.parse::<std::net::Ipv4Addr>().is_err() {
            faults.push(format!("invalid IPv4 address: {address}"));
        }
        faults.push("user specified IP address is supported only when connecting to networks with user configured subnets".to_owned());
    }
    let list = match &faults[..] {
        [] => {
            return match settings
                .get("MacAddress")
                .and_then(Value::as_str)
                .unwrap_or("")
            {
                "" => Ok(()),
                text => Err(fixed_mac_address(text)),
            };
        }
        [one] => one.clone(),
        many => many
            .iter()
            .map(|fault| format!("* {fault}"))
            .collect::<Vec<_>>()
            .join("\n"),
    };
    Err(Error::invalid(format!(
        "invalid config for network bridge: invalid endpoint settings:\n{list}"
    )))
}

/// Docker's text for a bad address, ours for a good one.
pub fn fixed_mac_address(text: &str) -> Error {
    if text.parse::<drydock_network::MacAddress>().is_err() {
        return Error::invalid(format!(
            "invalid config for network bridge: invalid MAC address {text}"
        ));
    }
    Error::not_built("--mac-address is")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_does_not_go_with_the_network_of_another() {
        let text = |config: Value, host: Value| {
            mode(&config, &host).map_or_else(|error| error.to_string(), |()| "ok".to_owned())
        };
        let joined = |key: &str, value: Value| {
            let mut host = json!({"NetworkMode": "container:x"});
            host[key] = value;
            text(json!({}), host)
        };
        assert_eq!(joined("Dns", json!([])), "ok");
        assert_eq!(
            joined("Dns", json!(["1.1.1.1"])),
            "conflicting options: dns and the network mode"
        );
        assert_eq!(
            joined("PublishAllPorts", json!(true)),
            "conflicting options: port publishing and the container type network mode"
        );
        assert_eq!(
            text(
                json!({"Hostname": "h", "ExposedPorts": {"80/tcp": {}}}),
                json!({"NetworkMode": "container:x"})
            ),
            "conflicting options: hostname and the network mode"
        );
        for bad in ["container:", "container"] {
            assert_eq!(
                text(json!({}), json!({"NetworkMode": bad})),
                "invalid network mode: invalid container format container:<name|id>"
            );
        }
        for (network, links) in [
            ("host", json!(["a"])),
            ("bridge", json!(["a"])),
            ("host", Value::Null),
        ] {
            let refused =
                mode(&json!({}), &json!({"NetworkMode": network, "Links": links})).is_err();
            assert_eq!(refused, network == "host" && !links.is_null());
        }
    }

    #[test]
    fn endpoints_of_the_default_bridge() {
        let text = |settings: Value| {
            networking(&json!({"EndpointsConfig": {"bridge": settings}}), "bridge")
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            text(json!({"Aliases": ["x"]})),
            "invalid config for network bridge: invalid endpoint settings:\nnetwork-scoped alias is supported only for containers in user defined networks"
        );
        assert_eq!(
            text(json!({"IPAMConfig": {"IPv4Address": "172.17.0.99"}})),
            "invalid config for network bridge: invalid endpoint settings:\n* user specified IP address is supported on user defined networks only\n* user specified IP address is supported only when connecting to networks with user configured subnets"
        );
        assert!(networking(&json!({"EndpointsConfig": {"foo": {}}}), "foo").is_ok());
        assert_eq!(
            networking(&json!({"EndpointsConfig": {"foo": {}}}), "bridge")
                .unwrap_err()
                .status(),
            501
        );
    }
}
