//! `CatalogConverges`: whatever is edited, lost, repeated, reordered or restored on the way, a till
//! that has asked often enough has the cloud's catalog, and its version never goes back by itself.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;

use counterfoil_protocol::catalog::{Entity, EntityError, EntityId, Kind};
use counterfoil_protocol::cloud::catalog::{delta, snapshot};
use counterfoil_protocol::cloud::heads::heads;
use counterfoil_protocol::cloud::{self, Cloud, Edit, Edits};
use counterfoil_protocol::identity::{BranchId, CategoryId, ProductId, TerminalId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::terminal::catalog::{Standing, Wanted, beside, wanted};
use counterfoil_protocol::terminal::heads::at_head;
use counterfoil_protocol::terminal::{self, Input, Output};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::catalog::{
    BranchPriceV1, CategoryV1, DeltaAnswer, EntityV1, ProductV1, SnapshotPage,
};
use counterfoil_protocol::wire::heads::Heads;
use proptest::prelude::*;
use support::{Node, Till, block_on, site};

const NOW: Millis = Millis(1_000);

/// What a person with a pencil would know: the entities that a branch sees.
type Books = BTreeMap<(Option<BranchId>, EntityId), Vec<u8>>;

fn name(number: u8) -> ProductId {
    ProductId::parse(&format!("p{number:03}")).unwrap()
}

fn product(number: u8, price: i64) -> Entity {
    Entity::parse(EntityV1::Product(ProductV1 {
        product_id: name(number),
        name: format!("product {number}"),
        barcodes: vec![Label::parse(&format!("400{number:04}")).unwrap()],
        price_minor: price,
        currency: "GBP".into(),
        tax_ppm: 200_000,
        unit: Label::parse("pcs").unwrap(),
        category: None,
        active: true,
    }))
    .unwrap()
}

fn category(number: u8, text: &str) -> Entity {
    let category_id = CategoryId(name(number).0);
    Entity::parse(EntityV1::Category(CategoryV1 { category_id, name: text.into() })).unwrap()
}

fn branch_price(number: u8, price: i64) -> Entity {
    let wire = BranchPriceV1 { product_id: name(number), price_minor: price };
    Entity::parse(EntityV1::BranchPrice(wire)).unwrap()
}

fn other_branch() -> BranchId {
    BranchId::parse("elsewhere").unwrap()
}

/// A page on its way to the till.
#[derive(Clone, Debug)]
enum Mail {
    Delta(DeltaAnswer),
    Run(SnapshotPage),
}

struct World {
    node: Node,
    backup: (Node, Books),
    till: Till,
    till_backup: Till,
    books: Books,
    /// Everything that was ever sent: the network may bring any of it again.
    mail: Vec<Mail>,
    drifts: u32,
}

#[derive(Clone, Debug)]
enum Move {
    Edit(Vec<(u8, u8, Option<i64>)>),
    Ask { limit: usize, lose: bool },
    Again(usize),
    BackUpCloud,
    RestoreCloud,
    BackUpTill,
    RestoreTill,
}

impl World {
    fn new() -> Self {
        let (node, till) = (Node::new(Cloud::default()), Till::install(1));
        Self {
            backup: (node.clone(), Books::new()),
            node,
            till_backup: till.clone(),
            till,
            books: Books::new(),
            mail: Vec::new(),
            drifts: 0,
        }
    }

    fn step(&mut self, step: Move) {
        match step {
            Move::Edit(edits) => self.edit(&edits),
            Move::Ask { limit, lose } => self.ask(limit, lose),
            Move::Again(index) => {
                if !self.mail.is_empty() {
                    let mail = self.mail[index % self.mail.len()].clone();
                    self.deliver(mail);
                }
            }
            Move::BackUpCloud => self.backup = (self.node.clone(), self.books.clone()),
            Move::RestoreCloud => (self.node, self.books) = self.backup.clone(),
            Move::BackUpTill => self.till_backup = self.till.clone(),
            Move::RestoreTill => self.till = self.till_backup.clone(),
        }
    }

    fn edit(&mut self, wishes: &[(u8, u8, Option<i64>)]) {
        let mut edits: Vec<Edit> = Vec::new();
        for (kind, number, price) in wishes {
            let (branch, id, entity) = match kind % 4 {
                0 => (None, EntityId::product(name(*number)), price.map(|p| product(*number, p))),
                1 => {
                    let id = EntityId { kind: Kind::Category, id: name(*number).0 };
                    (None, id, price.map(|p| category(*number, &format!("c{p}"))))
                }
                own => {
                    let branch = if own == 2 { site().branch } else { other_branch() };
                    let id = EntityId::branch_price(name(*number));
                    (Some(branch), id, price.map(|p| branch_price(*number, p)))
                }
            };
            if !edits.iter().any(|edit| (edit.branch, edit.id) == (branch, id)) {
                match &entity {
                    Some(entity) => self.books.insert((branch, id), entity.canonical()),
                    None => self.books.remove(&(branch, id)),
                };
                edits.push(Edit { branch, id, entity });
            }
        }
        let edits = Edits::new(site().shop, edits).unwrap();
        let output = self.node.run(NOW, cloud::Input::EditCatalog(edits));
        assert!(matches!(output, cloud::Output::Edited { .. }), "{output:?}");
    }

    fn ask(&mut self, limit: usize, lose: bool) {
        let (shop, branch) = (site().shop, site().branch);
        let mail = match block_on(wanted(&self.till.store)).unwrap() {
            Wanted::Delta(from) => {
                let answer = block_on(delta(&self.node.store, shop, branch, from, limit)).unwrap();
                Mail::Delta(DeltaAnswer::decode(&answer.encode()).unwrap())
            }
            Wanted::Snapshot { pinned, after } => {
                let store = &self.node.store;
                let page = block_on(snapshot(store, shop, branch, pinned, after, limit)).unwrap();
                Mail::Run(SnapshotPage::decode(&page.encode()).unwrap())
            }
        };
        self.mail.push(mail.clone());
        if !lose {
            self.deliver(mail);
        }
    }

    fn deliver(&mut self, mail: Mail) -> Standing {
        let before = self.version();
        let run = matches!(mail, Mail::Run(_));
        let input = match mail {
            Mail::Delta(answer) => Input::Delta(answer),
            Mail::Run(page) => Input::CatalogRun(block_on(beside(&self.till.store, page)).unwrap()),
        };
        let Output::Catalogued(standing) = self.till.run(NOW, input) else { panic!() };
        assert!(standing.version >= before || run, "versions never go back by a delta");
        standing
    }

    fn version(&self) -> Option<u64> {
        match self.till.store.rows.get(&terminal::Key::Catalog) {
            Some(terminal::Record::Catalog(state)) => state.version,
            _ => None,
        }
    }

    /// Something changes a row on the till, and nobody says so.
    fn drift(&mut self, which: u8) {
        let items = self.till.store.rows.iter_mut().filter_map(|(key, record)| {
            if let terminal::Record::Item(item) = record { Some((*key, item)) } else { None }
        });
        let mut items: Vec<_> = items.collect();
        if items.is_empty() {
            return;
        }
        let index = usize::from(which) % items.len();
        let (key, item) = &mut items[index];
        let terminal::Key::Item(id) = *key else { return };
        let number = 200 + which % 50;
        let other =
            if id.kind == Kind::Product { product(number, 1) } else { branch_price(number, 1) };
        item.content = other.canonical().into();
        self.drifts += 1;
    }

    /// What the cloud says beside a greeting spares a question exactly if that would only prove
    /// again what is proven; and then the till has all of it.
    fn a_word_is_worth_a_question(&self) {
        let (site, terminal) = (site(), TerminalId::parse("T-1").unwrap());
        let said = block_on(heads(&self.node.store, site, terminal)).unwrap().unwrap();
        let said = Heads::from_text(&said.to_string()).unwrap();
        let spared = block_on(at_head(&self.till.store, &said)).unwrap().catalog;
        let Some(terminal::Record::Catalog(state)) =
            self.till.store.rows.get(&terminal::Key::Catalog)
        else {
            return assert!(!spared, "who has nothing asks");
        };
        let nothing = match state.wanted() {
            Wanted::Delta(from) => {
                let store = &self.node.store;
                let answer = block_on(delta(store, site.shop, site.branch, from, 5)).unwrap();
                answer.page().is_some_and(|(page, _)| {
                    page.to == from && page.head.is_some_and(|head| head.digest == state.digest)
                })
            }
            Wanted::Snapshot { .. } => false,
        };
        assert_eq!(spared, nothing && state.proven, "{said}");
        assert!(!spared || self.converged(), "who is spared the question has the catalog");
    }

    /// What the till holds is what the cloud's books say of its branch.
    fn converged(&self) -> bool {
        let held: BTreeMap<EntityId, Vec<u8>> = self
            .till
            .store
            .rows
            .iter()
            .filter_map(|(key, record)| match (key, record) {
                (terminal::Key::Item(id), terminal::Record::Item(item)) => {
                    Some((*id, item.content.to_vec()))
                }
                _ => None,
            })
            .collect();
        let ours = |branch: &Option<BranchId>| branch.is_none_or(|branch| branch == site().branch);
        let expected: BTreeMap<EntityId, Vec<u8>> = self
            .books
            .iter()
            .filter(|((branch, _), _)| ours(branch))
            .map(|((_, id), content)| (*id, content.clone()))
            .collect();
        held == expected
    }

    /// After the faults have stopped: the till asks until it has nothing to ask for.
    fn settle(&mut self) {
        for _ in 0..400 {
            self.ask(3, false);
            let proven = matches!(
                self.till.store.rows.get(&terminal::Key::Catalog),
                Some(terminal::Record::Catalog(state)) if state.proven
            );
            if proven {
                return;
            }
        }
        panic!("the catalog does not come to rest: {:?}", block_on(wanted(&self.till.store)));
    }
}

fn any_move() -> impl Strategy<Value = Move> {
    let price = prop_oneof![3 => (0..5_i64).prop_map(Some), 1 => Just(None)];
    let edits = prop::collection::vec((0..4_u8, 0..12_u8, price), 1..6);
    prop_oneof![
        6 => edits.prop_map(Move::Edit),
        8 => (1..5_usize, prop::bool::weighted(0.2))
            .prop_map(|(limit, lose)| Move::Ask { limit, lose }),
        3 => (0..100_usize).prop_map(Move::Again),
        1 => Just(Move::BackUpCloud),
        1 => Just(Move::RestoreCloud),
        1 => Just(Move::BackUpTill),
        1 => Just(Move::RestoreTill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_till_that_asks_often_enough_has_the_catalog(
        moves in prop::collection::vec(any_move(), 1..60),
    ) {
        let mut world = World::new();
        for step in moves {
            world.step(step);
            world.a_word_is_worth_a_question();
        }
        world.settle();
        prop_assert!(world.converged());
        world.a_word_is_worth_a_question();
    }
}

fn filled(products: u8) -> World {
    let mut world = World::new();
    for number in 0..products {
        world.edit(&[(0, number, Some(1)), (2, number, Some(2))]);
    }
    world.settle();
    assert!(world.converged());
    world
}

#[test]
fn an_unchanged_catalog_is_proven_without_another_word() {
    let mut world = filled(20);
    let before = world.mail.len();
    world.ask(100, false);
    assert_eq!(world.mail.len(), before + 1, "one question");
    let Some(Mail::Delta(DeltaAnswer::Page(page))) = world.mail.last() else { panic!() };
    assert!(page.changes.is_empty() && page.head.is_some());
}

#[test]
fn all_that_one_commit_changes_comes_in_one_page() {
    let mut world = filled(3);
    let wishes: Vec<_> = (0..9).map(|number| (0, number, Some(7))).collect();
    world.edit(&wishes);
    let version = world.version().unwrap();
    let (shop, branch) = (site().shop, site().branch);
    let answer = block_on(delta(&world.node.store, shop, branch, version, 1)).unwrap();
    let DeltaAnswer::Page(page) = answer else { panic!() };
    assert_eq!(page.changes.len(), 9, "more than was asked for, but one commit");
    assert!(page.changes.iter().all(|change| change.version == version + 1));
}

#[test]
fn nothing_of_another_branch_is_ever_sent() {
    let mut world = filled(4);
    world.edit(&[(3, 1, Some(9)), (3, 2, Some(9))]);
    world.settle();
    assert!(world.converged());
    let foreign = branch_price(1, 9).canonical();
    for mail in &world.mail {
        let changes = match mail {
            Mail::Delta(answer) => match answer.page() {
                Some((page, _)) => &page.changes,
                None => continue,
            },
            Mail::Run(page) => &page.entities,
        };
        let sent = changes.iter().any(|change| change.content.as_deref() == Some(&foreign[..]));
        assert!(!sent, "BranchIsolation");
    }
}

#[test]
fn a_cloud_that_was_restored_and_went_on_differently_is_noticed() {
    let mut world = filled(6);
    world.step(Move::BackUpCloud);
    world.edit(&[(0, 1, Some(50))]);
    world.settle();
    world.step(Move::RestoreCloud);
    // The same version again, with another content.
    world.edit(&[(0, 2, Some(60))]);
    world.settle();
    assert!(world.converged(), "the proof did not hold, so the till compared");
}

#[test]
fn a_snapshot_goes_on_where_a_crash_has_left_it() {
    let mut world = World::new();
    for number in 0..12 {
        world.edit(&[(0, number, Some(1))]);
    }
    world.ask(5, false);
    let Wanted::Snapshot { pinned, after } = block_on(wanted(&world.till.store)).unwrap() else {
        panic!("the snapshot is not complete")
    };
    assert_eq!((pinned, after), (Some(12), Some(EntityId::product(name(4)))));
    // A crash loses nothing that was committed; what is asked for next is the next run.
    world.edit(&[(0, 0, Some(99)), (0, 11, None)]);
    world.settle();
    assert!(world.converged(), "what changed meanwhile came with the delta");
    let runs = world.mail.iter().filter(|mail| matches!(mail, Mail::Run(_))).count();
    assert_eq!(runs, 3, "5, then 3 and 3 of the 11 that are left, and none twice");
}

#[test]
fn edits_keep_their_rules() {
    use cloud::catalog::{EDITS_MAX, EditsError};
    let shop = site().shop;
    let edit = |branch, id, entity| Edit { branch, id, entity };
    let id = EntityId::product(name(1));
    let price = EntityId::branch_price(name(1));
    let branch = Some(site().branch);
    for (edits, expected) in [
        (vec![], EditsError::Count),
        (vec![edit(None, id, None); EDITS_MAX + 1], EditsError::Count),
        (vec![edit(None, id, None), edit(None, id, None)], EditsError::Twice(id)),
        (vec![edit(branch, id, None)], EditsError::Scope(id)),
        (vec![edit(None, price, None)], EditsError::Scope(price)),
        (vec![edit(None, id, Some(product(2, 1)))], EditsError::Name(id)),
    ] {
        assert_eq!(Edits::new(shop, edits), Err(expected));
    }
}

#[test]
fn what_is_so_already_makes_no_version() {
    let mut world = filled(2);
    let version = world.version().unwrap();
    let id = EntityId::product(name(1));
    let same = Edit { branch: None, id, entity: Some(product(1, 1)) };
    let edits = Edits::new(site().shop, vec![same]).unwrap();
    let output = world.node.run(NOW, cloud::Input::EditCatalog(edits));
    assert_eq!(output, cloud::Output::Edited { version, changed: 0 });
}

#[test]
fn drift_on_the_till_is_found_by_the_next_proof_and_mended() {
    // The till's own sum follows what it was told, so only a recount shows a row that was changed
    // behind its back; the proof shows it as soon as the row is touched again.
    let mut world = filled(5);
    world.drift(0);
    assert_eq!(world.drifts, 1);
    assert!(!world.converged());
    for number in 0..5 {
        world.edit(&[(0, number, Some(30)), (2, number, Some(31))]);
    }
    world.settle();
    assert!(world.converged());
}

/// Pages of a snapshot end before the last name, so nothing may have it.
#[test]
fn the_name_after_all_others_is_refused() {
    let id = |length: usize| "~".repeat(length);
    for (length, expected) in [(35, None), (36, Some(EntityError::LastName))] {
        let product_id = ProductId::parse(&id(length)).unwrap();
        let category_id = CategoryId::parse(&id(length)).unwrap();
        let name = || String::from("a name");
        for wire in [
            EntityV1::Category(CategoryV1 { category_id, name: name() }),
            EntityV1::BranchPrice(BranchPriceV1 { product_id, price_minor: 1 }),
        ] {
            let parsed = Entity::parse(wire);
            assert_eq!(parsed.as_ref().err(), expected.as_ref(), "{length}: {parsed:?}");
        }
    }
}
