//! A checkout's commit, and what only writing it costs: the same rows, and one row of as many
//! bytes, each in a file of its own, by turns, as durably.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use counterfoil_protocol::event::{Body, Line, Tender, Trade};
use counterfoil_protocol::identity::{
    BranchId, LocalEventId, PosId, ProductId, ShopId, TerminalId,
};
use counterfoil_protocol::machine::{Loaded, Page, Query, Store, Writes};
use counterfoil_protocol::money::{Currency, Milli, Minor};
use counterfoil_protocol::persist::Persist as _;
use counterfoil_protocol::terminal::{Draft, Identity, Key, Output, Record, Terminal};
use counterfoil_protocol::time::Millis;
use counterfoil_storage::{KeyValue, Redb};
use counterfoil_terminal::daemon::Offload;
use counterfoil_terminal::ports::{SystemClock, SystemEntropy};
use counterfoil_terminal::till::Till;
use counterfoil_terminal::witness::WitnessFile;
use counterfoil_tests::random::Random;
use redb::{Database, Durability, TableDefinition};

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
/// How many checkouts before it counts.
const WARM: usize = 100;
/// How many products a branch sells.
const PRODUCTS: u64 = 1_000;
/// What stands before each value on the disk: a version and a checksum.
const FRAME_BYTES: usize = 5;

/// A row that a commit wrote; none if it took it away.
type Change = (Vec<u8>, Option<Vec<u8>>);

/// What each of the three takes, in microseconds, in rising order.
#[derive(Debug, Default)]
pub(super) struct Commits {
    pub(super) checkout: Vec<u64>,
    pub(super) same_rows: Vec<u64>,
    pub(super) one_row: Vec<u64>,
    /// Rows and bytes of a checkout, on average.
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// A store that remembers what its last commit wrote.
struct Watched {
    store: KeyValue<Terminal, Redb>,
    last: Arc<Mutex<Vec<Change>>>,
}

impl Store<Terminal> for Watched {
    type Error = <KeyValue<Terminal, Redb> as Store<Terminal>>::Error;

    async fn transact(
        &mut self,
        keys: Vec<Key>,
        mut decide: impl FnMut(&Loaded<Terminal>) -> Writes<Terminal> + Send,
    ) -> Result<(), Self::Error> {
        let last = Arc::clone(&self.last);
        let watched = |loaded: &Loaded<Terminal>| {
            let writes = decide(loaded);
            *last.lock().unwrap_or_else(PoisonError::into_inner) = changes(&writes);
            writes
        };
        self.store.transact(keys, watched).await
    }
}

impl Query<Terminal> for Watched {
    type Error = <KeyValue<Terminal, Redb> as Query<Terminal>>::Error;

    fn get(&self, key: &Key) -> impl Future<Output = Result<Option<Record>, Self::Error>> + Send {
        self.store.get(key)
    }

