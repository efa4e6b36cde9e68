//! Checks the formal specification with `tla-checker`, as a process of its own: `cargo xtask spec`
//! starts it, and compares it with TLC. It prints one JSON object in a line for each model and
//! each variant, as soon as it is done.
//!
//! A crate of its own, and no default member, as the checker brings 250 crates that nothing else
//! of the project needs.
#![forbid(unsafe_code)]

mod bind;
mod cfg;
mod list;
mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Parser;
use serde::Serialize;

use cfg::Cfg;
use list::{List, Model, Variant};
use run::Ran;

/// Logs of each profile.
const LOGS: u64 = 40;
/// Hundreds of behaviours of each model.
const HUNDREDS: u64 = 4;

/// Check the formal specification.
#[derive(Debug, Parser)]
struct Cli {
    /// Only these models and variants (default: all but the large models); or modules to bind
    names: Vec<String>,
    /// Where the modules are
    #[arg(long, default_value = "spec")]
    spec: PathBuf,
    /// Where to write what is made of the models
    #[arg(long, default_value = "target/spec")]
    scratch: PathBuf,
    /// Hold logs of the running code against the specification, and nothing else
    #[arg(long)]
    traces: bool,
    /// Let behaviours of the specification drive the running code, and nothing else
    #[arg(long, conflicts_with = "traces")]
    drive: bool,
    /// How many logs of each profile, or hundreds of behaviours of each model
    #[arg(long)]
    seeds: Option<u64>,
}

/// A line of what is printed.
#[derive(Debug, Serialize)]
struct Line<'a> {
    kind: &'static str,
    name: &'a str,
    module: &'a str,
    what: &'a str,
    /// The law that a variant must break.
    law: Option<&'a str>,
    laws: Vec<String>,
    #[serde(flatten)]
    ran: Ran,
    /// What is not as it should be.
    problem: Option<String>,
}

fn main() -> ExitCode {
    match check(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("spec-check: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn check(cli: &Cli) -> anyhow::Result<bool> {
    let list = List::read(&cli.spec)?;
    let binds = cli.traces || cli.drive;
    for name in &cli.names {
        let known = if binds { bind::knows(name) } else { list.knows(name) };
        ensure!(known, "there is no model, no variant and no bound module {name}");
    }
    fs::create_dir_all(&cli.scratch).with_context(|| cli.scratch.display().to_string())?;
    if cli.traces {
        let seeds = cli.seeds.unwrap_or(LOGS);
        return bind::traces(&cli.names, &cli.spec, seeds, &cli.scratch);
    }
    if cli.drive {
        let walks = usize::try_from(cli.seeds.unwrap_or(HUNDREDS))?.saturating_mul(100);
        return bind::drive(&cli.names, &cli.spec, walks);
    }
    let chosen = |name: &String| cli.names.is_empty() || cli.names.contains(name);
    let (mut well, mut taken) = (true, BTreeMap::<&str, BTreeSet<String>>::new());
    for model in list.model.iter().filter(|model| !model.large && chosen(&model.name)) {
        let line = of_model(cli, model)?;
        taken.entry(&model.module).or_default().extend(line.ran.taken.iter().cloned());
        well &= said(&line)?;
    }
    for variant in list.variant.iter().filter(|variant| chosen(&variant.name)) {
        let model = list.model(&variant.model).context("the list was read")?;
        well &= said(&of_variant(cli, model, variant)?)?;
    }
    if cli.names.is_empty() {
        for (module, taken) in &taken {
            well &= said(&of_actions(cli, module, taken, &list.mistakes)?)?;
        }
    }
    Ok(well)
}

fn said(line: &Line<'_>) -> anyhow::Result<bool> {
    println!("{}", serde_json::to_string(line)?);
    Ok(line.problem.is_none())
}

fn read(cli: &Cli, model: &Model) -> anyhow::Result<Cfg> {
    let file = model.cfg(&cli.spec);
    Cfg::read(&fs::read_to_string(&file)?).with_context(|| file.display().to_string())
}

/// A model holds, has as many states as the list says, and reaches what it should.
fn of_model<'a>(cli: &Cli, model: &'a Model) -> anyhow::Result<Line<'a>> {
    let cfg = read(cli, model)?;
    ensure!(cfg.properties.contains(&cfg::REFINES.to_owned()) == model.refines, "{}", model.name);
    let laws = [cfg.invariants.clone(), cfg.properties.clone()].concat();
    let file = scratch(&cli.scratch, &model.name);
    let ran = run::run(&cli.spec, &model.module, cfg, &model.sanity, &file)?;
    let never = ran.reached.iter().find(|(_, states)| *states == 0);
    let problem = if let Some(law) = &ran.broken {
        Some(format!("{law} does not hold: {}", ran.trace.join(", ")))
    } else if let Some((name, _)) = never {
        Some(format!("{name} is never reached"))
    } else if ran.states != model.states {
        Some(format!("spec/models.toml says {} states", model.states))
    } else {
        None
    };
    let (name, module) = (model.name.as_str(), model.module.as_str());
    Ok(Line { kind: "model", name, module, what: "", law: None, laws, ran, problem })
}

/// A variant breaks the law that the list names.
fn of_variant<'a>(cli: &Cli, model: &'a Model, variant: &'a Variant) -> anyhow::Result<Line<'a>> {
    let cfg = read(cli, model)?.with_mistake(variant)?;
    let file = scratch(&cli.scratch, &format!("variant-{}", variant.name));
    let ran = run::run(&cli.spec, &model.module, cfg, &[], &file)?;
    let noticed = ran.broken.as_deref() == Some(variant.law.as_str());
    let problem = (!noticed).then(|| format!("{} does not notice it", variant.law));
    let (name, module, what) = (&variant.name, &model.module, &variant.what);
    let law = Some(variant.law.as_str());
    Ok(Line { kind: "variant", name, module, what, law, laws: Vec::new(), ran, problem })
}

/// Every action of a module is taken in one of its models: else its laws say less than they seem.
fn of_actions<'a>(
    cli: &Cli,
    module: &'a str,
    taken: &BTreeSet<String>,
    mistakes: &[String],
) -> anyhow::Result<Line<'a>> {
    let file = cli.spec.join(format!("{module}.tla"));
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let never: Vec<String> = actions(&text)
        .into_iter()
        .filter(|action| !taken.contains(action) && !mistakes.contains(action))
        .collect();
    let problem = (!never.is_empty()).then(|| format!("never taken: {}", never.join(", ")));
    let ran = Ran { taken: taken.clone(), ..Ran::default() };
    Ok(Line {
        kind: "actions",
        name: module,
        module,
        what: "",
        law: None,
        laws: vec![],
        ran,
        problem,
    })
}

/// Returns the actions that a module's `Next` lists, one in a line.
fn actions(text: &str) -> Vec<String> {
    let lines = text.lines().skip_while(|line| line.trim() != "Next ==").skip(1);
    let listed = lines.take_while(|line| line.trim_start().starts_with("\\/"));
    let called = listed.filter_map(|line| line.rsplit([':', '/']).next());
    called.filter_map(|call| call.trim().split('(').next().map(str::to_owned)).collect()
}

fn scratch(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.cfg"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_actions_of_a_module_are_found() {
        let text = "Next ==\n  \\/ \\E d \\in D : Sell(d)\n  \\/ Commit\n  \
                    \\/ \\E d \\in D : \\E n \\in N : Retry(d, n)\n\nSpec == Init\n";
        assert_eq!(actions(text), ["Sell", "Commit", "Retry"]);
        assert_eq!(actions("Init == x = 0"), Vec::<String>::new());
    }
}
