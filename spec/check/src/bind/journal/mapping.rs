//! From the running code to the variables of `spec/Journal.tla`: the refinement mapping.
//!
//! Each function here says what one part of the real state *is* in the specification. They read
//! the rows of the real stores and the bytes of the real frames, and nothing that the code only
//! believes of itself in memory, but for a session's `greeted`.
//!
//! | variable | is |
//! |---|---|
//! | `disk`, `backup` | the rows of a till's database, of its backup: [`Mapping::disk`] |
//! | `cloud`, `product`, `archive` | the rows of the cloud's, of its backup: [`Mapping::cloud`] |
//! | `req`, `batch`, `ans` | frames: under way, taken in by the cloud, on their way back |
//! | `greeted` | what the till's session says; nothing where a till speaks whenever it may |
//! | `epochs` | how many epochs have been seen on any disk |
//! | `left` | the faults that the run has not used up |
//! | `born`, `printed` | what tills have confirmed to their cashiers |
//! | `ever` | which sales the cloud's rows have ever counted |
//!
//! No variable is left out. What the specification takes to be one-to-one is looked up: a chain
//! hash stands for the events that led to it, a nonce for a number. The mapping is partial: rows
//! for which the specification has no words ([`Unmapped`]) are a difference by themselves.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use counterfoil_protocol::cloud;
use counterfoil_protocol::cloud::row::{Fate, Lane};
use counterfoil_protocol::hash::{Hash, genesis, payload_hash};
use counterfoil_protocol::identity::{Epoch, TerminalId};
use counterfoil_protocol::journal::Segment;
use counterfoil_protocol::terminal::row::{Closed, State};
use counterfoil_protocol::terminal::{self, Terminal};
use counterfoil_protocol::wire::message::{
    Hello, HelloLane, Push, PushAnswer, Verdict, Welcome, WelcomeLane,
};
use counterfoil_storage::memory::Image;
use tla_checker::ast::Value;

use crate::bind::bound::{Mapped, Unmapped, Variables, unmapped};
use crate::bind::value::{int, record, sequence, set, text, truth};

use super::constants::{ATTEMPTS_MAX, Constants};
use super::rows::{entry, event, last_receipt, meta, no_stray_rows, number, row};
use super::world::{Asked, Machine, Reply, Request, Said, Told, World, product, site};

const NEVER: &str = "an event that never counts";

/// What was learned of names that the specification keeps as numbers, and of what no node knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mapping {
    constants: Constants,
    /// In the order in which they were drawn.
    epochs: Vec<Epoch>,
    /// The events that led to each chain hash.
    chains: HashMap<Hash, Vec<(u64, u64)>>,
    ever: BTreeSet<u64>,
}

