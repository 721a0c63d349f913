//! Asking a client for all of its help pages.
//!
//! No engine is asked: the clients get an address at which nothing listens, since the docker CLI hides what the
//! engine that it reaches does not have. Neither do they get a terminal, a home or a configuration.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::model::Grammar;
use crate::page;

/// Recorded by `conformance grammar --record`.
const RECORDED: &str = include_str!("../docker-28.json");

/// More levels than any client has: a page that lists itself ends here.
const DEEPEST: usize = 4;

/// The docker CLI on this host.
///
/// # Errors
/// When there is none, or its pages cannot be read.
pub fn docker() -> anyhow::Result<Grammar> {
    ask(&rig::docker_client().map_err(anyhow::Error::msg)?)
}

/// The drydock client.
///
/// # Errors
/// When it cannot be built, or its pages cannot be read.
pub fn drydock() -> anyhow::Result<Grammar> {
    ask(&rig::drydock_binary()?)
}

/// The docker CLI as it was recorded.
///
/// # Errors
/// When the file that is part of this program is malformed, which a test rules out.
pub fn recorded() -> anyhow::Result<Grammar> {
    serde_json::from_str(RECORDED).context("in docker-28.json")
}

/// Every page of one client.
fn ask(program: &Path) -> anyhow::Result<Grammar> {
    let home = tempfile::Builder::new().prefix("grammar-").tempdir()?;
    let client = Client {
        program,
        home: home.path(),
    };
    let version = client.output(&["--version"])?;
    let mut grammar = Grammar {
        version: version.trim().to_owned(),
        ..Grammar::default()
    };
    let mut left = vec![Vec::<String>::new()];
    while let Some(path) = left.pop() {
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        let text = client.output(&[&words[..], &["--help"]].concat())?;
        let command = page::parse(&text).with_context(|| {
            format!(
                "`{} --help` shows no help page: {text}",
                client.line(&words)
            )
        })?;
        if path.len() < DEEPEST {
            let below = command
                .commands
                .iter()
                .map(|name| [&path[..], std::slice::from_ref(name)].concat());
            left.extend(below);
        }
        grammar.commands.insert(path.join(" "), command);
    }
    Ok(grammar)
}

struct Client<'a> {
    program: &'a Path,
    home: &'a Path,
}

impl Client<'_> {
    fn line(&self, words: &[&str]) -> String {
        format!("{} {}", self.program.display(), words.join(" "))
    }

    fn output(&self, words: &[&str]) -> anyhow::Result<String> {
        let nowhere = format!("unix://{}/none", self.home.display());
        let output = Command::new(self.program)
            .args(words)
            .env_clear()
            .env("HOME", "/home/user")
            .env("DOCKER_CONFIG", self.home)
            .env("DOCKER_HOST", &nowhere)
            .env("DRYDOCK_HOST", &nowhere)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("starting {}", self.line(words)))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("`{}` failed: {}", self.line(words), said.trim());
        }
        // A temporary folder's name has no place in what is kept.
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text.replace(&self.home.display().to_string(), "$DOCKER_CONFIG"))
    }
}
