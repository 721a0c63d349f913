//! Image names as the user writes them, as far as the client must read them: to say "Unable to find image
//! 'nope:latest' locally" before it asks for a pull. (The engine's own parser is in `engine/image`; a client
//! does not link the engine.)

/// A name split where the API wants it split.
#[derive(Debug, PartialEq, Eq)]
pub struct Reference {
    /// `nope`, `registry.example:5000/team/app`: without `docker.io/library/`.
    pub name: String,
    /// The tag; `latest` where there is neither tag nor digest.
    pub tag: String,
    /// `sha256:…`.
    pub digest: String,
}

impl Reference {
    /// Reads a name; the error is Docker's text.
    pub fn parse(text: &str) -> Result<Reference, String> {
        let fault = || "invalid reference format".to_string();
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, digest),
            None => (text, ""),
        };
        // A colon behind the last slash is a tag's; one before it is a port's.
        let split = rest
            .rfind(':')
            .filter(|position| !rest[*position..].contains('/'));
        let (name, tag) = match split {
            Some(position) => (&rest[..position], &rest[position + 1..]),
            None => (rest, ""),
        };
        let name = name
            .strip_prefix("index.docker.io/")
            .or_else(|| name.strip_prefix("docker.io/"))
            .unwrap_or(name);
        let name = name
            .strip_prefix("library/")
            .filter(|short| !short.contains('/'))
            .unwrap_or(name);
        let (domain, path) = match name.split_once('/') {
            Some((domain, path))
                if domain.contains(['.', ':'])
                    || domain == "localhost"
                    || domain.chars().any(char::is_uppercase) =>
            {
                (Some(domain), path)
            }
            _ => (None, name),
        };
        if path.chars().any(char::is_uppercase) {
            let long = if domain.is_none() && !path.contains('/') {
                format!("library/{path}")
            } else {
                path.to_string()
            };
            return Err(format!(
                "invalid reference format: repository name ({long}) must be lowercase"
            ));
        }
        let is_digest = digest.split_once(':').is_some_and(|(kind, hex)| {
            !kind.is_empty() && hex.len() >= 32 && hex.chars().all(|c| c.is_ascii_hexdigit())
        });
        if !path.split('/').all(is_path_part)
            || (split.is_some() && !is_tag(tag))
            || (text.contains('@') && !is_digest)
        {
            return Err(fault());
        }
        let tag = if tag.is_empty() && digest.is_empty() {
            "latest"
        } else {
            tag
        };
        Ok(Reference {
            name: name.to_string(),
            tag: tag.to_string(),
            digest: digest.to_string(),
        })
    }

    /// `nope:latest`.
    pub fn familiar(&self) -> String {
        let tag = if self.tag.is_empty() {
            String::new()
        } else {
            format!(":{}", self.tag)
        };
        let digest = if self.digest.is_empty() {
            String::new()
        } else {
            format!("@{}", self.digest)
        };
        format!("{}{tag}{digest}", self.name)
    }
}

/// Whether it is a full image ID, which is not a name.
pub fn is_id(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    hex.len() == 64 && hex.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
}

/// Lower-case letters and digits, with `.`, `_`, `__` or dashes between them.
fn is_path_part(part: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    part.starts_with(word)
        && part.ends_with(word)
        && part
            .chars()
            .all(|c| word(c) || matches!(c, '.' | '_' | '-'))
        && part.split(word).all(|between| {
            matches!(between, "" | "." | "_" | "__") || between.chars().all(|c| c == '-')
        })
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= 128
        && tag.starts_with(word)
        && tag.chars().all(|c| word(c) || matches!(c, '.' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_docker_shows_them() {
        for (text, familiar) in [
            ("nope", "nope:latest"),
            ("docker.io/library/nope", "nope:latest"),
            ("team/app:1", "team/app:1"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            (
                "nope@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                "nope@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            ),
        ] {
            assert_eq!(
                Reference::parse(text).map(|reference| reference.familiar()),
                Ok(familiar.to_string())
            );
        }
    }

    #[test]
    fn bad_names() {
        let upper = "invalid reference format: repository name (library/BusyBox) must be lowercase";
        assert_eq!(Reference::parse("BusyBox"), Err(upper.to_string()));
        for text in ["a b", "-a", "a..b", "a:", "a:b c", "a@b", "", "a//b"] {
            assert_eq!(
                Reference::parse(text),
                Err("invalid reference format".to_string()),
                "{text}"
            );
        }
    }
}
