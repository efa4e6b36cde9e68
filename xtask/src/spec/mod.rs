//! `cargo xtask spec`: is the formal specification right, and do its mistakes show?
//!
//! Each model in `spec/models.toml` is looked at by `tla-checker`, in a crate and a process of its
//! own (`spec-check`), which also looks whether each variant breaks its law. With `--tlc` TLC looks
//! at the models too, and both must count the same states: `tla-checker` is young, and TLC shares
//! nothing with it.

pub(crate) mod models;
pub(crate) mod seen;
mod show;
mod tlc;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use counterfoil_tests::binaries::{cargo, target_directory};
use serde::{Deserialize, Serialize};

use models::{Model, Models};
use tlc::Tlc;

/// Where the part of the figures begins that `--traces` and `--drive` have said.
const BOUND: &str = "## Bound to the code";

/// Check the formal specification.
#[derive(Debug, clap::Args)]
pub(crate) struct Spec {
    /// Only these models and variants (default: all but the large models)
    names: Vec<String>,
    /// Let TLC look at the models too; it is fetched by pip, and needs Java
    #[arg(long)]
    tlc: bool,
    /// With --tlc: the large models too, at which only TLC looks
    #[arg(long, requires = "tlc")]
    large: bool,
    /// Only hold logs of the running code against the specification
    #[arg(long, conflicts_with_all = ["names", "tlc"])]
    traces: bool,
    /// Only let behaviours of the specification drive the running code
    #[arg(long, conflicts_with_all = ["names", "tlc"])]
    drive: bool,
    /// How many logs of each profile, or hundreds of behaviours of each model
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Write the tables to this file too, as Markdown
    #[arg(long, value_name = "FILE", requires = "tlc")]
    markdown: Option<PathBuf>,
}

/// What `spec-check` says of a model, a variant, or the actions of a module.
#[derive(Debug, Deserialize, Serialize)]
struct Checked {
    kind: Kind,
    name: String,
    module: String,
    what: String,
    law: Option<String>,
    laws: Vec<String>,
    states: usize,
    depth: usize,
    transitions: usize,
    ms: u64,
    broken: Option<String>,
    steps: usize,
    trace: Vec<String>,
    reached: Vec<(String, usize)>,
    taken: Vec<String>,
    problem: Option<String>,
    /// What TLC says, if it was asked.
    #[serde(default)]
    tlc: Option<tlc::Said>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Model,
    Variant,
    Actions,
}

/// Checks; `false` if anything is not as it should be.
pub(crate) fn run(spec: &Spec) -> anyhow::Result<bool> {
    let scratch = target_directory()?.join("spec");
    fs::create_dir_all(&scratch).with_context(|| scratch.display().to_string())?;
    if spec.traces || spec.drive {
        return bound(spec);
    }
    // First, as it may find that something is missing.
    let tlc = if spec.tlc { Some(Tlc::ready(&scratch)?) } else { None };
    let larges = larges(spec)?;
    let only_large = !spec.names.is_empty()
        && spec.names.iter().all(|name| larges.iter().any(|large| large.name == *name));
    let mut all = if only_large { Vec::new() } else { checked(spec, &larges)? };
    if let Some(tlc) = &tlc {
        for model in all.iter_mut().filter(|checked| checked.kind == Kind::Model) {
            let said = tlc.check(&model.module, &model.name)?;
            model.compare(said);
            show::said(model);
        }
        for large in larges {
            let said = tlc.check(&large.module, &large.name)?;
            let model = large.into_checked(said);
            show::said(&model);
            all.push(model);
        }
    }
    if let (Some(file), Some(tlc)) = (&spec.markdown, &tlc) {
        let before = fs::read_to_string(file).unwrap_or_default();
        let kept = before.find(BOUND).map_or("", |at| &before[at..]);
        let text = format!("{}\n{kept}", show::markdown(&all, tlc));
        fs::write(file, text).with_context(|| file.display().to_string())?;
    }
    let found = |one: &Checked| Some((seen::name(one)?, one.problem.is_none()));
    seen::note(all.iter().filter_map(found))?;
    show::all(&all, spec.json)?;
    Ok(all.iter().all(|checked| checked.problem.is_none()))
}

