//! Edits made at tills: somebody corrects a name, and asks for what is not theirs.

use counterfoil_protocol::catalog::{
    CatalogEdit, Entity, EntityId, Field, FieldChange, FieldValue, Kind,
};
use counterfoil_protocol::event::Body;
use counterfoil_protocol::identity::{CategoryId, LocalEventId, PosId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::money::Minor;
use counterfoil_protocol::terminal::{Draft, Input, Key, LocalEdits, Record, pull};
use counterfoil_protocol::time::Millis;

use super::catalog::ENTITIES;
use super::till::TillHost;
use super::{Happening, World};
use crate::checker::TillRows;
use crate::coverage::Transition;
use crate::law::Violation;
use crate::observed::{answered, at_once};
use crate::rng::Stream;

/// Returns the edits that lie over a till's catalog.
pub(crate) fn local_edits(rows: &TillRows) -> &LocalEdits {
    match rows.get(&Key::LocalEdits).map(AsRef::as_ref) {
        Some(Record::LocalEdits(edits)) => edits,
        Some(_) | None => &NO_EDITS,
    }
}

static NO_EDITS: LocalEdits = LocalEdits { waiting: Vec::new(), told: Vec::new() };

/// Returns the entity of a till's catalog that stands there or follows.
fn nearest(rows: &TillRows, id: EntityId) -> Option<EntityId> {
    let mut rows = rows.range(Key::Item(id)..);
    rows.next().and_then(|(key, _)| if let Key::Item(id) = key { Some(*id) } else { None })
}

/// Returns what somebody at the till sees of an entity, and its version.
fn sees(rows: &TillRows, id: EntityId) -> Option<(Entity, u64)> {
    let Record::Item(item) = rows.get(&Key::Item(id))?.as_ref() else { return None };
    let mut entity = Entity::from_canonical(id, &item.content).ok()?;
    local_edits(rows).lay_over(&mut entity);
    Some((entity, item.version))
}

/// Draws what somebody at a till with these rows wishes of its catalog; none if that is nothing.
pub(crate) fn drawn_edit(
    rng: &mut Stream,
    rows: &TillRows,
    registers: &[PosId],
    at: Millis,
) -> Option<Draft> {
    let name = Label::parse(&format!("sku-{}", rng.below(ENTITIES))).expect("a short name");
    let drawn_kind = match rng.below(8) {
        0 | 1 => Kind::Category,
        2 => Kind::BranchPrice,
        _ => Kind::Product,
    };
    let by_chance = EntityId { kind: drawn_kind, id: name };
    let (nearest, known) = (nearest(rows, by_chance), rng.happens(850_000));
    let id = nearest.filter(|_| known).unwrap_or(by_chance);
    let kind = id.kind;
    let seen = sees(rows, id);
    let version = seen.as_ref().map_or(0, |(_, version)| *version);
    let entity = seen.map(|(entity, _)| entity);
    let mut changes = Vec::new();
    for field in Field::ALL {
        // The draws are the same whatever the till sees.
        let (wish, wanted) = (drawn(rng, field), rng.happens(wish_ppm(field)));
        let Some(to) = wish.filter(|_| wanted && field.of(kind)) else { continue };
        let stands = entity.as_ref().and_then(|entity| FieldValue::of(entity, field));
        // Somebody may remember what this till does not have (any more).
        let from = stands.or_else(|| drawn(&mut rng.clone(), field))?;
        changes.extend(FieldChange::new(from, to));
    }
    // Callers that number their edits themselves give a copy of a till the same numbers.
    let text = if rng.happens(20_000) {
        format!("own-edit-{}", rng.below(12))
    } else {
        format!("e{:016x}", rng.draw())
    };
    let pos = *rng.pick(registers);
    let local_id = LocalEventId::parse(&text).expect("a short name");
    let edit = CatalogEdit::new(id, version, changes).ok()?;
    Some(Draft { pos, local_id, at, reference: String::new(), body: Body::CatalogEdited(edit) })
}

impl TillHost {
    pub(super) fn local_edits(&self) -> &LocalEdits {
        local_edits(self.store.memory.rows())
    }
}

impl World {
    /// Somebody at a till edits the catalog, until the faults end.
    pub(super) fn edit_at_till(&mut self, till: usize) -> Result<(), Violation> {
        if self.healed || self.tills[till].moved {
            return Ok(());
        }
        let us = self.tills[till].edits.below(self.plan.till_edit_every_ms * 2_000);
        self.after(us + 1, Happening::EditAtTill(till));
        if !self.tills[till].up {
            return Ok(());
        }
        let at = self.wall(till);
        let host = &mut self.tills[till];
        let rows = host.store.memory.rows();
        let Some(draft) = drawn_edit(&mut host.edits, rows, &host.registers, at) else {
            return Ok(());
        };
        host.coverage.saw(Transition::EditAtTill);
        let life = host.life;
        self.carry_over(till)?;
        let host = &self.tills[till];
        if host.up && host.life == life { self.record(till, draft) } else { Ok(()) }
    }

    /// Carries over what closed histories left, as each driver does before it records an edit.
    fn carry_over(&mut self, till: usize) -> Result<(), Violation> {
        loop {
            let host = &mut self.tills[till];
            let Some(meta) = host.meta() else { return Ok(()) };
            let part = answered(at_once(pull::adoption(&host.both(), meta)));
            let Some(part) = part else { return Ok(()) };
            host.coverage.saw(Transition::TillAdopt);
            if self.till_step(till, &Input::Adopt(part), true)?.is_none() {
                return Ok(());
            }
        }
    }

    /// Counts what no longer lies over a till's catalog.
    pub(super) fn cover_overlays(&mut self, till: usize, before: usize) {
        let host = &mut self.tills[till];
        for _ in host.local_edits().waiting.len()..before {
            host.coverage.saw(Transition::OverlayDropped);
        }
    }
}

const fn wish_ppm(field: Field) -> u32 {
    match field {
        Field::Name => 700_000,
        Field::Unit | Field::Category => 250_000,
        Field::Price => 150_000,
        Field::Currency | Field::Tax | Field::Active | Field::Barcodes => 20_000,
    }
}

fn drawn(rng: &mut Stream, field: Field) -> Option<FieldValue> {
    let number = rng.below(40);
    let label = |text: &str| Label::parse(text).expect("a short name");
    Some(match field {
        Field::Name => FieldValue::Name(format!("renamed {number}")),
        Field::Unit => FieldValue::Unit(label(if number < 20 { "kg" } else { "m" })),
        Field::Category => {
            let listed = (number > 4).then(|| CategoryId(label(&format!("sku-{number}"))));
            FieldValue::Category(listed)
        }
        Field::Price => FieldValue::Price(Minor(number as i64)),
        Field::Currency => return None,
        Field::Tax => FieldValue::Tax(number as u32 * 10_000),
        Field::Active => FieldValue::Active(number < 20),
        Field::Barcodes => FieldValue::Barcodes(vec![label(&format!("40{number}"))]),
    })
}
