//! The rules of the house, as tests: sizes, words, imports, links, assertions.
//!
//! It reads what git tracks, or would: a rule holds before the commit. The sources are formatted
//! by rustfmt, so a function ends at the first closing brace that is indented as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use counterfoil_tests::binaries::root;

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
/// A table in a test reads like a ledger, and may be as long as one.
const TEST_FUNCTION_LINES_MAX: usize = 140;
const LINE_CHARS_MAX: usize = 100;

/// Assertions for each function that does something (more than three lines), in hundredths; the
/// printed table shows by how much they hold.
const ASSERTIONS_MIN: [(&str, u64); 2] = [("protocol", 200), ("storage", 200)];

/// Returns the files of the workspace whose name ends with `end`, relative to its root.
fn files(end: &str) -> Vec<(PathBuf, String)> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists the files");
    assert!(listed.status.success(), "git lists the files");
    let names = String::from_utf8(listed.stdout).expect("names are text");
    let found: Vec<_> = names
        .lines()
        .filter(|name| name.ends_with(end))
        // A file that is deleted but not committed is still listed.
        .filter_map(|name| Some((PathBuf::from(name), fs::read_to_string(root().join(name)).ok()?)))
        .collect();
    assert!(!found.is_empty(), "there are files that end with {end}");
    found
}

fn none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// Returns the lines before the unit tests.
fn code(text: &str) -> Vec<&str> {
    text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).collect()
}

/// Returns what is no comment. A `//` in a text ends the line too: that loses no rule here.
fn bare(line: &str) -> &str {
    line.find("//").map_or(line, |at| &line[..at])
}

struct Function<'a> {
    line: usize,
    name: &'a str,
    body: &'a [&'a str],
}

/// Returns the functions with a body.
fn functions<'a>(lines: &'a [&'a str]) -> Vec<Function<'a>> {
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let declared = line.trim_start();
        let words: Vec<&str> = declared.split_whitespace().take(6).collect();
        let Some(word) = words.iter().position(|word| *word == "fn") else {
            continue;
        };
        let before = &words[..word];
        let qualifies = |word: &&str| {
            matches!(*word, "pub" | "const" | "async" | "unsafe" | "extern")
                || word.starts_with("pub(")
        };
        if !before.iter().all(qualifies) {
            continue;
        }
        let indent = &line[..line.len() - declared.len()];
        let close = format!("{indent}}}");
        let ends_here = line.ends_with('}').then_some(0);
        let body =
            ends_here.or_else(|| lines[at..].iter().position(|line| *line == close.as_str()));
        let declares_only = lines[at..]
            .iter()
            .take_while(|line| !line.contains('{'))
            .any(|line| line.trim_end().ends_with(';'));
        if let (Some(body), false) = (body, declares_only) {
            let name = words.get(word + 1).copied().unwrap_or_default();
            let name = name.split(['(', '<']).next().unwrap_or(name);
            found.push(Function { line: at + 1, name, body: &lines[at..=at + body] });
        }
    }
    found
}

#[test]
fn files_functions_and_lines_are_short() {
    let mut problems = Vec::new();
    for (path, text) in files(".rs") {
        let test = path.components().any(|part| part == Component::Normal("tests".as_ref()));
        let most = if test { TEST_FUNCTION_LINES_MAX } else { FUNCTION_LINES_MAX };
        let path = path.display();
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() > FILE_LINES_MAX {
            problems.push(format!("{path}: {} lines", lines.len()));
        }
        for (number, line) in (1..).zip(&lines) {
            if line.chars().count() > LINE_CHARS_MAX {
                problems.push(format!("{path}:{number}: more than {LINE_CHARS_MAX} columns"));
            }
        }
        for function in functions(&lines) {
            if function.body.len() > most {
                let (line, name) = (function.line, function.name);
                problems.push(format!("{path}:{line}: {name} has {} lines", function.body.len()));
            }
        }
    }
    none(&problems);
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file keeps its own rule.
    let words =
        [["FIX", "ME"], ["to", "do!("], ["unimple", "mented!("], ["db", "g!("], ["XX", "X "]];
    let mut problems = Vec::new();
    for (path, text) in files(".rs") {
        for (number, line) in (1..).zip(text.lines()) {
            for word in words.iter().map(|halves| halves.concat()) {
                if line.contains(&word) {
                    problems.push(format!("{}:{number}: {word}", path.display()));
                }
            }
            if line.trim() == ["#[ign", "ore]"].concat() {
                problems.push(format!("{}:{number}: ignored without a reason", path.display()));
            }
        }
    }
    none(&problems);
}

