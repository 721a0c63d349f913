//! What a recording came to, for people and as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::Serialize;

use crate::answer::{self, Finding, NO_ROUTE, Verdict};
use crate::description::Description;
use crate::exceptions::Exceptions;
use crate::recording::{Exchange, Recording};

/// What a recording came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Requests.
    pub requests: usize,
    /// Answers whose body was compared.
    pub validated: usize,
    /// Answers with nothing wrong, or only what Docker does as well.
    pub right: usize,
    /// Requests without an answer: the connection ended before.
    pub unanswered: usize,
    /// Requests for versions of the API that the description is not about.
    pub other_version: usize,
    /// Connections that could not be followed.
    pub lost: usize,
    /// What is not as described, without what Docker does as well.
    pub violations: Vec<Violation>,
    /// Findings that Docker's exceptions explain.
    pub excused: usize,
    /// How many routes the description has.
    pub routes: usize,
    /// Routes that gave an answer other than that they are not built, with how often.
    pub seen: BTreeMap<String, usize>,
    /// Routes of the description that nobody asked for.
    pub not_seen: Vec<String>,
    /// Routes of which the engine said, at least for some requests, that it does not have this yet; with how often.
    pub not_built: BTreeMap<String, usize>,
    /// Paths that are in no route, with how often.
    pub no_route: BTreeMap<String, usize>,
    /// Exceptions that no answer needed. On Docker, after everything was run, these are stale.
    pub unneeded: Vec<String>,
}

/// One kind of fault at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The route.
    pub route: String,
    /// Where in the body.
    pub pointer: String,
    /// Which kind.
    pub what: String,
    /// What is there and what is described, of the first one.
    pub detail: String,
    /// The first request that showed it.
    pub request: String,
    /// How many answers showed it.
    pub count: usize,
}

/// Compares a recording with the description.
pub fn report(recording: &Recording, description: &Description, exceptions: &Exceptions) -> Report {
    let mut work = Work {
        report: Report {
            requests: recording.exchanges.len(),
            routes: description.routes().len(),
            lost: recording.lost,
            ..Report::default()
        },
        violations: BTreeMap::new(),
        needed: BTreeSet::new(),
    };
    for exchange in &recording.exchanges {
        work.add(description, exceptions, exchange);
    }
    work.finish(description, exceptions)
}

struct Work {
    report: Report,
    /// By route, pointer and kind.
    violations: BTreeMap<(String, String, String), Violation>,
    needed: BTreeSet<usize>,
}

impl Work {
    fn add(&mut self, description: &Description, exceptions: &Exceptions, exchange: &Exchange) {
        let route = description.route(&exchange.method, exchange.path());
        let name = route.map_or_else(
            || format!("{} {}", exchange.method, exchange.path()),
            |route| route.name.clone(),
        );
        let report = &mut self.report;
        match answer::judge(description, route, exchange) {
            Verdict::Unanswered => report.unanswered += 1,
            Verdict::NotBuilt => *report.not_built.entry(name).or_default() += 1,
            Verdict::OtherVersion => report.other_version += 1,
            Verdict::Looked(looked, findings) => {
                let paths = match route {
                    Some(_) => &mut report.seen,
                    None => &mut report.no_route,
                };
                *paths.entry(name).or_default() += 1;
                report.validated += usize::from(looked);
                self.findings(exceptions, exchange, findings);
            }
        }
    }

    fn findings(&mut self, exceptions: &Exceptions, exchange: &Exchange, findings: Vec<Finding>) {
        let mut here = BTreeSet::new();
        for finding in findings {
            if let Some(index) = exceptions.excusing(&finding) {
                self.needed.insert(index);
                self.report.excused += 1;
                continue;
            }
            let key = (
                finding.route.clone(),
                finding.pointer.clone(),
                finding.what.clone(),
            );
            let violation = self.violations.entry(key.clone()).or_insert(Violation {
                route: finding.route,
                pointer: finding.pointer,
                what: finding.what,
                detail: finding.detail,
                request: exchange.request_line(),
                count: 0,
            });
            // Once for each answer, however many entries of it show the same.
            violation.count += usize::from(here.insert(key));
        }
        self.report.right += usize::from(here.is_empty());
    }

    fn finish(mut self, description: &Description, exceptions: &Exceptions) -> Report {
        let report = &mut self.report;
        report.violations = self.violations.into_values().collect();
        report.not_seen = description
            .routes()
            .iter()
            .map(|route| &route.name)
            .filter(|name| {
                !report.seen.contains_key(*name) && !report.not_built.contains_key(*name)
            })
            .cloned()
            .collect();
        report.not_seen.sort();
        report.unneeded = exceptions
            .entries
            .iter()
            .enumerate()
            .filter(|(index, entry)| !self.needed.contains(index) && !entry.seldom)
            .map(|(_, entry)| entry.name())
            .collect();
        self.report
    }
}

