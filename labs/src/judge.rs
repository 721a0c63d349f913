//! From findings about tasks to results: the order of the tasks, what is skipped, and the points.

use serde::Serialize;

use crate::lab::{Lab, Task};
use crate::verdict::{Difference, Finding, Verdict};

/// The result of one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskResult {
    /// The task's id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// The outcome.
    pub verdict: Verdict,
    /// What was earned: all or nothing.
    pub points: u32,
    /// What could be earned.
    pub points_max: u32,
    /// Why, for the learner; empty for a pass.
    pub message: String,
    /// What was expected and what was there, where seeing both teaches something.
    #[serde(flatten)]
    pub difference: Option<Difference>,
}

/// Tries the tasks in order. A task is skipped if one that it needs is not done.
pub fn judge(lab: &Lab, mut find: impl FnMut(&Task) -> Finding) -> Vec<TaskResult> {
    let mut results: Vec<TaskResult> = Vec::new();
    for task in &lab.tasks {
        let is_done = |need: &&String| {
            results
                .iter()
                .any(|result| result.id == **need && result.verdict == Verdict::Pass)
        };
        let finding = match task.needs.iter().find(|need| !is_done(need)) {
            None => find(task),
            Some(need) => Finding {
                verdict: Verdict::Skipped,
                message: format!("not tried: it needs task `{need}`"),
                difference: None,
            },
        };
        results.push(result(task, finding));
    }
    results
}

/// The same finding about every task: nothing could be tried.
pub fn all(lab: &Lab, finding: &Finding) -> Vec<TaskResult> {
    lab.tasks
        .iter()
        .map(|task| result(task, finding.clone()))
        .collect()
}

fn result(task: &Task, finding: Finding) -> TaskResult {
    TaskResult {
        id: task.id.clone(),
        title: task.title.clone(),
        verdict: finding.verdict,
        points: match finding.verdict {
            Verdict::Pass => task.points,
            Verdict::Fail | Verdict::Skipped | Verdict::Error => 0,
        },
        points_max: task.points,
        message: finding.message,
        difference: finding.difference,
    }
}

/// The sum of what was earned.
pub fn points(results: &[TaskResult]) -> u32 {
    results.iter().map(|result| result.points).sum()
}
