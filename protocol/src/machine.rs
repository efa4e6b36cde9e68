//! The shape of a role whose decisions read a database: declare, load, decide, commit, release.
//!
//! 1. [`Machine::reads`] names every row that a decision may look at.
//! 2. The [`Store`] loads exactly those rows, and holds them against other writers.
//! 3. [`Machine::step`] decides in memory, over [`Rows`].
//! 4. The store makes the writes durable in one transaction.
//! 5. [`run`] hands the outputs to its caller.
//!
//! > **`OutputAfterCommit`**: nothing leaves a node before the transaction that justifies it is
//! > durable. A refusal waits for the same commit as an acceptance, because it too was computed
//! > from rows that are not durable yet.
//!
//! Nobody but `run` can make `Rows`, so nobody can obtain an output before its commit:
//!
//! ```compile_fail,E0451
//! use counterfoil_protocol::machine::{Machine, Rows};
//! fn leak<M: Machine>(machine: &M, input: &M::Input) -> M::Output {
//!     // `Rows` has private fields and no constructor outside this module: error E0451.
//!     let (loaded, written, appended) = (&[][..], Vec::new(), Default::default());
//!     let mut rows = Rows { loaded, written, appended, last: Default::default() };
//!     machine.step(counterfoil_protocol::time::Millis(0), input, &mut rows)
//! }
//! ```
//!
//! Design and measurements behind it: `docs/decisions/0001-declare-load-decide.md`. The idea of
//! declared read sets is that of Calvin (SIGMOD 2012) and of TigerBeetle's `prefetch`.

mod by_ref;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::cmp::Ordering;
use core::future::Future;
use core::hash::Hash;

use crate::time::Millis;

/// A pure protocol role: it names what it reads, then decides.
///
/// Exactly one output belongs to each input, so that a group commit cannot answer the wrong
/// caller.
pub trait Machine {
    /// What the role is asked. One input is one decision.
    type Input;
    /// What it answers, released after the commit. A refusal is an output, not an error.
    type Output;
    /// The name of a row. Its order is the order in which stores lock.
    type Key: Clone + Ord + Hash;
    /// The content of a row.
    type Record: Clone;

    /// Names every row that [`Machine::step`] may read on `input`.
    fn reads(&self, input: &Self::Input, keys: &mut ReadSet<Self::Key>);

    /// Decides. It is called again if the store meets a conflict, so it must be pure.
    fn step(&self, now: Millis, input: &Self::Input, rows: &mut Rows<'_, Self>) -> Self::Output;
}

/// The names of the rows that a batch of inputs may read. A name may be given more than once.
#[derive(Clone, Debug)]
pub struct ReadSet<K>(Vec<K>);

/// Few decisions read more rows.
const READS_USUAL: usize = 16;
/// Most decisions append no more rows.
const APPENDED_USUAL: usize = 2;
/// How many bytes an allocator has at hand without a search.
const AT_HAND_BYTES: usize = 1024;

const _: () = assert!(READS_USUAL > 0, "a decision reads something");
const _: () = assert!(APPENDED_USUAL <= READS_USUAL, "more is read than appended");
const _: () = assert!(size_of::<Place>() == size_of::<usize>(), "a place is a number");
const _: () = assert!(APPENDED_USUAL > 0, "room is made for a row");
const _: () = assert!(AT_HAND_BYTES >= READS_USUAL, "there is room for short names");

impl<K: Ord + Clone> ReadSet<K> {
    /// Returns an empty set.
    #[must_use]
    pub fn new() -> Self {
        let at_hand = AT_HAND_BYTES / size_of::<K>().max(1);
        Self(Vec::with_capacity(at_hand.clamp(1, READS_USUAL)))
    }

    /// Makes room for so many names more.
    pub fn reserve(&mut self, names: usize) {
        self.0.reserve(names);
        assert!(self.0.capacity() - self.0.len() >= names, "there is room for each");
    }

