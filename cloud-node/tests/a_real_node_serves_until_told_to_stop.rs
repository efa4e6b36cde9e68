//! The program itself: enrol, serve on a free port, stop on SIGTERM, check and export.
#![cfg(unix)]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use counterfoil_protocol::identity::Epoch;
use serde_json::{Value, json};
use support::{JSON, OPERATOR, Till, push_json};

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloud-node"));
    command.args(arguments).env_remove("RUST_LOG").env("NO_COLOR", "1");
    command
}

fn run(arguments: &[&str]) -> Output {
    program(arguments).output().expect("the program runs")
}

fn json_of(output: &Output) -> Value {
    let error = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("not JSON; said {error}"))
}

struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(store: &str, operator: &Path) -> Self {
        let operator = operator.to_str().expect("a path");
        let mut child = program(&["serve", "--json", "--store", store])
            .args(["--listen", "127.0.0.1:0", "--operator-token-file", operator])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let out = child.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let line: Value = serde_json::from_str(&line).expect("JSON");
        Self { child, address: line["listening"].as_str().expect("an address").to_owned() }
    }

    /// Posts on a new connection, and returns the whole answer.
    fn post(&self, path: &str, token: &str, body: &Value) -> String {
        let body = body.to_string();
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nhost: node\r\nconnection: close\r\ncontent-type: {JSON}\r\n\
             authorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    fn stop(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &id]).status().expect("kill runs");
        assert!(killed.success());
        self.child.wait().expect("it ends").code()
    }
}

fn lives(engine: &str) {
    let home = tempfile::tempdir().expect("a directory");
    let store = format!("{engine}:{}", home.path().join("store").display());
    let operator = home.path().join("operator");
    std::fs::write(&operator, OPERATOR).expect("written");

    let enrolled = ["enroll", "--json", "--store", &store, "--shop", "shop", "--branch", "north"];
    let enrolled = run(&[&enrolled[..], &["--terminal", "T-1", "--expires-in", "3600"]].concat());
    let token = json_of(&enrolled)["token"].as_str().expect("a token").to_owned();

    let node = Served::start(&store, &operator);
    // An idle connection must not keep the node from stopping.
    let _idle = TcpStream::connect(&node.address).expect("a connection");
    let mut till = Till::new("T-1".parse().expect("a name"), token);
    assert_eq!(till.epoch, Epoch { number: 1, nonce: 77 });
    let answer = node.post("/v1/handshake", &till.token, &json!(till.hello()));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let items: Vec<_> = (0..20).map(|number| till.sell(&format!("s{number}"))).collect();
    let answer = node.post("/v1/sales-events", &till.token, &push_json(&till.push(items)));
    assert!(answer.contains("\"head\":20"), "{answer}");

    // The store is in use: the command names the route that does the same.
    let product = ["product", "--store", &store, "--shop", "shop", "--product", "tea"];
    let held = run(&product);
    assert_eq!(held.status.code(), Some(1));
    let told = String::from_utf8_lossy(&held.stderr).into_owned();
    assert!(told.contains("POST /v1/admin/products"), "{told}");
    let answer = node.post("/v1/admin/terminals/T-1/revoke", OPERATOR, &json!({}));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = node.post("/v1/handshake", &till.token, &json!(till.hello()));
    assert!(answer.contains("\"reason\":\"revoked\""), "{answer}");

    // An address in use ends the second node; it must not hang on its committer.
    let second = run(&["serve", "--store", "memory:", "--listen", &node.address]);
    assert_eq!(second.status.code(), Some(1));

    assert_eq!(node.stop(), Some(0));
    let check = run(&["check", "--json", "--store", &store]);
    assert_eq!((check.status.code(), &json_of(&check)["posted"]), (Some(0), &json!(20)));
    let export = run(&["export", "--store", &store]);
    let lines = String::from_utf8(export.stdout).expect("text");
    assert_eq!(lines.lines().count(), 21);
    let last: Value = serde_json::from_str(lines.lines().last().expect("a line")).expect("JSON");
    assert_eq!(last["figures"]["moneyMinor"], 20 * 300);
    assert_eq!(run(&["check", "--store", "nonsense"]).status.code(), Some(2));
}

#[test]
fn a_node_on_redb_serves_stops_and_is_clean() {
    lives("redb");
}

#[test]
fn a_node_on_sled_serves_stops_and_is_clean() {
    lives("sled");
}
