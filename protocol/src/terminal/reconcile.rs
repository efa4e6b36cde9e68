//! A plan is applied: all of it in one commit, or nothing.
//!
//! > **`PlanIsSafe`**: applying a plan makes the till's catalog equal to the cloud's at the plan's
//! > version, and touches no other row. If it would not, nothing is written.
//!
//! Four things must still be as the plan saw them: where the catalog stands, what all its rows add
//! up to (counted anew by the driver, under the same lock as the commit), each row that changes,
//! and which rows have pending edits. Then the sum of what will be there must be the cloud's.

use alloc::collections::BTreeSet;

use super::row::CatalogItem;
use super::{Key, Output, Record, Terminal, catalog, codes};
use crate::catalog::{Digest, EntityId, entity_hash};
use crate::machine::{ReadSet, Rows};
use crate::reconcile::plan::Approved;
use crate::reconcile::{Counts, PlanRefusal};

/// A plan that was made, read, and is to be applied now.
#[derive(Clone, Debug)]
pub struct Application {
    /// What is to be done.
    pub plan: Approved,
    /// What the rows add up to, counted just now: no other commit may come between.
    pub seen: Digest,
    /// Entities with edits of this till that the cloud has not answered.
    pub edits: BTreeSet<EntityId>,
}

pub(super) fn reads(application: &Application, keys: &mut ReadSet<Key>) {
    assert!(application.plan.writes().len() <= crate::reconcile::ITEMS_MAX, "a plan is bounded");
    keys.insert(Key::Catalog);
    keys.extend(application.plan.writes().iter().map(|write| Key::Item(write.id)));
}

pub(super) fn apply(
    rows: &mut Rows<'_, Terminal>,
    identity: super::Identity,
    application: &Application,
) -> Output {
    match check(rows, identity, application) {
        Ok(()) => write(rows, application),
        Err(refusal) => Output::PlanRefused(refusal),
    }
}

fn check(
    rows: &Rows<'_, Terminal>,
    identity: super::Identity,
    Application { plan, seen, edits }: &Application,
) -> Result<(), PlanRefusal> {
    let told = plan.plan();
    if told.till != identity {
        return Err(PlanRefusal::OtherTill);
    }
    let state = rows.catalog().copied().unwrap_or_default();
    let stands = state.version == Some(told.from) && state.progress.is_none();
    if !stands || state.digest != told.stored || *seen != told.before {
        return Err(PlanRefusal::Stale);
    }
    let mut sum = *seen;
    for write in plan.writes() {
        if edits.contains(&write.id) {
            return Err(PlanRefusal::Edited(write.id));
        }
        let held = rows.catalog_item(write.id);
        if held.map(|held| entity_hash(write.id, &held.content)) != write.local {
            return Err(PlanRefusal::Changed(write.id));
        }
        sum = write.applied(sum);
    }
    if sum != told.after {
        return Err(PlanRefusal::Sums);
    }
    assert_eq!(*seen, told.before, "all rows are as the plan saw them");
    assert_eq!(state.version, Some(told.from), "the catalog stands where it stood");
    assert_eq!(told.till, identity, "a plan belongs to one till");
    assert!(told.version >= told.from, "versions never go back");
    Ok(())
}

fn write(rows: &mut Rows<'_, Terminal>, application: &Application) -> Output {
    let told = application.plan.plan();
    for write in application.plan.writes() {
        let scanned = write.cloud.as_ref().map(|(_, content)| codes::barcodes(write.id, content));
        let scanned = scanned.unwrap_or_default();
        codes::follow(rows, write.id, &scanned, codes::Write::All);
        match &write.cloud {
            Some((version, content)) => {
                let item = CatalogItem { version: *version, content: content.clone() };
                rows.put(Key::Item(write.id), Record::Item(item));
            }
            None => rows.remove(Key::Item(write.id)),
        }
    }
    debug_assert!(
        application
            .plan
            .writes()
            .iter()
            .all(|write| { rows.catalog_item(write.id).is_some() == write.cloud.is_some() }),
        "each row is there, or not, as the plan has it"
    );
    let mut state = rows.catalog().copied().unwrap_or_default();
    let before = state.drifts;
    let wrong = told.stored != told.before || told.counts.changing() > 0;
    state.drifts = state.drifts.saturating_add(u32::from(wrong));
    assert!(state.drifts >= before, "no drift is forgotten");
    state.version = Some(told.version);
    state.digest = told.after;
    state.proven = told.counts.keep == 0;
    assert!(state.progress.is_none(), "no snapshot is under way");
    assert!(!state.proven || state.digest == told.cloud.digest, "what is proven is the cloud's");
    let Output::Catalogued(standing) = catalog::stand(rows, state) else {
        unreachable!("a state is answered by a standing")
    };
    assert_eq!(standing.version, Some(told.version), "the till stands where the plan leads");
    assert_eq!(standing.proven, told.counts.keep == 0, "what was kept is proven later");
    Output::PlanApplied(Applied { counts: told.counts, standing })
}

/// What a plan has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// How many rows were changed.
    pub counts: Counts,
    /// How the catalog stands now.
    pub standing: catalog::Standing,
}
