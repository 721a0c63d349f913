//! `docker import`: an image of one layer from the archive of a root file system.

use std::io::Read;

use serde_json::{Map, Value, json};

use crate::digest::Digest;
use crate::error::Error;
use crate::reference::Reference;
use crate::store::{Staged, Store};
use crate::time::{now_nanoseconds, rfc3339};

/// What `import` is told beside the archive.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// The name of the new image; `latest` is added if it has no tag.
    pub reference: Option<Reference>,
    /// The `config` object of the new image (`Env`, `Cmd`, …): what [`crate::config_from_changes`] makes of
    /// `--change`.
    pub config: Map<String, Value>,
    /// `--message`. If it is empty, the comment is Docker's "Imported from -".
    pub message: String,
    /// `--platform`, as `os[/architecture[/variant]]`. None means this host's.
    pub platform: Option<String>,
}

/// An operating system, architecture and variant.
struct Platform {
    architecture: String,
    variant: Option<String>,
}

impl Store {
    /// Makes an image of a root file system: a tar archive, plain, gzip, zstd or xz. Returns its id.
    pub fn import(&self, archive: &mut dyn Read, options: ImportOptions) -> Result<Digest, Error> {
        // What can be refused at once is refused before the archive is read.
        let platform = Platform::parse(options.platform.as_deref())?;
        if options
            .reference
            .as_ref()
            .is_some_and(|reference| reference.digest().is_some())
        {
            return Err(Error::InvalidParameter(
                "cannot import digest reference".into(),
            ));
        }
        let (layer, diff_id) = self.stage_layer(archive, |diff_id| diff_id, None)?;
        let now = now_nanoseconds();
        let document = document(&platform, &options, &diff_id, now);
        let document = serde_json::to_vec(&document)
            .map_err(|error| Error::System(format!("encode the image config: {error}")))?;
        let id = Digest::of(&document);
        let staged = Staged {
            layers: vec![layer],
            blobs: vec![self.blobs.stage(&self.workshop, &document)?],
        };
        self.change(Some(&staged), |names| {
            let entry = names.images.entry(id).or_default();
            entry.removed = false;
            if let Some(reference) = options.reference {
                entry.last_tagged = Some(now);
                names.references.insert(reference.with_default_tag(), id);
            }
            Ok(())
        })?;
        Ok(id)
    }
}

/// The config document, as Docker 28 writes it but for the fields that nobody fills any more.
fn document(platform: &Platform, options: &ImportOptions, diff_id: &Digest, now: u64) -> Value {
    let created = rfc3339(now);
    let comment = if options.message.is_empty() {
        "Imported from -"
    } else {
        &options.message
    };
    let mut document = json!({
        "architecture": platform.architecture,
        "comment": comment,
        "config": options.config,
        "created": created,
        "history": [{"created": created, "comment": comment}],
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    });
    if let Some(variant) = &platform.variant {
        document["variant"] = json!(variant);
    }
    document
}

impl Platform {
    fn parse(text: Option<&str>) -> Result<Platform, Error> {
        let text = text.unwrap_or_default().to_lowercase();
        let mut parts = text.split('/');
        let os = parts.next().unwrap_or_default();
        let architecture = parts.next().map(str::to_owned);
        let variant = parts.next().map(str::to_owned);
        if parts.next().is_some() {
            return Err(Error::InvalidParameter(format!(
                "\"{text}\" is not a platform: invalid argument"
            )));
        }
        match os {
            "" | "linux" => {}
            "windows" | "darwin" | "freebsd" => {
                return Err(Error::InvalidParameter(
                    "operating system is not supported".into(),
                ));
            }
            other => {
                let text = format!(
                    "\"{other}\": unknown operating system or architecture: invalid argument"
                );
                return Err(Error::InvalidParameter(text));
            }
        }
        Ok(Platform {
            architecture: architecture.unwrap_or_else(|| self::architecture().to_owned()),
            variant,
        })
    }
}

/// This host's architecture, in Go's words.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}
