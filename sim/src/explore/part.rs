//! What a state is made of: disks and messages, each with a digest of its canonical bytes.
//!
//! Parts are never changed, only replaced, and states share them. Two states are equal if their
//! parts have equal digests, whichever way led to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use counterfoil_protocol::cloud::{Cloud, RollUp};
use counterfoil_protocol::hash::Hash;
use counterfoil_protocol::identity::{Epoch, EventKey, TerminalId, Witness};
use counterfoil_protocol::persist::Persist;
use counterfoil_protocol::problem::Denial;
use counterfoil_protocol::terminal::{Backlog, Identity, Terminal};
use counterfoil_storage::memory::Image;

/// The first 128 bits of a BLAKE3 hash of canonical bytes. Among a thousand million parts two are
/// confused with a probability below 10^-20.
pub(super) type Digest = u128;

/// Hashes numbers and byte strings, each with its length, so that no two lists look alike.
pub(super) struct Digester(blake3::Hasher);

impl Digester {
    pub(super) fn new(kind: u8) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[kind]);
        Self(hasher)
    }

    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        self.0.update(&number.to_le_bytes());
        self
    }

    pub(super) fn digest(&mut self, digest: Digest) -> &mut Self {
        self.0.update(&digest.to_le_bytes());
        self
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
        self
    }

    pub(super) fn rows<M: Persist>(&mut self, image: &Image<M>) -> &mut Self {
        self.number(image.rows().len() as u64);
        let mut bytes = Vec::new();
        for (key, record) in image.rows() {
            bytes.clear();
            M::key_bytes(key, &mut bytes);
            self.bytes(&bytes);
            bytes.clear();
            M::record_bytes(record, &mut bytes);
            self.bytes(&bytes);
        }
        self
    }

    pub(super) fn end(&self) -> Digest {
        let mut first = [0; 16];
        first.copy_from_slice(&self.0.finalize().as_bytes()[..16]);
        Digest::from_le_bytes(first)
    }
}

/// An event by its whole name and its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Fact(Digest);

impl Fact {
    pub(super) fn new(key: &EventKey, payload: Hash) -> Self {
        let mut digester = Digester::new(b'F');
        digester.bytes(key.terminal.as_str().as_bytes());
        digester.bytes(key.pos.as_str().as_bytes());
        digester.bytes(key.local_id.as_str().as_bytes());
        Self(digester.bytes(&payload.0).end())
    }
}

/// What a till's machine must get into the cloud, and what it has printed: kept beside the disk,
/// from what the till has said, so that the disk can be held against it.
#[derive(Clone, Debug, Default)]
pub(super) struct Owed {
    /// Each sale, in the order of their making, with what it moves.
    pub(super) sales: BTreeMap<Fact, Sale>,
    /// The last receipt number of each series.
    pub(super) series: BTreeMap<Epoch, u64>,
}

/// A sale that a till has confirmed to its cashier.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sale {
    pub(super) key: EventKey,
    pub(super) payload: Hash,
    pub(super) moved: i64,
}

/// A till's machine: its disk, its file outside the disk, and what it owes.
#[derive(Clone, Debug)]
pub(super) struct Device {
    /// Tills have the first numbers, copies the next.
    pub(super) number: u8,
    pub(super) identity: Identity,
    pub(super) image: Image<Terminal>,
    pub(super) witness: Option<Witness>,
    /// How many witnesses were drawn here. A restore does not take it back: the source of
    /// randomness never says the same again.
    pub(super) opens: u64,
    /// How many histories were opened here.
    pub(super) epochs: u64,
    /// How many sales were made here.
    pub(super) sold: u64,
    pub(super) owed: Owed,
    /// What is left to do, as the disk says.
    pub(super) backlog: Backlog,
    /// What the disk marks as synced.
    pub(super) synced: Vec<Fact>,
    pub(super) sights: u8,
    pub(super) digest: Digest,
}

