//! The labs' content, proven on real engines: every starter fails, every solution passes, every wrong answer
//! fails in the task and with the message that its `expect.toml` states.
//!
//! Each lab is graded on every engine there is, as a folder of submissions, so the grader is tested with it.
//! An engine that is not here makes its tests *ignored*, with the reason.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use labs::catalogue::Catalogue;
use labs::engine::Engine;
use labs::grade::{self, Place};
use labs::lab::{Kind, Lab};
use labs::results::{Results, SubmissionResult};
use labs::verdict::Verdict;
use libtest_mimic::{Arguments, Failed, Trial};
use serde::Deserialize;

/// One at a time: submissions of one lab have containers of the same names.
static ENGINE: Mutex<()> = Mutex::new(());

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectation {
    /// The tasks with the verdict `fail`: these and no others.
    fails: Vec<String>,
    /// A part of the first one's message.
    message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Solution {
    file: PathBuf,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::from_args();
    let catalogue = Catalogue::load(&Catalogue::default_folder())?;
    let mut trials = vec![
        trial_of_everything(&catalogue),
        trial_without_engine(&catalogue),
    ];
    for lab in &catalogue.labs {
        for venue in [VenueKind::Docker, VenueKind::Drydock] {
            trials.push(trial(lab, "content", venue, content));
            trials.push(trial(lab, "repeatable", venue, repeatable));
        }
    }
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

#[derive(Clone, Copy)]
enum VenueKind {
    Docker,
    Drydock,
}

impl VenueKind {
    fn name(self) -> &'static str {
        match self {
            VenueKind::Docker => "docker",
            VenueKind::Drydock => "drydock",
        }
    }

    fn missing(self) -> Option<String> {
        match self {
            VenueKind::Docker => rig::docker_socket().err(),
            VenueKind::Drydock => rig::Daemon::missing(),
        }
    }

    fn place(self) -> Result<Place, Failed> {
        match self {
            VenueKind::Docker => {
                let socket = rig::docker_socket()?;
                let host = format!("unix://{}", socket.display());
                Ok(Place::Shared(Engine::find(Some(&host))?))
            }
            VenueKind::Drydock => Ok(Place::Fresh),
        }
    }
}

fn trial(
    lab: &Lab,
    what: &str,
    venue: VenueKind,
    test: fn(&Lab, &Place) -> Result<(), Failed>,
) -> Trial {
    let missing = venue.missing();
    let name = format!("{what}::{}::{}", lab.about.id, venue.name());
    let lab = lab.clone();
    Trial::test(name, move || {
        let _alone = ENGINE.lock().unwrap_or_else(PoisonError::into_inner);
        test(&lab, &venue.place()?)
    })
    .with_kind(missing.clone().unwrap_or_default())
    .with_ignored_flag(missing.is_some())
}

/// What can be said without an engine.
fn trial_of_everything(catalogue: &Catalogue) -> Trial {
    let labs = catalogue.labs.clone();
    Trial::test("content::texts", move || {
        check(!labs.is_empty(), "there are no labs")?;
        for lab in &labs {
            let id = &lab.about.id;
            for need in &lab.about.needs {
                let is_there = labs.iter().any(|other| other.about.id == *need);
                check(is_there, format!("{id} needs `{need}`, which is no lab"))?;
            }
            let text = fs::read_to_string(lab.folder.join("task.md"))?;
            for task in &lab.tasks {
                let is_told = text.contains(&format!("**{}**", task.id));
                check(
                    is_told,
                    format!("{id}: task.md does not speak of {}", task.id),
                )?;
                let says_something = task.hints.iter().all(|hint| hint.trim().len() > 10);
                check(
                    says_something,
                    format!("{id}: an empty hint for {}", task.id),
                )?;
                check(!task.help.trim().is_empty(), format!("{id}: no help"))?;
            }
            check(
                !wrong_answers(lab)?.is_empty(),
                format!("{id}: no wrong answers"),
            )?;
        }
        Ok(())
    })
}

/// Without an engine nothing is known about a submission that can be read, and that is not its fault.
fn trial_without_engine(catalogue: &Catalogue) -> Trial {
    let labs = catalogue.labs.clone();
    Trial::test("content::no engine", move || {
        let nowhere = Engine::find(Some("unix:///nonexistent/socket"))?;
        for lab in &labs {
            let folder = tempfile::tempdir()?;
            hand_in(folder.path(), "good", lab, &fs::read(solution(lab)?)?)?;
            fs::create_dir(folder.path().join("malformed"))?;
            let place = Place::Shared(nowhere.clone());
            let results = grade::grade(lab, folder.path(), &place, 1, &mut |_| {})?;
            let [good, malformed] = results.submissions.as_slice() else {
                return Err("two submissions".into());
            };
            let all_errors = good.verdicts().all(|verdict| verdict == Verdict::Error);
            check(all_errors && !good.complete, format!("{:#?}", good.tasks))?;
            check(good.points == 0, "points for an error")?;
            let all_fail = malformed.verdicts().all(|verdict| verdict == Verdict::Fail);
            check(
                all_fail && malformed.complete,
                format!("{:#?}", malformed.tasks),
            )?;
            check(results.exit_code() == 3, "the exit code")?;
        }
        Ok(())
    })
}

fn check(condition: bool, message: impl Into<String>) -> Result<(), Failed> {
    if condition {
        Ok(())
    } else {
        Err(Failed::from(message.into()))
    }
}

/// Starter, solution and wrong answers as one folder of submissions.
fn content(lab: &Lab, place: &Place) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    copy_folder(&lab.folder.join("starter"), &folder.path().join("starter"))?;
    hand_in(folder.path(), "solution", lab, &fs::read(solution(lab)?)?)?;
    let wrong = wrong_answers(lab)?;
    for (name, _) in &wrong {
        copy_folder(
            &lab.folder.join("wrong").join(name),
            &folder.path().join(name),
        )?;
    }
    add_malformed(folder.path(), lab)?;

    let results = grade::grade(lab, folder.path(), place, 1, &mut |text| println!("{text}"))?;
    let error = results
        .submissions
        .iter()
        .flat_map(|result| &result.tasks)
        .find(|task| task.verdict == Verdict::Error);
    if let Some(task) = error {
        return Err(format!("the grader could not find out: {}", task.message).into());
    }
    check(results.exit_code() == 1, "the exit code should be 1")?;
    let all = |result: &SubmissionResult, wanted: Verdict| result.verdicts().all(|v| v == wanted);
    let mut faults = Vec::new();
    for result in &results.submissions {
        let fault = match result.name.as_str() {
            "solution" if !all(result, Verdict::Pass) => Some("should pass".to_string()),
            "solution" => None,
            "starter" if !result.verdicts().any(|verdict| verdict == Verdict::Fail) => {
                Some("should fail".to_string())
            }
            "starter" => None,
            name if name.starts_with("malformed") => {
                (!all(result, Verdict::Fail)).then(|| "should fail in every task".to_string())
            }
            name => wrong
                .iter()
                .find(|(other, _)| other == name)
                .map_or(Some("is unexpected".to_string()), |(_, expectation)| {
                    unlike(result, expectation)
                }),
        };
        if let Some(fault) = fault {
            faults.push(format!("{} {fault}: {:#?}", result.name, result.tasks));
        }
        check_points(result)?;
    }
    check(faults.is_empty(), faults.join("\n"))
}

