//! A file server for one reader on this machine.
//!
//! mdBook's own server would bring an asynchronous runtime and a file watcher; a reader needs neither. This
//! one answers GET and HEAD for files below one folder, on 127.0.0.1 only, one connection per request.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// Nobody sends a longer request to read a page.
const REQUEST_LIMIT: u64 = 16 << 10;

/// Serves `folder` until the process is ended. Port 0 takes a free one; the address is printed.
///
/// # Errors
/// When the port is in use.
pub fn serve(folder: &Path, port: u16) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(|| {
        format!("listen on 127.0.0.1:{port}\nhint: another program may use this port; try --port 0")
    })?;
    println!(
        "the book is at http://{}/ (Ctrl-C ends it)",
        listener.local_addr()?
    );
    for connection in listener.incoming() {
        let folder = folder.to_owned();
        // A reader who closes the page early is no error of ours.
        thread::spawn(move || connection.and_then(|connection| answer(connection, &folder)));
    }
    Ok(())
}

fn answer(mut connection: TcpStream, folder: &Path) -> io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new((&connection).take(REQUEST_LIMIT));
    let mut request = String::new();
    reader.read_line(&mut request)?;
    // The headers do not matter, but a connection closed with unread data is reset.
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let (status, kind, body) = response(&request, folder);
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes())?;
    if request.starts_with("HEAD ") {
        return Ok(());
    }
    connection.write_all(&body)
}

/// Status line, media type and body for a request line.
fn response(request: &str, folder: &Path) -> (&'static str, &'static str, Vec<u8>) {
    let mut words = request.split_whitespace();
    let method = words.next().unwrap_or_default();
    let target = words.next().unwrap_or_default();
    if method != "GET" && method != "HEAD" {
        return (
            "405 Method Not Allowed",
            "text/plain",
            b"only GET and HEAD\n".to_vec(),
        );
    }
    let file = file_below(folder, target)
        .and_then(|path| Some((fs::read(&path).ok()?, media_type(&path))));
    match file {
        Some((body, kind)) => ("200 OK", kind, body),
        None => ("404 Not Found", "text/plain", b"no such page\n".to_vec()),
    }
}

/// The file that a request's target names; `None` where it would leave the folder. mdBook's file names need
/// no percent encoding, so a `%` finds nothing.
fn file_below(folder: &Path, target: &str) -> Option<PathBuf> {
    let path = target.split(['?', '#']).next()?.strip_prefix('/')?;
    let path = if path.is_empty() || path.ends_with('/') {
        format!("{path}index.html")
    } else {
        path.to_owned()
    };
    let path = PathBuf::from(path);
    let plain = path
        .components()
        .all(|component| matches!(component, Component::Normal(_)));
    plain.then(|| folder.join(path))
}

fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("book")).expect("a folder");
        fs::write(folder.path().join("book/index.html"), "<p>home").expect("a page");
        fs::write(folder.path().join("secret.html"), "secret").expect("a file");
        folder
    }

    #[test]
    fn the_root_is_the_index() {
        let folder = folder();
        let (status, kind, body) = response("GET / HTTP/1.1\r\n", &folder.path().join("book"));
        assert_eq!(
            (status, kind, body.as_slice()),
            ("200 OK", "text/html; charset=utf-8", b"<p>home".as_slice())
        );
    }

    #[test]
    fn no_request_leaves_the_folder() {
        let folder = folder();
        for target in [
            "/../secret.html",
            "/%2e%2e/secret.html",
            "//etc/passwd",
            "/book/../../secret.html",
            "secret.html",
            "",
        ] {
            let (status, _, _) = response(
                &format!("GET {target} HTTP/1.1"),
                &folder.path().join("book"),
            );
            assert_eq!(status, "404 Not Found", "{target}");
        }
    }

    #[test]
    fn only_reading_is_allowed() {
        let (status, _, _) = response("POST / HTTP/1.1", folder().path());
        assert_eq!(status, "405 Method Not Allowed");
    }

    #[test]
    fn a_browser_gets_its_page() {
        let folder = folder();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let mut browser =
            TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let (connection, _) = listener.accept().expect("a connection");
        browser
            .write_all(b"GET /index.html HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .expect("a request");
        answer(connection, &folder.path().join("book")).expect("an answer");
        let mut text = String::new();
        browser.read_to_string(&mut text).expect("a response");
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\n<p>home"), "{text}");
    }
}
