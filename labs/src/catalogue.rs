//! The labs that there are: the numbered folders beside this crate's sources.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::lab::Lab;

/// All labs of one folder, in order.
#[derive(Clone, Debug)]
pub struct Catalogue {
    /// The labs.
    pub labs: Vec<Lab>,
}

impl Catalogue {
    /// The folder of the labs of this repository.
    pub fn default_folder() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
    }

    /// Reads every folder that has a `lab.toml`.
    pub fn load(folder: &Path) -> Result<Catalogue> {
        let describe = || format!("cannot read the labs in {}", folder.display());
        let mut folders = Vec::new();
        for entry in fs::read_dir(folder).with_context(describe)? {
            let path = entry.with_context(describe)?.path();
            if path.join("lab.toml").is_file() {
                folders.push(path);
            }
        }
        folders.sort();
        let labs = folders
            .iter()
            .map(|folder| Lab::load(folder))
            .collect::<Result<_>>()?;
        Ok(Catalogue { labs })
    }

    /// The lab of that id, or of that number: `01` and `1` mean `01-exit-codes-and-restart-policies`.
    pub fn find(&self, name: &str) -> Result<&Lab> {
        let number = |text: &str| text.parse::<u32>().ok();
        let found = self.labs.iter().find(|lab| {
            let prefix = lab.about.id.split('-').next().unwrap_or_default();
            lab.about.id == name || (number(name).is_some() && number(name) == number(prefix))
        });
        match found {
            Some(lab) => Ok(lab),
            None => bail!("no lab `{name}`\nhint: `labs list` shows the labs"),
        }
    }
}