fn check_points(result: &SubmissionResult) -> Result<(), Failed> {
    let earned: u32 = result
        .tasks
        .iter()
        .filter(|task| task.verdict == Verdict::Pass)
        .map(|task| task.points_max)
        .sum();
    check(
        earned == result.points,
        format!("{}: wrong points", result.name),
    )
}

/// How a result differs from what was expected of a wrong answer.
fn unlike(result: &SubmissionResult, expectation: &Expectation) -> Option<String> {
    let failed: Vec<_> = result
        .tasks
        .iter()
        .filter(|task| task.verdict == Verdict::Fail)
        .collect();
    let ids: Vec<&str> = failed.iter().map(|task| task.id.as_str()).collect();
    if ids != expectation.fails {
        return Some(format!("should fail in {:?}", expectation.fails));
    }
    let message = &failed.first()?.message;
    (!message.contains(&expectation.message))
        .then(|| format!("should fail with `{}`", expectation.message))
}

/// Submissions that are no files at all.
fn add_malformed(folder: &Path, lab: &Lab) -> Result<(), Failed> {
    let name = &lab.about.submission;
    let make = |kind: &str| -> Result<PathBuf, Failed> {
        let path = folder.join(format!("malformed-{kind}"));
        fs::create_dir(&path)?;
        Ok(path)
    };
    make("empty")?;
    symlink(solution(lab)?, make("link")?.join(name))?;
    fs::create_dir(make("folder")?.join(name))?;
    symlink(
        folder.join("solution"),
        folder.join("malformed-link-to-another"),
    )?;
    let limit = usize::try_from(lab.about.limits.submission_bytes)?;
    fs::write(make("large")?.join(name), vec![b' '; limit + 1])?;
    fs::write(make("binary")?.join(name), [0xff, 0xfe, 0x00])?;
    Ok(())
}

