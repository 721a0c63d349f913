//! What the commands of `labs` print. Results go to stdout, all else to stderr.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::catalogue::Catalogue;
use crate::engine::Engine;
use crate::grade::{self, Place};
use crate::judge::{self, TaskResult};
use crate::lab::{Kind, Lab};
use crate::progress::Progress;
use crate::results::Results;
use crate::verdict::{Verdict, exit_code};
use crate::{variants, workspace};

/// Where a command works: the labs, the folder it was called in, and where its output goes.
pub struct Session<'a> {
    /// All labs.
    pub catalogue: &'a Catalogue,
    /// The folder.
    pub here: &'a Path,
    /// `-H`, if it was given.
    pub host: Option<&'a str>,
    /// stdout.
    pub output: &'a mut dyn Write,
}

/// Says something to the person, not to the pipe.
#[allow(clippy::print_stderr)]
pub fn announce(text: &str) {
    eprintln!("{text}");
}

impl Session<'_> {
    /// `labs list`
    pub fn list(&mut self) -> Result<u8> {
        for lab in &self.catalogue.labs {
            let about = &lab.about;
            let kind = match about.kind {
                Kind::Use => "use it",
                Kind::Build => "build it",
            };
            let difficulty = format!("{:?}", about.difficulty).to_lowercase();
            writeln!(
                self.output,
                "{:<40} {:<8} {:>3} min  {:<6} {:>3} points  {}",
                about.id, kind, about.minutes, difficulty, about.points, about.title
            )?;
        }
        Ok(0)
    }

    /// `labs start LAB`
    pub fn start(&mut self, name: &str) -> Result<u8> {
        let lab = self.catalogue.find(name)?;
        let folder = workspace::start(lab, self.here)?;
        writeln!(self.output, "{}", folder.display())?;
        announce(&format!(
            "read {}, then check your work with `labs check`",
            folder.join(workspace::TASK_FILE).display()
        ));
        let progress = Progress::new(&lab.about.id);
        if let Some(task) = next_task(lab, &progress) {
            announce(&format!("first task: {}: {}", task.id, task.title));
        }
        Ok(0)
    }

    /// `labs check [LAB]`
    pub fn check(&mut self, name: Option<&str>) -> Result<u8> {
        let (lab, folder) = workspace::find(self.catalogue, name, self.here)?;
        let mut progress = Progress::read(&folder)?;
        let engine = Engine::find(self.host)?;
        let seed = variants::random()?;
        announce(&format!("checking {} …", lab.about.id));
        let seen = &mut progress.seen;
        let results = grade::check(lab, &folder, &engine, seen, seed, &mut announce);
        let results = results.map_err(|error| error.context(Infrastructure))?;
        progress.record(&results);
        progress.write(&folder)?;
        self.print_results(lab, &results)?;
        if let Some(result) = results
            .iter()
            .find(|result| result.verdict == Verdict::Fail)
        {
            announce(&format!(
                "hint: `labs hint {} {}` helps with the first task that is not done",
                lab.about.id, result.id
            ));
        }
        Ok(exit_code(results.iter().map(|result| result.verdict)))
    }

    fn print_results(&mut self, lab: &Lab, results: &[TaskResult]) -> Result<()> {
        writeln!(self.output, "{}: {}", lab.about.id, lab.about.title)?;
        for result in results {
            writeln!(
                self.output,
                "  {:<8}{:<20} {}/{}  {}",
                result.verdict, result.id, result.points, result.points_max, result.title
            )?;
            for line in result.message.lines() {
                writeln!(self.output, "          {line}")?;
            }
            if let Some(difference) = &result.difference {
                writeln!(self.output, "          expected: {}", difference.expected)?;
                writeln!(self.output, "          actual:   {}", difference.actual)?;
            }
        }
        writeln!(
            self.output,
            "{} of {} points",
            judge::points(results),
            lab.about.points
        )?;
        Ok(())
    }

    /// `labs hint [LAB [TASK]]`
    pub fn hint(&mut self, name: Option<&str>, task: Option<&str>) -> Result<u8> {
        let (lab, folder) = workspace::find(self.catalogue, name, self.here)?;
        let mut progress = Progress::read(&folder)?;
        let task = match task {
            Some(id) => lab.task(id).with_context(|| {
                let ids: Vec<&str> = lab.tasks.iter().map(|task| task.id.as_str()).collect();
                format!(
                    "no task `{id}` in lab {}\nhint: there are {}",
                    lab.about.id,
                    ids.join(", ")
                )
            })?,
            None => match next_task(lab, &progress) {
                Some(task) => task,
                None => bail!("every task of lab {} is done", lab.about.id),
            },
        };
        let used = &mut progress.tasks.entry(task.id.clone()).or_default().hints;
        let number = (*used).min(task.hints.len() - 1);
        *used = number + 1;
        progress.write(&folder)?;
        writeln!(self.output, "{}: {}", task.id, task.title)?;
        writeln!(
            self.output,
            "hint {} of {}: {}",
            number + 1,
            task.hints.len(),
            task.hints[number]
        )?;
        if number + 1 == task.hints.len() {
            writeln!(self.output, "read more: {}", task.help)?;
        }
        Ok(0)
    }

    /// `labs status`
    pub fn status(&mut self) -> Result<u8> {
        let started = workspace::working_folders(self.catalogue, self.here)?;
        for lab in &self.catalogue.labs {
            let folder = started
                .iter()
                .find(|(other, _)| other.about.id == lab.about.id);
            let Some((_, folder)) = folder else {
                writeln!(self.output, "{:<40} not started here", lab.about.id)?;
                continue;
            };
            let progress = Progress::read(folder)?;
            let passed = lab.tasks.iter().filter(|task| progress.is_done(&task.id));
            let points: u32 = passed.clone().map(|task| task.points).sum();
            let hints: usize = progress.tasks.values().map(|task| task.hints).sum();
            writeln!(
                self.output,
                "{:<40} {} of {} tasks, {points} of {} points, {hints} hints used",
                lab.about.id,
                passed.count(),
                lab.tasks.len(),
                lab.about.points
            )?;
        }
        Ok(0)
    }

    /// `labs reset LAB`
    pub fn reset(&mut self, name: &str) -> Result<u8> {
        let lab = self.catalogue.find(name)?;
        // Not by its progress file, which may be what is broken.
        let inside = self.here.file_name().and_then(|name| name.to_str());
        let folder = match inside {
            Some(folder) if folder == lab.about.id => self.here.to_path_buf(),
            _ => self.here.join(&lab.about.id),
        };
        if !folder.is_dir() {
            bail!(
                "no working folder of lab {} here\nhint: `labs start {}` makes one",
                lab.about.id,
                lab.about.id
            );
        }
        for kept in workspace::reset(lab, &folder)? {
            announce(&format!("your file is kept as {}", kept.display()));
        }
        announce(&format!("{} is as at the start", folder.display()));
        Ok(0)
    }

    /// `labs grade DIR`
    pub fn grade(&mut self, request: &GradeRequest<'_>) -> Result<u8> {
        let lab = self.lab_to_grade(request)?;
        let is_shared = request.shared.unwrap_or(lab.about.kind == Kind::Build);
        let place = if is_shared {
            let engine = Engine::find(self.host)?;
            engine
                .identity()
                .map_err(|error| error.context(Infrastructure))?;
            Place::Shared(engine)
        } else {
            Place::Fresh
        };
        let seed = request.seed.map_or_else(variants::random, Ok)?;
        let results = grade::grade(lab, request.folder, &place, seed, &mut announce)?;
        if let Some(path) = request.out {
            results
                .write(path)
                .map_err(|error| error.context(Infrastructure))?;
        }
        self.print_grades(&results)?;
        Ok(results.exit_code())
    }

    fn lab_to_grade(&self, request: &GradeRequest<'_>) -> Result<&Lab> {
        let folder = request
            .folder
            .canonicalize()
            .with_context(|| format!("cannot read {}", request.folder.display()))?;
        let own_name = folder.file_name().and_then(|name| name.to_str());
        match (request.lab, own_name) {
            (Some(name), _) => self.catalogue.find(name),
            // The grader's choice, never the submission's: a learner could name an easier lab.
            (None, Some(name)) if self.catalogue.find(name).is_ok() => self.catalogue.find(name),
            (None, _) => bail!(
                "which lab are these submissions for?\nhint: say `--lab LAB`, or name the folder as the lab"
            ),
        }
    }

    fn print_grades(&mut self, results: &Results) -> Result<()> {
        for submission in &results.submissions {
            let state = if submission.complete {
                ""
            } else {
                "  (incomplete: an error)"
            };
            writeln!(
                self.output,
                "{:<30} {:>3} of {}{state}",
                submission.name, submission.points, results.lab.points_max
            )?;
            let mut last = "";
            for task in &submission.tasks {
                // A skipped task follows from another; one reason for all tasks is said once.
                let says_something = matches!(task.verdict, Verdict::Fail | Verdict::Error);
                let message = task.message.lines().next().unwrap_or_default();
                if says_something && message != last {
                    writeln!(
                        self.output,
                        "  {:<8}{:<20} {message}",
                        task.verdict, task.id
                    )?;
                    last = message;
                }
            }
        }
        Ok(())
    }
}

/// What `labs grade` was asked for.
pub struct GradeRequest<'a> {
    /// The folder of submissions.
    pub folder: &'a Path,
    /// The lab; else the folder's name says it.
    pub lab: Option<&'a str>,
    /// Where the document goes.
    pub out: Option<&'a Path>,
    /// The seed; else one that nobody can foresee.
    pub seed: Option<u64>,
    /// On the engine that is there, or on fresh ones; else what fits the lab.
    pub shared: Option<bool>,
}

/// Marks an error as one of the engine or the host: exit code 3 instead of 2.
#[derive(Clone, Copy, Debug)]
pub struct Infrastructure;

impl std::fmt::Display for Infrastructure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("nothing could be checked")
    }
}

/// The first task that is not done.
fn next_task<'a>(lab: &'a Lab, progress: &Progress) -> Option<&'a crate::lab::Task> {
    lab.tasks.iter().find(|task| !progress.is_done(&task.id))
}
