//! Checks of the resource limits in a `HostConfig`, with Docker's texts.

use drydock_api::Error;
use drydock_api::models::HostConfig;

/// Docker's smallest memory limit: below it not even a shell starts.
const LEAST_MEMORY: i64 = 6 << 20;

/// What a host has.
pub struct Host {
    /// How many processors.
    pub processors: usize,
}

/// Checks everything that limits resources.
///
/// # Errors
/// 400 with Docker's texts, 501 for limits that are not built.
pub fn check(config: &HostConfig, host: &Host) -> Result<(), Error> {
    memory(config)?;
    processors(config, host)?;
    cpu_sets(config, host)?;
    not_built(config)
}

/// Checks limits that are to change. What belongs together need not all be said.
///
/// # Errors
/// As [`check`].
pub fn check_update(config: &HostConfig) -> Result<(), Error> {
    let host = Host {
        processors: crate::handlers::info::processors(),
    };
    let only_swap = config.memory.unwrap_or(0) == 0;
    let swap = config.memory_swap.filter(|_| !only_swap);
    let config = HostConfig {
        memory_swap: swap,
        ..config.clone()
    };
    check(&config, &host)
}

/// Checks the score by which the kernel chooses what to kill.
///
/// # Errors
/// 400 with Docker's text.
pub fn check_score(config: &HostConfig) -> Result<(), Error> {
    if let Some(score) = config
        .oom_score_adj
        .filter(|score| !(-1000..=1000).contains(score))
    {
        return Err(Error::invalid(format!(
            "Invalid value {score}, range for oom score adj is [-1000, 1000]"
        )));
    }
    Ok(())
}

/// Checks the size of /dev/shm.
///
/// # Errors
/// 400 with Docker's text.
pub fn check_shared_memory(config: &HostConfig) -> Result<(), Error> {
    if config.shm_size.unwrap_or(0) < 0 {
        return Err(Error::invalid("SHM size can not be less than 0"));
    }
    Ok(())
}

fn memory(config: &HostConfig) -> Result<(), Error> {
    let memory = config.memory.unwrap_or(0);
    let swap = config.memory_swap.unwrap_or(0);
    let reservation = config.memory_reservation.unwrap_or(0);
    let refuse = |text: &str| Err(Error::invalid(text));
    if memory != 0 && memory < LEAST_MEMORY {
        return refuse("Minimum memory limit allowed is 6MB");
    }
    if memory > 0 && swap > 0 && swap < memory {
        return refuse("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    if memory == 0 && swap > 0 {
        return refuse(
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        );
    }
    if let Some(swappiness) = config.memory_swappiness.filter(|value| *value != -1) {
        if !(0..=100).contains(&swappiness) {
            return Err(Error::invalid(format!(
                "Invalid value: {swappiness}, valid memory swappiness range is 0-100"
            )));
        }
        return Err(Error::not_built("--memory-swappiness is"));
    }
    if reservation > 0 && reservation < LEAST_MEMORY {
        return refuse("Minimum memory reservation allowed is 6MB");
    }
    if memory > 0 && reservation > 0 && memory < reservation {
        return refuse(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        );
    }
    Ok(())
}

fn processors(config: &HostConfig, host: &Host) -> Result<(), Error> {
    let nano = config.nano_cpus.unwrap_or(0);
    let (quota, period) = (
        config.cpu_quota.unwrap_or(0),
        config.cpu_period.unwrap_or(0),
    );
    if nano != 0 && period > 0 {
        return Err(Error::invalid(
            "Conflicting options: Nano CPUs and CPU Period cannot both be set",
        ));
    }
    if nano != 0 && quota > 0 {
        return Err(Error::invalid(
            "Conflicting options: Nano CPUs and CPU Quota cannot both be set",
        ));
    }
    let count = host.processors;
    if nano < 0 || nano > count as i64 * 1_000_000_000 {
        return Err(Error::invalid(format!(
            "range of CPUs is from 0.01 to {count}.00, as there are only {count} CPUs available"
        )));
    }
    if let Some(shares) = config.cpu_shares.filter(|shares| *shares < 0) {
        return Err(Error::invalid(format!(
            "invalid CPU shares ({shares}): value must be a positive integer"
        )));
    }
    if period != 0 && !(1000..=1_000_000).contains(&period) {
        return Err(Error::invalid(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ));
    }
    if quota > 0 && quota < 1000 {
        return Err(Error::invalid(
            "CPU cfs quota can not be less than 1ms (i.e. 1000)",
        ));
    }
    Ok(())
}

fn cpu_sets(config: &HostConfig, host: &Host) -> Result<(), Error> {
    let cpus = config.cpuset_cpus.as_deref().unwrap_or("");
    let highest = cpu_list(cpus, "cpuset cpus")?;
    let last = host.processors.saturating_sub(1);
    if highest.is_some_and(|highest| highest > last) {
        return Err(Error::invalid(format!(
            "Requested CPUs are not available - requested {cpus}, available: {}",
            range(last)
        )));
    }
    let nodes = config.cpuset_mems.as_deref().unwrap_or("");
    let highest = cpu_list(nodes, "cpuset mems")?;
    let online = std::fs::read_to_string("/sys/devices/system/node/online")
        .unwrap_or_else(|_| "0".to_owned());
    let last = cpu_list(online.trim(), "the host's nodes")?.unwrap_or(0);
    if highest.is_some_and(|highest| highest > last) {
        return Err(Error::invalid(format!(
            "Requested memory nodes are not available - requested {nodes}, available: {}",
            range(last)
        )));
    }
    Ok(())
}

fn range(last: usize) -> String {
    if last == 0 {
        "0".to_owned()
    } else {
        format!("0-{last}")
    }
}

/// The highest number in a list like `0-2,5`; None when it is empty.
fn cpu_list(text: &str, what: &str) -> Result<Option<usize>, Error> {
    let invalid = || {
        Error::invalid(format!(
            "Invalid value {text} for {what}: invalid format: {text}"
        ))
    };
    let mut highest = None;
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = first.trim().parse().map_err(|_| invalid())?;
        let last: usize = last.trim().parse().map_err(|_| invalid())?;
        if last < first {
            return Err(invalid());
        }
        highest = highest.max(Some(last));
    }
    Ok(highest)
}

