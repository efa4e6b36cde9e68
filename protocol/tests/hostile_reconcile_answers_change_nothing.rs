//! Whatever answers a till's questions: it writes nothing, panics never, and makes no plan that
//! does not lead to the catalog that the answer itself has named.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]
#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else it is fails the test")]

mod reconcile_support;
mod support;

use counterfoil_protocol::reconcile::{Next, PlanRefusal, Refusal};
use counterfoil_protocol::wire::catalog::ChangeV1;
use counterfoil_protocol::wire::reconcile::{
    EntitiesAnswer, EntitiesAsk, EntityRow, ReconcileAnswer, ReconcileAsk,
};
use proptest::prelude::*;
use reconcile_support::{Ended, Shop, many, product, sku};

/// A till that has lost one row, garbled one, and has one too many.
fn drifted() -> Shop {
    let mut shop = Shop::with(&many(80));
    shop.lose(sku("p00001"));
    shop.plant(&product("p00002", "Garbled", 1));
    shop.plant(&product("x", "Nobody's", 1));
    shop
}

fn found(shop: &mut Shop) -> (counterfoil_protocol::reconcile::Verify, EntitiesAsk) {
    let mut verify = shop.begin();
    let answer = shop.answer(&verify.ask());
    match verify.answered(answer).unwrap() {
        Next::Fetch(ask) => (verify, ask),
        other => panic!("{other:?}"),
    }
}

#[test]
fn answers_to_the_first_question_that_cannot_be_true() {
    let mut shop = drifted();
    let verify = shop.begin();
    let honest = shop.answer(&verify.ask());
    let ReconcileAnswer::Cells(page) = &honest else { panic!() };
    let mut in_sync = page.head;
    in_sync.version += 1;
    let mut bent = page.clone();
    bent.cells.cells[14 * 3] ^= 1;
    let mut short = page.clone();
    short.cells.cells.pop();
    let mut late = page.clone();
    late.cells.first = 1;
    let mut none = page.clone();
    none.cells.cells.clear();
    let mut other_key = page.clone();
    other_key.key[0] ^= 1;
    let mut old = page.clone();
    old.head.version = 0;
    for (answer, what) in [
        (ReconcileAnswer::InSync(in_sync), "in sync, and it is not"),
        (ReconcileAnswer::Cells(bent), "a bent cell"),
        (ReconcileAnswer::Cells(short), "half a cell"),
        (ReconcileAnswer::Cells(late), "a gap"),
        (ReconcileAnswer::Cells(none), "no cells"),
        (ReconcileAnswer::Cells(other_key), "another key"),
        (ReconcileAnswer::Cells(old), "a version that was left long ago"),
    ] {
        match verify.clone().answered(answer) {
            Err(_) | Ok(Next::Snapshot { .. } | Next::Ask(_)) => {}
            Ok(next) => panic!("{what}: {next:?}"),
        }
    }
}

#[test]
fn cells_that_never_suffice_end_in_a_snapshot_after_one_more_question() {
    let mut shop = drifted();
    let mut verify = shop.begin();
    let ReconcileAnswer::Cells(mut page) = shop.answer(&verify.ask()) else { panic!() };
    page.cells.cells[14 * 3 + 4] ^= 1;
    let Ok(Next::Ask(ask)) = verify.answered(ReconcileAnswer::Cells(page.clone())) else {
        panic!()
    };
    let more = ask.more.unwrap();
    assert_eq!(more.have as usize * 14, page.cells.cells.len());
    let answer = shop.answer(&ask);
    let ReconcileAnswer::Cells(rest) = &answer else { panic!() };
    assert_eq!(rest.cells.first, more.have, "only the new ones travel");
    assert_eq!(verify.answered(answer), Ok(Next::Snapshot { estimated: None }));
}

