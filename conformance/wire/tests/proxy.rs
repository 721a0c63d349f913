//! What passes through the recorder, seen from both sides: an engine of a few lines here, a client of a few there.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use wire::{Exchange, Recorder};

/// An engine that does the same on each connection, `connections` times.
struct Engine {
    directory: tempfile::TempDir,
    thread: JoinHandle<()>,
}

impl Engine {
    fn start(connections: usize, act: impl Fn(UnixStream) + Clone + Send + 'static) -> Engine {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("s")).unwrap();
        let thread = std::thread::spawn(move || {
            let mut served = Vec::new();
            while served.len() < connections {
                let (mut stream, _) = listener.accept().unwrap();
                // A recorder looks whether somebody listens; a connection without a word is that.
                let Some(first) = peek(&mut stream) else {
                    continue;
                };
                let act = act.clone();
                served.push(std::thread::spawn(move || act(first)));
            }
            for thread in served {
                thread.join().unwrap();
            }
        });
        Engine { directory, thread }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("s")
    }
}

/// The stream, when it is not at its end at once.
fn peek(stream: &mut UnixStream) -> Option<UnixStream> {
    use rustix::net::{RecvFlags, recv};
    let mut byte = [0u8; 1];
    let (length, _) = recv(&*stream, &mut byte[..], RecvFlags::PEEK).unwrap();
    (length > 0).then(|| stream.try_clone().unwrap())
}

fn client(recorder: &Recorder) -> UnixStream {
    let stream = UnixStream::connect(recorder.socket()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream
}

/// Reads until the text is there.
fn expect(stream: &mut UnixStream, text: &str) {
    let mut seen = vec![0; text.len()];
    stream.read_exact(&mut seen).unwrap();
    assert_eq!(String::from_utf8_lossy(&seen), text);
}

fn rest(stream: &mut UnixStream) -> String {
    let mut seen = String::new();
    stream.read_to_string(&mut seen).unwrap();
    seen
}

fn summary(exchange: &Exchange) -> (String, u16, String) {
    (
        exchange.request_line(),
        exchange.status.unwrap_or(0),
        String::from_utf8_lossy(&exchange.body).into_owned(),
    )
}

#[test]
fn keep_alive_with_a_length_chunks_and_none() {
    let engine = Engine::start(1, |mut stream| {
        expect(&mut stream, "GET /a HTTP/1.1\r\n\r\n");
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            .unwrap();
        expect(
            &mut stream,
            "HEAD /b HTTP/1.1\r\n\r\nPOST /c HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi",
        );
        stream
            .write_all(
                b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n",
            )
            .unwrap();
        expect(&mut stream, "GET /d HTTP/1.1\r\n\r\n");
        for piece in [
            "HTTP/1.1 200 OK\r\nTransfer-Enc",
            "oding: chunked\r\n\r\n3\r\nab",
            "c\r\n0\r\n\r\n",
        ] {
            stream.write_all(piece.as_bytes()).unwrap();
        }
        assert_eq!(rest(&mut stream), "");
    });
    let recorder = Recorder::start(&engine.socket()).unwrap();
    let mut stream = client(&recorder);
    stream.write_all(b"GET /a HTTP/1.1\r\n\r\n").unwrap();
    expect(
        &mut stream,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    );
    stream
        .write_all(b"HEAD /b HTTP/1.1\r\n\r\nPOST /c HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi")
        .unwrap();
    expect(
        &mut stream,
        "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n",
    );
    stream.write_all(b"GET /d HTTP/1.1\r\n\r\n").unwrap();
    expect(
        &mut stream,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    );
    drop(stream);
    engine.thread.join().unwrap();
    let recording = recorder.finish();
    let found: Vec<_> = recording.exchanges.iter().map(summary).collect();
    let right = [
        ("GET /a", 200, "{}"),
        ("HEAD /b", 200, ""),
        ("POST /c", 304, ""),
        ("GET /d", 200, "abc"),
    ];
    assert_eq!(
        found,
        right.map(|(line, status, body)| (line.to_owned(), status, body.to_owned()))
    );
    assert_eq!(recording.lost, 0);
}

#[test]
fn a_hijacked_connection_ends_one_direction_at_a_time() {
    let engine = Engine::start(1, |mut stream| {
        expect(
            &mut stream,
            "POST /exec/1/start HTTP/1.1\r\nUpgrade: tcp\r\n\r\n",
        );
        stream.write_all(b"HTTP/1.1 101 UPGRADED\r\n\r\n").unwrap();
        // The input has its end, and the output comes after it.
        assert_eq!(rest(&mut stream), "input\0\u{ff}");
        stream.write_all(b"output").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    });
    let recorder = Recorder::start(&engine.socket()).unwrap();
    let mut stream = client(&recorder);
    stream
        .write_all(b"POST /exec/1/start HTTP/1.1\r\nUpgrade: tcp\r\n\r\n")
        .unwrap();
    expect(&mut stream, "HTTP/1.1 101 UPGRADED\r\n\r\n");
    stream.write_all("input\0\u{ff}".as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut stream), "output");
    engine.thread.join().unwrap();
    let recording = recorder.finish();
    assert_eq!(recording.exchanges.len(), 1);
    assert!(recording.exchanges[0].raw && recording.exchanges[0].status == Some(101));
}

