//! The last steps before the user's program: who it is, what it may do, what it has open.
//!
//! The order matters. Resource limits, the OOM score and the session keyring need privileges, so they come
//! first. The seccomp program needs CAP_SYS_ADMIN or no_new_privs to be loaded: Docker's default has no
//! no_new_privs, so it is loaded while the init is still root; with no_new_privs it is loaded last, so that a
//! strict profile of the user need not allow the calls in between. The capabilities go last of all.

use std::ffi::CString;
use std::os::fd::AsFd;
use std::path::Path;

use drydock_defects::defect;
use drydock_sys::{capabilities, descriptors, paths, process};
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fstat};
use nix::unistd::Uid;

use crate::program;
use crate::rootfs::Context;
use crate::spec::{Process, StartError, StartErrorKind};
use crate::user::{Database, Identity};

/// What runc puts before the errors of a process's last steps.
pub const INIT_FAILED: &str = "failed to create task for container: unable to start container process: error during container init: ";

/// An error of the engine's side, exit code 125.
pub fn other(message: impl Into<String>) -> StartError {
    StartError {
        kind: StartErrorKind::Other,
        message: message.into(),
    }
}

/// What happens to a working directory that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directory {
    /// PID 1's is made, as Docker does when it makes a container.
    Make,
    /// An exec's must be there.
    Require,
}

/// Becomes the user's program. The caller's root is the container's. Returns only why it could not.
pub fn become_program(id: &str, wanted: &Process, directory: Directory) -> StartError {
    let identity = match prepare(id, wanted, directory) {
        Ok(identity) => identity,
        Err(error) => return error,
    };
    let env = environment(wanted, &identity);
    let last = || -> Result<(), String> {
        // After the last file was opened: the user may allow very few of them.
        for (name, soft, hard) in &wanted.rlimits {
            let number = limit_number(name).ok_or_else(|| format!("unknown ulimit {name}"))?;
            process::set_limit(number, *soft, *hard)
                .context(|| format!("failed to set ulimit {name}"))?;
        }
        drop_privileges(wanted, &identity)?;
        // For what was forgotten; everything is opened close-on-exec.
        descriptors::close_at_exec_from(3).context(|| "failed to close descriptors".to_owned())?;
        process::reset_signals().context(|| "failed to reset signals".to_owned())
    };
    if let Err(message) = last() {
        return other(format!("{INIT_FAILED}{message}"));
    }
    // Looked up as the user, who may not be allowed to see what root sees.
    let Some(name) = wanted.args.first() else {
        return other("no command specified");
    };
    let error = match program::find(name, &env) {
        Ok(path) => match load_late_seccomp(wanted) {
            Ok(()) => program::execute(&path, &wanted.args, &env),
            Err(message) => other(message),
        },
        Err(error) => error,
    };
    StartError {
        kind: error.kind,
        message: format!("{INIT_FAILED}{}", error.message),
    }
}

/// Everything that needs privileges, up to the seccomp program.
fn prepare(id: &str, wanted: &Process, directory: Directory) -> Result<Identity, StartError> {
    let root = nix::fcntl::open(
        "/",
        OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )
    .map_err(|error| other(format!("failed to open the root: {error}")))?;
    let identity = resolve(root.as_fd(), &wanted.user, &wanted.additional_groups)?;
    let steps = || -> Result<(), String> {
        if let Some(score) = wanted.oom_score_adj {
            std::fs::write("/proc/self/oom_score_adj", score.to_string())
                .context(|| "failed to write oom_score_adj".to_owned())?;
        }
        let name = CString::new(format!("_ses.{id}")).context(|| "bad container id".to_owned())?;
        join_keyring(&name)?;
        give_streams(&identity)
    };
    let failed = |message: String| other(format!("{INIT_FAILED}{message}"));
    steps().map_err(failed)?;
    match directory {
        Directory::Make => enter_directory(root.as_fd(), &wanted.cwd).map_err(failed)?,
        Directory::Require => enter_existing(root.as_fd(), &wanted.cwd)?,
    }
    Ok(identity)
}

/// Who `user` is in the container whose root this is.
pub fn resolve(
    root: std::os::fd::BorrowedFd<'_>,
    user: &str,
    additional_groups: &[String],
) -> Result<Identity, StartError> {
    Database::read(root)
        .resolve(user, additional_groups)
        .map_err(other)
}

/// A kernel without keyrings has none to leak.
fn join_keyring(name: &std::ffi::CStr) -> Result<(), String> {
    match process::new_session_keyring(name) {
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::ENOSYS as i32) => Ok(()),
        other => other.context(|| "failed to join a new session keyring".to_owned()),
    }
}

/// Gives stdin, stdout and stderr to the user, who may open them again through /proc/self/fd. The null
/// device is everybody's already, and is the one of the container's /dev or a shared one.
fn give_streams(identity: &Identity) -> Result<(), String> {
    if identity.uid == 0 {
        return Ok(());
    }
    let null = nix::sys::stat::stat("/dev/null")
        .map(|status| status.st_rdev)
        .unwrap_or_default();
    let give = |stream: std::os::fd::BorrowedFd<'_>| -> Result<(), String> {
        let status = fstat(stream).context(|| "failed to look at a stream".to_owned())?;
        if status.st_rdev != 0 && status.st_rdev == null {
            return Ok(());
        }
        nix::unistd::fchown(stream, Some(Uid::from_raw(identity.uid)), None)
            .context(|| "failed to give a stream to the user".to_owned())
    };
    give(std::io::stdin().as_fd())?;
    give(std::io::stdout().as_fd())?;
    give(std::io::stderr().as_fd())
}

