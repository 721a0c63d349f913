//! A receiver of logs, for scenarios of log drivers: it listens on loopback, by UDP and by TCP, and writes what
//! comes into one file.
//!
//! The file is for `grep -a`: each datagram is a line, and so is what a stream ends with a newline or a NUL, or with
//! its own end. Scenarios, and engines, run at the same time and share it, so each looks for a mark of its own.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a receiver waits before it looks whether it shall end.
const PAUSE: Duration = Duration::from_millis(100);

/// The receivers. Dropping it ends them.
#[derive(Debug)]
pub struct Collector {
    udp: SocketAddr,
    tcp: SocketAddr,
    file: PathBuf,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Collector {
    /// Listens, and writes into a file of this directory.
    ///
    /// # Errors
    /// The operating system's.
    pub fn start(directory: &Path) -> io::Result<Collector> {
        let path = directory.join("collected");
        let file = Arc::new(File::options().create(true).append(true).open(&path)?);
        let over = Arc::new(AtomicBool::new(false));
        let datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        datagrams.set_read_timeout(Some(PAUSE))?;
        let streams = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        streams.set_nonblocking(true)?;
        let (udp, tcp) = (datagrams.local_addr()?, streams.local_addr()?);
        let receive = {
            let (file, over) = (Arc::clone(&file), Arc::clone(&over));
            std::thread::spawn(move || receive(&datagrams, &file, &over))
        };
        let accept = {
            let over = Arc::clone(&over);
            std::thread::spawn(move || accept(&streams, &file, &over))
        };
        Ok(Collector {
            udp,
            tcp,
            file: path,
            over,
            threads: vec![receive, accept],
        })
    }

    /// `LOGS_UDP` and `LOGS_TCP`, the addresses, and `LOGS`, the file.
    pub fn variables(&self) -> Vec<(String, String)> {
        vec![
            ("LOGS_UDP".to_owned(), self.udp.to_string()),
            ("LOGS_TCP".to_owned(), self.tcp.to_string()),
            ("LOGS".to_owned(), self.file.display().to_string()),
        ]
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic in it has been printed.
            let _ = thread.join();
        }
    }
}

fn receive(socket: &UdpSocket, file: &File, over: &AtomicBool) {
    let mut buffer = vec![0; 1 << 16];
    while !over.load(Ordering::Relaxed) {
        if let Ok(count) = socket.recv(&mut buffer) {
            let mut text: Vec<u8> = buffer[..count].iter().map(|byte| line_end(*byte)).collect();
            if text.last() != Some(&b'\n') {
                text.push(b'\n');
            }
            store(file, &text);
        }
    }
}

fn accept(listener: &TcpListener, file: &File, over: &AtomicBool) {
    std::thread::scope(|scope| {
        while !over.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((stream, _)) => drop(scope.spawn(move || copy(stream, file, over))),
                Err(_) => std::thread::sleep(PAUSE / 10),
            }
        }
    });
}

fn copy(mut stream: TcpStream, file: &File, over: &AtomicBool) {
    let ready = stream
        .set_nonblocking(false)
        .and_then(|()| stream.set_read_timeout(Some(PAUSE)));
    if ready.is_err() {
        return;
    }
    let mut buffer = vec![0; 1 << 16];
    let mut begun = Vec::new();
    while !over.load(Ordering::Relaxed) {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                begun.extend(buffer[..count].iter().map(|byte| line_end(*byte)));
                let whole = begun.iter().rposition(|byte| *byte == b'\n');
                let whole = whole.map_or(0, |at| at + 1);
                store(file, &begun[..whole]);
                begun.drain(..whole);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    if !begun.is_empty() {
        begun.push(b'\n');
        store(file, &begun);
    }
}

/// A NUL ends a message of some senders.
fn line_end(byte: u8) -> u8 {
    if byte == 0 { b'\n' } else { byte }
}

/// Writes in one go, so that messages of several senders stay whole. A scenario that misses a message says so.
fn store(mut file: &File, lines: &[u8]) {
    let _ = file.write_all(lines);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_is_in_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let collector = Collector::start(directory.path()).unwrap();
        let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        sender.send_to(b"one", collector.udp).unwrap();
        let mut stream = TcpStream::connect(collector.tcp).unwrap();
        stream.write_all(b"two\0").unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        let mut lines = Vec::new();
        while lines.len() < 2 && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
            let text = std::fs::read_to_string(&collector.file).unwrap();
            lines = text.lines().map(str::to_owned).collect();
        }
        lines.sort();
        assert_eq!(lines, ["one", "two"]);
    }
}
