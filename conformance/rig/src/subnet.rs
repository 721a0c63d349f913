//! A subnet and a bridge name for each daemon, so that several run side by side on one host.
//!
//! Subnets are 10.200.0.0/24 to 10.255.255.0/24. The process id chooses where the search begins, the kernel's
//! routing table (proc_pid_net(5), `/proc/net/route`) says what is taken.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many subnets there are to choose from.
const SUBNETS: u32 = 56 * 256;

/// A bridge's name and its address on a subnet of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// At most 15 bytes (IFNAMSIZ, netdevice(7)).
    pub bridge: String,
    /// The bridge's own address, the first of the subnet.
    pub gateway: Ipv4Addr,
}

impl Network {
    /// The address as `--bip` wants it.
    pub fn bip(&self) -> String {
        format!("{}/24", self.gateway)
    }
}

/// The next network that nothing on this host uses.
///
/// # Errors
/// When the routing table cannot be read, or every subnet is taken.
pub fn next() -> anyhow::Result<Network> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let routes = std::fs::read_to_string("/proc/net/route")?;
    let taken = taken(&routes);
    for _ in 0..SUBNETS {
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let number = std::process::id().wrapping_mul(37).wrapping_add(count) % SUBNETS;
        let subnet = Ipv4Addr::new(10, (200 + number / 256) as u8, (number % 256) as u8, 0);
        if !taken
            .iter()
            .any(|(address, mask)| (u32::from(subnet) ^ address) & mask & 0xffff_ff00 == 0)
        {
            let bridge = format!("rig{:x}x{count:x}", std::process::id());
            return Ok(Network {
                bridge,
                gateway: Ipv4Addr::from(u32::from(subnet) + 1),
            });
        }
    }
    anyhow::bail!("every subnet from 10.200.0.0/24 to 10.255.255.0/24 is taken")
}

/// Destinations and masks of all routes but the default one.
fn taken(routes: &str) -> Vec<(u32, u32)> {
    let number = |field: &str| u32::from_str_radix(field, 16).ok().map(u32::swap_bytes);
    let lines = routes
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let pairs = lines.filter_map(|fields| Some((number(fields.get(1)?)?, number(fields.get(7)?)?)));
    pairs.filter(|(_, mask)| *mask != 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_differ_and_fit() {
        let (first, second) = (next().unwrap(), next().unwrap());
        assert_ne!(first.gateway, second.gateway);
        assert_ne!(first.bridge, second.bridge);
        assert!(first.bridge.len() <= 15 && second.bip().ends_with(".1/24"));
    }

    #[test]
    fn routes_are_read() {
        let text = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\neth0\t00000000\t0100000A\t3\t0\t0\t0\t00000000\neth0\t0000C80A\t0\t1\t0\t0\t0\t0000FFFF\n";
        assert_eq!(taken(text), [(0x0ac8_0000, 0xffff_0000)]);
    }
}
