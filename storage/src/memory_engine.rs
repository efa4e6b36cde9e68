//! An engine whose disk is a byte string: a write-ahead log that can be cut at any byte.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use counterfoil_protocol::persist::KEY_BYTES_MAX;

use crate::engine::{
    Batch, Engine, Integrity, KeyList, LoadVisit, Read, ScanVisit, VALUE_BYTES_MAX,
    assert_within_limits, expect_within_limits, read_through,
};
use crate::{Failure, StoreError};

/// An engine in memory, with the recovery of a write-ahead log.
///
/// One commit is one record: its length, its checksum, its writes. Opening replays whole records
/// and drops a torn last one, which was never acknowledged.
#[derive(Debug)]
pub struct MemoryEngine {
    state: Arc<RwLock<State>>,
}

/// Reads a [`MemoryEngine`] from another thread.
#[derive(Clone, Debug)]
pub struct MemoryReader {
    state: Arc<RwLock<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// The disk. Bytes at and after `durable` may be gone after a power cut.
    log: Vec<u8>,
    durable: usize,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    next_failure: Option<Failure>,
    refuses: bool,
}

impl Default for MemoryEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryEngine {
    /// Returns an engine with an empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self { state: Arc::default() }
    }

    /// Opens the disk that an engine left behind.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if a record before the last is not what was written.
    pub fn open(mut log: Vec<u8>) -> Result<Self, StoreError> {
        let mut rows = BTreeMap::new();
        let mut whole = 0;
        while let Some(payload) = record_at(&log, whole)? {
            replay(payload, &mut rows)?;
            whole += RECORD_HEAD + payload.len();
            assert!(whole <= log.len(), "a whole record lies within the log");
        }
        assert!(whole > 0 || rows.is_empty(), "every row comes from a record");
        log.truncate(whole);
        let state = State { durable: whole, log, rows, ..State::default() };
        assert!(state.readable().is_ok(), "what opens can be read");
        Ok(Self { state: Arc::new(RwLock::new(state)) })
    }

    /// Lets the next commit fail: not a byte, or all but the answer, reaches the disk.
    pub fn fail_next(&mut self, failure: Failure) {
        let mut state = write(&self.state);
        assert_eq!(state.next_failure, None, "one planned failure at a time");
        assert!(!state.refuses, "a store that refuses is opened anew first");
        state.next_failure = Some(failure);
    }

    /// Returns how many bytes of the disk are acknowledged.
    #[must_use]
    pub fn durable_bytes(&self) -> usize {
        read(&self.state).durable
    }

    /// Returns how many bytes of the disk are written.
    #[must_use]
    pub fn log_bytes(&self) -> usize {
        read(&self.state).log.len()
    }

    /// Cuts the power and the disk at `keep_bytes`, and returns what is left for [`Self::open`].
    ///
    /// Fewer than [`Self::durable_bytes`] is a disk that lied.
    #[must_use]
    pub fn crash(self, keep_bytes: usize) -> Vec<u8> {
        let mut state = write(&self.state);
        let in_doubt = state.durable < state.log.len();
        assert!(!in_doubt || state.refuses, "only a failure leaves what is not acknowledged");
        state.refuses = true;
        let durable = std::mem::take(&mut state.durable);
        let mut log = std::mem::take(&mut state.log);
        assert!(durable <= log.len(), "what is durable is written");
        log.truncate(keep_bytes);
        log
    }
}

impl Drop for MemoryEngine {
    fn drop(&mut self) {
        write(&self.state).refuses = true;
    }
}

impl Engine for MemoryEngine {
    type Reader = MemoryReader;

