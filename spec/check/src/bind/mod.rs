//! The specification bound to the running code, both ways.
//!
//! | file | what it is |
//! |---|---|
//! | `bound` | what a module has to say of itself; `journal`, `inbox`, `catalog`, `reconcile` do |
//! | `module` | a module of the specification, asked for its steps |
//! | `drive`, `figures` | specification to code: its behaviours drive the real roles |
//! | `traces`, `log`, `validate` | code to specification: logs of runs are behaviours |
//! | `tampered` | logs that were tampered with are rejected |
//! | `nodes`, `value`, `draws` | real roles over stores in memory; values of TLA+; drawn numbers |

mod bound;
mod catalog;
mod draws;
mod drive;
mod figures;
mod inbox;
mod journal;
mod log;
mod module;
mod nodes;
mod reconcile;
#[cfg(test)]
mod tampered;
mod traces;
mod validate;
mod value;

use std::path::Path;

use bound::Bound;
use catalog::Catalog;
use inbox::Inbox;
use journal::Journal;
use reconcile::Reconcile;

/// Holds logs of the running code against each module that is bound, or those that are named;
/// returns whether all is as it should be. `seeds`: logs of each profile.
///
/// # Errors
/// The specification cannot be read or evaluated, or `scratch` cannot be written to.
pub(crate) fn traces(
    names: &[String],
    spec: &Path,
    seeds: u64,
    scratch: &Path,
) -> anyhow::Result<bool> {
    let mut well = true;
    if is_asked::<Journal>(names) {
        well &= traces::all::<Journal>(spec, seeds, scratch)?.print();
    }
    if is_asked::<Inbox>(names) {
        well &= traces::all::<Inbox>(spec, seeds, scratch)?.print();
    }
    if is_asked::<Catalog>(names) {
        well &= traces::all::<Catalog>(spec, seeds, scratch)?.print();
    }
    if is_asked::<Reconcile>(names) {
        well &= traces::all::<Reconcile>(spec, seeds, scratch)?.print();
    }
    Ok(well)
}

/// Lets behaviours of each such module drive the running code; returns whether all is as it should
/// be. `walks`: behaviours of each model.
///
/// # Errors
/// The specification cannot be read or evaluated.
pub(crate) fn drive(names: &[String], spec: &Path, walks: usize) -> anyhow::Result<bool> {
    let mut well = true;
    if is_asked::<Journal>(names) {
        well &= drive::all::<Journal>(spec, walks)?.print();
    }
    if is_asked::<Inbox>(names) {
        well &= drive::all::<Inbox>(spec, walks)?.print();
    }
    if is_asked::<Catalog>(names) {
        well &= drive::all::<Catalog>(spec, walks)?.print();
    }
    if is_asked::<Reconcile>(names) {
        well &= drive::all::<Reconcile>(spec, walks)?.print();
    }
    Ok(well)
}

/// Returns whether a module of this name is bound.
pub(crate) fn knows(name: &str) -> bool {
    [Journal::MODULE, Inbox::MODULE, Catalog::MODULE, Reconcile::MODULE].contains(&name)
}

fn is_asked<B: Bound>(names: &[String]) -> bool {
    names.is_empty() || names.iter().any(|name| name == B::MODULE)
}
