//! Manuals whose lines run: each `sh` block of a page is a line to paste, and ends with the status
//! that is promised.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use http::{HeaderMap, HeaderName};

use crate::binaries::root;
use crate::http::Answer;

/// A line to paste.
#[derive(Clone, Debug)]
pub struct Block {
    /// What is pasted.
    pub script: String,
    /// The status that it promises.
    pub status: String,
}

/// What a line did.
#[derive(Clone, Debug)]
pub struct Told {
    /// The status of the answer.
    pub status: String,
    /// Its headers, in lower case.
    pub headers: HeaderMap,
    /// Its body.
    pub body: String,
}

impl Told {
    /// Returns it as an answer to a request.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let status = self.status.parse().unwrap_or(0);
        Answer { status, headers: self.headers.clone(), body: self.body.clone().into() }
    }
}

/// A page with lines to paste.
#[derive(Clone, Debug)]
pub struct Manual {
    text: String,
}

impl Manual {
    /// Reads a page of this repository.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn read(page: &str) -> Self {
        let text = fs::read_to_string(root().join(page)).expect("the manual");
        Self { text }
    }

    /// Returns its lines to paste, in their order.
    ///
    /// # Panics
    /// If one promises no status.
    #[must_use]
    pub fn blocks(&self) -> Vec<Block> {
        let parts = self.programs("sh");
        let blocks = parts.into_iter().map(|text| {
            let (script, status) = text.rsplit_once("\n# ").expect("a block says its status");
            Block { script: script.to_owned(), status: status.trim().to_owned() }
        });
        blocks.collect()
    }

    /// Returns the whole blocks of a language.
    ///
    /// # Panics
    /// If one does not end.
    #[must_use]
    pub fn programs(&self, language: &str) -> Vec<&str> {
        let fence = format!("```{language}\n");
        let parts = self.text.split(fence.as_str()).skip(1);
        parts.map(|part| part.split_once("\n```").expect("a block ends").0).collect()
    }

    /// Runs all its lines in one shell, so that what one sets the next can use, with `curl` from
    /// the path and these variables. The files are written into `work`.
    ///
    /// # Panics
    /// If there is no shell.
    #[must_use]
    pub fn run(&self, work: &Path, variables: &[(&str, &str)]) -> (Vec<(Block, Told)>, Output) {
        let blocks = self.blocks();
        let ran = Command::new("sh")
            .args(["-c", &script(&blocks)])
            .current_dir(work)
            .envs(variables.iter().copied())
            .output()
            .expect("a shell");
        let read = |what: &str, number: usize| {
            fs::read_to_string(work.join(format!("{what}-{number}"))).unwrap_or_default()
        };
        let told = blocks.into_iter().enumerate().map(|(number, block)| {
            let (status, body) = (read("status", number), read("body", number));
            (block, Told { status, headers: headers(&read("head", number)), body })
        });
        (told.collect(), ran)
    }

    /// Checks that every route of a router has a line; `base` is what addresses begin with.
    ///
    /// # Panics
    /// If one has none, or a route has no method.
    pub fn assert_lines_for(&self, router: &str, base: &str) {
        let lines: Vec<_> = self.blocks().iter().map(|block| block.asks(base)).collect();
        for (route, methods) in routes(router) {
            assert!(!methods.is_empty(), "{route} has a method");
            for method in methods {
                let found = lines.iter().any(|(by, path)| by == method && same(&route, path));
                assert!(found, "{method} {route} has no line in the manual");
            }
        }
    }
}

impl Block {
    /// Returns what it sends, if that is JSON that needs nothing of the lines before it.
    #[must_use]
    pub fn sends(&self) -> Option<serde_json::Value> {
        let body = self.script.split_once("-d '")?.1;
        serde_json::from_str(body.split('\'').next()?).ok()
    }

    /// Returns the method and the path of its request.
    ///
    /// # Panics
    /// If it asks for nothing.
    #[must_use]
    pub fn asks(&self, base: &str) -> (String, String) {
        let call = self.script.split("curl ").nth(1).expect("a block asks once");
        let words: Vec<&str> = call.split_whitespace().collect();
        let (method, address) =
            if words[0] == "-X" { (words[1], words[2]) } else { ("GET", words[0]) };
        let path = address.trim_matches('"').trim_start_matches(base);
        (method.to_owned(), path.split('?').next().unwrap_or(path).to_owned())
    }
}

/// Reads the head of an answer as curl writes it.
fn headers(text: &str) -> HeaderMap {
    let pairs = text.lines().filter_map(|line| line.split_once(": "));
    let pairs = pairs.filter_map(|(name, value)| {
        Some((HeaderName::try_from(name).ok()?, value.trim().parse().ok()?))
    });
    pairs.collect()
}

/// One script with all blocks.
fn script(blocks: &[Block]) -> String {
    let mut text = String::from(
        "set -eu\n\
         curl() {\n\
         command curl -sS -o body -D head -w '%{http_code}' \"$@\" > status; cat body; }\n",
    );
    for (number, Block { script, .. }) in blocks.iter().enumerate() {
        text.push_str(script);
        text.push_str(&format!(
            "\nmv status status-{number}; mv body body-{number}; mv head head-{number}\n"
        ));
    }
    text
}

/// Returns the routes of a program, by the text of its router, each with its methods.
///
/// # Panics
/// If there is no such file.
#[must_use]
pub fn routes(router: &str) -> Vec<(String, Vec<&'static str>)> {
    let router = fs::read_to_string(root().join(router)).expect("the router");
    let flat = router.split_whitespace().collect::<String>();
    let mut routes = Vec::new();
    for part in flat.split(".route(\"").skip(1) {
        let (path, rest) = part.split_once('"').expect("a path ends");
        if path.contains("{*") {
            continue; // as what stands before it
        }
        let handlers = rest.split(".route(").next().unwrap_or(rest);
        let methods = [
            ("get(", "GET"),
            ("any(", "GET"),
            ("post(", "POST"),
            ("put(", "PUT"),
            ("patch(", "PATCH"),
            ("delete(", "DELETE"),
        ];
        let has = |call: &str| {
            handlers.contains(&format!(",{call}")) || handlers.contains(&format!(").{call}"))
        };
        let methods = methods.into_iter().filter(|(call, _)| has(call)).map(|(_, name)| name);
        routes.push((path.to_owned(), methods.collect()));
    }
    routes
}

/// Returns whether a path is one of a route, whose parts in braces stand for anything.
pub(crate) fn same(route: &str, path: &str) -> bool {
    let (route, path): (Vec<_>, Vec<_>) = (route.split('/').collect(), path.split('/').collect());
    route.len() == path.len()
        && route.iter().zip(&path).all(|(part, said)| part.starts_with('{') || part == said)
}
