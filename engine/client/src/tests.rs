//! The client against small servers that answer what the test says.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::thread;

use super::*;

/// Serves one connection after another; each answers one canned text per request, then closes.
fn server(
    connections: Vec<Vec<String>>,
) -> (Client, tempfile::TempDir, thread::JoinHandle<Vec<String>>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("engine.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let thread = thread::spawn(move || {
        let mut requests = Vec::new();
        for answers in connections {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            for answer in answers {
                requests.push(read_request(&mut reader));
                (&stream).write_all(answer.as_bytes()).unwrap();
            }
        }
        requests
    });
    (
        Client::new(Endpoint::parse(path.to_str().unwrap()).unwrap()),
        folder,
        thread,
    )
}

/// The request line and the body, whichever way it is framed.
fn read_request(reader: &mut impl BufRead) -> String {
    let mut text = String::new();
    let (mut length, mut chunked) = (0, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let lower = line.to_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        chunked |= lower.starts_with("transfer-encoding: chunked");
        if text.is_empty() {
            text = line.trim().to_string();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).unwrap();
            body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                break;
            }
        }
    } else {
        body.resize(length, 0);
        reader.read_exact(&mut body).unwrap();
    }
    format!("{text} {}", String::from_utf8_lossy(&body))
        .trim()
        .to_string()
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn one_connection_serves_requests_one_after_another() {
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n"
            .to_string();
    let (client, _folder, thread) = server(vec![vec![chunked, ok("{\"Id\":\"a\"}")]]);
    assert_eq!(client.get_json::<Vec<u32>>("/numbers").unwrap(), [1, 2]);
    let answer: Value = client
        .post_json("/things", &serde_json::json!({"x": 1}))
        .unwrap();
    assert_eq!(answer["Id"], "a");
    assert_eq!(
        thread.join().unwrap(),
        [
            "GET /v1.51/numbers HTTP/1.1",
            "POST /v1.51/things HTTP/1.1 {\"x\":1}"
        ]
    );
}

#[test]
fn an_older_server_is_asked_again_in_its_version() {
    let body =
        "{\"message\":\"client version 1.51 is too new. Maximum supported API version is 1.43\"}";
    let error = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let (client, _folder, thread) = server(vec![vec![error, ok("[]")]]);
    assert!(client.get_json::<Vec<u32>>("/x").unwrap().is_empty());
    assert_eq!(client.api_version(), "1.43");
    assert_eq!(
        thread.join().unwrap(),
        ["GET /v1.51/x HTTP/1.1", "GET /v1.43/x HTTP/1.1"]
    );
}

#[test]
fn a_stream_is_sent_in_chunks_after_the_version_is_known() {
    let pong = "HTTP/1.1 200 OK\r\nApi-Version: 1.44\r\nContent-Length: 2\r\n\r\nOK".to_string();
    let (client, _folder, thread) = server(vec![vec![pong, ok("{}")]]);
    let long = "a".repeat(300_000);
    let mut source = long.as_bytes();
    let body = Body::Stream(&mut source);
    client
        .request(Method::Post, "/images/load", &[], body)
        .unwrap()
        .bytes()
        .unwrap();
    let requests = thread.join().unwrap();
    assert_eq!(requests[0], "GET /_ping HTTP/1.1");
    assert_eq!(
        requests[1],
        format!("POST /v1.44/images/load HTTP/1.1 {long}")
    );
}

#[test]
fn a_connection_that_was_closed_while_idle_is_replaced() {
    let (client, _folder, thread) = server(vec![vec![ok("1")], vec![ok("2")]]);
    assert_eq!(client.get_json::<u32>("/a").unwrap(), 1);
    assert_eq!(client.get_json::<u32>("/b").unwrap(), 2);
    assert_eq!(thread.join().unwrap().len(), 2);
}

#[test]
fn an_upgrade_gives_the_socket_and_what_came_early() {
    let head = "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n\
        Connection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly";
    let (client, _folder, thread) = server(vec![vec![head.to_string()]]);
    let mut hijacked = client
        .hijack("/containers/a/attach?stream=1", None)
        .unwrap();
    thread.join().unwrap();
    let mut text = String::new();
    hijacked.read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), hijacked.multiplexed), ("early", true));
}

#[test]
fn errors_say_what_docker_says() {
    let body = "{\"message\":\"No such container: a\"}";
    let answer = format!(
        "HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let (client, _folder, thread) = server(vec![vec![answer]]);
    let error = client.get_json::<Value>("/containers/a/json").unwrap_err();
    thread.join().unwrap();
    assert_eq!(
        (error.status(), error.to_string().as_str()),
        (
            Some(404),
            "Error response from daemon: No such container: a"
        )
    );

    let nobody = Client::new(Endpoint::parse("unix:///nowhere/engine.sock").unwrap());
    assert_eq!(
        nobody.ping().unwrap_err().to_string(),
        "Cannot connect to the Docker daemon at unix:///nowhere/engine.sock. Is the docker daemon running?"
    );
}

#[test]
fn versions_compare_as_numbers() {
    assert!(version_number("1.9") < version_number("1.51"));
    assert_eq!(version_number("1.51"), (1, 51));
}
