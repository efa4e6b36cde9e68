//! The catalog: pages, and the entities in them.

use counterfoil_protocol::catalog::{Entity, EntityId, Kind};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::wire::catalog::{
    ChangeV1, DeltaAnswer, PAGE_BYTES_MAX, PAGE_ENTITIES_MAX, SnapshotPage,
};

use crate::again;
use crate::memory::bounded;
use crate::messages::MEMORY_MAX;

/// Reads pages, and the canonical bytes of an entity.
///
/// # Panics
/// If a law does not hold.
pub fn check(bytes: &[u8]) {
    bounded(MEMORY_MAX, || {
        if let Some(answer) = again::frame(bytes, DeltaAnswer::decode, DeltaAnswer::encode)
            && let Some((page, _)) = answer.page()
        {
            of_page(&page.changes);
            assert!(page.from <= page.to, "a delta leads on");
        }
        if let Some(page) = again::frame(bytes, SnapshotPage::decode, SnapshotPage::encode) {
            of_page(&page.entities);
        }
        let tea = Label::parse("tea").expect("a name");
        for kind in [Kind::Product, Kind::Category, Kind::Customer, Kind::BranchPrice] {
            of_entity(EntityId { kind, id: tea }, bytes);
        }
    });
}

fn of_page(changes: &[ChangeV1]) {
    assert!(changes.len() <= PAGE_ENTITIES_MAX, "a page is bounded");
    let contents = changes.iter().filter_map(|change| change.content.as_ref());
    assert!(contents.map(|content| content.len()).sum::<usize>() <= PAGE_BYTES_MAX, "in bytes too");
    for change in changes {
        if let Some(content) = &change.content {
            of_entity(change.id, content);
        }
    }
}

fn of_entity(id: EntityId, bytes: &[u8]) {
    if let Ok(entity) = Entity::from_canonical(id, bytes) {
        assert_eq!(entity.canonical(), bytes, "an entity has one form only");
        assert_eq!(entity.id(), id, "it is the one that was named");
        let parsed = Entity::parse(entity.to_wire());
        assert_eq!(parsed.as_ref(), Ok(&entity), "its wire form says the same");
    }
}
