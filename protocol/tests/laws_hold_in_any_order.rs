//! Random disasters in random order, against a small reference model.
//!
//! > **`ZeroLoss`**, **`NoDuplicate`**, **`NoPhantom`**, **`JournalIntact`**, **`NeverForgotten`**,
//! > **`StockIsSum`**, **`ReceiptsGapless`**, **`AckedIsDurable`**
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;

use counterfoil_protocol::cloud::{Cloud, Input, RollUp, rollup};
use counterfoil_protocol::event::Receipt;
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{Epoch, EventKey};
use counterfoil_protocol::terminal::Output;
use counterfoil_protocol::terminal::row::State;
use counterfoil_protocol::time::Millis;
use counterfoil_protocol::wire::message::Standing;
use proptest::prelude::*;
use support::rows::{always, at_rest, entries, event, ledger};
use support::{
    Node, Till, adjustment, block_on, give_parcel, greet, offer, quiesce, refund, sale, site, sync,
    take_parcel, terminal_id, write_parcel,
};

#[derive(Clone, Copy, Debug)]
enum Move {
    Sell(usize),
    Refund(usize),
    Adjust(usize),
    Sync(usize),
    SyncLosingAnswer(usize),
    GreetOnly(usize),
    BackUpTill(usize),
    RestoreTill(usize),
    CloneTill,
    BackUpCloud,
    RestoreCloud,
    PlanRollUp,
    RollUp,
    Open(usize, Outside),
    WriteParcel(usize),
    GiveParcel(usize),
    TakeAnswers(usize, usize),
}

/// So many parcels are on their way each way; older ones are lost.
const CARRIED: usize = 4;

#[derive(Clone, Copy, Debug)]
enum Outside {
    Matching,
    Older,
    Missing,
}

fn any_move() -> impl Strategy<Value = Move> {
    let till = 0_usize..2;
    let outside =
        prop_oneof![Just(Outside::Matching), Just(Outside::Older), Just(Outside::Missing)];
    prop_oneof![
        8 => till.clone().prop_map(Move::Sell),
        2 => till.clone().prop_map(Move::Refund),
        1 => till.clone().prop_map(Move::Adjust),
        5 => till.clone().prop_map(Move::Sync),
        3 => till.clone().prop_map(Move::SyncLosingAnswer),
        4 => till.clone().prop_map(Move::GreetOnly),
        2 => till.clone().prop_map(Move::BackUpTill),
        2 => till.clone().prop_map(Move::RestoreTill),
        1 => Just(Move::CloneTill),
        1 => Just(Move::BackUpCloud),
        2 => Just(Move::RestoreCloud),
        2 => Just(Move::PlanRollUp),
        2 => Just(Move::RollUp),
        2 => (till.clone(), outside).prop_map(|(till, outside)| Move::Open(till, outside)),
        5 => till.clone().prop_map(Move::WriteParcel),
        5 => (0..CARRIED).prop_map(Move::GiveParcel),
        5 => (till, 0..CARRIED).prop_map(|(till, which)| Move::TakeAnswers(till, which)),
    ]
}

/// What a person with a pencil would know.
#[derive(Clone, Default)]
struct Books {
    /// Every event that any till ever committed.
    committed: BTreeMap<EventKey, Hash>,
    last_sale: Option<EventKey>,
    ids: u64,
    fresh: u64,
}

struct World {
    tills: Vec<Till>,
    /// The last receipt of each register's series, as each till's database must have it.
    series: Vec<BTreeMap<Epoch, u64>>,
    backups: Vec<(Till, BTreeMap<Epoch, u64>)>,
    node: Node,
    node_backup: Node,
    planned: Option<RollUp>,
    /// Parcels on their way to the cloud, and to tills. Any of them may be carried twice.
    offers: Vec<Vec<u8>>,
    answers: Vec<Vec<u8>>,
    /// Of each till, whether it has heard of the cloud on a link since one of them was restored.
    informed: Vec<bool>,
    now: Millis,
    books: Books,
    seen: BTreeMap<Standing, u64>,
}

