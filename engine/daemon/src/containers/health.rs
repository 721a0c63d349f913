//! Health checks: what is asked of a container, and what its answers make of it.
//!
//! Pure, so that the rules need no container to be tested; [`super::probe`] runs the checks. The rules were measured on a
//! Docker 28.5: one success makes a container healthy, `Retries` failures in a row unhealthy, and a failure within the
//! start period of a container that was never healthy does not count. A container whose checks have stopped (it ended,
//! it is paused) is called unhealthy, and no event says so.

use std::time::Duration;

use drydock_api::time;
use drydock_defects::defect;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Record;

/// How many results are kept.
const KEPT: usize = 5;

/// What a health check is made of, with Docker's defaults where nothing was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Program and arguments.
    pub command: Vec<String>,
    /// How long a check may take.
    pub timeout: Duration,
    interval: Duration,
    start_period: Duration,
    start_interval: Duration,
    retries: u32,
}

impl Check {
    /// The check of a container; None where there is none, or one that says so (`NONE`), or one of a kind that Docker
    /// does not know and leaves alone.
    pub fn of(record: &Record) -> Option<Check> {
        let check = record.config.get("Healthcheck")?;
        let words: Vec<String> = check.get("Test")?.as_array()?.iter().map(text).collect();
        let (kind, words) = words.split_first()?;
        let mut command = match kind.as_str() {
            "CMD" => Vec::new(),
            "CMD-SHELL" => shell(record),
            _ => return None,
        };
        command.extend_from_slice(words);
        let time = |key: &str, default: u64| {
            let nanoseconds = check.get(key).and_then(Value::as_u64).unwrap_or(0);
            match nanoseconds {
                0 => Duration::from_secs(default),
                nanoseconds => Duration::from_nanos(nanoseconds),
            }
        };
        Some(Check {
            command,
            timeout: time("Timeout", 30),
            interval: time("Interval", 30),
            start_period: time("StartPeriod", 0),
            start_interval: time("StartInterval", 5),
            retries: check
                .get("Retries")
                .and_then(Value::as_u64)
                .and_then(|retries| u32::try_from(retries).ok())
                .filter(|retries| *retries > 0)
                .unwrap_or(3),
        })
    }

    /// The pause before the next check of a container that has been running for so long.
    pub fn pause(&self, health: &Health, running: Duration) -> Duration {
        if running < self.start_period && health.status == Status::Starting {
            self.start_interval
        } else {
            self.interval
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The image's SHELL, or the usual one.
fn shell(record: &Record) -> Vec<String> {
    match record.config_list("Shell") {
        shell if shell.is_empty() => ["/bin/sh", "-c"].map(str::to_owned).to_vec(),
        shell => shell,
    }
}

/// How a container is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not checked yet, or not with a result that counts.
    #[default]
    Starting,
    /// The last check succeeded, or too few have failed since one did.
    Healthy,
    /// Too many checks in a row have failed, or nobody checks.
    Unhealthy,
}

impl Status {
    /// The API's word.
    pub fn word(self) -> &'static str {
        match self {
            Status::Starting => "starting",
            Status::Healthy => "healthy",
            Status::Unhealthy => "unhealthy",
        }
    }
}

/// The health of a container that is, or was, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// How it is.
    pub status: Status,
    /// Failures in a row that count.
    pub failing_streak: u32,
    /// The last results, the oldest first.
    pub log: Vec<Outcome>,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub end: u64,
    /// 0 is healthy; -1 for one that could not be run or was not done in time.
    pub exit_code: i32,
    /// The beginning of what it printed, or why it has no code.
    pub output: String,
}

impl Health {
    /// A run begins. What was found in earlier ones stays to be looked at.
    pub fn begin(&mut self) {
        self.status = Status::Starting;
        self.failing_streak = 0;
    }

    /// Takes a result; the new status if it is another one.
    pub fn take(&mut self, check: &Check, outcome: Outcome, started_at: u64) -> Option<Status> {
        let before = self.status;
        let ran = Duration::from_nanos(outcome.start.saturating_sub(started_at));
        if outcome.exit_code == 0 {
            self.failing_streak = 0;
            self.status = Status::Healthy;
        } else if self.status != Status::Starting || ran >= check.start_period {
            self.failing_streak += 1;
            let enough = self.failing_streak >= check.retries;
            if enough || defect!("health-retries-ignored") {
                self.status = Status::Unhealthy;
            }
        }
        self.log.push(outcome);
        let excess = self.log.len().saturating_sub(KEPT);
        self.log.drain(..excess);
        Some(self.status).filter(|now| *now != before)
    }

    /// What `ps` adds to "Up 3 minutes".
    pub fn shown(&self) -> String {
        match self.status {
            Status::Starting => "health: starting".to_owned(),
            status => status.word().to_owned(),
        }
    }

    /// As `inspect` shows it.
    pub fn inspect(&self) -> Value {
        let entry = |outcome: &Outcome| {
            json!({
                "Start": time::rfc3339(outcome.start),
                "End": time::rfc3339(outcome.end),
                "ExitCode": outcome.exit_code,
                "Output": outcome.output,
            })
        };
        let log: Vec<Value> = self.log.iter().map(entry).collect();
        json!({"Status": self.status.word(), "FailingStreak": self.failing_streak, "Log": log})
    }
}

