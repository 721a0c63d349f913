//! Splits at the last colon first, which is one of the digest.

pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Reference {
    pub fn parse(text: &str) -> Result<Reference, ()> {
        let (rest, digest) = match text.split_once('!') {
            Some((rest, digest)) => (rest, Some(digest.to_string())),
            None => (text, None),
        };
        let is_domain = |part: &str| {
            part == "localhost" || part.contains(['.', ':']) || part.to_lowercase() != part
        };
        let (domain, rest) = match rest.split_once('/') {
            Some(("index.docker.io", rest)) => ("docker.io", rest),
            Some((domain, rest)) if is_domain(domain) => (domain, rest),
            _ => ("docker.io", rest),
        };
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag.to_string())),
            None => (rest, None),
        };
        let prefix = if domain == "docker.io" && !path.contains('/') { "library/" } else { "" };
        Ok(Reference {
            domain: domain.to_string(),
            path: format!("{prefix}{path}"),
            tag,
            digest,
        })
    }

    pub fn domain(&self) -> &str {
        &self.domain
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }
}