#[test]
fn output_that_ends_first_leaves_the_input_open() {
    let engine = Engine::start(1, |mut stream| {
        expect(&mut stream, "POST /containers/a/attach HTTP/1.1\r\n\r\n");
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nbye").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(&mut stream), "late input");
    });
    let recorder = Recorder::start(&engine.socket()).unwrap();
    let mut stream = client(&recorder);
    stream
        .write_all(b"POST /containers/a/attach HTTP/1.1\r\n\r\n")
        .unwrap();
    assert_eq!(rest(&mut stream), "HTTP/1.1 200 OK\r\n\r\nbye");
    stream.write_all(b"late input").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    engine.thread.join().unwrap();
    assert!(recorder.finish().exchanges[0].raw);
}

#[test]
fn continue_is_passed_on_before_the_body() {
    let engine = Engine::start(1, |mut stream| {
        expect(
            &mut stream,
            "PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
        );
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        expect(&mut stream, "body");
        stream
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .unwrap();
    });
    let recorder = Recorder::start(&engine.socket()).unwrap();
    let mut stream = client(&recorder);
    stream
        .write_all(b"PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        .unwrap();
    expect(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"body").unwrap();
    assert_eq!(rest(&mut stream), "HTTP/1.1 204 No Content\r\n\r\n");
    engine.thread.join().unwrap();
    assert_eq!(summary(&recorder.finish().exchanges[0]).1, 204);
}

#[test]
fn a_client_that_goes_is_gone_for_the_engine() {
    // Whoever follows events writes into the void until it notices: only the end of both directions tells.
    let engine = Engine::start(1, |mut stream| {
        expect(&mut stream, "GET /events HTTP/1.1\r\n\r\n");
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while stream.write_all(b"2\r\n{}\r\n").is_ok() {
            assert!(Instant::now() < deadline, "the engine did not notice");
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let recorder = Recorder::start(&engine.socket()).unwrap();
    let mut stream = client(&recorder);
    stream.write_all(b"GET /events HTTP/1.1\r\n\r\n").unwrap();
    expect(
        &mut stream,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    );
    drop(stream);
    engine.thread.join().unwrap();
    let recording = recorder.finish();
    assert!(recording.exchanges[0].cut);
    assert!(recording.exchanges[0].body.starts_with(b"{}"));
}

#[test]
fn large_bodies_in_both_directions_and_many_connections() {
    const SIZE: usize = 3 << 20;
    const CLIENTS: usize = 16;
    let engine = Engine::start(CLIENTS, |mut stream| {
        let head = format!("POST /build HTTP/1.1\r\nContent-Length: {SIZE}\r\n\r\n");
        expect(&mut stream, &head);
        let mut body = vec![0; SIZE];
        stream.read_exact(&mut body).unwrap();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {SIZE}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body).unwrap();
    });
    let recorder = Recorder::start(&engine.socket()).unwrap();
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let mut stream = client(&recorder);
            scope.spawn(move || {
                let body: Vec<u8> = (0..SIZE).map(|n| (n * (number + 3)) as u8).collect();
                let head = format!("POST /build HTTP/1.1\r\nContent-Length: {SIZE}\r\n\r\n");
                stream.write_all(head.as_bytes()).unwrap();
                stream.write_all(&body).unwrap();
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer).unwrap();
                assert!(answer.ends_with(&body));
            });
        }
    });
    engine.thread.join().unwrap();
    let recording = recorder.finish();
    assert_eq!(recording.exchanges.len(), CLIENTS);
    for exchange in &recording.exchanges {
        assert_eq!(
            (exchange.length, exchange.body.len()),
            (SIZE as u64, 1 << 20)
        );
    }
}

