//! After a failed commit the old or the new state is there, never a mixture; the handle refuses.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "a test fails by panicking")]

mod support;

use std::io;
use std::sync::{Arc, Mutex};

use counterfoil_protocol::machine::{Query as _, run};
use counterfoil_protocol::time::Millis;
use counterfoil_storage::engine::AFTER_LAST_KEY;
use counterfoil_storage::{Batch, Engine, Failure, Memory, MemoryEngine, Read, Redb, StoreError};
use support::ledger::{Input, Key, Ledger, Record};
use support::now;
use support::random::Random;

/// A disk whose writes and syncs fail from the k-th on, and may lose what was not synced.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    synced: Vec<u8>,
    calls: u64,
    fail_from: Option<u64>,
    tear: bool,
}

impl Disk {
    /// Returns the disk as the next start finds it: of each sector that was written and not
    /// synced, `kept` says whether it is there.
    fn after_power_cut(&self, mut kept: impl FnMut() -> bool) -> Self {
        const SECTOR: usize = 512;
        let state = self.0.lock().unwrap();
        let mut bytes = state.synced.clone();
        bytes.resize(state.bytes.len(), 0);
        for (found, written) in bytes.chunks_mut(SECTOR).zip(state.bytes.chunks(SECTOR)) {
            if found != written && kept() {
                found.copy_from_slice(written);
            }
        }
        Self(Arc::new(Mutex::new(State { synced: bytes.clone(), bytes, ..State::default() })))
    }

    fn fail_from(&self, call: Option<u64>, tear: bool) {
        let mut state = self.0.lock().unwrap();
        state.calls = 0;
        state.fail_from = call;
        state.tear = tear;
    }

    fn calls(&self) -> u64 {
        self.0.lock().unwrap().calls
    }
}

impl State {
    /// Counts a call that changes the disk; says whether it is the first to fail, or a later one.
    fn changes(&mut self) -> Result<(), bool> {
        self.calls += 1;
        match self.fail_from {
            Some(first) if self.calls >= first => Err(self.calls == first),
            Some(_) | None => Ok(()),
        }
    }
}

fn broken() -> io::Error {
    io::Error::other("the disk is broken")
}

impl redb::StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.lock().unwrap();
        let start = offset as usize;
        let source = state.bytes.get(start..start + out.len()).ok_or_else(broken)?;
        out.copy_from_slice(source);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.changes().map_err(|_| broken())?;
        state.bytes.resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.changes().map_err(|_| broken())?;
        state.synced = state.bytes.clone();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let outcome = state.changes();
        let written = match outcome {
            Ok(()) => data.len(),
            Err(first) if first && state.tear => data.len() / 2,
            Err(_) => 0,
        };
        let start = offset as usize;
        state.bytes[start..start + written].copy_from_slice(&data[..written]);
        outcome.map_err(|_| broken())
    }
}

fn old_state() -> Batch {
    (0..60_u8).map(|n| (vec![n], Some(vec![1; 500]))).collect()
}

fn new_state() -> Batch {
    (0..60_u8).map(|n| (vec![n + 20], (n % 3 != 0).then(|| vec![2; 900]))).collect()
}

fn all(engine: &impl Read) -> Vec<(Vec<u8>, Vec<u8>)> {
    engine.scan(&[], &AFTER_LAST_KEY, usize::MAX).unwrap()
}