/// Enters the working directory of an exec. Exit code and text are those that runc gives.
fn enter_existing(root: std::os::fd::BorrowedFd<'_>, cwd: &str) -> Result<(), StartError> {
    let path = Path::new(if cwd.is_empty() { "/" } else { cwd });
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let entered = paths::open_in_root(root, path, flags, Mode::empty())
        .and_then(|directory| Ok(nix::unistd::fchdir(&directory)?));
    entered.map_err(|error| {
        let errno = nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or_default());
        let text = errno.desc().to_lowercase();
        StartError {
            kind: StartErrorKind::NotFound,
            message: format!(
                "{INIT_FAILED}chdir to cwd ({cwd:?}) set in config.json failed: {text}"
            ),
        }
    })
}

/// Enters the working directory, making it if missing. It is resolved without magic links and proven to be
/// below the root: `-w /proc/self/fd/7` cannot lead to a directory of the host (CVE-2024-21626).
fn enter_directory(root: std::os::fd::BorrowedFd<'_>, cwd: &str) -> Result<(), String> {
    let path = Path::new(if cwd.is_empty() { "/" } else { cwd });
    let describe = || format!("failed to enter the working directory {}", path.display());
    if !path.is_absolute() {
        return Err(format!("{}: it is not absolute", describe()));
    }
    let directory =
        paths::make_directories(root, path, Mode::from_bits_truncate(0o755)).context(describe)?;
    nix::unistd::fchdir(&directory).context(describe)?;
    let here = nix::unistd::getcwd().context(describe)?;
    if here.is_absolute() {
        Ok(())
    } else {
        Err(format!("{}: it is outside of the container", describe()))
    }
}

/// Drops what the program must not have. Afterwards this process is the user.
fn drop_privileges(wanted: &Process, identity: &Identity) -> Result<(), String> {
    if wanted.no_new_privileges && !defect!("new-privileges-allowed") {
        nix::sys::prctl::set_no_new_privs().context(|| "failed to set no_new_privs".to_owned())?;
    } else {
        load_seccomp(wanted)?;
    }
    capabilities::bound(wanted.capabilities)
        .context(|| "failed to limit the bounding set".to_owned())?;
    // Without this, changing the user would clear the permitted set before it can be set to what was asked.
    nix::sys::prctl::set_keepcaps(true).context(|| "failed to keep capabilities".to_owned())?;
    process::set_identity(identity.uid, identity.gid, &identity.groups)
        .context(|| format!("failed to become user {}:{}", identity.uid, identity.gid))?;
    nix::sys::prctl::set_keepcaps(false)
        .context(|| "failed to stop keeping capabilities".to_owned())?;
    // As another user, only the ambient set survives the exec; Docker's default leaves it empty.
    let inheritable = if wanted.ambient {
        wanted.capabilities
    } else {
        0
    };
    let active = if identity.uid == 0 || wanted.ambient {
        wanted.capabilities
    } else {
        0
    };
    capabilities::set(active, active, inheritable)
        .context(|| "failed to set capabilities".to_owned())?;
    capabilities::raise_ambient(inheritable)
        .context(|| "failed to set ambient capabilities".to_owned())
}

fn load_seccomp(wanted: &Process) -> Result<(), String> {
    let Some(program) = &wanted.seccomp else {
        return Ok(());
    };
    if defect!("seccomp-not-loaded") {
        return Ok(());
    }
    process::load_seccomp(program).context(|| "failed to load the seccomp program".to_owned())
}

fn load_late_seccomp(wanted: &Process) -> Result<(), String> {
    if wanted.no_new_privileges {
        load_seccomp(wanted)
    } else {
        Ok(())
    }
}

/// The environment, with HOME from passwd where the user gave none, as runc does.
fn environment(wanted: &Process, identity: &Identity) -> Vec<String> {
    let mut env = wanted.env.clone();
    if !env
        .iter()
        .any(|entry| entry.starts_with("HOME=") && entry.len() > "HOME=".len())
    {
        env.retain(|entry| entry != "HOME=");
        env.push(format!("HOME={}", identity.home));
    }
    env
}

/// RLIMIT_* by the names of `--ulimit` (getrlimit(2)).
fn limit_number(name: &str) -> Option<u32> {
    use nix::sys::resource::Resource;
    let resource = match name {
        "as" => Resource::RLIMIT_AS,
        "core" => Resource::RLIMIT_CORE,
        "cpu" => Resource::RLIMIT_CPU,
        "data" => Resource::RLIMIT_DATA,
        "fsize" => Resource::RLIMIT_FSIZE,
        "locks" => Resource::RLIMIT_LOCKS,
        "memlock" => Resource::RLIMIT_MEMLOCK,
        "msgqueue" => Resource::RLIMIT_MSGQUEUE,
        "nice" => Resource::RLIMIT_NICE,
        "nofile" => Resource::RLIMIT_NOFILE,
        "nproc" => Resource::RLIMIT_NPROC,
        "rss" => Resource::RLIMIT_RSS,
        "rtprio" => Resource::RLIMIT_RTPRIO,
        "rttime" => Resource::RLIMIT_RTTIME,
        "sigpending" => Resource::RLIMIT_SIGPENDING,
        "stack" => Resource::RLIMIT_STACK,
        _ => return None,
    };
    Some(resource as u32)
}