#[test]
fn an_engine_that_dies_ends_the_connection() {
    let engine = Engine::start(1, |mut stream| {
        expect(&mut stream, "GET /a HTTP/1.1\r\n\r\n");
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
            .unwrap();
    });
    let recorder = Recorder::start(&engine.socket()).unwrap();
    let mut stream = client(&recorder);
    stream.write_all(b"GET /a HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(
        rest(&mut stream),
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
    );
    assert!(recorder.finish().exchanges[0].cut);
}

#[test]
fn a_recorder_that_finishes_ends_open_connections() {
    let (asked, has_asked) = std::sync::mpsc::channel();
    let engine = Engine::start(1, move |mut stream| {
        expect(&mut stream, "GET /a HTTP/1.1\r\n\r\n");
        asked.send(()).unwrap();
        assert_eq!(rest(&mut stream), "");
    });
    let recorder = Recorder::start(&engine.socket()).unwrap();
    let mut stream = client(&recorder);
    stream.write_all(b"GET /a HTTP/1.1\r\n\r\n").unwrap();
    // What the engine has, the recorder has.
    has_asked.recv_timeout(Duration::from_secs(10)).unwrap();
    let socket = recorder.socket().to_owned();
    let recording = recorder.finish();
    assert_eq!(recording.exchanges[0].status, None);
    assert_eq!(rest(&mut stream), "");
    engine.thread.join().unwrap();
    assert!(!socket.exists() && !socket.parent().unwrap().exists());
}

/// Names the socket for the engine that is a process of its own.
const SOCKET: &str = "WIRE_TEST_SOCKET";

#[test]
#[ignore = "is the engine of another test, in a process of its own"]
fn plays_the_engine() {
    let Some(socket) = std::env::var_os(SOCKET) else {
        return;
    };
    let listener = UnixListener::bind(socket).unwrap();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        if peek(&mut stream).is_some() {
            expect(&mut stream, "GET /_ping HTTP/1.1\r\n\r\n");
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(answer).unwrap();
        }
    }
}

/// A process that listens: only a process can die.
fn listening(socket: &std::path::Path) -> std::process::Child {
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "plays_the_engine"])
        .env(SOCKET, socket)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    within(|| socket.exists());
    child
}

fn within(mut happens: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !happens() {
        assert!(Instant::now() < deadline, "it did not happen in 10 seconds");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn answers(recorder: &Recorder) -> bool {
    let Ok(mut stream) = UnixStream::connect(recorder.socket()) else {
        return false;
    };
    stream.write_all(b"GET /_ping HTTP/1.1\r\n\r\n").is_ok() && rest(&mut stream).contains("200 OK")
}

#[test]
fn clients_of_a_dead_engine_are_refused_until_it_is_back() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("engine");
    let recorder = Recorder::start(&socket).unwrap();
    let error = UnixStream::connect(recorder.socket()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    let mut engine = listening(&socket);
    within(|| answers(&recorder));
    engine.kill().unwrap();
    engine.wait().unwrap();
    within(|| {
        let error = UnixStream::connect(recorder.socket()).err();
        error.is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
    });
    std::fs::remove_file(&socket).unwrap();
    within(|| !recorder.socket().exists());
    let mut engine = listening(&socket);
    within(|| answers(&recorder));
    engine.kill().unwrap();
    engine.wait().unwrap();
    assert!(recorder.finish().exchanges.len() >= 2);
}
