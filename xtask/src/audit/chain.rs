//! From a law to what stands for it: properties of the specification, checkers, code, wrong
//! protocols, and what must have been seen.
//!
//! Most of it is found by the law's name, so that it cannot be out of date; what cannot be found
//! stands in `spec/laws.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use counterfoil_sim::coverage::{Injected, Transition};
use counterfoil_tests::binaries::root;
use serde::Deserialize;

use super::LAWS;
use crate::spec::models::Models;

const FILE: &str = "spec/laws.toml";

/// What stands for a law.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// What it says.
    pub(super) says: String,
    /// Properties of the specification, and the models that are checked for each.
    pub(super) spec: BTreeMap<String, Vec<String>>,
    /// Why there is none.
    pub(super) beyond: Option<String>,
    /// Mistakes in the specification that break it.
    pub(super) variants: Vec<String>,
    /// Where the simulator checks it.
    pub(super) checkers: Vec<String>,
    /// The code that bears it.
    pub(super) code: Vec<String>,
    /// What must have been seen.
    pub(super) sometimes: Vec<String>,
    /// Wrong protocols that break it.
    pub(super) wrong: Vec<String>,
}

/// What `spec/laws.toml` says of a law.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    #[serde(default)]
    also: Vec<String>,
    beyond: Option<String>,
    code: Vec<String>,
    sometimes: Vec<String>,
}

/// The part of a wrong protocol's description that is asked for here.
#[derive(Debug, Deserialize)]
struct Mistake {
    #[serde(default)]
    breaks: Vec<String>,
}

/// Returns the chain of each law.
///
/// # Errors
/// If a file cannot be read, or says something that is not known.
pub(super) fn chains() -> anyhow::Result<BTreeMap<String, Chain>> {
    let text = read(FILE)?;
    let told: BTreeMap<String, Told> = toml::from_str(&text).context(FILE)?;
    let (checked, variants, mistakes) = (checked()?, variants()?, mistakes()?);
    let sources = sources()?;
    let says = says()?;
    let mut chains = BTreeMap::new();
    for (law, told) in told {
        let named = |all: &[(String, Vec<String>)]| {
            let found = all.iter().filter(|(_, laws)| laws.contains(&law));
            found.map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let properties = [std::slice::from_ref(&law), &told.also[..]].concat();
        let spec = properties.into_iter().filter(|_| told.beyond.is_none());
        let spec = spec.map(|name| {
            let models = checked.get(&name).cloned().unwrap_or_default();
            (name, models)
        });
        let checks = format!("Law::{law}");
        let checkers = sources.iter().filter(|(_, text)| has_word(text, &checks));
        let chain = Chain {
            says: says.get(&law).cloned().unwrap_or_default(),
            spec: spec.collect(),
            variants: named(&variants),
            checkers: checkers.map(|(file, _)| file.clone()).collect(),
            wrong: named(&mistakes),
            beyond: told.beyond,
            code: told.code,
            sometimes: told.sometimes,
        };
        chains.insert(law, chain);
    }
    Ok(chains)
}

/// Returns the loose ends.
pub(super) fn problems(chains: &BTreeMap<String, Chain>) -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    for law in LAWS {
        match chains.get(law) {
            Some(chain) => problems.extend(loose(law, chain)),
            None => problems.push(format!("{law} is not in {FILE}")),
        }
    }
    for law in chains.keys().filter(|law| !LAWS.contains(&law.as_str())) {
        problems.push(format!("{FILE}: there is no law {law}"));
    }
    // Each is checked by a model: is it also some law's?
    let known: BTreeSet<&str> =
        chains.values().flat_map(|chain| chain.spec.keys().map(String::as_str)).collect();
    for property in checked()?.keys() {
        // That a module refines the contract is no law of its own.
        if property != "Refines" && !known.contains(property.as_str()) {
            problems.push(format!("the specification's {property} belongs to no law"));
        }
    }
    Ok(problems)
}

