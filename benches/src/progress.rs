//! One line on standard error that says how far the measurement is; nothing where that is no terminal.

use std::io::{IsTerminal, Write, stderr};

/// Counts steps up to a known total.
pub struct Progress {
    done: usize,
    total: usize,
    visible: bool,
}

impl Progress {
    /// `total` steps are to come.
    pub fn new(total: usize) -> Progress {
        Progress {
            done: 0,
            total,
            visible: stderr().is_terminal(),
        }
    }

    /// One step is done. A line that cannot be written is no reason to stop measuring.
    pub fn step(&mut self, doing: &str) {
        self.done += 1;
        if self.visible {
            let _ = write!(
                stderr(),
                "\rround {} of {} ({doing})   ",
                self.done,
                self.total
            );
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.visible {
            let _ = writeln!(stderr());
        }
    }
}