#[test]
fn rows_that_were_not_asked_for_are_refused() {
    let mut shop = drifted();
    let (verify, ask) = found(&mut shop);
    let honest = shop.entities(&ask);
    assert_eq!(honest.rows.len(), 3);
    let mut broken: Vec<(EntitiesAnswer, &str)> = Vec::new();
    let mut with = |what, change: &dyn Fn(&mut EntitiesAnswer)| {
        let mut answer = honest.clone();
        change(&mut answer);
        broken.push((answer, what));
    };
    with("none", &|a| a.rows.clear());
    with("too many", &|a| a.rows.push(EntityRow::Absent));
    with("out of order", &|a| a.rows.swap(0, 1));
    with("absent, and it is not", &|a| a.rows[0] = EntityRow::Absent);
    with("an extra that exists", &|a| a.rows[2] = a.rows[0].clone());
    with("an extra with content", &|a| {
        let content = Some(product("x", "Nobody's", 1).canonical().into());
        a.rows[2] = EntityRow::Known(ChangeV1 { id: sku("x"), version: 1, content });
    });
    with("a tombstone of another", &|a| {
        a.rows[2] = EntityRow::Known(ChangeV1 { id: sku("y"), version: 1, content: None });
    });
    for at in 0..2 {
        with("deleted, and it is not", &|a| {
            let EntityRow::Known(change) = &mut a.rows[at] else { panic!() };
            change.content = None;
        });
        with("under another name", &|a| {
            let EntityRow::Known(change) = &mut a.rows[at] else { panic!() };
            change.id = sku("p00050");
        });
    }
    for (answer, what) in broken {
        assert!(verify.clone().rows(answer).is_err(), "{what}");
    }
    let mut moved = honest.clone();
    moved.head.digest.lanes[0] ^= 1;
    let mut verify = verify;
    assert_eq!(verify.rows(moved), Ok(Next::Again), "another catalog by now");
    assert_eq!(verify.rows(honest), Ok(Next::Ready));
}

#[test]
fn content_of_its_own_making_does_not_add_up() {
    let mut shop = drifted();
    let (verify, ask) = found(&mut shop);
    let mut answer = shop.entities(&ask);
    let before = shop.till.store.rows.clone();
    // The row that is missing has no version to be held against: only the sum tells.
    let lie = |row: &EntityRow| matches!(row, EntityRow::Known(c) if c.id == sku("p00001"));
    let at = answer.rows.iter().position(lie).unwrap();
    let EntityRow::Known(change) = &mut answer.rows[at] else { panic!() };
    change.content = Some(product("p00001", "Free of charge", 0).canonical().into());
    let mut lied_to = verify.clone();
    assert_eq!(lied_to.rows(answer.clone()), Ok(Next::Ready));
    let Ended::Refused(refusal) = shop.planned(&lied_to) else { panic!() };
    assert_eq!(refusal, Refusal::Plan(PlanRefusal::Sums));
    // And bytes that no program reads ask for an update.
    let EntityRow::Known(change) = &mut answer.rows[at] else { panic!() };
    change.content = Some(b"\x02from the future".to_vec().into());
    let mut lied_to = verify;
    assert_eq!(lied_to.rows(answer), Ok(Next::Ready));
    let Ended::Refused(refusal) = shop.planned(&lied_to) else { panic!() };
    assert_eq!(refusal, Refusal::Plan(PlanRefusal::Unreadable(sku("p00001"))));
    assert_eq!(shop.till.store.rows, before);
}

