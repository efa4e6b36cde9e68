//! The typed adapter: a role's rows over any byte-level engine.

use std::marker::PhantomData;
use std::sync::Arc;

use counterfoil_protocol::machine::{Loaded, Machine, Page, Query, Store, Writes};
use counterfoil_protocol::persist::{KEY_BYTES_MAX, Persist};

use crate::engine::{
    AFTER_LAST_KEY, BATCH_ROWS_MAX, Batch, Engine, Integrity, KeyList, Loads, Read, Remote,
};
use crate::{StoreError, frame};

/// A role's database: its rows, framed, in an engine.
///
/// How a transaction is isolated is the engine's: the only writer of a file meets no conflict.
/// Its futures are ready at once: whoever drives them owns the thread that waits for the disk.
#[derive(Debug)]
pub struct KeyValue<M, E> {
    engine: E,
    /// The last commit: its memory serves the next one.
    batch: Batch,
    role: PhantomData<fn() -> M>,
}

impl<M, E> KeyValue<M, E>
where
    M: Machine<Key: Send + Sync, Record: Send + Sync> + Persist,
    E: Engine,
{
    /// Puts the rows of `M` onto `engine`.
    pub const fn new(engine: E) -> Self {
        Self { engine, batch: Batch::new(), role: PhantomData }
    }

    /// Returns a handle that reads committed rows from any thread.
    pub fn reader(&self) -> Reader<M, E> {
        Reader { reads: self.engine.reader(), role: PhantomData }
    }

    /// Returns a handle that reads the rows as they are now, whatever is committed later.
    ///
    /// # Errors
    /// The engine's.
    pub fn reader_of_one_moment(&self) -> Result<Reader<M, E>, StoreError> {
        Ok(Reader { reads: self.engine.reader_of_one_moment()?, role: PhantomData })
    }

    /// Returns another writer of the same rows, if the engine lets several write at once.
    #[must_use]
    pub fn beside(&self) -> Option<Self> {
        self.engine.beside().map(Self::new)
    }

    /// Returns the engine.
    pub const fn engine(&self) -> &E {
        &self.engine
    }

    /// Returns the engine, to write below the rows: restore, tests.
    pub const fn engine_mut(&mut self) -> &mut E {
        &mut self.engine
    }

    /// Gives the engine back.
    pub fn into_engine(self) -> E {
        self.engine
    }

    /// Examines the engine's structure, then reads every row: checksum, key and record.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] with the first row that cannot be read.
    pub fn check(&mut self) -> Result<Checked, StoreError> {
        let structure = self.engine.check()?;
        let mut rows = 0_u64;
        let mut last = None;
        self.engine.visit(&[], &AFTER_LAST_KEY, usize::MAX, &mut |bytes, framed| {
            let (key, _) = open_row::<M>(bytes, framed)?;
            assert!(last.as_ref() < Some(&key), "a check ascends, each row once");
            last = Some(key);
            rows += 1;
            Ok(())
        })?;
        assert_eq!(rows == 0, last.is_none(), "each row that was counted had a key");
        Ok(Checked { rows, structure })
    }
}

/// The result of a check that found nothing beyond repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// How many rows there are, all of which could be read.
    pub rows: u64,
    /// What the engine says of its structure.
    pub structure: Integrity,
}

impl<M, E> Store<M> for KeyValue<M, E>
where
    M: Machine<Key: Send + Sync, Record: Send + Sync> + Persist,
    E: Engine,
{
    type Error = StoreError;

    async fn transact(
        &mut self,
        keys: Vec<M::Key>,
        mut decide: impl FnMut(&Loaded<M>) -> Writes<M> + Send,
    ) -> Result<(), StoreError> {
        let asked = listed::<M>(&keys);
        // The keys go into what is loaded; who decides again takes them back from there.
        let mut keys = Some(keys);
        let mut loaded = Loaded::<M>::new();
        let outcome = self.engine.transact(&asked, &mut self.batch, &mut |loads, batch| {
            let again = || std::mem::take(&mut loaded).into_iter().map(|(key, _)| key).collect();
            let typed = keys.take().unwrap_or_else(again);
            loaded = open::<M>(loads, &asked, typed)?;
            assert_eq!(loaded.len(), asked.len(), "each key is loaded, absent or not");
            let writes = decide(&loaded);
            assert!(writes.len() <= BATCH_ROWS_MAX, "a transaction is one batch");
            encode::<M>(&writes, batch);
            Ok(())
        });
        let locked = matches!(outcome, Err(StoreError::Locked { .. }));
        assert!(!locked, "an open store is this process's alone");
        outcome
    }
}

impl<M, E> Query<M> for KeyValue<M, E>
where
    M: Machine<Key: Send + Sync, Record: Send + Sync> + Persist,
    E: Engine,
{
    type Error = StoreError;

    async fn get(&self, key: &M::Key) -> Result<Option<M::Record>, StoreError> {
        get::<M>(&self.engine, key)
    }

    async fn scan(
        &self,
        from: &M::Key,
        until: &M::Key,
        limit: usize,
    ) -> Result<Page<M>, StoreError> {
        scan::<M>(&self.engine, from, until, limit)
    }
}