/// The word by which a list is filtered.
pub fn word(record: &Record) -> &'static str {
    let health = record.state.health.as_ref();
    health.map_or("none", |health| health.status.word())
}

/// The parts that the user left open, from the image's check.
pub fn merge(wanted: &Value, image: &Value) -> Value {
    let (Some(mut merged), Some(image)) = (wanted.as_object().cloned(), image.as_object()) else {
        let user = Some(wanted).filter(|wanted| !wanted.is_null());
        return user.unwrap_or(image).clone();
    };
    for (key, value) in image {
        let open = merged.get(key).is_none_or(|mine| match mine {
            Value::Null => true,
            Value::Number(number) => number.as_i64() == Some(0),
            Value::Array(list) => list.is_empty(),
            _ => false,
        });
        if open {
            merged.insert(key.clone(), value.clone());
        }
    }
    Value::Object(merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containers::record::tests::example;

    fn record(check: Value) -> Record {
        let mut record = example();
        record.config["Healthcheck"] = check;
        record
    }

    fn check(mut value: Value) -> Check {
        value["Test"] = json!(["CMD", "true"]);
        Check::of(&record(value)).unwrap()
    }

    fn outcome(exit_code: i32, start: u64) -> Outcome {
        Outcome {
            start,
            end: start,
            exit_code,
            output: String::new(),
        }
    }

    #[test]
    fn commands() {
        let command = |test: Value| {
            Check::of(&record(json!({ "Test": test }))).map(|check| check.command.join(" "))
        };
        assert_eq!(
            command(json!(["CMD-SHELL", "true"])).as_deref(),
            Some("/bin/sh -c true")
        );
        assert_eq!(command(json!(["CMD", "a", "b"])).as_deref(), Some("a b"));
        for none in [
            json!(["NONE"]),
            json!(["FOO", "x"]),
            json!([]),
            json!([""]),
            Value::Null,
        ] {
            assert_eq!(command(none), None);
        }
        assert_eq!(Check::of(&record(Value::Null)), None);
        let mut shelled = record(json!({"Test": ["CMD-SHELL", "x"]}));
        shelled.config["Shell"] = json!(["/bin/ash", "-ec"]);
        assert_eq!(
            Check::of(&shelled).unwrap().command,
            ["/bin/ash", "-ec", "x"]
        );
    }

    #[test]
    fn dockers_defaults() {
        let check = check(json!({}));
        let mut health = Health::default();
        assert_eq!(check.timeout, Duration::from_secs(30));
        assert_eq!(
            check.pause(&health, Duration::ZERO),
            Duration::from_secs(30)
        );
        assert_eq!(health.take(&check, outcome(1, 0), 0), None);
        assert_eq!(health.take(&check, outcome(1, 0), 0), None);
        assert_eq!(
            health.take(&check, outcome(1, 0), 0),
            Some(Status::Unhealthy)
        );
        assert_eq!(health.failing_streak, 3);
        assert_eq!(health.take(&check, outcome(0, 0), 0), Some(Status::Healthy));
        assert_eq!(health.failing_streak, 0);
    }

    #[test]
    fn in_the_start_period_failures_do_not_count_until_a_success() {
        let check = check(json!({"StartPeriod": 1000, "Retries": 1, "StartInterval": 7}));
        let mut health = Health::default();
        assert_eq!(
            check.pause(&health, Duration::from_nanos(999)),
            Duration::from_nanos(7)
        );
        assert_eq!(health.take(&check, outcome(1, 1999), 1000), None);
        assert_eq!((health.failing_streak, health.log.len()), (0, 1));
        assert_eq!(
            health.take(&check, outcome(0, 1999), 1000),
            Some(Status::Healthy)
        );
        assert_eq!(
            check.pause(&health, Duration::from_nanos(999)),
            Duration::from_secs(30)
        );
        assert_eq!(
            health.take(&check, outcome(1, 1999), 1000),
            Some(Status::Unhealthy)
        );
        health.begin();
        assert_eq!(
            health.take(&check, outcome(1, 2000), 1000),
            Some(Status::Unhealthy)
        );
    }

    #[test]
    fn five_results_are_kept() {
        let check = check(json!({}));
        let mut health = Health::default();
        for start in 0..7 {
            health.take(&check, outcome(0, start), 0);
        }
        let starts: Vec<u64> = health.log.iter().map(|outcome| outcome.start).collect();
        assert_eq!(starts, [2, 3, 4, 5, 6]);
    }

    #[test]
    fn an_images_check_is_replaced_in_parts() {
        let image = json!({"Test": ["CMD", "x"], "Interval": 5, "Retries": 7});
        assert_eq!(
            merge(&json!({"Retries": 2}), &image),
            json!({"Test": ["CMD", "x"], "Interval": 5, "Retries": 2})
        );
        assert_eq!(
            merge(&json!({"Test": ["NONE"], "Interval": 0}), &image),
            json!({"Test": ["NONE"], "Interval": 5, "Retries": 7})
        );
        assert_eq!(merge(&Value::Null, &image), image);
        assert_eq!(merge(&Value::Null, &Value::Null), Value::Null);
    }
}
