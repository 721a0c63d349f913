//! Running scenarios and reporting on each step.
//!
//! A step that fails does not stop the scenario: the commands after it often clean up. A step that took too
//! long, or that ended the shell, does: the rest is reported as not run.

use std::io;
use std::time::{Duration, Instant};

use crate::compare;
use crate::control::Exchange;
use crate::page::{Block, Page, Scenario, Step};
use crate::session::{Ended, Environment, Outcome, Session};

/// How to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The time that a command gets where its block says nothing.
    pub timeout: Duration,
    /// The name that `only="…"` of a block is compared with. Nothing: such blocks run everywhere.
    pub rig: Option<String>,
    /// The helpers that `needs="…"` of a block is compared with.
    pub helpers: Vec<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            timeout: Duration::from_secs(30),
            rig: None,
            helpers: Vec::new(),
        }
    }
}

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Output and status are as expected.
    Passed,
    /// Something differs; the text says what, and shows it.
    Failed(String),
    /// The block is not meant to run here, with the reason.
    Skipped(String),
    /// A step before it ended the shell.
    NotRun,
}

/// One step and what came of it.
#[derive(Clone, Debug)]
#[must_use = "a report holds the failures"]
pub struct StepReport {
    /// The step as it was written.
    pub step: Step,
    /// The output, cleaned as described in the crate's documentation, a line each.
    pub output: Vec<String>,
    /// The exit status, where there was one.
    pub status: Option<i32>,
    /// What it came to.
    pub verdict: Verdict,
    /// How long it took.
    pub elapsed: Duration,
}

/// One scenario and what came of it.
#[derive(Clone, Debug)]
#[must_use = "a report holds the failures"]
pub struct ScenarioReport {
    /// The page's name.
    pub page: String,
    /// The scenario's title.
    pub title: String,
    /// The line of its heading.
    pub line: usize,
    /// Its steps in order.
    pub steps: Vec<StepReport>,
    /// How long it took as a whole.
    pub elapsed: Duration,
}

impl ScenarioReport {
    /// Whether no step failed. A scenario of which every step was skipped has not passed.
    pub fn passed(&self) -> bool {
        let fine =
            |step: &StepReport| matches!(step.verdict, Verdict::Passed | Verdict::Skipped(_));
        self.steps.iter().all(fine)
            && self
                .steps
                .iter()
                .any(|step| step.verdict == Verdict::Passed)
    }

    /// The reason, when every step was skipped.
    pub fn skipped(&self) -> Option<&str> {
        let mut reasons = self.steps.iter().map(|step| match &step.verdict {
            Verdict::Skipped(reason) => Some(reason.as_str()),
            _ => None,
        });
        let first = reasons.next()??;
        reasons.all(|reason| reason.is_some()).then_some(first)
    }

    /// The steps that failed.
    pub fn failures(&self) -> impl Iterator<Item = &StepReport> {
        self.steps
            .iter()
            .filter(|step| matches!(step.verdict, Verdict::Failed(_)))
    }

    /// All failures as text for a person, each with its page, line and command. Empty when nothing failed.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for step in self.failures() {
            if let Verdict::Failed(why) = &step.verdict {
                text.push_str(&format!(
                    "{}:{}: {}\n",
                    self.page, step.step.line, self.title
                ));
                text.push_str(&format!(
                    "    $ {}\n{why}",
                    step.step.command.replace('\n', "\n    > ")
                ));
            }
        }
        let not_run = self
            .steps
            .iter()
            .filter(|step| step.verdict == Verdict::NotRun)
            .count();
        if not_run > 0 {
            text.push_str(&format!("  {not_run} further commands were not run\n"));
        }
        text
    }
}

/// Runs all scenarios of a page in one bash.
///
/// # Errors
/// When bash cannot be started or reached; never because a step fails.
pub fn run_page(
    page: &Page,
    environment: &Environment,
    options: &Options,
) -> io::Result<Vec<ScenarioReport>> {
    let mut session = Session::start(environment)?;
    page.scenarios
        .iter()
        .map(|scenario| run_in(&mut session, &page.name, scenario, options))
        .collect()
}

/// Runs one scenario in a bash of its own.
///
/// # Errors
/// As [`run_page`].
pub fn run_scenario(
    page: &str,
    scenario: &Scenario,
    environment: &Environment,
    options: &Options,
) -> io::Result<ScenarioReport> {
    run_in(&mut Session::start(environment)?, page, scenario, options)
}

fn run_in(
    session: &mut Session,
    page: &str,
    scenario: &Scenario,
    options: &Options,
) -> io::Result<ScenarioReport> {
    let started = Instant::now();
    let mut steps = Vec::new();
    for block in &scenario.blocks {
        run_block(session, block, options, &mut steps)?;
    }
    Ok(ScenarioReport {
        page: page.to_owned(),
        title: scenario.title.clone(),
        line: scenario.line,
        steps,
        elapsed: started.elapsed(),
    })
}

