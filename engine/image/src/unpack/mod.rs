//! Unpacking: from a hostile archive to a directory that overlayfs can use.
//!
//! Three walls, each enough by itself:
//!
//! 1. [`name`]: a member's name is cleaned as text, and one that climbs above the root is refused;
//! 2. [`root`]: the kernel resolves what is left below a directory descriptor (`openat2`), which no link
//!    can leave;
//! 3. [`child`]: all of it runs in a process that sees no other files, has next to no privileges, and can
//!    neither talk to nor signal the host, so that even a bug in the tar library stays there.
//!
//! [`crate::tape`] and [`extract`] bound what an archive can make us do; [`skeleton`] keeps what is needed to
//! make the archive again.

pub(crate) mod child;
pub(crate) mod extract;
pub(crate) mod name;
pub(crate) mod root;
pub(crate) mod skeleton;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use drydock_sys::paths;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use crate::error::{Context, Error};
use crate::layer::{ARCHIVE, FILES};

/// Where archives are unpacked.
#[derive(Clone, Debug)]
pub enum Unpacker {
    /// In this process. For tests: a bug in the unpacker would have all of the process's privileges.
    InProcess,
    /// In a sandboxed child: `program unpack DIRECTORY`, which must call [`crate::unpack_main`]. Needs root.
    Child {
        /// The engine's binary.
        program: PathBuf,
    },
}

/// Unpacks an uncompressed archive: makes `files/` and `archive.gz` in `folder`, which is empty. Returns the
/// size of the layer. The archive is read to its end.
pub(crate) fn run(
    unpacker: &Unpacker,
    archive: &mut dyn Read,
    folder: &Path,
) -> Result<u64, Error> {
    let (files, skeleton) = (folder.join(FILES), folder.join(ARCHIVE));
    fs::create_dir(&files).context("create", &files)?;
    // Whatever the umask is: this is `/` of a container.
    fs::set_permissions(&files, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .context("set mode of", &files)?;
    let root = File::open(&files).context("open", &files)?;
    let output = File::create_new(&skeleton).context("create", &skeleton)?;
    match unpacker {
        Unpacker::InProcess => {
            let directory = root.try_clone().context("open", &files)?;
            let own = nix::unistd::geteuid().is_root();
            extract::extract(archive, directory.into(), output, own).map_err(message)?;
        }
        Unpacker::Child { program } => run_child(program, archive, &files, output)?,
    }
    finish(&root, &skeleton)
}

/// The text of an error of the unpacker, which already says what it is about.
fn message(error: io::Error) -> Error {
    Error::System(error.to_string())
}

/// Feeds the archive to `program unpack files`, whose standard output is the skeleton.
fn run_child(
    program: &Path,
    archive: &mut dyn Read,
    files: &Path,
    skeleton: File,
) -> Result<(), Error> {
    let mut child = Command::new(program)
        .arg("unpack")
        .arg(files)
        .current_dir("/")
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(skeleton)
        .stderr(Stdio::piped())
        .spawn()
        .context("start", program)?;
    let fed = feed(archive, child.stdin.take());
    let output = child
        .wait_with_output()
        .context("wait for the unpacker in", files)?;
    if let Err(Feeding::Source(error)) = fed {
        // Whatever the child made of the part it got.
        return Err(message(error));
    }
    if output.status.success() && fed.is_ok() {
        return Ok(());
    }
    // Written by the child, so bounded and made harmless before it goes anywhere.
    let text: String = String::from_utf8_lossy(&output.stderr)
        .trim()
        .chars()
        .take(1000)
        .collect();
    let text: String = text
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    match text.is_empty() {
        true => Err(Error::System(format!(
            "the unpacker ended with {}",
            output.status
        ))),
        false => Err(Error::System(text)),
    }
}

/// Which side of the pipe to the child failed.
enum Feeding {
    /// The archive could not be read.
    Source(io::Error),
    /// The child has closed its end: it will say why.
    Child,
}

fn feed(archive: &mut dyn Read, stdin: Option<impl Write>) -> Result<(), Feeding> {
    let Some(mut stdin) = stdin else {
        return Err(Feeding::Child);
    };
    let mut buffer = vec![0; 128 << 10];
    loop {
        match archive.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => stdin
                .write_all(&buffer[..count])
                .map_err(|_| Feeding::Child)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Feeding::Source(error)),
        }
    }
}

/// Reads the skeleton for what the unpacker could not do itself, and the size of the layer.
///
/// Marking a directory as opaque sets a `trusted.*` attribute, for which the kernel wants CAP_SYS_ADMIN: far
/// too much for the child. So it only says which directories those are, and they are marked from here, below
/// the layer's root.
fn finish(root: &File, skeleton: &Path) -> Result<u64, Error> {
    let mut size = 0;
    let file = File::open(skeleton).context("open", skeleton)?;
    skeleton::read(file, |record| {
        match record {
            skeleton::Record::Opaque(path) => mark_opaque(root, &path)?,
            skeleton::Record::End { size: total } => size = total,
            _ => {}
        }
        Ok(())
    })
    .context("read", skeleton)?;
    Ok(size)
}

fn mark_opaque(root: &File, path: &Path) -> io::Result<()> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
    let directory = paths::open_in_root(root.as_fd(), path, flags, Mode::empty())?;
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::fsetxattr(&directory, "trusted.overlay.opaque", b"y", flags)
        .map_err(io::Error::from)
}
