//! Capabilities by name, and which ones a container gets (capabilities(7)).
//!
//! Names and rules are Docker's: `--cap-add` and `--cap-drop` take names in any case, with or without `CAP_`,
//! or `ALL`; what was added wins over what was dropped; a privileged container has everything the daemon has.
//! Sets are 64-bit masks, as in /proc/PID/status.

use std::{fmt, fs, io};

/// All capabilities of Linux; the index is the number (linux/capability.h).
pub const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// Docker's default 14: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE,
/// NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE, SETFCAP.
pub const DEFAULT: u64 = 0xa804_25fb;

/// Why a capability cannot be given. The texts are Docker's; the API answers them with status 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such name.
    #[error("invalid {list}: unknown capability: {}", Quoted(name))]
    Unknown {
        /// `CapAdd` or `CapDrop`.
        list: &'static str,
        /// In upper case, with `CAP_`.
        name: String,
    },
    /// A name that the kernel does not know, or that the daemon itself lacks.
    #[error(
        "invalid {list}: capability not supported by your kernel or not available in the current environment: {}",
        Quoted(name)
    )]
    Unavailable {
        /// `CapAdd` or `CapDrop`.
        list: &'static str,
        /// In upper case, with `CAP_`.
        name: String,
    },
    /// The daemon cannot find out what it has itself.
    #[error("read the daemon's own capabilities: {0}")]
    Unreadable(String),
}

/// One entry of `CapAdd` or `CapDrop`, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    All,
    One(u32),
}

/// The capabilities of a container with these `CapAdd` and `CapDrop`: bounding, permitted and effective set.
///
/// # Errors
/// A name that is unknown or not available, also where `privileged` makes the lists meaningless, as in Docker.
pub fn resolve(add: &[String], drop: &[String], privileged: bool) -> Result<u64, Error> {
    let available = available().map_err(|error| Error::Unreadable(error.to_string()))?;
    resolve_among(available, add, drop, privileged)
}

/// [`resolve`] for a daemon that has the capabilities `available`.
fn resolve_among(
    available: u64,
    add: &[String],
    drop: &[String],
    privileged: bool,
) -> Result<u64, Error> {
    let add = understand("CapAdd", add, available)?;
    let drop = understand("CapDrop", drop, available)?;
    let (added, dropped) = (bits(&add), bits(&drop));
    Ok(if privileged {
        available
    } else if add.contains(&Entry::All) {
        available & !dropped
    } else if drop.contains(&Entry::All) {
        added
    } else {
        DEFAULT & !dropped | added
    })
}

/// The number of a capability, `CAP_` optional, in any case.
pub fn number(name: &str) -> Option<u32> {
    let name = full_name(name);
    NAMES
        .iter()
        .zip(0..)
        .find_map(|(known, number)| (*known == name).then_some(number))
}

/// The names in a set, in the order of their numbers.
pub fn names(set: u64) -> impl Iterator<Item = &'static str> {
    NAMES
        .iter()
        .enumerate()
        .filter(move |(number, _)| set >> number & 1 == 1)
        .map(|(_, name)| *name)
}

/// What this process has in its effective set, and could therefore give.
fn available() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/thread-self/status")?;
    status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok())
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "/proc/thread-self/status has no CapEff",
            )
        })
}

fn understand(list: &'static str, names: &[String], available: u64) -> Result<Vec<Entry>, Error> {
    let entry = |name: &String| {
        if name.eq_ignore_ascii_case("ALL") {
            return Ok(Entry::All);
        }
        let name = full_name(name);
        match number(&name) {
            None => Err(Error::Unknown { list, name }),
            Some(number) if available >> number & 1 == 0 => Err(Error::Unavailable { list, name }),
            Some(number) => Ok(Entry::One(number)),
        }
    };
    names.iter().map(entry).collect()
}

fn full_name(name: &str) -> String {
    let name = name.to_uppercase();
    if name.starts_with("CAP_") {
        name
    } else {
        format!("CAP_{name}")
    }
}

fn bits(entries: &[Entry]) -> u64 {
    entries.iter().fold(0, |set, entry| match entry {
        Entry::All => set,
        Entry::One(number) => set | 1 << number,
    })
}

