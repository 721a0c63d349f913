//! From a method and a path to an operation.
//!
//! The table is data ([`table::ROUTES`]): what is not built yet is in it by name, and answers 501. A router
//! of our own is fifty lines; axum's patterns cannot hold an image name, which has slashes in the middle of
//! a path (`/images/{name}/json`).

pub mod table;

use crate::Error;

/// Docker's answer to every swarm route outside of a swarm.
const NOT_A_MANAGER: &str = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.";

/// What a built route does. The daemon has one function for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Operation {
    Ping,
    Version,
    Info,
    Events,
    ContainerList,
    ContainerCreate,
    ContainerPrune,
    ContainerInspect,
    ContainerLogs,
    ContainerResize,
    ContainerStart,
    ContainerStop,
    ContainerRestart,
    ContainerKill,
    ContainerRename,
    ContainerAttach,
    ContainerWait,
    ContainerRemove,
    ContainerChanges,
    ContainerArchive,
    ContainerArchivePut,
    ContainerExport,
    ContainerTop,
    ContainerStats,
    ContainerUpdate,
    ContainerPause,
    ContainerUnpause,
    ExecCreate,
    ExecStart,
    ExecResize,
    ExecInspect,
    ImageList,
    ImageCreate,
    ImageLoad,
    ImageInspect,
    ImageHistory,
    ImageTag,
    ImageRemove,
    ImagePrune,
    ImageSave,
    ImageSaveMany,
    Commit,
    DiskUsage,
    BuildPrune,
    VolumeList,
    VolumeInspect,
    VolumePrune,
    NetworkList,
    NetworkInspect,
    NetworkPrune,
    PluginList,
    PluginInspect,
}

/// What we do with a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Served.
    Built(Operation),
    /// Docker serves it and we do not yet; the summary of Docker's description.
    NotBuilt(&'static str),
    /// Only for a swarm manager, which we are not.
    Swarm,
}

/// One route.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// HTTP method.
    pub method: &'static str,
    /// Path with at most one `{name}`, which may hold slashes.
    pub pattern: &'static str,
    /// What we do.
    pub service: Service,
}

impl Route {
    /// The part of `path` that stands for the pattern's `{name}`; empty for a pattern without one.
    fn matches<'p>(&self, path: &'p str) -> Option<&'p str> {
        let Some((prefix, rest)) = self.pattern.split_once('{') else {
            return (path == self.pattern).then_some("");
        };
        let (_, suffix) = rest.split_once('}')?;
        let name = path.strip_prefix(prefix)?.strip_suffix(suffix)?;
        (!name.is_empty()).then_some(name)
    }
}

/// Finds the operation for a method and a decoded path without its version, and the name in the path.
///
/// # Errors
/// 404 for a path or method that Docker does not know (it has no 405), 501 for a route that is not built,
/// 503 for a swarm route.
pub fn find<'p>(method: &str, path: &'p str) -> Result<(Operation, &'p str), Error> {
    let found = table::ROUTES
        .iter()
        .filter(|route| route.method == method)
        .find_map(|route| Some((route, route.matches(path)?)));
    let Some((route, name)) = found else {
        return Err(Error::NotFound("page not found".to_owned()));
    };
    match route.service {
        Service::Built(operation) => Ok((operation, name)),
        Service::Swarm if route.pattern == "/swarm/leave" => Err(Error::Unavailable(
            "This node is not part of a swarm".to_owned(),
        )),
        Service::Swarm => Err(Error::Unavailable(NOT_A_MANAGER.to_owned())),
        Service::NotBuilt(what) => Err(Error::NotImplemented(format!(
            "{what}: {} {} is not built yet in this engine",
            route.method, route.pattern
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_have_slashes() {
        assert_eq!(
            find("GET", "/images/a/b/c/json"),
            Ok((Operation::ImageInspect, "a/b/c"))
        );
        assert_eq!(
            find("DELETE", "/images/reg:5000/a@sha256:0"),
            Ok((Operation::ImageRemove, "reg:5000/a@sha256:0"))
        );
        assert_eq!(
            find("GET", "/containers/json"),
            Ok((Operation::ContainerList, ""))
        );
        assert_eq!(
            find("GET", "/containers/web/json"),
            Ok((Operation::ContainerInspect, "web"))
        );
    }

    #[test]
    fn unknown_paths_and_methods_are_404() {
        for (method, path) in [
            ("GET", "/nope"),
            ("PUT", "/info"),
            ("POST", "/containers/json"),
            ("GET", "/_ping/"),
        ] {
            assert_eq!(
                find(method, path),
                Err(Error::NotFound("page not found".into())),
                "{method} {path}"
            );
        }
    }

    #[test]
    fn what_is_not_built_is_named() {
        let error = find("POST", "/build").unwrap_err();
        assert_eq!(error.status(), 501);
        assert!(
            error.to_string().contains("/build") && error.to_string().contains("not built yet")
        );
        assert_eq!(find("GET", "/services").unwrap_err().status(), 503);
        assert_eq!(
            find("POST", "/swarm/leave").unwrap_err().to_string(),
            "This node is not part of a swarm"
        );
    }

    #[test]
    fn every_route_is_reached_by_its_own_pattern() {
        for route in table::ROUTES {
            let path = route.pattern.replace("{id}", "x").replace("{name}", "x");
            let first = table::ROUTES
                .iter()
                .find(|other| other.method == route.method && other.matches(&path).is_some());
            assert_eq!(first.map(|other| other.pattern), Some(route.pattern));
        }
    }
}
