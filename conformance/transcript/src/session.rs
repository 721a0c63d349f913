//! One bash that lives as long as a page.
//!
//! A page's commands share a working directory, variables and background jobs, as they do for a person who
//! types them. So one bash reads commands from a pipe and evaluates each. Its three standard descriptors
//! are pipes of ours, which the script below moves away before the first command:
//!
//! * commands come in on descriptor 9, each ended by a NUL byte;
//! * exit statuses go out on descriptor 8, so no output of a command can be taken for one;
//! * standard output and standard error of all commands are one pipe, which keeps their order.
//!
//! Commands do not inherit 8 and 9. A write to a pipe is complete when the writer goes on, so when a status has
//! come, everything that the command wrote is in the pipe already. That is not so for a pseudo-terminal
//! (pty(7)), whose data passes through a work queue of the kernel; there a mark with a random part is written
//! after the command and waited for.
//!
//! `setsid(1)` makes the bash the leader of a session of its own, so that all of its processes can be found
//! and ended, and so that the terminal becomes theirs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::control::Exchange;

/// What bash runs: evaluates commands from descriptor 9 and answers with statuses on descriptor 8.
///
/// `__restore` gives `$?` back to the next command. The redirections of `eval` hold for the command only,
/// except where the command itself says `exec`.
const DRIVER: &str = r#"exec 9<&0 8>&1 0</dev/null 1>&2
__status=0
__restore() { return "$__status"; }
while IFS= read -r -d '' -u 9 __terminal && IFS= read -r -d '' -u 9 __mark && IFS= read -r -d '' -u 9 __command; do
    if [ -n "$__terminal" ]; then
        __restore
        eval "$__command" <>"$__terminal" 1>&0 2>&1 8>&- 9<&-
        __status=$?
        printf '%s' "$__mark" >"$__terminal"
    else
        __restore
        eval "$__command" 8>&- 9<&-
        __status=$?
    fi
    printf '%s\n' "$__status" >&8
done
"#;

/// Output of one command beyond this many bytes is read and dropped.
const OUTPUT_LIMIT: usize = 4 << 20;

/// What the commands of a session find around them. Nothing else is inherited.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Directories searched before the usual ones; the `docker` of a rig lies here.
    pub path_first: Vec<PathBuf>,
    /// `HOME`.
    pub home: PathBuf,
    /// Where the first command starts.
    pub working_directory: PathBuf,
    /// `COLUMNS`, and the width of the terminal.
    pub columns: u16,
    /// Further variables.
    pub variables: BTreeMap<String, String>,
}

impl Environment {
    /// An environment with `directory` as home and working directory.
    pub fn new(directory: &Path) -> Environment {
        Environment {
            path_first: Vec::new(),
            home: directory.to_owned(),
            working_directory: directory.to_owned(),
            columns: 120,
            variables: BTreeMap::new(),
        }
    }

    /// Sets a variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Environment {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    fn path(&self) -> String {
        let first = self
            .path_first
            .iter()
            .map(|directory| directory.display().to_string() + ":");
        first.collect::<String>() + "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    }
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With an exit status.
    Status(i32),
    /// Not within its time. All processes of the session were ended.
    TimedOut,
    /// It ended the shell itself, with this status (128 + n for a signal).
    ShellEnded(i32),
}

/// What a command did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Standard output and standard error in the order in which they were written.
    pub output: Vec<u8>,
    /// Whether output beyond the limit was dropped.
    pub truncated: bool,
    /// How it ended.
    pub ended: Ended,
    /// Parts of the dialogue for which the awaited text never came.
    pub unanswered: Vec<Exchange>,
}

/// A running bash. Ends with all its processes when dropped.
#[derive(Debug)]
pub struct Session {
    bash: Child,
    commands: Option<ChildStdin>,
    statuses: ChildStdout,
    output: ChildStderr,
    terminal: Option<Terminal>,
    columns: u16,
    ended: bool,
}

#[derive(Debug)]
struct Terminal {
    master: File,
    /// The other side stays open, so that the master never reports a hang-up between two commands.
    _slave: File,
    name: String,
}