#[test]
fn redb_has_the_old_or_the_new_state_whichever_write_fails() {
    let expected = {
        let disk = Disk::default();
        let mut engine = Redb::open_with_backend(disk.clone()).unwrap();
        engine.commit(&old_state()).unwrap();
        let old = all(&engine);
        disk.fail_from(None, false);
        engine.commit(&new_state()).unwrap();
        (old, all(&engine), disk.calls())
    };
    let (old, new, calls) = expected;
    assert!(calls > 4, "a commit of two phases makes more than {calls} calls");
    let (mut found_old, mut found_new) = (0, 0);
    for first in 1..=calls {
        // none of the unsynced sectors, all of them, and ten mixtures
        for (tear, survivors) in (0..24).map(|case| (case % 2 == 0, case / 2)) {
            let disk = Disk::default();
            let mut engine = Redb::open_with_backend(disk.clone()).unwrap();
            engine.commit(&old_state()).unwrap();
            let reader = engine.reader();
            disk.fail_from(Some(first), tear);
            let failed = engine.commit(&new_state()).unwrap_err();
            let certain = !matches!(failed, StoreError::Unknown { .. });
            for refused in [
                engine.commit(&Batch::from([(vec![9], None)])).unwrap_err(),
                engine.commit(&Batch::new()).unwrap_err(),
                reader.get(&[1]).unwrap_err(),
            ] {
                assert!(matches!(refused, StoreError::Unknown { .. }), "{refused}");
                assert_eq!(refused.code(), "POS_SYNC_STORAGE_FAILED");
            }
            let mut random = Random::new(first * 100 + survivors);
            let left = disk.after_power_cut(|| match survivors {
                0 => false,
                1 => true,
                _ => random.below(2) == 0,
            });
            let mut engine = Redb::open_with_backend(left).unwrap();
            let case = format!("call {first}, torn {tear}, survivors {survivors}");
            let found = all(&engine);
            match (found == old, found == new) {
                (true, false) => found_old += 1,
                (false, true) if !certain => found_new += 1,
                _ => panic!("{case}: a mixture"),
            }
            engine.check().unwrap();
            engine.commit(&new_state()).unwrap();
            assert_eq!(all(&engine), new, "{case}");
        }
    }
    println!("{calls} calls a commit: {found_old} times old, {found_new} times new");
    assert!(found_old > 0, "no failure before the commit was met");
    assert!(found_new > 0, "no failure after the commit was met");
}

fn post(id: u64) -> Input {
    Input::Post { account: 1, id, amount: 5, memo: Vec::new() }
}

#[test]
fn the_typed_memory_store_fails_as_it_is_told() {
    for (failure, balance) in [(Failure::Before, 5), (Failure::After, 10)] {
        let mut store = Memory::<Ledger>::new();
        now(run(&Ledger, &mut store, Millis(0), &[post(1)])).unwrap();
        let backup = store.image();
        store.fail_next(failure);
        let failed = now(run(&Ledger, &mut store, Millis(0), &[post(2)])).unwrap_err();
        assert!(matches!(failed, StoreError::Unknown { .. }), "{failed}");
        let refused = now(run(&Ledger, &mut store, Millis(0), &[post(3)])).unwrap_err();
        assert!(matches!(refused, StoreError::Unknown { .. }), "{refused}");
        now(store.get(&Key::Balance(1))).unwrap_err();
        store.reopen();
        let found = now(store.get(&Key::Balance(1))).unwrap();
        assert_eq!(found, Some(Record::Balance(balance)), "{failure:?}");
        let counters = store.counters();
        assert_eq!(counters.rows_written, 4 * counters.commits, "{failure:?}");
        store.restore(backup);
        assert_eq!(now(store.get(&Key::Balance(1))).unwrap(), Some(Record::Balance(5)));
    }
}

#[test]
fn the_memory_engine_recovers_from_a_cut_at_any_byte() {
    let commits: Vec<Batch> = (0..6_u8)
        .map(|n| Batch::from([(vec![n], Some(vec![n; 9])), (vec![n / 2], Some(vec![n]))]))
        .collect();
    let build = || {
        let mut engine = MemoryEngine::new();
        let mut states = vec![(0, all(&engine))];
        for batch in &commits {
            engine.commit(batch).unwrap();
            states.push((engine.durable_bytes(), all(&engine)));
        }
        (engine, states)
    };
    let whole = build().0.log_bytes();
    for keep in 0..=whole {
        let (engine, states) = build();
        let found = all(&MemoryEngine::open(engine.crash(keep)).unwrap());
        let (_, expected) = states.iter().rfind(|(bytes, _)| *bytes <= keep).unwrap();
        assert_eq!(found, *expected, "cut at {keep}");
    }
    for (failure, durable_grows) in [(Failure::Before, false), (Failure::After, true)] {
        let (mut engine, states) = build();
        engine.fail_next(failure);
        let failed = engine.commit(&new_state()).unwrap_err();
        assert!(matches!(failed, StoreError::Unknown { .. }), "{failed}");
        engine.commit(&Batch::new()).unwrap_err();
        let written = engine.log_bytes();
        assert_eq!(written > states[6].0, durable_grows);
        let found = all(&MemoryEngine::open(engine.crash(written)).unwrap());
        assert_eq!(found != states[6].1, durable_grows, "{failure:?}");
    }
    let mut log = build().0.crash(whole);
    log[9] ^= 1;
    assert!(matches!(MemoryEngine::open(log), Err(StoreError::Damaged { .. })));
}
