//! The log of a run: what happened, and every variable of the specification after it, as text.
//!
//! A line is a JSON object. The first has the constants, the second the first state; each other
//! one the actions that a step was, in their order, and the variables that it has changed.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use tla_checker::ast::{State, Value};
use tla_checker::trace_io::{json_to_value, value_to_json};

use super::bound::{Constants, Named, Variables};

/// A log that is being written.
pub(crate) struct Log {
    lines: Vec<String>,
    before: Variables,
}

/// A log that was read.
pub(crate) struct Read<C> {
    pub(crate) constants: C,
    /// The first one has no actions.
    pub(crate) steps: Vec<Step>,
}

/// A step of a log.
pub(crate) struct Step {
    pub(crate) actions: Vec<(String, Vec<u64>)>,
    pub(crate) state: BTreeMap<String, Value>,
}

impl Log {
    /// Begins with the first state.
    pub(crate) fn new(constants: &impl Constants, first: Variables) -> anyhow::Result<Self> {
        let head = format!("{{\"constants\":{}}}", constants.line()?);
        let mut log = Self { lines: vec![head], before: Variables::new() };
        log.note(&[], first);
        Ok(log)
    }

    /// Notes a step, and what it has changed.
    pub(crate) fn note(&mut self, actions: &[Named], state: Variables) {
        let changed = state.iter().filter(|(name, value)| self.before.get(*name) != Some(value));
        let changed: serde_json::Map<String, Json> =
            changed.map(|(name, value)| ((*name).to_owned(), value_to_json(value))).collect();
        let actions: Vec<Json> =
            actions.iter().map(|(name, arguments)| json!([name, arguments])).collect();
        self.lines.push(json!({ "actions": actions, "state": changed }).to_string());
        self.before = state;
    }

    /// Returns it as text.
    pub(crate) fn text(&self) -> String {
        self.lines.join("\n")
    }
}

impl<C: Constants> Read<C> {
    /// Reads a log.
    pub(crate) fn from(text: &str) -> anyhow::Result<Self> {
        let mut lines = text.lines();
        let head: Json = serde_json::from_str(lines.next().context("a log has a first line")?)?;
        let constants = serde_json::from_value(head["constants"].clone())
            .context("the first line has the constants")?;
        let mut steps: Vec<Step> = Vec::new();
        for line in lines {
            let line: Json = serde_json::from_str(line)?;
            let actions = serde_json::from_value(line["actions"].clone())?;
            let mut state = steps.last().map(|step| step.state.clone()).unwrap_or_default();
            let changed = line["state"].as_object().context("a step has its variables")?;
            for (name, value) in changed {
                let value = json_to_value(value).with_context(|| format!("{name} has no value"))?;
                state.insert(name.clone(), value);
            }
            steps.push(Step { actions, state });
        }
        ensure!(!steps.is_empty(), "a log has a first state");
        Ok(Self { constants, steps })
    }
}

impl Step {
    /// Returns its state with the variables in this order.
    pub(crate) fn state(&self, variables: &[std::sync::Arc<str>]) -> anyhow::Result<State> {
        ensure!(self.state.len() == variables.len(), "a state has all variables, and no others");
        let value = |name: &std::sync::Arc<str>| {
            self.state.get(&**name).cloned().with_context(|| format!("{name} has no value"))
        };
        Ok(State { values: variables.iter().map(value).collect::<anyhow::Result<_>>()? })
    }
}
