//! How long verbs take, and how long a restart policy waits.
//!
//! A verb's time is that of its request, as a client sees it. A gap is from the event `die` to the event `start` after it,
//! so the start itself is in it. Median, and the least and the most of all rounds.

use std::time::Instant;

use rig::Rig;
use serde_json::json;

use super::probe::Probe;
use super::table;

/// A container that ends when it is asked to, one that does not, and one that never listens.
const POLITE: &str = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done";
const DEAF: &str = "trap '' TERM; echo ready; while :; do sleep 0.05; done";

/// How many gaps of a restart policy are looked at.
const GAPS: usize = 5;

type Act = fn(&Probe<'_>) -> anyhow::Result<()>;

/// What, the container that it is done to, and what is timed.
const VERBS: [(&str, &str, Act); 8] = [
    ("stop, and it ends by itself", POLITE, |probe| {
        probe.verb("timing", "stop?t=10")
    }),
    ("stop -t 1, and it does not", DEAF, |probe| {
        probe.verb("timing", "stop?t=1")
    }),
    ("stop -t 0", DEAF, |probe| probe.verb("timing", "stop?t=0")),
    ("kill", DEAF, |probe| probe.verb("timing", "kill")),
    ("restart -t 0", DEAF, |probe| {
        probe.verb("timing", "restart?t=0")
    }),
    ("pause", POLITE, |probe| probe.verb("timing", "pause")),
    ("rm -f", DEAF, |probe| probe.remove("timing")),
    ("wait for an end", "echo ready; sleep 0.2", |probe| {
        probe.verb("timing", "wait")
    }),
];

/// A row: what, and the times of both engines in milliseconds.
pub type Row = (String, [Vec<f64>; 2]);

/// Takes all times.
pub fn compare(probes: &[Probe<'_>; 2], rounds: usize) -> anyhow::Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for (what, script, act) in VERBS {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            for (probe, times) in probes.iter().zip(&mut times) {
                times.push(time(probe, script, act)?);
            }
        }
        rows.push((what.to_owned(), times));
    }
    let mut gaps = vec![[Vec::new(), Vec::new()]; GAPS];
    for _ in 0..rounds {
        for (side, probe) in probes.iter().enumerate() {
            for (number, gap) in restart_gaps(probe)?.into_iter().enumerate() {
                gaps[number][side].push(gap);
            }
        }
    }
    rows.extend(
        gaps.into_iter()
            .enumerate()
            .map(|(number, times)| (format!("gap before restart {}", number + 1), times)),
    );
    Ok(rows)
}

fn time(probe: &Probe<'_>, script: &str, act: Act) -> anyhow::Result<f64> {
    probe.run("timing", script, &json!({}))?;
    let begin = Instant::now();
    act(probe)?;
    let taken = begin.elapsed().as_secs_f64() * 1e3;
    // `rm -f` has removed it already.
    let left = probe.ask("GET", "/containers/json?all=1", None)?.text();
    if left.contains("conf-beside-timing") {
        probe.remove("timing")?;
    }
    Ok(taken)
}

fn restart_gaps(probe: &Probe<'_>) -> anyhow::Result<Vec<f64>> {
    let policy = json!({"HostConfig": {"RestartPolicy": {"Name": "always"}}});
    probe.create("gaps", "exit 1", &policy)?;
    probe.verb("gaps", "start")?;
    probe.until("it is restarted five times", || {
        let restarts = &probe.inspect("gaps")?["RestartCount"];
        Ok(restarts
            .as_u64()
            .is_some_and(|restarts| restarts >= GAPS as u64))
    })?;
    // Of this run only: the name was there in the rounds before.
    let events = probe.events("gaps")?;
    let begin = events
        .iter()
        .rposition(|(action, _)| action == "create")
        .unwrap_or(0);
    let mut gaps = Vec::new();
    let mut died = None;
    for (action, at) in &events[begin..] {
        match (action.as_str(), died) {
            ("die", _) => died = Some(*at),
            ("start", Some(end)) => {
                gaps.push((at - end) as f64 / 1e6);
                died = None;
            }
            _ => {}
        }
    }
    gaps.truncate(GAPS);
    probe.remove("gaps")?;
    Ok(gaps)
}

/// For people.
pub fn text(rigs: &[Rig], rows: &[Row]) -> String {
    let head = ["what".to_owned(), rigs[0].to_string(), rigs[1].to_string()];
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|(what, times)| vec![what.clone(), summary(&times[0]), summary(&times[1])])
        .collect();
    table(&head, &rows)
}

fn summary(times: &[f64]) -> String {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.first(), sorted.get(sorted.len() / 2), sorted.last()) {
        (Some(least), Some(median), Some(most)) => {
            format!("{median:.1} ({least:.1} to {most:.1})")
        }
        _ => "none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_the_median_and_the_ends() {
        assert_eq!(summary(&[3.0, 1.0, 2.0]), "2.0 (1.0 to 3.0)");
        assert_eq!(summary(&[]), "none");
    }
}
