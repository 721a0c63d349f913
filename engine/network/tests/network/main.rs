//! Bridges, sandboxes and the firewall on the running kernel.
//!
//! Each trial runs on a thread of its own in a network namespace of its own, so the host is never touched
//! and trials do not see each other. What a trial lacks here is shown as ignored, with the reason.

// A trial fails by a panic; the workspace's exception for tests knows only #[test] functions.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod docker;
mod failures;
mod firewall;
mod host;
mod wiring;

use libtest_mimic::{Arguments, Failed, Trial};

/// What a trial needs beyond the kernel.
#[derive(Clone, Copy, PartialEq)]
enum Needs {
    Root,
    RootAndNft,
    RootNftAndIptables,
}

fn main() {
    let mut arguments = Arguments::from_args();
    // Each trial waits for the kernel's one lock of all networks; more of them at a time only wait longer.
    arguments.test_threads.get_or_insert(2);
    let trials = [
        wiring::TRIALS,
        firewall::TRIALS,
        docker::TRIALS,
        failures::TRIALS,
    ]
    .concat();
    let trials = trials
        .into_iter()
        .map(|(name, needs, run)| trial(name, needs, run))
        .collect();
    libtest_mimic::run(&arguments, trials).exit();
}

type Entry = (&'static str, Needs, fn());

fn trial(name: &'static str, needs: Needs, run: fn()) -> Trial {
    let trial = Trial::test(name, move || in_own_host(run));
    match missing(needs) {
        Some(reason) => trial.with_kind(reason).with_ignored_flag(true),
        None => trial,
    }
}

fn missing(needs: Needs) -> Option<&'static str> {
    if !nix::unistd::geteuid().is_root() {
        Some("needs root")
    } else if needs != Needs::Root && host::nft_program().is_none() {
        Some("needs nft(8), package nftables")
    } else if needs == Needs::RootNftAndIptables && !docker::has_iptables() {
        Some("needs iptables-nft(8) and iptables-legacy(8), package iptables")
    } else {
        None
    }
}

fn in_own_host(run: fn()) -> Result<(), Failed> {
    let thread = std::thread::spawn(move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("unshare(CLONE_NEWNET)");
        run();
    });
    thread.join().map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        Failed::from(
            text.or(panic.downcast_ref::<&str>().copied())
                .unwrap_or("panic")
                .to_owned(),
        )
    })
}
