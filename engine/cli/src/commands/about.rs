//! `version` and `info`.

use std::io::Write;

use crate::failure::{Failure, Outcome};
use crate::flags::{Flag, Matches};
use crate::format::evaluator::Options;
use crate::format::human;
use crate::format::parser::Template;
use crate::format::print::json;
use crate::format::schema;
use crate::format::value::{Field, Struct, Value};
use crate::{Context, output};

use super::rows;

/// The flag of both.
pub const FLAGS: &[Flag] = &[Flag::text("format", rows::OBJECT_FORMAT_HELP).short('f')];

/// A Go struct of what the JSON has.
fn as_struct(type_name: &str, value: Value) -> Value {
    let Value::Map(entries) = value else {
        return value;
    };
    let fields = entries
        .into_iter()
        .map(|(name, value)| Field {
            name,
            key: None,
            value,
            sent: true,
        })
        .collect();
    Value::Struct(Struct {
        type_name: type_name.to_string(),
        fields,
        labels: None,
    })
}

fn client_version(context: &Context) -> Vec<(&'static str, String)> {
    vec![
        ("Version", env!("CARGO_PKG_VERSION").to_string()),
        ("APIVersion", context.client.api_version()),
        ("DefaultAPIVersion", drydock_client::API_VERSION.to_string()),
        ("GitCommit", String::new()),
        ("GoVersion", String::new()),
        ("Os", std::env::consts::OS.to_string()),
        ("Arch", go_arch().to_string()),
        ("BuildTime", String::new()),
        ("Context", "default".to_string()),
    ]
}

/// Docker says `amd64` where Rust says `x86_64`.
pub fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Shows the versions of client and engine. Without an engine the client's part is shown all the same.
pub fn version(context: &Context, matches: &Matches) -> Outcome {
    let format = matches.text("format");
    let server: Result<Value, drydock_client::Error> = context.client.get_json("/version");
    let client = client_version(context);
    let server = server.map(with_readable_times);
    let (server, failure) = match server {
        Ok(value) => (Some(value), None),
        Err(error) => (None, Some(Failure::from(error))),
    };
    let text = if format.is_empty() {
        version_text(&client, server.as_ref())
    } else {
        let fields = client
            .into_iter()
            .map(|(name, value)| (name, Value::Text(value)))
            .collect();
        let server = server.map_or(Value::Null, |server| schema::apply("server", server));
        let value = Value::row(
            "system.versionInfo",
            vec![
                ("Client", Value::row("system.clientVersion", fields)),
                ("Server", server),
            ],
        );
        execute(&value, format, "version")?
    };
    output::stdout().write_all(text.as_bytes())?;
    failure.map_or(Ok(0), Err)
}

/// The parts' build times as Go's ANSIC layout shows them: `Tue Sep 15 11:02:57 2026`.
fn with_readable_times(mut server: Value) -> Value {
    let Value::Map(entries) = &mut server else {
        return server;
    };
    let components = entries
        .iter_mut()
        .filter(|(key, _)| key == "Components")
        .map(|(_, value)| value);
    for component in components {
        let Value::List(list) = component else {
            continue;
        };
        for details in list.iter_mut().filter_map(|item| item.entry_mut("Details")) {
            if let Some(time) = details.entry_mut("BuildTime")
                && let Some((seconds, _)) = human::parse_time(time.text())
            {
                *time = Value::Text(human::ansi_time(seconds));
            }
        }
    }
    server
}

fn execute(value: &Value, format: &str, name: &str) -> Result<String, Failure> {
    if format == "json" {
        return Ok(format!("{}\n", json(value, false)));
    }
    let template = Template::parse(name, format)
        .map_err(|fault| Failure::new(format!("template parsing error: {fault}")).code(64))?;
    // What was printed before the fault stays, as with the stock client.
    match template.execute_partly(value, Options::default()) {
        (text, None) => Ok(format!("{text}\n")),
        (text, Some(fault)) => {
            output::line(&text)?;
            Err(Failure::new(fault))
        }
    }
}

