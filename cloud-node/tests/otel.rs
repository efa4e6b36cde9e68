//! A node that sends traces, and a collector that listens: real processes, real sockets.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SECRET: &str = "nobody-may-read-this-credential";

/// A request that the collector has heard: its first line, and its body.
type Heard = (String, Vec<u8>);

/// Listens as a collector does, and tells of each request.
fn collector() -> (String, Receiver<Heard>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, heard) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, sender) = (stream.expect("a connection"), sender.clone());
            thread::spawn(move || while hear(&stream).is_some_and(|it| sender.send(it).is_ok()) {});
        }
    });
    (address, heard)
}

/// Hears one request and says that all is well.
fn hear(mut stream: &TcpStream) -> Option<Heard> {
    let mut lines = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    lines.read_line(&mut first).ok().filter(|bytes| *bytes > 0)?;
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(said) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = said.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    lines.read_exact(&mut body).ok()?;
    let kind = "content-type: application/x-protobuf\r\ncontent-length: 0";
    write!(stream, "HTTP/1.1 200 OK\r\n{kind}\r\n\r\n").ok()?;
    Some((first, body))
}

struct Node {
    child: Child,
    address: String,
}

impl Node {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cloud-node"))
            .args(["--json", "serve", "--store", "memory:", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .env("OTEL_BSP_SCHEDULE_DELAY", "100")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a node");
        let mut line = String::new();
        let said = BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line);
        assert!(said.is_ok_and(|bytes| bytes > 0), "it says where it listens");
        let said: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let address = said["listening"].as_str().expect("an address").to_owned();
        Self { child, address }
    }

    /// Asks, and returns what came back.
    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut said = String::new();
        stream.read_to_string(&mut said).expect("an answer");
        said
    }

    /// A greeting of nobody that this node knows, below a caller's span.
    fn greet(&self) -> String {
        self.ask(&format!(
            "POST /v1/handshake HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\
             authorization: Bearer {SECRET}\r\ncontent-type: application/json\r\n\
             traceparent: 00-{TRACE}-b7ad6b7169203331-01\r\ncontent-length: 2\r\n\r\n{{}}"
        ))
    }

    fn stop(mut self) {
        let id = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status().expect("kill runs");
        assert!(told.success());
        assert!(self.child.wait().expect("it ends").success());
    }
}

fn holds(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_collector_hears_of_each_request_below_its_callers_span_and_of_no_secret() {
    let (address, heard) = collector();
    let node = Node::start(&["--otlp", &address]);
    assert!(node.greet().starts_with("HTTP/1.1 401"));
    let (first, body) = heard.recv_timeout(LIMIT).expect("a batch of spans");
    assert!(first.starts_with("POST /v1/traces "), "{first}");
    assert!(holds(&body, b"counterfoil-cloud"), "whose spans they are");
    assert!(holds(&body, b"POST /v1/handshake"), "the span is named by its route");
    let trace: Vec<u8> = (0..TRACE.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&TRACE[at..at + 2], 16).expect("digits"))
        .collect();
    assert!(holds(&body, &trace), "it belongs to the caller's trace");
    assert!(holds(&body, b"http.response.status_code"));
    assert!(!holds(&body, SECRET.as_bytes()), "a credential leaves the node");
    // What was asked last is sent before the node ends.
    let _answer = node.ask("GET /healthz HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n");
    node.stop();
    let rest: Vec<u8> = heard.try_iter().flat_map(|(_, body)| body).collect();
    assert!(holds(&rest, b"GET /healthz"), "the last span is sent");
}

#[test]
fn a_collector_that_is_gone_holds_up_nobody() {
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", gone.local_addr().expect("an address"));
    drop(gone);
    let node = Node::start(&["--otlp", &address]);
    for _ in 0..20 {
        assert!(node.greet().starts_with("HTTP/1.1 401"));
    }
    node.stop();
}

#[test]
fn an_address_that_is_none_is_refused_before_anything_is_served() {
    for wrong in ["collector:4318", "https://collector:4318", "http://", "http://a b"] {
        let told = Command::new(env!("CARGO_BIN_EXE_cloud-node"))
            .args(["serve", "--store", "memory:", "--listen", "127.0.0.1:0", "--otlp", wrong])
            .output()
            .expect("a node");
        assert!(!told.status.success(), "{wrong}");
        let said = String::from_utf8_lossy(&told.stderr);
        assert!(said.contains("no traces can be sent"), "{wrong}: {said}");
    }
}
