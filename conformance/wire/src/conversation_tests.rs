//! Conversations byte by byte, and in one piece: the pieces must not matter.

use super::*;

/// Lines that begin with `>` are the client's, with `<` the engine's; `\r\n` is written as `|`.
fn record(script: &[&str], size: usize) -> Finished {
    let sink = Sink::default();
    let mut conversation = Conversation::new(sink.clone());
    for line in script {
        let text = line[1..].replace('|', "\r\n");
        for piece in text.as_bytes().chunks(size) {
            if line.starts_with('>') {
                conversation.client_sent(piece);
            } else {
                conversation.engine_sent(piece);
            }
        }
    }
    conversation.engine_ended();
    sink.take()
}

fn exchanges(script: &[&str]) -> Vec<Exchange> {
    let whole = record(script, usize::MAX);
    assert_eq!(whole.lost, 0);
    for size in [1, 2, 3, 7] {
        assert_eq!(
            record(script, size).exchanges,
            whole.exchanges,
            "in pieces of {size}"
        );
    }
    whole.exchanges
}

fn summary(exchange: &Exchange) -> String {
    format!(
        "{} {} {} {:?}{}{}",
        exchange.method,
        exchange.target,
        exchange.status.unwrap_or(0),
        String::from_utf8_lossy(&exchange.body),
        if exchange.cut { " cut" } else { "" },
        if exchange.raw { " raw" } else { "" }
    )
}

fn summaries(script: &[&str]) -> Vec<String> {
    exchanges(script).iter().map(summary).collect()
}

#[test]
fn pipelined_requests_keep_their_order() {
    let found = summaries(&[
        ">GET /a HTTP/1.1|Host: x||POST /b HTTP/1.1|Content-Length: 3||abcHEAD /c HTTP/1.1||DELETE /d HTTP/1.1||GET /e HTTP/1.1||",
        "<HTTP/1.1 200 OK|Content-Type: application/json; charset=utf-8|Content-Length: 2||{}",
        "<HTTP/1.1 201 Created|Transfer-Encoding: chunked||2|[]|0||",
        "<HTTP/1.1 200 OK|Content-Length: 99||HTTP/1.1 204 No Content||HTTP/1.1 304 Not Modified|Content-Length: 5||",
    ]);
    let right = [
        r#"GET /a 200 "{}""#,
        r#"POST /b 201 "[]""#,
        r#"HEAD /c 200 """#,
        r#"DELETE /d 204 """#,
        r#"GET /e 304 """#,
    ];
    assert_eq!(found, right);
}

#[test]
fn continue_is_not_the_answer() {
    let found = summaries(&[
        ">PUT /a HTTP/1.1|Expect: 100-continue|Transfer-Encoding: chunked||",
        "<HTTP/1.1 100 Continue||",
        ">3|abc|0||GET /b HTTP/1.1||",
        "<HTTP/1.1 200 OK|Content-Length: 0||HTTP/1.1 200 OK|Content-Length: 1||x",
    ]);
    assert_eq!(found, [r#"PUT /a 200 """#, r#"GET /b 200 "x""#]);
}

#[test]
fn an_upgraded_connection_is_no_longer_read() {
    let found = summaries(&[
        ">POST /exec/1/start HTTP/1.1|Connection: Upgrade|Upgrade: tcp|Content-Length: 2||{}",
        "<HTTP/1.1 101 UPGRADED|Content-Type: application/vnd.docker.raw-stream||GET / HTTP/1.1||",
        ">GET /never HTTP/1.1||",
        "<HTTP/1.1 200 OK||",
    ]);
    assert_eq!(found, [r#"POST /exec/1/start 101 "" raw"#]);
}

#[test]
fn an_attach_without_an_upgrade_is_raw_with_its_200() {
    let found = summaries(&[
        ">POST /v1.51/containers/a/attach?stdin=1 HTTP/1.1||",
        ">this is stdin",
        "<HTTP/1.1 200 OK|Content-Type: application/vnd.docker.raw-stream||out",
    ]);
    assert_eq!(
        found,
        [r#"POST /v1.51/containers/a/attach?stdin=1 200 "" raw"#]
    );
}

#[test]
fn a_refused_upgrade_leaves_http() {
    let found = summaries(&[
        ">POST /containers/a/attach HTTP/1.1|Upgrade: tcp||GET /next HTTP/1.1||",
        "<HTTP/1.1 404 Not Found|Content-Length: 2||{}HTTP/1.1 200 OK|Content-Length: 1||x",
    ]);
    let right = [
        r#"POST /containers/a/attach 404 "{}""#,
        r#"GET /next 200 "x""#,
    ];
    assert_eq!(found, right);
}

#[test]
fn an_answer_before_the_end_of_the_request() {
    let found = summaries(&[
        ">POST /containers/a/attach HTTP/1.1|Upgrade: tcp|Content-Length: 4||ab",
        "<HTTP/1.1 400 Bad Request|Content-Length: 0||",
        ">cdGET /b HTTP/1.1||",
        "<HTTP/1.1 200 OK|Content-Length: 0||",
    ]);
    assert_eq!(
        found,
        [r#"POST /containers/a/attach 400 """#, r#"GET /b 200 """#]
    );
}

#[test]
fn the_end_of_the_connection() {
    let found = summaries(&[">GET /a HTTP/1.0||", "<HTTP/1.1 200 OK||all of it"]);
    assert_eq!(found, [r#"GET /a 200 "all of it""#]);
    let found = summaries(&[
        ">GET /a HTTP/1.1||GET /b HTTP/1.1||",
        "<HTTP/1.1 200 OK|Content-Length: 9||half",
    ]);
    assert_eq!(found, [r#"GET /a 200 "half" cut"#, r#"GET /b 0 """#]);
    let found = summaries(&[
        ">GET /a HTTP/1.1||",
        "<HTTP/1.1 200 OK|Transfer-Encoding: chunked||4|half|",
    ]);
    assert_eq!(found, [r#"GET /a 200 "half" cut"#]);
}

#[test]
fn a_large_body_is_kept_in_part_and_an_archive_not_at_all() {
    let sink = Sink::default();
    let mut conversation = Conversation::new(sink.clone());
    let large = MOST_OF_A_BODY + 5;
    for kind in ["application/json", "application/x-tar"] {
        conversation.client_sent(b"GET /a HTTP/1.1\r\n\r\n");
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {large}\r\n\r\n");
        conversation.engine_sent(head.as_bytes());
        conversation.engine_sent(&vec![b'1'; large]);
    }
    let exchanges = sink.take().exchanges;
    assert_eq!(exchanges.len(), 2);
    assert_eq!(exchanges[0].body.len(), MOST_OF_A_BODY);
    assert_eq!(exchanges[1].body.len(), 0);
    for exchange in exchanges {
        assert_eq!(
            (exchange.length, exchange.is_whole()),
            (large as u64, false)
        );
    }
}

#[test]
fn what_is_not_http_is_lost_and_counted() {
    for script in [
        &[">\x16\x03\x01 hello\r\n\r\n"][..],
        &[">GET /a HTTP/1.1||", "<nonsense||"],
        &["<HTTP/1.1 200 OK||"],
        &[">GET /a HTTP/1.1|Transfer-Encoding: chunked||no size|"],
    ] {
        assert_eq!(record(script, usize::MAX).lost, 1, "{script:?}");
    }
}
