//! The Rust compiler as an image: what compiles a submission.
//!
//! Compiling is running: `include_str!` reads files, a `const` computes without end, a macro fills the
//! memory. So the compiler runs in a sandbox too, and there it needs files of the host: rustc with its
//! libraries, the standard library, a linker, the C library's objects. They are imported into the engine as
//! one image.
//!
//! Why an image and not binds of the host's folders: an engine need not see the files that we see (it may
//! run in a virtual machine, or in a root of its own), and a bind of `/usr` shows a submission everything
//! that is installed on the grader. The image has about sixty files, all named here, and none that is a
//! secret. It is made once per toolchain, takes some seconds, and its tag is the digest of its list.
//!
//! No C compiler is in it: rustc calls its own `rust-lld`, and [`Toolchain::link_arguments`] says what `cc`
//! would add. `cc` is only asked where the C library's objects are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::PipeWriter;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use crate::digest;
use crate::engine::Engine;

/// The name of the image; its tag is the digest of the files.
pub const REPOSITORY: &str = "drydock-labs-rust";
/// Where the sysroot is in the image.
const SYSROOT: &str = "rust";
/// Changes when the way the image is made does.
const FORMAT: &str = "1";
/// What rustc adds to a static, position-independent program, in the order of a C compiler.
const START_OBJECTS: [&str; 5] = ["rcrt1.o", "crti.o", "crtbeginS.o", "crtendS.o", "crtn.o"];
/// Libraries that the standard library names. Newer C libraries have all but the first in one file, and
/// older ones keep the others, empty or not.
const STATIC_LIBRARIES: [&str; 8] = [
    "libc.a",
    "libm.a",
    "libpthread.a",
    "libdl.a",
    "librt.a",
    "libutil.a",
    "libgcc.a",
    "libgcc_eh.a",
];
/// Parts of the sysroot that a program without tests and macros of its own does not need.
const NOT_NEEDED: [&str; 3] = ["libtest-", "libproc_macro-", "libprofiler_builtins-"];

/// The files of a compiler, as they will be in the image.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// `rustc 1.95.0 (… 2026-04-14)`.
    pub version: String,
    /// Path in the image (no leading slash) to path on the host.
    files: BTreeMap<String, PathBuf>,
    /// Absolute paths of the start objects, in order.
    start_objects: Vec<String>,
    /// Absolute folders of static libraries.
    library_folders: BTreeSet<String>,
}

impl Toolchain {
    /// Finds the host's compiler: the one that `rustc` means in the repository's folder.
    pub fn find() -> Result<Toolchain> {
        let sysroot = PathBuf::from(ask("rustc", &["--print", "sysroot"])?);
        let about = ask("rustc", &["-vV"])?;
        let host = about
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .context("rustc does not say its host")?;
        let mut toolchain = Toolchain {
            version: about.lines().next().unwrap_or_default().to_string(),
            files: BTreeMap::new(),
            start_objects: Vec::new(),
            library_folders: BTreeSet::new(),
        };
        toolchain.add_sysroot(&sysroot, host)?;
        for program in ["sh", "cat", "head"] {
            let path = on_path(program)?;
            toolchain.add(&format!("bin/{program}"), &path);
            toolchain.add_libraries_of(&path)?;
        }
        for name in START_OBJECTS {
            let path = ask_for_object(name)?.with_context(|| missing(name))?;
            toolchain.start_objects.push(absolute(&path));
            toolchain.add(&absolute(&path), &path);
        }
        for name in STATIC_LIBRARIES {
            toolchain.add_static_library(name)?;
        }
        Ok(toolchain)
    }

    /// The name of the image.
    pub fn image(&self) -> Result<String> {
        let mut list = Vec::new();
        for (name, path) in &self.files {
            let status =
                fs::metadata(path).with_context(|| format!("cannot look at {}", path.display()))?;
            list.push((
                name.as_str(),
                format!("{} {}", status.len(), status.mtime()),
            ));
        }
        let digest = digest::of_files(
            list.iter()
                .map(|(name, status)| (*name, status.as_bytes()))
                .chain([("format", FORMAT.as_bytes())]),
        );
        // "sha256:" is seven letters; twelve digits are enough for a tag.
        Ok(format!("{REPOSITORY}:{}", &digest[7..19]))
    }

