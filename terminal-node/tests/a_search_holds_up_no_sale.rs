//! A search of the catalog lets whoever sells go first, and answers what was asked for.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use counterfoil_protocol::catalog::{Entity, EntityId};
use counterfoil_protocol::identity::ProductId;
use counterfoil_protocol::label::Label;
use counterfoil_protocol::machine::{Loaded, Page, Query, Store, Writes};
use counterfoil_protocol::terminal::row::CatalogItem;
use counterfoil_protocol::terminal::{Key, Record, Terminal};
use counterfoil_protocol::wire::catalog::{EntityV1, ProductV1};
use counterfoil_storage::{Memory, StoreError};
use counterfoil_terminal::shelf::products;
use counterfoil_terminal::till::Till;
use counterfoil_terminal::witness::WitnessCell;
use support::{TestClock, TestEntropy, identity, sale};

/// A store whose scans let others run, as a disk does, and are counted.
struct Busy(Memory<Terminal>, Arc<AtomicUsize>);

impl Store<Terminal> for Busy {
    type Error = StoreError;

    async fn transact(
        &mut self,
        keys: Vec<Key>,
        decide: impl FnMut(&Loaded<Terminal>) -> Writes<Terminal> + Send,
    ) -> Result<(), StoreError> {
        self.0.transact(keys, decide).await
    }
}

impl Query<Terminal> for Busy {
    type Error = StoreError;

    async fn get(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        self.0.get(key).await
    }

    async fn scan(
        &self,
        from: &Key,
        until: &Key,
        limit: usize,
    ) -> Result<Page<Terminal>, StoreError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.0.scan(from, until, limit).await
    }
}

fn label(text: &str) -> Label {
    Label::parse(text).expect("a name")
}

fn row(index: usize) -> (Key, Option<Arc<Record>>) {
    let id = ProductId::parse(&format!("P{index:05}")).expect("a name");
    let product = Entity::parse(EntityV1::Product(ProductV1 {
        product_id: id,
        name: format!("Thing {index}"),
        barcodes: vec![label(&format!("40{index:05}"))],
        price_minor: 100,
        currency: "GBP".to_owned(),
        tax_ppm: 0,
        unit: label("pcs"),
        category: None,
        active: index.is_multiple_of(2),
    }));
    let content = product.expect("a product").canonical().into();
    let item = CatalogItem { version: 1, content };
    (Key::Item(EntityId::product(id)), Some(Arc::new(Record::Item(item))))
}

/// What is scanned of it, as the index has it.
fn code(index: usize) -> (Key, Option<Arc<Record>>) {
    let product = ProductId(label(&format!("P{index:05}")));
    (Key::Code(label(&format!("40{index:05}")), product), Some(Arc::new(Record::Code)))
}

async fn stocked(count: usize) -> (Till<Busy>, Arc<AtomicUsize>) {
    let mut memory = Memory::new();
    let rows: Writes<Terminal> = (0..count).map(row).chain((0..count).map(code)).collect();
    memory.transact(Vec::new(), |_| rows.clone()).await.expect("a memory store works");
    let scans = Arc::new(AtomicUsize::new(0));
    let store = Busy(memory, Arc::clone(&scans));
    let till = Till::new(store, Arc::new(TestClock::default()), Box::new(TestEntropy(1)));
    let mut witness = WitnessCell::default();
    till.install(identity(), &mut witness).await.expect("a new till");
    till.open(&mut witness).await.expect("an open till");
    (till, scans)
}

#[tokio::test]
async fn a_sale_is_committed_while_the_catalog_is_searched() {
    let (till, scans) = stocked(5_000).await;
    let searching = async {
        let found = products(&till, "no such thing", 100).await.expect("an answer");
        assert!(found.is_empty());
        scans.load(Ordering::SeqCst)
    };
    let selling = async {
        tokio::task::yield_now().await;
        till.record(sale("a", 100)).await.expect("a sale");
        scans.load(Ordering::SeqCst)
    };
    let (all, until_sold) = tokio::join!(searching, selling);
    assert!(until_sold < 4, "{until_sold} of {all} pages were read before the sale was done");
    assert!(all > 10, "the whole catalog was looked at: {all} pages");
}

#[tokio::test]
async fn a_search_finds_what_is_meant_and_stops_when_it_has_enough() {
    let (till, scans) = stocked(5_000).await;
    // what is searched for     limit  how many  the first   pages at most
    for (text, limit, count, first, pages) in [
        ("P04998", 10, 1, "P04998", 1), // a SKU is looked up, as it may be a code too
        ("4004998", 10, 1, "P04998", 1), // and so is what is scanned
        ("400", 10, 10, "P00000", 2),   // which this might have been
        ("thing", 10, 10, "P00000", 2), // enough is enough
        ("", 300, 300, "P00000", 4),    // every other one is on sale
        ("Thing 4998", 10, 1, "P04998", 21),
        ("P00001", 10, 0, "", 21), // not on sale
        ("P0000", 10, 5, "P00000", 21),
    ] {
        let before = scans.load(Ordering::SeqCst);
        let found = products(&till, text, limit).await.expect("an answer");
        let name = found.first().map_or("", |one| one.product_id.as_str());
        assert_eq!((found.len(), name), (count, first), "{text:?}");
        let read = scans.load(Ordering::SeqCst) - before;
        assert!(read <= pages, "{text:?} reads {read} pages");
    }
}
