//! What the daemon tells the shim about a container's log: which driver, with what options, where.
//!
//! Everything that needs the container's record, the image store, a resolver or a file of the host is done by
//! the daemon, before the shim exists; a shim has nothing of the host in sight but the engine's own folders. So
//! a plan holds no option as the user wrote it, only what follows from it: bytes, addresses, the tag as text,
//! the attributes as pairs.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A container's log. With neither part it is Docker's driver `none`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The file that `docker logs` reads: the log itself, or the cache beside a remote one.
    pub file: Option<FilePlan>,
    /// Where else each line goes.
    pub remote: Option<RemotePlan>,
    /// Random hexadecimal digits, by which the long lines of this container are told from those of others.
    pub seed: String,
}

impl Plan {
    /// A log in files only.
    pub fn of_file(file: FilePlan) -> Plan {
        Plan {
            file: Some(file),
            ..Plan::default()
        }
    }
}

/// How records are laid out in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Docker's `json-file`: one JSON object on each line.
    Json,
    /// Docker's `local`: protocol buffers between two lengths.
    Local,
}

/// A log in files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePlan {
    /// The current file, below the data root. Its folder is made if it is missing.
    pub path: PathBuf,
    /// The layout.
    pub format: Format,
    /// A file that has reached this many bytes is rotated before the next record; 0 is never. As in Docker a
    /// file may therefore be larger by up to one record.
    pub max_size: u64,
    /// How many files are kept, the current one included; 0 counts as 1.
    pub max_file: u32,
    /// Rotated files are compressed (gzip).
    pub compress: bool,
    /// The attributes of each record (`attrs`), as a JSON object; empty is none. Only of [`Format::Json`].
    #[serde(default)]
    pub attributes: String,
}

impl FilePlan {
    /// A log that is never compressed and has no attributes.
    pub fn plain(
        path: impl Into<PathBuf>,
        format: Format,
        max_size: u64,
        max_file: u32,
    ) -> FilePlan {
        FilePlan {
            path: path.into(),
            format,
            max_size,
            max_file,
            compress: false,
            attributes: String::new(),
        }
    }
}

/// A log that goes to another program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RemotePlan {
    /// Where that program listens.
    pub address: Address,
    /// How it wants to be spoken to.
    pub protocol: Protocol,
    /// `mode=non-blocking`: how many bytes may wait before lines are dropped. None is `mode=blocking`.
    pub drop_beyond: Option<u64>,
}

/// Where a remote log goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Address {
    /// UDP. The addresses of the name, in the resolver's order.
    Udp(Vec<SocketAddr>),
    /// TCP.
    Tcp(Vec<SocketAddr>),
    /// A stream socket of the host. Its folder comes as a descriptor, since a shim sees no path of the host; and
    /// it is a folder, not the socket, because a program that starts again makes a new socket of that name.
    Unix {
        /// Its name in the folder.
        name: String,
        /// The path, for error texts.
        shown: String,
    },
    /// A datagram socket of the host.
    UnixDatagram {
        /// As in [`Address::Unix`].
        name: String,
        /// As in [`Address::Unix`].
        shown: String,
    },
}

impl Address {
    /// A descriptor of a folder belongs to it.
    pub fn needs_folder(&self) -> bool {
        matches!(self, Address::Unix { .. } | Address::UnixDatagram { .. })
    }
}

/// What is sent for a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// RFC 3164 or 5424, one message for each line.
    Syslog(Syslog),
    /// Graylog's JSON.
    Gelf(Gelf),
    /// Fluentd's forward protocol.
    Fluentd(Fluentd),
    /// systemd's native protocol.
    Journald(Journald),
}

/// Options of syslog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Syslog {
    /// The facility, 0 to 23.
    pub facility: u8,
    /// The form of a message.
    pub layout: SyslogLayout,
    /// The tag.
    pub tag: String,
    /// The host's name.
    pub hostname: String,
    /// The host's time zone, seconds east of UTC.
    pub utc_offset: i32,
}

/// `syslog-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyslogLayout {
    /// Docker's default: RFC 3164 without the host's name.
    Local,
    /// RFC 3164.
    Rfc3164,
    /// RFC 5424, times in seconds.
    Rfc5424,
    /// RFC 5424, times in microseconds.
    Rfc5424Micro,
}

/// Options of gelf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gelf {
    /// The address as the user wrote it, for error texts.
    pub endpoint: String,
    /// The host's name.
    pub hostname: String,
    /// The additional fields, as they stand in each message: `"_tag":"x","_image":"y"`.
    pub extra: String,
    /// How datagrams are compressed.
    pub compression: Compression,
    /// 0 to 9, as in zlib.
    pub level: u32,
    /// How often a lost TCP connection is tried again before what waits is given up.
    pub reconnects: u32,
    /// Seconds between these.
    pub reconnect_delay: u32,
}

/// `gelf-compression-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// RFC 1952.
    Gzip,
    /// RFC 1950.
    Zlib,
    /// As it is.
    None,
}

/// Options of fluentd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fluentd {
    /// The tag.
    pub tag: String,
    /// What each record has beside its line.
    pub fields: Vec<(String, String)>,
    /// Times have nanoseconds.
    pub sub_second: bool,
    /// Each message is kept until the other side has confirmed it.
    pub acknowledged: bool,
    /// The container neither waits for the connection nor for messages.
    pub asynchronous: bool,
    /// How many messages may wait when it is asynchronous.
    pub buffer_limit: u64,
    /// Milliseconds before the first new attempt to connect; each one waits half as long again.
    pub retry_wait: u64,
    /// How often it is tried before what waits is given up.
    pub max_retries: u64,
}

/// Options of journald.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journald {
    /// The fields of each entry beside its message.
    pub fields: Vec<(String, String)>,
}
