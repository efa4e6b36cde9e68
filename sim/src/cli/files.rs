//! Plans and reports as files.

use std::path::Path;

use anyhow::Context as _;
use counterfoil_sim::plan::Plan;

pub(crate) fn read_plan(file: &Path) -> anyhow::Result<Plan> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{} is neither a seed nor a readable file", file.display()))?;
    let plan = if file.extension().is_some_and(|end| end == "toml") {
        toml::from_str(&text).map_err(anyhow::Error::from)
    } else {
        serde_json::from_str(&text).map_err(anyhow::Error::from)
    };
    plan.with_context(|| format!("{} holds no plan", file.display()))
}

pub(crate) fn print_plan(plan: &Plan, as_toml: bool) -> anyhow::Result<bool> {
    if as_toml {
        print!("{}", toml::to_string_pretty(plan)?);
    } else {
        println!("{}", serde_json::to_string_pretty(plan)?);
    }
    Ok(true)
}

pub(crate) fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
