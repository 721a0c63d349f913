//! The program around a learner's `reference.rs`: reads inputs, has them parsed, writes the answers.
//!
//! It runs in a sandbox together with the learner's code and knows no right answers. See the grader's
//! `questions` module for the lines that go in and out.

#[path = "reference.rs"]
mod submission;

use std::io::{BufRead, Write};
use std::panic;

fn main() {
    let mut lines = std::io::stdin().lock().lines().map_while(Result::ok);
    let nonce = lines.next().unwrap_or_default();
    for (index, line) in lines.enumerate() {
        let input = String::from_utf8(from_hexadecimal(&line)).unwrap_or_default();
        let answer = panic::catch_unwind(|| answer(&input));
        let answer = answer.unwrap_or_else(|_| "panicked".to_string());
        // In one piece and at once: the next input may be one that ends the program.
        let mut stdout = std::io::stdout().lock();
        let _ = writeln!(stdout, "\n{nonce} {index} {answer}");
        let _ = stdout.flush();
    }
}

fn answer(input: &str) -> String {
    let Ok(reference) = submission::Reference::parse(input) else {
        return "refused".to_string();
    };
    let mut answer = "given".to_string();
    let mut field = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            answer.push_str(&format!(" {name}={}", to_hexadecimal(value)));
        }
    };
    field("domain", Some(reference.domain()));
    field("path", Some(reference.path()));
    field("tag", reference.tag());
    field("digest", reference.digest());
    answer
}

fn to_hexadecimal(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hexadecimal(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .filter_map(|number| u8::from_str_radix(text.get(2 * number..2 * number + 2)?, 16).ok())
        .collect()
}
