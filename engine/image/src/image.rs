//! An image: a config document and a stack of layers (OCI image specification, "Image Configuration").
//!
//! The config is JSON. It says which layers the file system is made of (by diffID), what to run by default,
//! and how the image came about. **The image's id is the digest of this document**, so it covers everything:
//! change a byte of a file in a layer, and the diffID, with it the config and with it the id are others.

use serde::Deserialize;
use serde_json::Value;

use crate::digest::Digest;
use crate::error::Error;
use crate::layer::chain_ids;

/// The most layers an image may have: overlayfs takes no more, and neither does Docker.
pub const LAYERS_MAX: usize = 125;

/// One image of the store, with its names. A value of this type never changes; see [`crate::Store`].
#[derive(Clone, Debug)]
pub struct Image {
    /// The digest of the config document.
    pub id: Digest,
    /// The whole config document: `architecture`, `os`, `created`, `config`, `rootfs`, `history`, …
    pub config: Value,
    /// Its names as users type them, sorted: `busybox:latest`.
    pub repo_tags: Vec<String>,
    /// Its names with digests, sorted: `busybox@sha256:…`. Only images from a registry have any.
    pub repo_digests: Vec<String>,
    /// Bytes of all its layers, unpacked. Layers that other images share are counted as well.
    pub size: u64,
    /// The same for each layer, the lowest first.
    pub layer_sizes: Vec<u64>,
    /// The digest of each layer's uncompressed archive, the lowest first (`rootfs.diff_ids`).
    pub diff_ids: Vec<Digest>,
    /// The name of each layer in the store, which depends on the layers below it; the lowest first.
    pub chain_ids: Vec<Digest>,
    /// When it was made (RFC 3339), as its config says.
    pub created: Option<String>,
    /// In Go's words: `amd64`, `arm64`.
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// The architecture's variant, as `v7`.
    pub variant: Option<String>,
    /// Who made it; often empty.
    pub author: String,
    /// The message of `import` or `commit`.
    pub comment: String,
    /// The version of the engine that made it; often empty.
    pub docker_version: String,
    /// The image it was made from, as long as that is here too; none for imported images, and for loaded ones
    /// unless the archive brought both.
    pub parent: Option<Digest>,
    /// When it was last tagged here, in Unix nanoseconds. None if it only got its names from an archive.
    pub last_tagged: Option<u64>,
}

/// The parts of the config that the store needs. Docker writes `null` for what is empty, hence the options.
#[derive(Deserialize)]
struct Document {
    architecture: Option<String>,
    os: Option<String>,
    variant: Option<String>,
    created: Option<String>,
    author: Option<String>,
    comment: Option<String>,
    docker_version: Option<String>,
    history: Option<Vec<Step>>,
    rootfs: Option<RootFs>,
}

#[derive(Deserialize)]
struct Step {
    comment: Option<String>,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Option<Vec<String>>,
}

impl Image {
    /// Reads a config document. Names, parent, sizes and tagging time are still empty.
    pub(crate) fn parse(document: &[u8]) -> Result<Image, Error> {
        let invalid =
            |error: serde_json::Error| Error::System(format!("invalid image JSON: {error}"));
        let config: Value = serde_json::from_slice(document).map_err(invalid)?;
        let parsed = Document::deserialize(&config).map_err(invalid)?;
        let Some(rootfs) = parsed.rootfs else {
            return Err(Error::System("invalid image JSON, no RootFS key".into()));
        };
        let diff_ids = diff_ids(&rootfs.diff_ids.unwrap_or_default())?;
        // The message of a commit stands in the history only.
        let last_step = parsed.history.unwrap_or_default().pop();
        let of_last_step = last_step.and_then(|step| step.comment).unwrap_or_default();
        let comment = match parsed.comment {
            Some(comment) if !comment.is_empty() => comment,
            _ => of_last_step,
        };
        Ok(Image {
            id: Digest::of(document),
            config,
            repo_tags: Vec::new(),
            repo_digests: Vec::new(),
            size: 0,
            layer_sizes: Vec::new(),
            chain_ids: chain_ids(&diff_ids),
            diff_ids,
            created: parsed.created,
            architecture: parsed.architecture.unwrap_or_default(),
            os: parsed.os.unwrap_or_default(),
            variant: parsed.variant.filter(|variant| !variant.is_empty()),
            author: parsed.author.unwrap_or_default(),
            comment,
            docker_version: parsed.docker_version.unwrap_or_default(),
            parent: None,
            last_tagged: None,
        })
    }
}

fn diff_ids(texts: &[String]) -> Result<Vec<Digest>, Error> {
    if texts.len() > LAYERS_MAX {
        return Err(Error::System(format!(
            "max depth exceeded: the image has more than {LAYERS_MAX} layers"
        )));
    }
    let parse = |(index, text): (usize, &String)| {
        text.parse().map_err(|error| {
            Error::System(format!(
                "invalid diffID for layer {index}: {error}: {text:?}"
            ))
        })
    };
    texts.iter().enumerate().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_the_digest_of_the_document() {
        let document = br#"{"os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
        let image = Image::parse(document).unwrap();
        assert_eq!(image.id, Digest::of(document));
        assert_eq!(
            (image.os.as_str(), image.architecture.as_str()),
            ("linux", "")
        );
    }

    #[test]
    fn bad_documents() {
        let many = format!(
            r#"{{"rootfs":{{"diff_ids":[{}"x"]}}}}"#,
            r#""x","#.repeat(LAYERS_MAX)
        );
        let deep = "[".repeat(100_000);
        let cases = [
            ("{}", "invalid image JSON, no RootFS key"),
            ("[1", "invalid image JSON: "),
            (
                r#"{"rootfs":{"diff_ids":["sha256:../../x"]}}"#,
                "invalid diffID for layer 0: ",
            ),
            (many.as_str(), "max depth exceeded"),
            (deep.as_str(), "recursion limit"),
        ];
        for (document, text) in cases {
            let error = Image::parse(document.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