impl World {
    fn new() -> Self {
        let till = Till::install(1);
        let node = Node::new(Cloud::default());
        Self {
            tills: vec![till.clone()],
            series: vec![BTreeMap::new()],
            backups: vec![(till, BTreeMap::new())],
            node_backup: node.clone(),
            planned: None,
            offers: Vec::new(),
            answers: Vec::new(),
            informed: vec![true],
            node,
            now: Millis(1_000),
            books: Books::default(),
            seen: BTreeMap::new(),
        }
    }

    fn step(&mut self, step: Move) {
        self.now = self.now.after(Millis(700));
        let count = self.tills.len();
        match step {
            Move::Sell(till) => self.record(till % count, |id, _| sale(id, "tea")),
            Move::Refund(till) => self.record(till % count, |id, last| refund(id, "tea", last)),
            Move::Adjust(till) => self.record(till % count, |id, _| adjustment(id, "tea", -5)),
            Move::Sync(till) => {
                sync(&mut self.tills[till % count], &mut self.node, self.now);
                self.informed[till % count] = true;
            }
            Move::SyncLosingAnswer(till) => {
                offer(&mut self.tills[till % count], &mut self.node, self.now, false);
            }
            Move::GreetOnly(till) => {
                self.informed[till % count] = true;
                let till = &mut self.tills[till % count];
                for standing in greet(till, &mut self.node, self.now).0 {
                    *self.seen.entry(standing).or_default() += 1;
                }
            }
            Move::BackUpTill(till) => {
                let till = till % count;
                self.backups[till] = (self.tills[till].clone(), self.series[till].clone());
            }
            Move::RestoreTill(till) => {
                // The database alone: the witness outside stays what it was.
                let till = till % count;
                let (backup, series) = self.backups[till].clone();
                self.tills[till].store = backup.store;
                self.series[till] = series;
                self.informed[till] = false;
            }
            Move::CloneTill if count < 2 => {
                self.tills.push(self.tills[0].clone());
                self.series.push(self.series[0].clone());
                self.backups.push(self.backups[0].clone());
                self.informed.push(self.informed[0]);
            }
            Move::CloneTill => {}
            Move::BackUpCloud => self.node_backup = self.node.clone(),
            Move::RestoreCloud => {
                let commits = self.node.store.commits;
                self.node = self.node_backup.clone();
                // The count makes the nonces of new epochs: chance does not repeat.
                self.node.store.commits = commits + 1;
                self.informed.fill(false);
            }
            Move::PlanRollUp => self.planned = planned(&self.node),
            // The plan may be old: carried out before, or of a cloud that was restored since.
            Move::RollUp => {
                if let Some(planned) = self.planned.clone() {
                    self.node.run(self.now, Input::RollUp(planned));
                }
            }
            Move::Open(till, outside) => self.open(till % count, outside),
            Move::WriteParcel(till) => {
                self.books.fresh += 1;
                let number = self.books.fresh;
                let parcel = write_parcel(&mut self.tills[till % count], self.now, number);
                carry(&mut self.offers, parcel);
            }
            Move::GiveParcel(which) => {
                if let Some(parcel) = self.offers.get(which) {
                    let answers = give_parcel(&mut self.node, self.now, parcel);
                    carry(&mut self.answers, answers);
                }
            }
            // They may be the answers to another copy of this till.
            Move::TakeAnswers(till, which) => {
                self.books.fresh += 1;
                let nonce = 1_000_000 + self.books.fresh;
                if let Some(parcel) = self.answers.get(which) {
                    take_parcel(&mut self.tills[till % count], self.now, nonce, parcel);
                }
            }
        }
        for (till, informed) in self.tills.iter().zip(&self.informed) {
            always(till, &self.node, &self.books.committed);
            if *informed {
                acked_is_durable(till, &self.node);
            }
        }
    }

