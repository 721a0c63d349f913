//! A shim's life: it starts one container, stays as its parent, and records its end.
//!
//! The order at the end is the promise: output drained, log complete, exit record on disk, daemon told, and
//! only then the teardown. So whoever hears of the exit can read all of it, and nobody waits for the teardown.
//! A daemon that is away finds the exit record when it comes back.

use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use drydock_defects::defect;
use drydock_runtime::cgroup::Group;
use drydock_runtime::exec;
use drydock_runtime::spec::{StartError, StartErrorKind};
use drydock_sys::readiness::Set;
use drydock_sys::{clock, descriptors, process};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;

use crate::connection::Connection;
use crate::exit_record;
use crate::opening::{begin, ends_of, open_streams};
use crate::protocol::{Answer, Exec, ExitRecord, Reply, RequestBody, Stamp, Start, VERSION};
use crate::session::{Part, Session};
use crate::spawner::Inheritance;

/// What is read from a stream at once, bytes: the default size of a pipe.
const BUFFER: usize = 64 << 10;

/// How long clients may take to read what is left for them once the container has ended.
const LINGER: Duration = Duration::from_secs(30);

/// A shim, from the fork to its end. `spawner` is the spawner's socket, which is not for us.
pub(crate) fn run(connection: OwnedFd, spawner: &OwnedFd, inheritance: &Inheritance) -> ! {
    // The variable that owns it is in a frame to which this function does not return.
    let _ = descriptors::close_range(spawner.as_raw_fd(), spawner.as_raw_fd());
    let mut connection = Connection::new(connection);
    let code = match live(&mut connection, inheritance) {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(io::stderr(), "shim: {error}");
            1
        }
    };
    process::exit_now(code)
}

fn live(connection: &mut Connection, inheritance: &Inheritance) -> io::Result<()> {
    let mut stamps = vec![stamp("shim: forked")];
    become_shim()?;
    let Some((number, start)) = receive_start(connection) else {
        return Ok(());
    };
    stamps.push(stamp("shim: spec received"));
    let mut shim = match begin(*start, connection, inheritance, &mut stamps) {
        Ok(shim) => shim,
        Err(error) => {
            connection.send(&Reply::Answer {
                number,
                body: Answer::Failed(error),
            });
            return Ok(());
        }
    };
    let body = Answer::Started {
        pid: shim.init_pid(),
        shim_pid: nix::unistd::getpid().as_raw(),
        started_at: shim.started_at,
        trace: stamps,
    };
    connection.send(&Reply::Answer { number, body });
    connection.stop_blocking()?;
    shim.serve(connection)
}

pub(crate) fn stamp(step: &str) -> Stamp {
    Stamp {
        step: step.to_owned(),
        at: clock::monotonic(),
    }
}

/// A session of its own, and no signal that is meant for a daemon or a terminal ends it.
fn become_shim() -> io::Result<()> {
    nix::unistd::setsid()?;
    nix::sys::prctl::set_name(c"drydock-shim")?;
    process::reset_signals()?;
    for signal in [
        Signal::SIGPIPE,
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGTERM,
    ] {
        process::ignore_signal(signal)?;
    }
    Ok(())
}

/// The first request; it must be `Start`. None when the daemon went away before it.
fn receive_start(connection: &mut Connection) -> Option<(u64, Box<Start>)> {
    loop {
        if let Some(request) = connection.next() {
            match request.body {
                RequestBody::Start(start) => return Some((request.number, start)),
                _ => {
                    let message = "the first request to a shim must be start".to_owned();
                    connection.send(&Reply::Answer {
                        number: request.number,
                        body: Answer::Error { message },
                    });
                    return None;
                }
            }
        }
        if connection.is_closed() {
            return None;
        }
        connection.read();
    }
}

