//! S4.18: every line of `docs/api.md` works as it stands there, against a real node; and every
//! route of the node has a line.
//!
//! The store is that of `COUNTERFOIL_CONTRACT_STORE` (as on the command line, empty), or sled in a
//! new directory.

use std::path::Path;
use std::process::Command;

use counterfoil_tests::binaries::{self, Profile, root};
use counterfoil_tests::cloud::Cloud;

const OPERATOR: &str = "an operator's token";

/// A line to paste, and the status that is promised.
struct Block {
    script: String,
    status: String,
}

fn blocks() -> Vec<Block> {
    let manual = std::fs::read_to_string(root().join("docs/api.md")).expect("the manual");
    let parts = manual.split("```sh\n").skip(1);
    let blocks = parts.map(|part| {
        let text = part.split("\n```").next().expect("a block ends");
        let (script, status) = text.rsplit_once("\n# ").expect("a block says its status");
        Block { script: script.to_owned(), status: status.trim().to_owned() }
    });
    blocks.collect()
}

/// One script with all blocks, so that what one sets the next can use.
fn script(blocks: &[Block]) -> String {
    let mut text = String::from(
        "set -eu\n\
         curl() { command curl -sS -o body -w '%{http_code}' \"$@\" > status; cat body; }\n",
    );
    for (number, Block { script, .. }) in blocks.iter().enumerate() {
        text.push_str(script);
        text.push_str(&format!("\nmv status status-{number}; mv body body-{number}\n"));
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_the_manual_answers_as_it_says() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let programs = binaries::build(Profile::Test).expect("the programs are built");
    let token = path.join("operator");
    std::fs::write(&token, OPERATOR).expect("a file");
    let own = format!("sled:{}", path.join("cloud").display());
    let store = std::env::var("COUNTERFOIL_CONTRACT_STORE").unwrap_or(own);
    let mut cloud = Cloud::new(&programs.cloud, store, path.join("cloud.log")).with_operator(token);
    let address = cloud.start("127.0.0.1:0").await.expect("the cloud serves");
    let blocks = blocks();
    let work = path.to_owned();
    let text = script(&blocks);
    let ran = tokio::task::spawn_blocking(move || {
        Command::new("sh")
            .args(["-c", &text])
            .current_dir(work)
            .env("CLOUD", format!("http://{address}"))
            .env("OPERATOR", OPERATOR)
            .env("JSON", "content-type: application/json")
            .output()
    });
    let ran = ran.await.expect("a thread").expect("a shell");
    let said = String::from_utf8_lossy(&ran.stderr);
    for (number, block) in blocks.iter().enumerate() {
        let read = |what: &str| read(path, what, number);
        let (status, body) = (read("status"), read("body"));
        assert_eq!(status, block.status, "{}\n{body}\n{said}", block.script);
        let problem = !status.starts_with('2');
        assert_eq!(body.starts_with("{\"type\":\"urn:"), problem, "{}\n{body}", block.script);
    }
    assert!(ran.status.success(), "{said}");
    assert!(blocks.len() > 40, "the manual was found");
    cloud.stop().await.expect("it ends in peace");
    let check = cloud.check().await.expect("the books are in order");
    assert_eq!((check.problems_found, check.posted > 5), (0, true), "{check:?}");
}

fn read(path: &Path, what: &str, number: usize) -> String {
    std::fs::read_to_string(path.join(format!("{what}-{number}"))).unwrap_or_default()
}

/// Returns the routes of the node, by the text of its router.
fn routes() -> Vec<(String, Vec<&'static str>)> {
    let router = std::fs::read_to_string(root().join("cloud-node/src/service/mod.rs"));
    let router = router.expect("the router");
    let flat = router.split_whitespace().collect::<String>();
    let mut routes = Vec::new();
    for part in flat.split(".route(\"").skip(1) {
        let (path, rest) = part.split_once('"').expect("a path ends");
        let handlers = rest.split(".route(").next().unwrap_or(rest);
        let methods = [("get(", "GET"), ("post(", "POST"), ("put(", "PUT"), ("delete(", "DELETE")];
        let has = |call: &str| {
            handlers.contains(&format!(",{call}")) || handlers.contains(&format!(").{call}"))
        };
        let methods = methods.into_iter().filter(|(call, _)| has(call)).map(|(_, name)| name);
        routes.push((path.to_owned(), methods.collect()));
    }
    routes
}

#[test]
fn every_route_has_a_line() {
    let lines: Vec<(String, String)> = blocks()
        .iter()
        .map(|block| {
            let call = block.script.split("curl ").nth(1).expect("a block asks once");
            let words: Vec<&str> = call.split_whitespace().collect();
            let (method, address) =
                if words[0] == "-X" { (words[1], words[2]) } else { ("GET", words[0]) };
            let path = address.trim_matches('"').trim_start_matches("$CLOUD");
            (method.to_owned(), path.split('?').next().unwrap_or(path).to_owned())
        })
        .collect();
    let routes = routes();
    assert!(routes.len() > 35, "the router was read: {routes:?}");
    for (route, methods) in routes {
        assert!(!methods.is_empty(), "{route} has a method");
        for method in methods {
            let same = |path: &str| {
                let (a, b): (Vec<_>, Vec<_>) =
                    (route.split('/').collect(), path.split('/').collect());
                a.len() == b.len()
                    && a.iter().zip(&b).all(|(part, said)| part.starts_with('{') || part == said)
            };
            let found = lines.iter().any(|(by, path)| by == method && same(path));
            assert!(found, "{method} {route} has no line in docs/api.md");
        }
    }
}