fn not_built(config: &HostConfig) -> Result<(), Error> {
    fn some<T>(list: &Option<Vec<T>>) -> bool {
        list.as_ref().is_some_and(|list| !list.is_empty())
    }
    let number = |value: Option<i64>| value.unwrap_or(0) != 0;
    let wanted = [
        (config.blkio_weight.unwrap_or(0) != 0, "--blkio-weight is"),
        (
            some(&config.blkio_weight_device),
            "--blkio-weight-device is",
        ),
        (some(&config.blkio_device_read_bps), "--device-read-bps is"),
        (
            some(&config.blkio_device_write_bps),
            "--device-write-bps is",
        ),
        (
            some(&config.blkio_device_read_iops),
            "--device-read-iops is",
        ),
        (
            some(&config.blkio_device_write_iops),
            "--device-write-iops is",
        ),
        (number(config.cpu_realtime_period), "--cpu-rt-period is"),
        (number(config.cpu_realtime_runtime), "--cpu-rt-runtime is"),
        (
            config.oom_kill_disable == Some(true),
            "--oom-kill-disable is",
        ),
        (some(&config.device_requests), "--gpus is"),
        (
            config
                .storage_opt
                .as_ref()
                .is_some_and(|options| !options.is_empty()),
            "--storage-opt is",
        ),
        (
            config
                .cgroup_parent
                .as_deref()
                .is_some_and(|parent| !parent.is_empty()),
            "--cgroup-parent is",
        ),
    ];
    match wanted.iter().find(|(wanted, _)| *wanted) {
        Some((_, what)) => Err(Error::not_built(what)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn text(config: Value) -> String {
        let config = serde_json::from_value(config).unwrap();
        check(&config, &Host { processors: 2 })
            .and_then(|()| check_shared_memory(&config))
            .and_then(|()| check_score(&config))
            .map_or_else(|error| error.to_string(), |()| "ok".to_owned())
    }

    #[test]
    fn dockers_texts() {
        let cases = [
            (
                json!({"Memory": 1000}),
                "Minimum memory limit allowed is 6MB",
            ),
            (json!({"Memory": 6 << 20}), "ok"),
            (json!({"Memory": -5}), "Minimum memory limit allowed is 6MB"),
            (
                json!({"Memory": 10 << 20, "MemorySwap": 5 << 20}),
                "Minimum memoryswap limit should be larger than memory limit, see usage",
            ),
            (
                json!({"MemorySwap": 5 << 20}),
                "You should always set the Memory limit when using Memoryswap limit, see usage",
            ),
            (json!({"Memory": 10 << 20, "MemorySwap": -1}), "ok"),
            (
                json!({"MemoryReservation": 1000}),
                "Minimum memory reservation allowed is 6MB",
            ),
            (
                json!({"NanoCpus": 100_000_000_000_i64}),
                "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available",
            ),
            (
                json!({"NanoCpus": 1_000_000_000, "CpuQuota": 1000}),
                "Conflicting options: Nano CPUs and CPU Quota cannot both be set",
            ),
            (
                json!({"CpuPeriod": 10}),
                "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
            ),
            (
                json!({"CpuShares": -1}),
                "invalid CPU shares (-1): value must be a positive integer",
            ),
            (
                json!({"CpusetCpus": "9"}),
                "Requested CPUs are not available - requested 9, available: 0-1",
            ),
            (
                json!({"CpusetCpus": "x"}),
                "Invalid value x for cpuset cpus: invalid format: x",
            ),
            (json!({"CpusetCpus": "0,1"}), "ok"),
            (
                json!({"OomScoreAdj": 2000}),
                "Invalid value 2000, range for oom score adj is [-1000, 1000]",
            ),
            (json!({"ShmSize": -1}), "SHM size can not be less than 0"),
            (
                json!({"BlkioWeight": 100}),
                "--blkio-weight is not built yet in this engine",
            ),
            (json!({"MemorySwappiness": -1}), "ok"),
        ];
        for (config, expected) in cases {
            assert_eq!(text(config.clone()), expected, "{config}");
        }
    }
}
