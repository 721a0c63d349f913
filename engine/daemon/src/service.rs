//! `drydock daemon`: from the flags to the last signal.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::stat::{Mode, umask};
use tokio::signal::unix::{SignalKind, signal};

use crate::containers::{Container, reconcile, stop, sweep};
use crate::engine::pid_file::{DataRootLock, PidFile};
use crate::engine::{Engine, make_private};
use crate::http::listener;
use crate::settings::{Settings, SettingsError};

/// Runs the daemon until SIGTERM or SIGINT; `arguments` are those after the word `daemon`.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let settings = match Settings::read(arguments) {
        Ok(settings) => settings,
        Err(SettingsError::Flags(error)) => {
            // `--help` goes to standard output with code 0, an error to standard error. Where even that cannot
            // be written there is nobody to tell.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            };
        }
        Err(error) => return failed(&error),
    };
    start_log(settings.debug);
    match run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("drydock daemon: {error}");
    ExitCode::FAILURE
}

fn start_log(debug: bool) {
    let level = if debug {
        tracing::Level::DEBUG
    } else {
        tracing::Level::INFO
    };
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_ansi(false)
        .finish();
    // Only a second daemon in one process, as in a test, finds it set.
    let _ = tracing::subscriber::set_global_default(log);
}

fn run(settings: Settings) -> io::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Err(io::Error::other(
            "the daemon needs root: it makes namespaces, mounts and network links\nhint: start it with sudo",
        ));
    }
    // The modes of what we make must not depend on who starts us: with 0 a pid file could be written by
    // everybody, with 077 no user but root could enter a container's root directory.
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    make_private(&settings.data_root)?;
    make_private(&settings.exec_root)?;
    // The socket lies in it; who may use that is the socket's own mode.
    std::fs::set_permissions(
        &settings.exec_root,
        std::os::unix::fs::PermissionsExt::from_mode(0o711),
    )?;
    let _lock = DataRootLock::take(&settings.data_root)?;
    let _pid_file = PidFile::write(&settings.pidfile)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("daemon")
        .enable_all()
        .build()?;
    let result = runtime.block_on(serve(settings));
    // Threads that wait in the kernel do not keep the daemon from ending.
    runtime.shutdown_background();
    result
}

async fn serve(settings: Settings) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Bound before anything is changed: a daemon that cannot be reached must not start.
    let mut sockets = SocketFiles::default();
    let mut listeners = Vec::new();
    for path in &settings.hosts {
        listeners.push(listener::bind(path)?);
        sockets.0.push(path.clone());
    }
    let live_restore = settings.live_restore;
    let engine = Arc::new(Engine::open(settings)?);
    reconcile::run(&engine).await?;
    for (path, listener) in sockets.0.iter().zip(listeners) {
        tracing::info!("API listens on {}", path.display());
        tokio::spawn(listener::serve(Arc::clone(&engine), listener));
    }
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: the daemon ends"),
        _ = interrupt.recv() => tracing::info!("SIGINT: the daemon ends"),
    }
    shut_down(&engine, live_restore).await;
    engine.end_spawner();
    Ok(())
}

/// The files of our sockets; removed when dropped, however the daemon ends.
#[derive(Default)]
struct SocketFiles(Vec<PathBuf>);

impl Drop for SocketFiles {
    fn drop(&mut self) {
        for path in &self.0 {
            // It may have been removed by hand.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn running_containers(engine: &Engine) -> Vec<Arc<Container>> {
    let mut containers = engine.containers.all();
    containers.retain(|container| container.snapshot().is_running());
    containers
}

/// With live-restore containers run on; otherwise they are stopped, all at once, each with its own patience.
async fn shut_down(engine: &Arc<Engine>, live_restore: bool) {
    let running = running_containers(engine);
    if live_restore && !running.is_empty() {
        tracing::info!("live-restore: {} containers run on", running.len());
        return;
    }
    let mut stops = tokio::task::JoinSet::new();
    for container in running {
        let engine = Arc::clone(engine);
        stops.spawn(async move {
            let manually_stopped = container.snapshot().manually_stopped;
            if let Err(error) = stop::stop(&engine, &container, "", None).await {
                tracing::error!("stop container {}: {error}", container.id);
            }
            // The daemon's end is no user's stop: `unless-stopped` starts it again with the next daemon.
            container.publish(|record| record.manually_stopped = manually_stopped);
            if engine.containers.by_id(&container.id).is_some()
                && let Err(error) = container.save()
            {
                tracing::error!("{error}");
            }
        });
    }
    while stops.join_next().await.is_some() {}
    engine.open_links.none(Duration::from_secs(2)).await;
    sweep::leave(engine);
    let left = running_containers(engine);
    if !left.is_empty() {
        tracing::warn!(
            "{} containers could not be stopped: the bridge stays for them",
            left.len()
        );
        return;
    }
    if let Err(error) = engine.network.close().await {
        tracing::warn!("remove the bridge: {error}");
    }
}
