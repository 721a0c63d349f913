//! Checks of what a request says about its networks.

use drydock_api::Error;
use serde_json::Value;

/// Checks the `NetworkingConfig` of a request against the network mode.
///
/// # Errors
/// 400 with Docker's texts, 501 for what is not built.
pub fn networking(networking: &Value, mode: &str) -> Result<(), Error> {
    let endpoints = networking.get("EndpointsConfig").and_then(Value::as_object);
    for (network, settings) in endpoints.into_iter().flatten() {
        let default = matches!(network.as_str(), "bridge" | "default" | "host" | "none");
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
