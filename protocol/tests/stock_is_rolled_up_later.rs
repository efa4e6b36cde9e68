//! `StockIsSum`: stock is the sum of movements, however late they are rolled up into it.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use counterfoil_protocol::cloud::rollup::{PUSHES_MAX, plan};
use counterfoil_protocol::cloud::threshold::Thresholds;
use counterfoil_protocol::cloud::{Cloud, Input, Key, Output};
use counterfoil_protocol::money::Milli;
use counterfoil_protocol::time::Millis;
use support::rows::{stock, stock_is_sum};
use support::{Node, Till, adjustment, block_on, product, sale, site, sync};

const NOW: Millis = Millis(1_000);

/// A till that sells one sale in each of `pushes`.
fn sold(pushes: usize) -> (Till, Node) {
    let (mut till, mut node) = (Till::install(1), Node::new(Cloud::default()));
    for number in 0..pushes {
        till.sell(NOW, sale(&format!("e{number}"), if number % 3 == 0 { "milk" } else { "tea" }));
        sync(&mut till, &mut node, NOW);
    }
    (till, node)
}

fn rows_of(node: &Node, is: fn(&Key) -> bool) -> usize {
    node.store.rows.keys().filter(|key| is(key)).count()
}

fn waiting(node: &Node) -> usize {
    rows_of(node, |key| matches!(key, Key::Movements(..)))
}

#[test]
fn a_push_writes_its_movements_and_no_stock() {
    let (_, node) = sold(6);
    assert_eq!((waiting(&node), rows_of(&node, |key| matches!(key, Key::Stock(..)))), (6, 0));
    stock_is_sum(&node);
}

#[test]
fn rolling_up_changes_no_sum_and_leaves_nothing_behind() {
    let (_, mut node) = sold(6);
    let before = stock(&node);
    assert_eq!(node.roll_up(), 6);
    assert_eq!((waiting(&node), rows_of(&node, |key| matches!(key, Key::Stock(..)))), (0, 2));
    assert_eq!(stock(&node), before);
    assert_eq!(node.roll_up(), 0, "there is nothing left");
    stock_is_sum(&node);
}

#[test]
fn what_is_rolled_up_twice_counts_once() {
    let (mut till, mut node) = sold(4);
    let planned = block_on(plan(&node.store, site())).unwrap().unwrap();
    till.sell(NOW, sale("late", "tea"));
    sync(&mut till, &mut node, NOW);
    let before = stock(&node);
    for expected in [4, 0] {
        let output = node.run(NOW, Input::RollUp(planned.clone()));
        assert_eq!(output, Output::RolledUp(expected));
        assert_eq!(stock(&node), before);
    }
    assert_eq!(waiting(&node), 1, "what came after the plan is not in it");
    stock_is_sum(&node);
}

#[test]
fn a_push_of_the_same_name_that_moved_something_else_is_left_alone() {
    // The cloud was restored after the plan, and the same first event came with other company.
    let (mut till, mut node) = (Till::install(1), Node::new(Cloud::default()));
    let backup = node.clone();
    till.sell(NOW, sale("a", "tea"));
    let backup_of_till = till.clone();
    sync(&mut till, &mut node, NOW);
    let planned = block_on(plan(&node.store, site())).unwrap().unwrap();
    (till, node) = (backup_of_till, backup);
    till.sell(NOW, sale("b", "milk"));
    sync(&mut till, &mut node, NOW);
    assert_eq!(node.run(NOW, Input::RollUp(planned)), Output::RolledUp(0));
    assert_eq!(waiting(&node), 1);
    assert_eq!(stock(&node).keys().copied().collect::<Vec<_>>(), [product("milk"), product("tea")]);
    stock_is_sum(&node);
}

#[test]
fn a_roll_up_is_bounded_and_the_next_one_goes_on() {
    let (_, mut node) = sold(PUSHES_MAX + 3);
    assert_eq!(node.roll_up(), PUSHES_MAX as u64);
    assert_eq!(node.roll_up(), 3);
    stock_is_sum(&node);
}

/// S2.5: the order within one roll-up is not known, and nobody may miss that a shelf is empty.
#[test]
fn a_stock_that_rose_and_fell_at_once_is_told() {
    let (mut till, mut node) = (Till::install(1), Node::new(Cloud::default()));
    let below = Thresholds::new(site().shop, vec![(product("tea"), Milli(10_000))]).unwrap();
    node.run(NOW, Input::SetThresholds(below));
    till.sell(NOW, adjustment("delivery", "tea", 11_000));
    sync(&mut till, &mut node, NOW);
    till.sell(NOW, sale("e1", "tea")); // two of them
    sync(&mut till, &mut node, NOW);
    let notices = |node: &Node| rows_of(node, |key| matches!(key, Key::Notice(..)));
    assert_eq!((node.roll_up(), notices(&node)), (2, 1), "from 0 to 9, by way of 11");
    till.sell(NOW, sale("e2", "tea"));
    sync(&mut till, &mut node, NOW);
    assert_eq!((node.roll_up(), notices(&node)), (1, 1), "it was below before, and is");
    till.sell(NOW, adjustment("more", "tea", 4_000));
    sync(&mut till, &mut node, NOW);
    assert_eq!((node.roll_up(), notices(&node)), (1, 1), "it has risen");
}
