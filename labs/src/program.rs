//! Judging a "build it" lab: compile the learner's file in a sandbox, run the program in another one, and
//! compare what it answers with what is right, here, outside of both.
//!
//! The compiler's sandbox gets the trusted harness and the learner's file, and gives back a program. The
//! program's sandbox gets that program and inputs; see [`crate::questions`] for what goes in and out.
//!
//! One run per task, so an endless loop costs the task that found it.

use std::fs;

use anyhow::{Context, Result};

use crate::engine::Engine;
use crate::lab::{Lab, Limits, Task};
use crate::questions::{Questions, shown};
use crate::sandbox::{self, End, Job, Outcome};
use crate::submission::Submission;
use crate::toolchain::Toolchain;
use crate::variants;
use crate::verdict::Finding;

/// The image in which programs run.
pub const RUN_IMAGE: &str = "busybox:latest";
/// The largest program that is taken from the compiler.
const PROGRAM_BYTES_MAX: u64 = 16 << 20;
/// How much of the compiler's text a learner is shown.
const COMPILER_BYTES_SHOWN: usize = 2000;

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
        let questions = Questions::new(task, seed)?;
        let input = questions.input(&nonce);
        let outcome = self.run_program(program, input.as_bytes(), task.timeout, limits)?;
        Ok(questions.judge(&outcome, &nonce, task.timeout))
    }
}

fn compiled(outcome: Outcome, limits: &Limits) -> Program {
    let broken = |text: String| Program::Broken(Finding::fail(text));
    match outcome.end {
        End::Exited(0) => Program::Compiled(outcome.stdout),
        // The first error counts; the others often follow from it.
        End::Exited(_) => broken(format!(
            "it does not compile:\n{}",
            shown(&outcome.stderr[..outcome.stderr.len().min(COMPILER_BYTES_SHOWN)])
        )),
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
