//! Judging a "build it" lab: compile the learner's file in a sandbox, run the program in another one, and
//! compare what it answers with what is right, here, outside of both.
//!
//! The compiler's sandbox gets the trusted harness and the learner's file, and gives back a program. The
//! program's sandbox gets that program and inputs:
//!
//! ```text
//! to stdin       NONCE
//!                input, in hexadecimal digits         one line each, in an order that nobody can foresee
//! from stdout    NONCE INDEX given name=hex name=hex  one line each; INDEX counts inputs from 0
//!                NONCE INDEX refused
//!                NONCE INDEX panicked
//! ```
//!
//! The nonce tells answers from what else the program prints; it does not protect anything, because the
//! learner's code runs in the same process as the harness and could read it. Nothing has to: the only way to
//! a pass is to print the right answers, inputs differ in every run, and the answers are not in there.
//!
//! One run per task, so an endless loop costs the task that found it.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

use crate::engine::Engine;
use crate::lab::{Case, Lab, Limits, Task};
use crate::sandbox::{self, End, Job, Outcome};
use crate::submission::Submission;
use crate::toolchain::Toolchain;
use crate::variants::{self, Variants};
use crate::verdict::Finding;

/// The image in which programs run.
pub const RUN_IMAGE: &str = "busybox:latest";
/// The largest program that is taken from the compiler.
const PROGRAM_BYTES_MAX: u64 = 16 << 20;
/// How much of a compiler's or a program's text a learner is shown.
const SHOWN_BYTES: usize = 2000;

/// What judging programs needs, ready on an engine.
#[derive(Clone, Debug)]
pub struct Workshop {
    engine: Engine,
    toolchain: Toolchain,
    image: String,
}

/// A compiled submission, or why there is none.
#[derive(Clone, Debug)]
pub enum Program {
    /// An executable file.
    Compiled(Vec<u8>),
    /// The submission is at fault.
    Broken(Finding),
}

impl Workshop {
    /// Makes everything ready. `announce` hears about what takes seconds.
    pub fn open(engine: &Engine, announce: &mut dyn FnMut(&str)) -> Result<Workshop> {
        if engine.image(RUN_IMAGE)?.is_none() {
            anyhow::bail!(
                "the engine has no image {RUN_IMAGE}\nhint: `drydock image bootstrap busybox` makes it"
            );
        }
        let toolchain = Toolchain::find()?;
        let image = toolchain.provide(engine, announce)?;
        let workshop = Workshop {
            engine: engine.clone(),
            toolchain,
            image,
        };
        workshop.prove_itself()?;
        Ok(workshop)
    }

    /// Compiles and runs a program of our own. If that fails, the fault is not in any submission.
    fn prove_itself(&self) -> Result<()> {
        let limits = Limits::default();
        let source = b"fn main() { println!(\"ready\") }";
        let outcome = self.run_compiler(source, b"", "none.rs", &limits)?;
        let program = match compiled(outcome, &limits) {
            Program::Compiled(program) => program,
            Program::Broken(finding) => {
                anyhow::bail!("the compiler's image does not work: {}", finding.message)
            }
        };
        let outcome = self.run_program(&program, b"", 10, &limits)?;
        if outcome.end != End::Exited(0) || outcome.stdout != b"ready\n" {
            let stderr = shown(&outcome.stderr);
            anyhow::bail!(
                "a compiled program does not run in {RUN_IMAGE}: {:?} {stderr}",
                outcome.end
            );
        }
        Ok(())
    }

    /// The compiler, for the report.
    pub fn compiler(&self) -> &str {
        &self.toolchain.version
    }

    /// Compiles a submission with the lab's harness.
    pub fn compile(&self, lab: &Lab, submission: &Submission) -> Result<Program> {
        let path = lab.folder.join("harness.rs");
        let harness = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let limits = &lab.about.limits;
        let name = &lab.about.submission;
        let outcome = self.run_compiler(&harness, &submission.bytes, name, limits)?;
        Ok(compiled(outcome, limits))
    }

