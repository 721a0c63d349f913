//! GET /containers/{id}/stats: what a container uses, once or every second.
//!
//! Docker's numbers are those of the kernel's control group files, and a client makes its percentages of two samples
//! in a row; so each sample carries the one before it.

use std::sync::Arc;
use std::time::Duration;

use drydock_api::{Error, time};
use drydock_runtime::cgroup::Usage;
use drydock_shim::protocol::{self, Control, Interface, RequestBody};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::Container;
use crate::engine::Engine;
use crate::handlers::info::{memory_total, processors};
use crate::http::{Answer, Request};

/// The time between two samples.
const INTERVAL: Duration = Duration::from_secs(1);

/// GET /containers/{id}/stats.
///
/// # Errors
/// 404, and 400 for parameters that contradict each other.
pub async fn handle(engine: &Arc<Engine>, request: &Request) -> Result<Answer, Error> {
    let stream = request.query.boolean_or("stream", true);
    let one_shot = request.query.boolean("one-shot");
    if stream && one_shot {
        return Err(Error::invalid("cannot have stream=true and one-shot=true"));
    }
    let container = engine.containers.find(&request.name)?;
    let mut before = Sample::default();
    if !stream {
        if !one_shot && container.snapshot().is_running() {
            before = Sample::take(&container).await;
            tokio::time::sleep(INTERVAL).await;
        }
        let now = Sample::take(&container).await;
        return Ok(Answer::json(&shown(&container, &before, &now, !one_shot)));
    }
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut ends = container.ends();
        loop {
            let now = Sample::take(&container).await;
            let line = format!("{}\n", shown(&container, &before, &now, true));
            if sender.send(line.into()).await.is_err() || ends.borrow_and_update().removed {
                return;
            }
            before = now;
            tokio::select! {
                () = sender.closed() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    });
    Ok(Answer::stream("application/json", receiver))
}

/// What a container and the host had used at a moment. All nothing for one that does not run.
#[derive(Default)]
struct Sample {
    /// Nanoseconds since 1970; 0 is never.
    at: u64,
    /// Processor time of the whole host, nanoseconds.
    host_cpu: u64,
    used: Option<Box<protocol::Use>>,
}

impl Sample {
    async fn take(container: &Container) -> Sample {
        let shim = container.live().shim.clone();
        let Some(shim) = shim else {
            return Sample::default();
        };
        match shim.ask(RequestBody::Control(Control::Use), &[]).await {
            Ok(protocol::Answer::Use(used)) => Sample {
                at: drydock_sys::clock::realtime(),
                host_cpu: host_cpu(),
                used: Some(used),
            },
            // It has just ended.
            _ => Sample::default(),
        }
    }

    fn group(&self) -> Option<&Usage> {
        self.used.as_ref().map(|used| &used.group)
    }
}

/// User, nice, system, idle, wait and interrupt time of all processors (proc_stat(5)).
fn host_cpu() -> u64 {
    const TICK: u64 = 10_000_000;
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = text.lines().next().unwrap_or("");
    let numbers = first.split_whitespace().skip(1).take(7);
    numbers
        .filter_map(|number| number.parse::<u64>().ok())
        .sum::<u64>()
        * TICK
}

fn shown(container: &Container, before: &Sample, now: &Sample, named: bool) -> Value {
    let record = container.snapshot();
    let mut shown = Map::new();
    let mut set = |key: &str, value: Value| drop(shown.insert(key.to_owned(), value));
    if named {
        set("name", json!(format!("/{}", record.name)));
        set("id", json!(record.id));
    }
    set("read", json!(time::rfc3339(now.at)));
    set("preread", json!(time::rfc3339(before.at)));
    set("pids_stats", now.group().map_or(json!({}), pids));
    set("blkio_stats", blkio(now.group()));
    set("num_procs", json!(0));
    set("storage_stats", json!({}));
    set("cpu_stats", cpu(now));
    set("precpu_stats", cpu(before));
    set("memory_stats", now.group().map_or(json!({}), memory));
    let interfaces = now.used.as_ref().map(|used| used.interfaces.as_slice());
    let interfaces = interfaces.unwrap_or_default();
    if record.network_mode() != "host" && !interfaces.is_empty() {
        set("networks", networks(interfaces));
    }
    Value::Object(shown)
}

