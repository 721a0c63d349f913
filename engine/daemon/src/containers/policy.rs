//! Restart policies: whether a container is started again when it ends, and after which delay.
//!
//! Docker's numbers, measured: 100 ms, doubled each time, at most a minute, and back to 100 ms when the
//! container ran for ten seconds or more. Pure, so that tests need no clock.

use std::time::Duration;

use drydock_api::models::{HostConfig, RestartPolicyNameEnum};
use drydock_defects::defect;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);
const LONG_RUN: Duration = Duration::from_secs(10);

/// A restart policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Never.
    No,
    /// Whatever the exit code, and when the daemon starts.
    Always,
    /// As `Always`, except where a user has ended it: by stop, or by kill with any signal.
    UnlessStopped,
    /// After an exit code that is not 0, at most so many times in a row; None is without limit.
    OnFailure(Option<u32>),
}

impl Policy {
    /// A container's policy.
    pub fn of(host: &HostConfig) -> Policy {
        let policy = host.restart_policy.clone().unwrap_or_default();
        match policy.name {
            Some(RestartPolicyNameEnum::ALWAYS) => Policy::Always,
            Some(RestartPolicyNameEnum::UNLESS_STOPPED) => Policy::UnlessStopped,
            Some(RestartPolicyNameEnum::ON_FAILURE) => Policy::OnFailure(
                policy
                    .maximum_retry_count
                    .and_then(|count| u32::try_from(count).ok())
                    .filter(|count| *count > 0),
            ),
            _ => Policy::No,
        }
    }

    /// Whether to start again after an end. `restarts` is how many there were. `manually_stopped`: a user has sent a
    /// signal that is not the stop signal, but ended the container; where it is the stop signal, this is not asked.
    pub fn after_end(self, exit_code: i32, restarts: u32, manually_stopped: bool) -> bool {
        match self {
            Policy::No => false,
            Policy::Always => true,
            Policy::UnlessStopped => !manually_stopped,
            Policy::OnFailure(limit) => {
                let failed = exit_code != 0 || defect!("restart-after-success");
                let again = |limit| restarts < limit || defect!("restart-maximum-ignored");
                failed && limit.is_none_or(again)
            }
        }
    }

    /// Whether to start when the daemon starts and finds the container ended.
    pub fn at_daemon_start(self, exit_code: i32, restarts: u32, manually_stopped: bool) -> bool {
        match self {
            Policy::Always | Policy::UnlessStopped => {
                self.after_end(exit_code, restarts, manually_stopped)
            }
            Policy::No | Policy::OnFailure(_) => {
                !manually_stopped && self.after_end(exit_code, restarts, manually_stopped)
            }
        }
    }
}

/// The growing delay.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    last: Option<Duration>,
}

impl Backoff {
    /// The delay before the next start, when the last run took so long.
    pub fn next(&mut self, ran: Duration) -> Duration {
        let delay = match self.last {
            Some(last) if ran < LONG_RUN => (last * 2).min(LONGEST),
            _ => FIRST,
        };
        self.last = Some(delay);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_up_to_a_minute() {
        let mut backoff = Backoff::default();
        let delays: Vec<u128> = (0..12)
            .map(|_| backoff.next(Duration::ZERO).as_millis())
            .collect();
        assert_eq!(
            delays,
            [
                100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000
            ]
        );
        assert_eq!(backoff.next(Duration::from_secs(10)).as_millis(), 100);
        assert_eq!(backoff.next(Duration::from_millis(9_999)).as_millis(), 200);
    }

    #[test]
    fn when_to_start_again() {
        let after = |policy: Policy, code, restarts| policy.after_end(code, restarts, false);
        assert!(!after(Policy::No, 1, 0));
        assert!(after(Policy::Always, 0, 99) && after(Policy::UnlessStopped, 0, 99));
        assert!(!after(Policy::OnFailure(None), 0, 0) && after(Policy::OnFailure(None), 1, 99));
        assert!(after(Policy::OnFailure(Some(2)), 1, 1));
        assert!(!after(Policy::OnFailure(Some(2)), 1, 2));
    }

    #[test]
    fn an_end_by_the_user_ends_unless_stopped_only() {
        assert!(Policy::Always.after_end(7, 0, true));
        assert!(Policy::OnFailure(None).after_end(7, 0, true));
        assert!(!Policy::UnlessStopped.after_end(7, 0, true));
    }

    #[test]
    fn at_the_daemons_start() {
        assert!(Policy::Always.at_daemon_start(0, 0, true));
        assert!(!Policy::UnlessStopped.at_daemon_start(0, 0, true));
        assert!(Policy::UnlessStopped.at_daemon_start(0, 0, false));
        assert!(Policy::OnFailure(None).at_daemon_start(1, 0, false));
        assert!(!Policy::OnFailure(None).at_daemon_start(1, 0, true));
        assert!(!Policy::OnFailure(None).at_daemon_start(0, 0, false));
    }

    #[test]
    fn the_policy_is_read_from_the_host_config() {
        let of = |json: serde_json::Value| {
            Policy::of(&serde_json::from_value(serde_json::json!({"RestartPolicy": json})).unwrap())
        };
        assert_eq!(
            of(serde_json::json!({"Name": "on-failure", "MaximumRetryCount": 3})),
            Policy::OnFailure(Some(3))
        );
        assert_eq!(
            of(serde_json::json!({"Name": "on-failure", "MaximumRetryCount": 0})),
            Policy::OnFailure(None)
        );
        assert_eq!(of(serde_json::json!({"Name": ""})), Policy::No);
        assert_eq!(Policy::of(&HostConfig::default()), Policy::No);
    }
}