impl Report {
    /// For people: counts, violations by route, and what was not asked for.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{} requests, {} bodies compared, {} answers as described, {} kinds of violations\n",
            self.requests,
            self.validated,
            self.right,
            self.violations.len()
        );
        for (count, what) in [
            (self.excused, "findings excused: Docker itself answers so"),
            (self.unanswered, "requests without an answer"),
            (
                self.other_version,
                "requests for other versions of the API, not compared",
            ),
            (self.lost, "connections that could not be followed"),
        ] {
            if count > 0 {
                let _ = writeln!(text, "{count} {what}");
            }
        }
        text.push_str(&self.violations_text());
        let _ = writeln!(text, "\n{} of {} routes seen", self.seen.len(), self.routes);
        list(&mut text, "not built yet", self.not_built.keys());
        list(&mut text, "not asked for", self.not_seen.iter());
        list(&mut text, "in no route", self.no_route.keys());
        text
    }

    fn violations_text(&self) -> String {
        let mut text = String::new();
        for routes in self.violations.chunk_by(|a, b| a.route == b.route) {
            let _ = writeln!(text, "\n{}", routes[0].route);
            for violation in routes {
                let _ = writeln!(
                    text,
                    "  {}{}{}: {} ({} times, first at {})",
                    violation.pointer,
                    if violation.pointer.is_empty() {
                        ""
                    } else {
                        "  "
                    },
                    violation.what,
                    violation.detail,
                    violation.count,
                    violation.request
                );
            }
        }
        text
    }

    /// Entries of `exceptions.toml` for all violations. For answers of a real Docker only.
    pub fn proposal(&self) -> String {
        let mut text = String::new();
        let own =
            |violation: &&Violation| violation.route != NO_ROUTE || !violation.pointer.is_empty();
        for violation in self.violations.iter().filter(own) {
            let _ = writeln!(
                text,
                "\n# {}\n[[exception]]\nroute = {:?}\npointer = {:?}\nwhat = {:?}\nreason = \"Docker itself answers so\"",
                violation.detail, violation.route, violation.pointer, violation.what
            );
        }
        text
    }
}

fn list<'a>(text: &mut String, title: &str, names: impl ExactSizeIterator<Item = &'a String>) {
    if names.len() > 0 {
        let _ = writeln!(text, "{} {title}:", names.len());
        for name in names {
            let _ = writeln!(text, "  {name}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(line: &str, status: u16, body: &str) -> Exchange {
        let (method, target) = line.split_once(' ').unwrap();
        Exchange {
            method: method.into(),
            target: target.into(),
            status: Some(status),
            content_type: "application/json".into(),
            body: body.into(),
            length: body.len() as u64,
            ..Exchange::default()
        }
    }

    fn recorded() -> Recording {
        Recording {
            exchanges: vec![
                exchange(
                    "GET /containers/json?all=1",
                    200,
                    r#"[{"Ports":null},{"Ports":null,"Id":1}]"#,
                ),
                exchange("GET /containers/json", 200, r#"[{"Id":1}]"#),
                exchange("GET /containers/json", 200, "[]"),
                exchange("GET /volumes", 501, r#"{"message":"not built yet"}"#),
                exchange("GET /nonsense", 404, r#"{"message":"page not found"}"#),
                exchange("GET /v1.24/info", 200, "{}"),
                Exchange::default(),
            ],
            ..Recording::default()
        }
    }

    const LIST: &str = r#"
        [[exception]]
        route = "GET /containers/json"
        pointer = "/*/Ports"
        what = "null"
        reason = "r"
        [[exception]]
        route = "*"
        pointer = "/x"
        what = "null"
        reason = "r"
    "#;

    #[test]
    fn a_recording_is_counted_and_grouped() {
        let exceptions = Exceptions::parse(LIST).unwrap();
        let report = report(&recorded(), Description::docker().unwrap(), &exceptions);
        assert_eq!((report.requests, report.validated, report.right), (7, 4, 2));
        assert_eq!(
            (report.unanswered, report.other_version, report.excused),
            (1, 1, 1)
        );
        assert_eq!(report.violations.len(), 1);
        let violation = &report.violations[0];
        assert_eq!(
            (violation.pointer.as_str(), violation.what.as_str()),
            ("/*/Id", "type")
        );
        assert_eq!(
            (violation.count, violation.request.as_str()),
            (2, "GET /containers/json?all=1")
        );
        assert_eq!(report.seen["GET /containers/json"], 3);
        assert_eq!(report.not_built["GET /volumes"], 1);
        assert_eq!(report.not_seen.len(), 105);
        assert_eq!(report.no_route["GET /nonsense"], 1);
        assert_eq!(report.unneeded, ["* /x null"]);
    }

    #[test]
    fn the_text_names_what_is_wrong_and_the_proposal_excuses_it() {
        let description = Description::docker().unwrap();
        let before = report(&recorded(), description, &Exceptions::default());
        let text = before.text();
        for words in [
            "GET /containers/json\n  /*/Id  type: 1, described as a string (2 times, first at GET /containers/json?all=1)\n",
            "/*/Ports  null: null, described as an array (1 times",
            "1 of 107 routes seen",
            "1 not built yet:\n  GET /volumes\n",
        ] {
            assert!(text.contains(words), "{words:?} is not in\n{text}");
        }
        let exceptions = Exceptions::parse(&before.proposal()).unwrap();
        let after = report(&recorded(), description, &exceptions);
        assert_eq!((after.violations, after.unneeded), (vec![], vec![]));
        assert!(serde_json::to_value(&before).unwrap()["violations"][0]["route"].is_string());
    }
}
