//! What the trials share: a bridge to test, threads inside sandboxes, connections, a look at the host.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use drydock_network::{Bridge, BridgeConfig, Endpoint, mac_address_for_endpoint};
use nix::sched::{CloneFlags, setns};

/// How long a packet that is dropped is waited for, and how long one that arrives may take.
const PATIENCE: Duration = Duration::from_millis(700);

pub fn config(name: &str, gateway: [u8; 4]) -> BridgeConfig {
    BridgeConfig {
        name: name.to_owned(),
        gateway: gateway.into(),
        prefix_length: 24,
        mtu: 1500,
    }
}

pub fn open(name: &str, gateway: [u8; 4]) -> Bridge {
    Bridge::open(config(name, gateway)).expect("open the bridge")
}

/// An endpoint with an id that no other has.
pub fn endpoint(address: [u8; 4]) -> Endpoint {
    static COUNTER: AtomicU64 = AtomicU64::new(0x1234_5678);
    // An odd factor makes each digit of the id differ from one number to the next.
    let number = COUNTER
        .fetch_add(1, Ordering::Relaxed)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Endpoint {
        container_id: format!("{number:016x}").repeat(4),
        address: address.into(),
        mac_address: mac_address_for_endpoint(),
    }
}

pub fn sandbox(bridge: &Bridge, address: [u8; 4]) -> OwnedFd {
    bridge.sandbox(&endpoint(address)).expect("make a sandbox")
}

/// Runs `work` on a thread inside a namespace.
pub fn within<T: Send>(namespace: &OwnedFd, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("setns");
            work()
        });
        inside.join().expect("the thread inside the sandbox")
    })
}

/// Listens in the calling thread's namespace; connections are accepted by the kernel.
pub fn listen() -> TcpListener {
    TcpListener::bind("0.0.0.0:80").expect("listen on port 80")
}

/// True if a connection from the calling thread's namespace comes about.
pub fn connects(address: [u8; 4]) -> bool {
    TcpStream::connect_timeout(&target(address), PATIENCE).is_ok()
}

/// Sends a word from the calling thread's namespace to a listener elsewhere and gives the address the
/// listener saw.
pub fn exchange(from: &OwnedFd, to: [u8; 4], listener: &TcpListener) -> Ipv4Addr {
    let mut client =
        within(from, || TcpStream::connect_timeout(&target(to), PATIENCE)).expect("connect");
    client.write_all(b"hello").expect("send");
    let (mut server, peer) = listener.accept().expect("accept");
    let mut word = [0; 5];
    server.read_exact(&mut word).expect("receive");
    assert_eq!(&word, b"hello");
    match peer {
        SocketAddr::V4(peer) => *peer.ip(),
        SocketAddr::V6(peer) => panic!("{peer} connected"),
    }
}

fn target(address: [u8; 4]) -> SocketAddr {
    SocketAddrV4::new(address.into(), 80).into()
}

/// The interfaces of the calling thread's namespace, without loopback and the kernel's own tunnels.
pub fn interfaces() -> Vec<String> {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev").expect("read net/dev");
    let names = text
        .lines()
        .skip(2)
        .filter_map(|line| line.split(':').next());
    let own = ["lo", "ifb0", "ifb1"];
    names
        .map(|name| name.trim().to_owned())
        .filter(|name| !own.contains(&name.as_str()))
        .collect()
}

/// Waits until a condition holds, for at most ten seconds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(
            begin.elapsed() < Duration::from_secs(10),
            "not within ten seconds: {what}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn nft_program() -> Option<&'static str> {
    ["/usr/sbin/nft", "/sbin/nft"]
        .into_iter()
        .find(|path| Path::new(path).exists())
}

/// Runs nft(8) in the calling thread's namespace with a script and gives its output.
pub fn nft(script: &str) -> String {
    let mut child = Command::new(nft_program().expect("nft"))
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start nft");
    child
        .stdin
        .take()
        .expect("stdin")
        .write_all(script.as_bytes())
        .expect("write to nft");
    let output = child.wait_with_output().expect("wait for nft");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "nft {script:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A machine on another network of this host, 10.98.0.2, which can route to the bridges here. It is a
/// sandbox on a bridge whose own table is taken away.
pub fn outside() -> (Bridge, OwnedFd) {
    let bridge = open("outside0", [10, 98, 0, 1]);
    let machine = sandbox(&bridge, [10, 98, 0, 2]);
    nft("delete table inet outside0");
    (bridge, machine)
}