/// Reads a role's committed rows, beside the writer and from any thread.
///
/// It does not keep the store open: after the writer closed it, or lost track of a commit, every
/// read is an error.
#[derive(Debug)]
pub struct Reader<M, E: Engine> {
    reads: E::Reader,
    role: PhantomData<fn() -> M>,
}

impl<M, E: Engine> Clone for Reader<M, E> {
    fn clone(&self) -> Self {
        Self { reads: self.reads.clone(), role: PhantomData }
    }
}

impl<M, E> Reader<M, E>
where
    M: Machine<Key: Send + Sync, Record: Send + Sync> + Persist,
    E: Engine,
{
    /// Returns the committed row under `key`, for callers outside of futures.
    ///
    /// # Errors
    /// The engine's, or [`StoreError::Damaged`].
    pub fn get_now(&self, key: &M::Key) -> Result<Option<M::Record>, StoreError> {
        get::<M>(&self.reads, key)
    }

    /// Returns the first `limit` committed rows with `from <= key < until`.
    ///
    /// # Errors
    /// The engine's, or [`StoreError::Damaged`].
    pub fn scan_now(
        &self,
        from: &M::Key,
        until: &M::Key,
        limit: usize,
    ) -> Result<Page<M>, StoreError> {
        scan::<M>(&self.reads, from, until, limit)
    }

    /// Returns the first `limit` committed rows of the whole store: export, checks.
    ///
    /// # Errors
    /// The engine's, or [`StoreError::Damaged`].
    pub fn scan_all(&self, limit: usize) -> Result<Page<M>, StoreError> {
        collect::<M>(&self.reads, &[], &AFTER_LAST_KEY, limit)
    }

    /// Returns the byte-level reader: backup, export.
    pub const fn raw(&self) -> &E::Reader {
        &self.reads
    }
}

impl<M, E> Query<M> for Reader<M, E>
where
    M: Machine<Key: Send + Sync, Record: Send + Sync> + Persist,
    E: Engine,
{
    type Error = StoreError;

    async fn get(&self, key: &M::Key) -> Result<Option<M::Record>, StoreError> {
        match self.reads.remote() {
            Some(remote) => get_later::<M>(remote, key).await,
            None => self.get_now(key),
        }
    }

    async fn scan(
        &self,
        from: &M::Key,
        until: &M::Key,
        limit: usize,
    ) -> Result<Page<M>, StoreError> {
        match self.reads.remote() {
            Some(remote) => scan_later::<M>(remote, from, until, limit).await,
            None => self.scan_now(from, until, limit),
        }
    }
}

fn listed<M: Persist>(keys: &[M::Key]) -> KeyList {
    let mut list = KeyList::with_capacity(keys.len());
    for key in keys {
        list.push_with(|out| M::key_bytes(key, out));
    }
    debug_assert!(list.iter().all(|key| !key.is_empty()), "a key says its kind");
    assert_eq!(list.len(), keys.len(), "different keys have different bytes");
    list
}

fn open<M: Persist>(
    loads: &mut Loads<'_>,
    list: &KeyList,
    keys: Vec<M::Key>,
) -> Result<Loaded<M>, StoreError> {
    let asked = keys.len();
    assert_eq!(asked, list.len(), "each key is in the list");
    let mut typed = keys.into_iter();
    let mut rows = Loaded::<M>::with_capacity(asked);
    loads(&mut |index, framed| {
        assert_eq!(index, rows.len(), "an engine visits the keys in their order");
        let key = typed.next().expect("an engine visits no more keys than it was asked for");
        let record = match framed {
            Some(framed) => Some(Arc::new(open_record::<M>(&key, list.key(index), framed)?)),
            None => None,
        };
        rows.push((key, record));
        Ok(())
    })?;
    assert_eq!(rows.len(), asked, "an engine visits each key, absent or not");
    debug_assert!(
        rows.is_sorted_by(|(a, _), (b, _)| a < b),
        "the order of the bytes is the order of the keys"
    );
    Ok(rows)
}

fn encode<M: Persist>(writes: &Writes<M>, batch: &mut Batch) {
    batch.clear();
    debug_assert!(writes.is_sorted_by(|(a, _), (b, _)| a < b), "a row is written once, in order");
    for (typed, record) in writes {
        let key = |out: &mut Vec<u8>| M::key_bytes(typed, out);
        match record {
            Some(record) => batch.put_with(key, |out, key| {
                assert!(!key.is_empty(), "a key says its kind");
                debug_assert!(
                    M::key_from_bytes(&out[key.clone()]).is_ok_and(|read| read == *typed),
                    "a key is read as it is written, so a scan finds the row"
                );
                frame::seal(out, key, |out| {
                    let start = out.len();
                    M::record_bytes(record, out);
                    assert!(out.len() > start, "a record says its version");
                    debug_assert!(
                        M::record_from_bytes(typed, &out[start..]).is_ok(),
                        "who wrote a record can read it, so no commit makes a damaged store"
                    );
                });
            }),
            None => batch.remove_with(key),
        }
    }
    assert_eq!(batch.len(), writes.len(), "different keys have different bytes");
}

