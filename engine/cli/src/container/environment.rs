//! Variables, labels and their files.

use std::fs;
use std::net::IpAddr;

/// A variable's name may not be empty.
pub fn check_variable(value: &str) -> Result<(), String> {
    if value.is_empty() || value.starts_with('=') {
        return Err(format!("invalid environment variable: {value}"));
    }
    Ok(())
}

/// A label's name may not be empty.
pub fn check_label(value: &str) -> Result<(), String> {
    if value.is_empty() || value.starts_with('=') {
        return Err(format!("invalid label '{value}': empty name"));
    }
    Ok(())
}

/// A link is `name` or `name:alias`.
pub fn check_link(value: &str) -> Result<(), String> {
    if value.is_empty() {
        return Err("empty string specified for links".to_string());
    }
    if value.split(':').count() > 2 {
        return Err(format!("bad format for links: {value}"));
    }
    Ok(())
}

/// An IP address.
pub fn check_address(value: &str) -> Result<(), String> {
    let address: Result<IpAddr, _> = value.trim().parse();
    address
        .map(drop)
        .map_err(|_| format!("IP address is not correctly formatted: {value}"))
}

/// The variables of the files, then those of the flags. A name without `=` takes our own value. Where we have
/// none, a line of a file is left out, and a flag's name stays as it is: it removes the image's variable.
pub fn variables(files: &[String], flags: &[String]) -> Result<Vec<String>, String> {
    let own = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|value| format!("{name}={value}"))
    };
    let mut list = Vec::new();
    for path in files {
        for line in read_lines(path)? {
            list.extend(if line.contains('=') {
                Some(line)
            } else {
                own(&line)
            });
        }
    }
    for flag in flags {
        list.push(if flag.contains('=') {
            flag.clone()
        } else {
            own(flag).unwrap_or_else(|| flag.clone())
        });
    }
    Ok(list)
}

/// Labels of files and flags. A flag's name without `=` is an empty label; such a line of a file is left out.
pub fn labels(files: &[String], flags: &[String]) -> Result<Vec<(String, String)>, String> {
    let mut list = Vec::new();
    for path in files {
        list.extend(
            read_lines(path)?
                .into_iter()
                .filter(|line| line.contains('=')),
        );
    }
    list.extend(flags.iter().cloned());
    Ok(list.iter().map(|line| key_value(line)).collect())
}

/// Checks `--add-host`: `name:address`, `name=address` or `name:host-gateway`.
pub fn check_host(value: &str) -> Result<(), String> {
    let (name, address) = value
        .split_once('=')
        .or_else(|| value.split_once(':'))
        .unwrap_or(("", ""));
    if name.is_empty() || address.is_empty() {
        return Err(format!("bad format for add-host: {value:?}"));
    }
    let bare = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(address);
    if bare != "host-gateway" && bare.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address in add-host: {address:?}"));
    }
    Ok(())
}

/// Checks `--sysctl`: parameters of the container's own namespaces only.
pub fn check_sysctl(value: &str) -> Result<(), String> {
    const NAMES: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    let name = value.split_once('=').map_or("", |(name, _)| name);
    if NAMES.contains(&name) || name.starts_with("net.") || name.starts_with("fs.mqueue.") {
        return Ok(());
    }
    Err(format!("sysctl '{value}' is not allowed"))
}

/// `a=b` as a pair; `a` has an empty value.
pub fn key_value(line: &str) -> (String, String) {
    let (key, value) = line.split_once('=').unwrap_or((line, ""));
    (key.to_string(), value.to_string())
}

/// The lines of an `--env-file`: comments and empty lines go, blanks before the name go.
fn read_lines(path: &str) -> Result<Vec<String>, String> {
    let bytes = fs::read(path).map_err(|error| crate::failure::go_error("open", path, &error))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut lines = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)).map_err(|_| {
            format!(
                "invalid env file ({path}): invalid utf8 bytes at line {}: {line:?}",
                index + 1
            )
        })?;
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split('=').next().unwrap_or_default();
        if name.is_empty() {
            return Err(format!(
                "invalid env file ({path}): no variable name on line '{line}'"
            ));
        }
        if name.contains(char::is_whitespace) {
            return Err(format!(
                "invalid env file ({path}): variable '{name}' contains whitespaces"
            ));
        }
        lines.push(line.to_string());
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_before_flags() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("env").to_str().unwrap().to_string();
        fs::write(&path, "# comment\n\n  A=1 \nB=x=y\r\nDRYDOCK_TEST_UNSET\n").unwrap();
        let flags = [
            "A=2".to_string(),
            "PATH".to_string(),
            "DRYDOCK_TEST_UNSET".to_string(),
        ];
        let own = format!("PATH={}", std::env::var("PATH").unwrap());
        assert_eq!(
            variables(std::slice::from_ref(&path), &flags).unwrap(),
            ["A=1 ", "B=x=y", "A=2", &own, "DRYDOCK_TEST_UNSET"]
        );
        fs::write(&path, "A B=1\n").unwrap();
        assert_eq!(
            variables(std::slice::from_ref(&path), &[]).unwrap_err(),
            format!("invalid env file ({path}): variable 'A B' contains whitespaces")
        );
        assert_eq!(
            variables(&["/nowhere/env".to_string()], &[]).unwrap_err(),
            "open /nowhere/env: no such file or directory"
        );
    }
}
