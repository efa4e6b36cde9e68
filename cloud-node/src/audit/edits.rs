//! `OwnershipHolds`, from the rows: each posted edit was decided once, and by its fields' owners.

use counterfoil_protocol::catalog::{CatalogEdit, FieldValue, Owner};
use counterfoil_protocol::cloud::row::Fate;
use counterfoil_protocol::cloud::{Cloud, EditNote, Key, Record};
use counterfoil_protocol::event::Event;
use counterfoil_protocol::identity::{EventKey, ShopId};
use counterfoil_protocol::machine::Query;
use counterfoil_protocol::wire::message::EditOutcome;

use super::Report;
use crate::pages::{Kind, Pages, all};

const LAW: &str = "OwnershipHolds";

/// A posted edit, and whose catalog it is about.
pub(super) type Posted = (EventKey, ShopId, CatalogEdit);

/// Checks that what became of each posted edit is noted, and is what its owners say.
pub(super) async fn decided<Q: Query<Cloud>>(
    reads: &Q,
    report: &mut Report,
    posted: Vec<Posted>,
) -> Result<(), Q::Error> {
    for (key, shop, edit) in posted {
        report.edits += 1;
        let Some(Record::EditNote(note)) = reads.get(&Key::EditNote(shop, key)).await? else {
            report.problem(LAW, key, "the edit is posted, and nothing says what became of it");
            continue;
        };
        let head = match reads.get(&Key::Feed(shop)).await? {
            Some(Record::Feed(feed)) => feed.version,
            Some(_) | None => 0,
        };
        if note.version > head {
            let what = format!("it was decided at version {}, the catalog is {head}", note.version);
            report.problem(LAW, key, what);
        }
        if !fits(&edit, &note) {
            report.problem(LAW, key, "what is noted of it is not what it asked for");
        }
        if note.fields.iter().any(|field| !obeys(field.outcome, &field.to)) {
            report.problem(LAW, key, "a field was not decided by its owner");
        }
    }
    Ok(())
}

/// Checks that each note is of a posted edit of its shop.
pub(super) async fn noted<Q: Query<Cloud>>(reads: &Q, report: &mut Report) -> Result<(), Q::Error> {
    let mut notes = Vec::new();
    Pages::new(reads, all(Kind::EditNote))
        .each(|key, _| {
            if let Key::EditNote(shop, key) = key {
                notes.push((shop, key));
            }
        })
        .await?;
    for (shop, key) in notes {
        let is_edit = match reads.get(&Key::Ledger(key)).await? {
            Some(Record::Ledger(row)) => {
                let event = Event::from_canonical(&row.payload).ok();
                let edit = event.as_ref().and_then(Event::edit).is_some();
                edit && row.fate == Fate::Posted && row.site.shop == shop
            }
            Some(_) | None => false,
        };
        if !is_edit {
            report.problem(LAW, key, "an edit was decided that was never posted");
        }
    }
    Ok(())
}

fn fits(edit: &CatalogEdit, note: &EditNote) -> bool {
    let asked = edit.changes().iter().map(|change| change.to().to_wire());
    note.entity == edit.entity() && asked.eq(note.fields.iter().map(|field| field.to.clone()))
}

fn obeys(outcome: EditOutcome, to: &counterfoil_protocol::wire::edit::FieldValueV1) -> bool {
    let of_the_cloud =
        FieldValue::parse(to.clone()).is_ok_and(|value| value.field().owner() == Owner::Cloud);
    of_the_cloud == (outcome == EditOutcome::ServerOwned)
}
