//! What ps(1) of procps shows about processes, read from /proc (proc_pid_stat(5), proc_pid_status(5)).
//!
//! Only what `docker top` is used with: the usual layouts (`-ef`, `aux`, `-e`, `ax`) and `-o` with the usual columns.
//! Times are UTC, as everywhere in the engine.

use std::collections::HashMap;
use std::fs;

/// Clock ticks in a second (USER_HZ), the same on every architecture that matters.
const TICKS: u64 = 100;

/// The columns of a table.
#[derive(Debug)]
pub struct Layout(Vec<Column>);

/// A column: its title, and what stands in it.
type Column = (&'static str, fn(&Process, &Host) -> String);

impl Layout {
    /// From ps's options.
    ///
    /// # Errors
    /// ps's own text where it has one.
    pub fn read(options: &str) -> Result<Layout, String> {
        let mut listed = Vec::new();
        let mut preset = None;
        let mut words = options.split_whitespace();
        while let Some(word) = words.next() {
            let letters = word.trim_start_matches('-');
            if let Some((before, list)) = letters.split_once('o')
                && before.chars().all(|letter| "eAaxw".contains(letter))
            {
                let list = match list {
                    "" => words
                        .next()
                        .ok_or("ps: error: list of process format must follow -o")?,
                    list => list.trim_start_matches('='),
                };
                for name in list.split(',').filter(|name| !name.is_empty()) {
                    let unknown =
                        || format!("ps: error: unknown user-defined format specifier \"{name}\"");
                    listed.push(column(name).ok_or_else(unknown)?);
                }
                continue;
            }
            let known = letters.chars().all(|letter| "efAauxw".contains(letter));
            if !known || letters.is_empty() {
                return Err("ps: error: unsupported SysV option".to_owned());
            }
            preset = Some(usual(letters, word.starts_with('-')));
        }
        if !listed.is_empty() {
            return Ok(Layout(listed));
        }
        let names = preset.unwrap_or("pid,tty,time,ucmd");
        Ok(Layout(names.split(',').filter_map(column).collect()))
    }

    /// The titles.
    pub fn titles(&self) -> Vec<&'static str> {
        self.0.iter().map(|(title, _)| *title).collect()
    }

    /// Whether a client can tell which process a row is about.
    pub fn has_pid(&self) -> bool {
        self.0.iter().any(|(title, _)| *title == "PID")
    }
}

/// The columns of a layout that has a name. A dash makes the difference between `-f` and `f`.
fn usual(letters: &str, dash: bool) -> &'static str {
    let has = |letter| letters.contains(letter);
    if has('u') && (has('x') || has('a') || !dash) {
        "user,pid,%cpu,%mem,vsz,rss,tty,stat,bsdstart,bsdtime,args"
    } else if has('f') && dash {
        "uid-name,pid,ppid,c,stime,tty,time,cmd"
    } else if has('x') || !dash {
        "pid,tty,stat,bsdtime,args"
    } else {
        "pid,tty,time,ucmd"
    }
}

/// A column by its name in `-o`.
fn column(name: &str) -> Option<Column> {
    Some(match name {
        "pid" => ("PID", |process, _| process.pid.to_string()),
        "ppid" => ("PPID", |process, _| process.number(1).to_string()),
        "pgid" | "pgrp" => ("PGID", |process, _| process.number(2).to_string()),
        "sid" | "sess" => ("SID", |process, _| process.number(3).to_string()),
        "uid-name" => ("UID", |process, host| host.user(process.status_id("Uid"))),
        "user" | "euser" | "uname" => ("USER", |process, host| host.user(process.status_id("Uid"))),
        "uid" | "euid" => ("UID", |process, _| process.status_id("Uid").to_string()),
        "gid" | "egid" => ("GID", |process, _| process.status_id("Gid").to_string()),
        "comm" | "ucomm" => ("COMMAND", |process, _| process.name.clone()),
        "ucmd" => ("CMD", |process, _| process.name.clone()),
        "args" | "command" => ("COMMAND", |process, _| process.command_line()),
        "cmd" => ("CMD", |process, _| process.command_line()),
        "c" => ("C", |process, host| {
            (process.share(host) as u64).to_string()
        }),
        "%cpu" | "pcpu" => ("%CPU", |process, host| {
            format!("{:.1}", process.share(host))
        }),
        "%mem" | "pmem" => ("%MEM", |process, host| {
            let share = process.status("VmRSS") * 1000 / host.memory_kib.max(1);
            format!("{}.{}", share / 10, share % 10)
        }),
        "vsz" | "vsize" => ("VSZ", |process, _| process.status("VmSize").to_string()),
        "rss" | "rssize" | "rsz" => ("RSS", |process, _| process.status("VmRSS").to_string()),
        "tty" | "tt" | "tname" => ("TTY", |process, _| process.terminal()),
        "stat" => ("STAT", |process, _| process.state()),
        "s" | "state" => ("S", |process, _| process.state().chars().take(1).collect()),
        "stime" | "start_time" => ("STIME", |process, host| process.started(host)),
        "bsdstart" => ("START", |process, host| process.started(host)),
        "start" => ("STARTED", |process, host| process.started(host)),
        "time" | "cputime" => ("TIME", |process, _| clock(process.cpu_seconds(), true)),
        "bsdtime" => ("TIME", |process, _| {
            let seconds = process.cpu_seconds();
            format!("{}:{:02}", seconds / 60, seconds % 60)
        }),
        "etime" => ("ELAPSED", |process, host| clock(process.age(host), false)),
        "etimes" => ("ELAPSED", |process, host| process.age(host).to_string()),
        "nlwp" | "thcount" => ("NLWP", |process, _| process.number(17).to_string()),
        "ni" | "nice" => ("NI", |process, _| process.number(16).to_string()),
        "pri" => ("PRI", |process, _| (39 - process.number(15)).to_string()),
        "wchan" => ("WCHAN", |process, _| match process.file("wchan").as_str() {
            "" | "0" => "-".to_owned(),
            place => place.to_owned(),
        }),
        _ => return None,
    })
}

