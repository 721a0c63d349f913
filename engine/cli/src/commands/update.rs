//! `update`: other limits and another restart policy for containers that are there.

use serde_json::{Map, Value, json};

use crate::Context;
use crate::container::security;
use crate::failure::{Failure, Outcome};
use crate::flags::{Flag, Kind, Matches, values};
use crate::output;
use crate::query::path_part;

use super::lifecycle;

/// The flags of `update`.
pub const FLAGS: &[Flag] = &[
    Flag::of(
        Kind::Uint16,
        "blkio-weight",
        "Share of disk time, 10 to 1000; 0 sets none",
    ),
    Flag::int(
        "cpu-period",
        "Length of one CPU quota period in microseconds",
    ),
    Flag::int("cpu-quota", "CPU time in each period in microseconds"),
    Flag::int(
        "cpu-rt-period",
        "Length of one real-time period in microseconds",
    ),
    Flag::int(
        "cpu-rt-runtime",
        "Real-time CPU time in each period in microseconds",
    ),
    Flag::int("cpu-shares", "CPU weight relative to other containers").short('c'),
    Flag::of(Kind::Cpus, "cpus", "Number of CPUs, such as 1.5"),
    Flag::text("cpuset-cpus", "CPUs to run on, such as 0-3 or 0,1"),
    Flag::text("cpuset-mems", "Memory nodes to use, such as 0-3 or 0,1"),
    Flag::of(Kind::Bytes, "memory", "Most memory, such as 512m").short('m'),
    Flag::of(
        Kind::Bytes,
        "memory-reservation",
        "Memory that is left when the host runs short",
    ),
    Flag::of(
        Kind::SwapBytes,
        "memory-swap",
        "Most memory and swap together; -1 is any amount of swap",
    ),
    Flag::int("pids-limit", "Most processes and threads; -1 is any number"),
    Flag::text("restart", "What happens when the container ends"),
];

/// Updates each container.
pub fn run(context: &Context, matches: &Matches) -> Outcome {
    let given = |flag: &&Flag| matches.given(flag.long);
    if !FLAGS.iter().any(|flag| given(&flag)) {
        return Err(Failure::new(
            "you must provide one or more flags when using this command",
        ));
    }
    let body = body(matches)?;
    let mut warnings = Vec::new();
    let errors = lifecycle::each(matches, |name| {
        let path = format!("/containers/{}/update", path_part(name));
        let answer: Value = context.client.post_json(&path, &body)?;
        let list = answer["Warnings"].as_array().into_iter().flatten();
        warnings.extend(list.filter_map(|text| Some(text.as_str()?.to_owned())));
        Ok(Some(name.to_string()))
    })?;
    if !warnings.is_empty() {
        output::line(&warnings.join("\n"))?;
    }
    lifecycle::code(&errors)
}

/// Only what was given: 0 and nothing leave a value as it is.
fn body(matches: &Matches) -> Result<Value, String> {
    let mut body = Map::new();
    let mut set = |key: &str, flag: &str, value: Value| {
        if matches.given(flag) {
            body.insert(key.to_owned(), value);
        }
    };
    for (key, flag) in [
        ("BlkioWeight", "blkio-weight"),
        ("CpuPeriod", "cpu-period"),
        ("CpuQuota", "cpu-quota"),
        ("CpuRealtimePeriod", "cpu-rt-period"),
        ("CpuRealtimeRuntime", "cpu-rt-runtime"),
        ("CpuShares", "cpu-shares"),
        ("PidsLimit", "pids-limit"),
    ] {
        set(key, flag, json!(matches.int(flag)));
    }
    for (key, flag) in [("CpusetCpus", "cpuset-cpus"), ("CpusetMems", "cpuset-mems")] {
        set(key, flag, json!(matches.text(flag)));
    }
    for (key, flag) in [
        ("Memory", "memory"),
        ("MemoryReservation", "memory-reservation"),
        ("MemorySwap", "memory-swap"),
    ] {
        set(key, flag, json!(matches.bytes(flag)));
    }
    if matches.given("cpus") {
        set(
            "NanoCpus",
            "cpus",
            json!(values::nano_cpus(matches.text("cpus"))?),
        );
    }
    if matches.given("restart") {
        let policy = security::restart_policy(matches.text("restart"))?;
        set("RestartPolicy", "restart", policy);
    }
    Ok(Value::Object(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_given_is_sent() {
        let words = [
            "-m",
            "48m",
            "--memory-swap=-1",
            "--cpus",
            "0.5",
            "--restart",
            "on-failure:2",
            "c",
        ];
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let matches = crate::flags::parse(&[FLAGS], true, &words).unwrap();
        assert_eq!(
            body(&matches).unwrap(),
            json!({
                "Memory": 48 << 20,
                "MemorySwap": -1,
                "NanoCpus": 500_000_000,
                "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2},
            })
        );
    }
}
