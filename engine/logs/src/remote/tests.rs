//! Remote logs against listeners on loopback: what arrives, and what happens when nobody listens.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::unix::net::{UnixDatagram, UnixListener},
    thread::JoinHandle,
};

use super::*;
use crate::{
    Log, Stream,
    plan::{Compression, Fluentd, Gelf, Journald, Plan, Syslog, SyslogLayout},
};

/// 2026-11-28 06:21:49.401915002 UTC.
const TIME: u64 = 1_795_846_909_401_915_002;

fn syslog(layout: SyslogLayout) -> Protocol {
    Protocol::Syslog(Syslog {
        facility: 3,
        layout,
        tag: "web".to_owned(),
        hostname: "host".to_owned(),
        utc_offset: 0,
    })
}

fn gelf(compression: Compression) -> Gelf {
    Gelf {
        endpoint: "there:1".to_owned(),
        hostname: "host".to_owned(),
        extra: "\"_tag\":\"web\"".to_owned(),
        compression,
        level: 1,
        reconnects: 3,
        reconnect_delay: 0,
    }
}

fn fluentd() -> Fluentd {
    Fluentd {
        tag: "web".to_owned(),
        fields: vec![("container_name".to_owned(), "/web".to_owned())],
        sub_second: false,
        acknowledged: false,
        asynchronous: false,
        buffer_limit: 2,
        retry_wait: 1,
        max_retries: 1 << 20,
    }
}

fn plan(address: Address, protocol: Protocol, drop_beyond: Option<u64>) -> Plan {
    Plan {
        file: None,
        remote: Some(RemotePlan {
            address,
            protocol,
            drop_beyond,
        }),
        seed: "5eed".repeat(16),
    }
}

fn open(address: Address, protocol: Protocol) -> Log {
    Log::open(&plan(address, protocol, None), None).unwrap()
}

/// Does what a shim does until the log is done, at most ten seconds.
fn drive(log: &mut Log) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !log.is_done() && Instant::now() < deadline {
        let readable = log.wait().socket.is_some_and(|(_, readable, _)| readable);
        log.progress(readable);
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn udp() -> (UdpSocket, Address) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let address = Address::Udp(vec![socket.local_addr().unwrap()]);
    (socket, address)
}

fn datagram(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65536];
    let count = socket.recv(&mut buffer).unwrap();
    buffer.truncate(count);
    buffer
}

fn tcp() -> (TcpListener, Address) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Tcp(vec![listener.local_addr().unwrap()]);
    (listener, address)
}

/// Reads one connection to its end.
fn collect(listener: TcpListener) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let (mut socket, _) = listener.accept().unwrap();
        socket.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