/// A row for each process that is still there, by number.
pub fn rows(layout: &Layout, pids: &[i32]) -> Vec<Vec<String>> {
    let host = Host::read();
    let mut pids = pids.to_vec();
    pids.sort_unstable();
    pids.into_iter()
        .filter_map(Process::read)
        .map(|process| {
            let cell = |(_, show): &Column| show(&process, &host);
            layout.0.iter().map(cell).collect()
        })
        .collect()
}

/// What is the same for all processes.
struct Host {
    users: HashMap<u64, String>,
    memory_kib: u64,
    /// Seconds since the boot.
    uptime: f64,
    /// Seconds since 1970 now.
    now: u64,
}

impl Host {
    fn read() -> Host {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let user = |line: &str| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_owned();
            Some((fields.nth(1)?.parse().ok()?, name))
        };
        let uptime = read("/proc/uptime");
        Host {
            // The host's users, as ps on the host: it does not look into containers.
            users: read("/etc/passwd").lines().rev().filter_map(user).collect(),
            memory_kib: crate::handlers::info::memory_total() / 1024,
            uptime: uptime
                .split(' ')
                .next()
                .and_then(|text| text.parse().ok())
                .unwrap_or(0.0),
            now: drydock_sys::clock::realtime() / 1_000_000_000,
        }
    }

    fn user(&self, uid: u64) -> String {
        match self.users.get(&uid) {
            Some(name) if name.len() > 8 => {
                format!("{}+", name.chars().take(7).collect::<String>())
            }
            Some(name) => name.clone(),
            None => uid.to_string(),
        }
    }
}

/// One process.
struct Process {
    pid: i32,
    name: String,
    /// The fields of `stat` after the name: the state first, so field n of the manual page is n - 3 here.
    fields: Vec<String>,
    status: HashMap<String, String>,
}

impl Process {
    /// None for one that has ended.
    fn read(pid: i32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let pair = |line: &str| {
            let (key, value) = line.split_once(':')?;
            Some((key.to_owned(), value.trim().to_owned()))
        };
        let (name, fields) = split_stat(&stat)?;
        Some(Process {
            pid,
            name,
            fields,
            status: status.lines().filter_map(pair).collect(),
        })
    }

