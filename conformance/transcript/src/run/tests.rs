//! The runner against pages that are right, and against pages that are deliberately wrong: a runner that
//! passes everything would pass the first kind too.

use super::*;

fn run(text: &str) -> ScenarioReport {
    run_as(text, "docker")
}

fn run_as(text: &str, rig: &str) -> ScenarioReport {
    let page = Page::parse("p.md", text).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        timeout: Duration::from_secs(10),
        rig: Some(rig.into()),
        helpers: vec!["registry".into()],
    };
    run_page(&page, &Environment::new(directory.path()), &options)
        .unwrap()
        .remove(0)
}

fn failure(text: &str) -> String {
    let report = run(text);
    assert!(!report.passed(), "this page must fail: {text}");
    report.describe()
}

#[test]
fn a_right_page_passes() {
    let report = run(
        "# T\n\n```console\n$ echo one; echo two >&2\none\ntwo\n$ sh -c 'exit 3'\n? 3\n$ seq 5\n1\n...\n5\n$ printf 'x  \\n\\n'\nx\n$ nonsense\nbash: nonsense: command not found\n? 127\n$ for i in 1 2; do\n>   echo $i\n> done\n1\n2\n```\n",
    );
    assert!(report.passed(), "{}", report.describe());
    assert_eq!(report.steps.len(), 6);
}

#[test]
fn wrong_output_fails_and_is_shown() {
    let text = failure("# T\n\n```console\n$ printf 'a\\nb\\n'\na\nc\n```\n");
    assert_eq!(
        text,
        "p.md:4: T\n    $ printf 'a\\nb\\n'\n    a\n  - c\n  + b\n"
    );
}

#[test]
fn missing_output_unexpected_output_and_wrong_status_fail() {
    assert!(failure("```console\n$ true\nx\n```\n").contains("- x"));
    assert!(failure("```console\n$ echo x\n```\n").contains("+ x"));
    assert!(failure("```console\n$ false\n```\n").contains("- ? 0\n  + ? 1"));
    assert!(failure("```console\n$ true\n? 1\n```\n").contains("- ? 1\n  + ? 0"));
}

#[test]
fn a_timeout_fails_and_the_rest_is_not_run() {
    let text = failure(
        "<!-- transcript: timeout=200ms -->\n```console\n$ sleep 100\n$ echo next\nnext\n```\n",
    );
    assert!(
        text.contains("not finished after 200ms")
            && text.contains("1 further commands were not run"),
        "{text}"
    );
}

#[test]
fn a_page_that_ends_the_shell_fails() {
    let text = failure("```console\n$ exit 1\n$ true\n```\n");
    assert!(
        text.contains("ended the shell") && text.contains("not run"),
        "{text}"
    );
}

#[test]
fn a_failure_does_not_stop_the_steps_after_it() {
    let report = run("```console\n$ echo x\ny\n$ echo z\nz\n```\n");
    assert_eq!(report.failures().count(), 1);
    assert_eq!(report.steps[1].verdict, Verdict::Passed);
}

#[test]
fn skipping_has_a_reason_and_is_no_pass() {
    let report = run("<!-- transcript: skip=\"needs a moon\" -->\n```console\n$ false\n```\n");
    assert_eq!(report.skipped(), Some("needs a moon"));
    assert!(!report.passed() && report.failures().count() == 0);
    let page = "<!-- transcript: only=\"drydock\" -->\n```console\n$ echo x\nx\n```\n";
    assert_eq!(run(page).skipped(), Some("only for drydock"));
    assert!(run_as(page, "drydock").passed());
}

#[test]
fn a_dialogue_on_a_terminal() {
    let report = run(
        "<!-- transcript: await=\"name? \" type=\"Ada\\r\" -->\n```console\n$ read -p 'name? ' n; tput bold 2>/dev/null; printf '\\e[1mhi %s\\e[0m\\n' $n\nname? Ada\nhi Ada\n```\n",
    );
    assert!(report.passed(), "{}", report.describe());
    let text =
        failure("<!-- transcript: await=\"never\" type=\"x\" -->\n```console\n$ true\n```\n");
    assert!(text.contains("\"never\" never came"), "{text}");
}

#[test]
fn a_block_whose_helper_is_missing_is_skipped_and_says_which() {
    let page = |needs: &str| {
        format!("<!-- transcript: needs={needs} -->\n```console\n$ false\n? 1\n```\n")
    };
    let report = run(&page("registry,compose"));
    assert_eq!(report.skipped(), Some("this host has no compose"));
    assert!(run(&page("registry")).passed());
}
