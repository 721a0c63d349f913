//! GET /networks and /networks/{id}: the three networks that always exist.

use drydock_api::filters::Filters;
use drydock_api::{Error, shape, time};
use serde_json::{Map, Value, json};

use crate::engine::Engine;
use crate::http::{Answer, Request};

/// GET /networks. Containers are not in the list, as in Docker.
///
/// # Errors
/// 400 for bad filters.
pub fn list(engine: &Engine, request: &Request) -> Result<Answer, Error> {
    let filters = Filters::parse(request.query.get("filters"))?;
    filters.validate(&["dangling", "driver", "id", "label", "name", "scope", "type"])?;
    let dangling = filters.boolean("dangling")?;
    let keeps = |network: &Value| {
        let text = |key: &str| network.get(key).and_then(Value::as_str).unwrap_or("");
        let part = |key: &str, field: &str| {
            filters.get(key).is_empty()
                || filters
                    .get(key)
                    .iter()
                    .any(|wanted| text(field).contains(wanted.as_str()))
        };
        part("id", "Id")
            && part("name", "Name")
            && filters.allows("driver", text("Driver"))
            && filters.allows("scope", text("Scope"))
            && filters.allows("type", "builtin")
            && filters.get("label").is_empty()
            && dangling != Some(true)
    };
    let networks: Vec<Value> = all(engine, false).into_iter().filter(keeps).collect();
    Ok(Answer::json(&Value::from(networks)))
}

/// GET /networks/{id}, by name, id or the beginning of an id.
///
/// # Errors
/// Docker's 404.
pub fn inspect(engine: &Engine, request: &Request) -> Result<Answer, Error> {
    let wanted = request.name.as_str();
    let is = |network: &Value| {
        let id = network.get("Id").and_then(Value::as_str).unwrap_or("");
        network.get("Name").and_then(Value::as_str) == Some(wanted) || id.starts_with(wanted)
    };
    let network = all(engine, true).into_iter().find(is);
    network
        .map(|network| Answer::json(&network))
        .ok_or_else(|| Error::NotFound(format!("network {wanted} not found")))
}

fn all(engine: &Engine, with_containers: bool) -> Vec<Value> {
    let identity = &engine.identity;
    let created = time::rfc3339(identity.created);
    let plain = |name: &str, id: &str, driver: &str| {
        shape::NETWORK.with(json!({
            "Name": name, "Id": id, "Created": created, "Driver": driver,
            "Containers": if with_containers { containers(engine, name) } else { json!({}) },
        }))
    };
    vec![
        bridge(engine, &created, with_containers),
        plain("host", &identity.host_id, "host"),
        plain("none", &identity.none_id, "null"),
    ]
}

fn bridge(engine: &Engine, created: &str, with_containers: bool) -> Value {
    let config = engine.network.config();
    let options = json!({
        "com.docker.network.bridge.default_bridge": "true",
        "com.docker.network.bridge.enable_icc": "true",
        "com.docker.network.bridge.enable_ip_masquerade": "true",
        "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
        "com.docker.network.bridge.name": config.name,
        "com.docker.network.driver.mtu": config.mtu.to_string(),
    });
    shape::NETWORK.with(json!({
        "Name": "bridge",
        "Id": engine.identity.bridge_id,
        "Created": created,
        "Driver": "bridge",
        "IPAM": {
            "Driver": "default",
            "Config": [{"Subnet": engine.network.subnet().to_string(), "Gateway": config.gateway.to_string()}],
        },
        "Containers": if with_containers { containers(engine, "bridge") } else { json!({}) },
        "Options": options,
    }))
}

/// The running containers in a network.
fn containers(engine: &Engine, network: &str) -> Value {
    let prefix = engine.network.config().prefix_length;
    let mut map = Map::new();
    for container in engine.containers.all() {
        let record = container.snapshot();
        if !record.is_running() || record.network_mode() != network {
            continue;
        }
        let endpoint = record.endpoint.as_ref();
        map.insert(record.id.clone(), json!({
            "Name": record.name,
            "EndpointID": endpoint.map_or("", |endpoint| endpoint.endpoint_id.as_str()),
            "MacAddress": endpoint.map_or("", |endpoint| endpoint.mac_address.as_str()),
            "IPv4Address": endpoint.map_or(String::new(), |endpoint| format!("{}/{prefix}", endpoint.address)),
            "IPv6Address": "",
        }));
    }
    Value::Object(map)
}
