//! A lab as its folder describes it: `lab.toml` and `checks.toml`.
//!
//! ```text
//! labs/NN-topic/
//!   lab.toml      id, title, kind, minutes, difficulty, points, needs, what is handed in, limits
//!   task.md       what the learner reads
//!   starter/      what `labs start` copies
//!   checks.toml   the tasks
//!   harness.rs    build it only: the trusted program around the learner's file
//!   solution/     the answer, or solution.toml with the file of the engine that is the answer
//!   wrong/NAME/   wrong answers, each with expect.toml: the tasks that fail, and a part of the message
//! ```
//!
//! Unknown keys are errors: a misspelt key in a check would make it check less.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// A lab, read and checked for consistency.
#[derive(Clone, Debug)]
pub struct Lab {
    /// Its folder.
    pub folder: PathBuf,
    /// What `lab.toml` says.
    pub about: About,
    /// The tasks, each after those that it needs.
    pub tasks: Vec<Task>,
}

/// `lab.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The name of the folder.
    pub id: String,
    /// One line.
    pub title: String,
    /// What is judged.
    pub kind: Kind,
    /// How long a learner needs.
    pub minutes: u32,
    /// How hard it is for the learner that the book has in mind.
    pub difficulty: Difficulty,
    /// The sum of the tasks' points.
    pub points: u32,
    /// Labs that should be done before.
    pub needs: Vec<String>,
    /// The file that is handed in.
    pub submission: String,
    /// What a submission may use.
    #[serde(default)]
    pub limits: Limits,
    /// Use it only: the images that handed-in commands may use.
    #[serde(default)]
    pub images: Vec<String>,
}

/// What is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The state of an engine.
    Use,
    /// The behaviour of a program.
    Build,
}

/// How hard a lab is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Difficulty {
    Easy,
    Medium,
    Hard,
}

/// What a submission may use. The report repeats them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The size of the handed-in file.
    pub submission_bytes: u64,
    /// Wall time of the compiler.
    pub compile_seconds: u64,
    /// Memory of the compiler.
    pub compile_memory_bytes: u64,
    /// Memory of the program, its scratch files included.
    pub run_memory_bytes: u64,
    /// Processes and threads at one time.
    pub processes: u32,
    /// What the program may print on each of its two streams.
    pub output_bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            submission_bytes: 64 << 10,
            compile_seconds: 60,
            compile_memory_bytes: 1 << 30,
            run_memory_bytes: 64 << 20,
            processes: 64,
            output_bytes: 1 << 20,
        }
    }
}

/// One thing to do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Its name on the command line and in results.
    pub id: String,
    /// One line.
    pub title: String,
    /// What it is worth.
    pub points: u32,
    /// Tasks of this lab without which this one is not tried.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Use it: how long a state that is not there yet is waited for, in seconds. Build it: wall time of the
    /// program.
    #[serde(default)]
    pub timeout: u64,
    /// Where to read more.
    pub help: String,
    /// Three hints, from a nudge to nearly the answer.
    pub hints: [String; 3],
    /// Use it: what must be true, all of it.
    #[serde(default)]
    pub assert: Vec<Assert>,
    /// Build it: whether this is the task that the file compiles.
    #[serde(default)]
    pub compiles: bool,
    /// Build it: inputs, and what must come out.
    #[serde(default)]
    pub case: Vec<Case>,
    /// Build it: how often each case runs, every time with other values.
    #[serde(default = "once")]
    pub repeat: u32,
}

fn once() -> u32 {
    1
}

/// One condition on a container.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "RawAssert")]
pub struct Assert {
    /// The container's name.
    pub container: String,
    /// The condition.
    pub condition: Condition,
    /// What the learner reads if it does not hold.
    pub message: String,
}

/// What can be asked of a container.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// A field of `inspect`, as `State.ExitCode`, has one of these values.
    OneOf {
        /// The field's path.
        field: String,
        /// The accepted values.
        values: Vec<serde_json::Value>,
    },
    /// A field of `inspect` is a number and not below this one.
    AtLeast {
        /// The field's path.
        field: String,
        /// The smallest accepted value.
        minimum: i64,
    },
    /// The engine remembers an event of this container with these attributes.
    Event {
        /// The event's action, as `kill`.
        action: String,
        /// Attributes that it must have, as `signal = "9"`.
        attributes: BTreeMap<String, String>,
    },
    /// The container was seen, and is no more.
    Gone,
}

/// An assert as it is written: the keys say which condition it is. (An untagged enum would do, but serde
/// accepts unknown keys there, and a misspelt `attributes` would be no check at all.)
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAssert {
    container: String,
    message: String,
    field: Option<String>,
    one_of: Option<Vec<serde_json::Value>>,
    at_least: Option<i64>,
    event: Option<String>,
    attributes: Option<BTreeMap<String, String>>,
    gone: Option<bool>,
}

impl TryFrom<RawAssert> for Assert {
    type Error = String;

