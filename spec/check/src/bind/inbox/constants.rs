//! The constants of `Inbox` for a run of the code: how many of what, and how much may go wrong.

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
    pub(crate) orders: u64,
    /// Orders of another branch.
    pub(crate) foreign: BTreeSet<u64>,
    /// Those that are sales of the first till, which its siblings hear of.
    pub(crate) relayed: BTreeSet<u64>,
    /// Those that are the lines of one order: none, or some that follow each other.
    pub(crate) joined: BTreeSet<u64>,
    /// Later orders carry earlier times.
    pub(crate) backwards: bool,
    /// Events in a page.
    pub(crate) page: usize,
    /// A real collector says when a till asks and acknowledges; else it does whenever it may.
    pub(crate) by_collector: bool,
    pub(crate) faults: Left,
}

/// How much may still go wrong: the variable `budget`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Left {
    pub(crate) strays: u32,
    pub(crate) tills: u32,
    pub(crate) clouds: u32,
}

impl Left {
    pub(super) fn value(self) -> Value {
        record([
            ("strays", int(self.strays)),
            ("tills", int(self.tills)),
            ("clouds", int(self.clouds)),
        ])
    }
}

impl Constants {
    /// `Created(o)` of the specification; what is one order has one time.
    pub(super) fn created(&self, order: u64) -> u64 {
        let first = self.joined.first().filter(|_| self.joined.contains(&order));
        let order = first.copied().unwrap_or(order);
        if self.backwards { self.orders - order } else { order }
    }
}

impl bound::Constants for Constants {
    fn values(&self) -> BTreeMap<&'static str, Value> {
        let orders = |orders: &BTreeSet<u64>| set(orders.iter().map(|order| int(*order)));
        BTreeMap::from([
            ("Tills", int(self.tills)),
            ("OrdersMax", int(self.orders)),
            ("Foreign", orders(&self.foreign)),
            ("Relayed", orders(&self.relayed)),
            ("Backwards", truth(self.backwards)),
            ("PageMax", int(self.page)),
            ("Strays", int(self.faults.strays)),
            ("TillRestores", int(self.faults.tills)),
            ("CloudRestores", int(self.faults.clouds)),
            ("Wrong", text("none")),
        ])
    }
}
