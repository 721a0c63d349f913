//! Each way in which two grammars can differ goes red, and an entry of the list makes it green again.

use super::*;
use crate::page;

fn grammar(pages: &[(&str, &str)]) -> Grammar {
    let mut grammar = Grammar::default();
    for (path, rest) in pages {
        let text = format!("Usage:  x {path}\n\nAbout\n\n{rest}");
        grammar
            .commands
            .insert((*path).to_owned(), page::parse(&text).unwrap());
    }
    grammar
}

fn docker() -> Grammar {
    let run = "Aliases:\n  x container run, x run\n\nOptions:\n  -i, --interactive    Input\n      --pull string    When (default \"missing\")\n";
    grammar(&[
        (
            "",
            "Commands:\n  run   Run\n  container   All\n  swarm   Many\n",
        ),
        ("run", run),
        ("container", "Commands:\n  run   Run\n"),
        ("container run", run),
        ("swarm", "Commands:\n  init   Begin\n"),
        ("swarm init", "Options:\n      --force   Again\n"),
    ])
}

fn unexplained(drydock: &Grammar, list: &str) -> Vec<String> {
    let report = compare(&docker(), drydock, &toml::from_str(list).unwrap());
    let rows = report
        .rows
        .iter()
        .filter(|row| row.state == State::Unexplained);
    rows.map(|row| format!("{} {}", row.command, row.flag.as_deref().unwrap_or("-")))
        .collect()
}

#[test]
fn a_grammar_is_the_same_as_itself() {
    let report = compare(&docker(), &docker(), &Reasons::default());
    assert!(report.all_well());
    // Five commands, since `run` is `container run`, and three flags.
    assert_eq!((report.rows.len(), report.count(State::Same)), (8, 8));
    assert_eq!(report.own, [""; 0]);
}

#[test]
fn what_is_missing_or_otherwise_is_unexplained() {
    let mut less = docker();
    less.commands.remove("swarm init");
    less.commands.remove("swarm");
    assert_eq!(unexplained(&less, ""), ["swarm -", "swarm init -"]);
    for change in [
        |flag: &mut crate::Flag| flag.short = Some('p'),
        |flag: &mut crate::Flag| flag.value = "list".into(),
        |flag: &mut crate::Flag| flag.default = None,
    ] {
        let mut other = docker();
        for path in ["run", "container run"] {
            change(
                other
                    .commands
                    .get_mut(path)
                    .unwrap()
                    .flags
                    .get_mut("pull")
                    .unwrap(),
            );
        }
        assert_eq!(unexplained(&other, ""), ["container run pull"]);
    }
    let mut unnamed = docker();
    unnamed.commands.remove("run");
    unnamed
        .commands
        .get_mut("container run")
        .unwrap()
        .aliases
        .clear();
    assert_eq!(unexplained(&unnamed, ""), ["container run -"]);
}

#[test]
fn the_list_explains_and_must_be_true() {
    let mut less = docker();
    less.commands.retain(|path, _| !path.starts_with("swarm"));
    let list = "[[absent]]\ncommand = \"swarm\"\nreason = \"one host\"\n";
    assert_eq!(unexplained(&less, list), [""; 0]);
    let check = |list: &str| compare(&docker(), &less, &toml::from_str(list).unwrap());
    assert!(check(list).all_well());
    assert_eq!(check(list).count(State::Absent), 2);
    let stale = format!("{list}[[absent]]\ncommand = \"*\"\nflag = \"pull\"\nreason = \"r\"\n");
    assert_eq!(check(&stale).stale, ["* --pull"]);
    let empty = list.replace("one host", "");
    assert_eq!(check(&empty).without_reason, ["swarm"]);
    assert!(!check(&stale).all_well() && !check(&empty).all_well());
}

#[test]
fn a_proposal_has_the_uppermost_command() {
    let mut less = docker();
    less.commands.retain(|path, _| !path.starts_with("swarm"));
    less.commands
        .get_mut("container run")
        .unwrap()
        .flags
        .remove("pull");
    let report = compare(&docker(), &less, &Reasons::default());
    let names: Vec<String> = report.proposal().iter().map(Entry::name).collect();
    assert_eq!(names, ["container run --pull", "swarm"]);
}

#[test]
fn a_default_of_zero_may_be_shown_or_not() {
    let mut shown = docker();
    for path in ["run", "container run"] {
        let flags = &mut shown.commands.get_mut(path).unwrap().flags;
        flags.get_mut("interactive").unwrap().default = Some("false".into());
    }
    assert_eq!(unexplained(&shown, ""), [""; 0]);
}

#[test]
fn what_only_drydock_has_is_named() {
    let mut more = docker();
    more.commands.insert("up".into(), Command::default());
    more.commands
        .get_mut("swarm")
        .unwrap()
        .flags
        .insert("new".into(), crate::Flag::default());
    assert_eq!(
        compare(&docker(), &more, &Reasons::default()).own,
        ["swarm --new", "up"]
    );
}