    fn scan(
        &self,
        from: &Key,
        until: &Key,
        limit: usize,
    ) -> impl Future<Output = Result<Page<Terminal>, Self::Error>> + Send {
        self.store.scan(from, until, limit)
    }
}

/// The same rows as they lie on the disk.
fn changes(writes: &Writes<Terminal>) -> Vec<Change> {
    let change = |(key, record): &(Key, Option<Arc<Record>>)| {
        let mut bytes = Vec::new();
        Terminal::key_bytes(key, &mut bytes);
        let value = record.as_ref().map(|record| {
            let mut value = vec![0; FRAME_BYTES];
            Terminal::record_bytes(record, &mut value);
            value
        });
        (bytes, value)
    };
    writes.iter().map(change).collect()
}

/// Measures `count` checkouts, one after the other.
pub(super) async fn measure(directory: &Path, count: usize) -> anyhow::Result<Commits> {
    let last = Arc::default();
    let store = KeyValue::new(Redb::open(&directory.join("till.redb"))?);
    let store = Offload(Watched { store, last: Arc::clone(&last) });
    let till = Till::new(store, Arc::new(SystemClock), Box::new(SystemEntropy));
    let mut witness = WitnessFile::new(directory.join("witness"));
    till.install(identity()?, &mut witness).await?;
    till.open(&mut witness).await?;
    let bare = [directory.join("same.redb"), directory.join("one.redb")];
    let [same, one] = bare.map(Database::create);
    let (same, one) = (same?, one?);
    let mut draw = Random::new(7);
    let mut commits = Commits::default();
    for number in 0..WARM + count {
        let draft = sale(number as u64, &mut draw)?;
        let begun = Instant::now();
        let output = till.record(draft).await?;
        let checkout = micros(begun);
        ensure!(matches!(output, Output::Recorded { .. }), "{output:?}");
        let rows = std::mem::take(&mut *last.lock().unwrap_or_else(PoisonError::into_inner));
        let begun = Instant::now();
        write(&same, rows.iter().map(|(key, value)| (key.as_slice(), value.as_deref())))?;
        let same_rows = micros(begun);
        let size = |(key, value): &Change| key.len() + value.as_ref().map_or(0, Vec::len);
        let bytes: usize = rows.iter().map(size).sum();
        let (key, value) = ((number as u64).to_be_bytes(), vec![0x5a; bytes.saturating_sub(8)]);
        let begun = Instant::now();
        write(&one, std::iter::once((key.as_slice(), Some(value.as_slice()))))?;
        let one_row = micros(begun);
        if number >= WARM {
            commits.checkout.push(checkout);
            commits.same_rows.push(same_rows);
            commits.one_row.push(one_row);
            commits.rows += rows.len() as u64;
            commits.bytes += bytes as u64;
        }
    }
    let Commits { checkout, same_rows, one_row, rows, bytes } = &mut commits;
    [checkout, same_rows, one_row].into_iter().for_each(|latencies| latencies.sort_unstable());
    (*rows, *bytes) = (*rows / count as u64, *bytes / count as u64);
    Ok(commits)
}

/// One durable commit, as the till's engine makes it.
fn write<'a>(
    database: &Database,
    rows: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
) -> anyhow::Result<()> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_quick_repair(true);
    {
        let mut table = transaction.open_table(ROWS)?;
        for (key, value) in rows {
            match value {
                Some(value) => table.insert(key, value)?,
                None => table.remove(key)?,
            };
        }
    }
    transaction.commit()?;
    Ok(())
}

pub(super) fn identity() -> anyhow::Result<Identity> {
    Ok(Identity {
        shop: ShopId::parse("shop").context("a name")?,
        branch: BranchId::parse("B-0").context("a name")?,
        terminal: TerminalId::parse("T-1").context("a name")?,
    })
}

/// A sale of one to three lines.
pub(super) fn sale(number: u64, draw: &mut Random) -> anyhow::Result<Draft> {
    let lines: anyhow::Result<Vec<Line>> = (0..draw.between(1, 3))
        .map(|_| {
            let product = format!("SKU-{:08}", draw.between(0, PRODUCTS - 1));
            Ok(Line {
                product: ProductId::parse(&product).context("a name")?,
                name: "organic roasted mountain arabica coffee, 250 g".to_owned(),
                quantity: Milli(1_000 * draw.between(1, 12).cast_signed()),
                unit_price: Minor(draw.between(50, 2_000).cast_signed()),
                discount: Minor(0),
                tax_ppm: 200_000,
            })
        })
        .collect();
    let name = format!("{number:08}-0000-4000-8000-000000000000");
    Ok(Draft {
        pos: PosId::parse("P-1").context("a name")?,
        local_id: LocalEventId::parse(&name).context("a name")?,
        at: Millis(1_760_000_000_000 + number),
        reference: format!("INV-{number:08}"),
        body: Body::Sale(Trade::paid(Currency::GBP, lines?, Tender::Cash)),
    })
}

fn micros(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX)
}