    fn number(&self, index: usize) -> i64 {
        let field = self.fields.get(index);
        field.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// The first number of a line of `status`; sizes are in KiB.
    fn status(&self, key: &str) -> u64 {
        let text = self.status.get(key).map_or("", String::as_str);
        text.split_whitespace()
            .next()
            .and_then(|word| word.parse().ok())
            .unwrap_or(0)
    }

    /// The effective id, the second of four.
    fn status_id(&self, key: &str) -> u64 {
        let text = self.status.get(key).map_or("", String::as_str);
        text.split_whitespace()
            .nth(1)
            .and_then(|word| word.parse().ok())
            .unwrap_or(0)
    }

    fn file(&self, name: &str) -> String {
        // Gone, or not for us to read.
        fs::read_to_string(format!("/proc/{}/{name}", self.pid)).unwrap_or_default()
    }

    fn command_line(&self) -> String {
        let words = self.file("cmdline");
        let text: String = words
            .trim_end_matches('\0')
            .chars()
            .map(|letter| match letter {
                '\0' => ' ',
                letter if letter.is_control() => '?',
                letter => letter,
            })
            .collect();
        if text.is_empty() {
            format!("[{}]", self.name)
        } else {
            text
        }
    }

    fn cpu_seconds(&self) -> u64 {
        u64::try_from(self.number(11) + self.number(12)).unwrap_or(0) / TICKS
    }

    fn age(&self, host: &Host) -> u64 {
        let started = self.number(19) as f64 / TICKS as f64;
        (host.uptime - started).max(0.0) as u64
    }

    /// Processor time in percent of its life.
    fn share(&self, host: &Host) -> f64 {
        let used = (self.number(11) + self.number(12)) as f64 / TICKS as f64;
        let life = host.uptime - self.number(19) as f64 / TICKS as f64;
        if life > 0.0 {
            (used * 100.0 / life).min(999.0)
        } else {
            0.0
        }
    }

    fn state(&self) -> String {
        let mut text = self.fields.first().cloned().unwrap_or_default();
        let mut add = |letter, yes: bool| {
            if yes {
                text.push(letter);
            }
        };
        add('<', self.number(16) < 0);
        add('N', self.number(16) > 0);
        add('L', self.status("VmLck") > 0);
        add('s', self.number(3) == i64::from(self.pid));
        add('l', self.number(17) > 1);
        add('+', self.number(5) > 0 && self.number(5) == self.number(2));
        text
    }

    /// By the kernel's device numbers: 136 and up are the ends of terminals in /dev/pts.
    fn terminal(&self) -> String {
        let device = self.number(4) as u64;
        let (major, minor) = (
            (device >> 8) & 0xfff,
            (device & 0xff) | ((device >> 12) & 0xfff00),
        );
        match major {
            136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
            4 => format!("tty{minor}"),
            _ => "?".to_owned(),
        }
    }

    /// The hour and minute, or the day when that was another one.
    fn started(&self, host: &Host) -> String {
        const DAY: u64 = 86_400;
        const MONTHS: [&str; 12] = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ];
        let at = host.now.saturating_sub(self.age(host));
        if at / DAY == host.now / DAY {
            return format!("{:02}:{:02}", at % DAY / 3600, at % 3600 / 60);
        }
        let date = drydock_api::time::rfc3339(at * 1_000_000_000);
        let part = |range: std::ops::Range<usize>| date.get(range).unwrap_or("");
        let month = part(5..7).parse().unwrap_or(1_usize);
        format!("{}{}", MONTHS[(month - 1) % 12], part(8..10))
    }
}

/// The name stands in parentheses and may have parentheses itself.
fn split_stat(text: &str) -> Option<(String, Vec<String>)> {
    let (_, rest) = text.split_once('(')?;
    let (name, fields) = rest.rsplit_once(')')?;
    let fields = fields.split_whitespace().map(str::to_owned).collect();
    Some((name.to_owned(), fields))
}

/// `[DD-]hh:mm:ss`; without hours where there are none and they are not `always` shown.
fn clock(seconds: u64, always: bool) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let rest = format!("{:02}:{:02}", seconds / 60 % 60, seconds % 60);
    match (days, hours) {
        (0, 0) if !always => rest,
        (0, hours) => format!("{hours:02}:{rest}"),
        (days, hours) => format!("{days}-{hours:02}:{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(options: &str) -> Result<String, String> {
        Layout::read(options).map(|layout| layout.titles().join(" "))
    }

    #[test]
    fn layouts_have_ps_titles() {
        let titles = |options| titles(options).unwrap();
        assert_eq!(titles("-ef"), "UID PID PPID C STIME TTY TIME CMD");
        let of_aux = "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND";
        assert_eq!(
            (titles("aux"), titles("-aux")),
            (of_aux.into(), of_aux.into())
        );
        assert_eq!(titles("-x"), "PID TTY STAT TIME COMMAND");
        assert_eq!(titles("-e"), "PID TTY TIME CMD");
        for options in [
            "-o pid,args",
            "-opid,args",
            "-eo pid,args",
            "o pid,args",
            "-o pid -o args",
        ] {
            assert_eq!(titles(options), "PID COMMAND", "{options}");
        }
    }

    #[test]
    fn what_ps_does_not_know_is_said_as_ps_does() {
        assert_eq!(
            titles("-nosuch"),
            Err("ps: error: unsupported SysV option".into())
        );
        let unknown = "ps: error: unknown user-defined format specifier \"foo\"";
        assert_eq!(titles("-eo foo"), Err(unknown.into()));
        assert!(!Layout::read("-o comm").unwrap().has_pid());
    }

    #[test]
    fn a_process_is_read() {
        let layout = Layout::read("-o pid,ppid,comm,stat,time,etime,%mem,tty,user,stime").unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        let rows = rows(&layout, &[own, i32::MAX]);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0][0], own.to_string());
        assert_ne!(rows[0][1], "0");
    }

    #[test]
    fn times_and_names() {
        assert_eq!(
            (clock(59, true), clock(59, false)),
            ("00:00:59".into(), "00:59".into())
        );
        assert_eq!(clock(90_061, false), "1-01:01:01");
        let (name, fields) = split_stat("7 (a) b) S 1 2").unwrap();
        assert_eq!((name.as_str(), fields.join(" ")), ("a) b", "S 1 2".into()));
    }
}
