//! `--security-opt`: what a container may do beyond or below the default.

use drydock_api::Error;

/// Which system calls are filtered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seccomp {
    /// Docker's profile.
    Default,
    /// `seccomp=unconfined`.
    Unconfined,
    /// `seccomp=` and a profile; the client sends its text.
    Profile(String),
}

/// The options of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// prctl(PR_SET_NO_NEW_PRIVS).
    pub no_new_privileges: bool,
    /// The filter.
    pub seccomp: Seccomp,
}

/// Reads the options.
///
/// # Errors
/// 500 with Docker's texts for what it does not know, 501 for what we do not have.
pub fn read(options: &[String]) -> Result<Options, Error> {
    let mut read = Options {
        no_new_privileges: false,
        seccomp: Seccomp::Default,
    };
    for option in options {
        if option == "no-new-privileges" {
            read.no_new_privileges = true;
            continue;
        }
        // Docker's separator was a colon once, and is still read.
        let split = option.split_once('=').or_else(|| option.split_once(':'));
        let (name, value) =
            split.ok_or_else(|| Error::system(format!("invalid --security-opt 1: {option:?}")))?;
        let unknown = || Error::system(format!("invalid --security-opt 2: {option:?}"));
        match (name, value) {
            ("no-new-privileges", _) => {
                read.no_new_privileges = truth(value).ok_or_else(unknown)?
            }
            ("seccomp", "unconfined") => read.seccomp = Seccomp::Unconfined,
            ("seccomp", "builtin") => read.seccomp = Seccomp::Default,
            ("seccomp", profile) => read.seccomp = Seccomp::Profile(profile.to_owned()),
            // Without AppArmor and SELinux in the engine these change nothing.
            ("apparmor", "unconfined") | ("label", "disable") => {}
            ("apparmor" | "label", _) => {
                return Err(Error::not_built(format!(
                    "--security-opt {option}: AppArmor and SELinux are"
                )));
            }
            _ => return Err(unknown()),
        }
    }
    Ok(read)
}

/// Go's strconv.ParseBool.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(options: &[&str]) -> Result<Options, String> {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        read(&options).map_err(|error| error.to_string())
    }

    #[test]
    fn options_are_read() {
        assert_eq!(
            of(&[]),
            Ok(Options {
                no_new_privileges: false,
                seccomp: Seccomp::Default
            })
        );
        assert!(of(&["no-new-privileges"]).unwrap().no_new_privileges);
        assert!(!of(&["no-new-privileges:false"]).unwrap().no_new_privileges);
        assert_eq!(
            of(&["seccomp=unconfined", "label=disable"])
                .unwrap()
                .seccomp,
            Seccomp::Unconfined
        );
        assert_eq!(
            of(&["seccomp={}"]).unwrap().seccomp,
            Seccomp::Profile("{}".into())
        );
    }

    #[test]
    fn dockers_texts() {
        assert_eq!(
            of(&["foo"]),
            Err("invalid --security-opt 1: \"foo\"".into())
        );
        assert_eq!(
            of(&["foo=bar"]),
            Err("invalid --security-opt 2: \"foo=bar\"".into())
        );
        assert_eq!(
            of(&["no-new-privileges:foo"]),
            Err("invalid --security-opt 2: \"no-new-privileges:foo\"".into())
        );
        assert!(
            of(&["apparmor=docker-default"])
                .unwrap_err()
                .contains("not built yet")
        );
    }
}