#[test]
fn a_question_without_its_bounds_is_refused() {
    let shop = drifted();
    let mut ask = shop.begin().ask();
    ask.estimator.counters.pop();
    assert!(ReconcileAsk::decode(&ask.encode()).is_err());
    let none = EntitiesAsk { keys: counterfoil_protocol::sketch::KeysV1::of(&[]), extra: vec![] };
    assert!(EntitiesAsk::decode(&none.encode()).is_err());
    let many = EntitiesAsk { extra: vec![sku("x"); 1_001], ..none };
    assert!(EntitiesAsk::decode(&many.encode()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_and_any_bent_answer_change_nothing(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        bend in prop::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 1..4),
    ) {
        let _ = ReconcileAnswer::decode(&bytes);
        let _ = ReconcileAsk::decode(&bytes);
        let _ = EntitiesAsk::decode(&bytes);
        let _ = EntitiesAnswer::decode(&bytes);
        let mut shop = drifted();
        let before = shop.till.store.rows.clone();
        let mut verify = shop.begin();
        let mut frame = shop.answer(&verify.ask()).encode();
        for (at, with) in &bend {
            let at = at.index(frame.len());
            frame[at] ^= with;
        }
        if let Ok(answer) = ReconcileAnswer::decode(&frame)
            && let Ok(Next::Fetch(_)) = verify.answered(answer)
        {
            // Bits of the version or the digest alone: the rows or the sum will not fit.
            prop_assert!(!matches!(shop.planned(&verify), Ended::Plan(_)));
        }
        let (mut verify, ask) = found(&mut shop);
        let honest = shop.entities(&ask);
        let mut frame = honest.encode();
        for (at, with) in &bend {
            let at = at.index(frame.len());
            frame[at] ^= with;
        }
        if let Ok(answer) = EntitiesAnswer::decode(&frame)
            && let Ok(Next::Ready) = verify.rows(answer)
            && let Ended::Plan(plan) = shop.planned(&verify)
        {
            // A bent version of a row or of the head, which no sum covers: the content is right.
            prop_assert_eq!(plan.cloud.digest, honest.head.digest);
        }
        prop_assert_eq!(shop.till.store.rows, before);
    }
}

#[test]
fn answers_that_come_out_of_turn_are_refused() {
    let mut shop = drifted();
    let mut fresh = shop.begin();
    let honest = shop.answer(&fresh.ask());
    let ReconcileAnswer::Cells(page) = &honest else { panic!() };
    let rows = EntitiesAnswer { head: page.head, floor: 0, rows: vec![EntityRow::Absent] };
    assert_eq!(fresh.rows(rows), Err(Refusal::Unasked), "rows that nobody can have asked for");
    let (mut verify, _) = found(&mut shop);
    for answer in [honest.clone(), ReconcileAnswer::InSync(page.head)] {
        assert_eq!(verify.answered(answer), Err(Refusal::Unasked), "it is known what differs");
    }
}

#[test]
fn a_catalog_that_changes_between_two_answers_is_compared_anew() {
    let mut shop = drifted();
    let mut verify = shop.begin();
    let ReconcileAnswer::Cells(mut page) = shop.answer(&verify.ask()) else { panic!() };
    page.cells.cells[14 * 3 + 4] ^= 1;
    let next = verify.answered(ReconcileAnswer::Cells(page));
    let Ok(Next::Ask(ask)) = next else { panic!("{next:?}") };
    let ReconcileAnswer::Cells(mut rest) = shop.answer(&ask) else { panic!() };
    rest.head.version += 1;
    assert_eq!(verify.answered(ReconcileAnswer::Cells(rest)), Ok(Next::Again));
}

#[test]
fn a_till_that_is_in_step_believes_no_other_word() {
    let mut drifting = drifted();
    let ask = drifting.begin().ask();
    let ReconcileAnswer::Cells(page) = drifting.answer(&ask) else { panic!() };
    let mut shop = Shop::with(&many(80));
    let mut in_step = shop.begin();
    let said = shop.answer(&in_step.ask());
    let ReconcileAnswer::InSync(head) = said else { panic!("{said:?}") };
    assert_eq!(in_step.clone().answered(said), Ok(Next::Ready));
    let mut older = head;
    older.version = 0;
    let older = in_step.clone().answered(ReconcileAnswer::InSync(older));
    assert_eq!(older, Err(Refusal::Rows), "a version that was left long ago");
    let same = in_step.answered(ReconcileAnswer::Cells(page));
    assert_eq!(same, Ok(Next::Snapshot { estimated: Some(0) }), "cells of which none differs");
}