    /// Imports the image unless the engine has it. `announce` hears about what takes seconds.
    pub fn provide(&self, engine: &Engine, announce: &mut dyn FnMut(&str)) -> Result<String> {
        let image = self.image()?;
        if engine.image(&image)?.is_none() {
            announce(&format!(
                "importing the compiler ({}) into the engine, once",
                self.version
            ));
            let (repository, tag) = image.split_once(':').context("an image without a tag")?;
            let (mut reader, writer) = std::io::pipe().context("cannot make a pipe")?;
            std::thread::scope(|scope| -> Result<()> {
                let archive = scope.spawn(|| self.write_archive(writer));
                let imported = engine.import(repository, tag, &mut reader);
                drop(reader);
                let archived = archive
                    .join()
                    .map_err(|_| anyhow!("the archiver panicked"))?;
                // If the engine refused, the archiver only saw a broken pipe.
                imported?;
                archived
            })?;
        }
        Ok(image)
    }

    /// The command line of rustc in the image, for a program in one file.
    pub fn command(&self, source: &str, program: &str) -> Vec<String> {
        let mut command: Vec<String> = [
            &format!("/{SYSROOT}/bin/rustc"),
            "--edition=2024",
            "--crate-type=bin",
            "--crate-name=submission",
            "--cap-lints=allow",
            "--color=never",
            "-Copt-level=1",
            "-Cdebuginfo=0",
            "-Cstrip=symbols",
            "-Ccodegen-units=1",
        ]
        .map(str::to_string)
        .to_vec();
        command.extend(self.link_arguments());
        command.extend(["-o".to_string(), program.to_string(), source.to_string()]);
        command
    }

    /// The environment of rustc in the image.
    pub fn environment(&self) -> Vec<String> {
        let folders: BTreeSet<&str> = self
            .files
            .keys()
            .filter(|name| name.contains(".so") && !name.starts_with(SYSROOT))
            .filter_map(|name| name.rsplit_once('/').map(|(folder, _)| folder))
            .collect();
        let folders: Vec<String> = folders.iter().map(|folder| format!("/{folder}")).collect();
        vec![
            format!("LD_LIBRARY_PATH={}", folders.join(":")),
            "PATH=/bin".to_string(),
            "TMPDIR=/work".to_string(),
            "LANG=C.UTF-8".to_string(),
        ]
    }