impl Session {
    /// Starts a bash.
    ///
    /// # Errors
    /// When `setsid` or `bash` cannot be started.
    pub fn start(environment: &Environment) -> io::Result<Session> {
        let mut bash = Command::new("setsid")
            .args(["bash", "--noprofile", "--norc", "-c", DRIVER, "bash"])
            .env_clear()
            .env("PATH", environment.path())
            .env("HOME", &environment.home)
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .env("TERM", "dumb")
            .env("COLUMNS", environment.columns.to_string())
            .envs(&environment.variables)
            .current_dir(&environment.working_directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let missing = || io::Error::other("a pipe to bash is missing");
        let commands = Some(bash.stdin.take().ok_or_else(missing)?);
        let statuses = bash.stdout.take().ok_or_else(missing)?;
        let output = bash.stderr.take().ok_or_else(missing)?;
        set_nonblocking(statuses.as_fd())?;
        set_nonblocking(output.as_fd())?;
        Ok(Session {
            bash,
            commands,
            statuses,
            output,
            terminal: None,
            columns: environment.columns,
            ended: false,
        })
    }

    /// Whether the bash has ended or was ended; then no further command can run.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Runs one command with pipes as its output and nothing as its input.
    ///
    /// # Errors
    /// When bash cannot be reached.
    pub fn run(&mut self, command: &str, timeout: Duration) -> io::Result<Outcome> {
        self.send("", "", command)?;
        self.collect(None, &mut Vec::new(), timeout)
    }

    /// Runs one command on the session's terminal. Parts of `dialogue` that are used are taken out of it.
    ///
    /// # Errors
    /// When no pseudo-terminal can be opened or bash cannot be reached.
    pub fn run_on_terminal(
        &mut self,
        command: &str,
        dialogue: &mut Vec<Exchange>,
        timeout: Duration,
    ) -> io::Result<Outcome> {
        if self.terminal.is_none() {
            self.terminal = Some(Terminal::open(self.columns)?);
        }
        let name = self
            .terminal
            .as_ref()
            .map(|terminal| terminal.name.clone())
            .unwrap_or_default();
        // The processor's cycle counter would do as well; what matters is that no output contains it.
        let mark = format!("\x1e{:016x}{:08x}\x1e", unique(), self.bash.id());
        self.send(&name, &mark, command)?;
        self.collect(Some(mark.as_bytes()), dialogue, timeout)
    }

    fn send(&mut self, terminal: &str, mark: &str, command: &str) -> io::Result<()> {
        let pipe = self
            .commands
            .as_mut()
            .ok_or_else(|| io::Error::other("the shell has ended"))?;
        pipe.write_all(format!("{terminal}\0{mark}\0{command}\0").as_bytes())?;
        pipe.flush()
    }

    /// Reads until the status has come (and, on a terminal, the mark).
    fn collect(
        &mut self,
        mark: Option<&[u8]>,
        dialogue: &mut Vec<Exchange>,
        timeout: Duration,
    ) -> io::Result<Outcome> {
        let deadline = Instant::now() + timeout;
        let mut output = Collected::default();
        let mut status_line = Vec::new();
        let mut answered_to = 0;
        loop {
            let status_end = read_available(&mut self.statuses, &mut |bytes| {
                status_line.extend_from_slice(bytes)
            })?;
            read_available(&mut self.output, &mut |bytes| output.push(bytes))?;
            if let Some(terminal) = &mut self.terminal {
                read_available(&mut terminal.master, &mut |bytes| output.push(bytes))?;
                answer(terminal, &output.bytes, &mut answered_to, dialogue)?;
            }
            let marked = mark.is_none_or(|mark| find(&output.bytes, mark).is_some());
            if status_line.ends_with(b"\n") && marked {
                let status = std::str::from_utf8(&status_line)
                    .ok()
                    .and_then(|text| text.trim().parse().ok());
                let status =
                    status.ok_or_else(|| io::Error::other("bash sent a malformed status"))?;
                return Ok(output.outcome(mark, Ended::Status(status), Vec::new()));
            }
            if status_end {
                self.end()?;
                let status = exit_code(self.bash.wait()?);
                return Ok(output.outcome(mark, Ended::ShellEnded(status), Vec::new()));
            }
            if Instant::now() >= deadline {
                self.end()?;
                read_available(&mut self.output, &mut |bytes| output.push(bytes))?;
                return Ok(output.outcome(mark, Ended::TimedOut, std::mem::take(dialogue)));
            }
            self.wait_for_input(deadline)?;
        }
    }

    fn wait_for_input(&self, deadline: Instant) -> io::Result<()> {
        let left = deadline
            .saturating_duration_since(Instant::now())
            .as_millis()
            .clamp(1, 60_000) as u16;
        let mut descriptors = vec![
            PollFd::new(self.statuses.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.output.as_fd(), PollFlags::POLLIN),
        ];
        if let Some(terminal) = &self.terminal {
            descriptors.push(PollFd::new(terminal.master.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut descriptors, PollTimeout::from(left)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends all processes of the session; see kill(2). A process that made a session of its own stays.
    fn end(&mut self) -> io::Result<()> {
        self.ended = true;
        self.commands = None;
        for _ in 0..50 {
            let members = members(self.bash.id())?;
            if members.is_empty() {
                break;
            }
            for member in members {
                // It may have ended by itself in the meantime.
                let _ = kill(Pid::from_raw(member), Signal::SIGKILL);
            }
            let _ = self.bash.try_wait()?;
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.end();
        let _ = self.bash.wait();
    }
}

impl Terminal {
    fn open(columns: u16) -> io::Result<Terminal> {
        let size = nix::pty::Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pair = nix::pty::openpty(Some(&size), None)?;
        let name = nix::unistd::ttyname(&pair.slave)?.display().to_string();
        set_nonblocking(pair.master.as_fd())?;
        Ok(Terminal {
            master: File::from(pair.master),
            _slave: File::from(pair.slave),
            name,
        })
    }
}

/// Types the next part of the dialogue when its text has come.
fn answer(
    terminal: &mut Terminal,
    output: &[u8],
    answered_to: &mut usize,
    dialogue: &mut Vec<Exchange>,
) -> io::Result<()> {
    while let Some(exchange) = dialogue.first() {
        let Some(at) = find(&output[*answered_to..], exchange.awaited.as_bytes()) else {
            return Ok(());
        };
        *answered_to += at + exchange.awaited.len();
        terminal.master.write_all(exchange.typed.as_bytes())?;
        dialogue.remove(0);
        // What is typed is echoed; the next text is looked for in what comes from now on.
    }
    Ok(())
}

#[derive(Default)]
struct Collected {
    bytes: Vec<u8>,
    truncated: bool,
}

impl Collected {
    fn push(&mut self, bytes: &[u8]) {
        let room = OUTPUT_LIMIT.saturating_sub(self.bytes.len());
        self.truncated |= bytes.len() > room;
        self.bytes
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn outcome(mut self, mark: Option<&[u8]>, ended: Ended, unanswered: Vec<Exchange>) -> Outcome {
        if let Some(at) = mark.and_then(|mark| find(&self.bytes, mark)) {
            self.bytes.truncate(at);
        }
        Outcome {
            output: self.bytes,
            truncated: self.truncated,
            ended,
            unanswered,
        }
    }
}

/// Reads what is there; returns whether the end was reached.
fn read_available(source: &mut impl Read, take: &mut dyn FnMut(&[u8])) -> io::Result<bool> {
    let mut buffer = [0u8; 16 << 10];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(true),
            Ok(length) => take(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A pseudo-terminal whose other side is closed: pty(7).
            Err(error) if error.raw_os_error() == Some(nix::libc::EIO) => return Ok(true),
            Err(error) => return Err(error),
        }
    }
}

fn set_nonblocking(descriptor: BorrowedFd) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(descriptor, FcntlArg::F_GETFL)?);
    fcntl(descriptor, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

/// The processes of a session that have not ended, from /proc/PID/stat; see proc_pid_stat(5).
fn members(session: u32) -> io::Result<Vec<i32>> {
    let mut members = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        // The command's name in parentheses may itself hold spaces and parentheses.
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.split_whitespace().collect())
            .unwrap_or_default();
        let in_session = fields.get(3).and_then(|field| field.parse().ok()) == Some(session);
        if in_session && fields.first() != Some(&"Z") {
            members.push(pid);
        }
    }
    Ok(members)
}

fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(-1)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return Some(0);
    }
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// A number that no earlier call in this process has given.
fn unique() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}

#[cfg(test)]
mod tests;
