//! The page is looked at as text: what has to be in it once, what must not be in it, and whether it is well formed.

use super::*;
use crate::divergence::Divergence;
use crate::report::samples;

const RIGS: [Rig; 3] = [Rig::Docker, Rig::Api, Rig::Drydock];

fn page_of(results: &Results) -> String {
    let divergence = Divergence {
        id: "no-such-thing".into(),
        what: "a <thing> is missing".into(),
        why: "it is meant".into(),
        scenario: "logs/p/b".into(),
        rigs: vec!["drydock".into()],
        host: None,
    };
    let lists = Lists {
        divergences: vec![divergence],
        known_failures: Vec::new(),
    };
    let page = html(results, &RIGS, &lists, &Setting::here()).unwrap();
    // The template engine escapes slashes as well, which no reader needs.
    page.replace("&#x2f;", "/")
}

/// Elements that have no end.
const EMPTY: [&str; 4] = ["meta", "input", "br", "hr"];

/// The names of tags in order, `/name` for an end. Good for our own page only: no comments, no `>` in attributes.
fn tags(page: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once('<') {
        let end = after.find('>').unwrap_or(after.len());
        let tag = &after[..end];
        let name = tag.split([' ', '\n']).next().unwrap_or_default();
        rest = &after[end..];
        // What is inside of these is not markup.
        if ["style", "script"].contains(&name) {
            rest = rest.split_once(&format!("</{name}>")).unwrap().1;
        } else if !name.starts_with('!') {
            names.push(name);
        }
    }
    names
}

#[test]
fn every_run_is_there_once() {
    let results = samples::results();
    let page = page_of(&results);
    for run in &results.runs {
        let mark = format!("data-run=\"{}@{}\"", run.id, run.rig);
        assert_eq!(page.matches(&mark).count(), 1, "{mark}");
    }
    assert_eq!(page.matches("data-run=").count(), results.runs.len());
}

#[test]
fn every_element_is_closed() {
    let page = page_of(&samples::results());
    let mut open = Vec::new();
    for tag in tags(&page) {
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "inside {open:?}"),
            None if EMPTY.contains(&tag) => {}
            None => open.push(tag),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn what_a_container_printed_is_text() {
    let page = page_of(&samples::results());
    for markup in ["<script>alert", "<b>expected", "501 <i>", "a <thing>"] {
        assert!(!page.contains(markup), "{markup}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;"), "{page}");
}

#[test]
fn nothing_is_fetched() {
    let page = page_of(&samples::results());
    for way in ["http:", "https:", "src=", "url(", "@import", "<link"] {
        assert!(!page.contains(way), "{way}");
    }
}

#[test]
fn addresses_within_the_page_lead_somewhere() {
    let page = page_of(&samples::results());
    let mut links = 0;
    for (_, after) in page
        .match_indices("href=\"#")
        .map(|(at, found)| (at, &page[at + found.len()..]))
    {
        let (target, _) = after.split_once('"').unwrap();
        links += 1;
        assert_eq!(
            page.matches(&format!(" id=\"{target}\"")).count(),
            1,
            "{target}"
        );
    }
    assert!(links > 10, "{links}");
}

#[test]
fn every_section_has_what_it_is_for() {
    let page = page_of(&samples::results());
    for part in [
        "no Docker here: none",
        "it is meant",
        "the api rig leaked: a veth",
        "divergence d is stale",
        "--seed 7",
        "recorded from Docker 1 on a day",
        "class=\"expected\"",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
}

#[test]
fn code_is_set_apart_and_a_single_backtick_is_none() {
    let texts = |text| -> Vec<(String, bool)> {
        let pieces = serde_json::to_value(lists::prose(text)).unwrap();
        let pieces = pieces.as_array().unwrap().clone();
        let piece = |piece: &serde_json::Value| {
            let text = piece["text"].as_str().unwrap().to_owned();
            (text, piece["code"].as_bool().unwrap())
        };
        pieces.iter().map(piece).collect()
    };
    let pair = |text: &str, code| (text.to_owned(), code);
    assert_eq!(
        texts("a `b` c"),
        [pair("a ", false), pair("b", true), pair(" c", false)]
    );
    assert_eq!(texts("it`s"), [pair("it`s", false)]);
    assert_eq!(texts(""), []);
}

#[test]
fn the_wire_is_shown_where_it_was_looked_at() {
    let mut results = samples::results();
    assert!(!page_of(&results).contains("id=\"wire\""));
    let mut report = wire::Report {
        requests: 12,
        routes: 106,
        other_version: 3,
        ..wire::Report::default()
    };
    report.not_built.insert("BuildPrune".into(), 1);
    results.wire.insert(Rig::Api, report);
    let page = page_of(&results);
    assert!(
        page.contains("0 of 106")
            && page.contains("BuildPrune")
            && page.contains("api: 3 requests"),
        "{page}"
    );
}

#[test]
fn a_run_without_anything_is_a_page_as_well() {
    assert!(page_of(&Results::default()).contains("Nothing was run"));
}

/// The relative luminance of `#rrggbb` (WCAG 2.2).
fn luminance(colour: &str) -> f64 {
    let channel = |at: usize| {
        let value = u8::from_str_radix(&colour[at..at + 2], 16).unwrap();
        let value = f64::from(value) / 255.0;
        if value <= 0.04045 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    };
    0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
}

#[test]
fn every_text_can_be_read_in_light_and_dark() {
    let sets: Vec<&str> = TEMPLATE.split(":root {").skip(1).take(2).collect();
    assert_eq!(sets.len(), 2);
    for set in sets {
        let set = set.split_once('}').unwrap().0;
        let colour = |name: &str| {
            let (_, after) = set.split_once(&format!("--{name}: ")).unwrap();
            luminance(&after[..7])
        };
        let texts = ["text", "quiet", "link"]
            .into_iter()
            .chain(Kind::ALL.map(Kind::key));
        let pairs = texts.map(|text| (text, "page")).chain([
            ("text", "raised"),
            ("quiet", "raised"),
            ("pass", "pass-wash"),
            ("fail", "fail-wash"),
            ("text", "fail-wash"),
        ]);
        for (text, ground) in pairs {
            let (text_light, ground_light) = (colour(text), colour(ground));
            let brighter = text_light.max(ground_light) + 0.05;
            let darker = text_light.min(ground_light) + 0.05;
            assert!(
                brighter / darker >= 4.5,
                "{text} on {ground}: {}",
                brighter / darker
            );
        }
    }
}