    /// Adds a name.
    pub fn insert(&mut self, key: K) {
        self.0.push(key);
    }

    /// Returns the names in their order, each once.
    #[must_use]
    pub fn into_sorted(self) -> Vec<K> {
        let Self(mut named) = self;
        assert!(u32::try_from(named.len()).is_ok(), "a batch reads fewer rows than that");
        if is_set(&named, |key| key) {
            return named; // most roles name their rows in order
        }
        let asked = named.len();
        if asked <= READS_USUAL {
            named.sort_unstable();
            named.dedup();
            assert!(named.len() <= asked, "a set has no more than the list");
            return named;
        }
        // Keys are long: it is the places of many that are sorted.
        let mut places: Vec<u32> = (0..).take(named.len()).collect();
        places.sort_by(|a, b| named[*a as usize].cmp(&named[*b as usize])); // a few sorted runs
        places.dedup_by(|a, b| named[*a as usize] == named[*b as usize]);
        let keys: Vec<K> = places.into_iter().map(|place| named[place as usize].clone()).collect();
        assert!(keys.len() <= asked, "a set has no more than the list");
        assert!(!keys.is_empty(), "a name stays, however often it is given");
        debug_assert!(is_set(&keys, |key| key), "sorting makes a set of a list");
        keys
    }
}

impl<K: Ord + Clone> Default for ReadSet<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K> Extend<K> for ReadSet<K> {
    fn extend<I: IntoIterator<Item = K>>(&mut self, keys: I) {
        self.0.extend(keys);
    }
}

/// A row's content, shared: a store in memory, a cache and a transaction hold the same one.
pub type Row<M> = Arc<<M as Machine>::Record>;

/// A key, and the row under it if there is one, or is to be one.
pub type Slot<K, R> = (K, Option<Arc<R>>);

/// The rows that were asked for, as the transaction sees them, in the order of their keys; `None`
/// is an absent row.
pub type Loaded<M> = Vec<Slot<<M as Machine>::Key, <M as Machine>::Record>>;

/// What a transaction changes, in the order of the keys, each once; `None` removes the row.
pub type Writes<M> = Vec<Slot<<M as Machine>::Key, <M as Machine>::Record>>;

/// Where a declared row is, in the transaction that has found it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place(usize);

impl Place {
    /// Returns the place of the row that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The declared slice of the database. Later steps of a batch see the writes of earlier ones.
#[derive(Debug)]
pub struct Rows<'a, M: Machine + ?Sized> {
    loaded: &'a [Slot<M::Key, M::Record>],
    /// For each loaded row: what became of it, if anything did.
    written: Vec<Option<Option<Arc<M::Record>>>>,
    /// Rows that could not be declared, in the order of their keys.
    appended: Vec<Slot<M::Key, M::Record>>,
    /// Where the last look-up ended. Steps mostly ask for the same row again, or for the next one.
    last: Cell<usize>,
}

impl<'a, M: Machine + ?Sized> Rows<'a, M> {
    fn over(loaded: &'a [Slot<M::Key, M::Record>]) -> Self {
        debug_assert!(is_set(loaded, |(key, _)| key), "a store loads the keys in their order");
        let written: Vec<_> = core::iter::repeat_with(|| None).take(loaded.len()).collect();
        assert_eq!(written.len(), loaded.len(), "each loaded row can be written");
        Self { loaded, written, appended: Vec::new(), last: Cell::new(0) }
    }

    /// Returns the row under `key`, if there is one.
    ///
    /// # Panics
    /// If neither `reads` declared the key nor an earlier step of the batch wrote it: that is a
    /// bug in the role, and deciding on a row that is not locked would be worse.
    #[must_use]
    pub fn get(&self, key: &M::Key) -> Option<&M::Record> {
        if let Some(index) = self.find(key) {
            assert!(index < self.written.len(), "what is declared can be written");
            let (_, loaded) = &self.loaded[index];
            return self.written[index].as_ref().unwrap_or(loaded).as_deref();
        }
        let place = self.find_appended(key);
        assert!(place.is_ok(), "a step reads only what `reads` declared");
        self.appended[place.ok()?].1.as_deref()
    }

