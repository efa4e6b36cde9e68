//! What was edited at a till is seen there from its commit until the cloud's catalog has it, or has
//! what somebody wrote later: it never flickers back, and nothing lies over for ever.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;

use counterfoil_protocol::catalog::{
    CatalogEdit, EditError, Entity, EntityId, FieldChange, FieldValue,
};
use counterfoil_protocol::cloud::catalog::{delta_with_edits, snapshot};
use counterfoil_protocol::cloud::{self, Cloud, Edit, Edits};
use counterfoil_protocol::event::{Body, EventError};
use counterfoil_protocol::identity::ProductId;
use counterfoil_protocol::label::Label;
use counterfoil_protocol::terminal::catalog::{Standing, Wanted, beside, wanted};
use counterfoil_protocol::terminal::edits::{
    LocalEdits, TOLD_MAX, WAITING_MAX, asked, local_edits,
};
use counterfoil_protocol::terminal::{self, Draft, Input, Output, Parted};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::catalog::{
    DeltaAnswer, EDITS_ASKED_MAX, EntityV1, ProductV1, SnapshotPage,
};
use counterfoil_protocol::wire::message::EditOutcome;
use proptest::prelude::*;
use support::{
    Node, Till, adopt, block_on, draft, greet, local, offer, pos, quiesce, site, terminal_id,
};

const NOW: Millis = Millis(1_000);
const PRODUCTS: u8 = 3;

fn id(number: u8) -> EntityId {
    EntityId::product(ProductId::parse(&format!("p{number}")).unwrap())
}

fn product(number: u8, name: &str) -> Entity {
    Entity::parse(EntityV1::Product(ProductV1 {
        product_id: ProductId(id(number).id),
        name: name.into(),
        barcodes: vec![],
        price_minor: 149,
        currency: "GBP".into(),
        tax_ppm: 200_000,
        unit: Label::parse("pcs").unwrap(),
        category: None,
        active: true,
    }))
    .unwrap()
}

fn name_of(entity: &Entity) -> String {
    let Entity::Product(product) = entity else { panic!("{entity:?}") };
    product.name.clone()
}

/// A page of the catalog on its way to the till.
#[derive(Clone, Debug)]
enum Mail {
    Delta(DeltaAnswer),
    Run(SnapshotPage),
}

