//! How many sales a second a real node takes in, on this machine. Not a claim: run it by hand.
//!
//! `cargo test --release -p counterfoil-cloud --test throughput -- --ignored --nocapture`
#![cfg(unix)]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Instant;

use counterfoil_protocol::wire::message::PushAnswer;
use serde_json::Value;
use support::{BINARY, Till, sale};

const TILLS: usize = 64;
const PUSHES: usize = 40;
const ITEMS: usize = 50;

/// Sends a frame on a kept connection, and returns the body of the answer.
fn exchange(stream: &mut BufReader<TcpStream>, path: &str, token: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: node\r\ncontent-type: {BINARY}\r\n\
         authorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let request = [head.as_bytes(), body].concat();
    stream.get_mut().write_all(&request).expect("written");
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).expect("a line");
        if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = text.trim().parse().expect("a length");
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).expect("a body");
    answer
}

fn metrics(address: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let request = "GET /metrics HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

fn enrolled(store: &str) -> Vec<Till> {
    (0..TILLS)
        .map(|number| {
            let name = format!("T-{number}");
            let output = Command::new(env!("CARGO_BIN_EXE_cloud-node"))
                .args(["enroll", "--json", "--store", store, "--shop", "s", "--branch", "b"])
                .args(["--terminal", &name])
                .output()
                .expect("the program runs");
            let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            let token = told["token"].as_str().expect("a token").to_owned();
            Till::new(name.parse().expect("a name"), token)
        })
        .collect()
}

fn measure(engine: &str) {
    let home = tempfile::tempdir().expect("a directory");
    let store = format!("{engine}:{}", home.path().join("store").display());
    let cloud = env!("CARGO_BIN_EXE_cloud-node");
    let tills = enrolled(&store);
    let mut child = Command::new(cloud)
        .args(["serve", "--json", "--store", &store, "--listen", "127.0.0.1:0", "--rate", "0"])
        .args(["--byte-rate", "0"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
    let told: Value = serde_json::from_str(&line).expect("JSON");
    let address = told["listening"].as_str().expect("an address").to_owned();
    // Everything is encoded before the clock starts: only the node is measured.
    let work: Vec<_> = tills
        .into_iter()
        .map(|mut till| {
            let hello = till.hello().encode();
            let pushes: Vec<_> = (0..PUSHES)
                .map(|push| {
                    let items = (0..ITEMS)
                        .map(|item| {
                            let product = format!("sku-{}", (push * 7 + item) % 1_000);
                            till.enter(
                                sale(&format!("{push}-{item}"), &product, 1_000, 99).canonical(),
                            )
                        })
                        .collect();
                    till.push(items).encode()
                })
                .collect();
            (till.token, hello, pushes)
        })
        .collect();
    let started = Instant::now();
    std::thread::scope(|scope| {
        for (token, hello, pushes) in &work {
            let address = &address;
            scope.spawn(move || {
                let stream = TcpStream::connect(address).expect("a connection");
                stream.set_nodelay(true).expect("a socket option");
                let mut stream = BufReader::new(stream);
                exchange(&mut stream, "/v1/handshake", token, hello);
                for (number, frame) in (1..).zip(pushes) {
                    let answer = exchange(&mut stream, "/v1/sales-events", token, frame);
                    let answer = PushAnswer::decode(&answer).expect("an answer");
                    assert_eq!(answer.head, number * ITEMS as u64);
                }
            });
        }
    });
    let took = started.elapsed();
    let sales = TILLS * PUSHES * ITEMS;
    println!(
        "{engine}: {sales} sales in {took:?}: {} a second",
        sales as u128 * 1_000_000 / took.as_micros()
    );
    for line in metrics(&address).lines().filter(|line| line.starts_with("commit")) {
        println!("  {line}");
    }
    child.kill().expect("it ends");
    child.wait().expect("it ended");
}

#[test]
#[ignore = "a measurement, not a claim"]
fn sales_a_second() {
    for engine in ["redb", "sled"] {
        measure(engine);
    }
}