    fn run_compiler(
        &self,
        harness: &[u8],
        submission: &[u8],
        name: &str,
        limits: &Limits,
    ) -> Result<Outcome> {
        // The two files arrive one behind the other.
        let script =
            "head -c \"$1\" > harness.rs && cat > \"$2\" && shift 2 && \"$@\" >&2 && cat program";
        let mut command = [
            "/bin/sh",
            "-c",
            script,
            "sh",
            &harness.len().to_string(),
            name,
        ]
        .map(str::to_string)
        .to_vec();
        command.extend(self.toolchain.command("harness.rs", "program"));
        sandbox::run(
            &self.engine,
            &Job {
                image: &self.image,
                command,
                environment: self.toolchain.environment(),
                input: &[harness, submission].concat(),
                seconds: limits.compile_seconds,
                memory_bytes: limits.compile_memory_bytes,
                scratch_bytes: 256 << 20,
                processes: limits.processes,
                output_bytes: PROGRAM_BYTES_MAX,
            },
        )
    }

    fn run_program(
        &self,
        program: &[u8],
        input: &[u8],
        seconds: u64,
        limits: &Limits,
    ) -> Result<Outcome> {
        // Not `head`: busybox's reads ahead, and would take a part of the input with it.
        let script = "dd bs=\"$1\" count=1 iflag=fullblock of=program 2>/dev/null && chmod 500 program && exec ./program";
        let command = ["/bin/sh", "-c", script, "sh", &program.len().to_string()];
        sandbox::run(
            &self.engine,
            &Job {
                image: RUN_IMAGE,
                command: command.map(str::to_string).to_vec(),
                environment: vec!["PATH=/bin".to_string(), "LANG=C.UTF-8".to_string()],
                input: &[program, input].concat(),
                seconds,
                memory_bytes: limits.run_memory_bytes,
                scratch_bytes: program.len() as u64 + (1 << 20),
                processes: limits.processes,
                output_bytes: limits.output_bytes,
            },
        )
    }

    /// Runs a program on a task's inputs and judges the answers.
    pub fn try_task(
        &self,
        task: &Task,
        program: &[u8],
        limits: &Limits,
        seed: u64,
    ) -> Result<Finding> {
        let nonce = variants::nonce()?;
        let questions = questions(task, seed)?;
        let mut order: Vec<usize> = (0..questions.len()).collect();
        order.sort_by_key(|index| crate::digest::of_bytes(format!("{seed} {index}").as_bytes()));
        let mut input = format!("{nonce}\n");
        for number in &order {
            input.push_str(&hexadecimal(questions[*number].input.as_bytes()));
            input.push('\n');
        }
        let outcome = self.run_program(program, input.as_bytes(), task.timeout, limits)?;
        Ok(Answers::read(&outcome, &nonce, &order, task.timeout).judge(&questions))
    }
}

fn compiled(outcome: Outcome, limits: &Limits) -> Program {
    let broken = |text: String| Program::Broken(Finding::fail(text));
    match outcome.end {
        End::Exited(0) => Program::Compiled(outcome.stdout),
        End::Exited(_) => broken(format!("it does not compile:\n{}", shown(&outcome.stderr))),
        End::TimedOut => broken(format!(
            "the compiler did not end in {} s",
            limits.compile_seconds
        )),
        End::OutOfMemory => broken(format!(
            "the compiler used more than {} bytes of memory",
            limits.compile_memory_bytes
        )),
        End::TooMuchOutput => broken(format!(
            "the compiler printed, or the program has, more than {PROGRAM_BYTES_MAX} bytes"
        )),
    }
}

/// One input of one run, and what is right.
struct Question {
    input: String,
    /// None: it must be refused.
    right: Option<BTreeMap<String, String>>,
    because: String,
}

/// The questions of a task under a seed, in the author's order.
fn questions(task: &Task, seed: u64) -> Result<Vec<Question>> {
    let mut questions = Vec::new();
    for repetition in 0..task.repeat {
        for (number, case) in task.case.iter().enumerate() {
            let variants = Variants::new(seed, format!("{} {number} {repetition}", task.id));
            // Without a placeholder, every repetition would be the same.
            if repetition == 0 || case.input.contains('{') {
                questions.push(question(case, &variants)?);
            }
        }
    }
    Ok(questions)
}

