//! What comes into the tree keeps the rules of `deny.toml`: licences, sources, bans. Advisories
//! need a database from the network; `cargo deny check` looks at those.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use counterfoil_tests::binaries::{cargo, root};
use serde_json::Value;
use spdx::{Expression, Licensee};

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn rules() -> toml::Table {
    let text = fs::read_to_string(root().join("deny.toml")).expect("the rules");
    text.parse().expect("the rules are TOML")
}

/// What comes with libFuzzer's own sources, in `fuzz/` alone, which nothing is built with.
const FUZZING: &str = "(MIT OR Apache-2.0) AND NCSA";

/// The workspace of the till for browsers.
const WEB: &str = "terminal-web/Cargo.toml";

/// Every package of the tree, ours included, as cargo knows it.
fn packages() -> Vec<Value> {
    packages_of("Cargo.toml")
}

/// The same of another workspace.
fn packages_of(manifest: &str) -> Vec<Value> {
    let mut metadata = cargo();
    metadata.args(["metadata", "--format-version=1", "--locked", "--manifest-path"]);
    metadata.arg(root().join(manifest));
    let told = metadata.output().expect("cargo starts");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let told: Value = serde_json::from_slice(&told.stdout).expect("cargo prints JSON");
    let packages = told["packages"].as_array().expect("a list of packages").clone();
    assert!(packages.len() > 50, "the whole tree is listed");
    packages
}

fn name(package: &Value) -> &str {
    package["name"].as_str().expect("a package has a name")
}

fn none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn every_licence_is_one_that_we_accept() {
    let rules = rules();
    let accepted: Vec<Licensee> = rules["licenses"]["allow"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|name| Licensee::parse(name.as_str().expect("a text")).expect("an SPDX licence"))
        .collect();
    let mut problems = Vec::new();
    for package in packages().into_iter().chain(packages_of(WEB)) {
        let Some(licence) = package["license"].as_str() else {
            problems.push(format!("{} names no licence", name(&package)));
            continue;
        };
        // Old manifests write a slash for `OR`.
        let parsed = Expression::parse_mode(licence, spdx::ParseMode::LAX);
        let fits = parsed.is_ok_and(|expression| {
            expression.evaluate(|wanted| accepted.iter().any(|ours| ours.satisfies(wanted)))
        });
        if !fits {
            problems.push(format!("{}: {licence}", name(&package)));
        }
    }
    none(&problems);
}

#[test]
fn fuzzing_brings_one_licence_more_and_comes_from_the_registry() {
    let known: BTreeSet<String> = packages().iter().map(|of| of["id"].to_string()).collect();
    let all = packages_of("fuzz/Cargo.toml");
    let more = all.iter().filter(|package| !known.contains(&package["id"].to_string()));
    let mut brought = BTreeSet::new();
    for package in more.filter(|package| !package["source"].is_null()) {
        assert_eq!(package["source"], REGISTRY, "{}", name(package));
        let licence = package["license"].as_str().expect("a licence");
        assert!(["MIT OR Apache-2.0", FUZZING].contains(&licence), "{}: {licence}", name(package));
        brought.insert(name(package));
    }
    assert_eq!(brought, BTreeSet::from(["arbitrary", "libfuzzer-sys"]), "and no other versions");
}

#[test]
fn everything_comes_from_the_registry_or_from_here() {
    let packages: Vec<Value> = packages().into_iter().chain(packages_of(WEB)).collect();
    let foreign = packages.iter().filter(|package| {
        let source = package["source"].as_str();
        source.is_some_and(|source| source != REGISTRY)
    });
    let problems: Vec<String> =
        foreign.map(|package| format!("{}: {}", name(package), package["source"])).collect();
    none(&problems);
}

#[test]
fn banned_crates_come_in_only_where_they_may() {
    let rules = rules();
    let bans: BTreeMap<&str, BTreeSet<&str>> = rules["bans"]["deny"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|ban| {
            let wrappers = ban.get("wrappers").and_then(toml::Value::as_array);
            let wrappers = wrappers.into_iter().flatten().filter_map(toml::Value::as_str);
            (ban["crate"].as_str().expect("a name"), wrappers.collect())
        })
        .collect();
    let mut problems = Vec::new();
    for package in packages() {
        let by = name(&package);
        for dependency in package["dependencies"].as_array().expect("a list") {
            let wanted = name(dependency);
            // Tests of others and what they leave to choice do not come into our tree.
            let comes = dependency["kind"].is_null() && dependency["optional"] == false;
            if bans.get(wanted).is_some_and(|wrappers| comes && !wrappers.contains(by)) {
                problems.push(format!("{by} depends on {wanted}"));
            }
        }
    }
    none(&problems);
}

#[test]
fn our_crates_ask_for_versions() {
    let ours = packages().into_iter().filter(|package| package["source"].is_null());
    let mut problems = Vec::new();
    for package in ours {
        for dependency in package["dependencies"].as_array().expect("a list") {
            let beside = !dependency["path"].is_null();
            if dependency["req"].as_str() == Some("*") && !beside {
                problems.push(format!("{}: any {}", name(&package), name(dependency)));
            }
        }
    }
    none(&problems);
}
