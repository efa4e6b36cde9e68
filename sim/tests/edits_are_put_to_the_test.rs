//! `OwnershipHolds` is put to the test: edits of every outcome happen, and its checker can fail.
#![allow(missing_docs, reason = "a test's name is its documentation")]

use std::collections::BTreeSet;
use std::sync::Arc;

use counterfoil_protocol::catalog::{CatalogEdit, EntityId, FieldChange, FieldValue};
use counterfoil_protocol::cloud::row::{Fate, Ledger};
use counterfoil_protocol::cloud::{self, EditNote, FieldNote, Site};
use counterfoil_protocol::event::Event;
use counterfoil_protocol::identity::{
    BranchId, Epoch, EventKey, LocalEventId, PosId, ProductId, ShopId, TerminalId,
};
use counterfoil_protocol::money::Minor;
use counterfoil_protocol::terminal::edits::{LocalEdits, Waiting};
use counterfoil_protocol::terminal::row::CatalogItem;
use counterfoil_protocol::terminal::{self, Identity};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::edit::FieldValueV1;
use counterfoil_protocol::wire::event::{BodyV1, EventV1};
use counterfoil_protocol::wire::message::EditOutcome;
use counterfoil_sim::checker::{Checker, TillRows};
use counterfoil_sim::coverage::{Coverage, Transition};
use counterfoil_sim::law::{Law, Violation};
use counterfoil_sim::plan::{Plan, Shape};
use counterfoil_sim::runner::{Level, run_plan};

#[test]
fn edits_of_every_outcome_happen_and_go() {
    let mut coverage = Coverage::default();
    let mut checked = 0;
    for seed in 0..12 {
        let mut plan = Plan::draw(seed, Shape { tills: 3, chaos_ms: 20_000 });
        (plan.catalog_edit_every_ms, plan.till_edit_every_ms) = (500, 700);
        let summary = run_plan(Level::Model, &plan, None, false);
        assert_eq!(summary.violation, None, "seed {seed}");
        checked += summary.tally.checked(Law::OwnershipHolds);
        coverage.add(&summary.coverage);
    }
    assert!(checked > 1_000, "{checked}");
    for transition in [
        Transition::EditAtTill,
        Transition::ItemEdited,
        Transition::EditTaken,
        Transition::EditOverwrote,
        Transition::EditServerOwned,
        Transition::EditDeleted,
        Transition::EditUnknown,
        Transition::OverlayDropped,
    ] {
        assert!(coverage.transition(transition) > 0, "{} never happened", transition.as_str());
    }
}

fn identity() -> Identity {
    Identity {
        shop: ShopId::parse("shop").expect("a short name"),
        branch: BranchId::parse("branch").expect("a short name"),
        terminal: TerminalId::parse("till").expect("a short name"),
    }
}

fn key() -> EventKey {
    EventKey {
        terminal: identity().terminal,
        pos: PosId::parse("pos").expect("a short name"),
        local_id: LocalEventId::parse("x").expect("a short name"),
    }
}

fn tea() -> EntityId {
    EntityId::product(ProductId::parse("tea").expect("a short name"))
}

/// A ledger row of an edit that asks for a price.
fn posted() -> Ledger {
    let price = |minor| FieldValue::Price(Minor(minor));
    let change = FieldChange::new(price(2), price(1)).expect("a change");
    let edit = CatalogEdit::new(tea(), 1, vec![change]).expect("an edit");
    let wire = EventV1 {
        pos_id: key().pos,
        local_event_id: key().local_id,
        at_ms: 0,
        receipt: None,
        reference: String::new(),
        body: BodyV1::CatalogEdited(edit.to_wire()),
    };
    let (payload_hash, payload) = Event::parse(wire).expect("an event").hashed();
    Ledger {
        site: Site { shop: identity().shop, branch: identity().branch },
        payload_hash,
        payload: payload.into(),
        epoch: Epoch { number: 1, nonce: 7 },
        seq: 1,
        at: Millis(0),
        fate: Fate::Posted,
    }
}

fn note(outcome: EditOutcome) -> EditNote {
    let fields = vec![FieldNote { to: FieldValueV1::PriceMinor(1), stood: None, outcome }];
    EditNote { entity: tea(), base_version: 1, version: 0, at: Millis(0), fields }
}

fn broken(result: Result<(), Violation>) -> Option<Law> {
    result.err().map(|violation| violation.law)
}

/// What the checker says of a push that posts the edit with this note.
fn decided(note: Option<EditNote>) -> Option<Law> {
    let mut written =
        vec![(cloud::Key::Ledger(key()), Some(Arc::new(cloud::Record::Ledger(posted()))))];
    let place = cloud::Key::EditNote(identity().shop, key());
    written.extend(note.map(|note| (place, Some(Arc::new(cloud::Record::EditNote(note))))));
    let site = Site { shop: identity().shop, branch: identity().branch };
    broken(Checker::default().cloud_committed(0, &BTreeSet::from([site]), &written))
}

#[test]
fn a_decision_that_is_no_owners_is_seen() {
    assert_eq!(decided(None), Some(Law::OwnershipHolds), "nobody knows what became of it");
    assert_eq!(decided(Some(note(EditOutcome::Taken))), Some(Law::OwnershipHolds), "a price");
    let other = EditNote { entity: EntityId::FIRST, ..note(EditOutcome::ServerOwned) };
    assert_eq!(decided(Some(other)), Some(Law::OwnershipHolds), "another entity");
    // As it should be: only the till that nobody knows is wrong with it.
    assert_eq!(decided(Some(note(EditOutcome::ServerOwned))), Some(Law::NoPhantom));
}

fn till_commit(key: terminal::Key, record: terminal::Record) -> Option<Law> {
    let mut checker = Checker::default();
    let device = checker.add_device(identity());
    let written = [(key, Some(Arc::new(record)))];
    broken(checker.till_entries(0, device, &TillRows::new(), &written))
}

#[test]
fn a_row_that_the_cloud_never_had_is_seen() {
    let item = CatalogItem { version: 1, content: [1, 2, 3].into() };
    let law = till_commit(terminal::Key::Item(tea()), terminal::Record::Item(item));
    assert_eq!(law, Some(Law::OwnershipHolds));
}

#[test]
fn what_lies_over_without_an_edit_is_seen() {
    for value in [FieldValueV1::Name("Tea".to_owned()), FieldValueV1::PriceMinor(1)] {
        let EventKey { pos, local_id, .. } = key();
        let waiting = Waiting { entity: tea(), value, pos, local_id, decided: None, unused: None };
        let edits = LocalEdits { waiting: vec![waiting], told: Vec::new() };
        let law = till_commit(terminal::Key::LocalEdits, terminal::Record::LocalEdits(edits));
        assert_eq!(law, Some(Law::OwnershipHolds));
    }
}
