//! `conformance defects`: the suite is tested itself.
//!
//! A suite that passes a broken engine proves nothing, and nobody sees that from its passes. So the engine is built
//! with deliberate defects in it (the crate `drydock-defects`), a daemon is started with one of them at a time, and
//! the scenarios that [`list`] names for it must fail there. Every one of them: a scenario that is named and does not
//! notice is an untruth in the list. The same scenarios must pass on the same binary without a defect, or their
//! failures would say nothing.
//!
//! The client is our own, in the `drydock` rig: what is broken is the engine, and the client is the quickest one.

mod list;
mod trial;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use clap::{Arg, ArgAction, ArgMatches, Command};

pub use list::{Defect, usual_file};
pub use trial::{Control, Finding, Verdict};

use crate::catalogue::{self, Entry};

/// The subcommand.
pub fn command() -> Command {
    Command::new("defects")
        .about("Build the engine with deliberate defects and check that the scenarios notice each of them")
        .arg(
            Arg::new("only")
                .long("only")
                .value_name("NAME")
                .value_delimiter(',')
                .action(ArgAction::Append)
                .help("Only these defects"),
        )
        .arg(
            Arg::new("jobs")
                .long("jobs")
                .value_name("N")
                .value_parser(clap::value_parser!(u16).range(1..))
                .help("Daemons at a time [default: number of processors]"),
        )
        .arg(
            Arg::new("show")
                .long("show")
                .action(ArgAction::SetTrue)
                .help("Show by which difference each defect was noticed"),
        )
}

/// Runs the subcommand: a table on standard output; exit status 0 when every defect was noticed and the control
/// passed.
///
/// # Errors
/// When the list or the scenarios are malformed, or when the engine cannot be built.
pub fn run(matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let mut defects = list::read(&usual_file())?;
    let only: Vec<&String> = matches.get_many("only").into_iter().flatten().collect();
    if let Some(unknown) = only
        .iter()
        .find(|name| !defects.iter().any(|defect| defect.id == ***name))
    {
        anyhow::bail!("`{unknown}` is no defect in {}", usual_file().display());
    }
    defects.retain(|defect| only.is_empty() || only.iter().any(|name| **name == defect.id));
    let entries = catalogue::read(&catalogue::usual_directory())?;
    list::check(&defects, &entries)?;
    let jobs = matches
        .get_one::<u16>("jobs")
        .map_or_else(processors, |jobs| usize::from(*jobs));
    let program = rig::drydock_with_defects()?;
    let control = trial::control(&program, &named(&defects, &entries), jobs)?;
    let findings = all(&defects, jobs, |defect| {
        trial::run(&program, defect, &entries)
    });
    if matches.get_flag("show") {
        eprint!("{}", details(&findings, |_| true));
    } else {
        eprint!(
            "{}",
            details(&findings, |finding| !finding.verdict.is_noticed())
        );
    }
    let mut output = std::io::stdout().lock();
    write!(output, "{}", table(&findings))?;
    let noticed = findings
        .iter()
        .filter(|finding| finding.verdict.is_noticed())
        .count();
    writeln!(
        output,
        "\n{noticed} of {} defects were noticed; without a defect {} of {} scenarios passed; {:.0} s",
        findings.len(),
        control.passed,
        control.scenarios,
        started.elapsed().as_secs_f64()
    )?;
    eprint!("{}", control.failures);
    let well = noticed == findings.len() && control.is_well();
    Ok(if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The scenarios that some defect names, each once.
fn named<'a>(defects: &[Defect], entries: &'a [Entry]) -> Vec<&'a Entry> {
    let is_named = |entry: &&Entry| {
        defects
            .iter()
            .any(|defect| defect.scenarios.contains(&entry.id))
    };
    entries.iter().filter(is_named).collect()
}

/// Does something for each item, `jobs` at a time; results in the order of the items.
fn all<'a, T: Sync, R: Send>(
    items: &'a [T],
    jobs: usize,
    work: impl Fn(&'a T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::new());
    let lock = |done: &Mutex<Vec<(usize, R)>>, entry| {
        done.lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(entry);
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, items.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { return };
                    lock(&done, (index, work(item)));
                }
            });
        }
    });
    let mut done = done
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// One row for each defect: what became of it, its name, the scenarios, how long it took.
fn table(findings: &[Finding]) -> String {
    let width = |text: fn(&Finding) -> String| {
        findings
            .iter()
            .map(|finding| text(finding).chars().count())
            .max()
            .unwrap_or(0)
    };
    let word = |finding: &Finding| finding.verdict.word().to_owned();
    let (words, names) = (width(word), width(|finding| finding.defect.clone()));
    findings
        .iter()
        .map(|finding| {
            format!(
                "{:words$}  {:names$}  {:4.1} s  {}\n",
                finding.verdict.word(),
                finding.defect,
                finding.elapsed.as_secs_f64(),
                finding.scenarios.join(", ")
            )
        })
        .collect()
}

/// The findings that are `wanted`, with everything that is known about them.
fn details(findings: &[Finding], wanted: impl Fn(&Finding) -> bool) -> String {
    findings
        .iter()
        .filter(|finding| wanted(finding))
        .map(|finding| {
            format!(
                "{}: {}\n{}\n",
                finding.defect,
                finding.verdict.word(),
                finding.verdict.text()
            )
        })
        .collect()
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn work_keeps_its_order() {
        assert_eq!(all(&[3, 1, 2], 2, |item| item * 10), [30, 10, 20]);
        assert!(all(&[] as &[i32], 2, |item| *item).is_empty());
    }

    #[test]
    fn the_table_says_what_was_missed() {
        let finding = |defect: &str, verdict| Finding {
            defect: defect.to_owned(),
            scenarios: vec!["a/b/c".to_owned()],
            verdict,
            elapsed: Duration::from_millis(1250),
        };
        let findings = [
            finding("one", Verdict::Noticed("  - x\n".into())),
            finding("another", Verdict::Missed(vec!["a/b/c".into()])),
        ];
        assert_eq!(
            table(&findings),
            "noticed  one       1.2 s  a/b/c\nMISSED   another   1.2 s  a/b/c\n"
        );
        let missed = details(&findings, |finding| !finding.verdict.is_noticed());
        assert_eq!(missed, "another: MISSED\n  a/b/c passes\n\n");
    }
}
