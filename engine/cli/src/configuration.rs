//! `config.json`, the stock client's file of what a user has said once: formats of lists, detach keys.
//!
//! It lies in the directory of `--config`, else of `DOCKER_CONFIG`, else in `~/.docker`. The rest of it is for a client
//! that reaches registries and contexts, and is left alone. As in the stock client, a file that cannot be read is a
//! warning and not the end: a list without its format is still a list.

use std::io::ErrorKind;
use std::path::PathBuf;

use serde::Deserialize;

use crate::output;

/// What is read of it. An empty text is what is not there.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Configuration {
    /// For `ps` without `--format`.
    pub ps_format: String,
    /// For `images` without `--format`.
    pub images_format: String,
    /// For `stats` without `--format`.
    pub stats_format: String,
    /// For everything that `--detach-keys` is for.
    pub detach_keys: String,
}

impl Configuration {
    /// The directory, where `flag` is what `--config` says.
    pub fn directory(flag: &str, environment: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        if !flag.is_empty() {
            return Some(PathBuf::from(flag));
        }
        set("DOCKER_CONFIG")
            .map(PathBuf::from)
            .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".docker")))
    }

    /// Reads the file in `directory`.
    pub fn read(directory: Option<&PathBuf>) -> Configuration {
        let Some(path) = directory.map(|directory| directory.join("config.json")) else {
            return Configuration::default();
        };
        let read = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
            Err(error) => match error.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => Ok(Configuration::default()),
                _ => Err(error.to_string()),
            },
        };
        read.unwrap_or_else(|error| {
            output::error_line(&format!(
                "WARNING: Error parsing config file ({}): {error}",
                path.display()
            ));
            Configuration::default()
        })
    }
}

/// What the command line says, else what the file says.
pub fn or<'a>(given: &'a str, configured: &'a str) -> &'a str {
    if given.is_empty() { configured } else { given }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_goes_before_the_environment() {
        let of = |flag: &str, set: &[(&str, &str)]| {
            let set: Vec<(String, String)> = set
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            Configuration::directory(flag, |wanted| {
                let found = set.iter().find(|(name, _)| name == wanted);
                found.map(|(_, value)| value.clone())
            })
        };
        let all = [("DOCKER_CONFIG", "/c"), ("HOME", "/h")];
        assert_eq!(of("/f", &all), Some("/f".into()));
        assert_eq!(of("", &all), Some("/c".into()));
        assert_eq!(
            of("", &[("DOCKER_CONFIG", ""), ("HOME", "/h")]),
            Some("/h/.docker".into())
        );
        assert_eq!(of("", &[]), None);
    }

    #[test]
    fn other_keys_are_left_alone_and_a_bad_file_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        assert_eq!(Configuration::read(Some(&path)), Configuration::default());
        std::fs::write(
            path.join("config.json"),
            r#"{"auths": {"a": {}}, "psFormat": "{{.ID}}"}"#,
        )
        .unwrap();
        assert_eq!(Configuration::read(Some(&path)).ps_format, "{{.ID}}");
        std::fs::write(path.join("config.json"), r#"{"psFormat": 3}"#).unwrap();
        assert_eq!(Configuration::read(Some(&path)), Configuration::default());
        assert_eq!(Configuration::read(None), Configuration::default());
    }
}
