//! Finding the program to execute, as execvp(3) would, and saying why it cannot be.
//!
//! This runs in the container's root. The texts are those of the Go library that runc uses, because Docker
//! users and their scripts know them.

use std::ffi::CString;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::stat::SFlag;
use nix::unistd::{AccessFlags, access};

use crate::spec::{StartError, StartErrorKind};

/// The absolute or relative path of a program. A name without a slash is looked up in PATH of `env`.
pub fn find(name: &str, env: &[String]) -> Result<PathBuf, StartError> {
    if name.contains('/') {
        return executable(Path::new(name))
            .map(|()| PathBuf::from(name))
            .map_err(|errno| refused(name, errno));
    }
    let path = env
        .iter()
        .rev()
        .find_map(|entry| entry.strip_prefix("PATH="))
        .unwrap_or("");
    let mut denied = false;
    for directory in path.split(':') {
        let candidate = Path::new(if directory.is_empty() { "." } else { directory }).join(name);
        match executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(Errno::EACCES) => denied = true,
            Err(_) => {}
        }
    }
    if denied {
        return Err(refused(name, Errno::EACCES));
    }
    let message = format!("exec: {name:?}: executable file not found in $PATH");
    Err(StartError {
        kind: StartErrorKind::NotFound,
        message,
    })
}

/// Whether it is a file with an execute bit for us.
fn executable(path: &Path) -> Result<(), Errno> {
    let status = nix::sys::stat::stat(path)?;
    if SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR {
        return Err(Errno::EISDIR);
    }
    access(path, AccessFlags::X_OK)
}

/// The error for a program that is there, or not, as `stat` said.
pub fn refused(name: &str, errno: Errno) -> StartError {
    let kind = match errno {
        Errno::ENOENT | Errno::ENOTDIR => StartErrorKind::NotFound,
        Errno::EACCES | Errno::EISDIR | Errno::ENOEXEC | Errno::EPERM => {
            StartErrorKind::NotExecutable
        }
        _ => StartErrorKind::Other,
    };
    // Go writes system errors in lower case.
    let text = match errno {
        Errno::EISDIR => "is a directory: permission denied".to_owned(),
        Errno::ENOEXEC => "exec format error".to_owned(),
        other => other.desc().to_lowercase(),
    };
    let call = match errno {
        Errno::ENOENT | Errno::ENOTDIR => format!("stat {name}: "),
        _ => String::new(),
    };
    StartError {
        kind,
        message: format!("exec: {name:?}: {call}{text}"),
    }
}

/// Replaces this process by the program. Returns only the error.
pub fn execute(path: &Path, args: &[String], env: &[String]) -> StartError {
    let c_strings = |texts: &[String]| {
        texts
            .iter()
            .map(|text| CString::new(text.as_bytes()))
            .collect::<Result<Vec<_>, _>>()
    };
    let name = args.first().map_or("", String::as_str);
    let converted = CString::new(path.as_os_str().as_encoded_bytes())
        .and_then(|path| Ok((path, c_strings(args)?, c_strings(env)?)));
    let Ok((c_path, args, env)) = converted else {
        let error = io::Error::from(io::ErrorKind::InvalidInput);
        return StartError {
            kind: StartErrorKind::Other,
            message: format!("exec {name:?}: a NUL in the arguments: {error}"),
        };
    };
    match nix::unistd::execve(&c_path, &args, &env) {
        Ok(never) => match never {},
        Err(errno) => refused_at_exec(path, errno),
    }
}

/// The error of execve(2) itself; runc words it a little differently from a failed look-up.
fn refused_at_exec(path: &Path, errno: Errno) -> StartError {
    let mut error = refused("", errno);
    let text = if errno == Errno::ENOEXEC {
        "exec format error".to_owned()
    } else {
        errno.desc().to_lowercase()
    };
    error.message = format!("exec {}: {text}", path.display());
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_first_match_in_path_wins_and_refusals_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("tool");
        std::fs::write(&program, "#!/bin/sh\n").unwrap();
        let env = vec![format!("PATH=/nonexistent:{}", directory.path().display())];
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(
            find("tool", &env).unwrap_err().kind,
            StartErrorKind::NotExecutable
        );
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find("tool", &env).unwrap(), program);

        let missing = find("nope", &env).unwrap_err();
        assert_eq!(missing.kind, StartErrorKind::NotFound);
        assert_eq!(
            missing.message,
            "exec: \"nope\": executable file not found in $PATH"
        );
        let missing = find("/nope", &env).unwrap_err();
        assert_eq!(
            missing.message,
            "exec: \"/nope\": stat /nope: no such file or directory"
        );
        assert_eq!(
            find("/", &env).unwrap_err().kind,
            StartErrorKind::NotExecutable
        );
    }
}
