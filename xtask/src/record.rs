//! `cargo xtask test`: the whole suite through cargo, and a record of the tests that passed.
//!
//! A test is named `package::target::path`, such as `counterfoil-protocol::border::a_name`. The
//! target of unit tests in a library is `lib`; that of doc tests is `doc`, and their path is the
//! item that they stand on.
//!
//! `spec-check` is left out: it brings 250 crates for two unit tests. CI runs them where it checks
//! the specification.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use counterfoil_tests::binaries::{cargo, target_directory};
use counterfoil_tests::{browser, postgres, web};
use serde_json::Value;

/// Run the whole suite.
#[derive(Debug, clap::Args)]
pub(crate) struct Test {
    /// Passed on to each test program, after `--`
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// What the names of tests that need a browser begin with.
const IN_A_BROWSER: &str = "in_a_browser_";

/// Returns whether a test of this name is left out where there is no browser.
pub(crate) fn needs_browser(name: &str) -> bool {
    name.starts_with(IN_A_BROWSER)
}

/// What the names of tests that need the compiler's target for browsers begin with, too.
const IN_WASM: &str = "in_a_browser_a_till_of_its_own_";

/// Returns whether a test of this name is left out where nothing can be compiled for browsers.
pub(crate) fn needs_wasm(name: &str) -> bool {
    name.starts_with(IN_WASM)
}

/// What the names of tests, or of their modules, begin with if they need a PostgreSQL server.
const ON_POSTGRES: &str = "on_postgres";

/// Returns whether a test of this name is left out where there is no PostgreSQL server.
pub(crate) fn needs_postgres(path: &str) -> bool {
    path.split("::").any(|part| part.starts_with(ON_POSTGRES))
}

/// The names of tests.
pub(crate) type Names = BTreeSet<String>;

/// Runs the suite; `false` if a test fails.
pub(crate) fn test(test: &Test) -> anyhow::Result<bool> {
    let programs = programs()?;
    let mut run = cargo();
    run.args([
        "test",
        "--workspace",
        "--exclude",
        "spec-check",
        "--locked",
        "--no-fail-fast",
        "--",
    ])
    .args(&test.arguments);
    let no_browser = browser::program().err();
    if no_browser.is_some() {
        run.args(["--skip", IN_A_BROWSER]);
    }
    let no_wasm = web::target().err();
    if no_wasm.is_some() {
        run.args(["--skip", IN_WASM]);
    }
    let no_postgres = postgres::programs().err();
    if no_postgres.is_some() {
        run.args(["--skip", ON_POSTGRES]);
    }
    let mut reader = Reader::new(programs);
    let passed = each_line(run, |line| {
        println!("{line}");
        reader.read(line);
    })?;
    let file = record_file()?;
    fs::create_dir_all(file.parent().context("a directory")?)?;
    let names: Vec<&str> = reader.passed.iter().map(String::as_str).collect();
    fs::write(&file, names.join("\n") + "\n")?;
    println!("{} tests passed; the record is {}", names.len(), file.display());
    if let Some(why) = no_browser {
        println!("NOT RUN: the tests of the till page ({IN_A_BROWSER}*). {why}");
    }
    if let Some(why) = no_wasm {
        println!("NOT RUN: the tests of the till in the browser ({IN_WASM}*). {why}");
    }
    if let Some(why) = no_postgres {
        println!("NOT RUN: the tests on PostgreSQL ({ON_POSTGRES}*). {why}");
    }
    Ok(passed)
}

/// Returns the names of the tests that passed last time, if there is a record.
pub(crate) fn ran() -> anyhow::Result<Option<Names>> {
    match fs::read_to_string(record_file()?) {
        Ok(text) => Ok(Some(text.lines().map(str::to_owned).collect())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns the names of all tests that exist.
pub(crate) fn exist() -> anyhow::Result<Names> {
    let mut names = Names::new();
    for (file, place) in programs()? {
        let listed = Command::new(&file).args(["--list", "--format", "terse"]).output()?;
        ensure!(listed.status.success(), "{file} does not list its tests");
        for line in String::from_utf8_lossy(&listed.stdout).lines() {
            if let Some(name) = line.strip_suffix(": test") {
                names.insert(format!("{place}::{name}"));
            }
        }
    }
    let mut docs = cargo();
    docs.args([
        "test",
        "--workspace",
        "--exclude",
        "spec-check",
        "--locked",
        "--doc",
        "--",
        "--list",
    ]);
    let mut reader = Reader::new(Programs::new());
    each_line(docs, |line| reader.read(line))?;
    names.extend(reader.listed);
    Ok(names)
}

fn record_file() -> anyhow::Result<PathBuf> {
    Ok(target_directory()?.join("audit").join("ran.txt"))
}

/// Test programs by their file, with the first two parts of the names of their tests.
type Programs = BTreeMap<String, String>;

/// Builds the test programs and returns them.
fn programs() -> anyhow::Result<Programs> {
    let mut build = cargo();
    build.args(["test", "--workspace", "--exclude", "spec-check", "--locked", "--no-run"]);
    build.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
    let built = build.output().context("cargo cannot be started")?;
    if !built.status.success() {
        bail!("the tests cannot be built");
    }
    let mut programs = Programs::new();
    for line in String::from_utf8_lossy(&built.stdout).lines() {
        let message: Value = serde_json::from_str(line)?;
        let tested = message["profile"]["test"] == true;
        if let (true, Some(file)) = (tested, message["executable"].as_str()) {
            programs.insert(file.to_owned(), place(&message)?);
        }
    }
    Ok(programs)
}

fn place(message: &Value) -> anyhow::Result<String> {
    let manifest = message["manifest_path"].as_str().context("a manifest")?;
    let text = fs::read_to_string(manifest)?;
    let manifest: toml::Table = text.parse()?;
    let package = manifest["package"]["name"].as_str().context("a package")?;
    let target = &message["target"];
    let library = target["kind"].as_array().is_some_and(|kinds| kinds.contains(&"lib".into()));
    let target = if library { "lib" } else { target["name"].as_str().context("a target")? };
    Ok(format!("{package}::{target}"))
}

/// Runs a cargo and hands on what it says, in the order in which it says it.
fn each_line(mut cargo: Command, mut each: impl FnMut(&str)) -> anyhow::Result<bool> {
    let (reader, writer) = io::pipe()?;
    cargo.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = cargo.spawn().context("cargo cannot be started")?;
    // The command holds the writing end; without this the pipe would never end.
    drop(cargo);
    for line in BufReader::new(reader).split(b'\n') {
        each(String::from_utf8_lossy(&line?).trim_end());
    }
    io::stdout().flush()?;
    Ok(child.wait()?.success())
}

/// Follows what `cargo test` says: which program runs, and what became of its tests.
struct Reader {
    programs: Programs,
    place: Option<String>,
    passed: Names,
    listed: Names,
}

impl Reader {
    const fn new(programs: Programs) -> Self {
        Self { programs, place: None, passed: Names::new(), listed: Names::new() }
    }

    fn read(&mut self, line: &str) {
        if let Some(running) = line.trim_start().strip_prefix("Running ") {
            let file = running.rsplit_once('(').and_then(|(_, file)| file.strip_suffix(')'));
            self.place = file.and_then(|file| self.program(file));
        } else if let Some(krate) = line.trim_start().strip_prefix("Doc-tests ") {
            self.place = Some(format!("{}::doc", krate.replace('_', "-")));
        } else if let Some(name) = line.strip_prefix("test ").and_then(passed) {
            self.passed.extend(self.name(name));
        } else if let Some(name) = line.strip_suffix(": test") {
            self.listed.extend(self.name(name));
        }
    }

    /// Cargo names a program relative to the workspace, if it lies there.
    fn program(&self, file: &str) -> Option<String> {
        let mut known = self.programs.iter();
        known.find(|(path, _)| path.ends_with(file)).map(|(_, place)| place.clone())
    }

    fn name(&self, name: &str) -> Option<String> {
        let place = self.place.as_ref()?;
        // A doc test: `protocol/src/machine.rs - machine (line 16) - compile fail`.
        let item = name.split_once(" - ").map(|(_, item)| item);
        let name = item.map_or(name, |item| item.split(" (line ").next().unwrap_or(item));
        Some(format!("{place}::{name}"))
    }
}

fn passed(rest: &str) -> Option<&str> {
    let (name, result) = rest.rsplit_once(" ... ")?;
    let name = name.strip_suffix(" - should panic").unwrap_or(name);
    (result == "ok").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_says_becomes_names() {
        let programs = [("/w/target/debug/deps/border-0a".into(), "p::border".into())];
        let mut reader = Reader::new(programs.into());
        for line in [
            "     Running tests/border.rs (target/debug/deps/border-0a)",
            "test a::b ... ok",
            "test c - should panic ... ok",
            "test d ... FAILED",
            "test e ... ignored, needs a disk",
            "   Doc-tests counterfoil_protocol",
            "test protocol/src/machine.rs - machine (line 16) - compile fail ... ok",
            "protocol/src/machine.rs - machine (line 16) - compile fail: test",
        ] {
            reader.read(line);
        }
        let passed: Vec<&str> = reader.passed.iter().map(String::as_str).collect();
        assert_eq!(
            passed,
            ["counterfoil-protocol::doc::machine", "p::border::a::b", "p::border::c"]
        );
        assert!(reader.listed.contains("counterfoil-protocol::doc::machine"));
    }
}
