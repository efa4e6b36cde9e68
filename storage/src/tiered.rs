//! A till's rows in two stores: what it sells from, and the archive.
//!
//! Entries that are settled for long leave the hot store for the archive
//! ([`counterfoil_protocol::terminal::archive`]). Whoever reads or decides sees both as one:
//!
//! > **What is read stays the same.** A row is what the hot store says; where it has none, what the
//! > archive says, as far as the hot store notes that rows have left for it.
//!
//! The archive is only read here. It may hold more than has left: what was copied and not removed
//! yet, or what a later life of a restored database has left there. Of the first the hot store has
//! its own row; the second is not shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use counterfoil_protocol::identity::{Epoch, LocalEventId, PosId};
use counterfoil_protocol::label::Label;
use counterfoil_protocol::machine::{Loaded, Page, Query, Store, Writes};
use counterfoil_protocol::terminal::archive::{Archive, books_in, is_of, may_hold};
use counterfoil_protocol::terminal::row::Seen;
use counterfoil_protocol::terminal::{Key, Place, Record, Terminal};

/// A till's store, with the archive behind it.
#[derive(Clone, Copy, Debug)]
pub struct Tiered<H, A> {
    hot: H,
    archive: A,
}

/// How many rows of the archive are read at a time: each may have half a megabyte.
const PAGE: usize = 32;

const _: () = assert!(PAGE > 1, "a page that begins with a known row has another");

impl<H, A> Tiered<H, A> {
    /// Puts an archive behind a store.
    #[must_use]
    pub const fn new(hot: H, archive: A) -> Self {
        Self { hot, archive }
    }

    /// Returns the store that the till sells from.
    #[must_use]
    pub const fn hot(&self) -> &H {
        &self.hot
    }

    /// Returns the archive.
    #[must_use]
    pub const fn archive(&self) -> &A {
        &self.archive
    }
}

