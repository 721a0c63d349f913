//! `stats`: what containers use, a table that is drawn again and again.
//!
//! The engine takes a second for each container, because a share of the processor needs two samples; so all of them
//! are asked at once.

use std::io::Write;

use drydock_client::Error;

use crate::configuration::or;
use crate::failure::{Failure, Outcome};
use crate::flags::{Flag, Matches};
use crate::format::human;
use crate::format::value::Value;
use crate::query::{Query, path_part};
use crate::{Context, output};

use super::rows;

/// The flags of `stats`.
pub const FLAGS: &[Flag] = &[
    Flag::switch("all", "Show those that do not run too").short('a'),
    Flag::text("format", rows::FORMAT_HELP),
    Flag::switch("no-stream", "Show it once"),
    Flag::switch("no-trunc", "Do not shorten IDs"),
];

const TABLE: &str = "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";

/// Draws the table once, or until the engine or the user ends it.
pub fn run(context: &Context, matches: &Matches) -> Outcome {
    let once = matches.switch("no-stream");
    let format = or(matches.text("format"), &context.configuration.stats_format);
    loop {
        let names = names(context, matches)?;
        let samples = samples(context, &names)?;
        if !once {
            // To the top left, and clear what was there.
            output::stdout().write_all(b"\x1b[H\x1b[2J")?;
        }
        let full = matches.switch("no-trunc");
        let rows: Vec<Value> = names
            .iter()
            .zip(&samples)
            .map(|(name, sample)| row(name, sample, full))
            .collect();
        let code = rows::print(format, false, TABLE, &headings(), &rows)?;
        if once {
            return Ok(code);
        }
    }
}

/// Those that were asked for, or all that run.
fn names(context: &Context, matches: &Matches) -> Result<Vec<String>, Failure> {
    if !matches.words.is_empty() {
        return Ok(matches.words.clone());
    }
    let path = Query::new()
        .flag("all", matches.switch("all"))
        .on("/containers/json");
    let list: Value = context.client.get_json(&path)?;
    let id = |container: &Value| container.get("Id").text().to_owned();
    Ok(list.list().iter().map(id).collect())
}

/// One sample of each, all at once. One that cannot be had is an error.
fn samples(context: &Context, names: &[String]) -> Result<Vec<Value>, Failure> {
    let ask = |name: &String| -> Result<Value, Error> {
        let path = format!("/containers/{}/stats?stream=0", path_part(name));
        context.client.get_json(&path)
    };
    let answers: Vec<Result<Value, Error>> = std::thread::scope(|scope| {
        let threads: Vec<_> = names
            .iter()
            .map(|name| scope.spawn(move || ask(name)))
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<Value, Error>>| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    });
    let mut samples = Vec::new();
    let mut faults = Vec::new();
    for answer in answers {
        match answer {
            Ok(sample) => samples.push(sample),
            Err(error) if error.is_connect() => return Err(error.into()),
            Err(error) => faults.push(error.to_string()),
        }
    }
    if faults.is_empty() {
        Ok(samples)
    } else {
        Err(Failure::new(faults.join("\n")))
    }
}

fn headings() -> Value {
    let fields = [
        ("Container", "CONTAINER"),
        ("Name", "NAME"),
        ("ID", "CONTAINER ID"),
        ("CPUPerc", "CPU %"),
        ("MemUsage", "MEM USAGE / LIMIT"),
        ("MemPerc", "MEM %"),
        ("NetIO", "NET I/O"),
        ("BlockIO", "BLOCK I/O"),
        ("PIDs", "PIDS"),
    ];
    let fields = fields.map(|(name, text)| (name, Value::from(text)));
    Value::row("map", fields.to_vec())
}

