//! Reading along on one connection: which answer belongs to which request, and where each ends.
//!
//! Bytes come in as they pass, from both sides. Nothing here may fail in a way that the connection could notice;
//! what cannot be followed is counted as lost, and the bytes pass all the same.
//!
//! A connection can stop to be HTTP: after `101` (RFC 9110, section 7.8), and after a `200` to attach or to the
//! start of an exec, which Docker answered so before it knew upgrades. Whether it does is known only with the
//! answer. Until then, what a client sends behind such a request is held back from the parser: it may be the
//! next request or the first bytes of a stdin.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::framing::{Framing, Taken};
use crate::head::{self, Head};
use crate::recording::{Exchange, MOST_OF_A_BODY};

/// As much as is held back while it is open whether the connection becomes a raw stream.
const MOST_HELD: usize = 64 << 10;

/// Where finished exchanges go.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sink(Arc<Mutex<Finished>>);

/// What all connections of a recorder have given.
#[derive(Debug, Default)]
pub(crate) struct Finished {
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) lost: usize,
}

impl Sink {
    fn with(&self, act: impl FnOnce(&mut Finished)) {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Everything so far.
    pub(crate) fn take(&self) -> Finished {
        let mut taken = Finished::default();
        self.with(|finished| taken = std::mem::take(finished));
        taken
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Conversation {
    client: Client,
    engine: Engine,
    /// Requests whose answers are still to come.
    waiting: VecDeque<Asked>,
    sink: Sink,
}

/// What the client is sending.
#[derive(Debug)]
enum Client {
    Head(Vec<u8>),
    Body(Framing),
    /// Behind a request after which the connection may become a raw stream.
    Held(Vec<u8>),
    /// A raw stream, or lost.
    Raw,
}

/// What the engine is sending.
#[derive(Debug)]
enum Engine {
    Head(Vec<u8>),
    Body(Framing, Exchange),
    Raw,
}

/// A request that waits for its answer.
#[derive(Debug)]
struct Asked {
    method: String,
    target: String,
    /// The connection may become a raw stream with the answer.
    may_be_raw: bool,
}

impl Conversation {
    pub(crate) fn new(sink: Sink) -> Conversation {
        Conversation {
            client: Client::Head(Vec::new()),
            engine: Engine::Head(Vec::new()),
            waiting: VecDeque::new(),
            sink,
        }
    }

    /// Bytes from the client. To be called before they are passed on: the answer must find its request.
    pub(crate) fn client_sent(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match &mut self.client {
                Client::Raw => return,
                Client::Held(held) => {
                    held.extend_from_slice(bytes);
                    if held.len() > MOST_HELD {
                        self.client = Client::Raw;
                    }
                    return;
                }
                Client::Body(framing) => match framing.take(bytes, &mut |_| {}) {
                    Taken::All => return,
                    Taken::Ended(used) => {
                        bytes = &bytes[used..];
                        self.client = self.behind_request();
                    }
                    Taken::Nonsense => return self.lose(),
                },
                Client::Head(buffer) => match head::request(buffer, bytes) {
                    Head::Partial => return,
                    Head::Complete(used, request) => {
                        bytes = &bytes[used..];
                        self.waiting.push_back(Asked {
                            method: request.method,
                            target: request.target,
                            may_be_raw: request.may_be_raw,
                        });
                        self.client = match request.framing {
                            Some(framing) => Client::Body(framing),
                            None => self.behind_request(),
                        };
                    }
                    Head::Nonsense => return self.lose(),
                },
            }
        }
    }

    /// What comes after a request.
    fn behind_request(&self) -> Client {
        // The answer may have come before the request's body was complete; then nothing is open any more.
        if self.waiting.back().is_some_and(|asked| asked.may_be_raw) {
            Client::Held(Vec::new())
        } else {
            Client::Head(Vec::new())
        }
    }

    /// Bytes from the engine.
    pub(crate) fn engine_sent(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match &mut self.engine {
                Engine::Raw => return,
                Engine::Body(framing, exchange) => {
                    match framing.take(bytes, &mut |part| keep(exchange, part)) {
                        Taken::All => return,
                        Taken::Ended(used) => {
                            bytes = &bytes[used..];
                            let exchange = std::mem::take(exchange);
                            self.finish(exchange);
                        }
                        Taken::Nonsense => return self.lose(),
                    }
                }
                Engine::Head(buffer) => match head::response(buffer, bytes) {
                    Head::Partial => return,
                    Head::Complete(used, response) => {
                        bytes = &bytes[used..];
                        self.answered(response);
                    }
                    Head::Nonsense => return self.lose(),
                },
            }
        }
    }

    /// The engine sends no more.
    pub(crate) fn engine_ended(&mut self) {
        let engine = std::mem::replace(&mut self.engine, Engine::Raw);
        if let Engine::Body(framing, mut exchange) = engine {
            exchange.cut = !matches!(framing, Framing::UntilClose);
            self.sink.with(|finished| finished.exchanges.push(exchange));
        }
        for asked in std::mem::take(&mut self.waiting) {
            let exchange = asked.exchange();
            self.sink.with(|finished| finished.exchanges.push(exchange));
        }
    }

    /// The head of an answer is complete.
    fn answered(&mut self, response: head::Response) {
        // 100 and 103 are followed by the answer proper (RFC 9110, section 15.2).
        if (100..200).contains(&response.status) && response.status != 101 {
            self.engine = Engine::Head(Vec::new());
            return;
        }
        let Some(asked) = self.waiting.pop_front() else {
            return self.lose();
        };
        let may_be_raw = asked.may_be_raw;
        let bodiless = asked.method == "HEAD" || matches!(response.status, 204 | 304);
        let raw = response.status == 101
            || (may_be_raw
                && response.status == 200
                && matches!(response.framing, Framing::UntilClose));
        let exchange = Exchange {
            status: Some(response.status),
            content_type: response.content_type,
            raw,
            ..asked.exchange()
        };
        if raw {
            self.client = Client::Raw;
            self.engine = Engine::Raw;
            self.sink.with(|finished| finished.exchanges.push(exchange));
            return;
        }
        if bodiless || matches!(response.framing, Framing::Length(0)) {
            self.finish(exchange);
        } else {
            self.engine = Engine::Body(response.framing, exchange);
        }
        self.release();
    }

    /// The connection stays HTTP: what was held back is the next request.
    fn release(&mut self) {
        if let Client::Held(held) = &mut self.client {
            let held = std::mem::take(held);
            self.client = Client::Head(Vec::new());
            self.client_sent(&held);
        }
    }

    fn finish(&mut self, exchange: Exchange) {
        self.engine = Engine::Head(Vec::new());
        self.sink.with(|finished| finished.exchanges.push(exchange));
    }

    /// Gives up: the bytes pass, and nothing more is recorded of this connection.
    fn lose(&mut self) {
        self.engine_ended();
        self.client = Client::Raw;
        self.sink.with(|finished| finished.lost += 1);
    }
}

impl Asked {
    /// Without an answer yet.
    fn exchange(self) -> Exchange {
        Exchange {
            method: self.method,
            target: self.target,
            ..Exchange::default()
        }
    }
}

/// Adds to the body what can be looked at later: JSON and text, up to a limit.
fn keep(exchange: &mut Exchange, part: &[u8]) {
    exchange.length += part.len() as u64;
    let kind = exchange.content_type.as_str();
    if kind.is_empty() || kind.contains("json") || kind.starts_with("text/") {
        let room = MOST_OF_A_BODY - exchange.body.len();
        exchange
            .body
            .extend_from_slice(&part[..room.min(part.len())]);
    }
}

#[cfg(test)]
#[path = "conversation_tests.rs"]
mod tests;
