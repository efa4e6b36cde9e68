//! Is a log a behaviour of the specification?

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::path::Path;

use tla_checker::ast::State;

use super::bound::{Bound, Constants as _};
use super::log::{Read, Step};
use super::module::Module;

/// A module for the constants that logs have had so far.
pub(crate) struct Modules<'a, B> {
    folder: &'a Path,
    read: BTreeMap<String, Module>,
    bound: PhantomData<B>,
}

/// What is told of a log.
#[derive(Debug, Default)]
pub(crate) struct Valid {
    pub(crate) steps: usize,
    /// Steps that change nothing in the specification.
    pub(crate) stuttering: usize,
    /// How often each action was taken.
    pub(crate) taken: BTreeMap<String, usize>,
}

/// The first step of a log that the specification does not allow.
#[derive(Debug, thiserror::Error)]
#[error("step {step}: {why}")]
pub(crate) struct Rejected {
    /// 0 is the first state.
    pub(crate) step: usize,
    pub(crate) why: String,
}

impl<'a, B: Bound> Modules<'a, B> {
    pub(crate) const fn new(folder: &'a Path) -> Self {
        Self { folder, read: BTreeMap::new(), bound: PhantomData }
    }

    /// Returns the module with these constants.
    pub(crate) fn with(&mut self, constants: &B::Constants) -> anyhow::Result<&Module> {
        let line = constants.line()?;
        if !self.read.contains_key(&line) {
            let module = Module::read::<B>(self.folder, constants)?;
            self.read.insert(line.clone(), module);
        }
        Ok(&self.read[&line])
    }

    /// Returns whether a log begins in `Init`, and each of its steps is one of `Next` that has the
    /// name that the log says, or none and nothing has changed.
    ///
    /// # Errors
    /// The log cannot be read, or the specification cannot be evaluated.
    pub(crate) fn validate(&mut self, text: &str) -> anyhow::Result<Result<Valid, Rejected>> {
        let log = Read::<B::Constants>::from(text)?;
        let module = self.with(&log.constants)?;
        let first = log.steps[0].state(module.variables())?;
        let inits = module.first()?;
        if !inits.contains(&first) {
            let why = told("Init", &inits, &first, module);
            return Ok(Err(Rejected { step: 0, why }));
        }
        let (mut valid, mut before) = (Valid::default(), first);
        for (number, step) in log.steps.iter().enumerate().skip(1) {
            let after = step.state(module.variables())?;
            if let Err(why) = allowed(module, &before, step, &after)? {
                return Ok(Err(Rejected { step: number, why }));
            }
            valid.note(step);
            before = after;
        }
        Ok(Ok(valid))
    }
}

impl Valid {
    fn note(&mut self, step: &Step) {
        self.steps += 1;
        self.stuttering += usize::from(step.actions.is_empty());
        for (action, _) in &step.actions {
            *self.taken.entry(action.clone()).or_default() += 1;
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.steps += other.steps;
        self.stuttering += other.stuttering;
        for (action, count) in other.taken {
            *self.taken.entry(action).or_default() += count;
        }
    }
}

/// Returns why a step is not allowed, if it is not. Between several actions of one step the states
/// are those of the specification: nobody has seen them.
fn allowed(
    module: &Module,
    before: &State,
    step: &Step,
    after: &State,
) -> anyhow::Result<Result<(), String>> {
    let mut reached = vec![before.clone()];
    for (action, arguments) in &step.actions {
        if !module.actions().any(|known| known == action) {
            return Ok(Err(format!("{action} is no action")));
        }
        let mut next = Vec::new();
        for state in &reached {
            next.extend(module.successors(state, action, arguments)?);
        }
        if next.is_empty() {
            return Ok(Err(format!("{action} {arguments:?} cannot be taken")));
        }
        reached = next;
    }
    if reached.contains(after) {
        return Ok(Ok(()));
    }
    let names: Vec<String> =
        step.actions.iter().map(|(name, arguments)| format!("{name} {arguments:?}")).collect();
    let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    Ok(Err(told(&names, &reached, after, module)))
}

/// Says how a state differs from the nearest that there could be.
fn told(what: &str, possible: &[State], found: &State, module: &Module) -> String {
    let differences = possible.iter().map(|expected| module.differences(expected, found));
    let nearest = differences.min_by_key(Vec::len).unwrap_or_default();
    format!("{what} does not lead there: {}", nearest.join("; "))
}
