//! One run of the checker.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use serde::Serialize;
use tla_checker::checker::{CheckResult, CheckStats, check};
use tla_checker::load::prepare_from_path;

use crate::cfg::{Cfg, REFINES};

/// Models are finite: these only stop one that was made too large by mistake.
const STATES_MAX: usize = 2_000_000;
const DEPTH_MAX: usize = 100_000;

/// What came of a run.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Ran {
    /// Distinct states that were looked at.
    pub(crate) states: usize,
    /// How many states the longest of the shortest ways has.
    pub(crate) depth: usize,
    pub(crate) transitions: usize,
    pub(crate) ms: u64,
    /// The law that was broken, if one was.
    pub(crate) broken: Option<String>,
    /// How many steps lead there.
    pub(crate) steps: usize,
    /// The actions that lead there.
    pub(crate) trace: Vec<String>,
    /// How many states satisfy each sanity predicate.
    pub(crate) reached: Vec<(String, usize)>,
    /// Actions that were taken.
    pub(crate) taken: BTreeSet<String>,
}

/// Checks a module with the bounds and laws of `cfg`; `file` is where the bounds are written to.
pub(crate) fn run(
    spec: &Path,
    module: &str,
    mut cfg: Cfg,
    sanity: &[String],
    file: &Path,
) -> anyhow::Result<Ran> {
    let begun = Instant::now();
    let refines = cfg.take_refinement();
    let invariants = cfg.invariants.clone();
    fs::write(file, cfg.text()).with_context(|| file.display().to_string())?;
    let module = spec.join(format!("{module}.tla"));
    let mut prepared = prepare_from_path(&module, Some(file), &[])
        .map_err(|error| anyhow::anyhow!("{}: {error}", module.display()))?;
    let config = &mut prepared.checker_config;
    (config.max_states, config.max_depth) = (STATES_MAX, DEPTH_MAX);
    config.allow_deadlock = true; // a model ends where its bounds do
    config.quiet = true;
    config.count_properties = sanity.iter().map(|name| Arc::from(name.as_str())).collect();
    config.check_refinement = refines.then(|| Arc::from("C"));
    let result = check(&prepared.spec, &prepared.domains, config);
    let mut ran = told(result, &invariants)?;
    ran.ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(ran)
}

fn told(result: CheckResult, invariants: &[String]) -> anyhow::Result<Ran> {
    Ok(match result {
        CheckResult::Ok(stats) => counted(&stats),
        CheckResult::InvariantViolation(found, stats) => {
            let law = invariants.get(found.violated_invariant).cloned();
            let law = law.unwrap_or_else(|| "an invariant".to_owned());
            broken(&stats, law, &found.actions)
        }
        CheckResult::RefinementViolation(found, stats) => {
            broken(&stats, REFINES.to_owned(), &found.actions)
        }
        CheckResult::PropertyViolation(found, stats) => {
            broken(&stats, found.property.to_string(), &found.actions)
        }
        CheckResult::LivenessViolation(found, stats) => {
            let (before, round) = (found.prefix.len(), found.cycle.len());
            let way = format!("{before} states, and then these {round} again and again");
            let steps = (before + round).saturating_sub(1);
            Ran { steps, trace: vec![way], ..broken(&stats, found.property, &[]) }
        }
        other @ (CheckResult::Deadlock(..)
        | CheckResult::InitError(_)
        | CheckResult::NextError(..)
        | CheckResult::InvariantError(..)
        | CheckResult::LivenessError(..)
        | CheckResult::MaxStatesExceeded(_)
        | CheckResult::MaxDepthExceeded(_)
        | CheckResult::MaxTimeExceeded(_)
        | CheckResult::NoInitialStates
        | CheckResult::PrepareError(_)) => bail!("the checker cannot say: {other:?}"),
    })
}

fn broken(stats: &CheckStats, law: String, actions: &[Option<Arc<str>>]) -> Ran {
    let trace: Vec<String> = actions.iter().flatten().map(ToString::to_string).collect();
    Ran { broken: Some(law), steps: trace.len(), trace, ..counted(stats) }
}

fn counted(stats: &CheckStats) -> Ran {
    let reached = stats.property_stats.iter();
    Ran {
        states: stats.states_explored,
        depth: stats.max_depth_reached,
        transitions: stats.transitions,
        reached: reached.map(|one| (one.name.to_string(), one.satisfied)).collect(),
        taken: stats.transitions_by_action.keys().flatten().map(ToString::to_string).collect(),
        ..Ran::default()
    }
}
