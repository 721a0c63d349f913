//! The session against commands that try to confuse it.

use super::*;

fn session() -> (tempfile::TempDir, Session) {
    let directory = tempfile::tempdir().unwrap();
    let session = Session::start(&Environment::new(directory.path())).unwrap();
    (directory, session)
}

fn run(session: &mut Session, command: &str) -> (String, Ended) {
    let outcome = session.run(command, Duration::from_secs(10)).unwrap();
    (String::from_utf8(outcome.output).unwrap(), outcome.ended)
}

#[test]
fn state_lives_from_command_to_command() {
    let (_directory, mut session) = session();
    run(&mut session, "x=5; cd /; f() { echo \"f $x\"; }");
    assert_eq!(
        run(&mut session, "f; pwd"),
        ("f 5\n/\n".into(), Ended::Status(0))
    );
    assert_eq!(run(&mut session, "(exit 7)").1, Ended::Status(7));
    assert_eq!(
        run(&mut session, "echo $?"),
        ("7\n".into(), Ended::Status(0))
    );
}

#[test]
fn output_and_errors_keep_their_order() {
    let (_directory, mut session) = session();
    let (output, _) = run(
        &mut session,
        "echo 1; echo 2 >&2; sh -c 'echo 3; echo 4 >&2'; printf 5",
    );
    assert_eq!(output, "1\n2\n3\n4\n5");
}

#[test]
fn commands_cannot_reach_the_harness() {
    let (_directory, mut session) = session();
    // Neither reading standard input nor writing to the harness's own descriptors disturbs the next command.
    assert_eq!(run(&mut session, "cat; echo 99 >&8").1, Ended::Status(1));
    assert_eq!(run(&mut session, "cat <&9").1, Ended::Status(1));
    assert_eq!(
        run(&mut session, "exec >/dev/null; echo gone"),
        (String::new(), Ended::Status(0))
    );
    assert_eq!(run(&mut session, "exit 5").1, Ended::ShellEnded(5));
    assert!(session.has_ended());
    assert!(session.run("true", Duration::from_secs(1)).is_err());
}

#[test]
fn the_environment_is_only_what_was_given() {
    let directory = tempfile::tempdir().unwrap();
    let environment = Environment::new(directory.path()).variable("GIVEN", "yes");
    let mut session = Session::start(&environment).unwrap();
    let (output, _) = run(
        &mut session,
        "echo $GIVEN $TZ $LC_ALL $TERM $COLUMNS ${CARGO_MANIFEST_DIR-unset}",
    );
    assert_eq!(output, "yes UTC C.UTF-8 dumb 120 unset\n");
}

#[test]
fn a_timeout_ends_every_process() {
    let (_directory, mut session) = session();
    let started = Instant::now();
    let command = "echo before; sleep 1000 & sleep 1000 | (trap '' TERM INT; sleep 1000)";
    let outcome = session.run(command, Duration::from_millis(300)).unwrap();
    assert_eq!(
        (outcome.output.as_slice(), outcome.ended),
        (&b"before\n"[..], Ended::TimedOut)
    );
    assert!(started.elapsed() < Duration::from_secs(8));
    assert_eq!(members(session.bash.id()).unwrap(), Vec::<i32>::new());
}

#[test]
fn ending_the_session_ends_background_jobs() {
    let (_directory, mut session) = session();
    run(&mut session, "set -m; sleep 1000 & sleep 1000 &");
    let id = session.bash.id();
    assert_eq!(members(id).unwrap().len(), 3);
    drop(session);
    assert_eq!(members(id).unwrap(), Vec::<i32>::new());
}

#[test]
fn a_terminal_is_there_when_asked_for_and_only_then() {
    let (_directory, mut session) = session();
    let seconds = Duration::from_secs(10);
    assert_eq!(run(&mut session, "test -t 1").1, Ended::Status(1));
    let outcome = session
        .run_on_terminal(
            "test -t 0 && test -t 1 && stty size",
            &mut Vec::new(),
            seconds,
        )
        .unwrap();
    assert_eq!(
        (outcome.output.as_slice(), outcome.ended),
        (&b"24 120\r\n"[..], Ended::Status(0))
    );
    assert_eq!(run(&mut session, "test -t 1").1, Ended::Status(1));
}

#[test]
fn a_dialogue_types_after_the_awaited_text() {
    let (_directory, mut session) = session();
    let mut dialogue = vec![
        Exchange {
            awaited: "name? ".into(),
            typed: "Ada\r".into(),
        },
        Exchange {
            awaited: "age? ".into(),
            typed: "36\r".into(),
        },
    ];
    let command = "stty -echo; read -p 'name? ' n; read -p 'age? ' a; echo \"$n is $a\"";
    let outcome = session
        .run_on_terminal(command, &mut dialogue, Duration::from_secs(10))
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&outcome.output),
        "name? age? Ada is 36\r\n"
    );
    assert!(dialogue.is_empty() && outcome.unanswered.is_empty());
}

#[test]
fn a_dialogue_that_gets_no_answer_is_reported() {
    let (_directory, mut session) = session();
    let mut dialogue = vec![Exchange {
        awaited: "never".into(),
        typed: "x\r".into(),
    }];
    let outcome = session
        .run_on_terminal("read x", &mut dialogue, Duration::from_millis(300))
        .unwrap();
    assert_eq!(
        (outcome.ended, outcome.unanswered.len()),
        (Ended::TimedOut, 1)
    );
}

#[test]
fn much_output_is_cut_and_said_so() {
    let (_directory, mut session) = session();
    let outcome = session
        .run("head -c 6000000 /dev/zero", Duration::from_secs(20))
        .unwrap();
    assert!(outcome.truncated);
    assert_eq!(
        (outcome.output.len(), outcome.ended),
        (OUTPUT_LIMIT, Ended::Status(0))
    );
}
