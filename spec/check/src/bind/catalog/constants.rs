//! The constants of `Catalog` for a run of the code: how many of what, and how much may happen.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tla_checker::ast::Value;

use crate::bind::bound;
use crate::bind::value::{int, record, set, text, truth};

/// The constants of a run. `Wrong` is `"none"` in each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Constants {
    pub(crate) tills: usize,
    pub(crate) items: u64,
    pub(crate) edits: u64,
    /// What only the cloud decides.
    pub(crate) owned: BTreeSet<u64>,
    pub(crate) in_order: bool,
    /// A real follower says when a till asks; else it does whenever it may.
    pub(crate) by_follower: bool,
    pub(crate) left: Left,
}

/// How much may still happen: the variable `left`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Left {
    pub(crate) writes: u32,
    pub(crate) plans: u32,
    pub(crate) lapses: u32,
    pub(crate) strays: u32,
    pub(crate) tills: u32,
    pub(crate) clouds: u32,
}

impl Left {
    pub(super) fn value(self) -> Value {
        record([
            ("writes", int(self.writes)),
            ("plans", int(self.plans)),
            ("lapses", int(self.lapses)),
            ("strays", int(self.strays)),
            ("tills", int(self.tills)),
            ("clouds", int(self.clouds)),
        ])
    }
}

impl bound::Constants for Constants {
    fn values(&self) -> BTreeMap<&'static str, Value> {
        BTreeMap::from([
            ("Tills", int(self.tills)),
            ("ItemsMax", int(self.items)),
            ("Writes", int(self.left.writes)),
            ("EditsMax", int(self.edits)),
            ("Owned", set(self.owned.iter().map(|item| int(*item)))),
            ("Compactions", int(self.left.plans)),
            ("Lapses", int(self.left.lapses)),
            ("Strays", int(self.left.strays)),
            ("TillRestores", int(self.left.tills)),
            ("CloudRestores", int(self.left.clouds)),
            ("InOrder", truth(self.in_order)),
            ("Wrong", text("none")),
        ])
    }
}