impl<H, A> Tiered<H, A>
where
    H: Query<Terminal, Error: Send> + Sync,
    A: Query<Terminal, Error = H::Error> + Sync,
{
    /// Returns what has left, if this is the archive that it has left for.
    async fn books(&self) -> Result<Option<Archive>, H::Error> {
        let Some(left) = self.hot.look(&Key::Archive, books_in).await? else { return Ok(None) };
        let id =
            |row: &Record| if let Record::Archive(books) = row { Some(books.id) } else { None };
        let held = self.archive.look(&Key::Archive, id).await?;
        Ok((held == Some(left.id)).then_some(left))
    }

    /// Returns the archive's row under a key, if it is one that the till has left there.
    async fn archived(&self, books: &Archive, key: &Key) -> Result<Option<Record>, H::Error> {
        assert!(may_hold(key), "an archive holds entries and their names");
        if let Key::Entry(epoch, seq) = *key
            && !books.shows(Place { epoch, seq })
        {
            return Ok(None);
        }
        let Some(record) = self.archive.get(key).await? else { return Ok(None) };
        let (entry, row) = (matches!(key, Key::Entry(..)), matches!(record, Record::Entry(_)));
        assert_eq!(entry, row, "a store gives each key a record of its kind");
        Ok(if self.shows(books, key, &record).await? { Some(record) } else { None })
    }

    async fn shows(&self, books: &Archive, key: &Key, row: &Record) -> Result<bool, H::Error> {
        if let Key::Entry(epoch, seq) = *key {
            return Ok(books.shows(Place { epoch, seq }));
        }
        let Some(seen) = Seen::of(row) else { return Ok(false) };
        let place = seen.known.place;
        debug_assert!(may_hold(key), "only a name says where its event stands");
        if !books.shows(place) {
            return Ok(false);
        }
        let own = |row: &Record| matches!(row, Record::Entry(entry) if is_of(key, seen, entry));
        let at = Key::Entry(place.epoch, place.seq);
        Ok(match self.hot.get(&at).await? {
            Some(row) => own(&row),
            None => self.archive.look(&at, |row| own(row).then_some(())).await?.is_some(),
        })
    }

    /// Returns what the archive has under keys of the hot store, in their order.
    async fn behind(&self, keys: &[Key]) -> Result<Vec<(Key, Arc<Record>)>, H::Error> {
        debug_assert!(keys.is_sorted_by(|a, b| a < b), "each row is asked for once, in order");
        let mut found = Vec::new();
        if !keys.iter().any(may_hold) {
            return Ok(found);
        }
        let Some(books) = self.books().await? else { return Ok(found) };
        for key in keys.iter().filter(|key| may_hold(key)) {
            let row = self.archived(&books, key).await?;
            found.extend(row.map(|row| (*key, Arc::new(row))));
        }
        assert!(found.len() <= keys.len(), "each row is found once");
        debug_assert!(found.is_sorted_by(|(a, _), (b, _)| a < b), "in the order of the keys");
        debug_assert!(found.iter().all(|(key, _)| may_hold(key)), "an archive holds little else");
        Ok(found)
    }

    /// Adds what `take` makes of the archive's rows to what there is of the hot store's, until a
    /// page has `limit` of both.
    async fn merge<T: Send>(
        &self,
        books: &Archive,
        page: Vec<(Key, T)>,
        (from, until): (&Key, &Key),
        limit: usize,
        mut take: impl FnMut(&Key, Record) -> T + Send,
    ) -> Result<Vec<(Key, T)>, H::Error> {
        let mut page: BTreeMap<Key, T> = page.into_iter().collect();
        assert!(page.len() <= limit, "a scan keeps its limit");
        assert!(from < until, "a range has two ends");
        assert!(limit > 0, "something is asked for");
        debug_assert!(page.keys().all(|key| from <= key && key < until), "within its bounds");
        let mut next = *from;
        let mut first = true;
        loop {
            // What lies behind a full page is not asked for.
            let end = if page.len() == limit { page.keys().next_back() } else { None };
            let end = end.map_or(*until, |last| *last.min(until));
            let rows = self.archive.scan(&next, &end, PAGE.min(limit.saturating_add(1))).await?;
            assert!(rows.len() <= PAGE, "a scan keeps its limit");
            assert!(end <= *until, "nothing behind the range is asked for");
            let last = rows.len() < PAGE.min(limit.saturating_add(1));
            let begun = std::mem::replace(&mut next, rows.last().map_or(end, |(key, _)| *key));
            for (key, row) in rows {
                let again = key == begun && !first;
                if again || page.contains_key(&key) || !self.shows(books, &key, &row).await? {
                    continue;
                }
                page.insert(key, take(&key, row));
                if page.len() > limit {
                    page.pop_last();
                }
            }
            first = false;
            if last {
                break;
            }
        }
        assert!(page.len() <= limit, "a scan keeps its limit");
        debug_assert!(page.keys().all(|key| from <= key && key < until), "within its bounds");
        Ok(page.into_iter().collect())
    }
}

const FIRST_ENTRY: Key = Key::Entry(Epoch { number: 0, nonce: 0 }, 0);
const AFTER_ENTRIES: Key = Key::Queue(Epoch { number: 0, nonce: 0 }, 0);
const FIRST_NAME: Key = Key::Local(PosId(Label::FIRST), LocalEventId(Label::FIRST));

/// Returns whether rows of the archive can lie in a range.
fn range_may_hold(books: &Archive, from: &Key, until: &Key) -> bool {
    assert!(from < until, "a range has two ends");
    assert!(FIRST_ENTRY < AFTER_ENTRIES && AFTER_ENTRIES < FIRST_NAME, "kinds have an order");
    if let (Key::Entry(first, seq), Key::Entry(last, _)) = (from, until)
        && first == last
    {
        // Mostly it is asked for what is new.
        return books.shows(Place { epoch: *first, seq: (*seq).max(1) });
    }
    let entries = *from < AFTER_ENTRIES && *until > FIRST_ENTRY;
    let begins = matches!(from, Key::Local(..));
    let names = begins || (*from < FIRST_NAME && *until > FIRST_NAME);
    entries || names
}