impl Device {
    /// Computes the digest anew, after a change.
    pub(super) fn seal(&mut self) {
        let mut digester = Digester::new(b'D');
        digester.number(self.number.into()).rows(&self.image);
        let witness = self.witness.map_or([0, 0, 0], |w| [1, w.install, w.boot]);
        for number in witness.into_iter().chain([self.opens, self.epochs, self.sold]) {
            digester.number(number);
        }
        digester.number(self.owed.sales.len() as u64);
        for fact in self.owed.sales.keys() {
            digester.digest(fact.0);
        }
        for (series, last) in &self.owed.series {
            digester.number(series.number.into()).number(series.nonce).number(*last);
        }
        self.digest = digester.end();
    }
}

/// The cloud's disk.
#[derive(Clone, Debug)]
pub(super) struct CloudDisk {
    pub(super) image: Image<Cloud>,
    /// What it holds as posted.
    pub(super) posted: Vec<Fact>,
    /// What it holds at all: parked, and kept beside another of the same name, too.
    pub(super) held: Vec<Fact>,
    pub(super) sights: u8,
    pub(super) digest: Digest,
}

/// A message under way.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// The machine that sent the request, or whom the answer is for. None if nobody waits for the
    /// answer any more.
    pub(super) device: Option<u8>,
    pub(super) terminal: Option<TerminalId>,
    pub(super) body: Body,
    pub(super) digest: Digest,
}

/// What a message says, in the bytes of its frame.
#[derive(Clone, Debug)]
pub(super) enum Body {
    Hello(Vec<u8>),
    Push(Epoch, Vec<u8>),
    Welcome(Vec<u8>),
    Pushed(Epoch, Vec<u8>),
    Denied(Denial),
    /// What the cloud has planned, and will carry out.
    RollUp(Box<RollUp>),
}

impl Message {
    pub(super) fn new(device: Option<u8>, terminal: Option<TerminalId>, body: Body) -> Arc<Self> {
        let mut digester = Digester::new(b'M');
        digester.number(device.map_or(0, |device| u64::from(device) + 1));
        digester.bytes(terminal.as_ref().map_or(&[], |terminal| terminal.as_str().as_bytes()));
        match &body {
            Body::Hello(bytes) => digester.number(1).bytes(bytes),
            Body::Push(epoch, bytes) => {
                digester.number(2).number(epoch.number.into()).number(epoch.nonce).bytes(bytes)
            }
            Body::Welcome(bytes) => digester.number(3).bytes(bytes),
            Body::Pushed(epoch, bytes) => {
                digester.number(4).number(epoch.number.into()).number(epoch.nonce).bytes(bytes)
            }
            Body::Denied(denial) => digester.number(5).bytes(format!("{denial:?}").as_bytes()),
            Body::RollUp(plan) => digester.number(6).bytes(format!("{plan:?}").as_bytes()),
        };
        let digest = digester.end();
        Arc::new(Self { device, terminal, body, digest })
    }

    /// Returns whether it is on its way to the cloud.
    pub(super) const fn is_request(&self) -> bool {
        match self.body {
            Body::Hello(_) | Body::Push(..) | Body::RollUp(_) => true,
            Body::Welcome(_) | Body::Pushed(..) | Body::Denied(_) => false,
        }
    }

    /// Returns the same request of somebody who does not wait for its answer any more.
    pub(super) fn orphaned(&self) -> Arc<Self> {
        Self::new(None, self.terminal, self.body.clone())
    }
}

/// What has ever happened, whatever became of the disks: no node knows it, the laws speak of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Truth {
    /// What tills have committed.
    pub(super) committed: BTreeSet<Fact>,
    /// What the cloud has ever held as posted.
    pub(super) posted: BTreeSet<Fact>,
    /// Receipts that were printed: register, series, number.
    pub(super) receipts: BTreeSet<(TerminalId, Epoch, u64)>,
    pub(super) digest: Digest,
}

impl Truth {
    /// Computes the digest anew, after a change.
    pub(super) fn seal(&mut self) {
        let mut digester = Digester::new(b'T');
        for set in [&self.committed, &self.posted] {
            digester.number(set.len() as u64);
            for fact in set {
                digester.digest(fact.0);
            }
        }
        for (terminal, series, number) in &self.receipts {
            digester.bytes(terminal.as_str().as_bytes());
            digester.number(series.number.into()).number(series.nonce).number(*number);
        }
        self.digest = digester.end();
    }
}