    fn reader(&self) -> MemoryReader {
        MemoryReader { state: Arc::clone(&self.state) }
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        assert_within_limits(batch);
        let mut state = write(&self.state);
        state.readable()?;
        if batch.is_empty() {
            return Ok(());
        }
        let failure = state.next_failure.take();
        state.refuses = failure.is_some();
        if failure == Some(Failure::Before) {
            assert_eq!(state.durable, state.log.len(), "nothing was written of what failed");
            return Err(StoreError::unknown("a planned failure"));
        }
        let record = record(batch);
        state.log.extend_from_slice(&record);
        assert!(state.durable < state.log.len(), "what is written is not yet acknowledged");
        if failure == Some(Failure::After) {
            assert!(state.refuses, "a lost answer closes the store");
            return Err(StoreError::unknown("a planned failure"));
        }
        let durable_before = state.durable;
        state.durable = state.log.len();
        assert_eq!(state.durable, durable_before + record.len(), "one commit is one record");
        let rows_before = state.rows.len();
        for (key, value) in batch.iter() {
            match value {
                Some(value) => state.rows.insert(key.to_vec(), value.to_vec()),
                None => state.rows.remove(key),
            };
        }
        assert!(state.rows.len() <= rows_before + batch.len(), "a write adds at most one row");
        assert!(state.rows.len() + batch.len() >= rows_before, "a write removes at most one row");
        assert!(state.readable().is_ok(), "a commit that succeeded leaves the store open");
        Ok(())
    }

    fn check(&mut self) -> Result<Integrity, StoreError> {
        let state = read(&self.state);
        state.readable()?;
        let replayed = Self::open(state.log.clone())?;
        assert_eq!(replayed.durable_bytes(), state.durable, "what is acknowledged replays whole");
        if read(&replayed.state).rows != state.rows {
            return Err(StoreError::damaged_part("log", "it does not replay to the rows"));
        }
        Ok(Integrity::Sound)
    }
}

impl State {
    fn readable(&self) -> Result<(), StoreError> {
        if self.refuses {
            return Err(StoreError::unknown("the store was closed by a failure; reopen it"));
        }
        assert!(self.durable == self.log.len(), "an open store has acknowledged all it wrote");
        let bytes = self.log.len();
        assert!(bytes == 0 || bytes >= RECORD_HEAD, "what is in the log is in a record");
        let writes_max = self.log.len() / WRITE_BYTES_MIN;
        assert!(self.rows.len() <= writes_max, "every row is in the log");
        Ok(())
    }
}

impl Read for RwLock<State> {
    fn load(&self, keys: &KeyList, visit: &mut LoadVisit<'_>) -> Result<(), StoreError> {
        let state = read(self);
        state.readable()?;
        for (index, key) in keys.iter().enumerate() {
            visit(index, state.rows.get(key).map(Vec::as_slice))?;
        }
        Ok(())
    }

    fn visit(
        &self,
        from: &[u8],
        until: &[u8],
        limit: usize,
        visit: &mut ScanVisit<'_>,
    ) -> Result<(), StoreError> {
        let state = read(self);
        state.readable()?;
        if from >= until {
            return Ok(());
        }
        let bounds = (std::ops::Bound::Included(from), std::ops::Bound::Excluded(until));
        for (key, value) in state.rows.range::<[u8], _>(bounds).take(limit) {
            visit(key, value)?;
        }
        Ok(())
    }
}

read_through!(state: MemoryEngine, MemoryReader);

fn read(state: &RwLock<State>) -> RwLockReadGuard<'_, State> {
    state.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(state: &RwLock<State>) -> RwLockWriteGuard<'_, State> {
    state.write().unwrap_or_else(PoisonError::into_inner)
}

/// Length and checksum of the payload, four bytes each.
const RECORD_HEAD: usize = 8;

/// What a write does: the byte behind its key.
const REMOVE: u8 = 0;
const PUT: u8 = 1;

/// Length of a key, tag, length of a value.
const WRITE_BYTES_MIN: usize = 9;

