//! `run --trace`: where the time of a start went, drawn as a waterfall on stderr.
//!
//! Client, daemon, shim and init stamp CLOCK_MONOTONIC, which is one clock for all processes of a host. The
//! daemon's stamps come in a header of the answer to the start, later ones in the body of the wait; an engine
//! that sends none (Docker) leaves the client's own.

use std::fmt::Write as _;

use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

use crate::output;

/// Columns of the bars.
const WIDTH: usize = 40;

/// The stamps of one run.
#[derive(Debug)]
pub struct Trace {
    on: bool,
    stamps: Vec<(String, u64)>,
    saw_output: bool,
}

impl Trace {
    /// Begins. Costs nothing where `on` is false.
    pub fn new(on: bool) -> Trace {
        let mut trace = Trace {
            on,
            stamps: Vec::new(),
            saw_output: false,
        };
        trace.stamp("client: began");
        trace
    }

    /// Whether stamps are taken.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Marks the end of a step.
    pub fn stamp(&mut self, step: &str) {
        if self.on {
            self.stamps.push((step.to_string(), now()));
        }
    }

    /// Marks the first byte of output.
    pub fn first_output(&mut self) {
        if self.on && !self.saw_output {
            self.saw_output = true;
            self.stamp("client: first output");
        }
    }

    /// Adds the engine's stamps: `[{"step": "…", "at": 123}]`.
    pub fn add(&mut self, stamps: &Value) {
        for stamp in stamps.as_array().into_iter().flatten() {
            if let (Some(step), Some(at)) = (stamp["step"].as_str(), stamp["at"].as_u64()) {
                self.stamps.push((step.to_string(), at));
            }
        }
    }

    /// Draws the waterfall on stderr.
    pub fn show(&self) {
        if self.on {
            output::error_line(draw(&self.stamps).trim_end());
        }
    }
}

/// Nanoseconds of CLOCK_MONOTONIC.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// One line for each step: when it ended, how long it took since the stamp before, a bar on a common scale.
fn draw(stamps: &[(String, u64)]) -> String {
    let mut stamps = stamps.to_vec();
    stamps.sort_by_key(|(_, at)| *at);
    let (Some(first), Some(last)) = (
        stamps.first().map(|stamp| stamp.1),
        stamps.last().map(|stamp| stamp.1),
    ) else {
        return String::new();
    };
    let total = (last - first).max(1);
    let names = stamps
        .iter()
        .map(|(step, _)| step.chars().count())
        .max()
        .unwrap_or(0);
    // Positions are at most WIDTH, far inside what the types hold.
    #[allow(clippy::cast_possible_truncation)]
    let column = |at: u64| ((u128::from(at - first) * WIDTH as u128) / u128::from(total)) as usize;
    let mut page = format!("{:names$}  {:>9} {:>9}\n", "step", "at ms", "took ms");
    let mut before = first;
    for (step, at) in stamps.iter().skip(1) {
        let (start, end) = (column(before), column(*at));
        let bar = format!("{}{}", " ".repeat(start), "#".repeat((end - start).max(1)));
        let _ = writeln!(
            page,
            "{step:names$}  {:>9} {:>9}  |{bar:WIDTH$}|",
            milliseconds(at - first),
            milliseconds(at - before)
        );
        before = *at;
    }
    page
}

fn milliseconds(nanos: u64) -> String {
    format!("{}.{:03}", nanos / 1_000_000, nanos / 1000 % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_in_the_order_of_time() {
        let stamp = |step: &str, at: u64| (step.to_string(), at);
        let stamps = [
            stamp("client: began", 1_000_000),
            stamp("client: end", 5_000_000),
            stamp("daemon: created", 2_000_000),
        ];
        assert_eq!(
            draw(&stamps),
            "step                 at ms   took ms\n\
             daemon: created      1.000     1.000  |##########                              |\n\
             client: end          4.000     3.000  |          ##############################|\n"
        );
        assert_eq!(draw(&[]), "");
    }
}