/// Lets `spec-check` bind the specification to the running code; it prints what it found.
fn bound(spec: &Spec) -> anyhow::Result<bool> {
    let mut well = true;
    let bindings = [(spec.traces, "--traces", seen::TRACES), (spec.drive, "--drive", seen::DRIVE)];
    for (asked, flag, name) in bindings {
        if !asked {
            continue;
        }
        let mut run = spec_check()?;
        run.arg(flag);
        if let Some(seeds) = spec.seeds {
            run.arg("--seeds").arg(seeds.to_string());
        }
        let ended = run.status().context("cargo cannot be started")?;
        ensure!(matches!(ended.code(), Some(0 | 1)), "spec-check gave up: {ended}");
        seen::note([(name.to_owned(), ended.success())])?;
        well &= ended.success();
    }
    Ok(well)
}

fn spec_check() -> anyhow::Result<Command> {
    let mut run = cargo();
    run.args(["run", "--quiet", "--locked", "--package", "spec-check", "--"]);
    run.args(["--scratch"]).arg(target_directory()?.join("spec"));
    Ok(run)
}

/// Returns the large models that were asked for.
fn larges(spec: &Spec) -> anyhow::Result<Vec<Model>> {
    let models = Models::load()?;
    let asked = |large: &Model| {
        large.large && (spec.names.contains(&large.name) || (spec.names.is_empty() && spec.large))
    };
    Ok(models.model.into_iter().filter(asked).collect())
}

/// Runs `spec-check`, and hears it line by line.
fn checked(spec: &Spec, larges: &[Model]) -> anyhow::Result<Vec<Checked>> {
    let mut run = spec_check()?;
    run.args(spec.names.iter().filter(|name| larges.iter().all(|large| large.name != **name)));
    let mut child = run.stdout(Stdio::piped()).spawn().context("cargo cannot be started")?;
    let out = child.stdout.take().context("its output is piped")?;
    let mut all = Vec::new();
    for line in BufReader::new(out).lines() {
        let line = line?;
        let checked: Checked = serde_json::from_str(&line).with_context(|| line.clone())?;
        show::said(&checked);
        all.push(checked);
    }
    let ended = child.wait()?;
    // 1: something is not as it should be, and its line says so.
    ensure!(matches!(ended.code(), Some(0 | 1)), "spec-check gave up: {ended}");
    ensure!(!all.is_empty(), "spec-check said nothing");
    Ok(all)
}

impl Checked {
    /// Notes what TLC says of the same model: it must be the same.
    fn compare(&mut self, said: tlc::Said) {
        if let Some(error) = &said.error {
            self.problem.get_or_insert_with(|| format!("TLC: {error}"));
        } else if (said.states, said.depth) != (self.states, self.depth) {
            let (mine, theirs) = ((self.states, self.depth), (said.states, said.depth));
            let counted = format!("states and depth are {mine:?}, of TLC {theirs:?}");
            self.problem.get_or_insert(counted);
        }
        self.tlc = Some(said);
    }
}

impl Model {
    fn into_checked(self, said: tlc::Said) -> Checked {
        let problem = match &said.error {
            Some(error) => Some(format!("TLC: {error}")),
            None if said.states != self.states => {
                Some(format!("spec/models.toml says {} states", self.states))
            }
            None => None,
        };
        Checked {
            kind: Kind::Model,
            name: self.name,
            module: self.module,
            what: String::new(),
            law: None,
            laws: Vec::new(),
            states: 0,
            depth: 0,
            transitions: 0,
            ms: 0,
            broken: None,
            steps: 0,
            trace: Vec::new(),
            reached: Vec::new(),
            taken: Vec::new(),
            problem,
            tlc: Some(said),
        }
    }
}