fn run_block(
    session: &mut Session,
    block: &Block,
    options: &Options,
    reports: &mut Vec<StepReport>,
) -> io::Result<()> {
    let skip = skip_reason(block, options);
    let timeout = block.control.timeout.unwrap_or(options.timeout);
    let mut dialogue = block.control.dialogue.clone();
    let last = block.steps.len() - 1;
    for (number, step) in block.steps.iter().enumerate() {
        let mut report = StepReport {
            step: step.clone(),
            output: Vec::new(),
            status: None,
            verdict: Verdict::NotRun,
            elapsed: Duration::ZERO,
        };
        if let Some(reason) = &skip {
            report.verdict = Verdict::Skipped(reason.clone());
        } else if !session.has_ended() {
            let started = Instant::now();
            let mut outcome = if block.control.terminal {
                session.run_on_terminal(&step.command, &mut dialogue, timeout)?
            } else {
                session.run(&step.command, timeout)?
            };
            if number == last {
                outcome.unanswered.append(&mut dialogue);
            }
            report.elapsed = started.elapsed();
            report.output = clean(&outcome.output);
            report.status = match outcome.ended {
                Ended::Status(status) | Ended::ShellEnded(status) => Some(status),
                Ended::TimedOut => None,
            };
            report.verdict = judge(step, &report.output, &outcome, timeout);
        }
        reports.push(report);
    }
    Ok(())
}

fn skip_reason(block: &Block, options: &Options) -> Option<String> {
    if let Some(reason) = &block.control.skip {
        return Some(reason.clone());
    }
    let missing: Vec<&str> = block
        .control
        .needs
        .iter()
        .filter(|need| !options.helpers.contains(need))
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        return Some(format!("this host has no {}", missing.join(" and no ")));
    }
    let rig = options.rig.as_ref()?;
    let only = &block.control.only;
    (!only.is_empty() && !only.contains(rig)).then(|| format!("only for {}", only.join(" and ")))
}

/// Compares what happened with what was expected.
fn judge(step: &Step, output: &[String], outcome: &Outcome, timeout: Duration) -> Verdict {
    let mut why = String::new();
    let difference = compare::difference(&step.expected, output);
    if difference
        .iter()
        .any(|line| !matches!(line, compare::Line::Same(_)))
    {
        why.push_str(&compare::draw(&difference));
    }
    match outcome.ended {
        Ended::Status(status) | Ended::ShellEnded(status) if status == step.status => {}
        Ended::Status(status) => why.push_str(&format!("  - ? {}\n  + ? {status}\n", step.status)),
        Ended::ShellEnded(status) => why.push_str(&format!(
            "  the command ended the shell with status {status}\n"
        )),
        Ended::TimedOut => why.push_str(&format!(
            "  not finished after {timeout:?}; all processes of the page were ended\n"
        )),
    }
    for Exchange { awaited, .. } in &outcome.unanswered {
        why.push_str(&format!("  the text {awaited:?} never came\n"));
    }
    if outcome.truncated {
        why.push_str("  more output than a transcript can hold\n");
    }
    if why.is_empty() {
        Verdict::Passed
    } else {
        Verdict::Failed(why)
    }
}

/// Output as a reader would see it: lines without escape sequences, carriage returns and trailing spaces.
pub fn clean(output: &[u8]) -> Vec<String> {
    let text = strip_escapes(&String::from_utf8_lossy(output)).replace("\r\n", "\n");
    let mut lines: Vec<String> = text
        .split('\n')
        .map(|line| without_line_number(line).trim_end().to_owned())
        .collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// Removes control sequences (ECMA-48 `ESC [ … final`) and other two-character escapes.
fn strip_escapes(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '\x1b' {
            kept.push(character);
        } else if characters.next_if_eq(&'[').is_some() {
            for parameter in characters.by_ref() {
                if ('\x40'..='\x7e').contains(&parameter) {
                    break;
                }
            }
        } else {
            characters.next();
        }
    }
    kept
}

/// `bash: line 7: x: command not found` as a person at a prompt sees it: without the place in a script.
fn without_line_number(line: &str) -> String {
    for prefix in ["bash: line ", "bash: eval: line "] {
        let number_and_rest = line
            .strip_prefix(prefix)
            .and_then(|rest| rest.split_once(": "));
        if let Some((number, rest)) = number_and_rest
            && number.bytes().all(|byte| byte.is_ascii_digit())
        {
            return format!("bash: {rest}");
        }
    }
    line.to_owned()
}

#[cfg(test)]
mod tests;