fn loose(law: &str, chain: &Chain) -> Vec<String> {
    let mut problems = Vec::new();
    let mut miss = |what: String| problems.push(format!("{law}: {what}"));
    for (property, models) in &chain.spec {
        if models.is_empty() {
            miss(format!("no model of the specification is checked for {property}"));
        }
    }
    for (there, what) in [
        (!chain.says.is_empty(), "sim/src/law.rs does not say what it is"),
        (chain.beyond.is_some() || !chain.variants.is_empty(), "no wrong variant breaks it"),
        (!chain.checkers.is_empty(), "the simulator does not check it"),
        (!chain.code.is_empty(), "no code bears it"),
        (!chain.sometimes.is_empty(), "nothing has to be seen for it"),
        (!chain.wrong.is_empty(), "no wrong protocol breaks it"),
    ] {
        if !there {
            miss(what.to_owned());
        }
    }
    for file in chain.code.iter().filter(|file| !root().join(file).is_file()) {
        miss(format!("there is no {file}"));
    }
    for seen in &chain.sometimes {
        let transition = Transition::ALL.iter().any(|known| known.as_str() == seen);
        let fault = Injected::ALL.iter().any(|known| known.as_str() == seen);
        if !transition && !fault {
            miss(format!("the simulator counts no `{seen}`"));
        }
    }
    problems
}

/// What each model is checked for, by property.
fn checked() -> anyhow::Result<BTreeMap<String, Vec<String>>> {
    let mut checked: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, text) in files("spec/models", ".cfg")? {
        let model = file.trim_start_matches("spec/models/").trim_end_matches(".cfg");
        let mut properties = false;
        for line in text.lines() {
            if !line.starts_with(' ') {
                properties = ["INVARIANTS", "PROPERTIES"].contains(&line.trim());
            } else if properties {
                checked.entry(line.trim().to_owned()).or_default().push(model.to_owned());
            }
        }
    }
    Ok(checked)
}

fn variants() -> anyhow::Result<Vec<(String, Vec<String>)>> {
    let models = Models::load()?;
    Ok(models.variant.into_iter().map(|variant| (variant.name, vec![variant.law])).collect())
}

fn mistakes() -> anyhow::Result<Vec<(String, Vec<String>)>> {
    let described = files("sim/zoo", ".toml")?.into_iter().map(|(file, text)| {
        let mistake: Mistake = toml::from_str(&text).with_context(|| file.clone())?;
        let name = file.trim_start_matches("sim/zoo/").trim_end_matches(".toml");
        Ok((name.to_owned(), mistake.breaks))
    });
    described.collect()
}

/// The simulator's sources that check something at run time.
fn sources() -> anyhow::Result<Vec<(String, String)>> {
    let mut sources = Vec::new();
    for folder in ["checker", "explore", "model", "network"] {
        sources.extend(files(&format!("sim/src/{folder}"), ".rs")?);
    }
    sources.push(("sim/src/runner.rs".to_owned(), read("sim/src/runner.rs")?));
    Ok(sources)
}

/// What the simulator's documentation says of each law.
fn says() -> anyhow::Result<BTreeMap<String, String>> {
    let (mut says, mut text) = (BTreeMap::new(), String::new());
    for line in read("sim/src/law.rs")?.lines().map(str::trim) {
        if let Some(more) = line.strip_prefix("/// ") {
            text = format!("{text} {more}");
        } else {
            let name = line.trim_end_matches(',');
            if LAWS.contains(&name) {
                says.insert(name.to_owned(), text.trim().to_owned());
            }
            text.clear();
        }
    }
    Ok(says)
}

/// Returns whether a text has a word that does not go on.
fn has_word(text: &str, word: &str) -> bool {
    let goes_on = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric());
    text.split(word).skip(1).any(|rest| !goes_on(rest))
}

fn files(folder: &str, end: &str) -> anyhow::Result<Vec<(String, String)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root().join(folder)).with_context(|| folder.to_owned())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(end) {
            names.push(format!("{folder}/{name}"));
        }
    }
    names.sort();
    let read = names.into_iter().map(|name| read(&name).map(|text| (name, text)));
    read.collect()
}

fn read(file: impl AsRef<Path>) -> anyhow::Result<String> {
    let file = file.as_ref();
    fs::read_to_string(root().join(file)).with_context(|| file.display().to_string())
}