/// A shim with a running container.
#[derive(Debug)]
pub(crate) struct Shim {
    pub(crate) id: String,
    pub(crate) group: Option<Group>,
    /// Keeps the mounts until the exit is told; see [`Running::mounts`].
    pub(crate) mounts: Option<OwnedFd>,
    /// PID 1 first, then the execs.
    pub(crate) sessions: Vec<Session>,
    pub(crate) signals: SignalFd,
    pub(crate) listener: UnixListener,
    pub(crate) socket: std::path::PathBuf,
    pub(crate) exit_record: std::path::PathBuf,
    pub(crate) durable: bool,
    /// PID 1 is in the host's PID namespace: its children do not end with it.
    pub(crate) shares_pids: bool,
    /// When PID 1 became the user's program (CLOCK_REALTIME).
    pub(crate) started_at: u64,
    pub(crate) exited: Option<ExitRecord>,
    /// Its processes stand still.
    pub(crate) frozen: bool,
    pub(crate) null: OwnedFd,
}

/// What woke the loop up.
#[derive(Clone, Copy, Debug)]
enum Token {
    Signals,
    Listener,
    Connection(usize),
    Session(usize, Part),
}

impl Shim {
    pub(crate) fn init_pid(&self) -> i32 {
        self.sessions
            .first()
            .map_or(0, |session| session.process.pid)
    }

    /// Until the container has ended and everybody has what is theirs.
    fn serve(&mut self, first: &mut Connection) -> io::Result<()> {
        let mut connections = vec![std::mem::replace(
            first,
            Connection::new(self.null.try_clone()?),
        )];
        let mut buffer = vec![0; BUFFER];
        let mut set = Set::default();
        let mut deadline: Option<Instant> = None;
        loop {
            let tokens = self.register(&mut set, &connections);
            let logs = self.sessions.iter().filter_map(Session::wakes_at);
            let wake = logs.chain(deadline).min();
            set.wait(wake.map(|end| end.saturating_duration_since(Instant::now())))?;
            for (index, token) in tokens.into_iter().enumerate() {
                let (readable, hung_up) = (set.is_readable(index), set.is_hung_up(index));
                if !readable && !set.is_writable(index) {
                    continue;
                }
                match token {
                    Token::Signals => self.reap(&mut connections, &mut buffer)?,
                    Token::Listener => self.accept(&mut connections)?,
                    Token::Connection(index) => self.converse(&mut connections[index], readable)?,
                    Token::Session(session, part) => {
                        if let Some(session) = self.sessions.get_mut(session) {
                            session.handle(part, readable, hung_up, &mut buffer);
                        }
                    }
                }
            }
            self.sessions.iter_mut().for_each(Session::sweep);
            self.sessions
                .retain(|session| session.exec_id.is_none() || !session.is_over());
            connections.retain(|connection| !connection.is_closed());
            if self.exited.is_some() {
                let end = *deadline.get_or_insert_with(|| Instant::now() + LINGER);
                self.tear_down(&mut connections);
                let told = connections
                    .iter()
                    .all(|connection| !connection.is_waiting());
                if (told && self.sessions.iter().all(Session::is_over)) || Instant::now() >= end {
                    return Ok(());
                }
            }
        }
    }

    fn register(&self, set: &mut Set, connections: &[Connection]) -> Vec<Token> {
        set.clear();
        let mut tokens = Vec::with_capacity(8);
        set.add(self.signals.as_fd(), true, false);
        tokens.push(Token::Signals);
        if self.exited.is_none() {
            set.add(self.listener.as_fd(), true, false);
            tokens.push(Token::Listener);
        }
        for (index, connection) in connections.iter().enumerate() {
            set.add(connection.descriptor(), true, connection.is_waiting());
            tokens.push(Token::Connection(index));
        }
        for (number, session) in self.sessions.iter().enumerate() {
            for (descriptor, readable, writable, part) in session.interests() {
                set.add(descriptor, readable, writable);
                tokens.push(Token::Session(number, part));
            }
        }
        tokens
    }

