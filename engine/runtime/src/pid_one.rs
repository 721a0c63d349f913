//! The small init of `--init`: PID 1 of a container, which passes signals on and reaps what is orphaned.
//!
//! A program that was not written to be PID 1 has two surprises there: the kernel gives it no default action for any
//! signal, so SIGTERM does nothing, and every orphan of the container becomes its child, a zombie until it is waited
//! for. Docker puts tini before such a program, as `/sbin/docker-init`; this is ours, with the same contract: the
//! program is its only child, in a process group of its own and in the foreground of the terminal; it is sent every
//! signal that arrives; and its code is the container's, 128 and the number of the signal that ended it.
//!
//! It is a role of the engine's one program and runs with the user's rights: no file is opened, no thread is made, and
//! what it has allocated before its loop is a few words.

use std::ffi::{CString, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStringExt;

use drydock_sys::process::{self, Fork};
use drydock_sys::signals::{self, Set};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// Where it is in a container, by Docker's name.
pub const PATH: &str = "/sbin/docker-init";

/// What its process is called.
pub const NAME: &str = "docker-init";

/// `docker-init [--] PROGRAM [ARGUMENT…]`; the words after the program's own name. Does not return.
pub fn main(words: impl Iterator<Item = OsString>) -> ! {
    let mut words = words.peekable();
    words.next_if(|word| word == "--");
    let words: Result<Vec<CString>, _> = words.map(|word| CString::new(word.into_vec())).collect();
    let code = match words {
        Ok(words) if !words.is_empty() => run(&words),
        _ => {
            say("usage: docker-init -- PROGRAM [ARGUMENT...]");
            1
        }
    };
    process::exit_now(code)
}

fn run(words: &[CString]) -> i32 {
    // All of them: a signal between the fork and the wait must not be lost, and none may end us.
    let before = match signals::block(&Set::all()) {
        Ok(before) => before,
        Err(error) => return failed(&format!("block signals: {error}")),
    };
    // The child puts itself in the terminal's foreground from its background.
    for signal in [Signal::SIGTTIN, Signal::SIGTTOU] {
        if let Err(error) = process::ignore_signal(signal) {
            return failed(&format!("ignore {signal}: {error}"));
        }
    }
    match process::fork_simply() {
        Ok(Fork::Child) => become_program(words, &before),
        Ok(Fork::Parent(child)) => supervise(child),
        Err(error) => failed(&format!("fork: {error}")),
    }
}

fn failed(what: &str) -> i32 {
    say(what);
    1
}

fn say(what: &str) {
    // Without a stderr there is nobody to tell.
    let _ = writeln!(
        std::io::stderr(),
        "[FATAL {NAME} ({})] {what}",
        std::process::id()
    );
}

/// The child: its own process group, the terminal, the signals as they were, and the program.
fn become_program(words: &[CString], before: &Set) -> ! {
    let prepared = nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0))
        .and_then(
            |()| match nix::unistd::tcsetpgrp(std::io::stdin(), nix::unistd::getpgrp()) {
                // No terminal there, or not ours.
                Err(Errno::ENOTTY | Errno::ENXIO | Errno::EBADF) => Ok(()),
                other => other,
            },
        )
        .map_err(std::io::Error::from)
        .and_then(|()| process::reset_signals())
        .and_then(|()| signals::restore(before));
    if let Err(error) = prepared {
        process::exit_now(failed(&format!("prepare the program: {error}")));
    }
    let Err(errno) = nix::unistd::execvp(&words[0], words);
    say(&format!(
        "exec {} failed: {}",
        words[0].to_string_lossy(),
        errno.desc()
    ));
    process::exit_now(match errno {
        Errno::ENOENT => 127,
        Errno::EACCES => 126,
        _ => 1,
    })
}

/// Passes signals on until the program has ended; its code.
fn supervise(child: i32) -> i32 {
    loop {
        match signals::wait(&Set::all()) {
            Ok(number) if number == Signal::SIGCHLD as i32 => {
                if let Some(code) = reap(child) {
                    return code;
                }
            }
            // ESRCH: it has ended, and SIGCHLD is the next.
            Ok(number) => drop(process::kill(child, number)),
            // A stop and a continue of ourselves interrupts the wait.
            Err(_) => {}
        }
    }
}

/// Takes the codes of all that has ended; the program's, if it is among them. What else is there then goes with us.
fn reap(program: i32) -> Option<i32> {
    let mut code = None;
    // It fails for nothing that another try would change.
    while let Ok(Some((pid, ended))) = process::reap() {
        if pid == program {
            code = Some(ended);
        }
    }
    code
}
