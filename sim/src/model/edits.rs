//! Edits made at tills: somebody corrects a name, and asks for what is not theirs.

use counterfoil_protocol::catalog::{
    CatalogEdit, Entity, EntityId, Field, FieldChange, FieldValue, Kind,
};
use counterfoil_protocol::event::Body;
use counterfoil_protocol::identity::{CategoryId, LocalEventId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::money::Minor;
use counterfoil_protocol::terminal::{Draft, Key, LocalEdits, Record};

use super::catalog::ENTITIES;
use super::till::TillHost;
use super::{Happening, World};
use crate::coverage::Transition;
use crate::law::Violation;
use crate::rng::Stream;

impl TillHost {
    pub(super) fn local_edits(&self) -> LocalEdits {
        match self.store.memory.rows().get(&Key::LocalEdits).map(AsRef::as_ref) {
            Some(Record::LocalEdits(edits)) => edits.clone(),
            Some(_) | None => LocalEdits::default(),
        }
    }

    /// Returns the entity of the till's catalog that stands there or follows.
    fn nearest(&self, id: EntityId) -> Option<EntityId> {
        let mut rows = self.store.memory.rows().range(Key::Item(id)..);
        rows.next().and_then(|(key, _)| if let Key::Item(id) = key { Some(*id) } else { None })
    }

    /// Returns what somebody at the till sees of an entity, and its version.
    fn sees(&self, id: EntityId) -> Option<(Entity, u64)> {
        let Record::Item(item) = self.store.memory.rows().get(&Key::Item(id))?.as_ref() else {
            return None;
        };
        let mut entity = Entity::from_canonical(id, &item.content).ok()?;
        self.local_edits().lay_over(&mut entity);
        Some((entity, item.version))
    }
}

impl World {
    /// Somebody at a till edits the catalog, until the faults end.
    pub(super) fn edit_at_till(&mut self, till: usize) -> Result<(), Violation> {
        if self.healed {
            return Ok(());
        }
        let us = self.tills[till].edits.below(self.plan.till_edit_every_ms * 2_000);
        self.after(us + 1, Happening::EditAtTill(till));
        if !self.tills[till].up {
            return Ok(());
        }
        let Some(draft) = self.drawn_edit(till) else { return Ok(()) };
        self.record(till, draft)
    }

    fn drawn_edit(&mut self, till: usize) -> Option<Draft> {
        let at = self.wall(till);
        let mut rng = self.tills[till].edits.clone();
        let name = Label::parse(&format!("sku-{}", rng.below(ENTITIES))).expect("a short name");
        let drawn_kind = match rng.below(8) {
            0 | 1 => Kind::Category,
            2 => Kind::BranchPrice,
            _ => Kind::Product,
        };
        let by_chance = EntityId { kind: drawn_kind, id: name };
        let (nearest, known) = (self.tills[till].nearest(by_chance), rng.happens(850_000));
        let id = nearest.filter(|_| known).unwrap_or(by_chance);
        let kind = id.kind;
        let seen = self.tills[till].sees(id);
        let version = seen.as_ref().map_or(0, |(_, version)| *version);
        let entity = seen.map(|(entity, _)| entity);
        let mut changes = Vec::new();
        for field in Field::ALL {
            // The draws are the same whatever the till sees.
            let (wish, wanted) = (drawn(&mut rng, field), rng.happens(wish_ppm(field)));
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
        let host = &mut self.tills[till];
        let pos = *rng.pick(&host.registers);
        host.edits = rng;
        let local_id = LocalEventId::parse(&text).expect("a short name");
        let edit = CatalogEdit::new(id, version, changes).ok()?;
        host.coverage.saw(Transition::EditAtTill);
        let body = Body::CatalogEdited(edit);
        Some(Draft { pos, local_id, at, reference: String::new(), body })
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
