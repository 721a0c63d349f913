//! Deliberate defects, by which the conformance suite is tested.
//!
//! A suite that passes a broken engine proves nothing. So the engine can be built with defects in it, each of
//! one line at its place: `if defect!("wait-returns-at-once") { … }`. The suite must then fail
//! (`conformance defects`, and `conformance/defects.toml`, which says which scenarios have to notice which).
//!
//! Without the feature `planted-defects`, which is off by default, [`defect!`] is the constant `false`: no code
//! of a defect is compiled in, and nothing reads the environment. With it, at most one defect is switched on
//! for the life of a process, by [`plant`]. Library crates do not read the environment: the binary does, and
//! hands the name on to the spawner, whose forks the shims and the inits are.

/// The variable by which a test build of the binary is told which defect to have.
pub const VARIABLE: &str = "DRYDOCK_DEFECT";

/// The names of all defects. [`defect!`] takes no other: a wrong name does not compile.
pub const NAMES: &[&str] = &[
    // How a process ends
    "signal-code-off-by-one",
    "codes-126-and-127-swapped",
    "stop-kills-at-once",
    "stop-signal-ignored",
    "wait-returns-at-once",
    "out-of-memory-untold",
    // The life of a container
    "restart-maximum-ignored",
    "restart-after-success",
    "restart-after-kill",
    "running-container-removed",
    "rm-flag-ignored",
    "started-at-zero",
    "die-event-missing",
    "events-in-wrong-order",
    // Names and lists
    "name-taken-twice",
    "rename-keeps-old-name",
    "exited-filter-ignored",
    "label-lost",
    // Streams and logs
    "log-streams-swapped",
    "attach-streams-swapped",
    "log-attributes-lost",
    "log-compressed-unread",
    "log-loses-unfinished-line",
    "log-tail-off-by-one",
    "log-since-ignored",
    // What a process finds around it
    "environment-reversed",
    "host-name-not-set",
    "user-ignored",
    "tmpfs-size-ignored",
    "bind-writable",
    "exec-environment-ignored",
    "exec-directory-ignored",
    "exec-user-ignored",
    // Security and limits
    "root-writable",
    "capability-kept",
    "seccomp-not-loaded",
    "new-privileges-allowed",
    "paths-not-masked",
    "all-devices-allowed",
    "memory-unlimited",
    "processes-unlimited",
    // Links and health
    "link-variables-missing",
    "health-retries-ignored",
    // Images and errors
    "copy-replaces-directory",
    "used-image-removed",
    "layer-digest-unchecked",
    "commit-forgets-deletions",
    "commit-pauses-nothing",
    "history-sizes-shifted",
    "not-found-is-500",
    "no-such-container-reworded",
    "too-new-version-served",
];

/// Whether the defect of this name is planted. Without the feature it is the constant `false`.
#[macro_export]
macro_rules! defect {
    ($name:literal) => {{
        const {
            assert!(
                $crate::is_known($name),
                "no such defect: see drydock_defects::NAMES"
            )
        };
        $crate::is_planted($name)
    }};
}

/// Whether [`NAMES`] has it; for the check at compile time, which knows no comparison of texts.
pub const fn is_known(name: &str) -> bool {
    let mut index = 0;
    while index < NAMES.len() {
        if is_same(NAMES[index].as_bytes(), name.as_bytes()) {
            return true;
        }
        index += 1;
    }
    false
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    let mut index = 0;
    while index < one.len() && index < other.len() && one[index] == other[index] {
        index += 1;
    }
    index == one.len() && index == other.len()
}

pub use planted::{is_planted, plant, variable};

#[cfg(feature = "planted-defects")]
mod planted {
    use std::sync::OnceLock;

    static PLANTED: OnceLock<&'static str> = OnceLock::new();

    /// Switches a defect on for the life of this process and of its forks.
    ///
    /// # Errors
    /// When there is no defect of this name, or when one is planted already.
    pub fn plant(name: &str) -> Result<(), String> {
        let known = super::NAMES.iter().find(|known| **known == name);
        let known = known.ok_or_else(|| format!("`{name}` is no planted defect"))?;
        PLANTED
            .set(known)
            .map_err(|_| format!("cannot plant {name}: there is one defect at a time"))
    }

    /// Whether this defect is planted.
    pub fn is_planted(name: &str) -> bool {
        PLANTED.get() == Some(&name)
    }

    /// The variable that plants the same defect in another process of the engine.
    pub fn variable() -> Option<(&'static str, &'static str)> {
        PLANTED.get().map(|name| (super::VARIABLE, *name))
    }
}

#[cfg(not(feature = "planted-defects"))]
mod planted {
    /// Does nothing in this build.
    ///
    /// # Errors
    /// Always: this build has no defects.
    pub fn plant(name: &str) -> Result<(), String> {
        Err(format!(
            "cannot plant {name}: this build has no planted defects"
        ))
    }

    /// Always false in this build.
    #[inline(always)]
    pub const fn is_planted(_name: &str) -> bool {
        false
    }

    /// Always None in this build.
    pub const fn variable() -> Option<(&'static str, &'static str)> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_and_there_once() {
        let mut sorted = NAMES.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), NAMES.len());
        for name in NAMES {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            assert!(
                name.bytes().all(|byte| plain(byte) || byte == b'-'),
                "{name}"
            );
        }
    }

    #[test]
    fn a_prefix_is_not_a_name() {
        assert!(is_known("label-lost"));
        assert!(!is_known("label-los") && !is_known("label-lost-") && !is_known(""));
    }

    #[cfg(not(feature = "planted-defects"))]
    #[test]
    fn a_usual_build_has_no_defect() {
        const LOST: bool = defect!("label-lost");
        const { assert!(!LOST) };
        assert!(plant("label-lost").is_err() && variable().is_none());
        assert!(!defect!("label-lost"));
    }

    #[cfg(feature = "planted-defects")]
    #[test]
    fn one_defect_at_a_time() {
        assert!(plant("nothing").is_err());
        assert!(plant("label-lost").is_ok());
        assert!(defect!("label-lost") && !defect!("bind-writable"));
        assert_eq!(variable(), Some((VARIABLE, "label-lost")));
        assert!(plant("bind-writable").is_err());
    }
}
