//! All containers, by id and by name. The name table is derived from the records.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use drydock_api::Error;
use drydock_defects::defect;

use super::Container;
use super::container::lock;

/// All containers.
#[derive(Default)]
pub struct Registry {
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    containers: HashMap<String, Arc<Container>>,
    /// Names to ids; a name is here from the moment that a create or rename took it.
    names: HashMap<String, String>,
}

impl Tables {
    /// The id of the container to which `PARENT/ALIAS` is a link.
    fn linked(&self, name: &str) -> Option<String> {
        let (parent, alias) = name.split_once('/')?;
        let parent = self.containers.get(self.names.get(parent)?)?.snapshot();
        let link = parent.links.iter().find(|link| link.alias == alias)?;
        Some(link.id.clone())
    }
}

impl Registry {
    /// Takes a name for an id.
    ///
    /// # Errors
    /// 409 with Docker's text when it is taken.
    pub fn reserve(&self, name: &str, id: &str) -> Result<(), Error> {
        let mut tables = lock(&self.tables);
        if let Some(owner) = tables.names.get(name)
            && !defect!("name-taken-twice")
        {
            return Err(Error::Conflict(format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{owner}\". You have to remove (or rename) that container to be able to reuse that name."
            )));
        }
        tables.names.insert(name.to_owned(), id.to_owned());
        Ok(())
    }

    /// Gives a name back.
    pub fn release_name(&self, name: &str) {
        lock(&self.tables).names.remove(name);
    }

    /// Adds a container whose name is reserved.
    pub fn insert(&self, container: Arc<Container>) {
        lock(&self.tables)
            .containers
            .insert(container.id.clone(), container);
    }

    /// Takes a container and its name out.
    pub fn remove(&self, container: &Container) {
        let mut tables = lock(&self.tables);
        tables.containers.remove(&container.id);
        tables.names.retain(|_, id| *id != container.id);
    }

    /// All containers in no order, for who looks for one of them.
    pub fn unordered(&self) -> Vec<Arc<Container>> {
        lock(&self.tables).containers.values().cloned().collect()
    }

    /// All containers, newest first, as `docker ps` shows them.
    pub fn all(&self) -> Vec<Arc<Container>> {
        let mut all = self.unordered();
        all.sort_by_cached_key(|container| {
            let record = container.snapshot();
            (std::cmp::Reverse(record.created), record.name.clone())
        });
        all
    }

    /// By full id.
    pub fn by_id(&self, id: &str) -> Option<Arc<Container>> {
        lock(&self.tables).containers.get(id).cloned()
    }

    /// By what a user gives: full id, name (a leading slash allowed), a prefix of the id, or the name that a link gives,
    /// `PARENT/ALIAS`.
    ///
    /// # Errors
    /// 404 when there is none, 400 when several begin with the prefix.
    pub fn find(&self, reference: &str) -> Result<Arc<Container>, Error> {
        let tables = lock(&self.tables);
        let name = reference.strip_prefix('/').unwrap_or(reference);
        let id = tables
            .containers
            .get_key_value(reference)
            .map(|(id, _)| id)
            .or_else(|| tables.names.get(name));
        let id = id.cloned().or_else(|| tables.linked(name));
        if let Some(container) = id.and_then(|id| tables.containers.get(&id)) {
            return Ok(Arc::clone(container));
        }
        if reference.is_empty() {
            return Err(Error::no_such_container(reference));
        }
        let mut starting = tables
            .containers
            .iter()
            .filter(|(id, _)| id.starts_with(reference));
        match (starting.next(), starting.next()) {
            (Some((_, container)), None) => Ok(Arc::clone(container)),
            (Some(_), Some(_)) => Err(Error::invalid(format!(
                "multiple IDs found with provided prefix: {reference}"
            ))),
            (None, _) => Err(Error::no_such_container(reference)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containers::record::tests::example;

    fn with(ids: &[(&str, &str)]) -> Registry {
        let registry = Registry::default();
        for (id, name) in ids {
            let mut record = example();
            record.id = (*id).to_owned();
            record.name = (*name).to_owned();
            registry.reserve(name, id).unwrap();
            registry.insert(Arc::new(Container::new(record, "/nonexistent".into())));
        }
        registry
    }

    #[test]
    fn found_by_id_name_and_prefix() {
        let registry = with(&[("abc1", "web"), ("abd2", "db"), ("f00d", "abc")]);
        let found = |reference: &str| {
            registry
                .find(reference)
                .map(|container| container.id.clone())
        };
        assert_eq!(found("web"), Ok("abc1".into()));
        assert_eq!(found("/db"), Ok("abd2".into()));
        assert_eq!(found("abd"), Ok("abd2".into()));
        assert_eq!(
            found("abc"),
            Ok("f00d".into()),
            "a name goes before a prefix"
        );
        registry.find("web").unwrap().publish(|record| {
            record.links.push(crate::containers::links::Link {
                id: "abd2".into(),
                name: "db".into(),
                alias: "store".into(),
            });
        });
        assert_eq!(found("/web/store"), Ok("abd2".into()));
        assert_eq!(found("web/db"), Err(Error::no_such_container("web/db")));
        assert_eq!(
            found("ab"),
            Err(Error::invalid(
                "multiple IDs found with provided prefix: ab"
            ))
        );
        assert_eq!(found("zz"), Err(Error::no_such_container("zz")));
        assert_eq!(found(""), Err(Error::no_such_container("")));
    }

    #[test]
    fn a_name_has_one_owner() {
        let registry = with(&[("abc1", "web")]);
        let error = registry.reserve("web", "x").unwrap_err();
        assert_eq!(error.status(), 409);
        assert!(error.to_string().starts_with(
            "Conflict. The container name \"/web\" is already in use by container \"abc1\"."
        ));
        registry.remove(&registry.find("web").unwrap());
        assert!(registry.reserve("web", "x").is_ok());
        assert!(registry.all().is_empty());
    }
}
