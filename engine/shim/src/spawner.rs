//! The spawner: a small process that makes shims by forking itself.
//!
//! Why it exists: forking a large process costs (6 ms at 100 MB), forking one with threads is wrong, and a
//! clone of the host's mount namespace costs with each mount in it. So the daemon starts this process once.
//! It has one thread, touches little memory, and lives in a mount namespace with a dozen mounts: the engine's
//! two roots, /proc and the cgroup trees. A shim, and the init before its exec, have nothing else of the host
//! in sight.
//!
//! Its program is a sealed copy in memory (memfd_create(2)) of the engine's: what a container could reach
//! through /proc/PID/exe of a process that enters it is never the file on disk (CVE-2019-5736). Copied once
//! for each daemon, not for each container.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use drydock_runtime::cgroup::Hierarchies;
use drydock_runtime::pid_one;
use drydock_sys::{descriptors, process};
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::CloneFlags;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use serde::{Deserialize, Serialize};

/// The engine's directories; they must exist.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Roots {
    /// What survives a reboot: images, containers.
    pub data_root: PathBuf,
    /// What does not: sockets.
    pub exec_root: PathBuf,
}

impl Roots {
    /// The directory of the shims' sockets.
    pub fn shims(&self) -> PathBuf {
        self.exec_root.join("shims")
    }
}

/// The daemon's handle of its spawner. When it is dropped the spawner ends; shims do not.
#[derive(Debug)]
pub struct Spawner {
    socket: OwnedFd,
    child: std::process::Child,
}

/// Starts the spawner from a sealed copy of this program, with the argument `spawner`.
pub fn launch(roots: &Roots) -> io::Result<Spawner> {
    let program = sealed_copy(Path::new("/proc/self/exe"))?;
    let (ours, theirs) = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?;
    let path = format!(
        "/proc/self/fd/{}",
        std::os::fd::AsRawFd::as_raw_fd(&program)
    );
    // Standard input is the one descriptor that a spawn hands over without code between fork and exec.
    let child = Command::new(path)
        .arg0("drydock")
        .arg("spawner")
        .env_clear()
        .envs(drydock_defects::variable())
        .current_dir("/")
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .spawn()?;
    descriptors::send(ours.as_fd(), &serde_json::to_vec(roots)?, &[])?;
    let spawner = Spawner {
        socket: ours,
        child,
    };
    spawner.expect_ready()?;
    Ok(spawner)
}

