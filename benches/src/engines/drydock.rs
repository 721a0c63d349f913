//! Drydock, by its own client and by the stock docker CLI.
//!
//! Both measure the same daemon: the one on `DRYDOCK_HOST`, else one that is started here with roots, a bridge
//! and a subnet of its own, and goes with the last engine that uses it.

use std::any::Any;
use std::cell::OnceCell;
use std::rc::Rc;

use anyhow::{Result, anyhow};

use super::imported::{Imported, import, program};
use super::{Engine, command, environment, output};
use crate::launch::MountNamespace;
use crate::workshop::Workshop;

/// The daemon that both measurements share, found or started when first asked for.
#[derive(Default)]
pub struct Daemon {
    found: OnceCell<Result<Found, String>>,
}

#[derive(Clone)]
struct Found {
    host: String,
    own: Option<Rc<rig::Daemon>>,
}

impl Daemon {
    /// `drydock run --rm`.
    pub fn by_own_client(&self, workshop: &Workshop) -> Result<Engine> {
        let client = match program("drydock") {
            Ok(client) => client,
            Err(_) => vec![rig::drydock_binary()?.to_string_lossy().into_owned()],
        };
        self.engine(
            "drydock",
            "drydock run --rm on the default bridge network",
            client,
            workshop,
        )
    }

    /// `docker run --rm` with the stock client.
    pub fn by_docker_client(&self, workshop: &Workshop) -> Result<Engine> {
        self.engine(
            "drydock-api",
            "the same daemon by the stock docker CLI",
            program("docker")?,
            workshop,
        )
    }

    fn engine(
        &self,
        name: &'static str,
        what: &'static str,
        client: Vec<String>,
        workshop: &Workshop,
    ) -> Result<Engine> {
        let Found { host, own } = self.found()?;
        let environment = environment(&[("DOCKER_HOST", &host), ("DRYDOCK_HOST", &host)]);
        let versions = "daemon {{.Server.Version}}, client {{.Client.Version}}";
        let version = output(
            &command(&client, &["version", "--format", versions]),
            &environment,
        )?;
        import(Imported {
            name,
            what,
            version,
            client,
            environment,
            options: &[],
            repository: "busybox",
            mount_namespace: MountNamespace::Host,
            keep: own.map(|daemon| Box::new(daemon) as Box<dyn Any>),
            workshop,
        })
    }

    fn found(&self) -> Result<Found> {
        let found = self
            .found
            .get_or_init(|| find().map_err(|error| format!("{error:#}")));
        found.clone().map_err(|message| anyhow!(message))
    }
}

fn find() -> Result<Found> {
    if let Some(host) = std::env::var("DRYDOCK_HOST")
        .ok()
        .filter(|host| !host.is_empty())
    {
        return Ok(Found { host, own: None });
    }
    // No busybox of its own: every engine imports the same image.
    let options = rig::DaemonOptions {
        busybox: false,
        ..rig::DaemonOptions::default()
    };
    let daemon = rig::Daemon::start(options).map_err(|error| anyhow!("{error}"))?;
    let host = format!("unix://{}", daemon.socket().display());
    Ok(Found {
        host,
        own: Some(Rc::new(daemon)),
    })
}
