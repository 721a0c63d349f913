//! How long a sandbox takes: median and spread of [`Bridge::sandbox`] and of the drop of its descriptor.
//!
//! `cargo run --release -p drydock-network --example sandbox -- [ROUNDS [PAUSE_MILLISECONDS]]`, as root. It
//! works in a network namespace of its own, so the host sees nothing of it. The pause lets the kernel finish
//! with the previous namespace, as when a person types the commands; without one, a start waits for it.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use drydock_network::{Bridge, BridgeConfig, Endpoint, isolated_sandbox, mac_address_for_endpoint};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let rounds: u32 = arguments.next().map_or(Ok(200), |text| text.parse())?;
    let pause = Duration::from_millis(arguments.next().map_or(Ok(100), |text| text.parse())?);

    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?;
    let bridge = Bridge::open(BridgeConfig::default())?;
    let mut sandbox = Vec::new();
    let mut isolated = Vec::new();
    let mut dropped = Vec::new();
    for round in 0..rounds {
        let endpoint = Endpoint {
            container_id: format!("{round:064x}").chars().rev().collect(),
            address: Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 207, 0, 2)) + round % 60_000),
            mac_address: mac_address_for_endpoint(),
        };
        std::thread::sleep(pause);
        let begin = Instant::now();
        let namespace = bridge.sandbox(&endpoint)?;
        sandbox.push(begin.elapsed());
        let begin = Instant::now();
        drop(namespace);
        dropped.push(begin.elapsed());
        std::thread::sleep(pause);
        let begin = Instant::now();
        let namespace = isolated_sandbox()?;
        isolated.push(begin.elapsed());
        drop(namespace);
    }
    report("sandbox on the bridge", &mut sandbox);
    report("isolated sandbox", &mut isolated);
    report("drop of a sandbox", &mut dropped);
    bridge.close()?;
    Ok(())
}

fn report(name: &str, times: &mut [Duration]) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{name:24} n={} min {:.3} median {:.3} p90 {:.3} max {:.3} ms",
        times.len(),
        at(0.0),
        at(0.5),
        at(0.9),
        at(1.0)
    );
}
