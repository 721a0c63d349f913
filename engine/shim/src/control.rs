//! What a daemon asks of a container's control group while it runs: to freeze it, to change its limits, to say what it
//! uses and which processes are in it.
//!
//! The shim has the group's directories open, so it cannot hit another container's, and it is the parent of PID 1, so
//! the number of that process cannot have become another's.

use std::io;

use nix::errno::Errno;

use crate::protocol::{Answer, Control, Interface, Use};
use crate::shim::Shim;

impl Shim {
    pub(crate) fn control(&mut self, wanted: Control) -> Answer {
        let failed = |error: io::Error| Answer::Error {
            message: error.to_string(),
        };
        let (Some(group), None) = (&self.group, &self.exited) else {
            return failed(Errno::ESRCH.into());
        };
        match wanted {
            Control::Freeze { frozen } => match group.freeze(frozen) {
                Ok(()) => {
                    self.frozen = frozen;
                    Answer::Done
                }
                Err(error) => failed(error),
            },
            Control::Limit(limits) => group.update(&limits).map_or_else(failed, |()| Answer::Done),
            Control::Processes => group.processes().map_or_else(failed, Answer::Processes),
            Control::Use => Answer::Use(Box::new(Use {
                group: group.usage(),
                interfaces: interfaces(self.init_pid()),
            })),
        }
    }
}

/// The network interfaces of a process, without the loopback (proc_pid_net(5), `dev`).
fn interfaces(pid: i32) -> Vec<Interface> {
    // Gone with the process; then it uses nothing.
    let text = std::fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default();
    parse(&text)
}

fn parse(text: &str) -> Vec<Interface> {
    let interface = |line: &str| {
        let (name, numbers) = line.split_once(':')?;
        let numbers: Vec<u64> = numbers
            .split_whitespace()
            .filter_map(|number| number.parse().ok())
            .collect();
        let [received, sent] = [numbers.get(0..4)?, numbers.get(8..12)?]
            .map(|four| [four[0], four[1], four[2], four[3]]);
        Some(Interface {
            name: name.trim().to_owned(),
            received,
            sent,
        })
    };
    text.lines()
        .filter_map(interface)
        .filter(|interface| interface.name != "lo")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_interfaces_is_read() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    lo: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n  eth0: 1106 13 1 2 0 0 0 0 84 3 4 5 0 0 0 0\n";
        let found = parse(text);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].name.as_str(), found[0].received, found[0].sent),
            ("eth0", [1106, 13, 1, 2], [84, 3, 4, 5])
        );
    }
}