fn row(asked: &str, sample: &Value, full: bool) -> Value {
    let id = sample.get("id").text();
    let memory = sample.get("memory_stats");
    let (used, limit) = (memory_used(memory), memory.get("limit").int());
    let (received, sent) = network(sample.get("networks"));
    let (read, written) = blocks(sample.get("blkio_stats"));
    let pair = |one: i64, other: i64| {
        Value::Text(format!(
            "{} / {}",
            human::size(one, 3),
            human::size(other, 3)
        ))
    };
    let share = if limit == 0 {
        0.0
    } else {
        number(used) / number(limit) * 100.0
    };
    let usage = format!(
        "{} / {}",
        human::binary_size(used),
        human::binary_size(limit)
    );
    let processes = sample.get("pids_stats").get("current").int();
    Value::row(
        "*container.statsContext",
        vec![
            ("BlockIO", pair(read, written)),
            ("CPUPerc", Value::Text(format!("{:.2}%", processor(sample)))),
            ("Container", Value::from(asked)),
            (
                "ID",
                Value::from(if full { id } else { id.get(..12).unwrap_or(id) }),
            ),
            ("MemPerc", Value::Text(format!("{share:.2}%"))),
            ("MemUsage", Value::Text(usage)),
            (
                "Name",
                Value::from(sample.get("name").text().trim_start_matches('/')),
            ),
            ("NetIO", pair(received, sent)),
            ("PIDs", Value::Text(processes.to_string())),
        ],
    )
}

/// For a share that is shown with two digits.
#[allow(clippy::cast_precision_loss)]
fn number(value: i64) -> f64 {
    value as f64
}

/// Without the part of the page cache that the kernel can take back at any time.
fn memory_used(memory: &Value) -> i64 {
    let used = memory.get("usage").int();
    let stats = memory.get("stats");
    // The first is version 1's, the second version 2's name.
    for key in ["total_inactive_file", "inactive_file"] {
        match stats.get(key) {
            Value::Int(idle) if *idle < used => return used - idle,
            _ => {}
        }
    }
    used
}

/// Percent of one processor between the two samples.
fn processor(sample: &Value) -> f64 {
    let (now, before) = (sample.get("cpu_stats"), sample.get("precpu_stats"));
    let used = |of: &Value| of.get("cpu_usage").get("total_usage").int();
    let system = |of: &Value| of.get("system_cpu_usage").int();
    let (used, system) = (used(now) - used(before), system(now) - system(before));
    if used <= 0 || system <= 0 {
        return 0.0;
    }
    number(used) / number(system) * number(now.get("online_cpus").int()) * 100.0
}

fn network(networks: &Value) -> (i64, i64) {
    networks
        .entries()
        .iter()
        .fold((0, 0), |(received, sent), (_, network)| {
            (
                received + network.get("rx_bytes").int(),
                sent + network.get("tx_bytes").int(),
            )
        })
}

fn blocks(stats: &Value) -> (i64, i64) {
    let (mut read, mut written) = (0, 0);
    for entry in stats.get("io_service_bytes_recursive").list() {
        match entry.get("op").text().bytes().next() {
            Some(b'r' | b'R') => read += entry.get("value").int(),
            Some(b'w' | b'W') => written += entry.get("value").int(),
            _ => {}
        }
    }
    (read, written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_becomes_a_row() {
        let text = r#"{"name": "/web", "id": "0123456789abcdef", "pids_stats": {"current": 3},
            "blkio_stats": {"io_service_bytes_recursive": [{"op": "Read", "value": 4096}, {"op": "write", "value": 10}, {"op": "Total", "value": 9}]},
            "cpu_stats": {"cpu_usage": {"total_usage": 300}, "system_cpu_usage": 2000, "online_cpus": 2},
            "precpu_stats": {"cpu_usage": {"total_usage": 200}, "system_cpu_usage": 1000},
            "memory_stats": {"usage": 2097152, "stats": {"total_inactive_file": 1048576}, "limit": 67108864},
            "networks": {"eth0": {"rx_bytes": 998, "tx_bytes": 126}}}"#;
        let sample: Value = serde_json::from_str(text).unwrap();
        let row = row("w", &sample, false);
        let show = [
            "ID",
            "Name",
            "CPUPerc",
            "MemUsage",
            "MemPerc",
            "NetIO",
            "BlockIO",
            "PIDs",
            "Container",
        ];
        assert_eq!(
            show.map(|key| row.get(key).text().to_owned()),
            [
                "0123456789ab",
                "web",
                "20.00%",
                "1MiB / 64MiB",
                "1.56%",
                "998B / 126B",
                "4.1kB / 10B",
                "3",
                "w"
            ]
        );
        let nothing: Value = serde_json::from_str(r#"{"memory_stats": {}}"#).unwrap();
        let row = super::row("w", &nothing, false);
        assert_eq!(row.get("MemUsage").text(), "0B / 0B");
        assert_eq!(row.get("CPUPerc").text(), "0.00%");
    }
}
