//! Docker's default profile in the real kernel: a process loads the program and makes some calls.
//!
//! The process is this test's own executable, started with a word that says so; what it may do afterwards it
//! prints. Each call is also made without the program, and has to work there, so that a refusal cannot come
//! from anything else. The calls are ones that need no privileges; where root is needed the trial says so.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    process::{Command, ExitCode},
    thread,
};

use drydock_runtime::{
    capabilities,
    seccomp::{Architecture, default_program},
};
use drydock_sys::process::load_seccomp;
use libtest_mimic::{Arguments, Failed, Trial};
use nix::{
    errno::Errno,
    sched::CloneFlags,
    sys::{
        personality::{self, Persona},
        socket::{AddressFamily, SockFlag, SockType, socket},
    },
    unistd::{geteuid, gethostname, sethostname},
};

const FILTERED: &str = "--probe-filtered";
const FREE: &str = "--probe-free";

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some(FILTERED) => probe(true),
        Some(FREE) => probe(false),
        _ => tests(),
    }
}

/// Makes the calls and prints a line for each.
fn probe(filtered: bool) -> ExitCode {
    if filtered && let Err(error) = load() {
        eprintln!("load the program: {error}");
        return ExitCode::FAILURE;
    }
    let opened = |family| socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).map(drop);
    let hostname = || sethostname(gethostname()?);
    let calls: [(&str, Result<(), Errno>); 7] = [
        (
            "thread",
            thread::spawn(|| ()).join().map_err(|_| Errno::EAGAIN),
        ),
        (
            "personality 0",
            personality::set(Persona::empty()).map(drop),
        ),
        (
            "personality 0x200000",
            personality::set(Persona::ADDR_COMPAT_LAYOUT).map(drop),
        ),
        ("unshare", nix::sched::unshare(CloneFlags::CLONE_FILES)),
        ("socket unix", opened(AddressFamily::Unix)),
        ("socket vsock", opened(AddressFamily::Vsock)),
        ("sethostname", hostname()),
    ];
    for (name, result) in calls {
        let outcome = result.map_or_else(|errno| errno as i32, |()| 0);
        if writeln!(io::stdout(), "{name}={outcome}").is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn load() -> io::Result<()> {
    let program =
        default_program(capabilities::DEFAULT, Architecture::native()).map_err(io::Error::other)?;
    nix::sys::prctl::set_no_new_privs()?;
    load_seccomp(&program)
}

fn tests() -> ExitCode {
    let arguments = Arguments::from_args();
    let root = geteuid().is_root();
    let trials = vec![
        Trial::test("allowed_calls_work_and_blocked_ones_do_not", || {
            let (free, filtered) = (outcomes(FREE)?, outcomes(FILTERED)?);
            for call in ["thread", "personality 0", "socket unix"] {
                same(call, &free, 0)?;
                same(call, &filtered, 0)?;
            }
            for call in ["personality 0x200000", "unshare"] {
                same(call, &free, 0)?;
                same(call, &filtered, Errno::EPERM as i32)?;
            }
            // A kernel without AF_VSOCK says so, but never EPERM.
            if free.get("socket vsock") == Some(&(Errno::EPERM as i32)) {
                return Err("AF_VSOCK is refused without the program, too".into());
            }
            same("socket vsock", &filtered, Errno::EPERM as i32)
        }),
        Trial::test("blocks_what_root_may_do", || {
            same("sethostname", &outcomes(FREE)?, 0)?;
            same("sethostname", &outcomes(FILTERED)?, Errno::EPERM as i32)
        })
        .with_kind(if root { "" } else { "needs root" })
        .with_ignored_flag(!root),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn outcomes(mode: &str) -> Result<BTreeMap<String, i32>, Failed> {
    let output = Command::new(std::env::current_exe()?).arg(mode).output()?;
    if !output.status.success() {
        return Err(format!(
            "{mode}: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )
        .into());
    }
    let text = String::from_utf8(output.stdout)?;
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, errno)| Ok((name.to_owned(), errno.parse::<i32>()?)))
        .collect()
}

fn same(call: &str, outcomes: &BTreeMap<String, i32>, expected: i32) -> Result<(), Failed> {
    match outcomes.get(call) {
        Some(found) if *found == expected => Ok(()),
        found => Err(format!(
            "{call}: expected {}, found {found:?}",
            Errno::from_raw(expected)
        )
        .into()),
    }
}