/// Fills in what the hot store lacks.
fn whole(loaded: &Loaded<Terminal>, behind: &[(Key, Arc<Record>)]) -> Loaded<Terminal> {
    assert!(behind.len() <= loaded.len(), "what was found behind was asked for");
    debug_assert!(loaded.is_sorted_by(|(a, _), (b, _)| a < b), "in the order of the keys");
    let mut behind = behind.iter().peekable();
    let mut filled = Vec::with_capacity(loaded.len());
    for (key, row) in loaded {
        let archived = behind.next_if(|(held, _)| held == key).map(|(_, row)| row);
        filled.push((*key, row.as_ref().or(archived).cloned()));
    }
    assert_eq!(filled.len(), loaded.len(), "each declared row is loaded, absent or not");
    assert!(behind.next().is_none(), "what was found behind was asked for");
    filled
}

impl<H, A> Store<Terminal> for Tiered<H, A>
where
    H: Store<Terminal, Error: Send>
        + Query<Terminal, Error = <H as Store<Terminal>>::Error>
        + Send
        + Sync,
    A: Query<Terminal, Error = <H as Store<Terminal>>::Error> + Send + Sync,
{
    type Error = <H as Store<Terminal>>::Error;

    async fn transact(
        &mut self,
        keys: Vec<Key>,
        mut decide: impl FnMut(&Loaded<Terminal>) -> Writes<Terminal> + Send,
    ) -> Result<(), Self::Error> {
        // There is one writer: what has left does not come back before the transaction begins.
        let behind = self.behind(&keys).await?;
        if behind.is_empty() {
            return self.hot.transact(keys, decide).await;
        }
        assert!(behind.len() <= keys.len(), "each row is asked for once");
        self.hot.transact(keys, |loaded| decide(&whole(loaded, &behind))).await
    }
}

impl<H, A> Query<Terminal> for Tiered<H, A>
where
    H: Query<Terminal, Error: Send> + Send + Sync,
    A: Query<Terminal, Error = H::Error> + Send + Sync,
{
    type Error = H::Error;

    async fn get(&self, key: &Key) -> Result<Option<Record>, H::Error> {
        let row = self.hot.get(key).await?;
        if row.is_some() || !may_hold(key) {
            return Ok(row);
        }
        match self.books().await? {
            Some(books) => self.archived(&books, key).await,
            None => Ok(None),
        }
    }

    async fn scan(
        &self,
        from: &Key,
        until: &Key,
        limit: usize,
    ) -> Result<Page<Terminal>, H::Error> {
        let page = self.hot.scan(from, until, limit).await?;
        assert!(page.len() <= limit, "a scan keeps its limit");
        if from >= until || limit == 0 {
            return Ok(page);
        }
        match self.books().await? {
            Some(books) if range_may_hold(&books, from, until) => {
                self.merge(&books, page, (from, until), limit, |_, row| row).await
            }
            Some(_) | None => Ok(page),
        }
    }

    async fn look<T: Send>(
        &self,
        key: &Key,
        take: impl FnOnce(&Record) -> Option<T> + Send,
    ) -> Result<Option<T>, H::Error> {
        let mut take = Some(take);
        let found = self.hot.look(key, |row| take.take().and_then(|take| take(row))).await?;
        let Some(take) = take else { return Ok(found) };
        assert!(found.is_none(), "what the hot store lacks was not looked at");
        if !may_hold(key) {
            return Ok(None);
        }
        match self.books().await? {
            Some(books) => Ok(self.archived(&books, key).await?.as_ref().and_then(take)),
            None => Ok(None),
        }
    }

    async fn select<T: Send>(
        &self,
        from: &Key,
        until: &Key,
        limit: usize,
        mut take: impl FnMut(&Key, &Record) -> Option<T> + Send,
    ) -> Result<Vec<T>, H::Error> {
        let hot = |key: &Key, row: &Record| Some((*key, take(key, row)));
        let mut page = self.hot.select(from, until, limit, hot).await?;
        assert!(page.len() <= limit, "a scan keeps its limit");
        if from < until
            && limit > 0
            && let Some(books) = self.books().await?
            && range_may_hold(&books, from, until)
        {
            let archived = |key: &Key, row: Record| take(key, &row);
            page = self.merge(&books, page, (from, until), limit, archived).await?;
        }
        assert!(page.len() <= limit, "a scan keeps its limit");
        Ok(page.into_iter().filter_map(|(_, taken)| taken).collect())
    }
}