#[test]
fn no_merge_is_left_half_done() {
    let marks = ["<".repeat(7), "|".repeat(7), ">".repeat(7)];
    let mut problems = Vec::new();
    for end in [".rs", ".toml", ".md", ".json", ".tla", ".cfg", ".js", "run"] {
        for (path, text) in files(end) {
            for (number, line) in (1..).zip(text.lines()) {
                if marks.iter().any(|mark| line.starts_with(mark.as_str())) {
                    problems.push(format!("{}:{number}: a mark of a merge", path.display()));
                }
            }
        }
    }
    none(&problems);
}

#[test]
fn bincode_is_named_in_one_module_only() {
    let mut problems = Vec::new();
    for (path, text) in files(".rs") {
        if path.ends_with("protocol/src/codec.rs") || path.starts_with("tests") {
            continue;
        }
        for (number, line) in (1..).zip(text.lines()) {
            let used = bare(line);
            if used.contains("bincode::") || used.contains("extern crate bincode") {
                problems.push(format!("{}:{number}: {}", path.display(), line.trim()));
            }
        }
    }
    for (path, text) in files("Cargo.toml") {
        let own = path == Path::new("protocol/Cargo.toml") || path == Path::new("Cargo.toml");
        if !own && text.lines().any(|line| line.starts_with("bincode")) {
            problems.push(format!("{} depends on bincode", path.display()));
        }
    }
    none(&problems);
}

#[test]
fn the_protocol_and_the_model_touch_nothing_that_differs_from_run_to_run() {
    const NAMES: [&str; 8] =
        ["HashMap", "HashSet", "Instant", "SystemTime", "thread_rng", "Uuid", "std::", "rand::"];
    let mut problems = Vec::new();
    for (path, text) in files(".rs") {
        let protocol = path.starts_with("protocol/src");
        if !protocol && !path.starts_with("sim/src/model") {
            continue;
        }
        for (number, line) in (1..).zip(code(&text)) {
            let line = bare(line);
            for name in NAMES {
                // The model may use the rest of std: it is the harness of the pure roles.
                let allowed = name == "std::" && !protocol;
                if line.contains(name) && !allowed {
                    problems.push(format!("{}:{number}: {name}", path.display()));
                }
            }
        }
    }
    none(&problems);
}

#[test]
fn the_protocol_depends_on_few_crates_and_none_needs_std() {
    const ALLOWED: [&str; 6] =
        ["bincode", "blake3", "serde", "serde_bytes", "serde_json", "thiserror"];
    let manifest = |path: &str| -> toml::Table {
        let text = fs::read_to_string(root().join(path)).expect("a manifest");
        text.parse().expect("a manifest is TOML")
    };
    let protocol = manifest("protocol/Cargo.toml");
    let workspace = manifest("Cargo.toml");
    let dependencies = protocol["dependencies"].as_table().expect("a table");
    for (name, wish) in dependencies {
        assert!(ALLOWED.contains(&name.as_str()), "{name} is new in the protocol");
        assert!(wish.get("features").is_none(), "{name}: features are chosen in the workspace");
        let shared = &workspace["workspace"]["dependencies"][name.as_str()];
        assert_eq!(
            shared.get("default-features").and_then(toml::Value::as_bool),
            Some(false),
            "{name} comes without its default features, which need std"
        );
    }
    let library = fs::read_to_string(root().join("protocol/src/lib.rs")).expect("the library");
    assert!(library.contains("#![no_std]") && library.contains("#![forbid(unsafe_code)]"));
}

