//! Rows that may be large are read a few at a time, and no more of them than a page has room for.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, ready};

use counterfoil_protocol::catalog::{ENTITY_BYTES_MAX, EntityId};
use counterfoil_protocol::cloud::catalog::delta;
use counterfoil_protocol::cloud::rollup::{PRODUCTS_MAX, plan};
use counterfoil_protocol::cloud::row::{Feed, Item};
use counterfoil_protocol::cloud::{Cloud, Input, Key, Output, Record};
use counterfoil_protocol::event::{Adjustment, AdjustmentLine, Body};
use counterfoil_protocol::machine::{Machine, Page, Query};
use counterfoil_protocol::money::Milli;
use counterfoil_protocol::terminal::pull::{self, Batch, Limits};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::catalog::{
    DeltaAnswer, DeltaPage, PAGE_BYTES_MAX, PAGE_ENTITIES_MAX,
};
use support::{Mem, Node, Pair, block_on, draft, product, sale, site};

const NOW: Millis = Millis(1_000);
/// The most rows at a time.
const FEW: usize = 64;

/// A database that notes how many rows were asked for at a time, and how many it gave.
struct Watched<'a, M: Machine> {
    store: &'a Mem<M>,
    most: Cell<usize>,
    rows: Cell<usize>,
}

impl<'a, M: Machine> Watched<'a, M> {
    fn new(store: &'a Mem<M>) -> Self {
        Self { store, most: Cell::new(0), rows: Cell::new(0) }
    }
}

impl<M: Machine<Record: Send, Key: Send>> Query<M> for Watched<'_, M> {
    type Error = Infallible;

    fn get(
        &self,
        key: &M::Key,
    ) -> impl Future<Output = Result<Option<M::Record>, Infallible>> + Send {
        ready(Ok(self.store.rows.get(key).cloned()))
    }

    fn scan(
        &self,
        from: &M::Key,
        until: &M::Key,
        limit: usize,
    ) -> impl Future<Output = Result<Page<M>, Infallible>> + Send {
        let rows = self.store.rows.range(from.clone()..until.clone()).take(limit);
        let page: Page<M> = rows.map(|(key, record)| (key.clone(), record.clone())).collect();
        self.most.set(self.most.get().max(limit));
        self.rows.set(self.rows.get() + page.len());
        ready(Ok(page))
    }
}

#[test]
fn a_push_reads_little_more_than_it_offers() {
    let mut pair = Pair::new(Cloud::default());
    for number in 0..400 {
        pair.sell(sale(&format!("e{number}"), "tea"));
    }
    let meta = pair.till.meta();
    let of = |limits: Limits| {
        let watched = Watched::new(&pair.till.store);
        let batch = block_on(pull::batch(&watched, &meta, NOW, limits)).unwrap();
        let Batch::Push(push) = batch else { panic!("{batch:?}") };
        (push, watched)
    };
    let (all, _) = of(Limits::default());
    assert_eq!(all.items.iter().map(|item| item.seq).collect::<Vec<_>>(), Vec::from_iter(1..=400));
    let bytes = all.items.iter().take(40).map(|item| item.payload.len()).sum();
    let (push, watched) = of(Limits { bytes, ..Limits::default() });
    assert_eq!(push.items, all.items[..40]);
    assert!(watched.rows.get() <= 40 + FEW, "{} rows were read", watched.rows.get());
    let (push, _) = of(Limits { items: 70, ..Limits::default() });
    assert_eq!(push.items, all.items[..70]);
}

#[test]
fn what_is_shown_of_a_queue_is_read_a_few_rows_at_a_time() {
    let mut pair = Pair::new(Cloud::default());
    for number in 0..200 {
        pair.sell(sale(&format!("e{number}"), "tea"));
    }
    for limit in [1, 31, 32, 33, 100, 500] {
        let found = block_on(pull::pending(&pair.till.store, limit)).unwrap();
        let expected: Vec<u64> = (1..=200).take(limit).collect();
        assert_eq!(found.iter().map(|(_, seq, _)| *seq).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_roll_up_reads_little_more_than_it_takes() {
    let mut pair = Pair::new(Cloud::default());
    for push in 0..100 {
        let line = |number| AdjustmentLine {
            product: product(&format!("{push}-{number}")),
            name: String::new(),
            delta: Milli(1),
        };
        let lines = (0..100).map(line).collect();
        let body = Body::Adjustment(Adjustment { reason: String::new(), lines });
        pair.sell(draft("1", &format!("count-{push}"), body));
        pair.sync();
    }
    let mut left = 100;
    while left > 0 {
        let watched = Watched::new(&pair.node.store);
        let planned = block_on(plan(&watched, site())).unwrap().unwrap();
        let pushes = planned.len();
        assert_eq!(pushes, left.min(PRODUCTS_MAX / 100));
        assert!(watched.most.get() <= FEW, "{} at a time", watched.most.get());
        assert!(watched.rows.get() <= pushes + FEW, "{} rows were read", watched.rows.get());
        let output = pair.node.run(NOW, Input::RollUp(planned));
        assert_eq!(output, Output::RolledUp(pushes as u64));
        left -= pushes;
    }
    support::rows::stock_is_sum(&pair.node);
}

fn page(node: &Node, from: u64) -> DeltaPage {
    let (shop, branch) = (site().shop, site().branch);
    let limit = PAGE_ENTITIES_MAX / 2;
    match block_on(delta(&node.store, shop, branch, from, limit)).unwrap() {
        DeltaAnswer::Page(page) => page,
        DeltaAnswer::Resync | DeltaAnswer::WithEdits(..) => panic!("a page"),
    }
}

fn weight(page: &DeltaPage) -> usize {
    let contents = page.changes.iter().filter_map(|change| change.content.as_ref());
    contents.map(|content| content.len()).sum()
}

/// A catalog of the widest entities there can be, each of a commit of its own.
fn wide(commits: u64) -> Node {
    let mut node = Node::new(Cloud::default());
    let (shop, at, index) = (site().shop, NOW, 0);
    for version in 1..=commits {
        let id = EntityId::product(product(&format!("p{version:05}")));
        let content = Some(vec![0; ENTITY_BYTES_MAX].into());
        let item = Item { version, index, content, at };
        node.store.rows.insert(Key::Item(shop, None, id), Record::Item(item));
        node.store.rows.insert(Key::Change(shop, None, version, index), Record::Change(id));
    }
    let feed = Feed { version: commits, ..Feed::default() };
    node.store.rows.insert(Key::Feed(shop), Record::Feed(feed));
    node
}

#[test]
fn a_delta_page_holds_each_commit_that_fits() {
    let full = PAGE_BYTES_MAX / ENTITY_BYTES_MAX;
    assert!(full < PAGE_ENTITIES_MAX / 2, "the bytes are what fills a page here");
    let node = wide(full as u64 + 1);
    let first = page(&node, 0);
    assert_eq!(first.changes.len(), full, "all but the one that does not fit");
    assert!(weight(&first) <= PAGE_BYTES_MAX);
    let rest = page(&node, first.to);
    assert_eq!((rest.changes.len(), rest.to), (1, full as u64 + 1));
    assert!(rest.head.is_some(), "two pages are all");
}
