//! `cargo xtask zoo --matrix`: which of our layers catches which wrong protocol.
//!
//! A mistake that the level which is named for it finds may pass the others, and should be known
//! to: who looks at one layer only, knows then what it does not tell.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::keep::{self, Keep};
use super::{Wrong, show};
use crate::spec::models::Models;

/// How long a layer may look: long enough for thousands of seeds of the model.
const LOOK: Duration = Duration::from_secs(45);
/// How many states an exploration visits, per configuration.
const STATES: &str = "400000";
/// A layer that runs the spoiled code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Layer {
    /// Every state of small configurations.
    Explore,
    /// Roles over memory.
    Model,
    /// Roles over the real redb, on simulated disks.
    Disk,
    /// The real nodes over a simulated network.
    Network,
}

impl Layer {
    pub(super) const ALL: [Self; 4] = [Self::Explore, Self::Model, Self::Disk, Self::Network];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Explore => "explore",
            Self::Model => "model",
            Self::Disk => "disk",
            Self::Network => "network",
        }
    }

    /// How many seeds a level is given: about as many as it runs while it may look.
    const fn seeds(self) -> &'static str {
        match self {
            Self::Explore => "0",
            Self::Model => "2000",
            Self::Disk => "200",
            Self::Network => "150",
        }
    }
}

/// What each layer said: the law that it saw broken, and where; nothing if it saw none.
pub(super) type Seen = BTreeMap<Layer, Option<String>>;

/// Hands the spoiled and built simulator to every layer.
pub(super) fn look(keep: &Keep) -> anyhow::Result<Seen> {
    Layer::ALL.into_iter().map(|layer| Ok((layer, seen_by(keep, layer)?))).collect()
}

fn seen_by(keep: &Keep, layer: Layer) -> anyhow::Result<Option<String>> {
    let mut run = Command::new(keep.binary("sim"));
    if layer == Layer::Explore {
        run.args(["explore", "--json", "--cut-is-fine", "--states-max", STATES]);
    } else {
        run.args(["run", "--fail-fast", "--no-shrink", "--json"]);
        run.args(["--level", layer.name(), "--seeds", layer.seeds()]);
    }
    run.stdout(Stdio::piped()).stderr(Stdio::null());
    // What has not ended by then has found nothing by then, or hangs: neither is a catch.
    let Some(printed) = keep::within(run, LOOK)? else { return Ok(None) };
    let Ok(report) = serde_json::from_slice::<Value>(&printed) else {
        // An exploration ends with the first panic of a role: that is what it found.
        return Ok((layer == Layer::Explore).then(|| "NoPanic".to_owned()));
    };
    Ok(if layer == Layer::Explore { counterexample(&report) } else { failure(&report) })
}

fn failure(report: &Value) -> Option<String> {
    let failure = report["failures"].get(0)?;
    let law = failure["law"].as_str()?;
    Some(match failure["seed"].as_u64() {
        Some(seed) => format!("{law} (seed {seed})"),
        None => format!("{law} (a kept plan)"),
    })
}

/// Returns the first law that any configuration saw broken, and after how many steps.
fn counterexample(report: &Value) -> Option<String> {
    match report {
        Value::Array(all) => all.iter().find_map(counterexample),
        Value::Object(fields) => {
            let found = fields.get("counterexample").filter(|found| !found.is_null());
            let law = found.and_then(|found| found["law"].as_str());
            let steps = found.and_then(|found| found["steps"].as_array()).map_or(0, Vec::len);
            law.map(|law| format!("{law} ({steps} steps)"))
                .or_else(|| fields.values().find_map(counterexample))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// Returns what the specification says of a mistake: the variant that makes the same one, and the
/// law that it breaks there (`cargo xtask spec` checks that it does).
pub(super) fn specified(wrong: &Wrong) -> anyhow::Result<Option<String>> {
    let Some(name) = &wrong.spec else { return Ok(None) };
    let models = Models::load()?;
    let variant = models.variant.iter().find(|variant| variant.name == *name);
    let variant = variant.with_context(|| format!("{}: no variant {name}", wrong.name))?;
    ensure!(!variant.law.is_empty(), "{name} breaks a law");
    Ok(Some(format!("{} ({name})", variant.law)))
}

/// Returns the table as Markdown, below that of the hunts.
pub(super) fn markdown(rows: &[(&str, Option<&str>, &Seen)]) -> String {
    let mut text = format!(
        "\n## Which layer catches which\n\n\
         Each layer looks for {} s at most: every state of the first three configurations of\n\
         `sim explore` (up to {STATES} states each), and at the three levels of `sim run` {}, {}\n\
         and {} seeds from 0, with nothing shrunk. *spec* is the variant of the specification\n\
         that makes the same mistake, and the law that the checkers see broken there (`cargo\n\
         xtask spec`). An empty cell is a layer that saw nothing in that time, or cannot see it:\n\
         `explore` has no catalog, inbox, plans or sessions. Real processes are not among the\n\
         layers: what they catch is in the tests that kill them.\n\n",
        LOOK.as_secs(),
        Layer::Model.seeds(),
        Layer::Disk.seeds(),
        Layer::Network.seeds(),
    );
    let head = ["name", "spec"].into_iter().chain(Layer::ALL.map(Layer::name));
    text += &show::line(&head.map(str::to_owned).collect::<Vec<_>>());
    text += &show::line(&vec!["---".to_owned(); 2 + Layer::ALL.len()]);
    for (name, spec, seen) in rows {
        let cells = [(*name).to_owned(), spec.unwrap_or_default().to_owned()];
        let seen = seen.values().map(|by| by.clone().unwrap_or_default());
        text += &show::line(&cells.into_iter().chain(seen).collect::<Vec<_>>());
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_layer_prints_is_read() {
        let found = json!({ "failures": [{ "law": "ZeroLoss", "seed": 7 }] });
        assert_eq!(failure(&found).as_deref(), Some("ZeroLoss (seed 7)"));
        let kept = json!({ "failures": [{ "law": "ZeroLoss", "seed": null }] });
        assert_eq!(failure(&kept).as_deref(), Some("ZeroLoss (a kept plan)"));
        assert_eq!(failure(&json!({ "failures": [] })), None);
        let explored = json!({ "configurations": [
            { "name": "a", "counterexample": null },
            { "name": "b", "counterexample": { "law": "NoPhantom", "steps": ["x", "y"] } },
        ] });
        assert_eq!(counterexample(&explored).as_deref(), Some("NoPhantom (2 steps)"));
        assert_eq!(counterexample(&json!([{ "counterexample": null }])), None);
    }
}
