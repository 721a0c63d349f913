//! The report: everything as JSON, and what a reader wants as Markdown.

use serde::Serialize;

use crate::engines::{Absent, DOCKER, Engine, FLOOR};
use crate::machine::Machine;
use crate::startup::{Measured, Plan, Section};

/// All there is to know about one measurement. The JSON form is this, field by field.
#[derive(Serialize)]
pub struct Report {
    /// Raised when a field changes its meaning.
    pub schema_version: u32,
    /// What was measured.
    pub benchmark: &'static str,
    /// How it was measured.
    pub plan: Plan,
    /// False if it was interrupted.
    pub complete: bool,
    /// Where.
    pub machine: Machine,
    /// What took part.
    pub engines: Vec<Engine>,
    /// What did not, and why.
    pub absent: Vec<Absent>,
    /// The times, one section for each gap.
    pub sections: Vec<Section>,
}

impl Report {
    /// Which of `names` were not measured, or not without a failed run.
    pub fn missed(&self, names: &[String]) -> Vec<String> {
        let good = |name: &String| {
            let mut results = self.sections.iter().flat_map(|section| &section.results);
            let mut own = results
                .by_ref()
                .filter(|measured| measured.engine == name)
                .peekable();
            own.peek().is_some()
                && own.all(|measured| measured.failures == 0 && measured.summary.is_some())
        };
        names.iter().filter(|name| !good(name)).cloned().collect()
    }

    /// The report for people.
    pub fn markdown(&self) -> String {
        let mut lines = vec![
            "# Start-up: `run --rm busybox true`".to_owned(),
            String::new(),
        ];
        if !self.complete {
            lines.push("Interrupted: fewer rounds than planned.".to_owned());
            lines.push(String::new());
        }
        for section in &self.sections {
            lines.extend(table(section));
        }
        lines.push("Times are milliseconds from the start of the client to its end; MAD is the median absolute".to_owned());
        lines.push(
            "deviation. Engines were measured in turn, in a new random order each round."
                .to_owned(),
        );
        lines.push(String::new());
        lines.push("## Engines".to_owned());
        lines.push(String::new());
        for engine in &self.engines {
            lines.push(format!(
                "* `{}`: {} ({})",
                engine.name, engine.what, engine.version
            ));
        }
        for absent in &self.absent {
            let reason = absent.reason.replace('\n', "; ");
            lines.push(format!("* `{}`: not measured: {reason}", absent.name));
        }
        lines.push(String::new());
        lines.push("## Machine".to_owned());
        lines.push(String::new());
        lines.extend(
            self.machine
                .describe()
                .into_iter()
                .map(|fact| format!("* {fact}")),
        );
        lines.push(format!(
            "* random order from seed {}, {} warm-up rounds",
            self.plan.seed, self.plan.warm_up
        ));
        lines.push(String::new());
        lines.join("\n")
    }
}

fn table(section: &Section) -> Vec<String> {
    let title = match section.gap_ms {
        0 => "Back to back".to_owned(),
        gap => format!("With a pause of {gap} ms before each run"),
    };
    let docker = median(section, DOCKER);
    let floor = median(section, FLOOR);
    let mut lines = vec![
        format!("## {title}"),
        String::new(),
        "| engine | n | median | p90 | min | MAD | faster than docker | against plain exec | failed |".to_owned(),
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|".to_owned(),
    ];
    lines.extend(
        section
            .results
            .iter()
            .map(|measured| row(measured, docker, floor)),
    );
    lines.push(String::new());
    let failures = section.results.iter().filter_map(|measured| {
        let said = measured.last_failure.as_deref()?.replace('\n', "; ");
        Some(format!(
            "* `{}` failed {} times, last: {said}",
            measured.engine, measured.failures
        ))
    });
    let before = lines.len();
    lines.extend(failures);
    if lines.len() > before {
        lines.push(String::new());
    }
    lines
}

fn row(measured: &Measured, docker: Option<f64>, floor: Option<f64>) -> String {
    let Some(summary) = &measured.summary else {
        return format!(
            "| {} | 0 | – | – | – | – | – | – | {} |",
            measured.engine, measured.failures
        );
    };
    let ratio = |above: Option<f64>, below: Option<f64>| match (above, below) {
        (Some(above), Some(below)) => format!("{:.1}×", above / below),
        _ => "–".to_owned(),
    };
    let median = Some(summary.median);
    format!(
        "| {} | {} | {:.2} | {:.2} | {:.2} | {:.2} | {} | {} | {} |",
        measured.engine,
        summary.n,
        summary.median,
        summary.p90,
        summary.min,
        summary.mad,
        ratio(docker, median),
        ratio(median, floor),
        measured.failures,
    )
}

fn median(section: &Section, engine: &str) -> Option<f64> {
    let measured = section
        .results
        .iter()
        .find(|measured| measured.engine == engine)?;
    Some(measured.summary.as_ref()?.median)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::summarise;

    fn measured(engine: &'static str, samples: &[f64], failures: usize) -> Measured {
        Measured {
            engine,
            summary: summarise(samples),
            samples: samples.to_vec(),
            failures,
            last_failure: (failures > 0).then(|| "exit status 125: no space".to_owned()),
        }
    }

    #[test]
    fn what_was_asked_for_has_to_be_measured_without_failure() {
        let results = vec![measured("drydock", &[4.0], 0), measured("crun", &[9.0], 1)];
        let report = Report {
            schema_version: 1,
            benchmark: "startup",
            plan: Plan {
                rounds: 1,
                warm_up: 0,
                gaps: vec![0],
                seed: 1,
            },
            complete: true,
            machine: Machine::look(),
            engines: Vec::new(),
            absent: Vec::new(),
            sections: vec![Section { gap_ms: 0, results }],
        };
        let names = ["drydock", "crun", "podman"].map(str::to_owned);
        assert_eq!(report.missed(&names), ["crun", "podman"]);
        assert!(report.missed(&[]).is_empty());
    }

    #[test]
    fn ratios_are_against_docker_and_against_the_floor() {
        let results = vec![
            measured("drydock", &[4.0], 0),
            measured(DOCKER, &[200.0], 0),
            measured(FLOOR, &[0.5], 0),
        ];
        let lines = table(&Section { gap_ms: 0, results }).join("\n");
        assert!(lines.contains("## Back to back"), "{lines}");
        assert!(
            lines.contains("| drydock | 1 | 4.00 | 4.00 | 4.00 | 0.00 | 50.0× | 8.0× | 0 |"),
            "{lines}"
        );
        assert!(
            lines.contains("| docker | 1 | 200.00 | 200.00 | 200.00 | 0.00 | 1.0× | 400.0× | 0 |"),
            "{lines}"
        );
    }

    #[test]
    fn without_docker_there_is_no_ratio_and_failures_are_told() {
        let results = vec![measured("drydock", &[4.0], 2), measured("podman", &[], 3)];
        let lines = table(&Section {
            gap_ms: 200,
            results,
        })
        .join("\n");
        assert!(lines.contains("pause of 200 ms"), "{lines}");
        assert!(
            lines.contains("| drydock | 1 | 4.00 | 4.00 | 4.00 | 0.00 | – | – | 2 |"),
            "{lines}"
        );
        assert!(lines.contains("| podman | 0 | – |"), "{lines}");
        assert!(
            lines.contains("* `podman` failed 3 times, last: exit status 125: no space"),
            "{lines}"
        );
    }
}