    fn record(
        &mut self,
        till: usize,
        draft: impl Fn(&str, Option<EventKey>) -> counterfoil_protocol::terminal::Draft,
    ) {
        self.books.ids += 1;
        let draft = draft(&format!("e{}", self.books.ids), self.books.last_sale);
        let output = self.tills[till].record(self.now, draft.clone());
        let Output::Recorded { place, receipt, again: false } = output else {
            panic!("not recorded: {output:?}");
        };
        if let Some(Receipt { series, number }) = receipt {
            let last = self.series[till].entry(series).or_default();
            assert_eq!(number, *last + 1, "ReceiptsGapless");
            *last = number;
            assert_eq!(series, self.tills[till].meta().epoch, "the series of the epoch");
        }
        let entry = &entries(&self.tills[till])[&place];
        let key = event(&entry.payload).key(terminal_id());
        self.books.committed.insert(key, entry.payload_hash);
        if draft.local_id == key.local_id && event(&entry.payload).kind() == "sale" {
            self.books.last_sale = Some(key);
        }
    }

    fn open(&mut self, till: usize, outside: Outside) {
        let now = self.now;
        self.books.fresh += 1;
        let fresh = 10_000 + self.books.fresh * 2;
        let till = &mut self.tills[till];
        match outside {
            Outside::Matching => {}
            Outside::Older => {
                if let Some(witness) = &mut till.witness {
                    witness.boot = 0;
                }
            }
            Outside::Missing => till.witness = None,
        }
        till.open(now, fresh);
        assert_eq!(till.open(now, fresh + 1), None, "an opened database is known again");
    }

    /// After the faults have stopped.
    fn settle(&mut self) {
        for _ in 0..2 {
            for till in &mut self.tills {
                quiesce(till, &mut self.node, &mut self.now);
            }
        }
        for till in &self.tills {
            always(till, &self.node, &self.books.committed);
            at_rest(till, &self.node);
        }
        assert!(ledger(&self.node).len() <= self.books.committed.len(), "NoPhantom");
    }
}

/// > **`AckedIsDurable`**
fn acked_is_durable(till: &Till, node: &Node) {
    let (meta, ledger) = (till.meta(), ledger(node));
    for (place, entry) in entries(till) {
        let current = place.epoch == meta.epoch && place.seq <= meta.acked;
        if current && matches!(entry.state, State::Synced(_)) {
            let key = event(&entry.payload).key(terminal_id());
            assert!(ledger.contains_key(&key), "AckedIsDurable: {key} at {place:?}");
        }
    }
}

fn carry(parcels: &mut Vec<Vec<u8>>, parcel: Vec<u8>) {
    parcels.push(parcel);
    if parcels.len() > CARRIED {
        parcels.remove(0);
    }
}

fn planned(node: &Node) -> Option<RollUp> {
    block_on(rollup::plan(&node.store, site())).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6_000, ..ProptestConfig::default() })]

    #[test]
    fn every_law_survives_any_sequence(moves in prop::collection::vec(any_move(), 1..60)) {
        let mut world = World::new();
        for step in moves {
            world.step(step);
        }
        world.settle();
    }
}

/// The `sometimes` beside the `always`: the interesting cases do come up.
#[test]
fn every_standing_is_met() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen: BTreeMap<Standing, u64> = BTreeMap::new();
    for _ in 0..120 {
        let moves = prop::collection::vec(any_move(), 40..60).new_tree(&mut runner).unwrap();
        let mut world = World::new();
        for step in moves.current() {
            world.step(step);
        }
        for (standing, count) in world.seen {
            *seen.entry(standing).or_default() += count;
        }
    }
    let all = [
        Standing::InStep,
        Standing::TillAhead,
        Standing::CloudLostTail,
        Standing::TillLostTail,
        Standing::Forked,
    ];
    for standing in all {
        assert!(seen.contains_key(&standing), "{standing:?} is met: {seen:?}");
    }
}
