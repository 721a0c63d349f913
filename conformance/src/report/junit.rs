//! The result as JUnit's XML, which every build server reads.
//!
//! One suite for each rig, and one for the harness with what went wrong around the scenarios. JUnit knows success,
//! failure, error and skipped. What is explained, known or not built yet is *skipped* with a message that says which,
//! so that a server shows it without an alarm; what is unsteady is a success with a flaky first run, the form of Maven
//! Surefire (<https://maven.apache.org/surefire/maven-surefire-plugin/examples/rerun-failing-tests.html>).

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite};
use rig::Rig;

use super::{Kind, Setting, detail, place};
use crate::suite::{Results, Run};
use crate::workshop::Outcome;

/// The whole result as an XML document.
///
/// # Errors
/// When the document cannot be written, which text in memory does not give a reason for.
pub fn junit(results: &Results, rigs: &[Rig], setting: &Setting) -> anyhow::Result<String> {
    let mut report = Report::new("conformance");
    report.set_timestamp(setting.date).set_time(results.elapsed);
    for rig in rigs {
        report.add_test_suite(suite(results, *rig));
    }
    if !results.errors.is_empty() || !results.stale.is_empty() {
        report.add_test_suite(harness(results));
    }
    Ok(report.to_string()?)
}

fn suite(results: &Results, rig: Rig) -> TestSuite {
    let mut suite = TestSuite::new(rig.name());
    suite.add_property(("recorded", results.recorded.as_str()));
    suite.add_property(("order-seed", results.order_seed.to_string().as_str()));
    if let Some(version) = results.versions.get(&rig) {
        suite.add_property(("version", version.as_str()));
    }
    if let Some(reason) = results.not_here.get(&rig) {
        suite.add_property(("not-here", reason.as_str()));
    }
    let runs: Vec<&Run> = results.runs.iter().filter(|run| run.rig == rig).collect();
    suite.set_time(runs.iter().map(|run| run.elapsed).sum::<Duration>());
    suite.add_test_cases(runs.into_iter().map(case));
    suite
}

fn case(run: &Run) -> TestCase {
    let mut case = TestCase::new(run.id.as_str(), status(&run.outcome));
    case.set_classname(format!("{}.{}", run.rig, run.topic))
        .set_time(run.elapsed)
        .add_property((
            "page",
            format!("{}:{}", place(&run.page), run.line).as_str(),
        ));
    case
}

fn status(outcome: &Outcome) -> TestCaseStatus {
    let kind = Kind::of(outcome);
    match outcome {
        Outcome::Pass => TestCaseStatus::success(),
        Outcome::Fail(why) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status
                .set_type(kind.key())
                .set_message("not as on Docker")
                .set_description(why.as_str());
            status
        }
        Outcome::Unsteady(why) => {
            let mut first = TestRerun::new(NonSuccessKind::Failure);
            first
                .set_type(kind.key())
                .set_message("failed at the first look and passed at the second")
                .set_description(why.as_str());
            let mut status = TestCaseStatus::success();
            status.add_rerun(first);
            status
        }
        Outcome::Explained(_)
        | Outcome::KnownFailure(_)
        | Outcome::NotBuiltYet(_)
        | Outcome::Skipped(_) => {
            let mut status = TestCaseStatus::skipped();
            status.set_type(kind.key()).set_message(format!(
                "{}: {}",
                kind.word(),
                detail(outcome)
            ));
            status
        }
    }
}

/// What went wrong around the scenarios: rigs that do not work, leaks, entries of lists that are not true any more.
fn harness(results: &Results) -> TestSuite {
    let mut suite = TestSuite::new("harness");
    let problems = [("error", &results.errors), ("stale entry", &results.stale)];
    for (name, texts) in problems {
        for (number, text) in texts.iter().enumerate() {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_type(name).set_description(text.as_str());
            let case = TestCase::new(format!("{name} {}", number + 1), status);
            suite.add_test_case(case);
        }
    }
    suite
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    fn document() -> String {
        let rigs = [Rig::Docker, Rig::Api, Rig::Drydock];
        junit(&samples::results(), &rigs, &Setting::here()).unwrap()
    }

    #[test]
    fn it_is_read_back_with_every_run_once() {
        let report = Report::deserialize_from_str(&document()).unwrap();
        let names: Vec<&str> = report
            .test_suites
            .iter()
            .map(|suite| suite.name.as_str())
            .collect();
        assert_eq!(names, ["docker", "api", "drydock", "harness"]);
        let runs = |number: usize| report.test_suites[number].test_cases.len();
        assert_eq!((runs(0), runs(1), runs(2), runs(3)), (0, 4, 4, 2));
        assert_eq!((report.failures, report.errors, report.skipped), (1, 2, 4));
    }

    #[test]
    fn an_outcome_keeps_its_name() {
        let text = document();
        for part in [
            r#"<skipped message="explained: no-such-thing" type="explained"/>"#,
            r#"<skipped message="not built yet: 501 &lt;i>" type="unbuilt"/>"#,
            r#"<skipped message="known failure: says &quot;no&quot;" type="known"/>"#,
            r#"<flakyFailure message="failed at the first look"#,
        ] {
            let part = part.trim_end_matches("/>").trim_end_matches('"');
            assert!(text.replace("&gt;", ">").contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn the_difference_is_text_and_no_markup() {
        let text = document();
        assert!(
            !text.contains("<script>") && !text.contains('\u{1b}'),
            "{text}"
        );
        assert!(text.contains("&lt;script&gt;"), "{text}");
    }
}