    /// Returns where a declared row is, which mostly is at `likely`: who goes through rows that
    /// follow each other looks each up by one comparison.
    ///
    /// # Panics
    /// If `reads` did not declare the key.
    #[must_use]
    pub fn place(&self, key: &M::Key, likely: Place) -> Place {
        if self.loaded.get(likely.0).is_some_and(|(held, _)| held == key) {
            return likely;
        }
        let found = self.find(key);
        assert!(found.is_some(), "a step reads only what `reads` declared");
        debug_assert!(found.is_some_and(|at| self.loaded[at].0 == *key), "a row has its key");
        Place(found.unwrap_or_default())
    }

    /// Returns the row at a place, if there is one.
    #[must_use]
    pub fn at(&self, place: Place) -> Option<&M::Record> {
        assert!(place.0 < self.loaded.len(), "a place is that of a declared row");
        assert!(place.0 < self.written.len(), "what is declared can be written");
        let (_, loaded) = &self.loaded[place.0];
        self.written[place.0].as_ref().unwrap_or(loaded).as_deref()
    }

    /// Writes the row at a place.
    pub fn put_at(&mut self, place: Place, record: M::Record) {
        assert!(place.0 < self.written.len(), "what is declared can be written");
        self.written[place.0] = Some(Some(Arc::new(record)));
        debug_assert!(self.at(place).is_some(), "what is written is there");
    }

    /// Removes the row at a place; an absent row stays absent.
    pub fn remove_at(&mut self, place: Place) {
        assert!(place.0 < self.written.len(), "what is declared can be removed");
        self.written[place.0] = Some(None);
        debug_assert!(self.at(place).is_none(), "what is removed is not there");
    }

    /// Writes a declared row.
    ///
    /// # Panics
    /// If `reads` did not declare the key.
    pub fn put(&mut self, key: M::Key, record: M::Record) {
        let known = self.set(key, Some(Arc::new(record)));
        assert!(known, "a step writes only what `reads` declared");
    }

    /// Removes a declared row; an absent row stays absent.
    ///
    /// # Panics
    /// If `reads` did not declare the key.
    pub fn remove(&mut self, key: M::Key) {
        let known = self.set(key, None);
        assert!(known, "a step removes only what `reads` declared");
    }

    /// Writes a row whose key was drawn from a declared row, such as a counter.
    ///
    /// Such a key cannot be declared (it is not known before that row is read), and need not be:
    /// the row is held, so no other transaction can draw the same key.
    ///
    /// # Panics
    /// If the key was declared and exists: a counter went back.
    pub fn append(&mut self, key: M::Key, record: M::Record) {
        let before = match self.find(&key) {
            Some(index) => {
                let before = self.written[index].replace(Some(Arc::new(record)));
                before.unwrap_or_else(|| self.loaded[index].1.clone())
            }
            None => self.set_appended(key, Some(Arc::new(record))).flatten(),
        };
        assert!(before.is_none(), "an appended row is new");
    }

    /// Removes a row whose key was drawn from a declared row: the other end of [`Self::append`].
    pub fn retract(&mut self, key: M::Key) {
        self.set(key, None);
    }

    /// Writes a row that is the same whoever writes it, without having read it.
    ///
    /// Its key names its content (by digest), so an earlier one is replaced by its like. Declaring
    /// such a key would cost every decision a look-up for what almost never exists.
    pub fn keep(&mut self, key: M::Key, record: M::Record) {
        self.set(key, Some(Arc::new(record)));
    }