    fn link_arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = [
            "-Clinker=rust-lld",
            "-Clinker-flavor=ld.lld",
            "-Ctarget-feature=+crt-static",
        ]
        .map(str::to_string)
        .to_vec();
        for folder in &self.library_folders {
            arguments.push(format!("-L{folder}"));
        }
        for object in &self.start_objects {
            arguments.push(format!("-Clink-arg={object}"));
        }
        arguments
    }

    fn add(&mut self, name: &str, path: &Path) {
        self.files
            .insert(name.trim_start_matches('/').to_string(), path.to_path_buf());
    }

    fn add_sysroot(&mut self, sysroot: &Path, host: &str) -> Result<()> {
        let rustc = sysroot.join("bin/rustc");
        let linker = format!("lib/rustlib/{host}/bin/rust-lld");
        self.add(&format!("{SYSROOT}/bin/rustc"), &rustc);
        self.add(&format!("{SYSROOT}/{linker}"), &sysroot.join(&linker));
        for (folder, wanted) in [
            ("lib".to_string(), [".so", ".so."]),
            (format!("lib/rustlib/{host}/lib"), [".rlib", ".rmeta"]),
        ] {
            let path = sysroot.join(&folder);
            for entry in
                fs::read_dir(&path).with_context(|| format!("cannot read {}", path.display()))?
            {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let is_needed = wanted.iter().any(|part| name.contains(part))
                    && !NOT_NEEDED.iter().any(|part| name.starts_with(part));
                if is_needed {
                    self.add(&format!("{SYSROOT}/{folder}/{name}"), &entry.path());
                }
            }
        }
        self.add_libraries_of(&rustc)?;
        self.add_libraries_of(&sysroot.join(&linker))
    }

    /// The shared libraries of a program of the host, at their own paths; those of the sysroot are there.
    fn add_libraries_of(&mut self, program: &Path) -> Result<()> {
        let program = program.to_string_lossy();
        for line in ask("ldd", &[&program])?.lines() {
            // `libz.so.1 => /lib/… (0x…)`, or `/lib64/ld-linux-x86-64.so.2 (0x…)`
            let target = line.split("=>").last().unwrap_or_default();
            let path = target.split_whitespace().next().unwrap_or_default();
            // A program of the sysroot finds the sysroot's libraries beside itself, at `…/bin/../lib/…`.
            if path.starts_with('/') && !path.contains("/../") {
                self.add(path, Path::new(path));
            }
        }
        Ok(())
    }

    fn add_static_library(&mut self, name: &str) -> Result<()> {
        let Some(path) = ask_for_object(name)? else {
            bail!(missing(name));
        };
        let mut paths = vec![path.clone()];
        // Some are texts for the linker that name other files.
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if let Ok(script) = String::from_utf8(bytes) {
            paths.extend(
                script
                    .split_whitespace()
                    .filter(|word| word.starts_with('/') && word.contains(".a"))
                    .map(PathBuf::from),
            );
        }
        for path in paths {
            if let Some(folder) = path.parent() {
                self.library_folders.insert(absolute(folder));
            }
            self.add(&absolute(&path), &path);
        }
        Ok(())
    }

    /// Writes the image's archive. Times and owners are fixed, so that the same files give the same archive.
    fn write_archive(&self, writer: PipeWriter) -> Result<()> {
        let mut archive = tar::Builder::new(writer);
        for folder in self.folders().iter().map(String::as_str).chain(["work"]) {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(0o755);
            header.set_size(0);
            archive.append_data(&mut header, format!("{folder}/"), std::io::empty())?;
        }
        for (name, path) in &self.files {
            let file =
                fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Regular);
            header.set_mode(0o755);
            header.set_size(file.metadata()?.len());
            archive.append_data(&mut header, name, file)?;
        }
        archive.into_inner()?;
        Ok(())
    }

    /// All folders of the image, parents first.
    fn folders(&self) -> BTreeSet<String> {
        let mut folders = BTreeSet::new();
        for name in self.files.keys() {
            let parts = name
                .match_indices('/')
                .map(|(end, _)| name[..end].to_string());
            folders.extend(parts);
        }
        folders
    }
}

/// The output of a program of the host, without its last newline. It runs in this crate's folder: rustup's
/// `rustc` obeys a `rust-toolchain.toml` where it stands, and a submission's must not count.
fn ask(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("LC_ALL", "C")
        // Cargo sets it to the sysroot's libraries, and then `ldd` finds them twice.
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{program} {} failed: {}",
            arguments.join(" "),
            stderr.trim()
        );
    }
    Ok(String::from_utf8(output.stdout)?.trim_end().to_string())
}

/// Where `cc` finds a file of the C library. It repeats the bare name if there is none.
fn ask_for_object(name: &str) -> Result<Option<PathBuf>> {
    let answer = ask("cc", &[&format!("-print-file-name={name}")])
        .context("cannot find the C library's objects\nhint: apt-get install gcc libc6-dev")?;
    let path = Path::new(&answer);
    if !path.is_absolute() {
        return Ok(None);
    }
    let path = path
        .canonicalize()
        .with_context(|| format!("cannot find {answer}"))?;
    Ok(Some(path))
}

fn missing(name: &str) -> String {
    format!("the C library has no {name}\nhint: apt-get install gcc libc6-dev")
}

fn on_path(program: &str) -> Result<PathBuf> {
    for folder in ["/bin", "/usr/bin"] {
        let path = Path::new(folder).join(program);
        if path.is_file() {
            return Ok(path);
        }
    }
    bail!("cannot find {program} in /bin and /usr/bin")
}

fn absolute(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
