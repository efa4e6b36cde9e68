//! What a module of the specification has to say of itself to be bound to the running code.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use anyhow::Context as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tla_checker::ast::Value;

/// An action of the specification, with what its quantifiers are given.
pub(crate) type Named = (&'static str, Vec<u64>);

/// Two actions, the second right after the first.
pub(crate) type Pair = (String, String);

/// A state of the specification, by the names of its variables.
pub(crate) type Variables = BTreeMap<&'static str, Value>;

/// The real state has something for which the specification has no words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the specification has no words for it: {0}")]
pub(crate) struct Unmapped(pub(crate) String);

pub(crate) type Mapped = Result<Value, Unmapped>;

pub(super) fn unmapped<T>(what: impl Into<String>) -> Result<T, Unmapped> {
    Err(Unmapped(what.into()))
}

/// Real nodes, what may happen to them, and what they are in a module of the specification.
pub(crate) trait Bound: Clone + Sized {
    /// The name of the module.
    const MODULE: &'static str;
    /// Its mistakes that are actions: none is ever taken.
    const MISTAKES: &'static [&'static str] = &[];
    /// What goes wrong, or need not happen: a walk leaves some of it out as long as it can go on.
    const ACCIDENTS: &'static [&'static str];
    /// How many of the pairs with [`Bound::is_rare`] the walks may miss.
    const MISSED_MAX: usize = 0;

    /// How many of what, and how much may go wrong.
    type Constants: Constants;
    /// Something that happens.
    type Act: Happens;

    /// Returns the nodes as they are at first.
    fn new(constants: &Self::Constants) -> Self;

    /// Returns them so that each thing that happens is one action, where the code does several.
    fn step_by_step(self) -> Self {
        self
    }

    /// Returns the kinds of runs whose logs are validated.
    fn profiles() -> Vec<Profile<Self::Constants>>;

    /// Returns the models in which behaviours of the specification are walked, by name.
    fn models() -> Vec<(&'static str, Self::Constants)>;

    /// Returns everything that may happen now.
    fn acts(&self) -> Vec<Self::Act>;

    /// Lets it happen; returns the actions that it is in the specification, in their order. None
    /// if nothing can be seen of it there.
    fn perform(&mut self, act: &Self::Act) -> Vec<Named>;

    /// Returns what everything is in the specification. Called after each step, as it learns.
    ///
    /// # Errors
    /// [`Unmapped`]
    fn state(&mut self) -> Result<Variables, Unmapped>;

    /// Returns how often something happens in a run that may, by its name.
    fn weight(act: &str) -> usize;

    /// Returns how late an action is tried in a walk: below this.
    fn lateness(action: &str) -> usize;

    /// Returns whether an action can happen only so often.
    fn is_counted(action: &str) -> bool {
        Self::ACCIDENTS.contains(&action)
    }

    /// Returns the rarest action that the nodes allow here, and in few places.
    fn rare_action(&self) -> Option<&'static str> {
        None
    }

    /// Returns why this code does less than the specification allows, where it may.
    fn declines(&self, _action: &str) -> Option<&'static str> {
        None
    }

    /// Returns why the second action never comes right after the first, if it does not.
    fn why_not(first: &str, second: &str) -> Option<&'static str>;

    /// Returns whether few walks come to a pair.
    fn is_rare(_: &Pair) -> bool {
        false
    }
}

/// Something that happens to real nodes.
pub(crate) trait Happens: Clone + Debug + PartialEq {
    /// Returns what it is called in the specification, if it is one action there.
    fn name(&self) -> &'static str;

    /// Returns whether it may be one action of the specification, of this name.
    fn may_be(&self, action: &str) -> bool {
        self.name() == action
    }

    /// Returns whether it may be nothing that the specification sees, and something the next time.
    fn is_turn(&self) -> bool {
        false
    }
}

/// The constants of a run: they stand in the first line of its log.
pub(crate) trait Constants:
    Clone + Debug + PartialEq + Serialize + DeserializeOwned + Sync
{
    /// Returns them as the module names them.
    fn values(&self) -> BTreeMap<&'static str, Value>;

    /// Returns them for the checker.
    fn named(&self) -> Vec<(Arc<str>, Value)> {
        self.values().into_iter().map(|(name, value)| (Arc::from(name), value)).collect()
    }

    /// Returns them as one line.
    fn line(&self) -> anyhow::Result<String> {
        serde_json::to_string(self).context("constants are numbers and names")
    }
}

/// A kind of run.
#[derive(Clone, Debug)]
pub(crate) struct Profile<C> {
    pub(crate) name: &'static str,
    pub(crate) constants: C,
    /// How many things happen.
    pub(crate) length: usize,
    /// What happens more rarely, or more often, than elsewhere.
    pub(crate) weights: &'static [(&'static str, usize)],
}

impl<C> Profile<C> {
    pub(crate) const fn new(name: &'static str, length: usize, constants: C) -> Self {
        Self { name, constants, length, weights: &[] }
    }

    /// Returns how often something happens that may, by its name.
    pub(crate) fn weight<B: Bound<Constants = C>>(&self, act: &str) -> usize {
        let own = self.weights.iter().find(|(name, _)| *name == act);
        own.map_or_else(|| B::weight(act), |(_, weight)| *weight)
    }
}
