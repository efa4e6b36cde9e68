//! `PlanIsSafe`: applying a plan makes the till's catalog the cloud's, and touches no other row; if
//! it would not, nothing is written.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]
#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else it is fails the test")]

mod reconcile_support;
mod support;

use std::collections::BTreeSet;

use counterfoil_protocol::catalog::{Entity, Kind};
use counterfoil_protocol::cloud::Edit;
use counterfoil_protocol::identity::BranchId;
use counterfoil_protocol::reconcile::plan::{Approved, Reason};
use counterfoil_protocol::reconcile::{Action, Class, Counts, PlanRefusal};
use counterfoil_protocol::terminal::{Key, Record};
use proptest::prelude::*;
use reconcile_support::{Ended, Shop, branch_price, category, kind, label, many, product, sku};
use support::{sale, site};

/// A shop of 60 entities of three kinds.
fn shop() -> Shop {
    let mut entities = many(40);
    entities.extend((0..10).map(|n| category(&format!("c{n}"), &format!("Category {n}"))));
    entities.extend((0..10).map(|n| branch_price(&format!("p{n:05}"), 90 + n)));
    Shop::with(&entities)
}

#[test]
fn a_catalog_without_drift_needs_one_round_trip_and_few_bytes() {
    let mut shop = Shop::with(&many(3_000));
    let plan = shop.plan();
    assert!(plan.is_clean());
    assert_eq!(shop.round_trips, 1);
    assert!(shop.bytes <= 256, "{} bytes", shop.bytes);
}

#[test]
fn each_class_is_told_and_mended() {
    let mut shop = shop();
    shop.lose(sku("p00001"));
    shop.plant(&product("p00002", "Something else", 1));
    shop.plant(&product("p99999", "Nobody's", 5));
    shop.plant_bytes(sku("p00003"), b"\xff no entity");
    shop.delete(sku("p00004"));
    let late = shop.till.store.rows.get(&Key::Item(sku("p00004"))).cloned().unwrap();
    shop.settle();
    shop.till.store.rows.insert(Key::Item(sku("p00004")), late);
    let plan = shop.plan();
    let told: Vec<_> = plan
        .items
        .iter()
        .map(|item| (item.id.id.as_str().to_owned(), item.class, item.action, item.reason))
        .collect();
    let expected = [
        ("p00001", Class::Missing, Action::Insert, Reason::Lost),
        ("p00002", Class::Different, Action::Update, Reason::Drifted),
        ("p00003", Class::Different, Action::Update, Reason::Unreadable),
        ("p00004", Class::Extra, Action::Delete, Reason::DeletedInCloud),
        ("p99999", Class::Extra, Action::Delete, Reason::UnknownToCloud),
    ];
    assert_eq!(told, expected.map(|(id, c, a, r)| (id.to_owned(), c, a, r)));
    assert_eq!(shop.round_trips, 2, "one to find, one to fetch");
    let applied = shop.apply(&plan).unwrap();
    assert_eq!(applied.counts, Counts { insert: 1, update: 2, delete: 2, keep: 0 });
    assert!(applied.standing.proven);
    assert_eq!(shop.held(), shop.truth());
    assert!(shop.plan().is_clean());
}

#[test]
fn a_sum_that_has_gone_wrong_does_not_hide_a_row_and_is_mended() {
    let mut shop = shop();
    // The row and the till's own sum agree with each other, and with nothing else.
    shop.plant(&product("p00002", "Something else", 1));
    let truth = shop.begin();
    let sum = shop.plan().before;
    let Some(Record::Catalog(state)) = shop.till.store.rows.get_mut(&Key::Catalog) else {
        panic!()
    };
    state.digest = sum;
    drop(truth);
    let plan = shop.plan();
    assert_eq!(plan.items.len(), 1, "the rows are counted, not the sum");
    shop.apply(&plan).unwrap();
    assert_eq!(shop.held(), shop.truth());
    // Only the sum is wrong.
    let Some(Record::Catalog(state)) = shop.till.store.rows.get_mut(&Key::Catalog) else {
        panic!()
    };
    state.digest.lanes[0] ^= 1;
    let plan = shop.plan();
    assert!(plan.items.is_empty() && plan.mends_sum() && !plan.is_clean());
    shop.apply(&plan).unwrap();
    assert!(shop.plan().is_clean());
    assert!(shop.follow().proven);
}

