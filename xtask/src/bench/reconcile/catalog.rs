//! A cloud with a catalog of any size, and a till whose copy of it has drifted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use anyhow::{Context as _, anyhow};
use counterfoil_protocol::catalog::{Digest, Entity, EntityId, entity_hash};
use counterfoil_protocol::cloud::row::{Feed, Item};
use counterfoil_protocol::cloud::{self, Site};
use counterfoil_protocol::identity::{BranchId, ProductId, ShopId, TerminalId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::machine::{Query as _, Slot, Store as _};
use counterfoil_protocol::reconcile::mirror::{Mirror, in_sync};
use counterfoil_protocol::reconcile::{Inputs, Verify};
use counterfoil_protocol::terminal::row::{CatalogItem, CatalogState};
use counterfoil_protocol::terminal::{Identity, Key, Record, Terminal};
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::catalog::{CatalogHead, EntityV1, ProductV1};
use counterfoil_protocol::wire::reconcile::{
    EntitiesAnswer, EntitiesAsk, ReconcileAnswer, ReconcileAsk,
};
use counterfoil_storage::{KeyValue, Memory, Redb};

/// How many entities one commit has made.
const COMMIT: u64 = 500;
/// How many rows are written to the disk at once.
const BATCH: usize = 10_000;
/// How many rows are read at once, as a census does.
const PAGE: usize = 1_000;

/// Drives a future over stores that never wait.
pub(super) fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("these stores answer at once"),
    }
}

fn site() -> anyhow::Result<Site> {
    Ok(Site { shop: ShopId::parse("shop")?, branch: BranchId::parse("branch")? })
}

fn sku(number: u64) -> anyhow::Result<ProductId> {
    Ok(ProductId::parse(&format!("sku-{number:07}"))?)
}

/// A product with the length of a real one's name and codes: some 75 bytes.
fn product(number: u64, price_minor: i64) -> anyhow::Result<(EntityId, Arc<[u8]>)> {
    let wire = ProductV1 {
        product_id: sku(number)?,
        name: format!("A product of usual length, number {number}"),
        barcodes: vec![Label::parse(&format!("40{number:011}"))?],
        price_minor,
        currency: "GBP".to_owned(),
        tax_ppm: 200_000,
        unit: Label::parse("pcs")?,
        category: None,
        active: true,
    };
    let entity = Entity::parse(EntityV1::Product(wire))?;
    Ok((entity.id(), Arc::from(entity.canonical())))
}

/// The cloud's side.
pub(super) struct Cloud {
    store: Memory<cloud::Cloud>,
    mirror: Mirror,
    head: CatalogHead,
    site: Site,
    /// How long the first question took.
    pub(super) build_micros: u64,
}

impl Cloud {
    pub(super) fn new(size: u64) -> anyhow::Result<Self> {
        let site = site()?;
        let mut store = Memory::new();
        let mut digest = Digest::default();
        for number in 0..size {
            let (id, content) = product(number, 100)?;
            digest = digest.with(entity_hash(id, &content));
            let (version, index) = (number / COMMIT + 1, u32::try_from(number % COMMIT)?);
            let item = Item { version, index, content: Some(content), at: Millis(0) };
            let item = Arc::new(cloud::Record::Item(item));
            store.plant(cloud::Key::Item(site.shop, None, id), Some(item));
            let change = Arc::new(cloud::Record::Change(id));
            store.plant(cloud::Key::Change(site.shop, None, version, index), Some(change));
        }
        let feed = Feed { version: size.div_ceil(COMMIT), digest };
        store.plant(cloud::Key::Feed(site.shop), Some(Arc::new(cloud::Record::Feed(feed))));
        let mut mirror = Mirror::new(site.shop, *b"sixteen bytes...");
        let begun = Instant::now();
        let head = now(mirror.settle(&store, site.branch)).map_err(|error| anyhow!(error))??;
        let build_micros = u64::try_from(begun.elapsed().as_micros())?;
        Ok(Self { store, mirror, head, site, build_micros })
    }

    pub(super) fn answer(&mut self, ask: &ReconcileAsk) -> anyhow::Result<ReconcileAnswer> {
        if let Some(head) = now(in_sync(&self.store, self.site, ask))? {
            return Ok(ReconcileAnswer::InSync(head));
        }
        let head = now(self.mirror.settle(&self.store, self.site.branch))??;
        assert_eq!(head, self.head, "nobody edits this catalog");
        Ok(self.mirror.answer(self.site.branch, head, ask))
    }

    pub(super) fn entities(&self, ask: &EntitiesAsk) -> anyhow::Result<EntitiesAnswer> {
        Ok(now(self.mirror.entities_of(&self.store, self.site.branch, ask))?)
    }
}

