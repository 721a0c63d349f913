//! Which user a process runs as: `--user` against the container's /etc/passwd and /etc/group (passwd(5),
//! group(5)), with Docker's rules and texts.
//!
//! The files are the container's own and therefore hostile: they are read inside the container's root, at
//! most [`LIMIT`] bytes of each, regular files only, and numbers are checked to lie in 0 to 2^31-1, so that
//! 4294967296 cannot wrap round to root (CVE-2024-40635).

use std::os::fd::BorrowedFd;
use std::path::Path;

use drydock_sys::paths;

/// The most that is read of passwd and of group, bytes.
const LIMIT: u64 = 1 << 20;

/// The highest user and group number.
const HIGHEST: u32 = i32::MAX as u32;

/// Who a process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User number.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Supplementary groups; the primary one is among them, as in Docker (without it a file that denies the
    /// group would be open to its members, CVE-2022-36109).
    pub groups: Vec<u32>,
    /// The home directory of passwd, `/` where there is no entry.
    pub home: String,
}

/// The texts of passwd and group.
#[derive(Debug, Default)]
pub struct Database {
    passwd: String,
    group: String,
}

impl Database {
    /// Reads both files below a container's root. A file that is missing, not regular or not text is an
    /// empty one, as for Docker: numbers still work.
    pub fn read(root: BorrowedFd<'_>) -> Database {
        let read = |path| {
            let bytes = paths::read_regular(root, Path::new(path), LIMIT).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Database {
            passwd: read("/etc/passwd"),
            group: read("/etc/group"),
        }
    }

    /// Resolves `[user][:group]` and the additional groups. The error is a message for the user.
    pub fn resolve(&self, user: &str, additional: &[String]) -> Result<Identity, String> {
        let (user, group) = user.split_once(':').unwrap_or((user, ""));
        let entry = self.user(user)?;
        let mut identity = match entry {
            Some(entry) => entry,
            None => Identity {
                uid: number(user)?,
                gid: 0,
                groups: Vec::new(),
                home: "/".to_owned(),
            },
        };
        if group.is_empty() {
            identity.groups =
                self.memberships(self.name_of(user, identity.uid).as_deref().unwrap_or(user));
        } else {
            identity.gid = self.group(group)?;
        }
        for name in additional {
            identity.groups.push(self.group(name)?);
        }
        identity.groups.insert(0, identity.gid);
        let mut seen = std::collections::HashSet::new();
        identity.groups.retain(|group| seen.insert(*group));
        Ok(identity)
    }

    /// The passwd entry for a name or number; None for a number without an entry.
    fn user(&self, user: &str) -> Result<Option<Identity>, String> {
        let wanted = if user.is_empty() { "0" } else { user };
        for fields in entries(&self.passwd, 7) {
            let (Ok(uid), Ok(gid)) = (fields[2].parse::<u32>(), fields[3].parse::<u32>()) else {
                continue;
            };
            if fields[0] == wanted || fields[2] == wanted {
                if uid > HIGHEST || gid > HIGHEST {
                    return Err(out_of_range());
                }
                return Ok(Some(Identity {
                    uid,
                    gid,
                    groups: Vec::new(),
                    home: fields[5].to_owned(),
                }));
            }
        }
        if wanted.bytes().all(|byte| byte.is_ascii_digit()) || wanted.starts_with('-') {
            return number(wanted).map(|_| None);
        }
        Err(format!(
            "unable to find user {wanted}: no matching entries in passwd file"
        ))
    }

    /// The name of a user given as a number, for looking up the groups it is a member of.
    fn name_of(&self, user: &str, uid: u32) -> Option<String> {
        let text = uid.to_string();
        let same = |fields: &Vec<&str>| fields[0] == user || fields[2] == text;
        entries(&self.passwd, 7)
            .find(same)
            .map(|fields| fields[0].to_owned())
    }

    /// The groups that list this name.
    fn memberships(&self, name: &str) -> Vec<u32> {
        entries(&self.group, 4)
            .filter(|fields| fields[3].split(',').any(|member| member == name))
            .filter_map(|fields| fields[2].parse().ok().filter(|gid| *gid <= HIGHEST))
            .collect()
    }

    fn group(&self, group: &str) -> Result<u32, String> {
        for fields in entries(&self.group, 4) {
            if fields[0] == group || fields[2] == group {
                return fields[2]
                    .parse()
                    .ok()
                    .filter(|gid| *gid <= HIGHEST)
                    .ok_or_else(out_of_range);
            }
        }
        if group.bytes().all(|byte| byte.is_ascii_digit()) || group.starts_with('-') {
            return number(group);
        }
        Err(format!(
            "unable to find group {group}: no matching entries in group file"
        ))
    }
}

/// The lines with at least `count` fields between colons; comments and broken lines are passed over.
fn entries(text: &str, count: usize) -> impl Iterator<Item = Vec<&str>> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(move |line| {
            line.split(':')
                .chain(std::iter::repeat_n("", 7))
                .take(7)
                .collect::<Vec<_>>()
        })
        .filter(move |fields| !fields[0].is_empty() && fields.len() >= count)
}

