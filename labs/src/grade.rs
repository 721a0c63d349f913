//! Grading: one submission for `labs check`, a folder of them for `labs grade`.
//!
//! A "use it" submission that was handed in is replayed on an engine of its own, so nothing of another
//! submission and nothing of the host is in reach or in the way. Where that is not possible (no root), one
//! engine can be shared; then the submissions are graded one after the other and removed in between.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};

use crate::answers;
use crate::digest;
use crate::engine::{Engine, Identity};
use crate::judge::{self, TaskResult};
use crate::lab::{Kind, Lab};
use crate::program::{Program, Workshop};
use crate::replay::{FailedCommand, Replay};
use crate::results::{LabIdentity, Results, SCHEMA_VERSION, SubmissionResult, Times};
use crate::state::{self, Seen};
use crate::submission::{Malformed, Submission};
use crate::verdict::Finding;

/// Where to grade.
#[derive(Clone, Debug)]
pub enum Place {
    /// On an engine that is there.
    Shared(Engine),
    /// On Drydock daemons that are started for it: one for each submission of a "use it" lab, one for all
    /// of a "build it" lab, where submissions share nothing but the compiler's image.
    Fresh,
}

/// An engine to grade on; a fresh one ends with it.
struct Venue {
    engine: Engine,
    daemon: Option<rig::Daemon>,
}

impl Venue {
    fn open(place: &Place) -> Result<Venue> {
        match place {
            Place::Shared(engine) => Ok(Venue {
                engine: engine.clone(),
                daemon: None,
            }),
            Place::Fresh => {
                let daemon = rig::Daemon::start(rig::DaemonOptions::default()).map_err(|error| {
                    anyhow!(
                        "cannot start an engine: {error}\nhint: `--engine shared` grades on the engine that DRYDOCK_HOST or DOCKER_HOST names"
                    )
                })?;
                let host = format!("unix://{}", daemon.socket().display());
                Ok(Venue {
                    engine: Engine::find(Some(&host))?,
                    daemon: Some(daemon),
                })
            }
        }
    }

    /// Ends a fresh engine. What it leaves behind is its defect, not the submission's.
    fn close(self, announce: &mut dyn FnMut(&str)) {
        if let Some(Err(error)) = self.daemon.map(rig::Daemon::finish) {
            announce(&format!("warning: {error:#}"));
        }
    }
}

/// Checks a learner's own working folder. A "use it" lab is checked on the engine they work with.
pub fn check(
    lab: &Lab,
    folder: &Path,
    engine: &Engine,
    seen: &mut Seen,
    seed: u64,
    announce: &mut dyn FnMut(&str),
) -> Result<Vec<TaskResult>> {
    match lab.about.kind {
        Kind::Use => {
            engine.identity()?;
            state::look(engine, lab, seen)?;
            Ok(judge_state(lab, engine, seen))
        }
        Kind::Build => match read(lab, folder)? {
            Err(malformed) => Ok(judge::all(lab, &Finding::fail(malformed.0))),
            Ok(submission) => {
                engine.identity()?;
                let workshop = Workshop::open(engine, announce)?;
                Ok(judge_program(lab, &workshop, &submission, seed))
            }
        },
    }
}

/// Grades every folder in `folder` and returns the document. `announce` hears about the progress.
pub fn grade(
    lab: &Lab,
    folder: &Path,
    place: &Place,
    seed: u64,
    announce: &mut dyn FnMut(&str),
) -> Result<Results> {
    let started = Instant::now();
    let mut run = Run {
        lab,
        place,
        seed,
        workshop: None,
        identity: None,
        compiler: None,
    };
    let names = submission_names(folder)?;
    let mut submissions = Vec::new();
    let mut times = Times {
        started: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO)
            .as_secs(),
        ..Times::default()
    };
    for (number, name) in names.iter().enumerate() {
        announce(&format!(
            "grading {name} ({} of {})",
            number + 1,
            names.len()
        ));
        let start = Instant::now();
        submissions.push(run.submission(name, &folder.join(name), announce));
        times.submissions.push(milliseconds(start));
    }
    let (identity, compiler) = (run.identity.clone(), run.compiler.clone());
    run.close(announce);
    times.milliseconds = milliseconds(started);
    Ok(Results {
        schema_version: SCHEMA_VERSION,
        lab: LabIdentity {
            id: lab.about.id.clone(),
            digest: digest::of_folder(&lab.folder)?,
            points_max: lab.about.points,
        },
        engine: identity,
        compiler,
        grader: env!("CARGO_PKG_VERSION").to_string(),
        seed: seed.to_string(),
        limits: lab.about.limits.clone(),
        submissions,
        times,
    })
}