#[test]
fn rows_with_pending_edits_are_left() {
    let mut shop = shop();
    shop.plant(&product("p00001", "Edited here", 1));
    shop.lose(sku("p00002"));
    shop.edits.insert(sku("p00001"));
    let plan = shop.plan();
    assert_eq!(plan.counts, Counts { insert: 1, keep: 1, ..Counts::default() });
    assert_eq!(plan.items[0].reason, Reason::EditedHere);
    let applied = shop.apply(&plan).unwrap();
    assert!(!applied.standing.proven, "it is not the cloud's catalog yet");
    assert!(shop.item(sku("p00002")).is_some());
    let held = shop.item(sku("p00001")).unwrap().content;
    assert_eq!(held.to_vec(), product("p00001", "Edited here", 1).canonical());
}

#[test]
fn an_edit_after_the_plan_was_made_stops_it() {
    let mut shop = shop();
    shop.plant(&product("p00001", "Drifted", 1));
    shop.lose(sku("p00002"));
    let plan = shop.plan();
    let before = shop.till.store.rows.clone();
    shop.edits.insert(sku("p00001"));
    assert_eq!(shop.apply(&plan), Err(PlanRefusal::Edited(sku("p00001"))));
    assert_eq!(shop.till.store.rows, before);
}

#[test]
fn what_the_till_has_not_heard_of_yet_is_left_to_the_delta() {
    let mut shop = shop();
    let from = shop.state().version.unwrap();
    shop.lose(sku("p00009"));
    shop.put(&[product("p00001", "New name", 7), product("p00777", "New", 7)]);
    shop.delete(sku("p00005"));
    let plan = shop.plan();
    assert_eq!(plan.counts, Counts { insert: 1, keep: 3, ..Counts::default() });
    assert!(plan.items.iter().filter(|i| i.class == Class::Pending).count() == 3);
    assert_eq!((plan.from, plan.version, plan.cloud.version), (from, from, from + 2));
    assert!(!shop.apply(&plan).unwrap().standing.proven);
    shop.settle();
    assert_eq!(shop.held(), shop.truth());
}

#[test]
fn a_row_that_changed_since_the_plan_stops_all_of_it() {
    let ids = ["p00001", "p00002", "p00003"];
    for which in 0..4 {
        let mut shop = shop();
        for id in ids {
            shop.lose(sku(id));
        }
        let plan = shop.plan();
        match which {
            // One of its rows, another row, a row of no cloud, and the catalog as a whole.
            0 => shop.plant(&product("p00002", "By hand", 1)),
            1 => shop.plant(&product("p00020", "By hand", 1)),
            2 => shop.plant(&product("p77777", "By hand", 1)),
            _ => {
                shop.put(&[product("p00030", "News", 1)]);
                shop.follow();
            }
        }
        let before = shop.till.store.rows.clone();
        assert_eq!(shop.apply(&plan), Err(PlanRefusal::Stale), "{which}");
        assert_eq!(shop.till.store.rows, before, "nothing was written");
        // The next one is made for what is there.
        shop.settle();
        let plan = shop.plan();
        shop.apply(&plan).unwrap();
        assert_eq!(shop.held(), shop.truth());
    }
}

#[test]
fn a_row_is_compared_with_what_the_plan_saw_even_if_the_sum_is_right() {
    let mut shop = shop();
    shop.plant(&product("p00001", "Drifted", 1));
    let plan = shop.plan();
    let approved = Approved::new(plan.clone()).unwrap();
    shop.plant(&product("p00001", "Drifted again", 2));
    // A driver that counted before the row changed.
    let application = counterfoil_protocol::terminal::reconcile::Application {
        plan: approved,
        seen: plan.before,
        edits: BTreeSet::new(),
    };
    let before = shop.till.store.rows.clone();
    let input = counterfoil_protocol::terminal::Input::ApplyPlan(Box::new(application));
    let output = shop.till.run(reconcile_support::NOW, input);
    let refused = PlanRefusal::Changed(sku("p00001"));
    assert_eq!(output, counterfoil_protocol::terminal::Output::PlanRefused(refused));
    assert_eq!(shop.till.store.rows, before);
}

