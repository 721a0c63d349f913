//! What can go wrong, each with the name of the interface, bridge, address or file it happened to.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use nix::errno::Errno;

/// An error of this crate. Nothing is left half made behind any of them, but for
/// [`Error::NamespaceLost`], after which the calling thread must end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bridge's configuration cannot work on any host.
    #[error("bridge {bridge:?}: {reason}")]
    InvalidBridge {
        /// The bridge's name as it was given.
        bridge: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The bridge's subnet is already used on this host.
    #[error(
        "bridge {bridge}: subnet {subnet} overlaps with {other} on interface {interface}\n\
         hint: give the bridge another address with --bip"
    )]
    Overlap {
        /// The bridge that was asked for.
        bridge: String,
        /// Its subnet, as `10.207.0.0/16`.
        subnet: String,
        /// The subnet that is there.
        other: String,
        /// The interface that has it.
        interface: String,
    },
    /// An interface with the bridge's name exists and is something else.
    #[error(
        "interface {interface} exists and {reason}\nhint: remove it (ip link delete {interface}) or choose another bridge name"
    )]
    InterfaceTaken {
        /// The interface.
        interface: String,
        /// What it is instead.
        reason: String,
    },
    /// An address that no pool and no endpoint of this subnet can have.
    #[error("address {address} cannot be used in subnet {subnet}: {reason}")]
    InvalidAddress {
        /// The address.
        address: Ipv4Addr,
        /// The subnet, as `10.207.0.0/16`.
        subnet: String,
        /// Why not.
        reason: &'static str,
    },
    /// The address is leased to another endpoint, or is the gateway's.
    #[error("address {address} is already in use")]
    AddressInUse {
        /// The address.
        address: Ipv4Addr,
    },
    /// Every address of the subnet is leased.
    #[error("no available IPv4 addresses in subnet {subnet}")]
    PoolExhausted {
        /// The subnet, as `10.207.0.0/16`.
        subnet: String,
    },
    /// A subnet that has no room for a gateway and a container.
    #[error("subnet {address}/{prefix_length} is invalid: {reason}")]
    InvalidSubnet {
        /// The address part.
        address: Ipv4Addr,
        /// The prefix length.
        prefix_length: u8,
        /// Why.
        reason: &'static str,
    },
    /// Not a MAC address.
    #[error("invalid MAC address {text:?}")]
    InvalidMacAddress {
        /// What was given.
        text: String,
    },
    /// An endpoint that cannot be wired as it is described.
    #[error("endpoint of container {container_id}: {reason}")]
    InvalidEndpoint {
        /// The container.
        container_id: String,
        /// What is wrong.
        reason: String,
    },
    /// The kernel refused a netlink request.
    #[error("{action}: {}", .errno.desc())]
    Kernel {
        /// What was asked for, with the object's name: `create bridge drydock0`.
        action: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// A netlink answer that does not follow the protocol, or none at all.
    #[error("{action}: {reason}")]
    Protocol {
        /// What was asked for, with the object's name.
        action: String,
        /// What came instead.
        reason: String,
    },
    /// A system call on a file, a socket or a namespace failed.
    #[error("{action}: {source}")]
    System {
        /// What was being done, with the object's name.
        action: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A kernel parameter could not be set.
    #[error("set {} to {value:?}: {source}", .path.display())]
    Sysctl {
        /// The file below /proc/sys.
        path: PathBuf,
        /// What should be in it.
        value: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The thread could not go back to its own network namespace. It must do no more work and end.
    #[error("return to the thread's own network namespace: {source}")]
    NamespaceLost {
        /// The system's answer.
        source: std::io::Error,
    },
}

impl Error {
    /// The kernel's error number, where the error is one.
    pub(crate) fn errno(&self) -> Option<Errno> {
        match self {
            Error::Kernel { errno, .. } => Some(*errno),
            _ => None,
        }
    }

    pub(crate) fn system(action: impl Into<String>, errno: Errno) -> Error {
        Error::System {
            action: action.into(),
            source: errno.into(),
        }
    }
}
