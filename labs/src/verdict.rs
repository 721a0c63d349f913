//! What a check found out.
//!
//! Four values, because two are not enough: a task whose precondition failed was not tried, and a grader
//! that lost its engine knows nothing about the submission. Points are given for `pass` alone, and no error
//! ever gives any.

use serde::{Deserialize, Serialize};

/// The outcome of one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The task is done.
    Pass,
    /// The task is not done.
    Fail,
    /// A task that this one needs is not done, so it was not tried.
    Skipped,
    /// The grader could not find out: no engine, no compiler. Says nothing about the submission.
    Error,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::Skipped => "skipped",
            Verdict::Error => "error",
        })
    }
}

/// A finding about one task, before points are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The outcome.
    pub verdict: Verdict,
    /// Why, in a sentence for the learner; empty for a pass.
    pub message: String,
    /// What was expected and what was there, where seeing both teaches something.
    pub difference: Option<Difference>,
}

/// An expected value beside the actual one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What should have been there.
    pub expected: String,
    /// What was there.
    pub actual: String,
}

impl Finding {
    /// The task is done.
    pub fn pass() -> Finding {
        Finding {
            verdict: Verdict::Pass,
            message: String::new(),
            difference: None,
        }
    }

    /// The task is not done, and why.
    pub fn fail(message: impl Into<String>) -> Finding {
        Finding {
            verdict: Verdict::Fail,
            message: message.into(),
            difference: None,
        }
    }

    /// The grader could not find out, and why.
    pub fn error(message: impl Into<String>) -> Finding {
        Finding {
            verdict: Verdict::Error,
            message: message.into(),
            difference: None,
        }
    }

    /// Adds what was expected and what was there.
    pub fn with_difference(
        mut self,
        expected: impl Into<String>,
        actual: impl Into<String>,
    ) -> Finding {
        self.difference = Some(Difference {
            expected: expected.into(),
            actual: actual.into(),
        });
        self
    }
}

/// The exit code of a run: 0 all pass, 1 some fail, 3 where something could not be found out. (2 is a
/// usage error, which no verdict can be.)
pub fn exit_code(verdicts: impl IntoIterator<Item = Verdict>) -> u8 {
    verdicts.into_iter().fold(0, |code, verdict| match verdict {
        Verdict::Pass => code,
        Verdict::Fail | Verdict::Skipped => code.max(1),
        Verdict::Error => 3,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_outweighs_everything() {
        use Verdict::{Error, Fail, Pass, Skipped};
        assert_eq!(exit_code([]), 0);
        assert_eq!(exit_code([Pass, Pass]), 0);
        assert_eq!(exit_code([Pass, Fail, Pass]), 1);
        assert_eq!(exit_code([Pass, Skipped]), 1);
        assert_eq!(exit_code([Error, Fail, Pass]), 3);
    }
}