#[test]
fn a_plan_that_was_tampered_with_is_not_applied() {
    let mut shop = shop();
    shop.plant(&product("p00001", "Drifted", 1));
    shop.plant(&product("p99999", "Nobody's", 1));
    let plan = shop.plan();
    let before = shop.till.store.rows.clone();
    let mut broken = Vec::new();
    let mut with = |change: &dyn Fn(&mut counterfoil_protocol::reconcile::Plan)| {
        let mut changed = plan.clone();
        change(&mut changed);
        broken.push(changed);
    };
    with(&|plan| plan.format = 2);
    with(&|plan| plan.till.terminal.0 = label("T-2"));
    with(&|plan| plan.items.reverse());
    with(&|plan| plan.counts.delete = 0);
    with(&|plan| plan.version += 1);
    with(&|plan| plan.from += 1);
    with(&|plan| plan.after.lanes[3] ^= 1);
    with(&|plan| plan.before.lanes[3] ^= 1);
    with(&|plan| plan.stored.lanes[3] ^= 1);
    with(&|plan| plan.cloud.digest.count += 1);
    with(&|plan| plan.items[0].local = None);
    with(&|plan| plan.items[0].cloud = plan.items[1].cloud.clone());
    with(&|plan| plan.items[1].action = Action::Update);
    with(&|plan| {
        plan.items.remove(1);
        plan.counts.delete = 0;
    });
    with(&|plan| {
        let row = plan.items[0].cloud.as_mut().unwrap();
        row.entity = Some(product("p00001", "Cheap", 1).to_wire());
    });
    for plan in broken {
        assert!(shop.apply(&plan).is_err(), "{plan:?}");
        assert_eq!(shop.till.store.rows, before);
    }
    shop.apply(&plan).unwrap();
}

#[test]
fn no_unsynced_work_is_touched() {
    let mut shop = shop();
    for id in ["a", "b", "c"] {
        shop.till.sell(reconcile_support::NOW, sale(id, "p00004"));
    }
    shop.delete(sku("p00004"));
    let late = shop.till.store.rows.get(&Key::Item(sku("p00004"))).cloned().unwrap();
    shop.settle();
    shop.till.store.rows.insert(Key::Item(sku("p00004")), late);
    shop.lose(sku("p00001"));
    let plan = shop.plan();
    let item = plan.items.iter().find(|item| item.action == Action::Delete).unwrap();
    assert_eq!(item.unsynced, 3, "the plan says who still names it");
    let work = |shop: &Shop| {
        let rows = shop.till.store.rows.iter();
        let other = |key: &Key| !matches!(key, Key::Item(_) | Key::Catalog);
        rows.filter(|(key, _)| other(key)).map(|(k, r)| (*k, r.clone())).collect::<Vec<_>>()
    };
    let before = work(&shop);
    shop.apply(&plan).unwrap();
    assert_eq!(work(&shop), before);
    let expected =
        BTreeSet::from([Key::Catalog, Key::Item(sku("p00001")), Key::Item(sku("p00004"))]);
    assert_eq!(shop.till.store.wrote, expected, "one commit, and no row beside these");
}

#[test]
fn nothing_of_another_branch_is_told() {
    let mut shop = shop();
    let id = kind(Kind::BranchPrice, label("p00030"));
    let entity = branch_price("p00030", 77);
    let branch = BranchId::parse("elsewhere").unwrap();
    shop.edit(vec![Edit { branch: Some(branch), id, entity: Some(entity.clone()) }]);
    shop.settle();
    shop.plant(&entity);
    let plan = shop.plan();
    assert_eq!(plan.items.len(), 1);
    assert_eq!(plan.items[0].reason, Reason::UnknownToCloud);
    assert!(plan.items[0].cloud.is_none(), "BranchIsolation");
    shop.apply(&plan).unwrap();
    assert_eq!(shop.held(), shop.truth());
}

#[test]
fn too_much_drift_is_told_before_a_cell_is_sent() {
    let mut shop = Shop::with(&many(2_000));
    for number in 0..1_500 {
        shop.lose(sku(&format!("p{number:05}")));
    }
    let Ended::Snapshot(Some(estimated)) = shop.verify() else { panic!() };
    assert!((1_000..2_200).contains(&estimated), "{estimated}");
    assert!(shop.bytes < 300, "{} bytes", shop.bytes);
}