fn pids(used: &Usage) -> Value {
    let mut value = json!({"current": used.processes});
    if let Some(limit) = used.processes_limit {
        value["limit"] = json!(limit);
    }
    value
}

fn blkio(used: Option<&Usage>) -> Value {
    // Version 1 has a list for each of them, empty where the kernel counts nothing; version 2 has only the bytes.
    let others = match used {
        Some(used) if used.version == 1 => json!([]),
        _ => Value::Null,
    };
    let entry = |(major, minor, operation, bytes): &(u64, u64, String, u64)| json!({"major": major, "minor": minor, "op": operation, "value": bytes});
    let bytes = used.map_or(Value::Null, |used| {
        used.block_bytes.iter().map(entry).collect()
    });
    json!({
        "io_service_bytes_recursive": bytes,
        "io_serviced_recursive": others,
        "io_queue_recursive": others,
        "io_service_time_recursive": others,
        "io_wait_time_recursive": others,
        "io_merged_recursive": others,
        "io_time_recursive": others,
        "sectors_recursive": others,
    })
}

fn cpu(sample: &Sample) -> Value {
    let none = Usage::default();
    let used = sample.group().unwrap_or(&none);
    let mut usage = json!({"total_usage": used.cpu_total});
    if !used.cpu_each.is_empty() {
        usage["percpu_usage"] = json!(used.cpu_each);
    }
    usage["usage_in_kernelmode"] = json!(used.cpu_kernel);
    usage["usage_in_usermode"] = json!(used.cpu_user);
    let mut value = json!({"cpu_usage": usage});
    if sample.used.is_some() {
        value["system_cpu_usage"] = json!(sample.host_cpu);
        value["online_cpus"] = json!(processors());
    }
    let [periods, throttled, time] = used.throttling;
    value["throttling_data"] =
        json!({"periods": periods, "throttled_periods": throttled, "throttled_time": time});
    value
}

fn memory(used: &Usage) -> Value {
    let mut value = json!({"usage": used.memory});
    if let Some(peak) = used.memory_peak {
        value["max_usage"] = json!(peak);
    }
    value["stats"] = json!(used.memory_details);
    if used.memory_failures > 0 {
        value["failcnt"] = json!(used.memory_failures);
    }
    // Without a limit of its own a container has the host's memory.
    value["limit"] = json!(used.memory_limit.unwrap_or_else(memory_total));
    value
}

fn networks(interfaces: &[Interface]) -> Value {
    let mut all = Map::new();
    for interface in interfaces {
        let [rx_bytes, rx_packets, rx_errors, rx_dropped] = interface.received;
        let [tx_bytes, tx_packets, tx_errors, tx_dropped] = interface.sent;
        let numbers = json!({
            "rx_bytes": rx_bytes, "rx_packets": rx_packets, "rx_errors": rx_errors, "rx_dropped": rx_dropped,
            "tx_bytes": tx_bytes, "tx_packets": tx_packets, "tx_errors": tx_errors, "tx_dropped": tx_dropped,
        });
        all.insert(interface.name.clone(), numbers);
    }
    Value::Object(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_does_not_run_uses_nothing() {
        let nothing = cpu(&Sample::default());
        assert_eq!(
            nothing,
            json!({
                "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
                "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
            })
        );
        assert_eq!(blkio(None)["io_service_bytes_recursive"], Value::Null);
    }

    #[test]
    fn without_a_limit_it_is_the_hosts_memory() {
        let used = Usage::default();
        assert_eq!(memory(&used)["limit"], json!(memory_total()));
        assert!(host_cpu() > 0);
    }
}
