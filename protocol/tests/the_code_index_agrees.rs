//! `CodesAgree`: whatever pages come, and wherever a migration stands, the index of barcodes says
//! nothing that the products do not, and all that it has been built for.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]
#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else it is has no barcode")]

mod support;

use std::collections::BTreeSet;

use counterfoil_protocol::catalog::{Entity, EntityId};
use counterfoil_protocol::identity::{ProductId, Witness};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::terminal::catalog::beside;
use counterfoil_protocol::terminal::row::CodeIndex;
use counterfoil_protocol::terminal::{Input, Key, Output, Record, codes, migrate};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::catalog::{
    ChangeV1, DeltaAnswer, DeltaPage, EntityV1, ProductV1, SnapshotPage,
};
use proptest::prelude::*;
use support::{Till, block_on};

const NOW: Millis = Millis(1_000);
const CODES: u8 = 6;

/// A product, and which of the few barcodes it has; none if it is deleted.
type Wish = (u8, Option<u8>);

#[derive(Clone, Debug)]
enum Move {
    Delta(Vec<Wish>),
    Snapshot(Vec<Wish>),
    /// An older program had this database: no version, no index.
    Older,
    Open,
    Step(usize),
    /// A step that was taken before comes again.
    StepTwice(usize),
}

struct World {
    till: Till,
    version: u64,
}

fn code(number: u8) -> Label {
    Label::parse(&format!("code-{number}")).unwrap()
}

fn change(version: u64, (number, codes): Wish) -> ChangeV1 {
    let product_id = ProductId::parse(&format!("p{number:02}")).unwrap();
    let content = codes.map(|mask| {
        let wire = EntityV1::Product(ProductV1 {
            product_id,
            name: "tea".into(),
            barcodes: (0..CODES).filter(|n| mask & (1 << n) != 0).map(code).collect(),
            price_minor: 1,
            currency: "GBP".into(),
            tax_ppm: 0,
            unit: Label::parse("pcs").unwrap(),
            category: None,
            active: true,
        });
        Entity::parse(wire).unwrap().canonical().into()
    });
    ChangeV1 { id: EntityId::product(product_id), version, content }
}

fn changes(version: u64, wishes: Vec<Wish>) -> Vec<ChangeV1> {
    let mut changes: Vec<_> = wishes.into_iter().map(|wish| change(version, wish)).collect();
    changes.sort_by_key(|change| change.id);
    changes.dedup_by_key(|change| change.id);
    changes
}

impl World {
    fn new() -> Self {
        let mut world = Self { till: Till::install(1), version: 0 };
        world.step(Move::Snapshot(Vec::new()));
        world
    }

    fn run(&mut self, input: Input) -> Output {
        self.till.run(NOW, input)
    }

    fn step(&mut self, step: Move) {
        match step {
            Move::Delta(wishes) => {
                let (from, to) = (self.version, self.version + 1);
                let changes = changes(to, wishes);
                let page = DeltaPage { from, to, changes, head: None };
                self.run(Input::Delta(DeltaAnswer::Page(page)));
                self.version = to;
            }
            Move::Snapshot(wishes) => {
                self.run(Input::Delta(DeltaAnswer::Resync));
                self.version += 1;
                let wishes = wishes.into_iter().filter(|(_, codes)| codes.is_some()).collect();
                let entities = changes(self.version, wishes);
                let page = SnapshotPage { pinned: self.version, after: None, last: None, entities };
                let run = block_on(beside(&self.till.store, page)).unwrap();
                self.run(Input::CatalogRun(run));
            }
            Move::Older => {
                let older = |key: &Key| !matches!(key, Key::Schema | Key::Code(..));
                self.till.store.rows.retain(|key, _| older(key));
                self.step(Move::Open);
            }
            Move::Open => {
                let meta = self.till.meta();
                let witness = Witness { install: meta.install, boot: meta.boot };
                let fresh = Witness { install: meta.install, boot: meta.boot + 1 };
                let opened = self.run(Input::Open { witness: Some(witness), fresh, nonce: 7 });
                assert!(matches!(opened, Output::Opened { parted: None, .. }), "{opened:?}");
            }
            Move::Step(most) => self.migrate(most, 1),
            Move::StepTwice(most) => self.migrate(most, 2),
        }
    }

    fn migrate(&mut self, most: usize, times: usize) {
        if let Some(step) = block_on(migrate::next(&self.till.store, most)).unwrap() {
            for _ in 0..times {
                self.run(Input::Migrate(step.clone()));
            }
        }
    }

    /// What the products say, read with nothing of the index.
    fn said(&self) -> BTreeSet<(Label, ProductId)> {
        let products = self.till.store.rows.iter().filter_map(|(key, record)| {
            let (Key::Item(id), Record::Item(item)) = (key, record) else { return None };
            match Entity::from_canonical(*id, &item.content) {
                Ok(Entity::Product(product)) => Some(product),
                _ => None,
            }
        });
        products.flat_map(|p| p.barcodes.into_iter().map(move |code| (code, p.id))).collect()
    }

    fn agrees(&self) -> bool {
        let said = self.said();
        let held = self.till.store.rows.keys().filter_map(|key| match key {
            Key::Code(code, product) => Some((*code, *product)),
            _ => None,
        });
        let held: BTreeSet<_> = held.collect();
        let Record::Schema(schema) = &self.till.store.rows[&Key::Schema] else { return false };
        match schema.codes {
            CodeIndex::Whole => held == said,
            CodeIndex::Until(after) => {
                let built = |(_, id): &&(Label, ProductId)| Some(EntityId::product(*id)) <= after;
                held.is_subset(&said) && said.iter().filter(built).all(|row| held.contains(row))
            }
        }
    }
}

fn any_move() -> impl Strategy<Value = Move> {
    let codes = prop_oneof![4 => (0..1_u8 << CODES).prop_map(Some), 1 => Just(None)];
    let wishes = || prop::collection::vec((0..12_u8, codes.clone()), 0..8);
    prop_oneof![
        6 => wishes().prop_map(Move::Delta),
        2 => wishes().prop_map(Move::Snapshot),
        2 => Just(Move::Older),
        1 => Just(Move::Open),
        6 => (1..4_usize).prop_map(Move::Step),
        1 => (1..4_usize).prop_map(Move::StepTwice),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn after_any_pages_and_steps_the_index_is_what_the_products_say(
        moves in prop::collection::vec(any_move(), 1..50),
    ) {
        let mut world = World::new();
        for step in moves {
            world.step(step.clone());
            prop_assert!(world.agrees(), "after {step:?}");
        }
        for _ in 0..20 {
            world.step(Move::Step(2));
            prop_assert!(world.agrees());
        }
        prop_assert!(block_on(migrate::is_complete(&world.till.store)).unwrap());
        for number in 0..CODES {
            let found = block_on(codes::find(&world.till.store, code(number))).unwrap();
            let said = world.said().into_iter().filter(|(said, _)| *said == code(number));
            prop_assert_eq!(found, said.map(|(_, id)| id).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_new_database_has_nothing_to_migrate() {
    let till = Till::install(1);
    assert_eq!(block_on(migrate::version(&till.store)).unwrap(), migrate::SCHEMA_VERSION);
    assert!(block_on(migrate::is_complete(&till.store)).unwrap());
    assert_eq!(block_on(migrate::next(&till.store, 1)).unwrap(), None);
}
