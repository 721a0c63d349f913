//! Container networks: the bridge, the wired network namespace of a container, addresses, the firewall.
//!
//! The words are those of Docker's Container Network Model: a *network* (here: one bridge with a subnet), an
//! *endpoint* (a container's place in it: address and MAC) and a *sandbox* (the container's network
//! namespace). Everything is asked of the kernel directly by netlink(7): no `ip`, `nft` or `iptables` process
//! runs on the way of a start, because each of them costs more than the whole of [`Bridge::sandbox`].
//!
//! Everything is synchronous. [`Bridge::sandbox`] and [`isolated_sandbox`] make a network namespace by
//! unshare(2) on the calling thread and switch back before they return; call them on a thread that nobody
//! else uses meanwhile.
//!
//! | file | what |
//! |---|---|
//! | `ipam` | which addresses are leased; pure |
//! | `mac` | MAC addresses |
//! | `bridge` | a bridge from its birth to its end, and the sandboxes on it |
//! | `sandbox` | network namespaces and their kernel parameters |
//! | `link` | rtnetlink(7): interfaces, addresses, routes |
//! | `nft` | nf_tables over nfnetlink: tables, chains, sets, rules |
//! | `firewall` | our own nftables table |
//! | `docker`, `legacy` | the accept rules beside a Docker on the same host |
//! | `monitor` | tells when somebody changed the firewall |
//! | `netlink` | messages, attributes, acknowledgements |

mod bridge;
mod docker;
mod error;
mod firewall;
mod ipam;
mod legacy;
mod link;
mod mac;
mod monitor;
mod netlink;
mod nft;
mod sandbox;

pub use bridge::{Bridge, BridgeConfig, Endpoint, Port};
pub use docker::BesideDocker;
pub use error::Error;
pub use ipam::{AddressPool, Subnet};
pub use mac::{MacAddress, mac_address_for_endpoint};
pub use monitor::FirewallMonitor;
pub use sandbox::isolated_sandbox;