/// The names in a folder of submissions, in order. Hidden ones and plain files (the results, a roster) are
/// not submissions; a link is one, and is refused when it is read.
fn submission_names(folder: &Path) -> Result<Vec<String>> {
    let describe = || format!("cannot read {}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(describe)? {
        let entry = entry.with_context(describe)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && !entry.file_type().with_context(describe)?.is_file() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// What a run of `grade` keeps between submissions.
struct Run<'a> {
    lab: &'a Lab,
    place: &'a Place,
    seed: u64,
    workshop: Option<(Venue, Workshop)>,
    identity: Option<Identity>,
    compiler: Option<String>,
}

/// What one submission gave, before points are added up.
type Graded = (Vec<TaskResult>, Vec<FailedCommand>);

impl Run<'_> {
    fn submission(
        &mut self,
        name: &str,
        folder: &Path,
        announce: &mut dyn FnMut(&str),
    ) -> SubmissionResult {
        let mut digest = None;
        let graded = read(self.lab, folder).and_then(|submission| match submission {
            Err(malformed) => Ok(self.refused(malformed)),
            Ok(submission) => {
                digest = Some(digest::of_files([(
                    submission.name.as_str(),
                    submission.bytes.as_slice(),
                )]));
                match self.lab.about.kind {
                    Kind::Use => self.answers(&submission, announce),
                    Kind::Build => self.program(&submission, announce),
                }
            }
        });
        let (tasks, failed_commands) = graded.unwrap_or_else(|error| {
            let finding = Finding::error(format!("{error:#}"));
            (judge::all(self.lab, &finding), Vec::new())
        });
        SubmissionResult {
            name: name.to_string(),
            digest,
            points: judge::points(&tasks),
            complete: tasks
                .iter()
                .all(|task| task.verdict != crate::verdict::Verdict::Error),
            tasks,
            failed_commands,
        }
    }

    fn refused(&self, malformed: Malformed) -> Graded {
        (
            judge::all(self.lab, &Finding::fail(malformed.0)),
            Vec::new(),
        )
    }

    fn answers(
        &mut self,
        submission: &Submission,
        announce: &mut dyn FnMut(&str),
    ) -> Result<Graded> {
        let commands = submission.text().and_then(|text| {
            answers::parse(text, &self.lab.about.images)
                .map_err(|error| Malformed(format!("`{}`: {error}", submission.name)))
        });
        let commands = match commands {
            Err(malformed) => return Ok(self.refused(malformed)),
            Ok(commands) => commands,
        };
        let venue = Venue::open(self.place)?;
        self.identify(&venue.engine)?;
        let mut replay = Replay::new(&venue.engine)?;
        replay.run(self.lab, &commands)?;
        let tasks = judge_state(self.lab, &venue.engine, &mut replay.seen);
        let failed = std::mem::take(&mut replay.failed);
        replay.clean_up()?;
        venue.close(announce);
        Ok((tasks, failed))
    }

    fn program(
        &mut self,
        submission: &Submission,
        announce: &mut dyn FnMut(&str),
    ) -> Result<Graded> {
        if self.workshop.is_none() {
            let venue = Venue::open(self.place)?;
            self.identify(&venue.engine)?;
            let workshop = Workshop::open(&venue.engine, announce)?;
            self.compiler = Some(workshop.compiler().to_string());
            self.workshop = Some((venue, workshop));
        }
        let (_, workshop) = self.workshop.as_ref().context("no workshop")?;
        Ok((
            judge_program(self.lab, workshop, submission, self.seed),
            Vec::new(),
        ))
    }

    fn identify(&mut self, engine: &Engine) -> Result<()> {
        if self.identity.is_none() {
            self.identity = Some(engine.identity()?);
        }
        Ok(())
    }

    fn close(self, announce: &mut dyn FnMut(&str)) {
        if let Some((venue, _)) = self.workshop {
            venue.close(announce);
        }
    }
}

/// What was handed in. Both kinds of lab want a text.
fn read(lab: &Lab, folder: &Path) -> Result<Result<Submission, Malformed>> {
    let limit = lab.about.limits.submission_bytes;
    let submission = Submission::read(folder, &lab.about.submission, limit)?;
    Ok(submission.and_then(|submission| submission.text().map(drop).map(|()| submission.clone())))
}

fn judge_state(lab: &Lab, engine: &Engine, seen: &mut Seen) -> Vec<TaskResult> {
    judge::judge(lab, |task| {
        state::try_task(engine, task, seen).unwrap_or_else(error)
    })
}

fn judge_program(
    lab: &Lab,
    workshop: &Workshop,
    submission: &Submission,
    seed: u64,
) -> Vec<TaskResult> {
    let program = workshop.compile(lab, submission);
    judge::judge(lab, |task| match &program {
        Err(failure) => Finding::error(format!("{failure:#}")),
        Ok(Program::Broken(finding)) if task.compiles => finding.clone(),
        Ok(Program::Broken(_)) => Finding::fail("it does not compile"),
        Ok(Program::Compiled(_)) if task.compiles => Finding::pass(),
        Ok(Program::Compiled(bytes)) => workshop
            .try_task(task, bytes, &lab.about.limits, seed)
            .unwrap_or_else(error),
    })
}

fn error(error: anyhow::Error) -> Finding {
    Finding::error(format!("{error:#}"))
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
