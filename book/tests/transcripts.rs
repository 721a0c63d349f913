//! Runs the commands of every page on every rig: `cargo test -p book`.
//!
//! Each page gets an engine of its own where that can be made (Drydock); on Docker it shares the one that is
//! here. A page must leave nothing behind: no container on either engine, and on Drydock nothing of what the
//! kernel holds for a container. A rig that this machine cannot have is reported as ignored, with the reason.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use rig::leaks::Footprint;
use rig::{Engine, Rig, Unavailable};
use transcript::{Environment, Options, Page, ScenarioReport};

/// Long enough for a busy machine; a page that needs more says so before the block.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Teardown may go on for a moment after the client has its answer.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let pages = match book::pages() {
        Ok(pages) => pages,
        Err(error) => {
            eprintln!("book: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let trials = Rig::ALL
        .into_iter()
        .flat_map(|rig| pages.iter().map(move |page| trial(rig, page)))
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(rig: Rig, page: &Path) -> Trial {
    let name = page
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let missing = rig.missing();
    let kind = match &missing {
        None => rig.name().to_owned(),
        Some(reason) => format!("{rig}: {reason}"),
    };
    let page = page.to_owned();
    Trial::test(name, move || run_on(rig, &page))
        .with_kind(kind)
        .with_ignored_flag(missing.is_some())
}

/// The reference has races of its own on a busy host (`ps` may lag behind `start -a`), so a page gets a second
/// look there, and says so. An engine under test gets none.
fn run_on(rig: Rig, path: &Path) -> Result<(), Failed> {
    match run(rig, path) {
        Err(failed) if rig == Rig::Docker => {
            let why = failed.message().unwrap_or_default();
            eprintln!(
                "{} failed on the reference and is run once more:\n{why}",
                path.display()
            );
            run(rig, path)
        }
        other => other,
    }
}

fn run(rig: Rig, path: &Path) -> Result<(), Failed> {
    let page = Page::read(path)?;
    let engine = rig.open().map_err(|error| match error {
        // `missing` looks before anything is started; here it is too late to be ignored.
        Unavailable::NotHere(reason) => {
            Failed::from(format!("the rig {rig} is not here after all: {reason}"))
        }
        Unavailable::Failed(error) => Failed::from(format!("{error:#}")),
    })?;
    let names = container_names(&page);
    let before = leftovers(&engine, &names)?;
    if !before.is_empty() {
        return Err(format!(
            "containers with the page's names are there before it begins: {}",
            list(&before)
        )
        .into());
    }
    let baseline = baseline(&engine)?;

    let home = tempfile::tempdir()?;
    let mut environment = Environment::new(home.path());
    environment.path_first = vec![engine.tools().to_owned()];
    for (name, value) in engine.variables() {
        environment = environment.variable(&name, &value);
    }
    let options = Options {
        timeout: TIMEOUT,
        rig: Some(rig.name().to_owned()),
        helpers: Vec::new(),
    };
    let reports = transcript::run_page(&page, &environment, &options)?;

    let mut problems: Vec<String> = reports
        .iter()
        .map(ScenarioReport::describe)
        .filter(|text| !text.is_empty())
        .collect();
    let left = leftovers(&engine, &names)?;
    if !left.is_empty() {
        problems.push(format!("the page left containers behind: {}", list(&left)));
        for name in &left {
            engine
                .request("DELETE", &format!("/containers/{name}?force=1"), None)?
                .success()?;
        }
    } else if let (Some(daemon), Some(baseline)) = (engine.daemon(), &baseline) {
        problems.extend(daemon.leaks_since(baseline, PATIENCE));
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("\n").into())
    }
}

/// What a daemon of our own holds when it is idle and has run one container; some of it is only made with the
/// first one and stays. Nothing is known of a Docker.
fn baseline(engine: &Engine) -> Result<Option<Footprint>, Failed> {
    let Some(daemon) = engine.daemon() else {
        return Ok(None);
    };
    let first = engine
        .client()
        .args(["run", "--rm", "busybox", "true"])
        .output()?;
    if !first.status.success() {
        let said = String::from_utf8_lossy(&first.stderr);
        return Err(format!("the first container does not run: {}", said.trim()).into());
    }
    // Teardown comes after the answer, so wait until nothing changes any more.
    let mut before = daemon.footprint();
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(50));
        let now = daemon.footprint();
        if now == before {
            return Ok(Some(now));
        }
        before = now;
    }
    Err("the daemon does not become idle after one container".into())
}

/// The names that the page gives to containers.
fn container_names(page: &Page) -> BTreeSet<String> {
    let steps = page
        .scenarios
        .iter()
        .flat_map(|scenario| &scenario.blocks)
        .flat_map(|block| &block.steps);
    let mut names = BTreeSet::new();
    for step in steps {
        let mut words = step.command.split_whitespace();
        while let Some(word) = words.next() {
            if word == "--name" {
                names.extend(words.next().map(str::to_owned));
            }
        }
    }
    names
}

/// Which of the names are in use. On a Docker that others use too, only the page's own names count.
fn leftovers(engine: &Engine, names: &BTreeSet<String>) -> Result<BTreeSet<String>, Failed> {
    let containers = engine
        .containers()
        .map_err(|error| Failed::from(format!("{error:#}")))?;
    Ok(containers
        .into_iter()
        .flat_map(|(_, own)| own)
        .filter(|name| names.contains(name))
        .collect())
}

fn list(names: &BTreeSet<String>) -> String {
    names
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}
