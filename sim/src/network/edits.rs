//! Edits of the catalog at the network level: people at a till wish for something, some of it not
//! theirs. Products are edited as `PATCH /products/{id}` does it, the rest as events.

use counterfoil_protocol::catalog::{CatalogEdit, FieldValue, Kind};
use counterfoil_protocol::event::Body;
use counterfoil_protocol::identity::ProductId;
use counterfoil_protocol::terminal::Draft;
use counterfoil_terminal::edit::{self, EditBody, Refused};
use counterfoil_terminal::till::TillError;

use super::scene::{Scene, TillSlot, lock};
use super::till::{SimTill, at_work};
use crate::coverage::Transition;
use crate::model::edits::drawn_edit;

/// What somebody asks of a till.
#[derive(Clone, Debug)]
pub(super) enum Wish {
    /// A product is to be something else than what the till shows.
    Product(ProductId, Box<EditBody>),
    /// A whole event: what somebody saw, and what it is to be.
    Event(Box<Draft>),
}

/// Somebody at a till edits its catalog, until the faults end.
pub(super) async fn edit(scene: &Scene, slot: &TillSlot, till: &SimTill) -> Result<(), TillError> {
    let every_ms = scene.plan.till_edit_every_ms;
    if every_ms == 0 {
        return Ok(());
    }
    let unsure = lock(&slot.state).unsure_wish.clone();
    if let Some(wish) = unsure {
        ask(scene, slot, till, wish).await?;
    }
    loop {
        let us = lock(&slot.edits).below(every_ms * 2_000) + 1;
        if !at_work(scene, slot, us).await {
            return Ok(());
        }
        if let Some(wish) = drawn(scene, slot) {
            scene.saw(Transition::EditAtTill);
            ask(scene, slot, till, wish).await?;
        }
    }
}

fn drawn(scene: &Scene, slot: &TillSlot) -> Option<Wish> {
    let at = slot.wall(scene.now_ms());
    let mut rng = lock(&slot.edits);
    let draft = drawn_edit(&mut rng, &lock(&slot.mirror).rows, &slot.registers, at)?;
    let at_screen = rng.happens(600_000);
    let Body::CatalogEdited(edit) = &draft.body else { unreachable!("an edit was drawn") };
    Some(match product(&draft, edit).filter(|_| at_screen) {
        Some((product, body)) => Wish::Product(product, Box::new(body)),
        None => Wish::Event(Box::new(draft)),
    })
}

/// Returns what is wished of a product, if it is all a till's to decide.
fn product(draft: &Draft, edit: &CatalogEdit) -> Option<(ProductId, EditBody)> {
    let id = edit.entity();
    if id.kind != Kind::Product {
        return None;
    }
    let mut body = EditBody::new(draft.pos, draft.local_id);
    for change in edit.changes() {
        match change.to() {
            FieldValue::Name(name) => body.name = Some(name.clone()),
            FieldValue::Unit(unit) => body.unit = Some(*unit),
            FieldValue::Category(category) => body.category = Some(*category),
            FieldValue::Price(_)
            | FieldValue::Currency(_)
            | FieldValue::Tax(_)
            | FieldValue::Active(_)
            | FieldValue::Barcodes(_) => return None,
        }
    }
    Some((ProductId(id.id), body))
}

/// Asks for it. If the till dies of it, whoever asked does not know, and will ask again.
async fn ask(scene: &Scene, slot: &TillSlot, till: &SimTill, wish: Wish) -> Result<(), TillError> {
    lock(&slot.state).unsure_wish = Some(wish.clone());
    let seen = match wish {
        Wish::Product(product, body) => match edit::product(till, product, &body).await {
            Ok((_, true)) => Some(Transition::TillRecordAgain),
            Ok((_, false)) => None,
            Err(Refused::Till(error)) => return Err(error),
            Err(Refused::Taken(_)) => Some(Transition::TillRecordTaken),
            Err(Refused::Invalid(_)) => Some(Transition::TillRecordInvalid),
            // It is so already, or the till knows of no such product (any more).
            Err(Refused::ServerOwned(_) | Refused::Unknown(_) | Refused::Nothing) => None,
        },
        Wish::Event(draft) => Transition::of_record(&till.record(*draft).await?),
    };
    lock(&slot.state).unsure_wish = None;
    if let Some(seen) = seen {
        scene.saw(seen);
    }
    Ok(())
}
