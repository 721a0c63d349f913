//! From a profile to one decision for each system call number of each architecture.
//!
//! The rules of the game are Docker's, runc's and libseccomp's, because profiles are written for them:
//! * a rule is left out unless all of `includes` holds and nothing of `excludes` does;
//! * a name that the architecture does not have is skipped; so is a rule that says what is done anyway;
//! * of several rules without conditions on arguments the first counts, and none with conditions does then;
//! * conditions of one rule all have to hold, unless two are on the same argument: then any is enough;
//! * numbers above the highest that any rule names answer ENOSYS: they are calls that are newer than the
//!   profile, and a program falls back to an older call on ENOSYS, but gives up on EPERM. (runc's stub.)
//!
//! libseccomp leaves open what two rules with conditions and different actions do. Here the stricter wins, in
//! the order of seccomp(2).

use std::{collections::BTreeMap, fs};

use super::{
    Error, Foreign, Options,
    architecture::Table,
    arguments,
    numbers::number,
    profile::{ActionName, Argument, Filter, Profile, Rule},
};
use crate::capabilities;

/// Version of a Linux kernel: 6 and 18 of `6.18.3-arch1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion(pub u32, pub u32);

impl KernelVersion {
    /// That of the running kernel.
    ///
    /// # Errors
    /// [`Error::KernelVersion`].
    pub fn running() -> Result<KernelVersion, Error> {
        let text = fs::read_to_string("/proc/sys/kernel/osrelease")
            .map_err(|error| Error::KernelVersion(error.to_string()))?;
        KernelVersion::leading(&text)
            .ok_or_else(|| Error::KernelVersion(format!("what is {:?}?", text.trim())))
    }

    fn leading(text: &str) -> Option<KernelVersion> {
        let mut numbers = text
            .trim()
            .split(|character: char| !character.is_ascii_digit());
        Some(KernelVersion(
            numbers.next()?.parse().ok()?,
            numbers.next()?.parse().ok()?,
        ))
    }

    /// `minKernel`, which has exactly two numbers.
    fn minimum(text: &str) -> Result<KernelVersion, Error> {
        let version = KernelVersion::leading(text);
        version
            .filter(|version| text == format!("{}.{}", version.0, version.1))
            .ok_or_else(|| Error::Invalid(format!("minKernel: {text:?} is not a version")))
    }
}

/// What the kernel does with a call: the value that a filter returns (SECCOMP_RET_* of linux/seccomp.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Action(pub(crate) u32);

impl Action {
    pub(crate) const ALLOW: Action = Action(0x7fff_0000);
    pub(crate) const KILL_PROCESS: Action = Action(0x8000_0000);
    pub(crate) const ENOSYS: Action = Action(0x0005_0000 | 38);
    const EPERM: u32 = 1;
    /// The kernel cuts larger ones to this (MAX_ERRNO).
    const LARGEST_ERRNO: u32 = 4095;

    fn new(name: ActionName, errno: Option<u32>) -> Result<Action, Error> {
        let errno = errno.unwrap_or(Action::EPERM);
        if errno > Action::LARGEST_ERRNO {
            return Err(Error::Invalid(format!(
                "errnoRet: {errno} is larger than {}",
                Action::LARGEST_ERRNO
            )));
        }
        match name {
            ActionName::Allow => Ok(Action::ALLOW),
            ActionName::Log => Ok(Action(0x7ffc_0000)),
            ActionName::Trace => Ok(Action(0x7ff0_0000 | errno)),
            ActionName::Errno => Ok(Action(0x0005_0000 | errno)),
            ActionName::Trap => Ok(Action(0x0003_0000)),
            ActionName::KillThread => Ok(Action(0)),
            ActionName::KillProcess => Ok(Action::KILL_PROCESS),
            ActionName::Notify => Err(Error::Unsupported("SCMP_ACT_NOTIFY".to_owned())),
        }
    }

    /// The kernel's order between filters: the smaller value as a signed number is the stricter one.
    fn strictness(self) -> i32 {
        self.0.cast_signed() >> 16
    }

    /// ALLOW, LOG or TRACE as the default: a call that is newer than the profile is treated like the others.
    fn lets_through(self) -> bool {
        (0x7ff0_0000..0x8000_0000).contains(&self.0)
    }
}

/// A condition as the program checks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) argument: Argument,
    /// Only the lower half of the register is looked at.
    pub(crate) lower_half: bool,
}

/// If all conditions hold, the action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clause {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) action: Action,
}

