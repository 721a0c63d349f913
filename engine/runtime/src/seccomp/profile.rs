//! Docker's profile format, which is the OCI runtime specification's `linux.seccomp` and more: `archMap`,
//! and rules that apply to some architectures, capabilities or kernels only (`includes`, `excludes`).

use serde::Deserialize;

use super::Error;

/// A whole profile.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Profile {
    /// For every call that no rule speaks of.
    pub(crate) default_action: ActionName,
    /// The errno of `SCMP_ACT_ERRNO` there; 1 (EPERM) without it.
    pub(crate) default_errno_ret: Option<u32>,
    #[serde(default, deserialize_with = "or_null")]
    pub(crate) architectures: Vec<String>,
    #[serde(default, deserialize_with = "or_null")]
    pub(crate) arch_map: Vec<ArchitectureMap>,
    #[serde(default, deserialize_with = "or_null")]
    flags: Vec<String>,
    #[serde(default)]
    listener_path: String,
    #[serde(default, deserialize_with = "or_null")]
    pub(crate) syscalls: Vec<Rule>,
}

/// Which architectures come with which.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ArchitectureMap {
    pub(crate) architecture: String,
    #[serde(default, deserialize_with = "or_null")]
    pub(crate) sub_architectures: Vec<String>,
}

/// What to do with some calls.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rule {
    /// The old form, for one call.
    #[serde(default)]
    name: String,
    #[serde(default, deserialize_with = "or_null")]
    names: Vec<String>,
    pub(crate) action: ActionName,
    pub(crate) errno_ret: Option<u32>,
    #[serde(default, deserialize_with = "or_null")]
    pub(crate) args: Vec<Argument>,
    #[serde(default, deserialize_with = "or_null")]
    pub(crate) includes: Filter,
    #[serde(default, deserialize_with = "or_null")]
    pub(crate) excludes: Filter,
}

/// A condition on an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Argument {
    /// 0 to 5.
    pub(crate) index: u8,
    pub(crate) value: u64,
    #[serde(default)]
    pub(crate) value_two: u64,
    pub(crate) op: Operator,
}

/// How an argument is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum Operator {
    #[serde(rename = "SCMP_CMP_NE")]
    NotEqual,
    #[serde(rename = "SCMP_CMP_LT")]
    Less,
    #[serde(rename = "SCMP_CMP_LE")]
    LessOrEqual,
    #[serde(rename = "SCMP_CMP_EQ")]
    Equal,
    #[serde(rename = "SCMP_CMP_GE")]
    GreaterOrEqual,
    #[serde(rename = "SCMP_CMP_GT")]
    Greater,
    /// `argument & value == value_two`.
    #[serde(rename = "SCMP_CMP_MASKED_EQ")]
    MaskedEqual,
}

/// When a rule applies, or does not.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Filter {
    #[serde(default, deserialize_with = "or_null")]
    pub(crate) caps: Vec<String>,
    #[serde(default, deserialize_with = "or_null")]
    pub(crate) arches: Vec<String>,
    pub(crate) min_kernel: Option<String>,
}

/// What happens to a call, by libseccomp's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum ActionName {
    #[serde(rename = "SCMP_ACT_ALLOW")]
    Allow,
    #[serde(rename = "SCMP_ACT_LOG")]
    Log,
    #[serde(rename = "SCMP_ACT_TRACE")]
    Trace,
    #[serde(rename = "SCMP_ACT_ERRNO")]
    Errno,
    #[serde(rename = "SCMP_ACT_TRAP")]
    Trap,
    #[serde(rename = "SCMP_ACT_KILL", alias = "SCMP_ACT_KILL_THREAD")]
    KillThread,
    #[serde(rename = "SCMP_ACT_KILL_PROCESS")]
    KillProcess,
    #[serde(rename = "SCMP_ACT_NOTIFY")]
    Notify,
}

impl Profile {
    /// Reads a profile and refuses what Docker refuses and what cannot be done.
    pub(crate) fn parse(json: &str) -> Result<Profile, Error> {
        let profile: Profile =
            serde_json::from_str(json).map_err(|error| Error::Syntax(error.to_string()))?;
        if !profile.architectures.is_empty() && !profile.arch_map.is_empty() {
            return Err(Error::Invalid(
                "both 'architectures' and 'archMap' are specified".to_owned(),
            ));
        }
        if !profile.listener_path.is_empty() {
            return Err(Error::Unsupported("'listenerPath'".to_owned()));
        }
        for flag in &profile.flags {
            // The first has no meaning for a process with one thread, the second none for kernels that
            // leave speculation alone (since 5.16).
            if !matches!(
                flag.as_str(),
                "SECCOMP_FILTER_FLAG_TSYNC" | "SECCOMP_FILTER_FLAG_SPEC_ALLOW"
            ) {
                return Err(Error::Unsupported(format!("the flag {flag}")));
            }
        }
        for rule in &profile.syscalls {
            rule.check()?;
        }
        Ok(profile)
    }
}

impl Rule {
    /// The calls it is about.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let old_form = (!self.name.is_empty()).then_some(self.name.as_str());
        self.names.iter().map(String::as_str).chain(old_form)
    }

    fn check(&self) -> Result<(), Error> {
        if !self.name.is_empty() && !self.names.is_empty() {
            return Err(Error::Invalid(
                "both 'name' and 'names' are specified for a rule".to_owned(),
            ));
        }
        let about = self.names().next().unwrap_or("no call");
        for argument in &self.args {
            if argument.index > 5 {
                return Err(Error::Invalid(format!(
                    "rule for {about}: no argument has the index {}",
                    argument.index
                )));
            }
        }
        Ok(())
    }
}

/// Go writes an empty list as `null`, and Docker's own profile has some.
fn or_null<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
