//! What a start needs that no other process has to make: the three files of /etc, the spec, where the log goes.

use std::os::fd::OwnedFd;

use drydock_api::Error;
use drydock_logs::plan::Plan;

use super::spec::{self, Prepared};
use super::{Container, Record, files, links, log_options};
use crate::engine::Engine;

/// What becomes of the container's output, and the folder of the socket that it goes to.
pub type Log = (Plan, Option<OwnedFd>);

/// Writes the files and puts the spec together. `files` is whose network the container has, most often itself.
///
/// # Errors
/// Docker's statuses and texts for what only shows at the start.
pub fn run(
    engine: &Engine,
    container: &Container,
    record: &Record,
    files: &Container,
) -> Result<(Prepared, Option<Log>), Error> {
    let log = log_options::plan(container, record)?;
    let image = engine
        .images
        .by_id(&record.image)
        .ok_or_else(|| Error::NotFound(format!("No such image: {}", record.image)))?;
    let mut layers = vec![engine.skeleton()];
    layers.extend(engine.images.layers(&image));
    let linked = links::linked(engine, record)?;
    if files.id == container.id {
        write_files(engine, container, record, &links::hosts(&linked))?;
    }
    let context = spec::Context {
        layers,
        files,
        link_variables: links::environment(&record.name, &linked),
    };
    let prepared = spec::prepare(engine, container, record, context)?;
    Ok((prepared, log))
}

fn write_files(
    engine: &Engine,
    container: &Container,
    record: &Record,
    links: &[(String, String)],
) -> Result<(), Error> {
    let host = record.host();
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let extra_hosts = list(&host.extra_hosts);
    let names = files::Names {
        hostname: record.config_text("Hostname"),
        domainname: record.config_text("Domainname"),
        extra_hosts: &extra_hosts,
        links,
        address: record.endpoint.as_ref().map(|endpoint| endpoint.address),
        gateway: engine.network.config().gateway,
    };
    let (servers, search, options) = (
        list(&host.dns),
        list(&host.dns_search),
        list(&host.dns_options),
    );
    let resolvers = files::Resolvers {
        servers: &servers,
        search: &search,
        options: &options,
        own_network: record.network_mode() != "host",
    };
    let resolv_conf = files::resolv_conf(&resolvers, &files::host_resolv_conf())?;
    let hostname = format!("{}\n", record.config_text("Hostname"));
    for (name, text) in [
        ("hosts", files::hosts(&names)),
        ("hostname", hostname),
        ("resolv.conf", resolv_conf),
    ] {
        let path = container.file(name);
        std::fs::write(&path, text)
            .map_err(|error| Error::system(format!("write {}: {error}", path.display())))?;
    }
    Ok(())
}
