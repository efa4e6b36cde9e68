//! The constants of `Reconcile` for a run of the code: how many of what, and how much may happen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tla_checker::ast::Value;

use crate::bind::bound;
use crate::bind::value::{int, record, text};

/// The constants of a run. `Wrong` is `"none"` in each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Constants {
    pub(crate) items: u64,
    pub(crate) left: Left,
}

/// How much may still happen: the variable `left`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Left {
    pub(crate) writes: u64,
    pub(crate) damages: u64,
    pub(crate) edits: u64,
    pub(crate) plans: u64,
}

/// What stands in a row that was damaged.
pub(super) const DAMAGED: u64 = 99;
/// What stands in a sum that was damaged.
pub(super) const STRAY: u64 = 98;

/// What stands in a row at first.
pub(super) const fn first(item: u64) -> u64 {
    100 + item
}

/// What an edit of an entity writes.
pub(super) const fn edit_value(item: u64) -> u64 {
    200 + item
}

impl Constants {
    /// Returns whatever may stand in a row of an entity, or in a sum.
    pub(super) fn values(&self, item: u64) -> Vec<u64> {
        let others = [STRAY, DAMAGED, first(item), edit_value(item)];
        (1..=self.left.writes).chain(others).collect()
    }
}

impl Left {
    pub(super) fn value(self) -> Value {
        record([
            ("writes", int(self.writes)),
            ("damages", int(self.damages)),
            ("edits", int(self.edits)),
            ("plans", int(self.plans)),
        ])
    }
}

impl bound::Constants for Constants {
    fn values(&self) -> BTreeMap<&'static str, Value> {
        BTreeMap::from([
            ("ItemsMax", int(self.items)),
            ("Writes", int(self.left.writes)),
            ("Damages", int(self.left.damages)),
            ("EditsMax", int(self.left.edits)),
            ("Compactions", int(self.left.plans)),
            ("Wrong", text("none")),
        ])
    }
}