    /// Writes the row, and returns whether its key was known before.
    fn set(&mut self, key: M::Key, record: Option<Row<M>>) -> bool {
        assert_eq!(self.written.len(), self.loaded.len(), "each loaded row has its fate");
        match self.find(&key) {
            Some(index) => {
                assert!(index < self.written.len(), "what is declared can be written");
                self.written[index] = Some(record);
                true
            }
            None => self.set_appended(key, record).is_some(),
        }
    }

    /// Writes a row that was not declared, and returns what was written to it before.
    fn set_appended(&mut self, key: M::Key, record: Option<Row<M>>) -> Option<Option<Row<M>>> {
        match self.find_appended(&key) {
            Ok(place) => Some(core::mem::replace(&mut self.appended[place].1, record)),
            Err(place) => {
                assert!(place <= self.appended.len(), "a row has its place among the others");
                if self.appended.is_empty() {
                    self.appended.reserve(APPENDED_USUAL); // an entry and its place in the queue
                }
                self.appended.insert(place, (key, record));
                None
            }
        }
    }

    /// Returns the place of a row that was not declared, or where it would be.
    fn find_appended(&self, key: &M::Key) -> Result<usize, usize> {
        // Counters rise, so that the next row mostly comes after the others.
        if self.appended.last().is_none_or(|(last, _)| last < key) {
            return Err(self.appended.len());
        }
        self.appended.binary_search_by(|(appended, _)| appended.cmp(key))
    }

    /// Returns the place of a declared key.
    fn find(&self, key: &M::Key) -> Option<usize> {
        if self.loaded.len() <= READS_USUAL {
            // Keys of different kinds differ in their first byte: few are looked through at once.
            let found = self.loaded.iter().position(|(loaded, _)| loaded == key);
            debug_assert!(found.is_none_or(|at| at < self.written.len()), "a row has its fate");
            return found;
        }
        let last = self.last.get();
        let (mut first, mut end) = (0, self.loaded.len());
        match self.loaded.get(last)?.0.cmp(key) {
            Ordering::Equal => return Some(last),
            Ordering::Greater => end = last,
            Ordering::Less => first = last + 1,
        }
        assert!(first <= end, "a look-up ended at a row");
        if first > 0
            && let Some((next, _)) = self.loaded.get(first)
        {
            match next.cmp(key) {
                Ordering::Equal => {
                    self.last.set(first);
                    return Some(first);
                }
                Ordering::Greater => return None,
                Ordering::Less => first += 1,
            }
        }
        let between = &self.loaded[first..end];
        let found = first + between.binary_search_by(|(loaded, _)| loaded.cmp(key)).ok()?;
        self.last.set(found);
        Some(found)
    }

    fn into_writes(self) -> Writes<M> {
        assert_eq!(self.written.len(), self.loaded.len(), "each loaded row has its fate");
        let most = self.written.len() + self.appended.len();
        let put = self.written.iter().flatten().count();
        let mut writes: Writes<M> = Vec::with_capacity(put + self.appended.len());
        let mut appended = self.appended.into_iter();
        for (written, (key, _)) in self.written.into_iter().zip(self.loaded) {
            let Some(record) = written else { continue };
            while appended.as_slice().first().is_some_and(|(before, _)| before < key) {
                writes.extend(appended.next());
            }
            writes.push((key.clone(), record));
        }
        writes.extend(appended);
        assert!(is_set(&writes, |(key, _)| key), "each key is written once");
        assert!(writes.len() <= most, "only what was declared or appended is written");
        writes
    }
}

/// Returns whether the keys rise: they are sorted, and each is there once.
fn is_set<T, K: Ord>(items: &[T], key: impl Fn(&T) -> &K) -> bool {
    items.is_sorted_by(|a, b| key(a).cmp(key(b)).is_lt())
}

/// The port to a database: one atomic, isolated, durable transaction.
pub trait Store<M: Machine> {
    /// Why a transaction has no known outcome. The caller discards what it was about to say, and
    /// re-reads: it must not assume that nothing was written.
    type Error;

