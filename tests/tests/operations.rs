//! What operators are given names only what the node has.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;

use counterfoil_cloud::metrics::Metrics;
use counterfoil_tests::binaries::root;

/// Every series of the node's own `/metrics`.
fn series() -> BTreeSet<String> {
    let text = Metrics::new().text();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()).collect()
}

/// What Prometheus itself says of a target, and the words of its language.
const WORDS: [&str; 17] = [
    "up",
    "instance",
    "rate",
    "increase",
    "time",
    "sum",
    "by",
    "histogram_quantile",
    "and",
    "job",
    "verdict",
    "standing",
    "code",
    "answer",
    "reason",
    "forked",
    "cloudLostTail",
];

fn words(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with(|first: char| first.is_ascii_alphabetic()))
}

fn named_otherwise(word: &str) -> bool {
    WORDS.contains(&word) || ["counterfoil", "cloud", "parked", "refused"].contains(&word)
}

#[test]
fn alerts_and_dashboard_name_series_that_there_are() {
    let series = series();
    let alerts = fs::read_to_string(root().join("ops/alerts.yml")).unwrap();
    let alerts = alerts.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    let board = fs::read_to_string(root().join("ops/grafana.json")).unwrap();
    let board: serde_json::Value = serde_json::from_str(&board).unwrap();
    let panels = board["panels"].as_array().unwrap().iter();
    let drawn = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let drawn: Vec<&str> = drawn.map(|target| target["expr"].as_str().unwrap()).collect();
    let all: Vec<&str> = alerts.chain(drawn).collect();
    assert!(all.len() >= 16, "{} expressions", all.len());
    let mut named = BTreeSet::new();
    for expression in all {
        // `and` compares whole sets of labels: without these no two series ever meet.
        let sides = expression.split(" and ").map(|side| side.contains("by (instance)"));
        let sides: Vec<bool> = sides.collect();
        assert!(
            sides.len() == 1 || sides.iter().all(|named| *named),
            "{expression:?} is never true"
        );
        for word in words(expression).filter(|word| !named_otherwise(word)) {
            assert!(series.contains(word), "{word} of {expression:?} is no series of the node");
            named.insert(word.to_owned());
        }
    }
    assert!(named.len() >= 8, "{named:?}");
}

#[test]
fn the_unit_and_the_container_start_the_program_as_it_is() {
    let unit = fs::read_to_string(root().join("ops/counterfoil-cloud.service")).unwrap();
    let container = fs::read_to_string(root().join("ops/Dockerfile")).unwrap();
    let sources = ["cloud-node/src/cli.rs", "cloud-node/src/cli/serve.rs"];
    let program = sources.map(|file| fs::read_to_string(root().join(file)).unwrap()).concat();
    let both = format!("{unit}\n{container}");
    let variables: BTreeSet<&str> = both
        .split(|letter: char| !letter.is_ascii_uppercase() && letter != '_')
        .filter(|word| word.starts_with("COUNTERFOIL_"))
        .collect();
    assert!(variables.len() >= 4, "{variables:?}");
    for variable in variables {
        assert!(program.contains(&format!("\"{variable}\"")), "{variable} is heeded by nobody");
    }
    assert!(unit.contains("cloud-node serve") && container.contains("CMD [\"serve\"]"));
}
