//! What is put into the catalog: entities so long that a page has few, and what they add up to.

use std::collections::BTreeMap;

use counterfoil_protocol::catalog::{Digest, Entity, EntityId, Kind, entity_hash};
use counterfoil_protocol::cloud::catalog::EDITS_MAX;
use counterfoil_protocol::event::TEXT_BYTES_MAX;
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{CategoryId, ProductId};
use counterfoil_protocol::label::{LABEL_BYTES_MAX, Label};
use counterfoil_protocol::wire::catalog::{
    CategoryV1, CustomerV1, EntityV1, PAGE_BYTES_MAX, ProductV1,
};
use counterfoil_tests::random::Random;
use counterfoil_tests::shop::Shop;
use serde_json::{Value, json};

/// How many barcodes each product has: the more, the fewer products fill a page, and the more rows
/// each is at the till.
const BARCODES: usize = 4;

/// The catalog as it should be, and how it goes on.
pub(crate) struct Goods {
    draw: Random,
    /// Each entity, and the hash of its canonical bytes.
    held: BTreeMap<EntityId, Hash>,
    next: u64,
}

impl Goods {
    pub(crate) fn new(seed: u64) -> Self {
        Self { draw: Random::new(!seed), held: BTreeMap::new(), next: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// What all of it adds up to.
    pub(crate) fn digest(&self) -> Digest {
        self.held.values().fold(Digest::default(), |sum, hash| sum.with(*hash))
    }

    /// Puts in as much as about so many pages hold.
    pub(crate) async fn fill(&mut self, shop: &Shop, pages: usize) {
        let mut bytes = 0;
        while bytes < pages * PAGE_BYTES_MAX {
            let mut edits = Vec::new();
            while edits.len() < EDITS_MAX {
                let number = self.next * 100;
                self.next += 1;
                let entity = self.entity(number);
                bytes += entity.canonical().len();
                edits.push(self.put(&entity));
            }
            shop.edit(&edits).await.expect("it is taken");
        }
    }

    /// Edits the catalog while the till downloads it: an entity that it may have already gets
    /// another name, another goes, and one comes between two others.
    pub(crate) async fn change(
        &mut self,
        shop: &Shop,
        finished: Option<EntityId>,
        draw: &mut Random,
    ) {
        let all: Vec<EntityId> = self.held.keys().copied().collect();
        let finished = all.iter().take_while(|id| Some(**id) <= finished).count();
        let near = draw.index(finished.max(1));
        let far = draw.index(all.len());
        let renamed = self.entity_of(all[near]);
        let between = self.entity(draw.between(0, self.next) * 100 + draw.between(1, 99));
        let mut edits = vec![self.put(&renamed), self.put(&between)];
        if far != near && all[far] != between.id() {
            self.held.remove(&all[far]);
            edits.push(json!({ "delete": all[far] }));
        }
        shop.edit(&edits).await.expect("it is taken");
    }

    fn put(&mut self, entity: &Entity) -> Value {
        self.held.insert(entity.id(), entity_hash(entity.id(), &entity.canonical()));
        json!({ "put": entity.to_wire() })
    }

    /// Makes an entity; entities sort by their kinds, then by their numbers.
    fn entity(&mut self, number: u64) -> Entity {
        let kind = match number / 100 % 64 {
            7 => Kind::Category,
            21 | 42 => Kind::Customer,
            _ => Kind::Product,
        };
        let tail = self.text(LABEL_BYTES_MAX - 10);
        let id = Label::parse(&format!("{number:09}-{tail}")).expect("a name");
        self.entity_of(EntityId { kind, id })
    }

    /// Makes an entity with this name, and whatever else.
    fn entity_of(&mut self, EntityId { kind, id }: EntityId) -> Entity {
        let name = self.text(TEXT_BYTES_MAX);
        let wire = match kind {
            Kind::Category => EntityV1::Category(CategoryV1 { category_id: CategoryId(id), name }),
            Kind::Customer => EntityV1::Customer(CustomerV1 { customer_id: id, name }),
            Kind::Product => {
                let mut barcodes: Vec<Label> = (0..BARCODES)
                    .map(|_| Label::parse(&self.text(LABEL_BYTES_MAX)).expect("a code"))
                    .collect();
                barcodes.sort_unstable();
                EntityV1::Product(ProductV1 {
                    product_id: ProductId(id),
                    name,
                    barcodes,
                    price_minor: 100,
                    currency: "GBP".to_owned(),
                    tax_ppm: 200_000,
                    unit: Label::parse("pcs").expect("a unit"),
                    category: None,
                    active: true,
                })
            }
            Kind::BranchPrice => unreachable!("a shop's own entities are made"),
        };
        Entity::parse(wire).expect("an entity within its bounds")
    }

    /// Draws letters, so that nothing makes a page short on the wire.
    fn text(&mut self, length: usize) -> String {
        (0..length)
            .map(|_| char::from(b'a' + u8::try_from(self.draw.index(26)).unwrap_or(0)))
            .collect()
    }
}