/// The same seed gives the same document, but for the times.
fn repeatable(lab: &Lab, place: &Place) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    hand_in(folder.path(), "good", lab, &fs::read(solution(lab)?)?)?;
    let (name, _) = &wrong_answers(lab)?[0];
    copy_folder(
        &lab.folder.join("wrong").join(name),
        &folder.path().join("wrong"),
    )?;
    let run = || -> Result<serde_json::Value, Failed> {
        let results: Results = grade::grade(lab, folder.path(), place, 7, &mut |_| {})?;
        let mut document = serde_json::to_value(&results)?;
        document.as_object_mut().ok_or("no object")?.remove("times");
        Ok(document)
    };
    let (first, second) = (run()?, run()?);
    check(
        first == second,
        format!("{first:#}\ndiffers from\n{second:#}"),
    )?;
    check(
        first["submissions"][0]["points"] == lab.about.points,
        format!("{first:#}"),
    )
}

fn wrong_answers(lab: &Lab) -> Result<Vec<(String, Expectation)>, Failed> {
    let mut answers = Vec::new();
    for entry in fs::read_dir(lab.folder.join("wrong"))? {
        let entry = entry?;
        let text = fs::read_to_string(entry.path().join("expect.toml"))?;
        let expectation: Expectation = toml::from_str(&text)?;
        for task in &expectation.fails {
            check(
                lab.task(task).is_some(),
                format!("{}: no task {task}", entry.path().display()),
            )?;
        }
        check(
            !expectation.fails.is_empty(),
            "a wrong answer that fails nowhere",
        )?;
        answers.push((
            entry.file_name().to_string_lossy().into_owned(),
            expectation,
        ));
    }
    answers.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(answers)
}

/// The file of the right answer: in the lab, or a module of the engine.
fn solution(lab: &Lab) -> Result<PathBuf, Failed> {
    let folder = lab.folder.join("solution");
    match lab.about.kind {
        Kind::Use => Ok(folder.join(&lab.about.submission)),
        Kind::Build => {
            let text = fs::read_to_string(folder.join("solution.toml"))?;
            let pointer: Solution = toml::from_str(&text)?;
            let root = lab.folder.ancestors().nth(2).ok_or("no repository")?;
            Ok(root.join(pointer.file))
        }
    }
}

fn hand_in(folder: &Path, name: &str, lab: &Lab, content: &[u8]) -> Result<(), Failed> {
    let folder = folder.join(name);
    fs::create_dir(&folder)?;
    Ok(fs::write(folder.join(&lab.about.submission), content)?)
}

fn copy_folder(source: &Path, target: &Path) -> Result<(), Failed> {
    fs::create_dir(target)?;
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        fs::copy(entry.path(), target.join(entry.file_name()))?;
    }
    Ok(())
}