#[derive(Clone)]
struct World {
    node: Node,
    till: Till,
    now: Millis,
    mail: Vec<Mail>,
    /// Names are numbers: each is written once, and tells when.
    written: u64,
    /// What the cloud has committed of each product, in order; none is a deletion.
    commits: Vec<(u8, Option<u64>)>,
    /// The last edit here of each product: its name, and the number that it wrote.
    edits: BTreeMap<u8, u64>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            node: Node::new(Cloud::default()),
            till: Till::install(1),
            now: NOW,
            mail: Vec::new(),
            written: 0,
            commits: Vec::new(),
            edits: BTreeMap::new(),
        };
        for number in 0..PRODUCTS {
            world.operator(number, true);
        }
        world.settle();
        world
    }

    fn operator(&mut self, number: u8, put: bool) {
        self.written += 1;
        let name = self.written.to_string();
        let entity = put.then(|| product(number, &name));
        let edits = vec![Edit { branch: None, id: id(number), entity }];
        let edits = Edits::new(site().shop, edits).unwrap();
        self.node.run(self.now, cloud::Input::EditCatalog(edits));
        self.commits.push((number, put.then_some(self.written)));
    }

    /// Somebody at the till writes a new name over the one that is seen.
    fn edit(&mut self, number: u8) -> Option<Draft> {
        let seen = self.seen(number)?;
        self.written += 1;
        let draft = edit(number, &seen, &self.written.to_string());
        adopt(&mut self.till, self.now); // as each driver
        self.till.sell(self.now, draft.clone());
        self.edits.insert(number, self.written);
        Some(draft)
    }

    /// Offers what waits; what is new to the cloud is noted as its next commits.
    fn push(&mut self, heard: bool) {
        let before = self.notes();
        greet(&mut self.till, &mut self.node, self.now);
        adopt(&mut self.till, self.now);
        offer(&mut self.till, &mut self.node, self.now, heard);
        let mut new: Vec<_> =
            self.notes().into_iter().filter(|(key, _)| !before.contains_key(key)).collect();
        new.sort_by_key(|(_, (_, written, _))| *written);
        for (_, (number, written, outcome)) in new {
            if outcome <= EditOutcome::Overwrote {
                self.commits.push((number, Some(written)));
            }
        }
    }

    fn notes(&self) -> BTreeMap<String, (u8, u64, EditOutcome)> {
        let rows = self.node.store.rows.iter();
        rows.filter_map(|(key, record)| match (key, record) {
            (cloud::Key::EditNote(_, key), cloud::Record::EditNote(note)) => {
                let number: u8 = note.entity.id.as_str()[1..].parse().unwrap();
                let text = key.local_id.to_string();
                Some((key.to_string(), (number, text.parse().unwrap(), note.outcome())))
            }
            _ => None,
        })
        .collect()
    }

    fn ask(&mut self, lose: bool) -> Option<Standing> {
        let (shop, branch) = (site().shop, site().branch);
        let store = &self.node.store;
        let edits = block_on(asked(&self.till.store)).unwrap();
        let terminal = terminal_id();
        let mail = match block_on(wanted(&self.till.store)).unwrap() {
            Wanted::Delta(from) => {
                let answer = delta_with_edits(store, site(), terminal, from, 2, &edits);
                Mail::Delta(block_on(answer).unwrap())
            }
            Wanted::Snapshot { pinned, after } => {
                Mail::Run(block_on(snapshot(store, shop, branch, pinned, after, 2)).unwrap())
            }
        };
        self.mail.push(mail.clone());
        (!lose).then(|| self.deliver(mail))
    }

    fn deliver(&mut self, mail: Mail) -> Standing {
        let input = match mail {
            Mail::Delta(answer) => Input::Delta(answer),
            Mail::Run(page) => Input::CatalogRun(block_on(beside(&self.till.store, page)).unwrap()),
        };
        let output = self.till.run(self.now, input);
        let Output::Catalogued(standing) = output else { panic!("{output:?}") };
        standing
    }

    fn local(&self) -> LocalEdits {
        block_on(local_edits(&self.till.store)).unwrap()
    }

    /// What somebody at the till sees of a product.
    fn seen(&self, number: u8) -> Option<String> {
        let terminal::Record::Item(item) =
            self.till.store.rows.get(&terminal::Key::Item(id(number)))?
        else {
            panic!("an item")
        };
        let mut entity = Entity::from_canonical(id(number), &item.content).unwrap();
        self.local().lay_over(&mut entity);
        Some(name_of(&entity))
    }

    /// The last edit that was made here is seen, or what was committed after it.
    fn never_flickers(&self) {
        for (number, written) in &self.edits {
            let at = self.commits.iter().position(|commit| *commit == (*number, Some(*written)));
            let seen = self.seen(*number).map(|name| name.parse::<u64>().unwrap());
            let later = at.is_some_and(|at| self.commits[at..].contains(&(*number, seen)));
            // A product that was deleted (or is seen so) shows nothing.
            let deleted = self.commits.contains(&(*number, None));
            assert!(
                seen == Some(*written) || later || deleted,
                "product {number} shows {seen:?}, was renamed {written} here: {:?}",
                self.commits
            );
        }
    }

    /// After the faults: everything is said and heard.
    fn settle(&mut self) {
        quiesce(&mut self.till, &mut self.node, &mut self.now);
        for _ in 0..100 {
            self.ask(false);
        }
    }

    fn at_rest(&self) {
        assert_eq!(self.local().waiting, [], "nothing lies over for ever");
        for number in 0..PRODUCTS {
            let key = cloud::Key::Item(site().shop, None, id(number));
            let Some(cloud::Record::Item(item)) = self.node.store.rows.get(&key) else { panic!() };
            let held = item.content.as_deref();
            let held = held.map(|held| name_of(&Entity::from_canonical(id(number), held).unwrap()));
            assert_eq!(self.seen(number), held, "product {number}");
        }
    }
}

fn edit(number: u8, from: &str, to: &str) -> Draft {
    let value = |text: &str| FieldValue::Name(text.to_owned());
    let change = FieldChange::new(value(from), value(to)).unwrap();
    let edit = CatalogEdit::new(id(number), 1, vec![change]).unwrap();
    draft("1", to, Body::CatalogEdited(edit))
}

#[derive(Clone, Debug)]
enum Move {
    Operator(u8, bool),
    Edit(u8),
    Push { heard: bool },
    Ask { lose: bool },
    Again(usize),
}

fn any_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        3 => (0..PRODUCTS, prop::bool::weighted(0.9)).prop_map(|(n, put)| Move::Operator(n, put)),
        4 => (0..PRODUCTS).prop_map(Move::Edit),
        4 => prop::bool::weighted(0.7).prop_map(|heard| Move::Push { heard }),
        6 => prop::bool::weighted(0.3).prop_map(|lose| Move::Ask { lose }),
        3 => (0..100_usize).prop_map(Move::Again),
    ]
}

