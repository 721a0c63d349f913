//! Addresses of remote logs: read with Docker's texts, and resolved.
//!
//! A name is looked up here, by the daemon, when the container starts: the shim sees no file of the host, so it
//! has no resolver. A socket of the host is opened by its folder, after symbolic links (`/dev/log` is one).

use std::fs::File;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use drydock_logs::plan::Address;
use nix::fcntl::OFlag;

/// An address as the user means it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `udp://host:port`.
    Udp(String, u16),
    /// `tcp://host:port`.
    Tcp(String, u16),
    /// `tcp+tls://host:port`.
    Tls(String, u16),
    /// `unix:///path`.
    Unix(PathBuf),
    /// `unixgram:///path`.
    UnixDatagram(PathBuf),
    /// The host's own syslog.
    OwnSyslog,
}

/// An address in its parts.
struct Url<'a> {
    scheme: &'a str,
    host: &'a str,
    port: Option<&'a str>,
    path: &'a str,
}

/// Splits `scheme://host:port/path`; a text without a scheme has an empty one. The errors are Go's url.Parse's.
fn parse(text: &str) -> Result<Url<'_>, String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Ok(Url {
            scheme: "",
            host: "",
            port: None,
            path: text,
        });
    };
    let slash = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(slash);
    // An IPv6 address stands in brackets.
    let colon = match authority.rfind(']') {
        Some(end) => authority[end..].find(':').map(|at| end + at),
        None => authority.find(':'),
    };
    let (host, port) = match colon {
        Some(at) => (&authority[..at], Some(&authority[at + 1..])),
        None => (authority, None),
    };
    if let Some(port) = port
        && !port.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(format!(
            "parse {text:?}: invalid port \":{port}\" after host"
        ));
    }
    Ok(Url {
        scheme,
        host: host.trim_start_matches('[').trim_end_matches(']'),
        port: port.filter(|port| !port.is_empty()),
        path,
    })
}

fn port(url: &Url<'_>, default: u16) -> Result<u16, String> {
    let Some(text) = url.port else {
        return Ok(default);
    };
    text.parse()
        .map_err(|_| format!("address {text}: invalid port"))
}

/// `syslog-address`.
pub fn syslog(text: &str) -> Result<Target, String> {
    if text.is_empty() {
        return Ok(Target::OwnSyslog);
    }
    let url = parse(text)?;
    if matches!(url.scheme, "unix" | "unixgram") {
        std::fs::metadata(url.path).map_err(|error| {
            let why = go_error(&error);
            format!("stat {}: {why}", url.path)
        })?;
        let path = PathBuf::from(url.path);
        return Ok(match url.scheme {
            "unix" => Target::Unix(path),
            _ => Target::UnixDatagram(path),
        });
    }
    let host = || Ok::<_, String>((url.host.to_owned(), port(&url, 514)?));
    match url.scheme {
        "udp" => host().map(|(host, port)| Target::Udp(host, port)),
        "tcp" => host().map(|(host, port)| Target::Tcp(host, port)),
        "tcp+tls" => host().map(|(host, port)| Target::Tls(host, port)),
        other => Err(format!("unsupported scheme: '{other}'")),
    }
}

/// `gelf-address`.
pub fn gelf(text: &str) -> Result<Target, String> {
    if text.is_empty() {
        return Err("gelf-address is a required parameter".to_owned());
    }
    let url = parse(text)?;
    if !matches!(url.scheme, "tcp" | "udp") {
        return Err("gelf: endpoint needs to be TCP or UDP".to_owned());
    }
    if url.port.is_none() {
        return Err("gelf: please provide gelf-address as proto://host:port".to_owned());
    }
    let port = port(&url, 0)?;
    let host = url.host.to_owned();
    Ok(match url.scheme {
        "tcp" => Target::Tcp(host, port),
        _ => Target::Udp(host, port),
    })
}