/// Go's `%q`, which Docker's messages use.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("\"")?;
        for character in self.0.chars() {
            match character {
                '"' | '\\' => write!(formatter, "\\{character}")?,
                '\n' => formatter.write_str("\\n")?,
                '\r' => formatter.write_str("\\r")?,
                '\t' => formatter.write_str("\\t")?,
                control if control.is_ascii_control() => {
                    write!(formatter, "\\x{:02x}", control as u32)?
                }
                other => write!(formatter, "{other}")?,
            }
        }
        formatter.write_str("\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What root has on most hosts.
    const EVERYTHING: u64 = (1 << 41) - 1;
    const SYS_RESOURCE: u64 = 1 << 24;

    fn resolved(add: &[&str], drop: &[&str], privileged: bool) -> Result<u64, String> {
        let owned = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<String>>()
        };
        resolve_among(
            EVERYTHING & !SYS_RESOURCE,
            &owned(add),
            &owned(drop),
            privileged,
        )
        .map_err(|error| error.to_string())
    }

    #[test]
    fn the_default_set_is_dockers_14() {
        let names: Vec<&str> = names(DEFAULT).map(|name| &name[4..]).collect();
        assert_eq!(
            names.join(" "),
            "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD \
             AUDIT_WRITE SETFCAP"
        );
    }

    /// Each value is CapBnd of a container on Docker 28.5, on a host without CAP_SYS_RESOURCE.
    #[test]
    fn sets_are_dockers() {
        assert_eq!(resolved(&[], &[], false), Ok(0xa804_25fb));
        assert_eq!(resolved(&["net_admin"], &["Chown"], false), Ok(0xa804_35fa));
        assert_eq!(
            resolved(&["all"], &["CAP_NET_RAW"], false),
            Ok(0x1ff_feff_dfff)
        );
        assert_eq!(resolved(&["sys_time"], &["all"], false), Ok(0x0200_0000));
        assert_eq!(resolved(&["all"], &["all"], false), Ok(0x1ff_feff_ffff));
        assert_eq!(resolved(&[], &["all"], false), Ok(0));
        assert_eq!(resolved(&[], &["all"], true), Ok(0x1ff_feff_ffff));
        assert_eq!(
            resolved(&["sys_admin"], &["sys_admin"], false),
            Ok(0xa824_25fb)
        );
    }

    /// Each text is that of Docker 28.5.
    #[test]
    fn errors_are_dockers() {
        let error = |add: &[&str], drop: &[&str]| resolved(add, drop, true).unwrap_err();
        assert_eq!(
            error(&["FOO"], &["bar"]),
            r#"invalid CapAdd: unknown capability: "CAP_FOO""#
        );
        assert_eq!(
            error(&[], &["cap_bar"]),
            r#"invalid CapDrop: unknown capability: "CAP_BAR""#
        );
        assert_eq!(
            error(&["CAP_ALL"], &[]),
            r#"invalid CapAdd: unknown capability: "CAP_ALL""#
        );
        assert_eq!(
            error(&[""], &[]),
            r#"invalid CapAdd: unknown capability: "CAP_""#
        );
        assert_eq!(
            error(&["bar\"\u{1}é"], &[]),
            r#"invalid CapAdd: unknown capability: "CAP_BAR\"\x01É""#
        );
        assert_eq!(
            error(&["sys_resource"], &[]),
            "invalid CapAdd: capability not supported by your kernel or not available in the current environment: \
             \"CAP_SYS_RESOURCE\""
        );
    }

    #[test]
    fn every_name_has_its_number() {
        for (name, index) in NAMES.iter().zip(0..) {
            assert_eq!(number(name), Some(index));
            assert_eq!(number(&name[4..].to_lowercase()), Some(index));
        }
        assert_eq!(number("checkpoint_restore"), Some(40));
        assert_eq!(number("ALL"), None);
    }

    #[test]
    fn this_process_knows_what_it_has() {
        let available = available().expect("/proc/thread-self/status");
        assert_eq!(available & !EVERYTHING, 0);
        assert_eq!(resolve(&[], &[], true), Ok(available));
    }
}