fn nobody() -> SocketAddr {
    // Bound and given back: nobody listens there, most likely.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// The texts are those that a Docker 28.5 sent, but for names and numbers.
#[test]
fn syslog_messages_are_dockers() {
    let pid = std::process::id();
    for (layout, text) in [
        (
            SyslogLayout::Local,
            format!("<27>Nov 28 06:21:49 web[{pid}]: err\r\n"),
        ),
        (
            SyslogLayout::Rfc3164,
            format!("<27>Nov 28 06:21:49 host web[{pid}]: err\r\n"),
        ),
        (
            SyslogLayout::Rfc5424,
            format!("<27>1 2026-11-28T06:21:49Z host web {pid} web - err\r\n"),
        ),
        (
            SyslogLayout::Rfc5424Micro,
            format!("<27>1 2026-11-28T06:21:49.401915Z host web {pid} web - err\r\n"),
        ),
    ] {
        let (socket, address) = udp();
        let mut log = open(address, syslog(layout));
        // An empty line is no message.
        log.append(Stream::Stderr, TIME, b"\nerr\r\n").unwrap();
        assert_eq!(String::from_utf8(datagram(&socket)).unwrap(), text);
        log.append(Stream::Stdout, TIME, b"no end").unwrap();
        log.finish().unwrap();
        let last = String::from_utf8(datagram(&socket)).unwrap();
        assert!(
            last.starts_with("<30>") && last.ends_with(" no end\n"),
            "{last}"
        );
    }
}

#[test]
fn gelf_on_udp_is_compressed_and_cut_into_chunks() {
    use flate2::read::{GzDecoder, ZlibDecoder};
    let whole = concat!(
        r#"{"version":"1.1","host":"host","short_message":"\u003cx\u003e","timestamp":1795846909.401,"#,
        r#""level":6,"_tag":"web"}"#
    );
    for compression in [Compression::Gzip, Compression::Zlib, Compression::None] {
        let (socket, address) = udp();
        let mut log = open(address, Protocol::Gelf(gelf(compression)));
        log.append(Stream::Stdout, TIME, b"<x>\n").unwrap();
        let bytes = datagram(&socket);
        let mut text = String::new();
        match compression {
            Compression::Gzip => GzDecoder::new(&bytes[..]).read_to_string(&mut text),
            Compression::Zlib => ZlibDecoder::new(&bytes[..]).read_to_string(&mut text),
            Compression::None => (&bytes[..]).read_to_string(&mut text),
        }
        .unwrap();
        assert_eq!(text, whole);
    }
    let (socket, address) = udp();
    let mut log = open(address, Protocol::Gelf(gelf(Compression::None)));
    log.append(Stream::Stdout, TIME, &[&[b'x'; 3000][..], b"\n"].concat())
        .unwrap();
    let chunks: Vec<Vec<u8>> = (0..3).map(|_| datagram(&socket)).collect();
    for (number, chunk) in (0u8..).zip(&chunks) {
        assert_eq!(chunk[..2], [0x1e, 0x0f]);
        assert_eq!(chunk[2..10], chunks[0][2..10], "the id is the same");
        assert_eq!(chunk[10..12], [number, 3]);
        assert!(chunk.len() <= 1420);
    }
    let message: Vec<u8> = chunks
        .iter()
        .flat_map(|chunk| chunk[12..].to_vec())
        .collect();
    assert!(serde_json::from_slice::<serde_json::Value>(&message).is_ok());
}

#[test]
fn gelf_on_tcp_ends_each_message_with_a_nul() {
    let (listener, address) = tcp();
    let reader = collect(listener);
    let mut log = open(address, Protocol::Gelf(gelf(Compression::Gzip)));
    log.append(Stream::Stdout, TIME, b"one\ntwo\n").unwrap();
    log.finish().unwrap();
    drive(&mut log);
    drop(log);
    let bytes = reader.join().unwrap();
    let messages: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
    assert_eq!(messages.len(), 3);
    assert!(messages[1].starts_with(br#"{"version":"1.1","host":"host","short_message":"two""#));
    assert!(messages[2].is_empty());
}

/// Byte for byte as fluentd got it from a Docker 28.5, but for names.
#[test]
fn fluentd_messages_are_dockers() {
    let (listener, address) = tcp();
    let reader = collect(listener);
    let mut log = open(address, Protocol::Fluentd(fluentd()));
    log.append(Stream::Stdout, TIME, b"out\n").unwrap();
    log.append(Stream::Stderr, TIME, b"noend").unwrap();
    log.finish().unwrap();
    drive(&mut log);
    drop(log);
    let bytes = reader.join().unwrap();
    let first = b"\x94\xa3web\xd2\x6b\x0a\x72\xfd\x83\xaecontainer_name\xa4/web\xa6source\xa6stdout\xa3log\xa3out\x80";
    assert_eq!(bytes[..first.len()], first[..]);
    let second = &bytes[first.len()..];
    for part in [
        &b"\x87\xaecontainer_name"[..],
        b"\xa3log\xa5noend\xafpartial_message\xa4true\xaapartial_id\xd9@5eed",
        b"\xafpartial_ordinal\xa11\xacpartial_last\xa5false\x80",
    ] {
        assert!(memchr::memmem::find(second, part).is_some(), "{second:?}");
    }
}

#[test]
fn fluentd_sends_again_what_was_not_confirmed() {
    let (listener, address) = tcp();
    let options = Fluentd {
        acknowledged: true,
        ..fluentd()
    };
    let server = std::thread::spawn(move || {
        // The first connection ends without a word; the second confirms.
        let mut buffer = [0; 4096];
        let (mut first, _) = listener.accept().unwrap();
        let count = first.read(&mut buffer).unwrap();
        drop(first);
        let (mut second, _) = listener.accept().unwrap();
        let again = second.read(&mut buffer[count..]).unwrap();
        assert_eq!(buffer[..count], buffer[count..count + again]);
        let at = memchr::memmem::find(&buffer[..count], b"chunk\xd9 ").unwrap() + 7;
        let answer = [&b"\x81\xa3ack\xd9 "[..], &buffer[at..at + 32]].concat();
        second.write_all(&answer).unwrap();
    });
    let mut log = open(address, Protocol::Fluentd(options));
    log.append(Stream::Stdout, TIME, b"one\n").unwrap();
    log.finish().unwrap();
    assert!(!log.is_done(), "sent is not confirmed");
    drive(&mut log);
    server.join().unwrap();
    assert!(log.is_done() && log.dropped() == 0);
}

#[test]
fn an_asynchronous_fluentd_need_not_be_there() {
    let options = Fluentd {
        asynchronous: true,
        ..fluentd()
    };
    let there = nobody();
    let mut log = open(Address::Tcp(vec![there]), Protocol::Fluentd(options));
    for line in ["one\n", "two\n", "three\n"] {
        log.append(Stream::Stdout, TIME, line.as_bytes()).unwrap();
    }
    assert!(!log.is_full(), "the container never waits");
    assert_eq!(log.dropped(), 1, "two may wait");
    let reader = collect(TcpListener::bind(there).unwrap());
    log.finish().unwrap();
    drive(&mut log);
    drop(log);
    let bytes = reader.join().unwrap();
    assert!(memchr::memmem::find(&bytes, b"\xa3two").is_some());
    assert!(memchr::memmem::find(&bytes, b"three").is_none());
}

#[test]
fn journal_entries_are_in_the_native_protocol() {
    let folder = tempfile::tempdir().unwrap();
    let socket = UnixDatagram::bind(folder.path().join("socket")).unwrap();
    let address = Address::UnixDatagram {
        name: "socket".to_owned(),
        shown: "/run/socket".to_owned(),
    };
    let fields = [("CONTAINER_NAME", "web"), ("TWO", "a\nb")];
    let fields = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let plan = plan(address, Protocol::Journald(Journald { fields }), None);
    let opened = std::fs::File::open(folder.path()).unwrap();
    let mut log = Log::open(&plan, Some(opened.into())).unwrap();
    log.append(Stream::Stderr, TIME, b"A=1\n").unwrap();
    let mut buffer = [0; 4096];
    let count = socket.recv(&mut buffer).unwrap();
    let entry: &[u8] = b"PRIORITY=3\nMESSAGE\n\x03\0\0\0\0\0\0\0A=1\nCONTAINER_NAME=web\nTWO\n\x03\0\0\0\0\0\0\0a\nb\n\
CONTAINER_LOG_ORDINAL=1\nSYSLOG_TIMESTAMP=2026-11-28T06:21:49.401915002Z\n";
    assert_eq!(
        String::from_utf8_lossy(&buffer[..count]),
        String::from_utf8_lossy(entry)
    );
}

/// A program that starts again makes a new socket of the same name.
#[test]
fn a_socket_of_the_host_may_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let first = UnixListener::bind(&path).unwrap();
    let address = Address::Unix {
        name: "log".to_owned(),
        shown: path.display().to_string(),
    };
    let opened = std::fs::File::open(folder.path()).unwrap();
    let plan = plan(address, syslog(SyslogLayout::Local), None);
    let mut log = Log::open(&plan, Some(opened.into())).unwrap();
    drop((first.accept().unwrap(), first));
    std::fs::remove_file(&path).unwrap();
    let second = UnixListener::bind(&path).unwrap();
    // The end of the connection was noticed before something was written into it.
    log.progress(true);
    log.append(Stream::Stdout, TIME, b"after\n").unwrap();
    log.finish().unwrap();
    drive(&mut log);
    let (mut socket, _) = second.accept().unwrap();
    drop(log);
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    assert!(text.ends_with(": after\n"), "{text}");
}

#[test]
fn who_is_not_there_is_named_as_go_does() {
    let there = nobody();
    let refused = |protocol| {
        let plan = plan(Address::Tcp(vec![there]), protocol, None);
        Log::open(&plan, None).unwrap_err().to_string()
    };
    let why = format!("dial tcp {there}: connect: connection refused");
    assert_eq!(refused(syslog(SyslogLayout::Local)), why);
    assert_eq!(refused(Protocol::Fluentd(fluentd())), why);
    assert_eq!(
        refused(Protocol::Gelf(gelf(Compression::None))),
        format!("gelf: cannot connect to GELF endpoint: there:1 {why}")
    );
}

/// The same for datagrams, where nothing tells of the end before the next message.
#[test]
fn a_datagram_socket_of_the_host_may_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let address = Address::UnixDatagram {
        name: "log".to_owned(),
        shown: path.display().to_string(),
    };
    let first = UnixDatagram::bind(&path).unwrap();
    let opened = std::fs::File::open(folder.path()).unwrap();
    let plan = plan(address, syslog(SyslogLayout::Local), None);
    let mut log = Log::open(&plan, Some(opened.into())).unwrap();
    log.append(Stream::Stdout, TIME, b"before\n").unwrap();
    drop(first);
    std::fs::remove_file(&path).unwrap();
    let second = UnixDatagram::bind(&path).unwrap();
    log.append(Stream::Stdout, TIME, b"after\n").unwrap();
    let mut buffer = [0; 200];
    let count = second.recv(&mut buffer).unwrap();
    assert!(buffer[..count].ends_with(b": after\n"));
    // Nobody there: lost, and nobody waits.
    drop(second);
    std::fs::remove_file(&path).unwrap();
    log.append(Stream::Stdout, TIME, b"lost\n").unwrap();
    assert!(!log.is_full() && log.dropped() == 1);
}

/// A receiver that takes nothing: the container waits, and its end does not.
#[test]
fn a_receiver_that_does_not_read_makes_the_container_wait() {
    let (listener, address) = tcp();
    let mut log = open(address, syslog(SyslogLayout::Local));
    let (silent, _): (TcpStream, _) = listener.accept().unwrap();
    let line = [&[b'x'; 8000][..], b"\n"].concat();
    let mut lines = 0u32;
    while !log.is_full() {
        log.append(Stream::Stdout, TIME, &line).unwrap();
        lines += 1;
        assert!(lines < 10_000, "it never fills");
    }
    let wait = log.wait();
    assert!(matches!(wait.socket, Some((_, true, true))), "{wait:?}");
    log.finish().unwrap();
    assert!(!log.is_done() && log.wait().until.is_some());
    // It goes away with all that it did not read; nothing more can be done, and nobody listens.
    drop((silent, listener));
    drive(&mut log);
    assert!(log.is_done() && log.dropped() > 0);
}

#[test]
fn non_blocking_drops_what_is_too_much() {
    let (listener, address) = tcp();
    let plan = plan(address, syslog(SyslogLayout::Local), Some(100_000));
    let mut log = Log::open(&plan, None).unwrap();
    let (silent, _): (TcpStream, _) = listener.accept().unwrap();
    let line = [&[b'x'; 8000][..], b"\n"].concat();
    let mut lines = 0u32;
    while log.dropped() == 0 {
        log.append(Stream::Stdout, TIME, &line).unwrap();
        assert!(!log.is_full(), "the container never waits");
        lines += 1;
        assert!(lines < 10_000, "it never drops");
    }
    drop(silent);
}

/// As Docker: what waits when a syslog cannot be reached again is lost, and the container goes on.
#[test]
fn a_syslog_that_went_away_blocks_nobody() {
    let (listener, address) = tcp();
    let mut log = open(address, syslog(SyslogLayout::Local));
    drop((listener.accept().unwrap(), listener));
    log.progress(true);
    for _ in 0..100 {
        log.append(Stream::Stdout, TIME, b"lost\n").unwrap();
        assert!(!log.is_full());
    }
    log.finish().unwrap();
    drive(&mut log);
    assert!(log.is_done());
    assert_eq!(log.dropped(), 100);
}