fn each<'a, T: 'a>(
    all: impl IntoIterator<Item = &'a T>,
    map: impl Fn(&'a T) -> Mapped,
) -> Result<Vec<Value>, Unmapped> {
    all.into_iter().map(map).collect()
}

impl Mapping {
    pub(crate) fn new(constants: Constants) -> Self {
        Self { constants, ..Self::default() }
    }

    /// Returns what the whole world is in the specification. Called after each step, as it learns.
    pub(crate) fn state(&mut self, world: &World) -> Result<Variables, Unmapped> {
        for machine in world.machines.iter().flatten() {
            self.learn(&machine.image)?;
        }
        let disks = each(&world.machines, |one| self.disk(one.as_ref().map(|one| &one.image)))?;
        let backups = each(&world.backups, |one| self.disk(one.as_ref().map(|one| &one.image)))?;
        let (cloud, product) = self.cloud(&world.cloud)?;
        let archive = world.archive.as_ref().map(|image| self.cloud(image)).transpose()?;
        let archive =
            archive.map(|(cloud, product)| record([("cloud", cloud), ("product", truth(product))]));
        let counts = counted(&world.cloud, &self.constants)?.into_iter();
        self.ever.extend(counts.filter_map(|(sale, count)| (count > 0).then_some(sale)));
        Ok(Variables::from([
            ("disk", sequence(disks)),
            ("backup", sequence(backups)),
            ("cloud", cloud),
            ("product", truth(product)),
            ("archive", sequence(archive)),
            ("req", set(each(&world.requests, |one| self.request(one))?)),
            ("batch", sequence(each(&world.batch, |one| self.request(one))?)),
            ("ans", set(each(&world.replies, |one| self.reply(one))?)),
            ("greeted", sequence(world.machines.iter().map(|one| truth(greeted(one.as_ref()))))),
            ("epochs", int(self.epochs.len())),
            ("left", world.left.value()),
            ("born", set(world.told.iter().map(born))),
            ("printed", set(each(&world.told, |one| self.printed(one))?)),
            ("ever", set(self.ever.iter().map(|sale| int(*sale)))),
        ]))
    }

    /// Notes the epochs of a disk, and which events led to each of its chain hashes.
    fn learn(&mut self, image: &Image<Terminal>) -> Result<(), Unmapped> {
        let Some(meta) = meta(image) else { return unmapped("a disk without books") };
        let closed = meta.closed.iter().map(|closed| (closed.epoch, closed.head));
        for (epoch, head) in closed.chain([(meta.epoch, meta.head)]) {
            if !self.epochs.contains(&epoch) {
                self.epochs.push(epoch);
            }
            let mut events = Vec::new();
            self.chains.insert(genesis(meta.identity.terminal, epoch), Vec::new());
            for seq in 1..=head {
                let entry = entry(image, epoch, seq)?;
                events.push(event(&entry.payload)?);
                self.chains.insert(entry.chain, events.clone());
            }
        }
        Ok(())
    }

    fn epoch(&self, epoch: Epoch) -> Mapped {
        match self.epochs.iter().position(|seen| *seen == epoch) {
            Some(at) => Ok(int(at + 1)),
            None => unmapped(format!("the epoch {epoch}, which no disk has had")),
        }
    }

    /// A chain hash is the sequence of the events up to it.
    fn events(&self, hash: Hash) -> Result<&[(u64, u64)], Unmapped> {
        match self.chains.get(&hash) {
            Some(events) => Ok(events),
            None => unmapped("a chain hash that no disk has had"),
        }
    }

    fn chain(&self, hash: Hash) -> Mapped {
        Ok(sequence(self.events(hash)?.iter().map(|(name, sale)| pair(*name, *sale))))
    }
}

// ---------------------------------------------------------------------------------------------
// The till's disk.

impl Mapping {
    fn disk(&self, image: Option<&Image<Terminal>>) -> Mapped {
        let Some(image) = image else { return Ok(record([("here", truth(false))])) };
        let Some(meta) = meta(image) else { return unmapped("a disk without books") };
        if meta.quarantined.is_some() {
            return unmapped("a till in quarantine");
        }
        no_stray_rows(image, meta)?;
        let log = self.log(image, meta.epoch, meta.head)?;
        let closed = each(&meta.closed, |closed| self.closed(image, closed))?;
        Ok(record([
            ("here", truth(true)),
            ("ep", self.epoch(meta.epoch)?),
            ("log", log),
            ("acked", int(meta.acked)),
            ("closed", sequence(closed)),
            ("last", int(last_receipt(image, meta.epoch))),
        ]))
    }

    fn closed(&self, image: &Image<Terminal>, closed: &Closed) -> Mapped {
        Ok(record([
            ("ep", self.epoch(closed.epoch)?),
            ("log", self.log(image, closed.epoch, closed.head)?),
            ("kept", int(closed.kept)),
            ("next", int(closed.next)),
            ("queue", truth(closed.queue)),
        ]))
    }

    fn log(&self, image: &Image<Terminal>, epoch: Epoch, head: u64) -> Mapped {
        let entries: Result<Vec<_>, _> =
            (1..=head).map(|seq| self.entry(image, epoch, seq)).collect();
        Ok(sequence(entries?))
    }

    /// An entry with the row that waits for it. What has no such row has no failures either.
    fn entry(&self, image: &Image<Terminal>, epoch: Epoch, seq: u64) -> Mapped {
        let entry = entry(image, epoch, seq)?;
        let (name, sale) = event(&entry.payload)?;
        let st = match entry.state {
            State::Open => "open",
            State::Synced(_) => "synced",
            State::Moved(_) => "moved",
            State::Replaced(_) => return unmapped("an entry that a correction has the place of"),
        };
        let queue = row(image, &terminal::Key::Queue(epoch, seq));
        let attention = row(image, &terminal::Key::Attention(epoch, seq));
        let (waits, tries) = match (queue, attention) {
            (None, None) => ("none", 0),
            (Some(terminal::Record::Queue(queued)), None) => ("queue", queued.attempts),
            (None, Some(terminal::Record::Attention(row))) => ("person", row.attempts),
            (_, _) => return unmapped("an entry that waits in two places"),
        };
        Ok(record([
            ("name", int(name)),
            ("sale", int(sale)),
            ("st", text(st)),
            ("row", text(waits)),
            // Beyond the last try the code counts on, and nothing depends on it.
            ("tries", int(tries.min(ATTEMPTS_MAX))),
        ]))
    }
}

fn pair(name: u64, sale: u64) -> Value {
    sequence([int(name), int(sale)])
}

// ---------------------------------------------------------------------------------------------
// The cloud's disk.

impl Mapping {
    /// The lanes, the ledger, the counts; and whether each product is known by now.
    fn cloud(&self, image: &Image<cloud::Cloud>) -> Result<(Value, bool), Unmapped> {
        let (mut lanes, mut ledger) = (Vec::new(), Vec::new());
        for (key, record) in image.rows().iter() {
            match (key, &**record) {
                (cloud::Key::Lane(till, epoch), cloud::Record::Lane(lane)) => {
                    lanes.push(self.lane(image, *till, *epoch, lane)?);
                }
                (cloud::Key::Ledger(key), cloud::Record::Ledger(row)) => {
                    let (name, sale) = event(&row.payload)?;
                    let fate = match row.fate {
                        Fate::Posted => "posted",
                        Fate::Parked(_) => "parked",
                        Fate::Rejected | Fate::Withdrawn(_) | Fate::Refused(_) => unmapped(NEVER)?,
                    };
                    if number(key.local_id.as_str()) != Some(name) {
                        return unmapped("an event in the ledger under another's name");
                    }
                    ledger.push(record_of_ledger(key.terminal, name, sale, fate)?);
                }
                (cloud::Key::Opaque(..), _) => return unmapped("opaque bytes in the cloud"),
                _ => {}
            }
        }
        let count = counted(image, &self.constants)?;
        let cloud = record([
            ("lanes", set(lanes)),
            ("ledger", set(ledger)),
            ("count", sequence(count.values().map(|count| int((*count).min(2))))),
        ]);
        Ok((cloud, self.products_known(image)?))
    }

    fn lane(
        &self,
        image: &Image<cloud::Cloud>,
        till: TerminalId,
        epoch: Epoch,
        lane: &Lane,
    ) -> Mapped {
        let mut log = Vec::new();
        let mut last = genesis(till, epoch);
        for seq in 1..=lane.head {
            let key = cloud::Key::Segment(till, epoch, Segment::number(seq));
            let row = image.rows().get(&key).map(|record| &**record);
            let Some(cloud::Record::Segment(segment)) = row else {
                return unmapped(format!("a lane that lacks entry {seq}"));
            };
            let Some(chain) = segment.chain_at(seq) else {
                return unmapped(format!("a lane that lacks entry {seq}"));
            };
            log.push(self.chain(chain)?);
            last = chain;
        }
        if lane.hash != last {
            return unmapped("a lane whose hash is not that of its last entry");
        }
        Ok(record([("t", owner(till)?), ("ep", self.epoch(epoch)?), ("log", sequence(log))]))
    }

    /// The products of the `Unknown` sales are defined together.
    fn products_known(&self, image: &Image<cloud::Cloud>) -> Result<bool, Unmapped> {
        let known = |sale: &u64| {
            let key = cloud::Key::Product(site().shop, product(*sale));
            image.rows().contains_key(&key)
        };
        let all = self.constants.unknown.iter().all(known);
        if !all && self.constants.unknown.iter().any(known) {
            return unmapped("some products are known, and others not");
        }
        Ok(all)
    }
}

/// Only the mistake `PostedByPlace` uses `ep` and `seq`.
fn record_of_ledger(till: TerminalId, name: u64, sale: u64, fate: &str) -> Mapped {
    Ok(record([
        ("t", owner(till)?),
        ("name", int(name)),
        ("sale", int(sale)),
        ("fate", text(fate)),
        ("ep", int(0)),
        ("seq", int(0)),
    ]))
}

/// How often each sale counts: each moves a product of its own, so its movements are counted,
/// those that are rolled up into the stock and those that are not yet.
fn counted(
    image: &Image<cloud::Cloud>,
    constants: &Constants,
) -> Result<BTreeMap<u64, u64>, Unmapped> {
    let mut counts: BTreeMap<u64, u64> = (1..=constants.sales).map(|sale| (sale, 0)).collect();
    let mut add = |product: &str, movements: u64| {
        let sale = product.strip_prefix('p').and_then(number);
        match sale.and_then(|sale| counts.get_mut(&sale)) {
            Some(count) => {
                *count += movements;
                Ok(())
            }
            None => unmapped(format!("a movement of {product}")),
        }
    };
    for (key, record) in image.rows().iter() {
        match (key, &**record) {
            (cloud::Key::Stock(_, _, product), cloud::Record::Stock(stock)) => {
                add(product.as_str(), stock.movements)?;
            }
            (cloud::Key::Movements(..), cloud::Record::Movements(moved)) => {
                moved.iter().try_for_each(|m| add(m.product.as_str(), m.by.movements))?;
            }
            _ => {}
        }
    }
    Ok(counts)
}

/// Tills are numbered from 1; a copy speaks as the till that it is a copy of.
fn owner(till: TerminalId) -> Mapped {
    match till.as_str().strip_prefix("till-").and_then(number) {
        Some(till) => Ok(int(till)),
        None => unmapped(format!("the till {till}")),
    }
}

// ---------------------------------------------------------------------------------------------
// What is under way: the bytes of frames.

impl Mapping {
    fn request(&self, request: &Request) -> Mapped {
        let (from, live) = (int(request.from), truth(request.live));
        match &request.asks {
            Asked::Hello(frame) => {
                let Ok(hello) = Hello::decode(frame) else { return unmapped("a broken frame") };
                Ok(record([
                    ("kind", text("hello")),
                    ("from", from),
                    ("live", live),
                    ("lanes", self.hello_lanes(&hello)?),
                ]))
            }
            Asked::Push(frame) => {
                let Ok(push) = Push::decode(frame) else { return unmapped("a broken frame") };
                Ok(record([
                    ("kind", text("push")),
                    ("from", from),
                    ("live", live),
                    ("ep", self.epoch(push.epoch)?),
                    ("items", self.items(&push)?),
                ]))
            }
        }
    }

    fn hello_lanes(&self, hello: &Hello) -> Mapped {
        let till = hello.terminal_id;
        Ok(sequence(each(&hello.lanes, |lane| self.hello_lane(till, lane))?))
    }

    /// A lane shows points of its chain: which ones is the operator `Points`.
    fn hello_lane(&self, till: TerminalId, lane: &HelloLane) -> Mapped {
        let head = lane.points[0];
        let events = self.events(head.hash)?;
        let shown: Vec<u64> = lane.points.iter().map(|point| point.seq).collect();
        if events.len() as u64 != head.seq || shown != points(head.seq, lane.acked) {
            return unmapped(format!("a greeting that shows {shown:?} of {}", head.seq));
        }
        for point in &lane.points {
            let upto = usize::try_from(point.seq).unwrap_or(usize::MAX);
            if self.events(point.hash)? != &events[..upto] {
                return unmapped("a greeting whose points are of several chains");
            }
        }
        if head.seq == 0 && head.hash != genesis(till, lane.epoch) {
            return unmapped("an empty journal of another epoch");
        }
        Ok(record([
            ("ep", self.epoch(lane.epoch)?),
            ("chain", self.chain(head.hash)?),
            ("acked", int(lane.acked)),
        ]))
    }

    fn items(&self, push: &Push) -> Mapped {
        let mut items = Vec::new();
        for item in &push.items {
            // The chain that is claimed is that of the bytes: `cloud/ingest.rs` verifies it.
            let claimed = self.events(item.chain_hash)?;
            if claimed.last() != Some(&event(&item.payload)?) {
                let of = payload_hash(&item.payload);
                return unmapped(format!("an item whose chain is not that of {of:?}"));
            }
            items.push(record([("seq", int(item.seq)), ("chain", self.chain(item.chain_hash)?)]));
        }
        Ok(sequence(items))
    }

    fn reply(&self, reply: &Reply) -> Mapped {
        let to = int(reply.to);
        match &reply.says {
            Said::Welcome(frame) => {
                let Ok(welcome) = Welcome::decode(frame) else {
                    return unmapped("a broken frame");
                };
                let lanes = each(&welcome.lanes, |lane| self.welcome_lane(lane))?;
                Ok(record([("kind", text("welcome")), ("to", to), ("lanes", sequence(lanes))]))
            }
            Said::Pushed(epoch, frame) => {
                let Ok(answer) = PushAnswer::decode(frame) else {
                    return unmapped("a broken frame");
                };
                let results = each(&answer.results, |one| result(one.seq, one.verdict))?;
                Ok(record([
                    ("kind", text("pushed")),
                    ("to", to),
                    ("ep", self.epoch(*epoch)?),
                    ("results", sequence(results)),
                    ("stopped", truth(answer.stopped.is_some())),
                ]))
            }
        }
    }

    fn welcome_lane(&self, lane: &WelcomeLane) -> Mapped {
        if self.events(lane.head.hash)?.len() as u64 != lane.head.seq {
            return unmapped("a head whose number is not that of its chain");
        }
        Ok(record([
            ("ep", self.epoch(lane.epoch)?),
            ("chain", self.chain(lane.head.hash)?),
            ("common", int(lane.common)),
        ]))
    }
}

/// `Points(head, also)` of the specification, falling as in the frame.
fn points(head: u64, also: u64) -> Vec<u64> {
    let back = [(1, 1), (3, 3), (7, 7)].into_iter().filter(|(above, _)| head > *above);
    let mut seqs: BTreeSet<u64> = back.map(|(_, back)| head - back).collect();
    seqs.extend([head, also]);
    if head > 0 {
        seqs.remove(&0);
    }
    seqs.into_iter().rev().collect()
}

/// That it is posted, now or before, is one verdict to a till.
fn result(seq: u64, verdict: Verdict) -> Mapped {
    let verdict = match verdict {
        Verdict::Created(_) | Verdict::Existing(_) => "posted",
        Verdict::Parked(_) => "parked",
        Verdict::Refused(_) => "refused",
        Verdict::Edited(_) => return unmapped("an answer to an edit"),
    };
    Ok(record([("seq", int(seq)), ("verdict", text(verdict))]))
}

// ---------------------------------------------------------------------------------------------
// What no node knows.

fn greeted(machine: Option<&Machine>) -> bool {
    machine.is_some_and(Machine::greeted)
}

fn born(told: &Told) -> Value {
    let Told { till, name, sale, .. } = *told;
    sequence([int(till), int(name), int(sale)])
}

impl Mapping {
    fn printed(&self, told: &Told) -> Mapped {
        let series = self.epoch(told.receipt.series)?;
        Ok(sequence([series, int(told.receipt.number), int(told.sale)]))
    }
}