    fn accept(&mut self, connections: &mut Vec<Connection>) -> io::Result<()> {
        match self.listener.accept() {
            Ok((socket, _)) => {
                // The directory is 0700; this holds even if somebody opens it up.
                let peer = nix::sys::socket::getsockopt(
                    &socket,
                    nix::sys::socket::sockopt::PeerCredentials,
                )?;
                if peer.uid() != nix::unistd::geteuid().as_raw() {
                    return Ok(());
                }
                let mut connection = Connection::new(socket.into());
                connection.stop_blocking()?;
                connections.push(connection);
                Ok(())
            }
            Err(error) if crate::client::is_temporary(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn converse(&mut self, connection: &mut Connection, readable: bool) -> io::Result<()> {
        connection.flush();
        if readable {
            connection.read();
        }
        while let Some(request) = connection.next() {
            let body = self.answer(request.body, connection);
            connection.send(&Reply::Answer {
                number: request.number,
                body,
            });
        }
        Ok(())
    }

    fn answer(&mut self, request: RequestBody, connection: &mut Connection) -> Answer {
        let done = |result: io::Result<()>| match result {
            Ok(()) => Answer::Done,
            Err(error) => Answer::Error {
                message: error.to_string(),
            },
        };
        match request {
            RequestBody::Start(_) => Answer::Error {
                message: "the container is started already".to_owned(),
            },
            RequestBody::Hello { .. } => self.state(),
            RequestBody::CheckUser { user, groups } => match self.sessions.first() {
                Some(init) => match exec::check_user(&init.process, &user, &groups) {
                    Ok(()) => Answer::Done,
                    Err(error) => Answer::Failed(error),
                },
                None => Answer::Done,
            },
            RequestBody::Kill { signal } => done(self.kill(signal)),
            RequestBody::Control(wanted) => self.control(wanted),
            RequestBody::Resize {
                exec_id,
                height,
                width,
            } => done(
                self.session(exec_id.as_deref())
                    .and_then(|session| session.resize(height, width)),
            ),
            RequestBody::Attach(attach) => {
                let socket = connection.take_descriptor();
                let missing = || io::Error::other("the client's socket is missing");
                let socket = socket.ok_or_else(missing);
                done(socket.and_then(|socket| self.session(None)?.attach(socket, &attach)))
            }
            RequestBody::Exec(wanted) => {
                let socket = wanted
                    .attach
                    .as_ref()
                    .and_then(|_| connection.take_descriptor());
                match self.exec(*wanted, socket) {
                    Ok(pid) => Answer::ExecStarted { pid },
                    Err(error) => Answer::Failed(error),
                }
            }
        }
    }

    fn state(&self) -> Answer {
        Answer::State {
            version: VERSION,
            pid: self.init_pid(),
            started_at: self.started_at,
            exit: self.exited.clone(),
            exec_ids: self
                .sessions
                .iter()
                .filter_map(|session| session.exec_id.clone())
                .collect(),
        }
    }

    fn session(&mut self, exec_id: Option<&str>) -> io::Result<&mut Session> {
        let wanted = |session: &&mut Session| session.exec_id.as_deref() == exec_id;
        self.sessions
            .iter_mut()
            .find(wanted)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn kill(&mut self, signal: i32) -> io::Result<()> {
        if self.exited.is_some() {
            return Err(io::Error::from_raw_os_error(Errno::ESRCH as i32));
        }
        process::send_signal(self.session(None)?.process.descriptor.as_fd(), signal)
    }

    /// One more process, with its own session.
    fn exec(&mut self, wanted: Exec, socket: Option<OwnedFd>) -> Result<i32, StartError> {
        let error = |error: io::Error| StartError {
            kind: StartErrorKind::Other,
            message: error.to_string(),
        };
        let (Some(group), None, Some(init)) = (&self.group, &self.exited, self.sessions.first())
        else {
            return Err(error(io::Error::from_raw_os_error(Errno::ESRCH as i32)));
        };
        if self.frozen {
            // Its first process would stand still before it could say that it has begun, and we would wait for that,
            // deaf to the order that lets it go on. Only here can this be known: an exec of the daemon, above all a
            // health check, may be on its way when the order to freeze is.
            return Err(error(io::Error::other(format!(
                "Container {} is paused, unpause the container before exec",
                self.id
            ))));
        }
        let open_stdin = wanted.attach.as_ref().is_some_and(|attach| attach.stdin);
        let (streams, ends) =
            open_streams(wanted.process.terminal, open_stdin, &self.null).map_err(error)?;
        let mut process = wanted.process;
        process.oom_score_adj.get_or_insert(0);
        let target = exec::Target {
            id: &self.id,
            init: &init.process,
            group,
        };
        let exec::Running { process, terminal } = exec::start(target, &process, streams)?;
        let pid = process.pid;
        let ends = ends_of(ends, terminal).map_err(error)?;
        let mut session =
            Session::new(Some(wanted.exec_id), process, ends, true, None).map_err(error)?;
        if let (Some(attach), Some(socket)) = (&wanted.attach, socket) {
            session.attach(socket, attach).map_err(error)?;
        }
        session.ends_with_client = wanted.ends_with_client;
        self.sessions.push(session);
        Ok(pid)
    }

    /// Takes the exit codes of all children that have ended. Those of PID 1's death come last: by then the
    /// kernel has ended everything else in its PID namespace.
    fn reap(&mut self, connections: &mut [Connection], buffer: &mut [u8]) -> io::Result<()> {
        while self.signals.read_signal()?.is_some() {}
        let mut init_code = None;
        while let Some((pid, mut code)) = process::reap()? {
            if code > 128 && defect!("signal-code-off-by-one") {
                code += 1;
            }
            let ended =
                |session: &&mut Session| session.process.pid == pid && session.exit_code.is_none();
            let Some(session) = self.sessions.iter_mut().find(ended) else {
                // A compression, or an orphan of a container that shares the host's PIDs.
                self.sessions
                    .iter_mut()
                    .for_each(|session| session.compressed(pid));
                continue;
            };
            match session.exec_id.clone() {
                None => init_code = Some(code),
                Some(exec_id) => {
                    session.end(code, buffer);
                    let reply = Reply::ExecExited {
                        exec_id,
                        exit_code: code,
                    };
                    connections
                        .iter_mut()
                        .for_each(|connection| connection.send(&reply));
                }
            }
        }
        match init_code {
            Some(code) => self.end(code, connections, buffer),
            None => Ok(()),
        }
    }

    /// PID 1 has ended.
    fn end(
        &mut self,
        exit_code: i32,
        connections: &mut [Connection],
        buffer: &mut [u8],
    ) -> io::Result<()> {
        let finished_at = clock::realtime();
        if self.shares_pids {
            self.kill_group();
        }
        let kills = self
            .group
            .as_ref()
            .map(Group::out_of_memory_kills)
            .transpose();
        if let Some(session) = self.sessions.first_mut() {
            session.end(exit_code, buffer);
        }
        let record = ExitRecord {
            exit_code,
            oom_killed: matches!(kills, Ok(Some(count)) if count > 0)
                && !defect!("out-of-memory-untold"),
            started_at: self.started_at,
            finished_at,
        };
        exit_record::write(&self.exit_record, self.durable, &record)?;
        let reply = Reply::Exited(record.clone());
        connections
            .iter_mut()
            .for_each(|connection| connection.send(&reply));
        self.exited = Some(record);
        Ok(())
    }

    /// Ends what PID 1 has left in its cgroup, where there is no PID namespace to do it.
    fn kill_group(&self) {
        let Some(group) = &self.group else { return };
        for pid in group.processes().unwrap_or_default() {
            // It may end between the list and the signal.
            let _ = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }

    /// Removes the kernel objects that carry the container's name. Once.
    fn tear_down(&mut self, connections: &mut [Connection]) {
        let Some(group) = self.group.take() else {
            return;
        };
        self.mounts = None;
        group.remove();
        // Already gone when the daemon has swept it.
        let _ = std::fs::remove_file(&self.socket);
        connections
            .iter_mut()
            .for_each(|connection| connection.send(&Reply::TornDown));
    }
}
