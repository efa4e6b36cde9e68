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
//!     let loaded = std::collections::BTreeMap::new();
//!     // `Rows` has private fields and no constructor outside this module: error E0451.
//!     let mut rows = Rows { loaded: &loaded, written: std::collections::BTreeMap::new() };
//!     machine.step(counterfoil_protocol::time::Millis(0), input, &mut rows)
//! }
//! ```
//!
//! Design and measurements behind it: `docs/decisions/0001-declare-load-decide.md`. The idea of
//! declared read sets is that of Calvin (SIGMOD 2012) and of TigerBeetle's `prefetch`.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::future::Future;

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
    type Key: Clone + Ord;
    /// The content of a row.
    type Record: Clone;

    /// Names every row that [`Machine::step`] may read on `input`.
    fn reads(&self, input: &Self::Input, keys: &mut BTreeSet<Self::Key>);

    /// Decides. It is called again if the store meets a conflict, so it must be pure.
    fn step(&self, now: Millis, input: &Self::Input, rows: &mut Rows<'_, Self>) -> Self::Output;
}

/// The rows that were asked for, as the transaction sees them; `None` is an absent row.
pub type Loaded<M> = BTreeMap<<M as Machine>::Key, Option<<M as Machine>::Record>>;

/// What a transaction changes; `None` removes the row.
pub type Writes<M> = BTreeMap<<M as Machine>::Key, Option<<M as Machine>::Record>>;

/// The declared slice of the database. Later steps of a batch see the writes of earlier ones.
#[derive(Debug)]
pub struct Rows<'a, M: Machine + ?Sized> {
    loaded: &'a BTreeMap<M::Key, Option<M::Record>>,
    written: BTreeMap<M::Key, Option<M::Record>>,
}

impl<M: Machine + ?Sized> Rows<'_, M> {
    /// Returns the row under `key`, if there is one.
    ///
    /// # Panics
    /// If neither `reads` declared the key nor an earlier step of the batch wrote it: that is a
    /// bug in the role, and deciding on a row that is not locked would be worse.
    #[must_use]
    pub fn get(&self, key: &M::Key) -> Option<&M::Record> {
        if let Some(written) = self.written.get(key) {
            return written.as_ref();
        }
        let loaded = self.loaded.get(key);
        assert!(loaded.is_some(), "a step reads only what `reads` declared");
        loaded.and_then(Option::as_ref)
    }

    /// Writes a declared row.
    ///
    /// # Panics
    /// If `reads` did not declare the key.
    pub fn put(&mut self, key: M::Key, record: M::Record) {
        assert!(self.knows(&key), "a step writes only what `reads` declared");
        self.written.insert(key, Some(record));
    }

    /// Removes a declared row; an absent row stays absent.
    ///
    /// # Panics
    /// If `reads` did not declare the key.
    pub fn remove(&mut self, key: M::Key) {
        assert!(self.knows(&key), "a step removes only what `reads` declared");
        self.written.insert(key, None);
    }

    /// Writes a row whose key was drawn from a counter in a declared row.
    ///
    /// Such a key cannot be declared (it is not known before the counter is read), and need not
    /// be: the counter's row is held, so no other transaction can draw the same key.
    ///
    /// # Panics
    /// If the key was declared and exists: a counter went back.
    pub fn append(&mut self, key: M::Key, record: M::Record) {
        let occupied = match self.written.get(&key) {
            Some(written) => written.is_some(),
            None => self.loaded.get(&key).is_some_and(Option::is_some),
        };
        assert!(!occupied, "an appended row is new");
        self.written.insert(key, Some(record));
    }

    /// Writes a row that is the same whoever writes it, without having read it.
    ///
    /// Its key names its content (by digest), so an earlier one is replaced by its like. Declaring
    /// such a key would cost every decision a look-up for what almost never exists.
    pub fn keep(&mut self, key: M::Key, record: M::Record) {
        self.written.insert(key, Some(record));
    }

    fn knows(&self, key: &M::Key) -> bool {
        self.loaded.contains_key(key) || self.written.contains_key(key)
    }
}

/// The port to a database: one atomic, isolated, durable transaction.
pub trait Store<M: Machine> {
    /// Why a transaction has no known outcome. The caller discards what it was about to say, and
    /// re-reads: it must not assume that nothing was written.
    type Error;

    /// Loads `keys` (sorted: lock in this order), runs `decide`, makes its writes durable.
    ///
    /// It may run `decide` again after a conflict. `Ok` means that the writes survive a power cut.
    fn transact(
        &mut self,
        keys: &BTreeSet<M::Key>,
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
    let mut keys = BTreeSet::new();
    for input in inputs {
        machine.reads(input, &mut keys);
    }
    let mut outputs = Vec::with_capacity(inputs.len());
    store
        .transact(&keys, |loaded| {
            assert_eq!(loaded.len(), keys.len(), "a store loads each declared key, absent or not");
            outputs.clear();
            let mut rows = Rows { loaded, written: BTreeMap::new() };
            for input in inputs {
                outputs.push(machine.step(now, input, &mut rows));
            }
            rows.written
        })
        .await?;
    assert_eq!(outputs.len(), inputs.len(), "one output for each input");
    Ok(outputs)
}