    /// Loads `keys` (sorted, each once: lock in this order), runs `decide`, makes its writes
    /// durable.
    ///
    /// It may run `decide` again after a conflict. `Ok` means that the writes survive a power cut.
    fn transact(
        &mut self,
        keys: Vec<M::Key>,
        decide: impl FnMut(&Loaded<M>) -> Writes<M> + Send,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// A page of rows, in the order of their keys.
pub type Page<M> = Vec<(<M as Machine>::Key, <M as Machine>::Record)>;

/// Read-only queries over committed state: pull paths, lists, the queue.
///
/// What a query returns may be outdated by the time it is used; a decision re-reads through
/// [`Machine::reads`].
pub trait Query<M: Machine> {
    /// Why the query failed; nothing was changed.
    type Error;

    /// Returns the committed row under `key`.
    fn get(
        &self,
        key: &M::Key,
    ) -> impl Future<Output = Result<Option<M::Record>, Self::Error>> + Send;

    /// Returns the first `limit` committed rows with `from <= key < until`.
    fn scan(
        &self,
        from: &M::Key,
        until: &M::Key,
        limit: usize,
    ) -> impl Future<Output = Result<Page<M>, Self::Error>> + Send;

    /// Returns what `take` makes of the committed row under `key`, if there is one.
    fn look<T: Send>(
        &self,
        key: &M::Key,
        take: impl FnOnce(&M::Record) -> Option<T> + Send,
    ) -> impl Future<Output = Result<Option<T>, Self::Error>> + Send {
        let row = self.get(key);
        async move { Ok(row.await?.as_ref().and_then(take)) }
    }

    /// Returns what `take` makes of the rows that [`Self::scan`] would return: a row is as large as
    /// the largest of its kind, and mostly little of it is wanted. What it leaves out counts
    /// towards the limit. It is asked about each row at most once, in no certain order, and may be
    /// asked about rows behind the limit.
    fn select<T: Send>(
        &self,
        from: &M::Key,
        until: &M::Key,
        limit: usize,
        mut take: impl FnMut(&M::Key, &M::Record) -> Option<T> + Send,
    ) -> impl Future<Output = Result<Vec<T>, Self::Error>> + Send {
        let page = self.scan(from, until, limit);
        async move {
            let page = page.await?;
            assert!(page.len() <= limit, "a scan keeps its limit");
            let rows = page.len();
            let taken = page.iter().filter_map(|(key, record)| take(key, record));
            let taken: Vec<T> = taken.collect();
            assert!(taken.len() <= rows, "each row is taken once");
            Ok(taken)
        }
    }
}

/// Runs one batch of inputs as one transaction: group commit.
///
/// Returns one output for each input, in their order. This is the only way to an output, and the
/// `?` is the proof of its order.
///
/// # Errors
/// The store's: the outcome is unknown, no output exists, the caller reopens and re-reads.
pub async fn run<M, S>(
    machine: &M,
    store: &mut S,
    now: Millis,
    inputs: &[M::Input],
) -> Result<Vec<M::Output>, S::Error>
where
    M: Machine<Input: Sync, Output: Send, Key: Send + Sync, Record: Send + Sync> + Sync,
    S: Store<M>,
{
    let mut keys = ReadSet::new();
    for input in inputs {
        machine.reads(input, &mut keys);
    }
    let keys = keys.into_sorted();
    let asked = keys.len();
    let mut outputs = Vec::with_capacity(inputs.len());
    store
        .transact(keys, |loaded| {
            assert_eq!(loaded.len(), asked, "a store loads each declared key, absent or not");
            outputs.clear();
            let mut rows = Rows::over(loaded);
            for input in inputs {
                outputs.push(machine.step(now, input, &mut rows));
            }
            rows.into_writes()
        })
        .await?;
    assert_eq!(outputs.len(), inputs.len(), "one output for each input");
    Ok(outputs)
}