fn version_text(client: &[(&'static str, String)], server: Option<&Value>) -> String {
    let get = |name: &str| {
        client
            .iter()
            .find(|(key, _)| *key == name)
            .map_or("", |(_, value)| value.as_str())
    };
    let mut text = format!(
        "Client: Drydock\n Version:           {}\n API version:       {}\n OS/Arch:           {}/{}\n Context:           {}\n",
        get("Version"),
        get("APIVersion"),
        get("Os"),
        get("Arch"),
        get("Context")
    );
    let Some(server) = server else { return text };
    let platform = server.get("Platform").get("Name").text();
    text.push_str(&format!(
        "\nServer:{}{platform}\n",
        if platform.is_empty() { "" } else { " " }
    ));
    for component in server.get("Components").list() {
        let detail = |name: &str| component.get("Details").get(name).text().to_string();
        text.push_str(&format!(" {}:\n", component.get("Name").text()));
        let line = |label: &str, value: &str| format!("  {:<17} {value}\n", format!("{label}:"));
        text.push_str(&line("Version", component.get("Version").text()));
        if component.get("Name").text() == "Engine" {
            let api = format!(
                "{} (minimum version {})",
                detail("ApiVersion"),
                detail("MinAPIVersion")
            );
            text.push_str(&line("API version", &api));
            for (label, name) in [
                ("Go version", "GoVersion"),
                ("Git commit", "GitCommit"),
                ("Built", "BuildTime"),
            ] {
                if !detail(name).is_empty() {
                    text.push_str(&line(label, &detail(name)));
                }
            }
            text.push_str(&line(
                "OS/Arch",
                &format!("{}/{}", detail("Os"), detail("Arch")),
            ));
            text.push_str(&line("Experimental", &detail("Experimental")));
        } else {
            text.push_str(&line("GitCommit", &detail("GitCommit")));
        }
    }
    text
}

/// Shows what the engine is and has.
pub fn info(context: &Context, matches: &Matches) -> Outcome {
    let format = matches.text("format");
    let server: Result<Value, drydock_client::Error> = context.client.get_json("/info");
    let (server, failure) = match server {
        Ok(value) => (Some(value), None),
        Err(error) => (None, Some(Failure::from(error))),
    };
    let text = if format.is_empty() {
        info_text(server.as_ref())
    } else {
        let value = with_client(server.unwrap_or(Value::Map(Vec::new())));
        execute(&value, format, "")?
    };
    output::stdout().write_all(text.as_bytes())?;
    failure.map_or(Ok(0), Err)
}

fn with_client(server: Value) -> Value {
    let mut value = as_struct("system.dockerInfo", server);
    if let Value::Struct(object) = &mut value {
        let client = Value::row(
            "system.clientInfo",
            vec![
                ("Debug", Value::Bool(false)),
                ("Version", Value::from(env!("CARGO_PKG_VERSION"))),
                ("Context", Value::from("default")),
                ("Plugins", Value::List(Vec::new())),
                ("Warnings", Value::Null),
            ],
        );
        object.fields.push(Field {
            name: "ClientInfo".to_string(),
            key: None,
            value: client,
            sent: true,
        });
    }
    value
}

/// Stands for the value of a line that is an item of a list.
const ITEM: &str = "\0";

/// The lines of `info` that are one value each: label, key.
const VALUES: [(&str, &str); 4] = [
    ("Kernel Version", "KernelVersion"),
    ("Operating System", "OperatingSystem"),
    ("OSType", "OSType"),
    ("Architecture", "Architecture"),
];

fn info_text(server: Option<&Value>) -> String {
    let mut text = format!(
        "Client: Drydock\n Version:    {}\n Context:    default\n Debug Mode: false\n\nServer:\n",
        env!("CARGO_PKG_VERSION")
    );
    let Some(server) = server else { return text };
    let mut line = |indent: usize, label: &str, value: &str| {
        // A heading ends with the colon, an item without a value has none.
        let line = match value {
            "" => format!("{label}:"),
            ITEM => label.to_string(),
            value => format!("{label}: {value}"),
        };
        text.push_str(&format!("{}{line}\n", " ".repeat(indent)));
    };
    let of = |name: &str| server.get(name).text().to_string();
    let number = |name: &str| server.get(name).int().to_string();
    let truth = |name: &str| server.get(name).bool().to_string();
    line(1, "Containers", &number("Containers"));
    line(2, "Running", &number("ContainersRunning"));
    line(2, "Paused", &number("ContainersPaused"));
    line(2, "Stopped", &number("ContainersStopped"));
    line(1, "Images", &number("Images"));
    line(1, "Server Version", &of("ServerVersion"));
    line(1, "Storage Driver", &of("Driver"));
    for pair in server.get("DriverStatus").list() {
        if let [name, value] = pair.list() {
            line(2, name.text(), value.text());
        }
    }
    line(1, "Logging Driver", &of("LoggingDriver"));
    line(1, "Cgroup Driver", &of("CgroupDriver"));
    line(1, "Cgroup Version", &of("CgroupVersion"));
    let words = |value: &Value| {
        value
            .list()
            .iter()
            .map(Value::text)
            .collect::<Vec<_>>()
            .join(" ")
    };
    line(1, "Plugins", "");
    for kind in ["Volume", "Network", "Log"] {
        line(2, kind, &words(server.get("Plugins").get(kind)));
    }
    let directories = server.get("CDISpecDirs").list();
    if !directories.is_empty() {
        line(1, "CDI spec directories", "");
        for directory in directories {
            line(2, directory.text(), ITEM);
        }
    }
    line(
        1,
        "Swarm",
        Some(server.get("Swarm").get("LocalNodeState").text())
            .filter(|state| !state.is_empty())
            .unwrap_or("inactive"),
    );
    let mut runtimes: Vec<&str> = server
        .get("Runtimes")
        .entries()
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    runtimes.sort_unstable();
    line(1, "Runtimes", &runtimes.join(" "));
    line(1, "Default Runtime", &of("DefaultRuntime"));
    line(1, "Init Binary", &of("InitBinary"));
    for (label, key) in [
        ("containerd", "ContainerdCommit"),
        ("runc", "RuncCommit"),
        ("init", "InitCommit"),
    ] {
        let commit = server.get(key);
        if *commit != Value::Missing {
            line(
                1,
                &format!("{label} version: {}", commit.get("ID").text()),
                ITEM,
            );
        }
    }
    line(1, "Security Options", "");
    for option in server.get("SecurityOptions").list() {
        // `name=seccomp,profile=builtin`: the name, then the rest one step further in.
        for (position, pair) in option.text().split(',').enumerate() {
            let (key, value) = pair.split_once('=').unwrap_or(("", pair));
            if position == 0 {
                line(2, value, ITEM);
            } else {
                line(3, if key == "profile" { "Profile" } else { key }, value);
            }
        }
    }
    for (label, key) in VALUES {
        line(1, label, &of(key));
    }
    line(1, "CPUs", &number("NCPU"));
    line(
        1,
        "Total Memory",
        &human::binary_size(server.get("MemTotal").int()),
    );
    line(1, "Name", &of("Name"));
    line(1, "ID", &of("ID"));
    line(1, "Docker Root Dir", &of("DockerRootDir"));
    line(1, "Debug Mode", &truth("Debug"));
    line(1, "Experimental", &truth("ExperimentalBuild"));
    let insecure = server
        .get("RegistryConfig")
        .get("InsecureRegistryCIDRs")
        .list();
    if !insecure.is_empty() {
        line(1, "Insecure Registries", "");
        for network in insecure {
            line(2, network.text(), ITEM);
        }
    }
    line(1, "Live Restore Enabled", &truth("LiveRestoreEnabled"));
    text.push('\n');
    for warning in server.get("Warnings").list() {
        output::error_line(warning.text());
    }
    text
}
