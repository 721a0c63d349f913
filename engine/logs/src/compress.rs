//! Rotated files as gzip, in Docker's form: the time of the last record is in the header (RFC 1952, `FEXTRA`),
//! so that a reader with `--since` need not unpack a file that is too old.
//!
//! Ours has one more key there: which file this was before. A reader that follows has that file open, and would
//! read it again under its new name without it.

use std::{
    fs::{self, File},
    io::{self, BufReader},
    path::{Path, PathBuf},
};

use flate2::{Compression, GzBuilder, read::GzDecoder};
use serde::{Deserialize, Serialize};

use crate::{record::name_error, rotation::Identity, time};

/// A rotated file that is to be compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    path: PathBuf,
    last_time: u64,
}

impl Job {
    pub(crate) fn new(path: PathBuf, last_time: u64) -> Job {
        Job { path, last_time }
    }

    /// Replaces the file by its compressed form. A reader finds one of the two at any moment. It takes as long as
    /// the file is large, so it is for a process that nobody waits for.
    ///
    /// # Errors
    /// The operating system's, with the file named. The file is untouched then.
    pub fn run(&self) -> io::Result<()> {
        let result = self.write();
        if result.is_err() {
            // What is left of it would only take room; not being there is as good.
            drop(fs::remove_file(self.temporary()));
        }
        result.map_err(|error| name_error("compress", &self.path, &error))
    }

    /// Takes away what a [`Job::run`] left that was ended in the middle.
    pub fn abandon(&self) {
        // Absent is the usual case.
        drop(fs::remove_file(self.temporary()));
    }

    fn write(&self) -> io::Result<()> {
        let file = File::open(&self.path)?;
        let identity = Identity::of(&file.metadata()?);
        let header = serde_json::to_vec(&Header {
            last_time: Some(time::rfc3339_nano(self.last_time)),
            source: Some(identity),
        })?;
        let temporary = self.temporary();
        let output = crate::writer::options().truncate(true).open(&temporary)?;
        let mut encoder = GzBuilder::new()
            .extra(header)
            .write(output, Compression::default());
        io::copy(&mut BufReader::with_capacity(64 << 10, file), &mut encoder)?;
        encoder.finish()?;
        fs::rename(&temporary, compressed(&self.path))?;
        fs::remove_file(&self.path)
    }

    fn temporary(&self) -> PathBuf {
        let mut name = compressed(&self.path).into_os_string();
        name.push(".tmp");
        name.into()
    }
}

/// `x.log.1.gz`.
pub(crate) fn compressed(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    name.into()
}

#[derive(Default, Serialize, Deserialize)]
struct Header {
    #[serde(rename = "lastTime", default)]
    last_time: Option<String>,
    #[serde(default)]
    source: Option<Identity>,
}

/// A compressed file that is open.
#[derive(Debug)]
pub(crate) struct Compressed {
    file: File,
    pub(crate) decoder: GzDecoder<BufReader<File>>,
    /// The time of its last record, where the header tells.
    pub(crate) last_time: Option<u64>,
    /// What it was before, or itself.
    pub(crate) identity: Identity,
}

impl Compressed {
    pub(crate) fn open(file: File) -> io::Result<Compressed> {
        let own = Identity::of(&file.metadata()?);
        let decoder = decoder(&file)?;
        let header: Header = decoder
            .header()
            .and_then(|header| serde_json::from_slice(header.extra()?).ok())
            .unwrap_or_default();
        Ok(Compressed {
            file,
            decoder,
            last_time: header.last_time.as_deref().and_then(time::parse_rfc3339),
            identity: header.source.unwrap_or(own),
        })
    }

    /// From the beginning again.
    pub(crate) fn rewind(&mut self) -> io::Result<()> {
        self.decoder = decoder(&self.file)?;
        Ok(())
    }
}

fn decoder(file: &File) -> io::Result<GzDecoder<BufReader<File>>> {
    use std::io::Seek as _;
    let mut file = file.try_clone()?;
    file.rewind()?;
    Ok(GzDecoder::new(BufReader::with_capacity(32 << 10, file)))
}
