//! The two clocks of the engine (clock_gettime(2)).
//!
//! CLOCK_MONOTONIC is the same in every process of a host, so stamps taken by the client, the daemon, the
//! shim and the init make one waterfall. CLOCK_REALTIME is for what users read: logs and events.

use nix::time::{ClockId, clock_gettime};

fn nanos(clock: ClockId) -> u64 {
    // clock_gettime fails only for a clock that does not exist; these two always do.
    clock_gettime(clock)
        .map(|time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
        .unwrap_or(0)
}

/// Nanoseconds of CLOCK_MONOTONIC.
pub fn monotonic() -> u64 {
    nanos(ClockId::CLOCK_MONOTONIC)
}

/// Nanoseconds since 1970 (CLOCK_REALTIME).
pub fn realtime() -> u64 {
    nanos(ClockId::CLOCK_REALTIME)
}
