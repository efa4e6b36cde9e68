//! The specification, asked for the steps that it allows.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, ensure};
use tla_checker::ast::{DefinitionMap, Env, Expr, Spec, State, Value};
use tla_checker::checker::prepare_spec;
use tla_checker::eval::{eval, init_states, make_primed_names, next_states};
use tla_checker::load::prepare_from_path;

use super::bound::{Bound, Constants as _, Variables};
use super::value::differences;

/// A module with its constants. It is bound to the thread that has made it: the checker keeps
/// what it knows of instances there.
pub(crate) struct Module {
    spec: Spec,
    constants: Env,
    definitions: DefinitionMap,
    primed: Vec<Arc<str>>,
    /// The disjuncts of `Next`, by the actions that they name; without the mistakes.
    actions: BTreeMap<Arc<str>, Expr>,
}

impl Module {
    /// Reads a module in this folder.
    pub(crate) fn read<B: Bound>(folder: &Path, constants: &B::Constants) -> anyhow::Result<Self> {
        let file = folder.join(format!("{}.tla", B::MODULE));
        let prepared = prepare_from_path(&file, None, &constants.named())
            .map_err(|error| anyhow!("{}: {error}", file.display()))?;
        let (spec, domains) = (prepared.spec, prepared.domains);
        let (constants, definitions) = prepare_spec(&spec, &domains, Some(&file), true)
            .map_err(|error| anyhow!("{}: {error:?}", file.display()))?;
        let next = spec.next.clone().context("the module has a Next")?;
        let mut actions = BTreeMap::new();
        disjuncts(&next, &definitions, &mut actions)?;
        actions.retain(|name, _| !B::MISTAKES.contains(&&**name));
        ensure!(!actions.is_empty(), "Next has actions");
        let primed = make_primed_names(&spec.vars);
        Ok(Self { spec, constants, definitions, primed, actions })
    }

    /// Returns the names of the actions.
    pub(crate) fn actions(&self) -> impl Iterator<Item = &str> {
        self.actions.keys().map(AsRef::as_ref)
    }

    /// Returns the names of the variables, in their order.
    pub(crate) fn variables(&self) -> &[Arc<str>] {
        &self.spec.vars
    }

    /// Returns a state whose variables have these values.
    pub(crate) fn state(&self, variables: &Variables) -> anyhow::Result<State> {
        ensure!(variables.len() == self.spec.vars.len(), "each variable has its value");
        let value = |name: &Arc<str>| {
            variables.get(&**name).cloned().with_context(|| format!("{name} has no value"))
        };
        let values = self.spec.vars.iter().map(value).collect::<anyhow::Result<_>>()?;
        Ok(State { values })
    }

    /// Returns where two states differ, as paths with what stands there.
    pub(crate) fn differences(&self, expected: &State, found: &State) -> Vec<String> {
        let pairs = expected.values.iter().zip(&found.values);
        let named = self.spec.vars.iter().zip(pairs);
        let differ = named.flat_map(|(name, (expected, found))| {
            differences(expected, found).into_iter().map(move |text| format!("{name}{text}"))
        });
        differ.collect()
    }

    /// Returns the first states.
    pub(crate) fn first(&self) -> anyhow::Result<Vec<State>> {
        let init = self.spec.init.as_ref().context("the module has an Init")?;
        init_states(init, &self.spec.vars, &self.constants, &self.definitions)
            .map_err(|error| anyhow!("Init: {error:?}"))
    }

    /// Returns the states to which this action leads from `state`: with these arguments, or with
    /// any if none are given.
    pub(crate) fn successors(
        &self,
        state: &State,
        action: &str,
        arguments: &[u64],
    ) -> anyhow::Result<Vec<State>> {
        let disjunct = self
            .actions
            .get(action)
            .with_context(|| format!("{action} is no action of the specification"))?;
        let mut env = self.constants.clone();
        let Some(step) = self.applied(disjunct, arguments, state, &mut env)? else {
            return Ok(Vec::new());
        };
        let vars = &self.spec.vars;
        let next = next_states(step, state, vars, &self.primed, &mut env, &self.definitions)
            .map_err(|error| anyhow!("{action}: {error:?}"))?;
        Ok(next.into_iter().map(|transition| transition.state).collect())
    }

    /// Takes the quantifiers off a disjunct, and gives their variables these values, if they are
    /// among those that the quantifiers are over.
    fn applied<'a>(
        &self,
        disjunct: &'a Expr,
        arguments: &[u64],
        state: &State,
        env: &mut Env,
    ) -> anyhow::Result<Option<&'a Expr>> {
        let mut step = disjunct;
        for argument in arguments {
            let Expr::Exists(name, domain, body) = step else {
                return Ok(None);
            };
            let mut seen = env.clone();
            for (name, value) in self.spec.vars.iter().zip(&state.values) {
                seen.insert(name.clone(), value.clone());
            }
            let domain = eval(domain, &mut seen, &self.definitions)
                .map_err(|error| anyhow!("a quantifier of Next: {error:?}"))?;
            let value = Value::Int(i64::try_from(*argument)?);
            if !matches!(&domain, Value::Set(all) if all.contains(&value)) {
                return Ok(None);
            }
            env.insert(name.clone(), value);
            step = body;
        }
        let whole = arguments.is_empty() || !matches!(step, Expr::Exists(..));
        Ok(whole.then_some(step))
    }
}

/// Sorts the disjuncts of `Next` by the actions that they name.
fn disjuncts(
    next: &Expr,
    definitions: &DefinitionMap,
    actions: &mut BTreeMap<Arc<str>, Expr>,
) -> anyhow::Result<()> {
    if let Expr::Or(a, b) = next {
        disjuncts(a, definitions, actions)?;
        return disjuncts(b, definitions, actions);
    }
    let name = called(next, definitions).context("a disjunct of Next without a name")?;
    let twice = actions.insert(name.clone(), next.clone());
    ensure!(twice.is_none(), "{name} is two disjuncts of Next");
    Ok(())
}

/// Returns which definition a disjunct of `Next` applies. The parser has put its body in the place
/// of its name, with a `LET` for each of its parameters.
fn called(disjunct: &Expr, definitions: &DefinitionMap) -> Option<Arc<str>> {
    let mut applied = disjunct;
    while let Expr::Exists(_, _, body) | Expr::LabeledAction(_, body) = applied {
        applied = body;
    }
    for depth in 0.. {
        let named = definitions
            .iter()
            .find(|(_, (parameters, body))| parameters.len() == depth && **body == *applied);
        if let Some((name, _)) = named {
            return Some(name.clone());
        }
        let Expr::Let(_, _, body) = applied else { return None };
        applied = body;
    }
    None
}