/// `fluentd-address`.
pub fn fluentd(text: &str) -> Result<Target, String> {
    if text.is_empty() {
        return Ok(Target::Tcp("127.0.0.1".to_owned(), 24224));
    }
    let full = if text.contains("://") {
        text.to_owned()
    } else {
        format!("tcp://{text}")
    };
    read_fluentd(&full).map_err(|why| format!("invalid fluentd-address ({text}): {why}"))
}

fn read_fluentd(full: &str) -> Result<Target, String> {
    let url = parse(full)?;
    match url.scheme {
        "unix" if url.path.trim_matches('/').is_empty() => Err("path is empty".to_owned()),
        "unix" => Ok(Target::Unix(PathBuf::from(url.path))),
        "tcp" | "tls" if !url.path.is_empty() => {
            Err("should not contain a path element".to_owned())
        }
        "tcp" => {
            let host = if url.host.is_empty() {
                "127.0.0.1"
            } else {
                url.host
            };
            Ok(Target::Tcp(host.to_owned(), port(&url, 24224)?))
        }
        "tls" => Ok(Target::Tls(url.host.to_owned(), port(&url, 24224)?)),
        other => Err(format!("unsupported scheme: '{other}'")),
    }
}

/// Where to connect to, and the folder of a socket of the host.
///
/// # Errors
/// Docker's texts: a name that is not known, a socket that is not there, and what is not built.
pub fn resolve(target: &Target) -> Result<(Address, Option<OwnedFd>), String> {
    match target {
        Target::Udp(host, port) => Ok((Address::Udp(look_up("udp", host, *port)?), None)),
        Target::Tcp(host, port) => Ok((Address::Tcp(look_up("tcp", host, *port)?), None)),
        Target::Tls(..) => Err(
            "TLS is not built yet in this engine\nhint: use tcp:// to a forwarder on this host"
                .to_owned(),
        ),
        Target::Unix(path) => {
            let (folder, name) = folder("unix", path)?;
            let shown = path.display().to_string();
            Ok((Address::Unix { name, shown }, Some(folder)))
        }
        Target::UnixDatagram(path) => datagram(path),
        Target::OwnSyslog => ["/dev/log", "/var/run/syslog", "/var/run/log"]
            .iter()
            .map(Path::new)
            .find(|path| somebody_listens(path))
            .ok_or_else(|| "Unix syslog delivery error".to_owned())
            .and_then(datagram),
    }
}

/// Whether a socket is there and taken: a log of that name may be a folder, or what a dead program has left.
fn somebody_listens(path: &Path) -> bool {
    let probe = UnixDatagram::unbound().and_then(|socket| socket.connect(path));
    probe.is_ok()
}

fn datagram(path: &Path) -> Result<(Address, Option<OwnedFd>), String> {
    let (folder, name) = folder("unixgram", path)?;
    let shown = path.display().to_string();
    Ok((Address::UnixDatagram { name, shown }, Some(folder)))
}

fn look_up(network: &str, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let found: Vec<SocketAddr> = (host, port)
        .to_socket_addrs()
        .map(Iterator::collect)
        .unwrap_or_default();
    if found.is_empty() {
        return Err(format!("dial {network}: lookup {host}: no such host"));
    }
    Ok(found)
}

/// The folder that a socket is in, to be passed on, and the socket's name.
fn folder(network: &str, path: &Path) -> Result<(OwnedFd, String), String> {
    let failed = |error: std::io::Error| {
        let why = go_error(&error);
        format!("dial {network} {}: connect: {why}", path.display())
    };
    let real = std::fs::canonicalize(path).map_err(failed)?;
    let (Some(folder), Some(name)) = (
        real.parent(),
        real.file_name().and_then(|name| name.to_str()),
    ) else {
        return Err(format!("{} is not the path of a socket", path.display()));
    };
    let opened = File::options()
        .read(true)
        .custom_flags((OFlag::O_PATH | OFlag::O_DIRECTORY).bits())
        .open(folder)
        .map_err(failed)?;
    Ok((opened.into(), name.to_owned()))
}

/// An error of the operating system in Go's words.
fn go_error(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => nix::errno::Errno::from_raw(number).desc().to_lowercase(),
        None => error.to_string(),
    }
}