const _: () = assert!(WRITE_BYTES_MIN == 2 * size_of::<u32>() + 1, "a write without bytes");
const _: () = assert!(REMOVE != PUT, "a tag says one thing");
const _: () = assert!(usize::BITS >= u32::BITS, "a length on the disk is one in memory");
const _: () = assert!(RECORD_HEAD == 2 * size_of::<u32>(), "a head is a length and a checksum");
const _: () = assert!(KEY_BYTES_MAX <= u32::MAX as usize, "four bytes hold a key's length");
const _: () = assert!(VALUE_BYTES_MAX <= u32::MAX as usize, "four bytes hold a value's length");

/// One commit as it lies in the log: head, then for each write a key, a tag and a value.
fn record(batch: &Batch) -> Vec<u8> {
    assert!(!batch.is_empty(), "an empty commit writes nothing");
    let mut out = vec![0; RECORD_HEAD];
    for (key, value) in batch.iter() {
        put_bytes(&mut out, key);
        out.push(if value.is_some() { PUT } else { REMOVE });
        put_bytes(&mut out, value.unwrap_or_default());
    }
    let len = u32::try_from(out.len() - RECORD_HEAD).expect("a commit is under 4 GiB");
    let writes_max = len as usize / WRITE_BYTES_MIN;
    assert!(batch.len() <= writes_max, "each write has its lengths and its tag");
    let sum = crc32fast::hash(&out[RECORD_HEAD..]);
    out[..4].copy_from_slice(&len.to_le_bytes());
    out[4..RECORD_HEAD].copy_from_slice(&sum.to_le_bytes());
    debug_assert_eq!(
        record_at(&out, 0),
        Ok(Some(&out[RECORD_HEAD..])),
        "a record is found as it is written"
    );
    debug_assert!(
        replay(&out[RECORD_HEAD..], &mut BTreeMap::new()).is_ok(),
        "a record replays, so what is acknowledged opens again"
    );
    out
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).expect("keys and values are under 4 GiB");
    let start = out.len();
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(bytes);
    let mut written = &out[start..];
    assert_eq!(take_bytes(&mut written), Some(bytes), "bytes are read as they are written");
    assert!(written.is_empty(), "nothing lies behind them, so the next write begins there");
}

/// Returns the payload of the record at `start`, or none if the log ends there or is torn there.
fn record_at(log: &[u8], start: usize) -> Result<Option<&[u8]>, StoreError> {
    assert!(start <= log.len(), "a record begins within the log");
    let mut rest = &log[start..];
    let (Some(len), Some(sum)) = (take_u32(&mut rest), take_u32(&mut rest)) else {
        return Ok(None);
    };
    let Some((payload, behind)) = rest.split_at_checked(len as usize) else {
        return Ok(None);
    };
    if crc32fast::hash(payload) == sum {
        return Ok(Some(payload));
    }
    if behind.is_empty() {
        return Ok(None);
    }
    Err(StoreError::damaged_part(
        "log",
        format!("the record at byte {start} is not what was written"),
    ))
}

fn replay(mut payload: &[u8], rows: &mut BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(), StoreError> {
    let rows_max = rows.len() + payload.len() / WRITE_BYTES_MIN;
    while !payload.is_empty() {
        let before = payload.len();
        let write = take_bytes(&mut payload).and_then(|key| {
            let tag = payload.split_off_first()?;
            Some((key, *tag, take_bytes(&mut payload)?))
        });
        assert!(payload.len() < before || write.is_none(), "a write that is read is behind");
        match write {
            Some((key, PUT, value)) => {
                expect_within_limits(key, value)?;
                rows.insert(key.to_vec(), value.to_vec())
            }
            Some((key, REMOVE, _)) => rows.remove(key),
            Some(_) | None => {
                return Err(StoreError::damaged_part("log", "a record has no such write"));
            }
        };
    }
    assert!(rows.len() <= rows_max, "a write adds at most one row");
    Ok(())
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*head))
}

fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = take_u32(bytes)?;
    let (head, rest) = bytes.split_at_checked(len as usize)?;
    *bytes = rest;
    Some(head)
}
