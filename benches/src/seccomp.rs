//! Docker's default seccomp profile in the form of an OCI `config.json`.
//!
//! Docker's profile has conditions (`includes`, `excludes`: architectures, capabilities, kernel version)
//! that the OCI form does not have: the engine resolves them for one container. So does this file, for
//! the machine it runs on and Docker's default capabilities. The profile itself is the engine's copy.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Map, Value, json};

const PROFILE: &str = include_str!("../../engine/runtime/profiles/docker-default.json");

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: String,
    default_errno_ret: u32,
    arch_map: Vec<Architecture>,
    syscalls: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Architecture {
    architecture: String,
    sub_architectures: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    names: Vec<String>,
    action: String,
    #[serde(default)]
    args: Option<Vec<Value>>,
    errno_ret: Option<u32>,
    #[serde(default)]
    includes: Condition,
    #[serde(default)]
    excludes: Condition,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Condition {
    arches: Vec<String>,
    caps: Vec<String>,
    min_kernel: Option<String>,
}

/// The `linux.seccomp` object for a container with `capabilities`.
pub fn docker_default(capabilities: &[&str]) -> Result<Value> {
    let profile: Profile =
        serde_json::from_str(PROFILE).context("read the default seccomp profile")?;
    let (docker_name, oci_name) = architecture()?;
    let architecture = profile
        .arch_map
        .iter()
        .find(|entry| entry.architecture == oci_name);
    let mut architectures = vec![oci_name.to_owned()];
    architectures.extend(
        architecture
            .and_then(|entry| entry.sub_architectures.clone())
            .unwrap_or_default(),
    );
    let rules: Vec<Value> = profile
        .syscalls
        .iter()
        .filter(|rule| applies(rule, docker_name, capabilities))
        .map(oci_rule)
        .collect();
    Ok(json!({
        "defaultAction": profile.default_action,
        "defaultErrnoRet": profile.default_errno_ret,
        "architectures": architectures,
        "syscalls": rules,
    }))
}

/// This machine's architecture in the words of Docker's conditions and of the OCI specification.
fn architecture() -> Result<(&'static str, &'static str)> {
    match std::env::consts::ARCH {
        "x86_64" => Ok(("amd64", "SCMP_ARCH_X86_64")),
        "aarch64" => Ok(("arm64", "SCMP_ARCH_AARCH64")),
        other => bail!("no seccomp architecture known for {other}"),
    }
}

/// `includes` must all hold, and no part of `excludes` may. Within `caps` of `includes` all are needed;
/// within `arches`, and in `excludes`, one is enough (moby, profiles/seccomp/seccomp_linux.go). Kernels that
/// can run this program are newer than every `minKernel` in the profile.
fn applies(rule: &Rule, architecture: &str, capabilities: &[&str]) -> bool {
    let here = |arches: &[String]| arches.iter().any(|name| name == architecture);
    let held = |name: &String| capabilities.contains(&name.as_str());
    let included = (rule.includes.arches.is_empty() || here(&rule.includes.arches))
        && rule.includes.caps.iter().all(held);
    let excluded = here(&rule.excludes.arches)
        || rule.excludes.caps.iter().any(held)
        || rule.excludes.min_kernel.is_some();
    included && !excluded
}

fn oci_rule(rule: &Rule) -> Value {
    let mut object = Map::new();
    object.insert("names".into(), json!(rule.names));
    object.insert("action".into(), json!(rule.action));
    if let Some(arguments) = &rule.args {
        object.insert("args".into(), json!(arguments));
    }
    if let Some(errno) = rule.errno_ret {
        object.insert("errnoRet".into(), json!(errno));
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(capabilities: &[&str]) -> Vec<String> {
        let seccomp = docker_default(capabilities).expect("a profile");
        let rules = seccomp["syscalls"].as_array().expect("rules").clone();
        rules
            .iter()
            .flat_map(|rule| rule["names"].as_array().expect("names").clone())
            .map(|name| name.as_str().expect("a name").to_owned())
            .collect()
    }

    #[test]
    fn a_default_container_may_not_mount() {
        let names = names(&crate::bundle::CAPABILITIES);
        assert!(names.iter().any(|name| name == "read"));
        assert!(
            names.iter().any(|name| name == "chroot"),
            "CAP_SYS_CHROOT is one of the 14"
        );
        assert!(!names.iter().any(|name| name == "mount"));
        assert!(!names.iter().any(|name| name == "reboot"));
    }

    #[test]
    fn a_capability_opens_its_system_calls() {
        assert!(names(&["CAP_SYS_ADMIN"]).iter().any(|name| name == "mount"));
        assert!(!names(&[]).iter().any(|name| name == "chroot"));
    }

    #[test]
    fn clone3_is_answered_with_enosys() {
        let seccomp = docker_default(&[]).expect("a profile");
        let rules = seccomp["syscalls"].as_array().expect("rules");
        let clone3 = rules
            .iter()
            .find(|rule| rule["names"] == json!(["clone3"]))
            .expect("a rule for clone3");
        assert_eq!(clone3["errnoRet"], 38);
    }
}