fn get<M: Persist>(reads: &impl Read, key: &M::Key) -> Result<Option<M::Record>, StoreError> {
    let mut list = KeyList::with_capacity(1);
    list.push_with(|out| M::key_bytes(key, out));
    assert!(!list.key(0).is_empty(), "a key says its kind");
    let mut visits = 0_usize;
    let mut found = None;
    reads.load(&list, &mut |index, framed| {
        assert_eq!(index, 0, "one key has one index");
        visits += 1;
        if let Some(framed) = framed {
            found = Some(open_record::<M>(key, list.key(0), framed)?);
        }
        Ok(())
    })?;
    assert_eq!(visits, 1, "an engine visits each key once, absent or not");
    Ok(found)
}

async fn get_later<M: Persist>(
    remote: &dyn Remote,
    key: &M::Key,
) -> Result<Option<M::Record>, StoreError> {
    let list = listed::<M>(std::slice::from_ref(key));
    assert_eq!(list.len(), 1, "one key is asked for");
    let bytes = list.key(0).to_vec();
    let values = remote.load_later(list).await?;
    assert_eq!(values.len(), 1, "each key has its answer, absent or not");
    let framed = values.into_iter().next().flatten();
    framed.map(|framed| open_record::<M>(key, &bytes, &framed)).transpose()
}

async fn scan_later<M: Persist>(
    remote: &dyn Remote,
    from: &M::Key,
    until: &M::Key,
    limit: usize,
) -> Result<Page<M>, StoreError> {
    let (mut first, mut end) = (Vec::with_capacity(32), Vec::with_capacity(32));
    M::key_bytes(from, &mut first);
    M::key_bytes(until, &mut end);
    assert_eq!(from < until, first < end, "the order of the bytes is the order of the keys");
    assert!(!first.is_empty() && !end.is_empty(), "a key says its kind");
    assert!(first.len() <= KEY_BYTES_MAX, "a scan begins at a key");
    assert!(end.len() <= KEY_BYTES_MAX, "a scan ends before a key");
    let raw = remote.scan_later(first, end, limit).await?;
    let rows = raw.iter().map(|(bytes, framed)| open_row::<M>(bytes, framed));
    let page: Page<M> = rows.collect::<Result<_, _>>()?;
    assert!(page.first().is_none_or(|(key, _)| from <= key), "a scan begins within its bounds");
    assert!(page.last().is_none_or(|(key, _)| key < until), "a scan ends within its bounds");
    assert!(page.len() <= limit, "a scan keeps its limit");
    Ok(page)
}

fn scan<M: Persist>(
    reads: &impl Read,
    from: &M::Key,
    until: &M::Key,
    limit: usize,
) -> Result<Page<M>, StoreError> {
    let mut first = Vec::with_capacity(32);
    M::key_bytes(from, &mut first);
    let mut end = Vec::with_capacity(32);
    M::key_bytes(until, &mut end);
    assert_eq!(from < until, first < end, "the order of the bytes is the order of the keys");
    assert!(!first.is_empty() && !end.is_empty(), "a key says its kind");
    assert!(first.len() <= KEY_BYTES_MAX, "a scan begins at a key");
    assert!(end.len() <= KEY_BYTES_MAX, "a scan ends before a key");
    let page = collect::<M>(reads, &first, &end, limit)?;
    assert!(page.first().is_none_or(|(key, _)| from <= key), "a scan begins within its bounds");
    assert!(page.last().is_none_or(|(key, _)| key < until), "a scan ends within its bounds");
    assert!(page.len() <= limit, "a scan keeps its limit");
    Ok(page)
}

fn collect<M: Persist>(
    reads: &impl Read,
    from: &[u8],
    until: &[u8],
    limit: usize,
) -> Result<Page<M>, StoreError> {
    let mut page: Page<M> = Vec::new();
    reads.visit(from, until, limit, &mut |bytes, framed| {
        assert!(page.len() < limit, "an engine keeps the limit");
        let (key, record) = open_row::<M>(bytes, framed)?;
        if let Some((last, _)) = page.last() {
            assert!(*last < key, "a scan ascends");
        }
        page.push((key, record));
        Ok(())
    })?;
    assert!(from < until || page.is_empty(), "no row lies between crossed bounds");
    Ok(page)
}

fn open_row<M: Persist>(bytes: &[u8], framed: &[u8]) -> Result<(M::Key, M::Record), StoreError> {
    let key = M::key_from_bytes(bytes).map_err(|damage| StoreError::damaged_row(bytes, damage))?;
    let record = open_record::<M>(&key, bytes, framed)?;
    Ok((key, record))
}

fn open_record<M: Persist>(
    key: &M::Key,
    bytes: &[u8],
    framed: &[u8],
) -> Result<M::Record, StoreError> {
    let body = frame::unseal(bytes, framed)?;
    M::record_from_bytes(key, body).map_err(|damage| StoreError::damaged_row(bytes, damage))
}
