//! The questions that a program is asked, its answers, and what is right.
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

use std::collections::BTreeMap;

use anyhow::Result;

use crate::digest;
use crate::lab::{Case, Task};
use crate::sandbox::{End, Outcome};
use crate::variants::Variants;
use crate::verdict::Finding;

/// How much of a compiler's or a program's text a learner is shown.
const SHOWN_BYTES: usize = 2000;

/// One run's questions, in the author's order, and the order in which they are asked.
pub struct Questions {
    questions: Vec<Question>,
    order: Vec<usize>,
}

impl Questions {
    /// The questions of a task under a seed.
    pub fn new(task: &Task, seed: u64) -> Result<Questions> {
        let questions = questions(task, seed)?;
        let mut order: Vec<usize> = (0..questions.len()).collect();
        order.sort_by_key(|number| digest::of_bytes(format!("{seed} {number}").as_bytes()));
        Ok(Questions { questions, order })
    }

    /// What goes to the program's stdin.
    pub fn input(&self, nonce: &str) -> String {
        let mut input = format!("{nonce}\n");
        for number in &self.order {
            input.push_str(&hexadecimal(self.questions[*number].input.as_bytes()));
            input.push('\n');
        }
        input
    }

    /// Judges what came back in at most `seconds`.
    pub fn judge(&self, outcome: &Outcome, nonce: &str, seconds: u64) -> Finding {
        Answers::read(outcome, nonce, &self.order, seconds).judge(&self.questions)
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
pub fn shown(bytes: &[u8]) -> String {
    let start = bytes.len().saturating_sub(SHOWN_BYTES);
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
        let questions = Questions {
            questions: questions.into(),
            order: vec![1, 0],
        };
        questions.judge(&outcome, NONCE, 3)
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
