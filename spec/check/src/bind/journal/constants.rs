//! The constants of `Journal` for a run of the code: how many of what, and how much may go wrong.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tla_checker::ast::Value;

use crate::bind::bound;
use crate::bind::value::{int, record, set, text, truth};

/// The code's own bound.
pub(super) const ATTEMPTS_MAX: u8 = counterfoil_protocol::terminal::ATTEMPTS_MAX;

/// The constants of a run. What is not here is the same in each: `AttemptsMax` is the code's,
/// `Calm` is `FALSE`, `Wrong` is `"none"`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Constants {
    pub(crate) tills: usize,
    pub(crate) copies: usize,
    pub(crate) sales: u64,
    /// Entries in a push.
    pub(crate) items: usize,
    /// Requests in a commit of the cloud.
    pub(crate) batch: usize,
    pub(crate) unknown: BTreeSet<u64>,
    pub(crate) refunds: BTreeSet<u64>,
    pub(crate) same_names: bool,
    /// Tills speak whenever their rows permit it; else a real session says when.
    pub(crate) general: bool,
    pub(crate) faults: Left,
}

/// How much may still go wrong: the variable `left`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Left {
    pub(crate) late: u32,
    pub(crate) dups: u32,
    pub(crate) crashes: u32,
    pub(crate) copies: u32,
    pub(crate) tills: u32,
    pub(crate) clouds: u32,
}

impl Left {
    pub(super) fn value(&self) -> Value {
        record([
            ("late", int(self.late)),
            ("dups", int(self.dups)),
            ("crashes", int(self.crashes)),
            ("copies", int(self.copies)),
            ("tills", int(self.tills)),
            ("clouds", int(self.clouds)),
        ])
    }
}

impl bound::Constants for Constants {
    fn values(&self) -> BTreeMap<&'static str, Value> {
        let sales = |sales: &BTreeSet<u64>| set(sales.iter().map(|sale| int(*sale)));
        BTreeMap::from([
            ("Tills", int(self.tills)),
            ("Copies", int(self.copies)),
            ("SalesMax", int(self.sales)),
            ("ItemsMax", int(self.items)),
            ("BatchMax", int(self.batch)),
            ("AttemptsMax", int(ATTEMPTS_MAX)),
            ("Unknown", sales(&self.unknown)),
            ("Refunds", sales(&self.refunds)),
            ("SameNames", truth(self.same_names)),
            ("WitnessSees", truth(false)),
            ("General", truth(self.general)),
            ("Calm", truth(false)),
            ("Late", int(self.faults.late)),
            ("Dups", int(self.faults.dups)),
            ("CloudCrashes", int(self.faults.crashes)),
            ("TillRestores", int(self.faults.tills)),
            ("CloudRestores", int(self.faults.clouds)),
            ("Wrong", text("none")),
        ])
    }
}