fn question(case: &Case, variants: &Variants) -> Result<Question> {
    let right = match &case.gives {
        None => None,
        Some(fields) => Some(
            fields
                .iter()
                .map(|(name, value)| Ok((name.clone(), variants.expand(value)?)))
                .collect::<Result<_>>()?,
        ),
    };
    Ok(Question {
        input: variants.expand(&case.input)?,
        right,
        because: case.because.clone(),
    })
}

/// An answer of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Given(BTreeMap<String, String>),
    Refused,
    Panicked,
    /// A line with our nonce that is no answer, or a second answer.
    Nonsense,
}

/// What a run gave: answers by the question's number, and how it ended.
struct Answers {
    by_question: BTreeMap<usize, Answer>,
    order: Vec<usize>,
    /// Why the program is at fault even if all answers are right.
    fault: Option<String>,
}

impl Answers {
    fn read(outcome: &Outcome, nonce: &str, order: &[usize], seconds: u64) -> Answers {
        let mut by_question = BTreeMap::new();
        for line in String::from_utf8_lossy(&outcome.stdout).lines() {
            let Some(answer) = line.strip_prefix(nonce) else {
                continue;
            };
            let (index, answer) = parse_answer(answer);
            let Some(question) = index.and_then(|index| order.get(index)) else {
                continue;
            };
            by_question
                .entry(*question)
                .and_modify(|earlier| *earlier = Answer::Nonsense)
                .or_insert(answer);
        }
        let fault = match outcome.end {
            End::Exited(0) => None,
            End::Exited(code) => Some(format!("your program ended with exit code {code}")),
            End::TimedOut => Some(format!("your program did not end in {seconds} s")),
            End::TooMuchOutput => Some("your program printed more than it may".to_string()),
            End::OutOfMemory => Some("your program used more memory than it may".to_string()),
        };
        let fault = fault.map(|text| match shown(&outcome.stderr) {
            stderr if stderr.is_empty() => text,
            stderr => format!("{text}; it wrote:\n{stderr}"),
        });
        Answers {
            by_question,
            order: order.to_vec(),
            fault,
        }
    }

    fn judge(&self, questions: &[Question]) -> Finding {
        // A wrong answer teaches more than a missing one.
        for (number, question) in questions.iter().enumerate() {
            if let Some(answer) = self.by_question.get(&number)
                && let Some(finding) = judge_answer(question, answer)
            {
                return finding;
            }
        }
        // The program answers in the order in which it was asked.
        let silent = self
            .order
            .iter()
            .find(|number| !self.by_question.contains_key(number));
        match (silent, &self.fault) {
            (Some(number), fault) => {
                let input = quoted(&questions[*number].input);
                Finding::fail(match fault {
                    Some(fault) => format!("no answer for {input}: {fault}"),
                    None => format!("no answer for {input}: your program ended before it"),
                })
            }
            (None, Some(fault)) => Finding::fail(format!("all answers are right, but {fault}")),
            (None, None) => Finding::pass(),
        }
    }
}

/// ` INDEX kind name=hex …`; the nonce is cut off already.
fn parse_answer(line: &str) -> (Option<usize>, Answer) {
    let mut words = line.split_whitespace();
    let index = words.next().and_then(|word| word.parse().ok());
    let answer = match words.next() {
        Some("refused") => Answer::Refused,
        Some("panicked") => Answer::Panicked,
        Some("given") => words
            .map(|word| {
                let (name, value) = word.split_once('=')?;
                let value = String::from_utf8_lossy(&from_hexadecimal(value)?).into_owned();
                Some((name.to_string(), value))
            })
            .collect::<Option<_>>()
            .map_or(Answer::Nonsense, Answer::Given),
        _ => Answer::Nonsense,
    };
    (index, answer)
}

/// None if the answer is right.
fn judge_answer(question: &Question, answer: &Answer) -> Option<Finding> {
    let is_right = match (answer, &question.right) {
        (Answer::Given(fields), Some(right)) => fields == right,
        (Answer::Refused, None) => true,
        _ => false,
    };
    if is_right {
        return None;
    }
    let input = quoted(&question.input);
    let expected = question
        .right
        .as_ref()
        .map_or("refused".to_string(), fields);
    let actual = match answer {
        Answer::Given(answer) => fields(answer),
        Answer::Refused => "refused".to_string(),
        Answer::Panicked => "a panic".to_string(),
        Answer::Nonsense => "more than one answer, or none that can be read".to_string(),
    };
    let finding = Finding::fail(format!("wrong answer for {input}: {}", question.because));
    Some(finding.with_difference(expected, actual))
}