impl Spawner {
    /// Makes a shim and returns the socket it was born with; send it a `Start` frame.
    pub fn shim(&self) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        descriptors::send(self.socket.as_fd(), b"s", &[theirs.as_fd()])?;
        Ok(ours)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The spawner's first message: empty when all is well, otherwise what is wrong.
    fn expect_ready(&self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        let length = descriptors::receive(self.socket.as_fd(), &mut buffer, &mut Vec::new())?;
        match &buffer[..length] {
            b"ready" => Ok(()),
            b"" => Err(io::Error::other("the spawner ended before it was ready")),
            message => Err(io::Error::other(
                String::from_utf8_lossy(message).into_owned(),
            )),
        }
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        // It ends at the end of its socket, which the caller closes by this drop; killing it makes that
        // certain before it is reaped. It has no state to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A copy of a program in memory that nobody can change any more.
fn sealed_copy(path: &Path) -> io::Result<OwnedFd> {
    let copy = memfd_create(
        "drydock",
        MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING,
    )?;
    let mut file = File::from(copy);
    io::copy(&mut File::open(path)?, &mut file)?;
    let copy = OwnedFd::from(file);
    let seals = SealFlag::F_SEAL_SEAL
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_WRITE;
    fcntl(&copy, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(copy)
}

/// What every shim inherits from the spawner.
#[derive(Debug)]
pub(crate) struct Inheritance {
    pub(crate) hierarchies: Hierarchies,
    /// The null device, for containers without stdin.
    pub(crate) null: OwnedFd,
}

/// `drydock spawner`: serves until the daemon's end of the socket closes.
pub fn spawner_main() -> ExitCode {
    match prepare() {
        Ok((socket, inheritance)) => serve(&socket, &inheritance),
        Err(_) => ExitCode::FAILURE,
    }
}

/// Becomes small, and says so to the daemon, or why not.
fn prepare() -> io::Result<(OwnedFd, Inheritance)> {
    let socket = descriptors::inherited(0)?.try_clone()?;
    let result = receive_roots(&socket).and_then(|roots| become_small(&roots));
    let word = match &result {
        Ok(_) => "ready".to_owned(),
        Err(error) => format!("the spawner cannot start: {error}"),
    };
    descriptors::send(socket.as_fd(), word.as_bytes(), &[])?;
    result.map(|inheritance| (socket, inheritance))
}

fn receive_roots(socket: &OwnedFd) -> io::Result<Roots> {
    let mut buffer = vec![0; 16 << 10];
    let length = descriptors::receive(socket.as_fd(), &mut buffer, &mut Vec::new())?;
    Ok(serde_json::from_slice(&buffer[..length])?)
}

fn become_small(roots: &Roots) -> io::Result<Inheritance> {
    let null: OwnedFd = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")?
        .into();
    // Standard input was the socket; nothing may find it there.
    descriptors::replace_standard(null.as_fd(), 0)?;
    nix::sys::prctl::set_name(c"drydock-spawner")?;
    nix::sys::prctl::set_dumpable(false)?;
    // Shims are not waited for: without this they would stay as zombies.
    process::ignore_signal(Signal::SIGCHLD)?;
    // Losing the parent of a container is worse than losing any one process of it. Not allowed to lower the
    // score (in a user namespace, say) is no reason not to start.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-998");
    enter_small_tree(roots)?;
    let hierarchies = Hierarchies::detect()?;
    Ok(Inheritance { hierarchies, null })
}

/// A mount namespace of its own with a new, nearly empty root.
fn enter_small_tree(roots: &Roots) -> io::Result<()> {
    const NONE: Option<&str> = None;
    nix::sched::unshare(CloneFlags::CLONE_NEWNS)?;
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
    // A place to put the new root together; hidden by it in this namespace only.
    let place = roots.exec_root.clone();
    let sources = [
        (roots.data_root.clone(), MsFlags::MS_BIND),
        (roots.exec_root.clone(), MsFlags::MS_BIND),
        (PathBuf::from("/proc"), MsFlags::MS_BIND),
        (
            PathBuf::from("/sys/fs/cgroup"),
            MsFlags::MS_BIND | MsFlags::MS_REC,
        ),
    ];
    // Opened before they are hidden by the new root.
    let opened = sources
        .iter()
        .map(|(path, _)| {
            nix::fcntl::open(
                path,
                OFlag::O_PATH | OFlag::O_CLOEXEC,
                nix::sys::stat::Mode::empty(),
            )
        })
        .collect::<nix::Result<Vec<OwnedFd>>>()?;
    mount(
        Some("drydock"),
        &place,
        Some("tmpfs"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        Some("mode=0700"),
    )?;
    for ((path, flags), source) in sources.iter().zip(&opened) {
        let target = place.join(path.strip_prefix("/").unwrap_or(path));
        std::fs::create_dir_all(&target)?;
        let source = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(source));
        mount(Some(source.as_str()), &target, NONE, *flags, NONE)?;
    }
    std::fs::create_dir(place.join(drydock_runtime::STAGING.trim_start_matches('/')))?;
    nix::unistd::chdir(&place)?;
    provide_init()?;
    nix::unistd::pivot_root(".", ".").map_err(|errno| {
        // pivot_root(2): EINVAL where the root is no mount point, as after a plain chroot, or is the first
        // file system of a start from an initramfs.
        io::Error::other(format!(
            "failed to pivot its root: {}: the engine's root directory must be a mount point",
            errno.desc().to_lowercase()
        ))
    })?;
    umount2(".", MntFlags::MNT_DETACH)?;
    nix::unistd::chdir("/")?;
    Ok(())
}

/// Puts the program of `--init` below the current directory, on a file system for which there is no writing: an overlay
/// without an upper layer. A bind of it in a container is read-only, but a container that may mount could make it
/// writable, and all containers have the same file.
fn provide_init() -> io::Result<()> {
    const LAYERS: &str = "init-layers";
    let folder = drydock_runtime::INIT_FOLDER.trim_start_matches('/');
    let layers = Path::new(LAYERS);
    // An overlay without an upper layer wants two others.
    for directory in [
        layers,
        &layers.join("program"),
        &layers.join("empty"),
        Path::new(folder),
    ] {
        std::fs::create_dir(directory)?;
    }
    let program = layers.join("program").join(pid_one::NAME);
    std::fs::copy("/proc/self/exe", &program)?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    let options = format!("lowerdir={LAYERS}/program:{LAYERS}/empty");
    mount(
        Some("overlay"),
        folder,
        Some("overlay"),
        MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        Some(options.as_str()),
    )
    .map_err(|errno| {
        io::Error::other(format!(
            "failed to mount the program of --init: {}",
            errno.desc().to_lowercase()
        ))
    })
}

/// One shim for each message.
fn serve(socket: &OwnedFd, inheritance: &Inheritance) -> ExitCode {
    loop {
        let mut buffer = [0; 16];
        let mut received = Vec::new();
        match descriptors::receive(socket.as_fd(), &mut buffer, &mut received) {
            // The daemon is gone; the next one has its own spawner.
            Ok(0) => return ExitCode::SUCCESS,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return ExitCode::FAILURE,
        }
        let Some(connection) = received.pop() else {
            continue;
        };
        match process::fork() {
            Ok(process::Side::Child) => {
                // Only the shim's own connection goes on; the spawner's must not.
                let spawner: &OwnedFd = socket;
                let _ = descriptors::replace_standard(inheritance.null.as_fd(), 1);
                crate::shim::run(connection, spawner, inheritance)
            }
            // A failed fork (too many processes): the daemon sees its end of the connection close.
            Ok(process::Side::Parent(_)) | Err(_) => {}
        }
    }
}