/// The decisions of one table.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) table: Table,
    /// By number; the first clause that holds counts, `default` if none does.
    pub(crate) decisions: BTreeMap<u32, Vec<Clause>>,
    pub(crate) default: Action,
    /// Numbers above this one (and in the table's range) answer ENOSYS.
    pub(crate) newest: Option<u32>,
}

/// One policy for each table that is let in, the native one first.
pub(crate) fn resolve(profile: &Profile, options: &Options) -> Result<Vec<Policy>, Error> {
    let default = Action::new(profile.default_action, profile.default_errno_ret)?;
    let mut rules = Vec::new();
    for rule in &profile.syscalls {
        // Checked for every rule, so that a mistake shows on every machine.
        let action = Action::new(rule.action, rule.errno_ret)?;
        if applies(rule, options)? {
            rules.push((rule, action));
        }
    }
    let tables =
        std::iter::once(options.architecture.table()).chain(foreign_tables(profile, options));
    Ok(tables.map(|table| policy(table, &rules, default)).collect())
}

fn foreign_tables(profile: &Profile, options: &Options) -> impl Iterator<Item = Table> {
    let native = options.architecture.table().profile_name();
    let listed = move |name: &str| {
        profile.architectures.iter().any(|other| other == name)
            || profile.arch_map.iter().any(|map| {
                map.architecture == native
                    && map.sub_architectures.iter().any(|other| other == name)
            })
    };
    let wanted = options.foreign == Foreign::AsProfile;
    options
        .architecture
        .foreign_tables()
        .iter()
        .copied()
        .filter(move |table| wanted && listed(table.profile_name()))
}

fn applies(rule: &Rule, options: &Options) -> Result<bool, Error> {
    let (includes, excludes) = (&rule.includes, &rule.excludes);
    let architecture = |name: &String| name == options.architecture.profile_name();
    let included = (includes.arches.is_empty() || includes.arches.iter().any(architecture))
        && includes
            .caps
            .iter()
            .all(|name| holds_capability(name, options))
        && new_enough(includes, options)?.unwrap_or(true);
    let excluded = excludes.arches.iter().any(architecture)
        || excludes
            .caps
            .iter()
            .any(|name| holds_capability(name, options))
        || new_enough(excludes, options)?.unwrap_or(false);
    Ok(included && !excluded)
}

/// A name that no kernel has is never held, as in Docker.
fn holds_capability(name: &str, options: &Options) -> bool {
    capabilities::number(name).is_some_and(|number| options.capabilities >> number & 1 == 1)
}

/// None without a `minKernel`.
fn new_enough(filter: &Filter, options: &Options) -> Result<Option<bool>, Error> {
    let Some(text) = &filter.min_kernel else {
        return Ok(None);
    };
    Ok(Some(options.kernel >= KernelVersion::minimum(text)?))
}

fn policy(table: Table, rules: &[(&Rule, Action)], default: Action) -> Policy {
    let mut decisions: BTreeMap<u32, Vec<Clause>> = BTreeMap::new();
    let mut newest = None;
    for (rule, action) in rules {
        for name in rule.names() {
            let Some(number) = number(table, name) else {
                continue;
            };
            newest = newest.max(Some(number));
            if *action != default {
                add(
                    decisions.entry(number).or_default(),
                    clauses(table, name, rule, *action),
                );
            }
        }
    }
    for clauses in decisions.values_mut() {
        clauses.sort_by_key(|clause| clause.action.strictness());
    }
    let newest = newest.filter(|_| !default.lets_through());
    Policy {
        table,
        decisions,
        default,
        newest,
    }
}

/// A rule's part in the decision on one call.
fn clauses(table: Table, name: &str, rule: &Rule, action: Action) -> Vec<Clause> {
    let condition = |argument: &Argument| Condition {
        argument: *argument,
        lower_half: table.has_32_bit_arguments() || arguments::is_32_bit(name, argument.index),
    };
    let conditions: Vec<Condition> = rule.args.iter().map(condition).collect();
    let mut indices: Vec<u8> = rule.args.iter().map(|argument| argument.index).collect();
    indices.sort_unstable();
    indices.dedup();
    if indices.len() == conditions.len() {
        return vec![Clause { conditions, action }];
    }
    conditions
        .into_iter()
        .map(|condition| Clause {
            conditions: vec![condition],
            action,
        })
        .collect()
}

/// Adds to a call's clauses. One without conditions stands alone, and the first such one stays.
fn add(clauses: &mut Vec<Clause>, new: Vec<Clause>) {
    let unconditional =
        |clauses: &[Clause]| clauses.iter().any(|clause| clause.conditions.is_empty());
    if unconditional(clauses) {
        return;
    }
    if unconditional(&new) {
        clauses.clear();
    }
    clauses.extend(new);
}