impl World {
    fn step(&mut self, step: &Move) {
        match *step {
            Move::Operator(number, put) => self.operator(number, put),
            Move::Edit(number) => drop(self.edit(number)),
            Move::Push { heard } => self.push(heard),
            Move::Ask { lose } => drop(self.ask(lose)),
            Move::Again(index) => {
                if !self.mail.is_empty() {
                    let mail = self.mail[index % self.mail.len()].clone();
                    self.deliver(mail);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_name_that_was_changed_here_never_flickers_back(
        moves in prop::collection::vec(any_move(), 1..60),
    ) {
        let mut world = World::new();
        for step in moves {
            world.step(&step);
            world.never_flickers();
        }
        world.settle();
        world.at_rest();
    }

    #[test]
    fn restores_of_either_side_leave_nothing_lying_over(
        before in prop::collection::vec(any_move(), 0..20),
        between in prop::collection::vec(any_move(), 0..20),
        after in prop::collection::vec(any_move(), 0..20),
        (till, cloud) in any::<(bool, bool)>(),
    ) {
        let mut world = World::new();
        before.iter().for_each(|step| world.step(step));
        let backup = world.clone();
        between.iter().for_each(|step| world.step(step));
        if till {
            world.till.store = backup.till.store.clone();
            world.till.open(world.now, 77);
        }
        if cloud {
            world.node = backup.node;
        }
        after.iter().for_each(|step| world.step(step));
        world.settle();
        world.at_rest();
    }
}

/// The table of the module, row by row.
#[test]
fn it_goes_with_the_proof_and_with_nothing_less() {
    let mut world = World::new();
    world.edit(0);
    assert_eq!(world.local().waiting.len(), 1);
    world.ask(false);
    assert_eq!(world.local().waiting.len(), 1, "a proof before the cloud has decided");
    world.operator(0, true); // somebody else, before the edit is there
    world.push(false);
    assert_eq!(world.local().waiting[0].decided, None, "the answer is lost");
    world.push(true);
    assert_eq!(world.local().waiting[0].decided, Some(5), "decided, and it stays");
    let mut early = world.clone();
    let Wanted::Delta(from) = block_on(wanted(&early.till.store)).unwrap() else { panic!() };
    early.deliver(Mail::Delta(DeltaAnswer::Resync));
    assert_eq!(early.local().waiting.len(), 1, "nothing is proven by a resync of {from}");
    early.ask(false);
    assert_eq!(early.local().waiting.len(), 1, "nor by a run of a snapshot");
    world.ask(false);
    assert_eq!(world.local(), LocalEdits { waiting: vec![], told: world.local().told });
    assert_eq!(world.local().told.len(), 1, "what it overwrote is told");
    assert_eq!(world.local().told[0].outcome, EditOutcome::Overwrote);
    world.at_rest();
}

/// The cloud is restored, and an image of the till brings the edit there again: this till's answer
/// was of the cloud as it had been.
#[test]
fn a_decision_of_a_cloud_that_was_restored_ends_all_the_same() {
    let mut world = World::new();
    let backup = world.node.clone();
    (0..5).for_each(|_| world.operator(1, true));
    world.edit(0);
    world.push(true);
    let image = world.till.store.clone();
    let decided = world.local().waiting[0].decided;
    world.node = backup;
    world.push(true);
    assert!(world.local().waiting[0].decided < decided, "decided anew, at an earlier version");
    world.till.store = image;
    world.push(true);
    assert_eq!(world.local().waiting[0].decided, decided, "the cloud has it, and says no more");
    world.ask(false);
    assert_eq!(world.local().waiting, [], "but that it is in what it proves");
    world.settle();
    world.at_rest();
}

/// The cloud is restored to before the edit, and goes on to the same version by another way.
#[test]
fn a_restored_cloud_that_is_as_far_again_ends_nothing() {
    let mut world = World::new();
    let backup = world.node.clone();
    world.edit(0);
    world.push(true);
    let decided = world.local().waiting[0].decided;
    world.node = backup;
    world.operator(1, true);
    let stands = world.ask(false).unwrap();
    assert!(stands.proven && stands.version == decided, "the same version, and proven");
    assert_eq!(world.local().waiting.len(), 1, "without the edit");
    world.never_flickers();
    world.settle();
    world.at_rest();
}

#[test]
fn an_edit_of_the_same_name_with_another_payload_ends_nothing() {
    let mut world = World::new();
    world.edit(0);
    world.push(true);
    world.ask(true);
    let Some(Mail::Delta(DeltaAnswer::WithEdits(page, held))) = world.mail.last() else { panic!() };
    let (page, mut other) = (page.clone(), held.clone());
    other[0].payload_hash.0[0] ^= 1;
    for answer in [DeltaAnswer::WithEdits(page.clone(), other), DeltaAnswer::Page(page)] {
        let mut world = world.clone();
        let stands = world.deliver(Mail::Delta(answer));
        assert!(stands.proven && stands.version > Some(u64::from(PRODUCTS)), "it is taken");
        assert_eq!(world.local().waiting.len(), 1);
    }
    world.settle();
    world.at_rest();
}

/// A row that came from an operator's commit before the edit is newer than the till's, and ends
/// nothing.
#[test]
fn a_newer_row_from_before_the_edit_ends_nothing() {
    let mut world = World::new();
    world.operator(0, true);
    world.ask(true);
    let before_the_edit = world.mail.last().cloned().unwrap();
    world.edit(0);
    world.push(true);
    world.deliver(before_the_edit);
    assert_eq!(world.local().waiting.len(), 1);
    world.never_flickers();
    world.ask(false);
    world.at_rest();
}

#[test]
fn a_later_edit_of_the_field_replaces_the_earlier_one() {
    let mut world = World::new();
    world.edit(0);
    world.push(true); // the first is decided ...
    world.edit(0); // ... when the second is made
    assert_eq!(world.local().waiting.len(), 1);
    world.ask(false);
    assert_eq!(world.local().waiting.len(), 1, "the second waits");
    world.never_flickers();
    world.push(true);
    world.ask(false);
    world.at_rest();
}

#[test]
fn an_edit_that_is_carried_over_into_another_history_goes_the_same_way() {
    let mut world = World::new();
    world.edit(0);
    world.till.witness = None;
    assert_eq!(world.till.open(NOW, 9), Some(Parted::Copied));
    world.never_flickers();
    world.settle();
    world.at_rest();
}

#[test]
fn a_field_of_the_clouds_never_lies_over() {
    let mut world = World::new();
    let price = FieldChange::new(
        FieldValue::Price(counterfoil_protocol::money::Minor(149)),
        FieldValue::Price(counterfoil_protocol::money::Minor(1)),
    );
    let edit = CatalogEdit::new(id(0), 1, vec![price.unwrap()]).unwrap();
    world.till.sell(NOW, draft("1", "0", Body::CatalogEdited(edit)));
    assert_eq!(world.local(), LocalEdits::default());
    world.settle();
    assert_eq!(world.local().told[0].outcome, EditOutcome::ServerOwned);
}

#[test]
fn the_tills_own_rows_stay_the_clouds_and_it_is_one_commit() {
    let mut world = World::new();
    let item = |world: &World| world.till.store.rows[&terminal::Key::Item(id(0))].clone();
    let (before, commits) = (item(&world), world.till.store.commits);
    let made = world.edit(0).unwrap();
    assert_eq!(world.till.store.commits, commits + 1);
    assert_eq!(item(&world), before);
    assert!(world.till.store.wrote.contains(&terminal::Key::LocalEdits));
    assert!(world.till.store.wrote.contains(&terminal::Key::Local(pos("1"), made.local_id)));
    let again = world.till.record(NOW, made);
    assert!(matches!(again, Output::Recorded { again: true, .. }), "{again:?}");
    assert!(!world.till.store.wrote.contains(&terminal::Key::LocalEdits), "again is harmless");
}

#[test]
fn what_waits_and_what_is_told_is_bounded() {
    let mut world = World::new();
    let many = |number: usize| {
        let id = EntityId::product(ProductId::parse(&format!("x{number}")).unwrap());
        let value = |text: &str| FieldValue::Name(text.to_owned());
        let change = FieldChange::new(value("a"), value("b")).unwrap();
        let edit = CatalogEdit::new(id, 0, vec![change]).unwrap();
        draft("1", &format!("{number}"), Body::CatalogEdited(edit))
    };
    for number in 0..WAITING_MAX {
        world.till.sell(NOW, many(number));
    }
    let commits = world.till.store.rows.len();
    let refused = world.till.record(NOW, many(WAITING_MAX));
    assert_eq!(refused, Output::Invalid(EventError::Edit(EditError::Waiting)));
    assert_eq!(world.till.store.rows.len(), commits, "nothing was recorded");
    assert_eq!(block_on(local_edits(&world.till.store)).unwrap().waiting.len(), WAITING_MAX);
    quiesce(&mut world.till, &mut world.node, &mut world.now);
    assert_eq!(world.local().told.len(), TOLD_MAX, "the last ones");
    for left in (0..WAITING_MAX / EDITS_ASKED_MAX).rev() {
        let standing = world.ask(false).unwrap();
        assert_eq!(world.local().waiting.len(), left * EDITS_ASKED_MAX);
        assert_eq!(standing.more_edits, left > 0, "it asks on at once");
    }
    assert!(matches!(
        world.till.record(NOW, many(WAITING_MAX)),
        Output::Recorded { again: false, .. }
    ));
    let first = terminal::Key::Local(pos("1"), local("0"));
    assert!(world.till.store.rows.contains_key(&first), "nothing is forgotten");
}
