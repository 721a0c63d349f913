//! What a run says, for a terminal and as files.
//!
//! * [`matrix()`] and [`failures`] for the one who waits for the end;
//! * [`json()`] for programs, [`markdown()`] for an issue, [`junit()`] for a build server;
//! * [`html()`] is one page to read and to keep: it needs no other file and no network.
//!
//! All of them are made from the same [`Results`], and each run is in each file, once: a report that leaves out what
//! is not built yet would look better than the engine is.

mod diff;
mod html;
mod json;
mod junit;
mod markdown;
mod matrix;
mod setting;

pub use html::html;
pub use json::json;
pub use junit::junit;
pub use markdown::markdown;
pub use matrix::matrix;
pub use setting::Setting;

use crate::suite::Results;
use crate::workshop::Outcome;

/// The kinds of outcome, in the order in which reports list them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// As on Docker.
    Pass,
    /// Not as on Docker, and nobody knew.
    Fail,
    /// Failed once, passed once.
    Unsteady,
    /// Failed, as is known.
    KnownFailure,
    /// Different on purpose.
    Explained,
    /// Not built yet.
    NotBuiltYet,
    /// Not run, with a reason.
    Skipped,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 7] = [
        Kind::Pass,
        Kind::Fail,
        Kind::Unsteady,
        Kind::KnownFailure,
        Kind::Explained,
        Kind::NotBuiltYet,
        Kind::Skipped,
    ];

    /// The kind of an outcome.
    pub fn of(outcome: &Outcome) -> Kind {
        match outcome {
            Outcome::Pass => Kind::Pass,
            Outcome::Fail(_) => Kind::Fail,
            Outcome::NotBuiltYet(_) => Kind::NotBuiltYet,
            Outcome::Explained(_) => Kind::Explained,
            Outcome::KnownFailure(_) => Kind::KnownFailure,
            Outcome::Unsteady(_) => Kind::Unsteady,
            Outcome::Skipped(_) => Kind::Skipped,
        }
    }

    /// The words for it, in files and on the screen.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Pass => "pass",
            Kind::Fail => "fail",
            Kind::Unsteady => "unsteady",
            Kind::KnownFailure => "known failure",
            Kind::Explained => "explained",
            Kind::NotBuiltYet => "not built yet",
            Kind::Skipped => "skipped",
        }
    }

    /// One word, for the class of an element or the type of a failure.
    pub fn key(self) -> &'static str {
        match self {
            Kind::KnownFailure => "known",
            Kind::NotBuiltYet => "unbuilt",
            _ => self.word(),
        }
    }
}

/// How many runs came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count([usize; Kind::ALL.len()]);

impl Count {
    fn add(&mut self, outcome: &Outcome) {
        self.0[Kind::of(outcome) as usize] += 1;
    }

    /// The number of one kind.
    pub fn of(&self, kind: Kind) -> usize {
        self.0[kind as usize]
    }

    /// The number of all runs.
    pub fn all(&self) -> usize {
        self.0.iter().sum()
    }

    /// The kinds that are there.
    pub fn kinds(&self) -> impl Iterator<Item = (Kind, usize)> {
        let all = Kind::ALL.into_iter().map(|kind| (kind, self.of(kind)));
        all.filter(|(_, number)| *number > 0)
    }

    /// `12/14` with what the rest was: `12/14, 1 fail, 1 not built yet`.
    fn text(&self) -> String {
        let mut text = format!("{}/{}", self.of(Kind::Pass), self.all());
        for (kind, number) in self.kinds().filter(|(kind, _)| *kind != Kind::Pass) {
            text.push_str(&format!(", {number} {}", kind.word()));
        }
        text
    }
}

/// The word for an outcome.
pub fn word(outcome: &Outcome) -> &'static str {
    Kind::of(outcome).word()
}

/// What an outcome says beyond its word.
pub fn detail(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Pass => "",
        Outcome::Fail(text)
        | Outcome::NotBuiltYet(text)
        | Outcome::Explained(text)
        | Outcome::KnownFailure(text)
        | Outcome::Unsteady(text)
        | Outcome::Skipped(text) => text,
    }
}

/// A page without the directories that only this machine has: from `scenarios/` on.
fn place(page: &str) -> &str {
    page.find("/scenarios/").map_or(page, |at| &page[at + 1..])
}

/// Everything that is not a pass, for a person.
pub fn failures(results: &Results) -> String {
    let mut text = String::new();
    for run in &results.runs {
        match &run.outcome {
            Outcome::Fail(why) => {
                text.push_str(&format!("{} on {}: fail\n{why}\n", run.id, run.rig))
            }
            Outcome::Unsteady(why) => text.push_str(&format!(
                "{} on {}: unsteady, it failed once and passed once\n{why}\n",
                run.id, run.rig
            )),
            Outcome::NotBuiltYet(line) => text.push_str(&format!(
                "{} on {}: not built yet\n  {line}\n\n",
                run.id, run.rig
            )),
            _ => {}
        }
    }
    for problem in results.errors.iter().chain(&results.stale) {
        text.push_str(&format!("error: {problem}\n"));
    }
    text
}

#[cfg(test)]
pub(crate) mod samples {
    //! A small run with every kind of outcome, for the tests of the reports.

    use std::time::Duration;

    use rig::Rig;

    use crate::suite::{Results, Run};
    use crate::workshop::Outcome;

    /// One run of the scenario `TOPIC/p/NAME`.
    pub fn run(topic: &str, name: &str, rig: Rig, outcome: Outcome) -> Run {
        Run {
            id: format!("{topic}/p/{name}"),
            topic: topic.into(),
            page: format!("scenarios/{topic}/p.md"),
            line: 3,
            rig,
            outcome,
            elapsed: Duration::from_millis(1500),
        }
    }

    /// A failure as a scenario gives it, with text that is markup to HTML and XML.
    pub const DIFFERENCE: &str = "scenarios/logs/p.md:7: A <script>alert(1)</script> & more\n    $ docker logs \\\n    > x\n    same\n  - ]]> <b>expected</b>\n  + found \u{1b}[1m\n  - ? 0\n  + ? 1\n";

    /// Every kind, on two rigs; a third is not here.
    pub fn results() -> Results {
        let (api, own) = (Rig::Api, Rig::Drydock);
        Results {
            runs: vec![
                run("logs", "a", api, Outcome::Pass),
                run("logs", "a", own, Outcome::Fail(DIFFERENCE.into())),
                run("logs", "b", api, Outcome::Unsteady(DIFFERENCE.into())),
                run("logs", "b", own, Outcome::Explained("no-such-thing".into())),
                run("run", "c", api, Outcome::NotBuiltYet("501 <i>".into())),
                run("run", "c", own, Outcome::KnownFailure("says \"no\"".into())),
                run("run", "d", api, Outcome::Skipped("only for docker".into())),
                run("run", "d", own, Outcome::Pass),
            ],
            not_here: [(Rig::Docker, "no Docker here: none".to_owned())].into(),
            versions: [
                (api, "0.3 (API 1.51)".to_owned()),
                (own, "0.3 (API 1.51)".to_owned()),
            ]
            .into(),
            errors: vec!["the api rig leaked: a veth".into()],
            stale: vec!["divergence d is stale".into()],
            recorded: "recorded from Docker 1 on a day".into(),
            order_seed: 7,
            elapsed: Duration::from_secs(62),
            ..Results::default()
        }
    }
}