#[test]
fn assertions_are_many_in_protocol_and_storage() {
    const WORDS: [&str; 6] = [
        "assert!(",
        "assert_eq!(",
        "assert_ne!(",
        "unreachable!(",
        ".expect(",
        "#[must_use", // counted apart: what the compiler asserts at each call
    ];
    println!(
        "{:<10} {:>9} {:>9} {:>11} {:>10} {:>10}",
        "crate", "functions", "that act", "assertions", "per acting", "must_use"
    );
    for (krate, floor) in ASSERTIONS_MIN {
        let (mut all, mut acting, mut asserted, mut compiled) = (0_u64, 0_u64, 0_u64, 0_u64);
        for (path, text) in files(".rs") {
            if !path.starts_with(krate)
                || !path.components().any(|part| part == Component::Normal("src".as_ref()))
            {
                continue;
            }
            let lines = code(&text);
            let found = functions(&lines);
            all += found.len() as u64;
            acting += found.iter().filter(|function| function.body.len() > 3).count() as u64;
            for line in lines.iter().map(|line| bare(line)) {
                let count = |word: &&str| line.matches(*word).count() as u64;
                asserted += WORDS[..5].iter().map(count).sum::<u64>();
                compiled += count(&WORDS[5]);
            }
        }
        let hundredths = asserted * 100 / acting.max(1);
        println!(
            "{krate:<10} {all:>9} {acting:>9} {asserted:>11} {:>7}.{:02} {compiled:>10}",
            hundredths / 100,
            hundredths % 100
        );
        assert!(hundredths >= floor, "{krate}: {hundredths} hundredths, agreed are {floor}");
    }
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    let documents = files(".md");
    let headings: BTreeMap<PathBuf, BTreeSet<String>> =
        documents.iter().map(|(path, text)| (path.clone(), anchors(text))).collect();
    let mut problems = Vec::new();
    for (path, text) in &documents {
        for (number, target) in links(text) {
            let outside = ["http://", "https://", "mailto:"];
            if outside.iter().any(|scheme| target.starts_with(scheme)) {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let beside = path.parent().unwrap_or_else(|| Path::new(""));
            let file = if file.is_empty() { path.clone() } else { plain(&beside.join(file)) };
            let known = |known: &BTreeSet<String>| known.contains(anchor);
            let there = root().join(&file).exists();
            if !there || (!anchor.is_empty() && !headings.get(&file).is_none_or(known)) {
                problems.push(format!("{}:{number}: {target}", path.display()));
            }
        }
    }
    none(&problems);
}

/// Resolves `..` without asking the disk.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => plain.push(part),
        }
    }
    plain
}

/// Returns the targets of Markdown links outside of code, with their lines.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        // What stands between backticks is code.
        let prose: String = line.split('`').step_by(2).collect();
        for rest in prose.split("](").skip(1) {
            if let Some((target, _)) = rest.split_once(')') {
                found.push((number, target.split(' ').next().unwrap_or(target).to_owned()));
            }
        }
    }
    found
}

/// Returns the anchors of headings, as code hosts make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn no_file_names_a_place_that_only_one_machine_has() {
    // Put together here, so that this file keeps its own rule.
    let places = [["/wo", "rk/"], ["/ho", "me/"], ["/ro", "ot/"], ["/Us", "ers/"], ["C:", "\\\\"]];
    let mut problems = Vec::new();
    for end in [".rs", ".toml", ".md", ".json", ".snap", "run"] {
        for (path, text) in files(end) {
            for (number, line) in (1..).zip(text.lines()) {
                for place in places.iter().map(|halves| halves.concat()) {
                    if line.contains(&place) {
                        problems.push(format!("{}:{number}: {place}", path.display()));
                    }
                }
            }
        }
    }
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("a lock file");
    for line in lock.lines().filter(|line| line.starts_with("source = ")) {
        let official = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
        if line != official {
            problems.push(format!("Cargo.lock: {line}"));
        }
    }
    none(&problems);
}

#[test]
fn a_function_is_found_with_its_whole_body() {
    let text = "\
pub const fn one(&self) -> u8 {
    1
}
impl A {
    async fn two(
        self,
    ) {
        x();
    }
    fn three() {}
}
trait B {
    fn four(&self) -> u8;
    fn five(&self) {
        y();
    }
}";
    let lines: Vec<&str> = text.lines().collect();
    let found: Vec<_> =
        functions(&lines).iter().map(|f| (f.name.to_owned(), f.body.len())).collect();
    let expected = [("one", 3), ("two", 5), ("three", 1), ("five", 3)];
    assert_eq!(found, expected.map(|(name, lines)| (name.to_owned(), lines)));
}
