//! The program as a real process.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use http::Method;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::TOKEN;

/// A cloud that nobody reaches.
pub const NOWHERE: &str = "http://127.0.0.1:9";

/// A daemon that is killed, not stopped, when it is dropped; and its address.
pub struct Running(pub Child, pub String);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

pub fn program(directory: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_terminal-node"));
    command.args(args).env("COUNTERFOIL_DIR", directory).env("NO_COLOR", "1");
    command
}

pub fn run(directory: &Path, args: &[&str]) -> Output {
    program(directory, args).output().expect("a process")
}

pub fn json_of(directory: &Path, args: &[&str]) -> Value {
    let output = run(directory, &[&["--json"], args].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{args:?}: {output:?}"))
}

pub fn init(directory: &Path, url: &str) {
    let token = directory.join("given-token");
    std::fs::write(&token, TOKEN).expect("a write");
    let token = token.display().to_string();
    let args = ["init", "--shop", "S-1", "--branch", "B-1", "--terminal", "T-1"];
    let output = run(directory, &[&args[..], &["--cloud", url, "--token-file", &token]].concat());
    assert!(output.status.success(), "{output:?}");
}

pub fn daemon(directory: &Path) -> Running {
    let mut child = program(directory, &["run"]).stdout(Stdio::piped()).spawn().expect("a process");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let url = line.trim().strip_prefix("listening on ").expect("an address").to_owned();
    Running(child, url)
}

/// Asks the local API, with further headers.
pub async fn ask_with(
    method: Method,
    url: &str,
    token: &str,
    headers: &[(&str, &str)],
    body: String,
) -> (http::StatusCode, Value) {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let mut request = http::Request::builder()
        .method(method)
        .uri(url)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(bytes::Bytes::from(body))).expect("a request");
    let response = client.request(request).await.expect("an answer");
    let status = response.status();
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

/// Asks the local API.
pub async fn ask(
    method: Method,
    url: &str,
    token: &str,
    body: String,
) -> (http::StatusCode, Value) {
    ask_with(method, url, token, &[], body).await
}
