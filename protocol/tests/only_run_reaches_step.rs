//! > **`OutputAfterCommit`**: nothing leaves a node before the transaction that justifies it is
//! > durable.
//!
//! That nobody else can call `step` is a `compile_fail` example in `machine.rs`; here is what
//! `run` makes of stores that commit, fail, or decide twice.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{Future, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use counterfoil_protocol::machine::{Loaded, Machine, ReadSet, Rows, Store, Writes, run};
use counterfoil_protocol::time::Millis;
use support::{Mem, block_on};

/// A role that does what it is told to: a counter at key 0, and rows drawn from it.
#[derive(Default)]
struct Scribe {
    log: Mutex<Vec<&'static str>>,
}

#[derive(Clone, Copy, Debug)]
enum Ask {
    /// Declare the counter, raise it, append a row under its new value.
    Draw,
    /// Declare nothing and read key 9.
    ReadUndeclared,
    /// Declare nothing and write key 9.
    PutUndeclared,
    /// Declare nothing and remove key 9.
    RemoveUndeclared,
    /// Declare key 1 and append over it.
    AppendOver,
    /// Declare the counter, append key 7, then append it again.
    AppendTwice,
}

impl Machine for Scribe {
    type Input = Ask;
    type Output = u64;
    type Key = u64;
    type Record = u64;

    fn reads(&self, input: &Ask, keys: &mut ReadSet<u64>) {
        match input {
            Ask::Draw | Ask::AppendTwice => keys.insert(0),
            Ask::AppendOver => keys.insert(1),
            Ask::ReadUndeclared | Ask::PutUndeclared | Ask::RemoveUndeclared => {}
        }
    }

    fn step(&self, _: Millis, input: &Ask, rows: &mut Rows<'_, Self>) -> u64 {
        self.log.lock().unwrap().push("step");
        match input {
            Ask::Draw => {
                let next = rows.get(&0).copied().unwrap_or(0) + 1;
                rows.put(0, next);
                rows.append(next, 100 + next);
                next
            }
            Ask::ReadUndeclared => rows.get(&9).copied().unwrap_or(0),
            Ask::PutUndeclared => {
                rows.put(9, 9);
                0
            }
            Ask::RemoveUndeclared => {
                rows.remove(9);
                0
            }
            Ask::AppendOver => {
                rows.append(1, 1);
                0
            }
            Ask::AppendTwice => {
                rows.append(7, 1);
                rows.append(7, 2);
                0
            }
        }
    }
}

/// A store that tells when it commits, fails if told to, and decides as often as told to.
struct Stage<'a> {
    scribe: &'a Scribe,
    rows: BTreeMap<u64, u64>,
    decisions: usize,
    fails: bool,
}

impl Store<Scribe> for Stage<'_> {
    type Error = &'static str;

    fn transact(
        &mut self,
        keys: Vec<u64>,
        mut decide: impl FnMut(&Loaded<Scribe>) -> Writes<Scribe> + Send,
    ) -> impl Future<Output = Result<(), &'static str>> + Send {
        let loaded =
            keys.into_iter().map(|key| (key, self.rows.get(&key).copied().map(Arc::new))).collect();
        let mut writes = Writes::<Scribe>::new();
        for _ in 0..self.decisions {
            writes = decide(&loaded);
        }
        if self.fails {
            return ready(Err("the disk is full"));
        }
        self.scribe.log.lock().unwrap().push("commit");
        for (key, record) in writes {
            self.rows.insert(key, *record.unwrap());
        }
        ready(Ok(()))
    }
}

fn stage(scribe: &Scribe, decisions: usize, fails: bool) -> Stage<'_> {
    Stage { scribe, rows: BTreeMap::new(), decisions, fails }
}

#[test]
fn outputs_exist_only_after_the_commit() {
    let scribe = Scribe::default();
    let mut store = stage(&scribe, 1, false);
    let outputs = block_on(run(&scribe, &mut store, Millis(0), &[Ask::Draw, Ask::Draw]));
    scribe.log.lock().unwrap().push("release");
    assert_eq!(outputs, Ok(vec![1, 2]), "later inputs see the writes of earlier ones");
    assert_eq!(*scribe.log.lock().unwrap(), ["step", "step", "commit", "release"]);
    assert_eq!(store.rows, BTreeMap::from([(0, 2), (1, 101), (2, 102)]));
}

#[test]
fn a_commit_that_fails_releases_nothing() {
    let scribe = Scribe::default();
    let mut store = stage(&scribe, 1, true);
    let outputs = block_on(run(&scribe, &mut store, Millis(0), &[Ask::Draw]));
    assert_eq!(outputs, Err("the disk is full"));
    assert!(store.rows.is_empty());
}

#[test]
fn deciding_twice_gives_one_output_for_each_input() {
    for decisions in [1, 2, 5] {
        let scribe = Scribe::default();
        let mut store = stage(&scribe, decisions, false);
        let outputs = block_on(run(&scribe, &mut store, Millis(0), &[Ask::Draw, Ask::Draw]));
        assert_eq!(outputs, Ok(vec![1, 2]), "{decisions} decisions");
        assert_eq!(store.rows.len(), 3);
    }
}

#[test]
fn a_store_that_never_decides_is_found_out() {
    let scribe = Scribe::default();
    let mut store = stage(&scribe, 0, false);
    let ran = catch_unwind(AssertUnwindSafe(|| {
        block_on(run(&scribe, &mut store, Millis(0), &[Ask::Draw]))
    }));
    assert!(ran.is_err());
}

#[test]
fn a_step_touches_only_what_reads_declared() {
    let said = RefCell::new(Vec::new());
    for (ask, law) in [
        (Ask::ReadUndeclared, "a step reads only what `reads` declared"),
        (Ask::PutUndeclared, "a step writes only what `reads` declared"),
        (Ask::RemoveUndeclared, "a step removes only what `reads` declared"),
        (Ask::AppendOver, "an appended row is new"),
        (Ask::AppendTwice, "an appended row is new"),
    ] {
        let mut store = Mem::<Scribe>::default();
        store.rows.insert(1, 1);
        let ran = catch_unwind(AssertUnwindSafe(|| {
            block_on(run(&Scribe::default(), &mut store, Millis(0), &[ask]))
        }));
        let panic = ran.expect_err("the step is stopped");
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("");
        said.borrow_mut().push(message.to_owned());
        assert!(message.contains(law), "{ask:?}: {message}");
        assert_eq!(store.commits, 0, "{ask:?} commits nothing");
        assert_eq!(store.rows, BTreeMap::from([(1, 1)]), "{ask:?} changes nothing");
    }
    assert_eq!(said.borrow().len(), 5);
}