#[test]
fn the_mirror_follows_edits_of_every_kind_and_survives_a_restored_cloud() {
    let mut shop = shop();
    assert!(shop.plan().is_clean());
    let backup = shop.node.clone();
    for round in 0..20 {
        shop.put(&[product(&format!("p{round:05}"), "Changed", round), category("c1", "Again")]);
        shop.put(&[branch_price("p00003", 300 + round)]);
        if round % 3 == 0 {
            shop.delete(sku(&format!("p{:05}", 20 + round)));
        }
        shop.settle();
        assert!(shop.plan().is_clean(), "round {round}");
    }
    assert_eq!(shop.mirror.rebuilt(), 0, "it followed each of them");
    shop.node = backup;
    for _ in 0..60 {
        shop.put(&[product(
            "p00000",
            "Another history",
            i64::from(shop.node.store.commits as u32),
        )]);
    }
    shop.settle();
    assert!(shop.plan().is_clean());
    assert!(shop.mirror.rebuilt() > 0, "it noticed that it was lost");
}

#[test]
fn ten_drifted_rows_of_many_are_mended_in_few_bytes() {
    let mut shop = Shop::with(&many(20_000));
    for number in 0..8 {
        shop.plant(&product(&format!("p{:05}", number * 777), "Drifted", 3));
    }
    shop.lose(sku("p00500"));
    shop.plant(&product("x", "Nobody's", 1));
    let plan = shop.plan();
    assert_eq!(plan.items.len(), 10);
    assert_eq!(shop.round_trips, 2);
    assert!(shop.bytes <= 2_500, "{} bytes", shop.bytes);
    shop.apply(&plan).unwrap();
    assert_eq!(shop.held(), shop.truth());
}

#[derive(Clone, Debug)]
enum Move {
    Lose(u8),
    Plant(u8, i64),
    Garble(u8),
    Edit(u8, Option<i64>),
    Follow,
    Pend(u8),
}

fn any_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        (0..50_u8).prop_map(Move::Lose),
        ((0..60_u8), (0..9_i64)).prop_map(|(id, price)| Move::Plant(id, price)),
        (0..50_u8).prop_map(Move::Garble),
        ((0..60_u8), prop::option::weighted(0.8, 0..9_i64)).prop_map(|(i, p)| Move::Edit(i, p)),
        Just(Move::Follow),
        (0..60_u8).prop_map(Move::Pend),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn plan_is_safe(moves in prop::collection::vec(any_move(), 1..40)) {
        let mut shop = shop();
        for step in moves {
            let id = |n: u8| sku(&format!("p{n:05}"));
            match step {
                Move::Lose(n) => { shop.till.store.rows.remove(&Key::Item(id(n))); }
                Move::Plant(n, price) => shop.plant(&product(&format!("p{n:05}"), "Drift", price)),
                Move::Garble(n) => shop.plant_bytes(id(n), &[n; 9]),
                Move::Edit(n, Some(price)) => {
                    let entity: Entity = product(&format!("p{n:05}"), "Edited", price);
                    shop.put(&[entity]);
                }
                Move::Edit(n, None) => shop.delete(id(n)),
                Move::Follow => { shop.follow(); }
                Move::Pend(n) => { shop.edits.insert(id(n)); }
            }
        }
        if shop.begin_possible() {
            let plan = shop.plan();
            let before = shop.held();
            shop.apply(&plan).unwrap();
            let kept: BTreeSet<_> =
                plan.items.iter().filter(|i| i.action == Action::Keep).map(|i| i.id).collect();
            for id in before.keys().chain(shop.truth().keys()) {
                let now = shop.held().get(id).cloned();
                let expected = if kept.contains(id) { before.get(id) } else { None };
                let truth = shop.truth().get(id).cloned();
                prop_assert_eq!(now, if kept.contains(id) { expected.cloned() } else { truth });
            }
        }
        shop.edits.clear();
        shop.settle();
        let _ = site();
        if let Ended::Plan(plan) = shop.verify() {
            shop.apply(&plan).unwrap();
        }
        prop_assert_eq!(shop.held(), shop.truth());
    }
}
