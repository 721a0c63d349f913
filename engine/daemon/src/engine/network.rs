//! The default bridge as the daemon uses it; all calls into the crate `drydock-network` are here.
//!
//! Making a sandbox moves the calling thread into another network namespace for a moment, so one thread does
//! nothing else but look after the firewall: the kernel tells when somebody changes it, and what we need there
//! is put in place again. Addresses are leased here and are in the containers' records: the pool is derived from them.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use drydock_network::{
    AddressPool, BesideDocker, Bridge, BridgeConfig, Endpoint, FirewallMonitor, Subnet,
    isolated_sandbox, mac_address_for_endpoint,
};
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use super::identity::Identity;
use crate::containers::container::lock;
use crate::containers::record::EndpointRecord;
use crate::settings::Settings;

/// How long changes of the firewall are collected before the next look. A Docker that starts many containers
/// makes a lot of them.
const PAUSE: Duration = Duration::from_secs(1);

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
    /// Take a container off the bridge.
    Disconnect(String, oneshot::Sender<io::Result<()>>),
    /// Look after the firewall; true when all is in place.
    Firewall(oneshot::Sender<bool>),
    /// Remove the bridge.
    Close(oneshot::Sender<io::Result<()>>),
}

impl Network {
    /// Makes the bridge if it is missing, and watches its firewall from now on; in a tokio runtime.
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
                let opening =
                    Bridge::open(wanted).and_then(|bridge| Ok((bridge.monitor()?, bridge)));
                match opening {
                    Ok((monitor, bridge)) => {
                        // `open` waits for this one message.
                        let _ = opened.send(Ok(monitor));
                        work(bridge, &receiver);
                    }
                    Err(error) => {
                        let _ = opened.send(Err(io::Error::other(error)));
                    }
                }
            })?;
        let monitor = ready.recv().map_err(|_| gone())??;
        tokio::spawn(watch(watched(monitor)?, jobs.clone()));
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

    /// Takes a container that has ended off the bridge, where others go on in its network namespace: an interface goes with
    /// its namespace only, and its address is about to be another's.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub async fn disconnect(&self, container_id: &str) -> io::Result<()> {
        let (reply, done) = oneshot::channel();
        self.jobs
            .send(Job::Disconnect(container_id.to_owned(), reply))
            .map_err(|_| gone())?;
        done.await.map_err(|_| gone())?
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
    let mut beside = BesideDocker::NotNeeded;
    look_after(&bridge, &mut beside);
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Sandbox(endpoint, reply) => {
                let made = match &endpoint {
                    Some(endpoint) => bridge.sandbox(endpoint),
                    None => isolated_sandbox(),
                };
                let _ = reply.send(made.map_err(io::Error::other));
            }
            Job::Disconnect(id, reply) => {
                let _ = reply.send(bridge.disconnect(&id).map_err(io::Error::other));
            }
            Job::Firewall(reply) => {
                let _ = reply.send(look_after(&bridge, &mut beside));
            }
            Job::Close(reply) => {
                let _ = reply.send(bridge.close().map_err(io::Error::other));
                return;
            }
        }
    }
}

/// Puts in place what is missing of the firewall, and says what cannot be; true when all is as it should be.
/// `beside` is how it was the last time, so that the same news is told once.
fn look_after(bridge: &Bridge, beside: &mut BesideDocker) -> bool {
    let name = &bridge.config().name;
    let own = bridge.ensure_firewall();
    match &own {
        Ok(false) => {}
        Ok(true) => tracing::warn!(
            "the firewall rules of bridge {name} were changed by somebody else; they are in place again"
        ),
        Err(error) => tracing::error!("the firewall rules of bridge {name}: {error}"),
    }
    match bridge.ensure_beside_docker() {
        Ok(now) => {
            if let BesideDocker::Blocked { reason } = &now
                && now != *beside
            {
                tracing::warn!("{reason}");
            }
            *beside = now;
            own.is_ok()
        }
        Err(error) => {
            tracing::error!("the rules for bridge {name} beside Docker's: {error}");
            false
        }
    }
}

/// The monitor in tokio's words.
struct Monitor(FirewallMonitor);

impl AsRawFd for Monitor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

fn watched(monitor: FirewallMonitor) -> io::Result<AsyncFd<Monitor>> {
    #[expect(
        deprecated,
        reason = "its successor is unsafe; an owned descriptor that stays inside is sound"
    )]
    AsyncFd::new(Monitor(monitor))
}

/// Has the network thread look when the firewall changes, and again when it could not put all in place; ends
/// with the network thread, or when the runtime does.
async fn watch(monitor: AsyncFd<Monitor>, jobs: mpsc::Sender<Job>) {
    let mut settled = true;
    loop {
        let changed = if settled {
            next_change(&monitor).await
        } else {
            Ok(true)
        };
        match changed {
            Ok(false) => continue,
            Ok(true) => {}
            Err(error) => {
                tracing::error!("{error}: changes of the firewall are not noticed any more");
                return;
            }
        }
        let (reply, looked) = oneshot::channel();
        if jobs.send(Job::Firewall(reply)).is_err() {
            return;
        }
        let Ok(all_in_place) = looked.await else {
            return;
        };
        settled = all_in_place;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits for changes; true when they concern us.
async fn next_change(monitor: &AsyncFd<Monitor>) -> io::Result<bool> {
    let mut ready = monitor.readable().await?;
    let concerned = monitor.get_ref().0.drain().map_err(io::Error::other)?;
    ready.clear_ready();
    Ok(concerned)
}