fn fields(fields: &BTreeMap<String, String>) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{} {}", clean(name), quoted(value)))
        .collect();
    fields.join(", ")
}

/// A value between backticks, cut where it is long.
fn quoted(text: &str) -> String {
    let clean = clean(text);
    match clean.char_indices().nth(100) {
        None => format!("`{clean}`"),
        Some((end, _)) => format!("`{}…` ({} bytes)", &clean[..end], text.len()),
    }
}

/// The end of a text from a sandbox, for people.
fn shown(bytes: &[u8]) -> String {
    let start = bytes.len().saturating_sub(SHOWN_BYTES);
    // From the start for a compiler, whose first error counts, would be right too; its text is rarely cut.
    clean(&String::from_utf8_lossy(&bytes[start..]))
        .trim()
        .to_string()
}

/// Without control characters: a submission's text must not drive the terminal of who reads it.
fn clean(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            '\n' => letter,
            _ if letter.is_control() => char::REPLACEMENT_CHARACTER,
            _ => letter,
        })
        .collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|start| u8::from_str_radix(&text[start..start + 2], 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "0123";

    fn ask(stdout: &str, end: End) -> Finding {
        let question = |input: &str, right: Option<&str>| Question {
            input: input.to_string(),
            right: right.map(|path| BTreeMap::from([("path".to_string(), path.to_string())])),
            because: "so it is".to_string(),
        };
        let questions = [question("one", Some("a/one")), question("two", None)];
        let outcome = Outcome {
            end,
            stdout: stdout.as_bytes().to_vec(),
            stderr: b"bell \x07".to_vec(),
        };
        // The second question is asked first.
        Answers::read(&outcome, NONCE, &[1, 0], 3).judge(&questions)
    }

    const RIGHT: &str = "0123 0 refused\n0123 1 given path=612f6f6e65\n";

    #[test]
    fn right_answers_pass_whatever_else_is_printed() {
        assert_eq!(ask(RIGHT, End::Exited(0)), Finding::pass());
        let noisy = format!("all passed\n{RIGHT}99 0 refused\n");
        assert_eq!(ask(&noisy, End::Exited(0)), Finding::pass());
    }

    #[test]
    fn wrong_answers_fail_with_the_difference() {
        let finding = ask(
            "0123 0 refused\n0123 1 given path=6f6e65 tag=78\n",
            End::Exited(0),
        );
        assert_eq!(finding.message, "wrong answer for `one`: so it is");
        let difference = finding.difference.unwrap();
        assert_eq!(difference.expected, "path `a/one`");
        assert_eq!(difference.actual, "path `one`, tag `x`");
        let finding = ask(&RIGHT.replace("refused", "panicked"), End::Exited(0));
        assert_eq!(finding.difference.unwrap().actual, "a panic");
    }

    #[test]
    fn claims_are_not_answers() {
        for claim in [
            "",
            "all passed",
            "0123 pass",
            "0123 0 pass",
            "0123 given",
            "0124 0 refused",
        ] {
            let finding = ask(claim, End::Exited(0));
            assert_eq!(finding.verdict, crate::verdict::Verdict::Fail, "{claim}");
        }
    }

    #[test]
    fn every_answer_counts_once() {
        let twice = format!("0123 0 given path=612f6f6e65\n{RIGHT}");
        assert!(ask(&twice, End::Exited(0)).message.contains("`two`"));
    }

    #[test]
    fn a_program_that_does_not_end_well_fails() {
        let finding = ask("0123 0 refused\n", End::TimedOut);
        assert_eq!(
            finding.message,
            "no answer for `one`: your program did not end in 3 s; it wrote:\nbell \u{fffd}"
        );
        assert!(ask(RIGHT, End::Exited(1)).message.contains("exit code 1"));
        assert!(ask(RIGHT, End::OutOfMemory).message.contains("memory"));
    }
}