/// A number in range; empty is root.
fn number(text: &str) -> Result<u32, String> {
    let text = if text.is_empty() { "0" } else { text };
    text.parse::<u32>()
        .ok()
        .filter(|number| *number <= HIGHEST)
        .ok_or_else(out_of_range)
}

fn out_of_range() -> String {
    format!("uids and gids must be in range 0-{HIGHEST}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> Database {
        Database {
            passwd: "# a comment\nroot:x:0:0:root:/root:/bin/sh\nann:x:1000:1001::/home/ann:/bin/sh\nwrap:x:4294967296:0::/:\nhigh:x:2147483648:0::/:\n".into(),
            group: "root:x:0:\nann:x:1001:\nwheel:x:10:root,ann\naudio:x:29:ann\n".into(),
        }
    }

    fn resolve(user: &str, additional: &[&str]) -> Result<Identity, String> {
        let additional: Vec<String> = additional.iter().map(|text| (*text).to_owned()).collect();
        database().resolve(user, &additional)
    }

    fn identity(uid: u32, gid: u32, groups: &[u32], home: &str) -> Identity {
        Identity {
            uid,
            gid,
            groups: groups.to_vec(),
            home: home.to_owned(),
        }
    }

    #[test]
    fn names_and_numbers() {
        assert_eq!(resolve("", &[]).unwrap(), identity(0, 0, &[0, 10], "/root"));
        assert_eq!(
            resolve("ann", &[]).unwrap(),
            identity(1000, 1001, &[1001, 10, 29], "/home/ann")
        );
        assert_eq!(
            resolve("1000", &[]).unwrap(),
            identity(1000, 1001, &[1001, 10, 29], "/home/ann")
        );
        assert_eq!(
            resolve("ann:wheel", &[]).unwrap(),
            identity(1000, 10, &[10], "/home/ann")
        );
        assert_eq!(
            resolve("7:8", &["audio", "99"]).unwrap(),
            identity(7, 8, &[8, 29, 99], "/")
        );
        assert_eq!(resolve("7", &[]).unwrap(), identity(7, 0, &[0], "/"));
    }

    #[test]
    fn no_number_wraps_round_to_root() {
        for user in [
            "2147483648",
            "4294967295",
            "4294967296",
            "-1",
            "1:-1",
            "1:4294967296",
            "high",
        ] {
            assert_eq!(
                resolve(user, &[]).unwrap_err(),
                "uids and gids must be in range 0-2147483647",
                "{user}"
            );
        }
        assert!(resolve("0x0", &[]).is_err());
        assert!(resolve("wrap", &[]).is_err());
    }

    #[test]
    fn unknown_names_are_errors() {
        assert_eq!(
            resolve("nobody", &[]).unwrap_err(),
            "unable to find user nobody: no matching entries in passwd file"
        );
        assert_eq!(
            resolve("ann:none", &[]).unwrap_err(),
            "unable to find group none: no matching entries in group file"
        );
    }
}