    fn try_from(raw: RawAssert) -> Result<Assert, String> {
        let condition = match (
            raw.field,
            raw.one_of,
            raw.at_least,
            raw.event,
            raw.attributes,
            raw.gone,
        ) {
            (Some(field), Some(values), None, None, None, None) => {
                Condition::OneOf { field, values }
            }
            (Some(field), None, Some(minimum), None, None, None) => {
                Condition::AtLeast { field, minimum }
            }
            (None, None, None, Some(action), attributes, None) => Condition::Event {
                action,
                attributes: attributes.unwrap_or_default(),
            },
            (None, None, None, None, None, Some(true)) => Condition::Gone,
            _ => {
                return Err(format!(
                    "an assert about {} is neither field and one_of, nor field and at_least, nor event, nor gone",
                    raw.container
                ));
            }
        };
        Ok(Assert {
            container: raw.container,
            condition,
            message: raw.message,
        })
    }
}

/// One input of a program and what must come out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The input; may have placeholders (see [`crate::variants`]).
    pub input: String,
    /// What a valid input means, field by field; absent fields must be absent.
    #[serde(default)]
    pub gives: Option<BTreeMap<String, String>>,
    /// The input must be refused.
    #[serde(default)]
    pub refused: bool,
    /// Why so, for the learner who got it wrong.
    pub because: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Checks {
    task: Vec<Task>,
}

impl Lab {
    /// Reads a lab's folder.
    pub fn load(folder: &Path) -> Result<Lab> {
        let about: About = read_toml(&folder.join("lab.toml"))?;
        let checks: Checks = read_toml(&folder.join("checks.toml"))?;
        let lab = Lab {
            folder: folder.to_path_buf(),
            about,
            tasks: checks.task,
        };
        lab.check_consistency()
            .with_context(|| format!("the lab in {} is not well-formed", folder.display()))?;
        Ok(lab)
    }

    /// The task of that name.
    pub fn task(&self, id: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == id)
    }

    fn check_consistency(&self) -> Result<()> {
        let folder_name = self.folder.file_name().and_then(|name| name.to_str());
        if folder_name != Some(self.about.id.as_str()) {
            bail!("its id `{}` is not its folder's name", self.about.id);
        }
        let sum: u32 = self.tasks.iter().map(|task| task.points).sum();
        if sum != self.about.points {
            bail!(
                "points = {}, but the tasks' sum is {sum}",
                self.about.points
            );
        }
        for (index, task) in self.tasks.iter().enumerate() {
            let earlier = &self.tasks[..index];
            if earlier.iter().any(|other| other.id == task.id) {
                bail!("two tasks are named `{}`", task.id);
            }
            for need in &task.needs {
                if !earlier.iter().any(|other| other.id == *need) {
                    bail!("task `{}` needs `{need}`, which is not before it", task.id);
                }
            }
            self.check_kind(task)?;
        }
        Ok(())
    }

    fn check_kind(&self, task: &Task) -> Result<()> {
        let id = &task.id;
        let fits = match self.about.kind {
            Kind::Use => !task.assert.is_empty() && task.case.is_empty() && !task.compiles,
            Kind::Build => task.assert.is_empty() && task.compiles == task.case.is_empty(),
        };
        if !fits {
            bail!("task `{id}` checks nothing, or something of the other kind of lab");
        }
        for case in &task.case {
            if case.refused == case.gives.is_some() {
                bail!(
                    "task `{id}`, `{}`: say either `gives` or `refused`",
                    case.input
                );
            }
        }
        Ok(())
    }
}

fn read_toml<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lab(points: u32, checks: &str) -> Result<Lab> {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("09-test");
        fs::create_dir(&folder).unwrap();
        let about = format!(
            "id = '09-test'\ntitle = 't'\nkind = 'use'\nminutes = 1\ndifficulty = 'easy'\n\
             points = {points}\nneeds = []\nsubmission = 'answers.toml'\n"
        );
        fs::write(folder.join("lab.toml"), about).unwrap();
        fs::write(folder.join("checks.toml"), checks).unwrap();
        Lab::load(&folder)
    }

    fn task(id: &str, rest: &str) -> String {
        format!(
            "[[task]]\nid = '{id}'\ntitle = 't'\npoints = 1\nhelp = 'h'\nhints = ['a', 'b', 'c']\n{rest}\n"
        )
    }

    const ASSERT: &str =
        "assert = [{ container = 'c', field = 'State.ExitCode', one_of = [0], message = 'm' }]";

    #[test]
    fn a_consistent_lab_is_read() {
        let needs = format!("needs = ['a']\n{ASSERT}");
        let lab = lab(2, &(task("a", ASSERT) + &task("b", &needs))).unwrap();
        assert!(matches!(
            lab.tasks[0].assert[0].condition,
            Condition::OneOf { .. }
        ));
        assert_eq!(lab.task("b").unwrap().needs, ["a"]);
    }

    #[test]
    fn an_inconsistent_lab_is_refused() {
        let refused = |points, checks: String, part: &str| {
            let error = format!("{:#}", lab(points, &checks).unwrap_err());
            assert!(error.contains(part), "{error}");
        };
        refused(3, task("a", ASSERT), "sum is 1");
        refused(2, task("a", ASSERT) + &task("a", ASSERT), "two tasks");
        refused(
            1,
            task("a", &format!("needs = ['b']\n{ASSERT}")),
            "not before",
        );
        refused(1, task("a", ""), "checks nothing");
        refused(
            1,
            task("a", &format!("tmeout = 3\n{ASSERT}")),
            "unknown field",
        );
        let nothing = ASSERT.replace("one_of = [0], ", "");
        refused(1, task("a", &nothing), "is neither field and one_of");
        let misspelt = ASSERT.replace("one_of", "on_of");
        refused(1, task("a", &misspelt), "unknown field");
    }
}
