//! The default bridge as the daemon uses it; all calls into the crate `drydock-network` are here.
//!
//! Making a sandbox moves the calling thread into another network namespace for a moment, so one thread does
//! nothing else. Addresses are leased here and are in the containers' records: the pool is derived from them.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, mpsc};
use std::thread;

use drydock_network::{
    AddressPool, Bridge, BridgeConfig, Endpoint, Subnet, isolated_sandbox, mac_address_for_endpoint,
};
use tokio::sync::oneshot;

use super::identity::Identity;
use crate::containers::container::lock;
use crate::containers::record::EndpointRecord;
use crate::settings::Settings;

/// The default bridge.
pub struct Network {
    /// The id of the network `bridge`.
    pub id: String,
    config: BridgeConfig,
    pool: Mutex<AddressPool>,
    jobs: mpsc::Sender<Job>,
}

enum Job {
    /// A wired namespace, or an empty one.
    Sandbox(Option<Endpoint>, oneshot::Sender<io::Result<OwnedFd>>),
    /// Remove the bridge.
    Close(oneshot::Sender<io::Result<()>>),
}

impl Network {
    /// Makes the bridge if it is missing.
    ///
    /// # Errors
    /// What the kernel refuses, with a hint.
    pub fn open(settings: &Settings, identity: &Identity) -> io::Result<Network> {
        let config = BridgeConfig {
            name: settings.bridge.clone(),
            gateway: settings.gateway,
            prefix_length: settings.prefix_length,
            mtu: settings.mtu,
        };
        let pool = AddressPool::new(config.gateway, config.prefix_length, config.gateway)
            .map_err(io::Error::other)?;
        let (jobs, receiver) = mpsc::channel();
        let (opened, ready) = mpsc::channel();
        let wanted = config.clone();
        thread::Builder::new()
            .name("network".into())
            .spawn(move || {
                match Bridge::open(wanted) {
                    Ok(bridge) => {
                        // `open` waits for this one message.
                        let _ = opened.send(Ok(()));
                        work(bridge, &receiver);
                    }
                    Err(error) => {
                        let _ = opened.send(Err(io::Error::other(error)));
                    }
                }
            })?;
        ready.recv().map_err(|_| gone())??;
        Ok(Network {
            id: identity.bridge_id.clone(),
            config,
            pool: Mutex::new(pool),
            jobs,
        })
    }

    /// The bridge's configuration.
    pub fn config(&self) -> &BridgeConfig {
        &self.config
    }

    /// The bridge's subnet.
    pub fn subnet(&self) -> Subnet {
        lock(&self.pool).subnet()
    }

    /// Leases an address and chooses the other particulars of an endpoint.
    ///
    /// # Errors
    /// When every address is leased.
    pub fn lease(&self) -> io::Result<EndpointRecord> {
        let address = lock(&self.pool).lease(None).map_err(io::Error::other)?;
        Ok(EndpointRecord {
            address,
            mac_address: mac_address_for_endpoint().to_string(),
            endpoint_id: crate::containers::names::random_id()?,
            sandbox_id: crate::containers::names::random_id()?,
        })
    }

    /// Takes the address of a container that was found running.
    pub fn reserve(&self, address: Ipv4Addr) {
        if let Err(error) = lock(&self.pool).reserve(address) {
            tracing::warn!("a running container's address: {error}");
        }
    }

    /// Gives an address back.
    pub fn release(&self, address: Ipv4Addr) {
        lock(&self.pool).release(address);
    }

    /// A network namespace: wired as the endpoint says, or with loopback only.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub async fn sandbox(
        &self,
        container_id: &str,
        endpoint: Option<&EndpointRecord>,
    ) -> io::Result<OwnedFd> {
        let endpoint = match endpoint {
            None => None,
            Some(record) => Some(Endpoint {
                container_id: container_id.to_owned(),
                address: record.address,
                mac_address: record.mac_address.parse().map_err(io::Error::other)?,
            }),
        };
        let (reply, made) = oneshot::channel();
        self.jobs
            .send(Job::Sandbox(endpoint, reply))
            .map_err(|_| gone())?;
        made.await.map_err(|_| gone())?
    }

    /// Removes the bridge; for the end of a daemon that leaves no containers.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub async fn close(&self) -> io::Result<()> {
        let (reply, done) = oneshot::channel();
        self.jobs.send(Job::Close(reply)).map_err(|_| gone())?;
        done.await.map_err(|_| gone())?
    }
}

fn gone() -> io::Error {
    io::Error::other("the network thread has ended")
}

/// The network thread. An asker that gave up has dropped its end of the reply, and there is nobody to tell;
/// a namespace nobody takes is dropped, which is its end.
fn work(bridge: Bridge, jobs: &mpsc::Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Sandbox(endpoint, reply) => {
                let made = match &endpoint {
                    Some(endpoint) => bridge.sandbox(endpoint),
                    None => isolated_sandbox(),
                };
                let _ = reply.send(made.map_err(io::Error::other));
            }
            Job::Close(reply) => {
                let _ = reply.send(bridge.close().map_err(io::Error::other));
                return;
            }
        }
    }
}