/// Whose catalog it is, and where it stands.
pub(super) struct State {
    pub(super) identity: Identity,
    pub(super) catalog: CatalogState,
}

/// The till's side.
pub(super) struct Till {
    store: Kept,
    state: State,
}

enum Kept {
    Memory(Memory<Terminal>),
    Disk(Box<KeyValue<Terminal, Redb>>),
}

impl Till {
    /// A till of whose rows `drifts` differ: of ten eight are different, one is missing, one extra.
    pub(super) fn drifted(size: u64, drifts: u64, draw: u64) -> anyhow::Result<Self> {
        let (rows, state) = rows_of(size, drifts, draw)?;
        let mut store = Memory::new();
        for (key, record) in rows {
            store.plant(key, Some(record));
        }
        Ok(Self { store: Kept::Memory(store), state })
    }

    /// The same in a database on a disk.
    pub(super) fn on_disk(size: u64, drifts: u64, directory: &Path) -> anyhow::Result<Self> {
        let (mut rows, mut state) = rows_of(size, drifts, 0)?;
        // A real till keeps what its rows add up to, and makes room for as many.
        for record in rows.iter() {
            if let (Key::Item(id), Record::Item(item)) = (record.0, &**record.1) {
                state.catalog.digest = state.catalog.digest.with(entity_hash(*id, &item.content));
            }
        }
        rows.insert(Key::Catalog, Arc::new(Record::Catalog(state.catalog)));
        let mut store = KeyValue::new(Redb::open(&directory.join("till.redb"))?);
        let rows: Vec<Slot<Key, Record>> =
            rows.into_iter().map(|(key, record)| (key, Some(record))).collect();
        for part in rows.chunks(BATCH) {
            let keys = part.iter().map(|(key, _)| *key).collect();
            now(store.transact(keys, |_| part.to_vec()))?;
        }
        Ok(Self { store: Kept::Disk(Box::new(store)), state })
    }

    /// Counts every row anew.
    pub(super) fn begin(&self) -> anyhow::Result<Verify> {
        match &self.store {
            Kept::Memory(store) => super::begun(store, &self.state),
            Kept::Disk(store) => super::begun(&**store, &self.state),
        }
    }

    pub(super) fn inputs(&self, verify: &Verify) -> anyhow::Result<Inputs> {
        Ok(match &self.store {
            Kept::Memory(store) => now(Inputs::read(store, verify, BTreeSet::new()))?,
            Kept::Disk(store) => now(Inputs::read(&**store, verify, BTreeSet::new()))?,
        })
    }

    /// Reads every row, and does nothing with it.
    pub(super) fn read_all(&self) -> anyhow::Result<u64> {
        let Kept::Disk(store) = &self.store else { anyhow::bail!("only a disk is read") };
        let (mut rows, mut after) = (0, EntityId::FIRST);
        loop {
            let page = now(store.scan(&Key::Item(after), &Key::Item(EntityId::LAST), PAGE))?;
            rows += page.len() as u64;
            let Some((Key::Item(last), _)) = page.last().filter(|_| page.len() == PAGE) else {
                return Ok(rows);
            };
            after = *last;
        }
    }
}

type Rows = BTreeMap<Key, Arc<Record>>;

/// Makes the rows of a till of which some have drifted: with each draw others, to other contents.
fn rows_of(size: u64, drifts: u64, draw: u64) -> anyhow::Result<(Rows, State)> {
    let mut rows = Rows::new();
    // Drifted rows lie evenly among the others.
    let stride = size.checked_div(drifts).unwrap_or(size + 1).max(1);
    for number in 0..size {
        let drifted = number % stride == draw % stride && number / stride < drifts;
        let fate = if drifted { number / stride % 10 } else { 10 };
        let (id, content) = match fate {
            8 => continue,
            9 | 10 => product(number, 100)?,
            _ => product(number, 101 + draw.cast_signed())?,
        };
        let version = number / COMMIT + 1;
        let item = CatalogItem { version, content };
        rows.insert(Key::Item(id), Arc::new(Record::Item(item)));
        if fate == 9 {
            let (id, content) = product(size + number, 100 + draw.cast_signed())?;
            let item = CatalogItem { version: 1, content };
            rows.insert(Key::Item(id), Arc::new(Record::Item(item)));
        }
    }
    let Site { shop, branch } = site()?;
    let terminal = TerminalId::parse("T-1").context("a name")?;
    let identity = Identity { shop, branch, terminal };
    let version = Some(size.div_ceil(COMMIT));
    Ok((rows, State { identity, catalog: CatalogState { version, ..CatalogState::default() } }))
}
