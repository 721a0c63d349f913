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

/// The host's time zone at this moment, seconds east of UTC (localtime_r(3)): syslog's times are local.
pub fn utc_offset() -> i32 {
    // Seconds since 1970 fit into any time_t.
    let now = (realtime() / 1_000_000_000) as libc::time_t;
    let mut local = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are to live values of their types; it writes the second, or returns null.
    let filled = unsafe { libc::localtime_r(&now, local.as_mut_ptr()) };
    if filled.is_null() {
        return 0;
    }
    // SAFETY: all-zero bytes are a valid tm (numbers and a pointer), and localtime_r has filled it since.
    let local = unsafe { local.assume_init() };
    i32::try_from(local.tm_gmtoff).unwrap_or(0)
}

/// Nanoseconds since 1970 (CLOCK_REALTIME).
pub fn realtime() -> u64 {
    nanos(ClockId::CLOCK_REALTIME)
}
